"""The verdict on a fetch is a pure function of what came and what was known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.model import Verdict
from digest.sources import eastern
from digest.sources.health import Came, judge

FRI, MON, TUE = date(2025, 9, 12), date(2025, 9, 15), date(2025, 9, 16)

CASES = [
    ("new papers on time", Came(shown=9, unseen=9, day=MON, last=FRI, expected=MON), "ok"),
    ("earlier than expected", Came(shown=9, unseen=9, day=TUE, last=MON, expected=MON), "ok"),
    ("some more of the same day", Came(shown=9, unseen=1, day=MON, last=MON, expected=MON), "ok"),
    ("the same again", Came(shown=9, day=MON, last=MON, expected=MON), "quiet"),
    ("the old batch, dated anew", Came(shown=9, day=MON, last=FRI, expected=MON), "stale"),
    ("mostly the old batch", Came(shown=99, unseen=5, day=MON, last=FRI, expected=MON), "stale"),
    ("the old batch, dated so", Came(shown=9, day=FRI, last=FRI, expected=MON), "late"),
    ("at first an old batch", Came(shown=9, unseen=9, day=FRI, expected=MON), "late"),
    ("nothing, dated today", Came(day=MON, last=FRI, expected=MON), "empty"),
    ("nothing, dated before", Came(day=FRI, last=FRI, expected=MON), "late"),
    ("nothing on a free day", Came(last=FRI, expected=FRI, holiday=True), "holiday"),
    ("the same on a free day", Came(shown=9, last=FRI, expected=FRI, holiday=True), "holiday"),
    ("nothing more today", Came(day=MON, last=MON, expected=MON), "quiet"),
    ("unchanged, in time", Came(Verdict.NOT_MODIFIED, last=MON, expected=MON), "not_modified"),
    ("unchanged, behind", Came(Verdict.NOT_MODIFIED, last=FRI, expected=MON), "late"),
    (
        "half as many",
        Came(shown=5, unseen=5, day=MON, expected=MON, usual=[9, 10, 10, 12]),
        "short",
    ),
    (
        "too few to compare",
        Came(shown=5, unseen=5, day=MON, expected=MON, usual=[10, 10, 10]),
        "ok",
    ),
    ("a bit fewer", Came(shown=8, unseen=8, day=MON, expected=MON, usual=[9, 10, 10, 12]), "ok"),
    ("next to none", Came(shown=1, unseen=1, day=MON, expected=MON, any_day=[10] * 5), "short"),
    ("no calendar, new", Came(shown=2, unseen=1), "ok"),
    ("no calendar, same", Came(shown=2), "quiet"),
    ("no calendar, nothing", Came(), "empty"),
    ("no calendar, silent", Came(shown=2, silent_days=61), "stale"),
    ("a failure stays one", Came(Verdict.TIMEOUT, "x", holiday=True), "timeout"),
]


@pytest.mark.parametrize(("came", "verdict"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_way_a_fetch_can_end_has_its_verdict(came: Came, verdict: str) -> None:
    assert judge(came)[0] == verdict


def test_what_is_not_healthy_says_why() -> None:
    unhealthy = [judge(came) for _, came, _ in CASES if not judge(came)[0].healthy]
    assert all(message for _, message in unhealthy)


# ------------------------------------------------------------------ arXiv's calendar


@pytest.mark.parametrize(
    ("day", "announced"),
    [
        ("2025-09-01", True),  # the mailing of Sunday evening comes, Labor Day or not
        ("2025-09-02", False),  # there is none on the evening of Labor Day
        ("2025-09-03", True),
        ("2025-09-05", True),
        ("2025-09-06", False),
        ("2025-09-07", False),
        ("2025-09-08", True),
        ("2025-01-21", False),
        ("2025-05-27", False),
        ("2025-11-28", False),
        ("2025-12-26", False),
        ("2026-01-02", False),
    ],
)
def test_arxiv_announces_on_working_days_after_evenings_that_are_no_holidays(
    day: str, announced: bool
) -> None:
    assert eastern.announces(date.fromisoformat(day)) is announced


def test_an_announcement_is_expected_from_two_in_the_morning_at_arxiv() -> None:
    monday_one = datetime(2025, 9, 15, 5, tzinfo=UTC)  # 01:00 in New York
    assert eastern.latest(monday_one) == FRI
    assert eastern.latest(monday_one + timedelta(hours=1)) == MON
    assert eastern.latest(datetime(2025, 9, 14, 23, tzinfo=UTC)) == FRI


def test_papers_of_an_announcement_were_submitted_from_two_announcements_before() -> None:
    assert eastern.submitted_from(TUE) == FRI
    assert eastern.submitted_from(MON) == date(2025, 9, 11)
    assert eastern.submitted_from(date(2025, 9, 3)) == date(2025, 8, 29)


@given(st.integers(min_value=0, max_value=25 * 365 * 24 * 60))
def test_the_calendar_never_runs_out_and_never_goes_back(minutes: int) -> None:
    now = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    latest = eastern.latest(now)
    assert eastern.announces(latest)
    assert timedelta(0) <= eastern.on(now) - latest <= timedelta(days=6)
    assert eastern.before(latest) < latest
    assert eastern.latest(now + timedelta(days=1)) >= latest
