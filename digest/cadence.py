"""Pure: windows on first sight that tile each person's time, and when the next one closes.

A slot is the instant at which a letter falls due: the cadence's local hour on its day, in its zone.
There is exactly one in each local period (day, Monday-to-Sunday week, month), and slots only grow:

* an hour the clock skips means the first instant after the gap;
* an hour the clock shows twice means the first of the two;
* where the gap's end lies in another period (a day that the zone left out, such as 2011-12-30 in
  Pacific/Apia, or 23:00 on a night that jumps to midnight), the last whole hour before the gap that
  is still in the period; a day that never was has no slot of its own.

All times in and out are timezone-aware; those that come out are UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from digest.errors import Refused
from digest.model import WEEKDAYS, Cadence, Frequency, Window

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises Refused for a name that is none."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder's name, a path, an unknown name
        raise Refused(
            f"zone {name!r} is unknown; write an IANA name such as Europe/Berlin", subject=name
        ) from None


def next_slot(cadence: Cadence, after: datetime) -> datetime:
    """The first slot strictly after `after`."""
    there = zone(cadence.zone)
    first, past = _period(cadence.frequency, after.astimezone(there).date())
    while True:
        slot = _slot_in(cadence, there, first, past)
        if slot is not None and slot > after:
            return slot
        first, past = _period(cadence.frequency, past)


def last_slot(cadence: Cadence, at: datetime) -> datetime:
    """The last slot that is not after `at`."""
    there = zone(cadence.zone)
    # a clock put back over midnight has been in tomorrow already
    first, past = _period(cadence.frequency, at.astimezone(there).date() + DAY)
    while True:
        slot = _slot_in(cadence, there, first, past)
        if slot is not None and slot <= at:
            return slot
        first, past = _period(cadence.frequency, first - DAY)


def next_due(cadence: Cadence, since: datetime, paused_until: datetime | None = None) -> datetime:
    """When the window that opened at `since` closes at the earliest, and its letter is due.

    The first slot after `since` that is not before the end of a pause.
    """
    if paused_until is None or paused_until <= since:
        return next_slot(cadence, since)
    return next_slot(cadence, paused_until - timedelta.resolution)


def window(
    cadence: Cadence, since: datetime, now: datetime, paused_until: datetime | None = None
) -> Window | None:
    """What is due at `now` for a person whose windows reach to `since`; None: nothing.

    Whatever was missed (downtime, a pause, a clock put forward) is one window up to the last
    slot, never a burst and never a gap: the next one opens where this one closes, also when the
    cadence or zone has changed in between.
    """
    until = last_slot(cadence, now)
    if until <= since or (paused_until is not None and until < paused_until):
        return None
    return Window(since=since, until=until)


def describe(cadence: Cadence) -> str:
    """`every Monday at 8:00 (Europe/Berlin)`."""
    return f"{_days(cadence)} at {cadence.hour}:00 ({cadence.zone})"


def _days(cadence: Cadence) -> str:
    if cadence.frequency is Frequency.DAILY:
        return "every day"
    if cadence.frequency is Frequency.WEEKLY:
        return f"every {WEEKDAYS[cadence.day].capitalize()}"
    if cadence.day < 0:
        return "on the last day of every month"
    return f"on the {_ordinal(cadence.day)} of every month"


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _period(frequency: Frequency, day: date) -> tuple[date, date]:
    """The local period [first, past) that `day` lies in."""
    if frequency is Frequency.DAILY:
        return day, day + DAY
    if frequency is Frequency.WEEKLY:
        first = day - day.weekday() * DAY
        return first, first + 7 * DAY
    first = day.replace(day=1)
    return first, (first + 31 * DAY).replace(day=1)


def _slot_in(cadence: Cadence, there: ZoneInfo, first: date, past: date) -> datetime | None:
    """The period's slot; None only for a period (a day) that the zone left out altogether."""
    wall = datetime.combine(_day_in(cadence, first, past), time(cadence.hour))
    while wall.date() >= first:
        slot = _instant(wall, there)
        if first <= slot.astimezone(there).date() < past:
            return slot
        wall -= HOUR
    return None


def _day_in(cadence: Cadence, first: date, past: date) -> date:
    if cadence.frequency is Frequency.DAILY:
        return first
    if cadence.frequency is Frequency.WEEKLY:
        return first + cadence.day * DAY
    return past - DAY if cadence.day < 0 else first.replace(day=cadence.day)


def _instant(wall: datetime, there: ZoneInfo) -> datetime:
    """The first instant at which the clock there shows `wall`, or has just skipped it."""
    instant = wall.replace(tzinfo=there).astimezone(UTC)
    if _wall(instant, there) == wall:
        return instant
    before = wall.replace(tzinfo=there, fold=1).astimezone(UTC)  # PEP 495: before the gap
    return _first_at_or_past(wall, there, before, instant)


def _first_at_or_past(
    wall: datetime, there: ZoneInfo, before: datetime, after: datetime
) -> datetime:
    """The end of the gap around `wall`, by halving: zones change at whole seconds."""
    while after - before > SECOND:
        middle = before + (after - before) // SECOND // 2 * SECOND
        if _wall(middle, there) < wall:
            before = middle
        else:
            after = middle
    return after


def _wall(instant: datetime, there: ZoneInfo) -> datetime:
    return instant.astimezone(there).replace(tzinfo=None, fold=0)
