"""The phrases of a letter: true, short, and never broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters import sample

from digest.model import (
    FOLLOWED,
    TRENDING,
    Content,
    EditionPaper,
    Interest,
    Profile,
    Reason,
    ReasonKind,
    Window,
)
from digest.render import profile_words, reason_words, why_words, words
from digest.render.words import near_words

K = ReasonKind


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (Reason(K.TERM, "graphs", "title"), "matches “graphs” in the title"),
        (Reason(K.QUERY, "graphs", "abstract"), "meets your query with “graphs” in the abstract"),
        (Reason(K.QUERY, "J. Doe", "authors"), "meets your query with “J. Doe” among the authors"),
        (Reason(K.AUTHOR, "Jane Doe"), "by Jane Doe, whom you follow"),
        (Reason(K.SEED, "arxiv:2305.01234"), "close to your seed 2305.01234"),
        (Reason(K.SEED, "doi:10.1/x", "liked"), "close to doi:10.1/x, which you liked"),
        (Reason(K.CATEGORY, "cs.LG"), "in cs.LG"),
        (Reason(K.SHARED, "cs.LG", "categories", 1.0), "in cs.LG, as is a paper you like"),
        (Reason(K.SHARED, "cs.LG", "categories", 4.0), "in cs.LG, as are 4 papers you like"),
        (Reason(K.SHARED, "J. Li", "authors", 1.0), "by J. Li, an author of a paper you like"),
        (Reason(K.SHARED, "J. Li", "authors", 4.0), "by J. Li, an author of 4 papers you like"),
        (Reason(K.VOTES, value=1.0), "1 upvote"),
        (Reason(K.VOTES, value=1118.0), "1,118 upvotes"),
        (Reason(K.EVERYTHING), "you asked for every paper"),
    ],
)
def test_a_reason_is_said_in_words(reason: Reason, said: str) -> None:
    assert said == reason_words(reason)


def test_every_kind_of_reason_has_words() -> None:
    assert all(reason_words(Reason(kind, "x")) for kind in ReasonKind)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("letter", "2 upvotes counted when your letter of 8 September 2025 went without it"),
        ("", "2 upvotes counted on 8 September 2025, when no letter came"),
    ],
)
def test_a_paper_that_was_missed_says_what_it_had_then(where: str, said: str) -> None:
    assert said == reason_words(Reason(K.MISSED, "2025-09-08", where, 2.0))
    assert said.replace("2 upvotes", "no upvote", 1) == reason_words(
        Reason(K.MISSED, "2025-09-08", where)
    )


def test_followed_papers_that_did_not_fit_are_told() -> None:
    content = Content(papers=(), over_budget=3, unfitted=2)
    assert "2 by people you follow did not fit" in near_words(content)


def test_words_found_in_the_same_field_are_said_together() -> None:
    reasons = [
        Reason(K.TERM, "a", "title"),
        Reason(K.TERM, "b", "title"),
        Reason(K.TERM, "c", "abstract"),
        Reason(K.VOTES, value=3.0),
    ]
    said = "matches “a”, “b” in the title\u00a0· matches “c” in the abstract\u00a0· 3 upvotes"
    assert said == why_words(reasons)


def test_a_word_that_turns_round_the_text_is_isolated() -> None:
    said = reason_words(Reason(K.TERM, "זיווג", "title"))
    assert said == "matches “\u2068זיווג\u2069” in the title"


@given(
    papers=st.integers(0, 200),
    followed=st.integers(0, 200),
    considered=st.integers(0, 2_000_000),
    day=st.integers(0, 800),
)
def test_the_first_line_has_40_to_110_characters(
    papers: int, followed: int, considered: int, day: int
) -> None:
    entries = [
        EditionPaper(str(i), 1, FOLLOWED if i < followed else "x", 1.0, ()) for i in range(papers)
    ]
    since = datetime(2025, 1, 1, 6, tzinfo=UTC) + timedelta(days=day)
    edition = replace(
        sample.sample_edition(),
        window=Window(since, since + timedelta(days=7)),
        content=Content(tuple(entries), considered=considered),
    )
    assert 39 <= len(words.preheader_words(edition, "Europe/Berlin")) <= 109  # and a full stop


@pytest.mark.parametrize(
    ("own", "trending", "over", "near", "said"),
    [
        (9, 0, 0, 31, "9 papers were good enough; 31 more came close."),
        (9, 3, 7, 31, "16 papers were good enough, the best 9 are here; 31 more came close."),
        (1, 0, 1, 0, "2 papers were good enough, the best one is here."),
        (1, 0, 0, 1, "1 paper was good enough; 1 more came close."),
        (0, 3, 0, 1, "1 paper came close."),
        (9, 0, 0, 0, ""),
    ],
)
def test_the_letter_says_how_floor_and_budget_worked(
    own: int, trending: int, over: int, near: int, said: str
) -> None:
    sections = ["x"] * own + [TRENDING] * trending
    entries = tuple(EditionPaper(str(i), 1, s, 1.0, ()) for i, s in enumerate(sections))
    assert said == words.near_words(Content(entries, 400, near, over))


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("2025-09-01", "2025-09-08", "1 – 8 September 2025"),
        ("2025-08-31", "2025-09-07", "31 August – 7 September 2025"),
        ("2025-12-29", "2026-01-05", "29 December 2025 – 5 January 2026"),
        ("2025-09-01", "2025-09-01", "1 September 2025"),
    ],
)
def test_a_window_is_a_period(since: str, until: str, said: str) -> None:
    window = Window(
        datetime.fromisoformat(f"{since}T06:00+00:00"),
        datetime.fromisoformat(f"{until}T07:00+00:00"),
    )
    assert said == words.period_words(window, "UTC")


def test_times_are_told_in_the_readers_zone() -> None:
    at = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    assert words.moment_words(at, "Asia/Tokyo") == "Thursday 1 January 2026, 08:30"


@given(text=st.text(max_size=400), limit=st.integers(2, 200))
def test_what_is_cut_is_short_enough_and_says_so(text: str, limit: int) -> None:
    found = words.cut(text, limit)
    assert len(found) <= limit
    assert found == text or found.endswith("…")


def test_an_abstract_ends_with_a_sentence_where_one_is_near() -> None:
    text = "We did it. It was hard and long to do. Nobody believed us until the very end of it."
    assert words.excerpt(text, 50) == "We did it. It was hard and long to do."


@given(st.lists(st.text("abcdefgh-é", min_size=1, max_size=90), max_size=40))
def test_wrapped_text_keeps_its_words_and_its_width(given_words: list[str]) -> None:
    lines = words.wrap(" ".join(given_words), "  ").split("\n")
    assert given_words == " ".join(lines).split()
    assert all(len(line) <= 72 or len(line.split()) == 1 for line in lines)
    assert all(line.startswith("  ") for line in lines)


def test_one_name_too_many_is_shown_and_not_counted() -> None:
    assert words.listed(["a", "b", "c"], 2) == "a, b, c"
    assert words.listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_a_profile_is_one_line() -> None:
    profile = Profile(
        interests=(Interest("Few-step\ngeneration"), Interest("Graphs")),
        follow_authors=("Song, Yang", "Ada"),
    )
    said = "Few-step generation, Graphs; papers by Yang Song, Ada; at most 12 papers in one letter"
    assert said == profile_words(profile)


def test_a_profile_without_interests_gets_popular_papers() -> None:
    assert profile_words(Profile(budget=1)) == "popular papers; at most 1 paper in one letter"
