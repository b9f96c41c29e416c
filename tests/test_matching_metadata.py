"""Categories and authors of what a reader likes bring new papers nearer, a little, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.matching import Reader, lexical, reasons
from digest.matching.lexical import LexicalMatcher
from digest.matching.metadata import WEIGHT, Metadata, names_of, spelled
from digest.matching.scoring import FLOORS
from digest.matching.space import Space
from digest.matching.vocabulary import Vocabulary
from digest.model import Floor, Interest, Match, Paper, Profile, Reason, ReasonKind
from digest.render import reason_words

DICE = Random(0)
ABOUT = "foraging ants lay pheromone trails between nests and nectar"


def text(*words: str) -> str:
    """These words among many that say nothing."""
    return " ".join([*words, *(f"w{DICE.randrange(900)}" for _ in range(150))])


OTHER = [Paper(f"n:{i}", "", text(), (f"Ida Roe{i}",), (f"x.{i}",)) for i in range(80)]
SEEDS = [Paper(f"o:{i}", "", text(ABOUT), ("Deborah Gordon",), ("q-bio.PE",)) for i in range(9)]
PLAIN = Paper("p:plain", "", text(ABOUT))


def matches(
    papers: Sequence[Paper], seeds: Sequence[Paper] = SEEDS, query: str = ""
) -> list[Match]:
    interest = Interest("i", query, seeds=tuple(paper.id for paper in seeds))
    known = {paper.id: paper for paper in seeds}
    reader = Reader(Profile(floor=Floor.RELAXED, interests=(interest,)), known=known)
    [found] = LexicalMatcher().prepare([*papers, *OTHER], OTHER).rank([reader])
    assert "" == found.error
    return list(found.matches)


def _is(reason: Reason, where: str) -> bool:
    return (ReasonKind.SHARED, where) == (reason.kind, reason.where)


def told(match: Match, where: str) -> list[tuple[str, float]]:
    return [(one.what, one.value) for one in match.reasons if _is(one, where)]


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        (
            {"categories": ("math.ST", "q-bio.PE")},
            "categories",
            "in q-bio.PE, as are 9 papers you like",
        ),
        (
            {"authors": ("Gordon, Deborah", "Ida Roe")},
            "authors",
            "by Gordon, Deborah, an author of 9 papers you like",
        ),
    ],
)
def test_of_two_papers_with_the_same_words_the_one_with_a_name_of_what_one_likes_goes_first(
    given: dict[str, tuple[str, ...]], where: str, said: str
) -> None:
    first, second = matches([PLAIN, replace(PLAIN, id="p:named", **given)])[:2]  # type: ignore[arg-type]
    assert ("p:named", "p:plain") == (first.paper.id, second.paper.id)
    assert [said] == [reason_words(one) for one in first.reasons if _is(one, where)]
    assert [] == told(second, where)


def test_what_a_query_says_of_a_category_is_not_said_again() -> None:
    paper = replace(PLAIN, categories=("q-bio.PE",))
    [first, *_] = matches([paper], query="cat:q-bio.PE")
    assert ReasonKind.CATEGORY in [reason.kind for reason in first.reasons]
    assert [] == told(first, "categories")


def test_a_name_is_counted_on_the_papers_that_have_it() -> None:
    seeds = [*SEEDS[:7], replace(SEEDS[7], categories=("math.ST",), authors=())]
    best = matches([replace(PLAIN, categories=("q-bio.PE",), authors=("Deborah Gordon",))], seeds)
    assert [("q-bio.PE", 7.0)] == told(best[0], "categories")
    assert [("Deborah Gordon", 7.0)] == told(best[0], "authors")


@pytest.mark.parametrize("shared", ["", "w1", "w1 w2 w3 w4"])
def test_names_alone_pass_no_floor(shared: str) -> None:
    """Where hardly a word of what is liked is in the new papers, little is unusual by words."""
    foreign = [
        replace(paper, abstract=" ".join([shared, *(f"x{i}y{j}" for j in range(150))]))
        for i, paper in enumerate(SEEDS)
    ]
    space = Space(Vocabulary(), [*OTHER, *SEEDS], foreign)
    examples = space.described(space.vectors(foreign), foreign)
    nothing = np.empty((1, 0), np.float32)
    mixing = sp.csr_matrix(np.full((1, len(foreign)), 1 / len(foreign), np.float32))
    learnt = space.learnt(mixing, examples, nothing, nothing)
    names = learnt.centres.toarray()[0, space.width :]
    own = Metadata([*OTHER, *SEEDS], foreign).rows(SEEDS).toarray()
    most = float((own @ names).max() * learnt.scale[0])
    assert most < FLOORS[Floor.RELAXED]
    assert (most > 0) == bool(shared)


def test_names_make_no_two_texts_alike() -> None:
    papers = [PLAIN, *OTHER]
    named = [replace(paper, authors=("A B",), categories=("c",)) for paper in papers]
    spaces = [Space(Vocabulary(), some) for some in (papers, named)]
    plain, more = (space.likeness(space.vectors(SEEDS)) for space in spaces)
    assert np.array_equal(plain, more)


def test_a_category_that_all_papers_have_changes_no_score() -> None:
    def scores(category: str) -> list[tuple[str, float]]:
        papers = [replace(p, authors=(), categories=(category,)) for p in (PLAIN, *OTHER, *SEEDS)]
        reader = Reader(
            Profile(interests=(Interest("i", seeds=("o:0", "o:2")),)),
            known={paper.id: paper for paper in papers},
        )
        [found] = LexicalMatcher().prepare(papers).order([reader], 9)
        return [(id_, round(z, 2)) for id_, z in found]

    assert scores("") == scores("q-bio")


NAMES = ["Yang Song", "Song, Yang", "Y. Song", "van der Berg, Ann", "Müller", "", " ", "李雷"]
lists = st.lists(st.sampled_from(NAMES), max_size=5).map(tuple)
papers = st.lists(st.builds(Paper, st.just("p"), st.just("t"), authors=lists, categories=lists))


@settings(max_examples=50, deadline=None)
@given(papers, papers)
def test_whatever_is_known_each_kind_of_a_papers_names_has_its_length(
    ours: list[Paper], others: list[Paper]
) -> None:
    rows = Metadata(ours, others).rows(ours).toarray()
    wanted = [WEIGHT * sum(map(bool, names_of(paper))) ** 0.5 for paper in ours]
    assert pytest.approx(wanted, rel=1e-5) == np.linalg.norm(rows, axis=1).tolist()


@settings(max_examples=50, deadline=None)
@given(papers)
def test_every_name_of_a_paper_is_spelled_as_the_paper_prints_it(some: list[Paper]) -> None:
    for paper in some:
        categories, authors = names_of(paper)
        assert all(spelled(paper, name) in paper.categories for name in categories)
        assert all(spelled(paper, name) in paper.authors for name in authors)
        assert not any(spelled(Paper("q", "t"), name) for name in (*categories, *authors))


def test_readers_get_the_same_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    named = replace(PLAIN, id="p:named", categories=("q-bio.PE",))
    whole = matches([PLAIN, named])
    monkeypatch.setattr(lexical, "CELLS", 1)
    assert whole == matches([PLAIN, named])


PEOPLE = ["Deborah Gordon", "Gordon, Deborah", "D. Gordon", "Ida Roe"]
FIELDS = ["q-bio.PE", "Q-Bio.PE", "cs.LG"]
some_names = st.tuples(
    st.lists(st.sampled_from(PEOPLE), max_size=2, unique=True).map(tuple),
    st.lists(st.sampled_from(FIELDS), max_size=2, unique=True).map(tuple),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(some_names, min_size=9, max_size=9), some_names)
def test_every_name_that_is_told_is_the_papers_and_counted_on_what_the_reader_likes(
    liked: list[tuple[tuple[str, ...], tuple[str, ...]]],
    own: tuple[tuple[str, ...], tuple[str, ...]],
) -> None:
    seeds = [replace(p, authors=a, categories=c) for p, (a, c) in zip(SEEDS, liked, strict=True)]
    people = {"Gordon, Deborah": "Deborah Gordon"}
    authors = [{people.get(name, name) for name in names} for names, _ in liked]
    fields = [{name.lower() for name in names} for _, names in liked]
    paper = replace(PLAIN, authors=own[0], categories=own[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reasons, "TOLD", 0.0)
        [found] = [match for match in matches([paper], seeds) if match.paper.id == "p:plain"]
        assert found.reasons
    for name, number in told(found, "authors"):
        assert name in paper.authors
        assert number == sum(people.get(name, name) in one for one in authors) > 0
    for name, number in told(found, "categories"):
        assert name in paper.categories
        assert number == sum(name.lower() in one for one in fields) > 0
