"""How good the matching is on public data, beside plain methods on the same data, and beside the
last release.

    python bench/quality.py [--readers 0] [--likes 1,3,5] [--keep]

Prints JSON. `citeulike-t`: papers whose number divides by 5 are new; readers with at least 5 other
papers and one new one; rank all new papers. `authors`: what authors wrote until September is their
profile; rank all papers of October for them. Means over readers of recall@k, NDCG@10 and MRR.

In `authors` the papers have their categories and not their authors' names: the relevant ones are
those that a reader wrote, and a name would tell. `names` says what names and categories change.

`ours` is what `digest evaluate` runs: a collaborative map is learnt from the readers' likes of old
papers and used where the check says that it helps; `words` is the same matching without one.
`tfidf` and `bm25` are the plain centroid: mean of the liked papers' vectors (stemmed words),
cosine. `svm` is a linear SVM for each reader as in arxiv-sanity-lite (needs scikit-learn), for some
300 readers, with ours for the same. `--likes`: every fifth reader keeps only so many likes, and the
map is learnt from the whole libraries of the other four fifths, and of nobody else; `everybody`: no
reader has more. `floors` tells what each floor lets through, with the map where it is in force and
by words alone. `--readers N` takes about N readers, evenly spread; 0 takes all.

With all readers the figures stand beside those of the last release (bench/quality.json): exit 1 if
one fell by more than 0.004, or if what passes a floor is relevant less often than docs/matching.md
states. `--keep` writes them there, for a release.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))

import sinks

from digest.matching import Reader
from digest.matching.evaluate import Judged, Library, rank, trained
from digest.matching.lexical import LexicalMatcher
from digest.matching.measures import measure
from digest.matching.metadata import names_of
from digest.matching.scoring import FLOORS
from digest.model import Floor, Interest, Paper, Profile
from digest.profiles.stems import stem_all
from digest.text import words

TOP = 300
FEW = 5  # one reader in so many keeps few likes
SAMPLE = 300  # readers of what is slow
TOLERANCE = 0.004
LAST = Path(__file__).with_suffix(".json")
STATED = {Floor.RELAXED: 15.0, Floor.NORMAL: 30.0, Floor.STRICT: 50.0}  # times chance, at least
GATED = ("recall@20", "recall@100", "NDCG@10")

Run = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Task:
    """What is ranked for whom, and what was relevant."""

    library: Library
    readers: list[Judged]
    qrels: dict[str, dict[str, float]]
    bylines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, number: int) -> Task:
        """The same for about so many readers, evenly spread."""
        step = max(len(self.readers) // number, 1) if number else 1
        readers = self.readers[::step]
        return replace(
            self, readers=readers, qrels={r.reader: self.qrels[r.reader] for r in readers}
        )

    def with_likes(self, number: int) -> Task:
        """The same with only so many likes of each reader, evenly spread over the library."""
        readers = [Judged(r.reader, _spread(r.likes, number)) for r in self.readers]
        return replace(self, readers=readers)

    def given(self, change: Callable[[Paper], Paper]) -> Task:
        """The same of other papers."""
        library = Library(
            tuple(map(change, self.library.new)), tuple(map(change, self.library.old))
        )
        return replace(self, library=library)


def _spread(likes: Sequence[str], number: int) -> tuple[str, ...]:
    return tuple(likes[i * len(likes) // number] for i in range(min(number, len(likes))))


# ------------------------------------------------------------------ the tasks


def citeulike() -> Task:
    """Readers' libraries over bags of words (Wang, Chen and Li 2013)."""
    rows = list(_rows("citeulike-t/papers.jsonl.gz"))
    papers = [Paper(str(row["id"]), "", row["text"]) for row in rows]
    library = Library(
        tuple(p for p in papers if int(p.id) % 5 == 0), tuple(p for p in papers if int(p.id) % 5)
    )
    readers, qrels = [], {}
    for number, liked in enumerate(_rows("citeulike-t/readers.jsonl.gz")):
        old = tuple(str(id_) for id_ in liked if id_ % 5)
        new = {str(id_): 1.0 for id_ in liked if id_ % 5 == 0}
        if len(old) >= 5 and new:
            readers.append(Judged(str(number), old))
            qrels[str(number)] = new
    return Task(library, readers, qrels)


def authors() -> Task:
    """Authors as readers: what they wrote before, and what they wrote in October."""
    files = ["authors/profile_papers", "arxiv/2025-09", "arxiv/2025-10"]
    rows = {row["id"]: row for name in files for row in _rows(f"{name}.jsonl.gz")}
    papers = [
        Paper(row["id"], row["title"], row["abstract"], (), tuple(row["cats"]))
        for row in rows.values()
    ]
    new = tuple(paper for paper in papers if rows[paper.id]["date"] >= "2025-10")
    old = tuple(paper for paper in papers if rows[paper.id]["date"] < "2025-10")
    people = list(_rows("authors/readers.jsonl.gz"))
    readers = [Judged(str(row["reader"]), tuple(row["profile"])) for row in people]
    qrels = {str(row["reader"]): dict.fromkeys(row["relevant"], 1.0) for row in people}
    bylines = {id_: tuple(row["authors"]) for id_, row in rows.items()}
    return Task(Library(new, old), readers, qrels, bylines)


def _rows(name: str) -> Iterator[Any]:
    with gzip.open(sinks.shared() / "data" / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


# ------------------------------------------------------------------ the methods


def ours(task: Task, matcher: LexicalMatcher) -> Run:
    found = rank(task.library, task.readers, TOP, matcher)
    return {reader: [id_ for id_, _ in ranked] for reader, ranked in found}


def tfidf(task: Task) -> Run:
    """(1 + log tf) log(N / df), rows of length 1, mean of the likes, cosine."""
    counts, shares = _counts(task)
    counts.data = (1 + np.log(counts.data)).astype(np.float32)
    return _centroid(task, counts @ sp.diags(-np.log(shares)))


def bm25(task: Task) -> Run:
    """BM25 weights (k1 1.2, b 0.75), rows of length 1, mean of the likes, cosine."""
    counts, shares = _counts(task)
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    damping = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
    counts.data = counts.data * 2.2 / (counts.data + np.repeat(damping, np.diff(counts.indptr)))
    return _centroid(task, counts @ sp.diags(np.log(1 + (1 - shares) / shares)))


def _counts(task: Task) -> tuple[Any, Any]:
    """(texts x stemmed words) counts, new papers first, and the share of texts with each word."""
    columns: dict[str, int] = {}
    rows, places = [], []
    for row, paper in enumerate((*task.library.new, *task.library.old)):
        for word in stem_all(words(f"{paper.title} {paper.abstract}")):
            rows.append(row)
            places.append(columns.setdefault(word, len(columns)))
    shape = (row + 1, len(columns))
    counts = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, places)), shape=shape)
    shares = np.bincount(counts.indices, minlength=shape[1]) / shape[0]
    return counts, shares


def _centroid(task: Task, weights: Any) -> Run:
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    unit = (sp.diags(1 / np.maximum(lengths, 1e-9)) @ weights).tocsr()
    new = [paper.id for paper in task.library.new]
    place = {p.id: i for i, p in enumerate(task.library.old, start=len(new))}
    columns = unit[: len(new)].T.tocsr()
    found = {}
    for reader in task.readers:
        centre = sp.csr_matrix(unit[[place[id_] for id_ in reader.likes if id_ in place]].mean(0))
        scores = (centre @ columns).toarray().ravel()
        found[reader.reader] = [new[i] for i in np.argsort(-scores, kind="stable")[:TOP]]
    return found


def svm(task: Task) -> Run:
    """(1 + log tf) idf; liked papers against all others; C 0.01, classes balanced."""
    from sklearn.svm import LinearSVC

    counts, shares = _counts(task)
    counts.data = (1 + np.log(counts.data)).astype(np.float32)
    weights = (counts @ sp.diags(-np.log(shares))).tocsr()
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    unit = (sp.diags(1 / np.maximum(lengths, 1e-9)) @ weights).tocsr()
    new = [paper.id for paper in task.library.new]
    place = {p.id: i for i, p in enumerate(task.library.old)}
    seen, unseen = unit[len(new) :], unit[: len(new)]
    found = {}
    for reader in task.readers:
        liked = np.zeros(len(place), int)
        liked[[place[id_] for id_ in reader.likes if id_ in place]] = 1
        model = LinearSVC(C=0.01, class_weight="balanced", max_iter=10_000).fit(seen, liked)
        scores = model.decision_function(unseen)
        found[reader.reader] = [new[i] for i in np.argsort(-scores, kind="stable")[:TOP]]
    return found


def floors(task: Task, matcher: LexicalMatcher) -> dict[str, dict[str, float]]:
    """What each floor lets through, for some 300 readers: papers a reader, the share of all new
    papers, the share of them that is relevant, and how many times as much as by chance."""
    some = task.of(SAMPLE)
    found = {
        reader: [(id_ in some.qrels[reader], z) for id_, z in ranked]
        for reader, ranked in rank(some.library, some.readers, len(some.library.new), matcher)
    }
    chance = sum(map(len, some.qrels.values())) / len(some.readers) / len(some.library.new)
    return {str(floor): _let_through(found, least, chance) for floor, least in FLOORS.items()}


def _let_through(
    found: Mapping[str, Sequence[tuple[bool, float]]], least: float, chance: float
) -> dict[str, float]:
    passed = [good for ranked in found.values() for good, z in ranked if z >= least]
    number = len(passed) / len(found)
    new = len(next(iter(found.values())))
    precision = sum(passed) / max(len(passed), 1)
    return {
        "papers a reader": round(number, 1),
        "share of the new": round(number / new, 4),
        "precision": round(precision, 4),
        "times chance": round(precision / chance, 1),
    }


# ------------------------------------------------------------------ what names change


def names(task: Task) -> dict[str, Any]:
    """Ours by words alone, with categories and with authors, each for both halves of the readers:
    the weight was chosen by categories on the first. Authors: each reader's own name is taken from
    what the reader wrote before, so that their co-authors are left; or bylines are exchanged among
    the papers, so that they mean nothing."""
    if not task.bylines:
        return {}
    dice = np.random.default_rng(0)
    order = dice.permutation(len(task.bylines))
    lists = list(task.bylines.values())
    mixed = {id_: lists[i] for id_, i in zip(task.bylines, order.tolist(), strict=True)}
    ways = {
        "words": ours(task.given(lambda p: replace(p, categories=())), LexicalMatcher()),
        "categories": ours(task, LexicalMatcher()),
        "categories, co-authors": beside_self(task),
        "categories, authors exchanged": ours(_with(task, mixed), LexicalMatcher()),
    }
    halves = {"chosen on": task.readers[::2], "held out": task.readers[1::2]}
    return {
        f"{way}, {half}": rounded(measure(run, {r.reader: task.qrels[r.reader] for r in some}))
        for way, run in ways.items()
        for half, some in halves.items()
    }


def _with(task: Task, bylines: Mapping[str, tuple[str, ...]]) -> Task:
    return task.given(lambda paper: replace(paper, authors=bylines[paper.id]))


def beside_self(task: Task) -> Run:
    """As `ours` with authors, but on no paper of a reader's own stands who wrote them all."""
    there = _with(task, task.bylines)
    prepared = LexicalMatcher().prepare(there.library.new, there.library.old)
    texts = {paper.id: paper for paper in (*there.library.new, *there.library.old)}
    found = {}
    for judged in task.readers:
        wrote = [texts[id_] for id_ in (*judged.likes, *task.qrels[judged.reader]) if id_ in texts]
        self = frozenset.intersection(*(frozenset(names_of(paper)[1]) for paper in wrote))
        known = {paper.id: _without(paper, self) for paper in wrote}
        profile = Profile(interests=(Interest("Likes", seeds=judged.likes),))
        [ranked] = prepared.order([Reader(profile, known=known)], TOP)
        found[judged.reader] = [id_ for id_, _ in ranked]
    return found


def _without(paper: Paper, people: frozenset[str]) -> Paper:
    kept = [
        name for name in paper.authors if people.isdisjoint(names_of(Paper("", "", "", (name,)))[1])
    ]
    return replace(paper, authors=tuple(kept))


# ------------------------------------------------------------------ all of it


def judged(name: str, task: Task, method: Callable[[Task], Run]) -> dict[str, float]:
    begun = time.process_time()
    run = method(task)
    took = time.process_time() - begun
    print(f"{name}: {took:.0f} CPU s", file=sys.stderr)
    return {**rounded(measure(run, task.qrels)), "CPU seconds": round(took, 1)}


def rounded(measures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in measures.items()}


def whole(task: Task) -> dict[str, Any]:
    """All methods with all that readers like."""
    begun = time.process_time()
    matcher, check = trained(task.library, task.readers)
    learning = round(time.process_time() - begun, 1)
    print(f"learnt in {learning:.0f} CPU s: {check.why}", file=sys.stderr)
    found: dict[str, Any] = {"map": check, "CPU seconds of learning and checking": learning}
    run = ours(task, matcher)
    found["ours"] = rounded(measure(run, task.qrels))
    found["words"] = judged("words", task, lambda task: ours(task, LexicalMatcher()))
    found |= {m.__name__: judged(m.__name__, task, m) for m in (tfidf, bm25)}
    found |= slow(task.of(SAMPLE), run)
    found["floors"] = floors(task, matcher)
    found["floors by words"] = floors(task, LexicalMatcher()) if matcher.taste else found["floors"]
    found["names"] = names(task)
    for name in ("recall@20", "NDCG@10"):
        best = max(found["tfidf"][name], found["bm25"][name])
        found[f"{name} over the better centroid"] = round(found["ours"][name] / best, 3)
    return found


def slow(some: Task, run: Run) -> dict[str, Any]:
    """What takes too long for everybody, and ours for the same readers."""
    try:
        found = {f"svm, {len(some.readers)} readers": judged("svm", some, svm)}
    except ImportError:
        print("no svm: pip install 'paper-digest[bench]'", file=sys.stderr)
        return {}
    return found | {f"ours, {len(some.readers)} readers": rounded(measure(run, some.qrels))}


def few(task: Task, numbers: Sequence[int]) -> dict[str, Any]:
    """With so few likes of some readers, or of everybody."""
    if not numbers:
        return {}
    some = replace(task, readers=task.readers[::FEW]).of(0)
    others = [r for r in task.readers if r.reader not in some.qrels]
    matcher, check = trained(task.library, others)
    found: dict[str, Any] = {"map of the others": check.why, "readers": len(some.readers)}
    for number in numbers:
        kept = some.with_likes(number)
        for name, by in (
            (f"{number} likes", matcher),
            (f"{number} likes, words", LexicalMatcher()),
        ):
            found[name] = judged(name, kept, partial(ours, matcher=by))
    for number in numbers:
        poor = task.with_likes(number)
        alone, _ = trained(poor.library, poor.readers)
        found[f"{number} likes of everybody"] = rounded(measure(ours(poor, alone), poor.qrels))
    return found


# ------------------------------------------------------------------ beside the last release


def figures(found: Mapping[str, Any]) -> dict[str, float]:
    """{"task / method / measure": value} of everything that may not fall."""
    rows = {
        (task, method): row
        for task, methods in found.items()
        for method, row in (methods | methods.get("few", {})).items()
        if isinstance(row, dict) and (method == "ours" or method.endswith(" likes"))
    }
    return {
        f"{task} / {method} / {name}": row[name]
        for (task, method), row in rows.items()
        for name in GATED
    }


def beside(now: Mapping[str, float], last: Mapping[str, float]) -> list[str]:
    """Print each figure beside the last release's; the names of those that fell."""
    for name, value in now.items():
        print(f"{name:44} {value:.4f}  last {last.get(name, float('nan')):.4f}", file=sys.stderr)
    return [name for name, value in last.items() if now.get(name, 0.0) < value - TOLERANCE]


def unkept(found: Mapping[str, Any]) -> list[str]:
    """The floors through which relevant papers come less often than stated."""
    measured = {
        f"{task} / {way} / {floor}": (methods[way][str(floor)]["times chance"], least)
        for task, methods in found.items()
        for way in ("floors", "floors by words")
        for floor, least in STATED.items()
    }
    return [f"{name}: {now}, not {least}" for name, (now, least) in measured.items() if now < least]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readers", type=int, default=0, help="about so many of each; 0: all")
    parser.add_argument("--likes", default="1,3,5", help="also with so few likes; empty: not")
    parser.add_argument("--keep", action="store_true", help="these are a release's figures")
    given = parser.parse_args()
    numbers = [int(number) for number in filter(None, given.likes.split(","))]
    found: dict[str, Any] = {}
    for name, made in (("citeulike-t", citeulike), ("authors", authors)):
        task = made().of(given.readers)
        found[name] = {"readers": len(task.readers), "new papers": len(task.library.new)}
        found[name] |= whole(task) | {"few": few(task, numbers)}
    print(json.dumps(found, indent=2, default=asdict))
    if given.readers:
        return 0
    now = figures(found)
    fell = beside(now, json.loads(LAST.read_text()) if LAST.exists() else {})
    if given.keep:
        LAST.write_text(json.dumps(now, indent=2) + "\n")
        return 0
    if fell:
        print(f"fell by more than {TOLERANCE}: {', '.join(fell)}", file=sys.stderr)
    if broken := unkept(found):
        print(f"less than stated: {', '.join(broken)}", file=sys.stderr)
    return 1 if fell or broken else 0


if __name__ == "__main__":
    sys.exit(main())
