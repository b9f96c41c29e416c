"""`digest evaluate`: runs, measures, and that nothing is learnt from what is new."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from math import log2
from pathlib import Path

import pytest

from digest.errors import Refused
from digest.matching import evaluate as judge
from digest.matching.evaluate import Judged

PAPERS = [
    {"id": "old1", "title": "Foraging ants", "abstract": "Pheromone trails of ant colonies."},
    {"id": "old2", "title": "Fibre lasers", "abstract": "Mode-locked pulses."},
    {"id": "new1", "title": "Ant colonies lay trails", "abstract": "Pheromone.", "new": True},
    {"id": "new2", "title": "Pulses of fibre lasers", "new": True},
    {"id": "new3", "title": "Auctions", "abstract": "of goods", "new": True},
]


def lines(rows: Iterable[object]) -> list[str]:
    return [json.dumps(row) + "\n" for row in rows]


def ranked(*readers: dict[str, object]) -> dict[str, list[str]]:
    library = judge.read_papers(lines(PAPERS))
    people = judge.read_readers(lines(readers))
    return {r: [id_ for id_, _ in found] for r, found in judge.rank(library, people, 300)}


def test_readers_get_the_new_papers_in_the_order_of_their_likes() -> None:
    found = ranked({"reader": "a", "likes": ["old1"]}, {"reader": "b", "likes": ["old2"]})
    assert ("new1", "new2") == (found["a"][0], found["b"][0])
    assert [{"new1", "new2", "new3"}] * 2 == [set(found["a"]), set(found["b"])]


def test_dislikes_count_against_a_paper() -> None:
    found = ranked({"reader": "a", "likes": [], "dislikes": ["old1"]}, {"reader": "b"})
    assert "new1" == found["a"][-1]


def test_nothing_is_learnt_from_a_new_paper() -> None:
    found = ranked(
        {"reader": "a", "likes": ["old1"]}, {"reader": "b", "likes": ["old1", "new2", "nowhere"]}
    )
    assert found["a"] == found["b"]


def test_a_paper_marked_new_twice_over_is_never_learnt_from() -> None:
    again = [*PAPERS, {**PAPERS[2], "new": False}]
    library = judge.read_papers(lines(again))
    assert ["old1", "old2"] == [paper.id for paper in library.old]


def test_a_run_is_in_trec_form(tmp_path: Path) -> None:
    for name, rows in (("papers", PAPERS), ("readers", [{"reader": "a", "likes": ["old1"]}])):
        (tmp_path / name).write_text("".join(lines(rows)), encoding="utf-8")
    (tmp_path / "qrels").write_text("a 0 new1 1\na 0 new9 1\n\n", encoding="utf-8")
    told: list[tuple[int, int]] = []
    files = [tmp_path / name for name in ("papers", "readers", "run", "qrels")]
    found = judge.evaluate(*files, top=2, tell=lambda *done: told.append(done))
    first, second = (tmp_path / "run").read_text(encoding="utf-8").splitlines()
    assert ["a", "Q0", "new1", "1", "digest"] == [*first.split()[:4], first.split()[5]]
    assert float(first.split()[4]) > float(second.split()[4])
    assert (3, 1, 0.5, 1.0) == tuple(found[k] for k in ("papers", "readers", "recall@10", "MRR"))
    assert [(1, 1)] == told


def test_the_measures_are_those_of_trec_eval() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pip install pytrec-eval-terrier")
    dice = random.Random(5)
    papers = [f"p{n}" for n in range(400)]
    run = {f"r{n}": dice.sample(papers, dice.choice([0, 3, 350])) for n in range(20)}
    qrels = {r: {p: dice.choice([1, 2, 3]) for p in dice.sample(papers, 12)} for r in run}
    scores = {r: {p: -float(i) for i, p in enumerate(ranked)} for r, ranked in run.items()}
    names = {f"recall@{k}": f"recall_{k}" for k in (10, 20, 50, 100, 300)}
    names |= {"NDCG@10": "ndcg_cut_10", "MRR": "recip_rank"}
    judge_ = pytrec_eval.RelevanceEvaluator(qrels, set(names.values()))
    theirs = judge_.evaluate({r: s for r, s in scores.items() if s})  # it leaves out empty runs
    for ours, name in names.items():
        mean = sum(row[name] for row in theirs.values()) / len(qrels)
        assert judge.measure(run, qrels)[ours] == pytest.approx(mean)


def test_the_measures_are_those_of_the_books() -> None:
    run = {"a": ["x", "p", "y", "q"], "b": ["z"]}
    qrels = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}, "nobody": {}}
    found = judge.measure(run, qrels)
    ideal = 2 / log2(2) + 1 / log2(3)
    assert (1 / log2(3) + 2 / log2(5)) / ideal / 2 == pytest.approx(found["NDCG@10"])
    assert (0.5, 0.25) == (found["recall@10"], found["MRR"])


def test_a_reader_who_is_not_in_the_run_counts_nothing() -> None:
    assert 0.5 == judge.measure({"a": ["p"]}, {"a": {"p": 1.0}, "b": {"p": 1.0}})["recall@10"]


def test_qrels_without_relevant_papers_are_refused_by_no_division() -> None:
    assert {} == judge.measure({"a": ["p"]}, {})


@pytest.mark.parametrize(
    ("read", "line", "said"),
    [
        (judge.read_papers, "{", "papers, line 1: not JSON"),
        (judge.read_papers, "[]", "papers, line 1: must be a JSON object"),
        (judge.read_papers, '{"id": "a"}', "papers, line 1: needs a title"),
        (judge.read_papers, '{"id": "a b", "title": "x"}', "an id without blanks"),
        (judge.read_readers, '{"likes": []}', "readers, line 1: needs an id"),
        (judge.read_readers, '{"reader": 1, "likes": "a"}', "likes must be a list"),
        (judge.read_qrels, "a 0 b", "qrels, line 1"),
    ],
)
def test_bad_lines_are_named(read: object, line: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        read([line])  # type: ignore[operator]
    assert said in str(caught.value)


def test_numbers_are_ids_and_a_missing_id_is_the_line() -> None:
    [paper] = judge.read_papers(['{"title": "x"}']).old
    assert ("1", [Judged("7", ("3",))]) == (
        paper.id,
        judge.read_readers(['{"reader": 7, "likes": [3]}']),
    )
