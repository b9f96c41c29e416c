"""RIS: lines of two letters, two spaces, a hyphen and a value; `TY` begins an entry, `ER` ends it.

Written here and not taken from a library, since files in the wild lack `ER` and mix line ends,
and an entry needs its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from digest.profiles.imports.entry import Entry, Imported, Skipped, entry, gathered, ids_of

KIND = "RIS"
LOOKS = re.compile(r"^[ \t]*TY {1,2}- ?\S", re.M)
_LINE = re.compile(r"[ \t]*([A-Z][A-Z0-9]) {1,2}-(?: (.*))?")
_SURE = ("DO", "UR", "L1", "L2", "LK", "AN")
_LOOSE = ("DO", "N1", "M1", "M3", "C1", "JO", "JF", "T2", "DB", "ID")
_TITLE, _AUTHOR, _WHEN = ("TI", "T1", "CT"), ("AU", "A1"), ("PY", "Y1", "DA")
_MAX_VALUE = 20_000  # characters of one field that are kept

Fields = dict[str, list[str]]


def read(text: str) -> Imported:
    """Every entry of a RIS text; one that is not ended ends where the next begins."""
    found: list[Entry] = []
    skipped: list[Skipped] = []
    for line, fields in _records(text):
        if "TY" in fields:
            found.append(_paper(f"line {line}", fields))
        else:
            skipped.append(Skipped(f"line {line}", "no TY line begins this entry", True))
    return gathered(KIND, found, skipped)


def _records(text: str) -> Iterator[tuple[int, Fields]]:
    """(line it begins in, {tag: values}) of each entry."""
    begun, fields, last = 0, Fields(), ""
    for number, line in enumerate(re.split(r"\r\n?|\n", text), 1):
        tagged = _LINE.fullmatch(line.rstrip())
        if tagged is None:
            if last and line.strip() and len(fields[last][-1]) < _MAX_VALUE:  # a value goes on
                fields[last][-1] = f"{fields[last][-1]} {line.strip()}"[:_MAX_VALUE]
            continue
        last = tagged[1]
        if last in {"TY", "ER"} and fields:
            yield begun, fields
            fields = Fields()
        if last == "ER":
            last = ""
            continue
        begun = begun if fields else number
        fields.setdefault(last, []).append((tagged[2] or "").strip()[:_MAX_VALUE])
    if fields:
        yield begun, fields


def _paper(where: str, fields: Fields) -> Entry:
    def every(tags: tuple[str, ...]) -> list[str]:
        return [value for tag in tags for value in fields.get(tag, ())]

    def first(tags: tuple[str, ...]) -> str:
        return next(filter(None, every(tags)), "")

    sure = [part for value in every(_SURE) for part in value.split(";")] + every(_SURE)
    ids = ids_of(sure, every(_LOOSE))
    return entry(where, ids, first(_TITLE), first(_AUTHOR), first(_WHEN))
