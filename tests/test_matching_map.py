"""The collaborative map: learnt from who likes what, carried to papers by their words, and used
only where a held-out check says that it helps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from digest.matching import Reader
from digest.matching.collaborative import CollaborativeMap, train
from digest.matching.factors import ALPHA, factorise, fold_in, moment
from digest.matching.heldout import Library, lower_bound
from digest.matching.lexical import LexicalMatcher
from digest.matching.training import Learnt, learn, matrix
from digest.matching.vocabulary import Vocabulary
from digest.model import Feedback, Floor, Interest, Paper, Profile, Reason, ReasonKind, Term

WORDS = {
    "ants": "ant colony pheromone forage trail nest queen worker swarm mandible",
    "auctions": "auction bidder price seller reserve winner sealed market revenue item",
    "lasers": "laser fibre pulse cavity mode lock soliton gain wavelength mirror",
    "rivers": "river delta sediment flood basin erosion channel discharge bank silt",
}
CHATTER = [
    "method",
    "model",
    "result",
    "approach",
    "data",
    "novel",
    "study",
    "analysis",
    "propose",
    "framework",
    "effect",
]
TOGETHER = (("ants", "auctions"), ("lasers", "rivers"))  # who likes one likes the other


def papers(number: int, *, first: int = 0) -> list[Paper]:
    """As many of each subject; what two subjects have in common says nothing."""
    dice = np.random.default_rng(first + 1)

    def text(words: str) -> str:
        return " ".join([*dice.choice(words.split(), 2), *dice.choice(CHATTER, 6)])

    return [
        Paper(f"p:{subject}{first + n}", text(words), "")
        for subject, words in WORDS.items()
        for n in range(number)
    ]


def libraries(stock: list[Paper], number: int) -> list[Library]:
    """Readers of two subjects each, some papers of both."""
    dice = np.random.default_rng(7)

    def one(kinds: tuple[str, str]) -> Library:
        mine = [p.id for p in stock if p.id.rstrip("0123456789")[2:] in kinds]
        return tuple(dice.choice(mine, 6, replace=False).tolist())

    return [one(TOGETHER[n % 2]) for n in range(number)]


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    stock = papers(80)
    return learn(libraries(stock, 200), stock)


@pytest.fixture(scope="module")
def map_(learnt: Learnt) -> CollaborativeMap:
    assert learnt.map is not None, learnt.check.why
    return learnt.map


def best(matcher: LexicalMatcher, seed: Paper, new: list[Paper], top: int) -> list[str]:
    profile = Profile(interests=(Interest("i", seeds=(seed.id,)),))
    [ranked] = matcher.prepare(new, papers(80)).order([Reader(profile, known={seed.id: seed})], top)
    return [id_.rstrip("0123456789")[2:] for id_, _ in ranked]


def test_what_readers_of_a_liked_paper_like_too_comes_before_the_rest(
    map_: CollaborativeMap,
) -> None:
    new, seed = papers(5, first=900), papers(1)[0]
    assert {"ants", "auctions"} == set(best(LexicalMatcher(taste=map_), seed, new, 10))


def test_a_seed_that_no_reader_has_counts_by_its_words(map_: CollaborativeMap) -> None:
    new, seed = papers(5, first=900), papers(1, first=700)[0]
    assert {"ants", "auctions"} == set(best(LexicalMatcher(taste=map_), seed, new, 10))


def test_a_paper_that_many_rate_is_placed_once(
    map_: CollaborativeMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, place = list[int](), CollaborativeMap.place
    monkeypatch.setattr(
        CollaborativeMap,
        "place",
        lambda self, grams: placed.append(len(grams)) or place(self, grams),
    )
    rated = Paper("r:1", "ant colony pheromone forage", "")
    window = papers(20, first=700)
    prepared = LexicalMatcher(taste=map_).prepare(window)
    reader = Reader(
        Profile(interests=(Interest("i", terms=(Term("ants"),)),)),
        Feedback(("r:1",)),
        {"r:1": rated},
    )
    rankings = [prepared.rank([reader, reader]) for _ in range(3)]
    assert rankings[0][0].matches == rankings[2][1].matches
    as_rated, as_liked = 1, 1  # where it lies, and, as no reader has it, what it teaches
    assert len(window) + as_rated + 3 * as_liked == sum(placed)


def test_without_likes_the_map_changes_nothing(map_: CollaborativeMap) -> None:
    profile = Profile(interests=(Interest("i", query="laser"), Interest("j", "pulse AND fibre")))
    both = (LexicalMatcher(taste=taste) for taste in (None, map_))
    plain, better = (list(m.prepare(papers(5)).order([Reader(profile)], 20)) for m in both)
    assert plain == better


def test_a_paper_without_known_words_lies_nowhere(map_: CollaborativeMap) -> None:
    grams = [Vocabulary().grams(Paper("p:x", text, "")) for text in ("", "zzz yyy")]
    assert 0 == np.abs(map_.place(grams)).max()


def test_papers_learnt_from_lie_around_nothing_one_deviation_wide(map_: CollaborativeMap) -> None:
    stock = papers(80)
    seen = [Vocabulary().grams(paper) for paper in stock]
    weights = sp.csr_matrix(np.eye(4, len(stock), dtype=np.float32))
    known = map_.known([paper.id for paper in stock], seen)
    z = map_.tastes(weights, known) @ map_.place(seen).T
    assert np.allclose(0, z.mean(axis=1), atol=0.3)
    assert np.allclose(1, z.std(axis=1), atol=0.3)


# ------------------------------------------------------------------ the arithmetic


def test_folding_in_solves_the_readers_own_equations() -> None:
    dice = np.random.default_rng(3)
    likes = sp.csr_matrix((dice.random((30, 50)) < 0.1).astype(np.float32))
    factors = factorise(likes, rank=8)
    common = moment(factors)
    weights = likes.copy()
    weights.data = dice.choice([1.0, 0.5, -0.25], likes.nnz).astype(np.float32)
    found = fold_in(weights, factors, common, np.linalg.inv(common).astype(np.float32))
    for row, own in enumerate(weights.toarray()):
        left = common + ALPHA * (factors.T * abs(own)) @ factors
        right = factors.T @ np.where(own > 0, 1 + ALPHA * own, 0)
        assert np.allclose(np.linalg.solve(left, right), found[row], atol=1e-3)


def test_factors_give_back_who_likes_what() -> None:
    likes = np.kron(np.eye(4), np.ones((10, 6))).astype(np.float32)
    factors = factorise(sp.csr_matrix(likes), rank=4)
    common = moment(factors)
    inverse = np.linalg.inv(common).astype(np.float32)
    readers = fold_in(sp.csr_matrix(likes), factors, common, inverse)
    scores = readers @ factors.T
    assert scores[likes > 0].min() > scores[likes == 0].max()


def test_the_same_likes_give_the_same_map() -> None:
    stock = papers(5)
    likes, ids = matrix(libraries(stock, 20), [paper.id for paper in stock])
    known = {paper.id: paper for paper in stock}
    grams = [Vocabulary().grams(known[id_]) for id_ in ids]
    assert train(likes, ids, grams).to_bytes() == train(likes, ids, grams).to_bytes()


def test_a_map_is_kept_as_bytes(map_: CollaborativeMap) -> None:
    again = CollaborativeMap.from_bytes(map_.to_bytes())
    seen = [Vocabulary().grams(paper) for paper in papers(3, first=500)]
    assert np.allclose(map_.place(seen), again.place(seen), atol=0.02)
    assert again.to_bytes() == CollaborativeMap.from_bytes(again.to_bytes()).to_bytes()


@pytest.mark.parametrize("data", [b"", b"PK nonsense", b"x" * 100])
def test_bytes_that_are_no_map_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a collaborative map"):
        CollaborativeMap.from_bytes(data)


# ------------------------------------------------------------------ whether it helps


def test_a_map_is_learnt_where_held_out_papers_say_that_it_helps(learnt: Learnt) -> None:
    assert learnt.check.helps
    assert learnt.check.recall_with > learnt.check.recall_without
    assert learnt.check.low > 0


def scattered(stock: list[Paper]) -> Iterator[Library]:
    """Libraries by chance: nothing to learn."""
    dice = np.random.default_rng(5)
    for _ in range(150):
        mine = [paper.id for paper in stock]
        yield tuple(dice.choice(mine, 8, replace=False).tolist())


def test_no_map_is_learnt_where_it_would_not_help() -> None:
    stock = papers(40)
    found = learn(list(scattered(stock)), stock)
    assert (None, False) == (found.map, found.check.helps)
    assert "not surely better" in found.check.why


def test_no_map_is_learnt_from_few_readers() -> None:
    stock = papers(40)
    found = learn(libraries(stock, 30), stock)
    assert found.map is None
    assert found.check.why.startswith("too few readers")


def test_no_map_is_learnt_from_libraries_that_do_not_overlap() -> None:
    stock = papers(600)
    apart = [tuple(p.id for p in stock[n * 8 : n * 8 + 8]) for n in range(300)]
    assert learn(apart, stock).check.why.startswith("too few papers with several readers")


def test_a_gain_is_sure_only_where_resamples_agree() -> None:
    assert lower_bound(np.full(60, 0.1)) == pytest.approx(0.1)
    assert lower_bound(np.array([1.0] + [-0.01] * 59)) < 0


def test_likes_of_unknown_papers_and_the_oldest_of_too_many_are_left_out() -> None:
    likes, ids = matrix([("b", "nowhere", "a"), ("nowhere",), ("b",)], ["a", "b", "c"])
    assert (["a", "b"], [[1, 1], [0, 1]]) == (ids, likes.toarray().tolist())


# ------------------------------------------------------------------ what is said of it


def reasons(map_: CollaborativeMap, seeds: tuple[Paper, ...], paper: Paper) -> list[Reason]:
    profile = Profile(
        floor=Floor.RELAXED, interests=(Interest("i", seeds=tuple(p.id for p in seeds)),)
    )
    reader = Reader(profile, known={p.id: p for p in seeds})
    sharp = replace(map_, spread=map_.spread / 36)  # z six times as high: four subjects are few
    matcher = LexicalMatcher(taste=sharp)
    background = [Paper(f"b:{n}", f"other{n} thing{n}", "") for n in range(300)]
    [ranking] = matcher.prepare([paper], background).rank([reader])
    return [reason for match in ranking.matches for reason in match.reasons]


def test_a_paper_that_only_the_map_brought_names_readers_and_no_word(
    map_: CollaborativeMap,
) -> None:
    seed = max(papers(80), key=lambda p: (p.id.startswith("p:ants"), map_.readers_of(p.id)))
    told = reasons(map_, (seed,), Paper("n:1", "auction bidder price seller", ""))
    number = float(map_.readers_of(seed.id))
    assert [Reason(ReasonKind.READERS, seed.id, "", number)] == told
    assert number >= 5


def test_readers_that_are_too_few_are_not_counted(map_: CollaborativeMap) -> None:
    told = reasons(map_, tuple(papers(1, first=700)[:1]), Paper("n:1", "auction bidder price", ""))
    assert [Reason(ReasonKind.READERS)] == told
