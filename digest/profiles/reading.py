"""A profile from plain data or from a TOML text, with every fault found at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any
from zoneinfo import available_timezones

from digest.errors import ProfileError
from digest.model import (
    BY_VOTES,
    FOLLOWED,
    LIKED,
    WEEKDAYS,
    Cadence,
    Floor,
    Frequency,
    Interest,
    Profile,
    QuietWeeks,
    Term,
)
from digest.profiles.names import read_person
from digest.profiles.places import Places
from digest.profiles.query import MAX_LENGTH, QueryError, parse_query
from digest.profiles.table import CONTROL, Fault, Table, kind, meant, shown, wrong_string
from digest.text import words

MAX_TEXT = 500_000  # characters of a profile file
MAX_NAME = 80  # characters of an interest's name: it is a heading of the letter
MAX_INTERESTS = 50
MAX_SEEDS = 2_000
MAX_WEIGHT = 100.0

LAST = -1  # a month's last day
TOP = ("cadence", "day", "hour", "zone", "budget", "floor", "quiet_weeks", "trending", "revisions")
TOP_TABLES = ("interest", "follow", "mute")
INTEREST = ("name", "query", "terms", "seeds", "quota")
FOLLOW = ("authors",)
MUTE = ("terms", "authors", "categories")
RESERVED = (FOLLOWED, LIKED, *sorted(BY_VOTES))

WEIGHTED = re.compile(r"(.*\S)\s*\^\s*(\S+)", re.S)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


# ------------------------------------------------------------------ reading


def parse(text: str) -> Profile:
    """The profile of a TOML text. Raises ProfileError: `line:column message` for each fault."""
    document, profile, faults = examine(text)
    if faults:
        raise ProfileError([f"{line}:{column} {said}" for line, column, said in faults])
    assert profile is not None and document is not None
    return profile


def from_mapping(document: Mapping[str, Any]) -> Profile:
    """The profile of plain data. Raises ProfileError that names the key of each fault."""
    faults: list[Fault] = []
    profile = _profile(document, faults)
    if faults:
        raise ProfileError([str(fault) for fault in faults])
    return profile


def examine(
    text: str,
) -> tuple[dict[str, Any] | None, Profile | None, list[tuple[int, int, str]]]:
    """(plain data, the profile as far as it can be read, faults with line and column)."""
    if len(text) > MAX_TEXT:
        return None, None, [(1, 1, f"{len(text):,} characters, at most {MAX_TEXT:,}")]
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, None, [_syntax(str(error), text)]
    except RecursionError:
        return None, None, [(1, 1, "brackets nest too deep; a profile needs three levels")]
    faults: list[Fault] = []
    profile = _profile(document, faults)
    places = Places(text) if faults else None
    return document, profile, sorted(_placed(fault, places) for fault in faults if places)


def _placed(fault: Fault, places: Places) -> tuple[int, int, str]:
    if fault.of_key:
        return *places.of_key(fault.path), str(fault)
    return *places.of_value(fault.path, fault.at), str(fault)


def _syntax(message: str, text: str) -> tuple[int, int, str]:
    """What the TOML parser said, with its place in front."""
    found = _AT.search(message)
    said = f"not TOML: {_AT.sub('', message)}"
    if found and found[1]:
        return int(found[1]), int(found[2]), said
    lines = text.splitlines() or [""]
    return len(lines), len(lines[-1]) + 1, said


def _profile(document: Mapping[str, Any], faults: list[Fault]) -> Profile:
    top = Table(document, (), TOP + TOP_TABLES, faults)
    follow, mute = top.table("follow", FOLLOW), top.table("mute", MUTE)
    return Profile(
        cadence=_cadence(top),
        budget=top.whole("budget", 12, 1, 200),
        floor=top.choice("floor", Floor, Floor.NORMAL),
        quiet_weeks=top.choice("quiet_weeks", QuietWeeks, QuietWeeks.SKIP),
        trending=top.whole("trending", 3, 0, 200),
        revisions=top.switch("revisions"),
        interests=_interests(top, faults),
        follow_authors=follow.strings("authors", wrong=_wrong_person),
        mute_terms=mute.strings("terms", wrong=_wordless),
        mute_authors=mute.strings("authors", wrong=_wrong_person),
        mute_categories=mute.strings("categories"),
    )


_LATIN = re.compile("[0-9A-Za-z]")


def _wordless(text: str) -> str:
    """`++` can be found nowhere."""
    if _LATIN.search(text) or words(text):  # the first alone nearly always tells
        return ""
    return f"there is no word in {text!r} to look for"


def _wrong_person(text: str) -> str:
    try:
        return _wordless(read_person(text).name)
    except ValueError as error:
        return str(error)


def _cadence(top: Table) -> Cadence:
    frequency = top.choice("cadence", Frequency, Frequency.WEEKLY)
    hour = top.whole("hour", 8, 0, 23)
    zone = top.value("zone")
    if zone is None:
        zone = "UTC"
    elif not isinstance(zone, str) or zone not in zones():
        top.fault(("zone",), f"unknown zone {shown(zone)}{_meant_zone(zone)}")
        zone = "UTC"
    return Cadence(frequency, _day(top, frequency), hour, zone)


def _day(top: Table, frequency: Frequency) -> int:
    day = top.value("day")
    if day is None:
        return 1 if frequency is Frequency.MONTHLY else 0
    if frequency is Frequency.MONTHLY:
        return _month_day(top, day)
    if isinstance(day, str) and day.lower() in WEEKDAYS:
        return WEEKDAYS.index(day.lower()) if frequency is Frequency.WEEKLY else 0
    hint = meant(str(day), WEEKDAYS)
    top.fault(("day",), f"must be a weekday such as monday, not {shown(day)}{hint}")
    return 0


def _month_day(top: Table, day: object) -> int:
    if day == "last":
        return LAST
    if type(day) is int and 1 <= day <= 28:
        return day
    top.fault(("day",), f'for monthly letters must be 1 to 28 or "last", not {shown(day)}')
    return 1


# ------------------------------------------------------------------ interests


def _interests(top: Table, faults: list[Fault]) -> tuple[Interest, ...]:
    values = top.value("interest")
    if values is None:
        return ()
    if not isinstance(values, Sequence) or isinstance(values, str):
        top.fault(("interest",), "must be a list of tables; write [[interest]]", of_key=True)
        return ()
    if len(values) > MAX_INTERESTS:
        top.fault(("interest",), f"{len(values)} interests, at most {MAX_INTERESTS}", of_key=True)
        return ()
    found: list[Interest] = []
    taken: set[str] = set(RESERVED)
    for index, value in enumerate(values):
        table = Table(value, ("interest", index), INTEREST, faults)
        found.append(_interest(table, index, taken))
        taken.add(found[-1].name)
    return tuple(found)


def _interest(table: Table, index: int, taken: set[str]) -> Interest:
    quota = table.value("quota")
    query, terms = _query(table), _terms(table)
    return Interest(
        name=_name(table, taken, terms[0].text if terms else f"Interest {index + 1}"),
        query=query,
        terms=terms,
        seeds=table.strings("seeds", MAX_SEEDS),
        quota=None if quota is None else table.whole("quota", 1, 1, 200),
    )


def _name(table: Table, taken: set[str], default: str) -> str:
    name = table.value("name")
    if name is None:
        return _free(default[:MAX_NAME], taken)
    if wrong := wrong_string(name, MAX_NAME):
        table.fault(("name",), wrong)
        return _free(default, taken)
    name = name.strip()
    if name in RESERVED:
        table.fault(("name",), f"{name!r} is the name of a section of every letter")
    elif name in taken:
        table.fault(("name",), f"two interests are named {name!r}")
    return str(name)


def _free(name: str, taken: set[str]) -> str:
    numbered = (f"{name} ({number})" for number in range(2, MAX_INTERESTS + 5))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def _query(table: Table) -> str:
    query = table.value("query")
    if query is None or query == "":
        return ""
    if not isinstance(query, str):
        table.fault(("query",), f"must be a string, not {kind(query)}")
        return ""
    if CONTROL.search(query.translate(_BLANKS)):
        table.fault(("query",), "must not hold control characters")
        return ""
    try:
        parse_query(query)
    except QueryError as error:
        table.fault(("query",), str(error), min(error.at, MAX_LENGTH))
        return ""
    return query.strip()


_BLANKS = str.maketrans("\n\r\t", "   ")


def _terms(table: Table) -> tuple[Term, ...]:
    return tuple(read_term(text) for text in table.strings("terms", wrong=_wrong_term))


def _wrong_term(text: str) -> str:
    try:
        read_term(text)
    except ValueError as error:
        return str(error)
    return ""


@lru_cache(maxsize=50_000)
def read_term(text: str) -> Term:
    """`distillation^2` is the term `distillation` with weight 2. Raises ValueError."""
    weighted = WEIGHTED.fullmatch(text)
    term = Term(weighted[1], _weight(weighted[2])) if weighted else Term(text)
    if wordless := _wordless(term.text):
        raise ValueError(wordless)
    return term


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        raise ValueError(f"a weight is a number, as in distillation^2, not {text!r}") from None
    if not 0 < weight <= MAX_WEIGHT:
        raise ValueError(f"a weight is above 0 and at most {MAX_WEIGHT:g}, not {text}")
    return weight


@cache
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _meant_zone(zone: object) -> str:
    folded = {name.lower(): name for name in sorted(zones())}
    near = get_close_matches(str(zone)[:MAX_NAME].lower().replace(" ", "_"), folded, 1)
    return f"; did you mean {folded[near[0]]}?" if near else "; a zone is named as Europe/Berlin"
