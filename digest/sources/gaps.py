"""pure: which of arXiv's announcements are missing, and when they no longer are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from digest.model import Verdict
from digest.sources import eastern

AGAIN = timedelta(hours=3)  # before a day that the API may learn more about is asked for again
_IN_TIME = {Verdict.LATE, Verdict.QUIET, Verdict.NOT_MODIFIED, Verdict.HOLIDAY}


@dataclass(frozen=True, slots=True)
class Gap:
    """The announcements [first, last] are not known in full."""

    first: date
    last: date


def missing(cursor: Mapping[str, str], verdict: Verdict, now: datetime) -> Gap | None:
    """What to ask the API for, after the feed was asked and answered with `verdict`.

    An announcement is missing when a later one was taken, or when the feed that should show it
    failed. One that is only late has until noon. A source that is asked for the first time misses
    nothing from before.
    """
    expected, settled = eastern.latest(now), eastern.latest(now, eastern.SETTLED)
    taken = _date(cursor, "day")
    complete = _complete(cursor, verdict, expected)
    last = eastern.before(taken) if taken and taken >= expected else expected
    if last > settled and verdict in _IN_TIME:
        last = eastern.before(last)
    if last <= complete or _asked_lately(cursor, now):
        return None
    first = complete + timedelta(days=1)
    while not eastern.announces(first) and first < last:
        first += timedelta(days=1)
    return Gap(first, last)


def after_slices(
    cursor: Mapping[str, str], gap: Gap | None, through: date | None, now: datetime
) -> dict[str, str]:
    """The cursor after the API told everything of `gap` up to `through` (None: nothing)."""
    after = dict(cursor)
    complete = _date(cursor, "complete")
    taken = _date(cursor, "day")
    if gap is not None and through is not None:
        settled = min(gap.last, through, eastern.latest(now, eastern.SETTLED))
        complete = max(complete or eastern.before(gap.first), settled)
        if through >= gap.last > settled:  # the API may know more of it later
            after["asked"] = now.isoformat()
        else:
            after.pop("asked", None)
    elif gap is not None:
        complete = complete or eastern.before(gap.first)
    complete = complete or taken or eastern.latest(now)
    if taken and taken > complete >= eastern.before(taken):
        complete = taken
    return {**after, "complete": complete.isoformat()}


def _complete(cursor: Mapping[str, str], verdict: Verdict, expected: date) -> date:
    """Up to where all is known. At first that is where we came in."""
    if known := _date(cursor, "complete"):
        return known
    if taken := _date(cursor, "day"):
        return taken
    return expected if verdict in _IN_TIME else eastern.before(expected)


def _asked_lately(cursor: Mapping[str, str], now: datetime) -> bool:
    if not cursor.get("asked"):
        return False
    return timedelta(0) <= now - datetime.fromisoformat(cursor["asked"]) < AGAIN


def _date(cursor: Mapping[str, str], name: str) -> date | None:
    return date.fromisoformat(cursor[name]) if cursor.get(name) else None
