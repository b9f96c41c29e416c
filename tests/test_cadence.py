"""Windows tile time: in every zone, through every change of clock, pause, downtime and mind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest import cadence
from digest.errors import Refused
from digest.model import Cadence, Frequency, Window

ZONES = sorted(available_timezones())
DAY = timedelta(days=1)
SINCE = datetime(2024, 6, 1, tzinfo=UTC)
UNTIL = datetime(2026, 6, 1, tzinfo=UTC)  # two years and every change of clock in them
ODD_YEARS = {  # years in which a zone left out or repeated a day, or moved by an odd amount
    "Pacific/Apia": 2011,
    "Pacific/Fakaofo": 2011,
    "Pacific/Kiritimati": 1994,
    "Pacific/Enderbury": 1994,
    "Pacific/Kwajalein": 1993,
    "America/St_Johns": 2007,
    "Australia/Lord_Howe": 1985,
    "Asia/Pyongyang": 2015,
    "Africa/Monrovia": 1972,
    "Asia/Kathmandu": 1986,
    "America/Caracas": 2007,
    "Europe/Amsterdam": 1937,
    "Antarctica/Troll": 2005,
}


def nightly() -> bool:
    """True under `pytest --hypothesis-profile=nightly`: every cadence, not a sample."""
    return settings.get_current_profile_name() == "nightly"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(day: int, hour: int, zone: str) -> Cadence:
    return Cadence(Frequency.WEEKLY, day, hour, zone)


def daily(hour: int, zone: str) -> Cadence:
    return Cadence(Frequency.DAILY, 0, hour, zone)


def monthly(day: int, hour: int, zone: str) -> Cadence:
    return Cadence(Frequency.MONTHLY, day, hour, zone)


def slots(what: Cadence, since: datetime, until: datetime) -> Iterator[datetime]:
    slot = cadence.next_slot(what, since)
    while slot < until:
        yield slot
        slot = cadence.next_slot(what, slot)


def local(instants: Iterable[datetime], zone: str) -> list[str]:
    return [t.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M") for t in instants]


# ---------------------------------------------------------------- one by one


def test_a_weekly_slot_is_the_local_hour_on_its_weekday() -> None:
    found = cadence.next_slot(weekly(0, 8, "Europe/Berlin"), at("2025-09-03 12:00"))
    assert at("2025-09-08 06:00") == found


def test_the_next_slot_is_strictly_after() -> None:
    what = weekly(0, 8, "UTC")
    slot = at("2025-09-08 08:00")
    assert slot + 7 * DAY == cadence.next_slot(what, slot)


def test_the_last_slot_may_be_this_very_instant() -> None:
    slot = at("2025-09-08 08:00")
    assert slot == cadence.last_slot(weekly(0, 8, "UTC"), slot)


def test_slots_are_told_in_utc_whatever_zone_the_question_came_in() -> None:
    asked = at("2025-09-08 08:00").astimezone(ZoneInfo("Asia/Tokyo"))
    assert UTC is cadence.next_slot(daily(8, "Asia/Tokyo"), asked).tzinfo


def test_an_hour_that_the_clock_skips_is_the_first_instant_after_the_gap() -> None:
    found = cadence.next_slot(daily(2, "Europe/Berlin"), at("2025-03-29 12:00"))
    assert at("2025-03-30 01:00") == found  # 03:00 there


def test_an_hour_skipped_in_part_is_the_first_instant_after_the_gap() -> None:
    found = cadence.next_slot(daily(2, "Australia/Lord_Howe"), at("2025-10-04 12:00"))
    assert at("2025-10-04 15:30") == found  # 02:30 there


def test_an_hour_that_comes_twice_is_the_first_of_the_two() -> None:
    found = list(slots(daily(2, "Europe/Berlin"), at("2025-10-25 12:00"), at("2025-10-26 12:00")))
    assert [at("2025-10-26 00:00")] == found


def test_a_day_that_the_zone_left_out_has_no_slot() -> None:
    found = slots(daily(8, "Pacific/Apia"), at("2011-12-29 00:00"), at("2012-01-01 00:00"))
    expected = ["2011-12-29 08:00", "2011-12-31 08:00", "2012-01-01 08:00"]
    assert expected == local(found, "Pacific/Apia")


def test_a_week_keeps_its_slot_though_its_day_was_left_out() -> None:
    friday = weekly(4, 8, "Pacific/Apia")
    found = slots(friday, at("2011-12-20 00:00"), at("2012-01-10 00:00"))
    expected = ["2011-12-23 08:00", "2011-12-31 00:00", "2012-01-06 08:00"]
    assert expected == local(found, "Pacific/Apia")


def test_a_month_keeps_its_slot_though_its_last_day_was_left_out() -> None:
    found = slots(monthly(-1, 8, "Pacific/Kiritimati"), at("1994-11-20 00:00"), at("1995-02-10"))
    expected = ["1994-11-30 08:00", "1994-12-30 23:00", "1995-01-31 08:00"]
    assert expected == local(found, "Pacific/Kiritimati")


def test_a_gap_that_ends_at_midnight_does_not_push_the_slot_into_the_next_day() -> None:
    found = slots(daily(23, "America/Nuuk"), at("2025-03-28 12:00"), at("2025-03-31 12:00"))
    expected = ["2025-03-28 23:00", "2025-03-29 22:00", "2025-03-30 23:00"]
    assert expected == local(found, "America/Nuuk")


def test_a_clock_put_back_over_midnight_has_seen_the_next_day_already() -> None:
    again_yesterday = at("2010-11-07 02:45")  # 23:15 there, for the second time
    found = cadence.last_slot(daily(0, "America/St_Johns"), again_yesterday)
    assert local([found], "America/St_Johns") == ["2010-11-07 00:00"]


def test_the_last_day_of_the_month_follows_the_calendar() -> None:
    found = slots(monthly(-1, 0, "UTC"), at("2024-01-31 00:00"), at("2024-05-01 00:00"))
    expected = ["2024-02-29 00:00", "2024-03-31 00:00", "2024-04-30 00:00"]
    assert expected == local(found, "UTC")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "a\0b", "ü" * 300])
def test_an_unknown_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(Refused, match="is unknown; write an IANA name such as Europe/Berlin"):
        cadence.next_slot(daily(8, name), SINCE)


# ---------------------------------------------------------------- windows


def test_nothing_is_due_before_the_first_slot() -> None:
    since = at("2025-09-03 12:00")
    assert None is cadence.window(weekly(0, 8, "UTC"), since, at("2025-09-08 07:59"))


def test_the_first_window_opens_where_the_person_confirmed() -> None:
    since, monday = at("2025-09-03 12:00"), at("2025-09-08 08:00")
    assert Window(since, monday) == cadence.window(weekly(0, 8, "UTC"), since, monday)


def test_after_downtime_everything_missed_is_one_window() -> None:
    what, since = daily(8, "UTC"), at("2025-09-01 08:00")
    expected = Window(since, at("2025-09-21 08:00"))
    assert expected == cadence.window(what, since, at("2025-09-21 23:00"))


def test_a_paused_reader_gets_nothing_until_the_pause_ends() -> None:
    what, since, until = daily(8, "UTC"), at("2025-09-01 08:00"), at("2025-09-20 12:00")
    assert None is cadence.window(what, since, at("2025-09-20 11:59"), until)


def test_the_first_letter_after_a_pause_comes_at_a_slot_and_covers_the_pause() -> None:
    what, since, until = daily(8, "UTC"), at("2025-09-01 08:00"), at("2025-09-20 12:00")
    slot = at("2025-09-21 08:00")
    found = [cadence.window(what, since, now, until) for now in (until, slot)]
    assert [None, Window(since, slot)] == found


def test_a_pause_that_ends_on_a_slot_lets_that_slot_through() -> None:
    what, since, until = daily(8, "UTC"), at("2025-09-01 08:00"), at("2025-09-20 08:00")
    assert until == cadence.next_due(what, since, until)


def test_a_clock_put_back_makes_nothing_due() -> None:
    what, since = daily(8, "UTC"), at("2025-09-01 08:00")
    assert None is cadence.window(what, since, at("2025-08-01 08:00"))


def test_a_change_of_zone_keeps_the_place_where_the_window_opened() -> None:
    since = at("2025-09-08 08:00")
    found = cadence.window(weekly(0, 8, "Pacific/Auckland"), since, at("2025-09-15 08:00"))
    assert Window(since, at("2025-09-14 20:00")) == found


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (weekly(0, 8, "Europe/Berlin"), "every Monday at 8:00 (Europe/Berlin)"),
        (daily(17, "UTC"), "every day at 17:00 (UTC)"),
        (monthly(-1, 0, "UTC"), "on the last day of every month at 0:00 (UTC)"),
        (monthly(1, 9, "UTC"), "on the 1st of every month at 9:00 (UTC)"),
        (monthly(12, 9, "UTC"), "on the 12th of every month at 9:00 (UTC)"),
        (monthly(23, 9, "UTC"), "on the 23rd of every month at 9:00 (UTC)"),
    ],
)
def test_a_cadence_can_be_said_in_words(what: Cadence, expected: str) -> None:
    assert expected == cadence.describe(what)


# ---------------------------------------------------------------- every zone, two years


def changes(zone: ZoneInfo, since: datetime, until: datetime) -> tuple[tuple[object, ...], ...]:
    """Every (instant, offset) at which this zone's clock changes: all that slots depend on."""
    found: list[tuple[object, ...]] = [(None, since.astimezone(zone).utcoffset())]
    instant, step = since, timedelta(hours=12)
    while instant < until:
        later = instant + step
        if later.astimezone(zone).utcoffset() != found[-1][1]:
            found.append((_changed(zone, instant, later), later.astimezone(zone).utcoffset()))
        instant = later
    return tuple(found)


def _changed(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    was = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == was:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def days_of(zone: str, since: datetime, until: datetime) -> set[date]:
    """The local days that exist, seen by walking time itself."""
    there, hours = ZoneInfo(zone), int((until - since) / timedelta(hours=6))
    return {(since + timedelta(hours=6 * n)).astimezone(there).date() for n in range(hours)}


def period_of(what: Cadence, day: date) -> object:
    if what.frequency is Frequency.DAILY:
        return day
    if what.frequency is Frequency.WEEKLY:
        return day.isocalendar()[:2]
    return day.year, day.month


def assert_one_slot_per_period(what: Cadence, since: datetime, until: datetime) -> None:
    there = ZoneInfo(what.zone)
    found = list(slots(what, since, until))
    days = [slot.astimezone(there).date() for slot in found]
    assert all(a < b for a, b in pairwise(found)), (what, "slots only grow")
    assert len(days) == len(set(days)), (what, "never two in one local day")
    periods = [period_of(what, day) for day in days]
    assert len(periods) == len(set(periods)), (what, "never two in one period")
    inner = {period_of(what, day) for day in days_of(what.zone, since + 32 * DAY, until - 32 * DAY)}
    assert inner <= set(periods), (what, "no period without one", inner - set(periods))


def assert_windows_tile(what: Cadence, since: datetime, until: datetime) -> None:
    now, opened = since, since
    while now < until:
        now += timedelta(days=9, hours=7, minutes=13)
        if (found := cadence.window(what, opened, now)) is None:
            assert cadence.next_due(what, opened) > now, (what, now)
            continue
        assert found.since == opened < found.until <= now, (what, now)
        assert cadence.next_slot(what, found.until) > now, (what, now, "nothing left behind")
        opened = found.until


def different_zones() -> dict[str, list[str]]:
    """One name for each way that a clock behaves in these two years, and its aliases."""
    alike: dict[tuple[tuple[object, ...], ...], list[str]] = {}
    for name in ZONES:
        alike.setdefault(changes(ZoneInfo(name), SINCE, UNTIL), []).append(name)
    return {names[0]: names for names in alike.values()}


def some_cadences(zone: str) -> Iterator[Cadence]:
    seed = sum(zone.encode())
    yield daily((0, 1, 2, 3, 23)[seed % 5], zone)
    yield weekly(6, (0, 1, 2, 3, 23)[seed % 5], zone)
    yield weekly(seed % 7, seed % 24, zone)
    yield monthly(-1, seed % 24, zone)
    yield monthly(1 + seed % 28, (seed + 7) % 24, zone)


def every_cadence(zone: str) -> Iterator[Cadence]:
    for hour in range(24):
        yield daily(hour, zone)
        yield from (weekly(day, hour, zone) for day in range(7))
        yield from (monthly(day, hour, zone) for day in (-1, 1, 15, 28))


def test_in_every_zone_there_is_one_slot_in_each_local_period_of_two_years() -> None:
    """Zones whose clocks change alike have equal slots: slots depend on offsets alone."""
    zones = different_zones()
    for name in zones:
        for what in (every_cadence if nightly() else some_cadences)(name):
            assert_one_slot_per_period(what, SINCE, UNTIL)
    assert set(ZONES) == {alias for names in zones.values() for alias in names}


def test_in_every_zone_windows_tile_two_years() -> None:
    for number, name in enumerate(ZONES):
        every = list(some_cadences(name))
        for what in every if nightly() else [every[number % len(every)]]:
            assert_windows_tile(what, SINCE, UNTIL)


@pytest.mark.parametrize(("zone", "year"), ODD_YEARS.items())
def test_zones_that_left_out_or_repeated_time_still_have_one_slot_per_period(
    zone: str, year: int
) -> None:
    since = datetime(year, 1, 1, tzinfo=UTC) - 60 * DAY
    for what in every_cadence(zone) if nightly() else some_cadences(zone):
        assert_one_slot_per_period(what, since, since + 480 * DAY)


# ---------------------------------------------------------------- properties

instants = st.integers(0, 2_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
zones = st.sampled_from(ZONES)
hours = st.integers(0, 23)
cadences = st.one_of(
    st.builds(daily, hours, zones),
    st.builds(weekly, st.integers(0, 6), hours, zones),
    st.builds(monthly, st.integers(1, 28) | st.just(-1), hours, zones),
)
gaps = st.timedeltas(timedelta(0), timedelta(days=70))


@given(cadences, instants)
def test_the_last_slot_and_the_next_one_embrace_every_instant(what: Cadence, t: datetime) -> None:
    last, coming = cadence.last_slot(what, t), cadence.next_slot(what, t)
    assert last <= t < coming
    assert coming == cadence.next_slot(what, last)
    assert last == cadence.last_slot(what, coming - timedelta.resolution)


@given(cadences, instants, gaps, st.none() | gaps)
def test_a_window_is_due_exactly_from_the_time_that_was_announced(
    what: Cadence, since: datetime, wait: timedelta, pause: timedelta | None
) -> None:
    paused_until = None if pause is None else since + pause
    due, now = cadence.next_due(what, since, paused_until), since + wait
    assert (now >= due) == (cadence.window(what, since, now, paused_until) is not None)


@given(instants, st.lists(st.tuples(cadences, gaps, st.none() | gaps), max_size=8))
def test_windows_tile_time_through_changes_of_mind_pauses_and_downtime(
    start: datetime, story: list[tuple[Cadence, timedelta, timedelta | None]]
) -> None:
    now = opened = start
    for what, wait, pause in story:
        now += wait
        paused_until = None if pause is None else now + pause
        assert None is cadence.window(what, opened, now, now + timedelta.resolution)
        if (found := cadence.window(what, opened, now, paused_until)) is not None:
            assert opened == found.since
            assert opened < found.until <= now
            opened = found.until
    assert start <= opened <= now
