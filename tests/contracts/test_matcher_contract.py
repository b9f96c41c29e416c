"""What every matcher promises, whatever it computes. Add yours to MATCHERS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from unittest import mock

import numpy as np
import pytest
from encoding import BagOfWords
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.matching import Matcher, Ranking, Reader, scoring
from digest.matching.embeddings import Embeddings
from digest.matching.lexical import LexicalMatcher
from digest.model import (
    BY_VOTES,
    FOLLOWED,
    LIKED,
    MOST_VOTED,
    Feedback,
    Floor,
    Interest,
    Match,
    Paper,
    Profile,
    Reason,
    ReasonKind,
    Term,
    Window,
)


def compiled() -> Matcher:
    """The same with machine code from the first reader on."""
    return LexicalMatcher(worth=0)


def by_meaning(worth: int = 10**9) -> Matcher:
    """The same with a model."""
    return LexicalMatcher(worth, embeddings=Embeddings(BagOfWords()))


def compiled_by_meaning() -> Matcher:
    return by_meaning(worth=0)


MATCHERS: list[Callable[[], Matcher]] = [LexicalMatcher, compiled, by_meaning]
DAY = datetime(2025, 9, 1, tzinfo=UTC)

# Spelt as people spell: capitals, hyphens, diacritics, possessives, joined prefixes, digits.
SPELLINGS = [
    *("Diffusion", "diffusion", "models", "Model's", "few-step", "Few step", "pre-training"),
    *("pretraining", "GPT-4", "naïve", "Schrödinger", "C++", "sampling", "samples", "of", "the"),
    *("state-of-the-art", "graph", "(graphs)", "3.5", "multi‑modal", "audio,", "ﬁne-tuning", "½"),
]
ASKED = ["diffusion", "diffusion models", "few-step sampling", "pretraining", "schrodinger", "c++"]
ASKED += ["fine tuning", "graph", "state of the art", "gpt", "multimodal", "sampling of graphs"]
QUERIES = ["", "diffusion", '"few step" OR graph*', "NOT audio", "cat:cs", "au:song", "*"]
QUERIES += ['"state of the art" cat:cs.LG', "ti:model* AND NOT ti:audio", "3.5 OR naive"]
PEOPLE = ["Yang Song", "Y. Song", "Jürgen Müller", "Wei-Yao Wang", "Wei Wang"]

texts = st.lists(st.sampled_from(SPELLINGS), max_size=12).map(" ".join)


@st.composite
def shelves(draw: st.DrawFn, prefix: str = "p") -> list[Paper]:
    return [
        Paper(
            id=f"{prefix}:{number}",
            title=draw(texts),
            abstract=draw(texts),
            authors=tuple(draw(st.lists(st.sampled_from(PEOPLE), max_size=2, unique=True))),
            categories=tuple(draw(st.lists(st.sampled_from(["cs.LG", "cs.CV"]), max_size=1))),
            signals=draw(st.sampled_from([{}, {"upvotes": 3.0}, {"upvotes": 90.0}])),
            first_seen=DAY + timedelta(hours=number),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


def readers(old: list[Paper]) -> st.SearchStrategy[Reader]:
    ids = [paper.id for paper in old] + ["nowhere"]
    term = st.builds(Term, st.sampled_from(ASKED), st.sampled_from([0.5, 1.0, 2.0]))
    interest = st.builds(
        Interest,
        name=st.sampled_from(["One", "Two", "Three"]),
        query=st.sampled_from(QUERIES),
        terms=st.lists(term, max_size=3).map(tuple),
        seeds=some(ids),
        quota=st.none() | st.integers(1, 3),
    )
    profile = st.builds(
        Profile,
        budget=st.integers(1, 5),
        floor=st.sampled_from(list(Floor)),
        trending=st.integers(0, 3),
        interests=st.lists(interest, max_size=3, unique_by=lambda i: i.name).map(tuple),
        follow_authors=some(PEOPLE),
        mute_terms=some(ASKED),
        mute_authors=some(PEOPLE),
        mute_categories=some(["cs.LG", "cs.CV", "math"]),
    )
    said = st.builds(Feedback, some(ids), some(ids))
    window = st.none() | st.just(Window(DAY, DAY + timedelta(hours=3)))
    known = st.just({paper.id: paper for paper in old})
    return st.builds(Reader, profile, said, known, window)


Day = tuple[list[Paper], list[Paper], list[Paper], list[Reader]]
"""(new papers, old ones, popular ones, readers)."""


@st.composite
def days(draw: st.DrawFn) -> Day:
    fresh, old, popular = draw(shelves()), draw(shelves("o")), draw(shelves("t"))
    asked = draw(st.lists(readers(old), min_size=1, max_size=3))
    return fresh, old, [*popular, *fresh[:2]], asked


@pytest.fixture(params=MATCHERS, ids=lambda make: make.__name__)
def matcher(request: pytest.FixtureRequest) -> Matcher:
    made: Matcher = request.param()
    return made


def is_true(reason: Reason, match: Match, reader: Reader) -> bool:
    """Checked on the paper's own text and the reader's own words, nothing else."""
    paper, profile = match.paper, reader.profile
    learnt = {*reader.feedback.likes, *(s for i in profile.interests for s in i.seeds)}
    match reason.kind:
        case ReasonKind.TERM | ReasonKind.QUERY:
            return bool(reason.what) and reason.what in getattr(paper, reason.where)
        case ReasonKind.AUTHOR:
            return reason.what in paper.authors
        case ReasonKind.CATEGORY:
            return reason.what in paper.categories
        case ReasonKind.SHARED:
            known = [reader.known[id_] for id_ in learnt if id_ in reader.known]
            shared = sum(reason.what in getattr(one, reason.where) for one in known)
            return reason.what in getattr(paper, reason.where) and 0 < reason.value <= shared
        case ReasonKind.SEED:
            return reason.what in learnt and reason.what in reader.known and reason.value > 0
        case ReasonKind.MEANING:
            return reason == Reason(ReasonKind.MEANING) and bool(learnt & reader.known.keys())
        case ReasonKind.VOTES:
            return reason.value == paper.signals["upvotes"] > 0
        case ReasonKind.EVERYTHING:
            return any(open_to_all(interest) for interest in profile.interests)
    return False


def open_to_all(interest: Interest) -> bool:
    return interest.query in ("*", "NOT audio") or not (
        interest.query or interest.terms or interest.seeds
    )


def asks_for_nothing_near(reader: Reader) -> bool:
    interests = reader.profile.interests
    return not interests or any(map(open_to_all, interests))


def check(ranking: Ranking, reader: Reader, fresh: list[Paper], popular: list[Paper]) -> None:
    assert "" == ranking.error
    ids = [match.paper.id for match in ranking.matches]
    assert sorted(set(ids)) == sorted(ids)
    sections = {interest.name for interest in reader.profile.interests}
    wanted = reader.window
    inside = {p.id for p in fresh if wanted is None or wanted.since <= p.first_seen < wanted.until}  # type: ignore[operator]
    assert len(inside) == ranking.considered
    for match in ranking.matches:
        assert match.section in {FOLLOWED, LIKED, *BY_VOTES, *sections}
        assert match.section in BY_VOTES or match.paper.id in inside
        assert match.section not in BY_VOTES or match.paper in popular
        assert match.section != MOST_VOTED or asks_for_nothing_near(reader)
        assert 0 <= match.score <= 1
        assert match.reasons
        assert len(match.reasons) <= 4
        for reason in match.reasons:
            assert is_true(reason, match, reader), reason
    own = [match.score for match in ranking.matches if match.section not in BY_VOTES]
    assert sorted(own, reverse=True) == own


@settings(max_examples=60, deadline=None)
@given(day=days())
@pytest.mark.parametrize("make", MATCHERS)
def test_every_reason_is_true_and_every_ranking_in_order(
    make: Callable[[], Matcher],
    day: tuple[list[Paper], list[Paper], list[Paper], list[Reader]],
) -> None:
    fresh, old, popular, asked = day
    rankings = make().prepare(fresh, old, popular).rank(asked)
    assert len(asked) == len(rankings)
    for ranking, reader in zip(rankings, asked, strict=True):
        check(ranking, reader, fresh, popular)


@settings(max_examples=25, deadline=None)
@given(day=days())
@pytest.mark.parametrize("make", MATCHERS)
def test_a_reader_gets_the_same_alone_and_among_others(
    make: Callable[[], Matcher],
    day: tuple[list[Paper], list[Paper], list[Paper], list[Reader]],
) -> None:
    fresh, old, popular, asked = day
    prepared = make().prepare(fresh, old, popular)
    together = prepared.rank(asked)
    alone = [prepared.rank([reader])[0] for reader in asked]
    assert [[m.paper.id for m in r.matches] for r in alone] == [
        [m.paper.id for m in r.matches] for r in together
    ]


def test_a_broken_profile_is_named_and_harms_nobody(matcher: Matcher) -> None:
    papers = [Paper("p:1", "Ants and bees")]
    good = Reader(Profile(interests=(Interest("Ants", query="ants"),)))
    bad = Reader(Profile(interests=(Interest("Broken", query="(ants"),)))
    first, second, third = matcher.prepare(papers).rank([good, bad, good])
    assert ["p:1"] == [match.paper.id for match in first.matches]
    assert first == third
    assert "never closed" in second.error
    assert () == second.matches


def test_no_papers_give_empty_rankings(matcher: Matcher) -> None:
    reader = Reader(Profile(interests=(Interest("All"),), follow_authors=("A B",)))
    assert [Ranking(())] == matcher.prepare([]).rank([reader])


def test_no_readers_give_no_rankings(matcher: Matcher) -> None:
    assert [] == matcher.prepare([Paper("p:1", "Ants")]).rank([])


def test_order_gives_the_best_papers_whatever_the_floor(matcher: Matcher) -> None:
    papers = [Paper("p:1", "Bees"), Paper("p:2", "Ants"), Paper("p:3", "Ants and ants")]
    strict = Profile(floor=Floor.STRICT, interests=(Interest("x", terms=(Term("ants"),)),))
    [ranked] = matcher.prepare(papers).order([Reader(strict)], top=2)
    assert {"p:2", "p:3"} == {id_ for id_, _ in ranked}


@settings(max_examples=60, deadline=None)
@given(day=days())
@pytest.mark.parametrize(
    "ways", [(LexicalMatcher, compiled), (by_meaning, compiled_by_meaning)], ids=["words", "model"]
)
def test_machine_code_ranks_as_scipy_does(
    ways: tuple[Callable[[], Matcher], ...], day: Day
) -> None:
    fresh, old, popular, asked = day
    prepared = [make().prepare(fresh, old, popular) for make in ways]
    assert prepared[0].rank(asked) == prepared[1].rank(asked)


@settings(max_examples=60, deadline=None)
@given(day=days())
def test_nothing_is_lost_by_looking_only_at_papers_near_enough(day: Day) -> None:
    fresh, old, popular, asked = day
    prepared = LexicalMatcher().prepare(fresh, old, popular)
    found = prepared.rank(asked)
    with mock.patch.object(scoring, "_low", lambda _: -np.inf):
        assert prepared.rank(asked) == found
