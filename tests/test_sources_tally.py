"""The API's count against the feed's: a short feed is seen from the first day on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from replaying import CATEGORIES, TARGET, arxiv, noon, nothing_known, replay_on, run

from digest.model import Fetched, Verdict
from digest.sources import eastern, tally
from digest.sources.http import Web

DAY = date(2025, 9, 16)  # a Tuesday
NOW = noon("2025-09-16")
IDS = [f"arxiv:2509.{n:05}" for n in range(60)]


def ask(replay: Any, now: datetime, cursor: dict[str, str] | None = None) -> Fetched:
    async def asked() -> Fetched:
        async with Web(intervals={}) as web:
            return await arxiv(web, replay.url).fetch(cursor or {}, nothing_known, now)

    return run(asked())


def small(replay: Any) -> list[str]:
    """The requests for a count or a few dates."""
    asked = [row[1] for row in replay.log if "/api/query" in row[1]]
    return [path for path in asked if "max_results=1000" not in path]


class Api:
    """Knows the dates of some papers, and how many it has."""

    def __init__(self, dates: Sequence[date], total: int | None = 100) -> None:
        self.known, self.total = list(dates), total
        self.asked: list[tuple[datetime, datetime]] = []

    async def dates(self, numbers: Sequence[str]) -> list[date]:
        return self.known[: len(numbers)]

    async def count(self, low: datetime, high: datetime) -> int | None:
        self.asked.append((low, high))
        return self.total


def test_a_short_feed_is_seen_on_the_first_day_and_filled(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-03")
    replay.fault[TARGET] = "short"
    found = ask(replay, noon("2025-09-03"))
    assert found.verdict is Verdict.SHORT
    assert "papers where the API counts" in found.message
    whole = {row[2]["id"] for row in replay.announced(set(CATEGORIES), replay.day) if row[1] == 1}
    got = {paper.ids[0].partition(":")[2] for paper in (*found.listings, *found.backfill)}
    assert whole - got == set()


def test_a_whole_feed_is_counted_once_a_day_and_is_ok(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-12")
    cursor: dict[str, str] = {}
    verdicts = []
    for hour in (8, 12, 16, 20):
        found = ask(replay, datetime(2025, 9, 12, hour, tzinfo=UTC), cursor)
        cursor = dict(found.cursor)
        verdicts.append(found.verdict)
    assert verdicts == [Verdict.OK, *[Verdict.NOT_MODIFIED] * 3]
    assert len(small(replay)) == 2


def test_an_index_that_is_behind_is_asked_again_hours_later() -> None:
    assert run(tally.ask(Api([DAY] * 3), DAY, IDS)) is None
    cursor = tally.noted({}, DAY, None, NOW)
    due = [tally.due(cursor, DAY, 60, NOW + timedelta(hours=hours)) for hours in (0, 1, 3)]
    assert due == [False, False, True]


def test_the_window_of_submissions_is_counted_or_the_day_where_a_mirror_dates_by_it() -> None:
    real = Api([date(2025, 9, 13)] * 9)
    mirror = Api([DAY] * 9)
    assert run(tally.ask(real, DAY, IDS)) == run(tally.ask(mirror, DAY, IDS)) == 100
    assert real.asked == [eastern.submissions(DAY)]
    assert mirror.asked[0][0].date() == mirror.asked[0][1].date() == DAY


@pytest.mark.parametrize(
    ("day", "low", "high"),
    [
        (date(2025, 9, 15), "2025-09-11T18:00", "2025-09-12T18:00"),  # Monday: Thursday to Friday
        (date(2025, 9, 16), "2025-09-12T18:00", "2025-09-15T18:00"),  # Tuesday: Friday to Monday
        (date(2025, 9, 18), "2025-09-16T18:00", "2025-09-17T18:00"),
        (date(2025, 11, 5), "2025-11-03T19:00", "2025-11-04T19:00"),  # winter time
    ],
)
def test_submissions_run_from_deadline_to_deadline(day: date, low: str, high: str) -> None:
    found = eastern.submissions(day)
    assert [f"{at:%Y-%m-%dT%H:%M}" for at in found] == [low, high]


def test_an_api_that_does_not_answer_changes_nothing(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-12")
    replay.fault["api"] = "http500"
    assert ask(replay, noon("2025-09-12")).verdict is Verdict.OK


@pytest.mark.parametrize(("shown", "total", "short"), [(50, 100, True), (80, 100, False)])
def test_far_less_than_the_api_counts_is_short(shown: int, total: int, short: bool) -> None:
    cursor = tally.noted({}, DAY, total, NOW)
    assert bool(tally.lacking(cursor, DAY, shown)) == short
