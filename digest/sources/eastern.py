"""When arXiv announces, told by its own clock (US Eastern).

Mailings go out Sunday to Thursday at 20:00; the feeds of the next day, Monday to Friday, show
them from about midnight. There is no mailing on the evening of a holiday, so none the day after.
The holidays are those that arXiv has kept in most years; a day that turns out otherwise heals
itself, since what a feed shows weighs more than this calendar.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
ROLLED = time(2)  # by then the day's announcement should be in the feed
SETTLED = time(12)  # by then the API's index has caught up with it
DEADLINE = time(14)  # for the mailing of the evening
_DAY = timedelta(days=1)
_FIXED = {(1, 1), (6, 19), (7, 4), (12, 24), (12, 25), (12, 31)}


def on(now: datetime) -> date:
    """The date at arXiv."""
    return now.astimezone(EASTERN).date()


def announces(day: date) -> bool:
    """True where the feed of `day` should show a new announcement."""
    evening = day - _DAY
    return day.weekday() < 5 and not _holiday(evening)


def before(day: date) -> date:
    """The announcement before that of `day`."""
    day -= _DAY
    while not announces(day):
        day -= _DAY
    return day


def latest(now: datetime, by: time = ROLLED) -> date:
    """The last announcement that should be out: that of today once it is `by` o'clock there."""
    local = now.astimezone(EASTERN)
    today = local.date()
    return today if announces(today) and local.time() >= by else before(today)


def submissions(day: date) -> tuple[datetime, datetime]:
    """When the papers of the announcement of `day` were submitted, UTC: from one deadline (14:00
    of the mailing's day, Friday's for that of Sunday) to the next."""
    return _deadline(before(day)), _deadline(day)


def _deadline(day: date) -> datetime:
    evening = day - _DAY
    last = evening - 2 * _DAY if evening.weekday() == 6 else evening
    return datetime.combine(last, DEADLINE, EASTERN).astimezone(UTC)


def submitted_from(day: date) -> date:
    """The earliest date on which a paper of the announcement of `day` was submitted, as a rule:
    its window opened two announcements earlier, in the afternoon."""
    return before(before(day))


def _holiday(day: date) -> bool:
    if (day.month, day.day) in _FIXED:
        return True
    nth = (day.day - 1) // 7 + 1
    last = (day + timedelta(days=7)).month != day.month
    return (
        (day.month == 1 and day.weekday() == 0 and nth == 3)  # Martin Luther King Jr.
        or (day.month == 5 and day.weekday() == 0 and last)  # Memorial Day
        or (day.month == 9 and day.weekday() == 0 and nth == 1)  # Labor Day
        or (day.month == 11 and day.weekday() == 3 and nth == 4)  # Thanksgiving
    )
