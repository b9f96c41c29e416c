"""What was missed: what a letter says of votes is true, however seldom they were counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from digest.matching.missed import (
    Closed,
    counted,
    is_old,
    rise,
    with_missed,
    worth_another_look,
)
from digest.model import MISSED, TRENDING, Match, Paper, Reason, ReasonKind, Window

BEGIN = datetime(2025, 9, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
hours = st.integers(0, 24 * 20)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[datetime]]:
    """(hours at which somebody voted, rising; when votes were counted)."""
    voted = sorted(draw(st.lists(hours, max_size=60)))
    counted = sorted(set(draw(st.lists(hours, min_size=1, max_size=8))))
    return voted, [BEGIN + hour * HOUR for hour in counted]


def counts_of(voted: Sequence[int], counted: Sequence[datetime]) -> list[tuple[datetime, float]]:
    """As they are stored: one count a day, the latest of it."""
    by_day = {at.date(): (at, float(true_votes(voted, at))) for at in counted}
    return list(by_day.values())


def true_votes(voted: Sequence[int], at: datetime) -> int:
    return sum(BEGIN + hour * HOUR < at for hour in voted)


@given(histories(), hours)
def test_what_was_counted_by_then_is_what_somebody_counted_before(
    history: tuple[list[int], list[datetime]], letter: int
) -> None:
    voted, counted_at = history
    counts, until = counts_of(voted, counted_at), BEGIN + letter * HOUR
    known = [true_votes(voted, at) for at in counted_at if at < until]
    assert counted(counts, until) in {0, *known}
    assert counted(counts, until) <= true_votes(voted, until)
    paper = Paper("p", "x", signals={"upvotes": counts[-1][1]}, first_seen=BEGIN)
    assert 0 <= rise(paper, counts, until) <= counts[-1][1] - counts[0][1]


@given(histories(), hours, st.booleans())
def test_a_paper_is_called_missed_only_with_the_window_that_went_without_it(
    history: tuple[list[int], list[datetime]], seen: int, sent: bool
) -> None:
    voted, counted_at = history
    counts = counts_of(voted, counted_at)
    weeks = [Window(BEGIN + 7 * n * DAY, BEGIN + 7 * (n + 1) * DAY) for n in range(3)]
    votes = {"upvotes": counts[-1][1]}
    paper = Paper("p", "x", signals=votes, first_seen=BEGIN + seen * HOUR)
    match = Match(paper, TRENDING, 0.5, (Reason(ReasonKind.VOTES, value=counts[-1][1]),))
    closed = [Closed(week, sent) for week in weeks[:2]]
    told = with_missed([match], weeks[2], closed, {"p": counts}, "UTC")
    if not is_old(match, weeks[2]):
        assert told == (match,)
    for one in (one for one in told if one.section == MISSED):
        [reason] = [r for r in one.reasons if r.kind is ReasonKind.MISSED]
        over = next(week for week in weeks if week.since <= paper.first_seen < week.until)  # type: ignore[operator]
        assert (reason.what, reason.where) == (
            over.until.date().isoformat(),
            "letter" if sent else "",
        )
        assert reason.value == counted(counts, over.until)
        assert rise(paper, counts, over.until) >= 1


def test_a_paper_from_before_the_first_window_is_trending_and_not_missed() -> None:
    paper = Paper("p", "x", signals={"upvotes": 90.0}, first_seen=BEGIN - DAY)
    match = Match(paper, TRENDING, 0.5, ())
    assert (match,) == with_missed([match], Window(BEGIN, BEGIN + DAY), [], {}, "UTC")


def test_what_rose_little_is_looked_at_once() -> None:
    paper = Paper("p", "x", signals={"upvotes": 30.0}, first_seen=BEGIN)
    counts = [(BEGIN + DAY, 20.0), (BEGIN + 9 * DAY, 30.0)]
    assert worth_another_look(paper, counts, BEGIN)  # new
    assert not worth_another_look(paper, counts, BEGIN + 7 * DAY)  # 10 more, but 20 before
    more = replace(paper, signals={"upvotes": 40.0})
    assert worth_another_look(more, counts, BEGIN + 7 * DAY)
