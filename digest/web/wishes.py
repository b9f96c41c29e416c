"""Pure: the plain fields of a form and the profile file they stand for, in both directions.

An interest is one line: `protein folding, cryo-EM^2` or, with a name of its own,
`Structures: protein folding, cryo-EM^2`. Interests that a line cannot tell (queries, seeds,
quotas) are left as they are. `Document` is the profile file as plain data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from digest import profiles
from digest.model import WEEKDAYS, Floor, Frequency, Profile, QuietWeeks
from digest.web.forms import lines

Document = Mapping[str, Any]
Interest = Mapping[str, Any]
Options = tuple[tuple[str, str], ...]

LONGEST_NAME = 80  # characters of an interest's name
_REGIONS = {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe"} | {
    "Indian",
    "Pacific",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the lists of a form offer: (value, what it says)."""

    frequencies: Options
    weekdays: Options
    monthdays: Options
    hours: Options
    zones: Options
    floors: Options
    quiet: Options
    revisions: Options


@cache
def choices() -> Choices:
    """The same for everybody; zones are read from the machine once."""
    return Choices(
        frequencies=(("daily", "Every day"), ("weekly", "Every week"), ("monthly", "Every month")),
        weekdays=tuple((day, day.capitalize()) for day in WEEKDAYS),
        monthdays=(*((str(n), str(n)) for n in range(1, 29)), ("last", "The last")),
        hours=tuple((str(n), f"{n}:00") for n in range(24)),
        zones=_zones(),
        floors=(
            (Floor.RELAXED, "Relaxed: more letters, some near misses"),
            (Floor.NORMAL, "Normal"),
            (Floor.STRICT, "Strict: only what is very close"),
        ),
        quiet=(
            (QuietWeeks.SKIP, "Send nothing"),
            (QuietWeeks.LINE, "Send one line that says so"),
        ),
        revisions=(("no", "Say nothing"), ("yes", "Say it in a line")),
    )


def _zones() -> Options:
    named = sorted(z for z in available_timezones() if z.partition("/")[0] in _REGIONS)
    return tuple((name, name.replace("_", " ")) for name in ("UTC", *named))


# ------------------------------------------------------------------ from the file to the form


def fresh() -> dict[str, str]:
    """The form of somebody who comes for the first time."""
    return fields(profiles.to_mapping(Profile()))


def fields(document: Document) -> dict[str, str]:
    """What a form shows of a profile; `document` is as `profiles.to_mapping` gives it."""
    day, often = str(document.get("day", "")), document["cadence"]
    plain = ("hour", "zone", "budget", "trending", "floor", "quiet_weeks")
    return {
        "interests": "\n".join(filter(None, map(line_of, document.get("interest", ())))),
        "authors": "\n".join(document.get("follow", {}).get("authors", ())),
        "muted": "\n".join(document.get("mute", {}).get("terms", ())),
        "frequency": str(often),
        "weekday": day if often == Frequency.WEEKLY else WEEKDAYS[0],
        "monthday": day if often == Frequency.MONTHLY else "1",
        "revisions": "yes" if document.get("revisions") else "no",
        **{name: str(document[name]) for name in plain},
    }


def line_of(interest: Interest) -> str:
    """The interest as a line; "" where a line cannot tell all of it."""
    if interest.keys() - {"name", "terms"} or not interest.get("terms"):
        return ""
    body = ", ".join(interest["terms"])
    named = f"{name_of(interest)}: {body}"
    return next((line for line in (body, named) if _same(interest_of(line), interest)), "")


def name_of(interest: Interest) -> str:
    """Its name, or what a profile calls it that gives it none: its first term."""
    return str(interest.get("name") or interest["terms"][0].partition("^")[0].strip())


def unsaid(document: Document) -> list[str]:
    """The names of the interests that no line can tell."""
    return [name_of(item) for item in document.get("interest", ()) if not line_of(item)]


def _same(one: Interest, other: Interest) -> bool:
    return (name_of(one), one["terms"]) == (name_of(other), other["terms"])


# ------------------------------------------------------------------ from the form to the file


def apply(values: Mapping[str, str], document: Document) -> dict[str, Any]:
    """The profile with what the form says put in, not yet checked. A field that the form does
    not have changes nothing."""
    changed = dict(document)
    if "interests" in values:
        changed["interest"] = _interests(lines(values["interests"]), document.get("interest", ()))
    for name, (table, key) in _LISTS.items():
        if name in values:
            changed[table] = {**document.get(table, {}), key: lines(values[name])}
    changed |= {key: values[name] for name, key in _WORDS.items() if name in values}
    changed |= {name: _number(values[name]) for name in _NUMBERS if name in values}
    if (said := values.get("revisions")) is not None:
        changed["revisions"] = _YES_OR_NO.get(said, said)
    return _with_day(changed, values)


def faults_by_field(faults: Iterable[str], values: Mapping[str, str]) -> dict[str, str]:
    """What `profiles.from_mapping` found wrong, at the field of the form that can mend it."""
    found: dict[str, str] = {}
    for fault in faults:
        where, _, said = fault.partition(": ")
        key = where.partition(" ")[0].rstrip(",")
        field = _FIELD_OF.get(key, key)
        if key == "day" and values.get("frequency") == Frequency.MONTHLY:
            field = "monthday"
        found.setdefault(field if field in _ALL else "interests", said or fault)
    return found


def interest_of(line: str) -> dict[str, Any]:
    """`Name: a, b` or `a, b` as an interest."""
    name, colon, rest = line.partition(": ")
    if colon and (terms := _terms(rest)) and len(name) <= LONGEST_NAME:
        return {"name": name.strip(), "terms": terms}
    return {"terms": _terms(line) or [line]}


def _terms(text: str) -> list[str]:
    return [term for part in text.split(",") if (term := part.strip())]


def _interests(wanted: Iterable[str], stored: Iterable[Interest]) -> list[Interest]:
    """In the order of what was stored, new ones last; those that no line can tell stay."""
    left = [interest_of(line) for line in wanted]
    found: list[Interest] = []
    for item in stored:
        same = [new for new in left if name_of(new) == name_of(item)]
        if not line_of(item):
            found.append(item)
        elif same:
            found.append(same[0])
            left.remove(same[0])
    return [*found, *left]


def _number(text: str) -> int | str:
    """The number that is meant; the text itself where it is none, for the checker to refuse."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _with_day(document: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The day that counts for the frequency."""
    if "frequency" in values:
        document.pop("day", None)
    if document["cadence"] == Frequency.WEEKLY and "weekday" in values:
        document["day"] = values["weekday"]
    if document["cadence"] == Frequency.MONTHLY and "monthday" in values:
        document["day"] = _number(values["monthday"])
    return document


_LISTS = {"authors": ("follow", "authors"), "muted": ("mute", "terms")}
_WORDS = {"frequency": "cadence", "zone": "zone", "floor": "floor", "quiet_weeks": "quiet_weeks"}
_NUMBERS = ("hour", "budget", "trending")
_YES_OR_NO = {"yes": True, "no": False}
_ALL = {*_LISTS, *_WORDS, *_NUMBERS, "weekday", "monthday", "revisions"}
_FIELD_OF = {
    "interest": "interests",
    "follow": "authors",
    "mute": "muted",
    "cadence": "frequency",
    "day": "weekday",
}
