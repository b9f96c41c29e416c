"""Many people at once from a file: bad rows are listed with their line, the rest goes in.

JSON lines: `{"email", "profile": {as in a profile file}, "confirmed_at": ISO, "consent": "where
from"}`. CSV: `email,confirmed_at,cadence,zone,terms,categories,authors,seeds,consent`, lists
separated by `;`. Only `email` is required. Without `confirmed_at` a confirmation is queued.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from digest.errors import DigestError, Refused
from digest.model import Subscriber, SubscriberState
from digest.store import Database, Tx, people
from digest.store.mailbox import mailbox
from digest.subscribe.addresses import normalised
from digest.subscribe.life import Post, as_newcomer, ask_to_confirm, wish

BATCH = 500  # rows in one transaction
LONGEST_LINE = 1_000_000  # characters
LONGEST_CONSENT = 2_000
_BETWEEN = re.compile(r";(?![^()]*\))")  # not within the hints of a name
COLUMNS = (
    "email",
    "confirmed_at",
    "cadence",
    "zone",
    "terms",
    "categories",
    "authors",
    "seeds",
    "consent",
)
KEYS = {"email", "profile", "confirmed_at", "consent"}
INTEREST = "Your interests"  # what the terms, categories and seeds of a CSV row are called

OnProgress = Callable[[int, int], None]
"""(rows done, rows in all: 0, since a file is not counted beforehand)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file: its values in the JSON shape, or why it cannot be read."""

    line: int
    values: Mapping[str, Any]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    line: int
    email: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `known`: people who were there already and stay as they are."""

    added: int = 0  # active at once
    pending: int = 0  # asked to confirm
    known: int = 0
    bad: tuple[BadRow, ...] = ()

    def __add__(self, other: Imported) -> Imported:
        return Imported(
            self.added + other.added,
            self.pending + other.pending,
            self.known + other.known,
            self.bad + other.bad,
        )


# ---------------------------------------------------------------- reading


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a .csv or .jsonl file, one at a time. Raises Refused for any other file."""
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    if path.suffix.lower() not in readers:
        raise Refused(f"{path}: must end in .csv or .jsonl", subject=str(path))
    try:
        yield from readers[path.suffix.lower()](path)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", subject=str(path)) from None


def _lines(path: Path) -> Iterator[str]:
    """Lines with their ends; what is not UTF-8 comes as surrogates and is refused by row."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> Row:
    if not _is_text(line):
        return Row(number, {}, "not UTF-8")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Row(number, {}, f"not JSON: {error}")
    if not isinstance(values, dict):
        return Row(number, {}, 'not a JSON object as in {"email": "ada@example.org"}')
    if unknown := sorted(values.keys() - KEYS):
        fault = f"unknown key {unknown[0]}; known: {', '.join(sorted(KEYS))}"
        return Row(number, values, fault)
    return Row(number, values)


def _csv_rows(path: Path) -> Iterator[Row]:
    reader = csv.reader(_lines(path), strict=True)
    header = [name.strip().lower() for name in _next(reader) or []]
    if "email" not in header or (wrong := [name for name in header if name not in COLUMNS]):
        said = f"unknown column {wrong[0]!r}" if "email" in header else "no column email"
        raise Refused(f"{path}: {said} in line 1; known: {','.join(COLUMNS)}", subject=str(path))
    while (cells := _next(reader)) is not None:
        if isinstance(cells, str):
            yield Row(reader.line_num, {}, cells)
        elif any(cell.strip() for cell in cells):
            yield _csv_row(reader.line_num, header, cells)


def _next(reader: Any) -> list[str] | str | None:
    """The next row, what is wrong with it, or None at the end."""
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        return f"not CSV: {error}"
    return row


def _csv_row(number: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) > len(header):
        return Row(number, {}, f"{len(cells)} cells, but {len(header)} columns; quote the commas")
    given = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    if not all(map(_is_text, cells)):
        return Row(number, {}, "not UTF-8")
    plain = {key: given[key] for key in ("email", "confirmed_at", "consent") if given.get(key)}
    try:
        return Row(number, {**plain, "profile": _csv_profile(given)})
    except Refused as error:
        return Row(number, plain, str(error))


def _csv_profile(given: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a row as a profile file; terms, categories and seeds are one interest."""
    profile: dict[str, Any] = {k: given[k] for k in ("cadence", "zone") if given.get(k)}
    categories = _listed(given, "categories")
    if wrong := [name for name in categories if not re.fullmatch(r"[\w.*-]+", name)]:
        raise Refused(f"category {wrong[0]!r}: must be one as in cs.LG")
    interest = {
        "query": " OR ".join(f"cat:{category}" for category in categories),
        "terms": _listed(given, "terms"),
        "seeds": _listed(given, "seeds"),
    }
    if any(interest.values()):
        profile["interest"] = [{"name": INTEREST} | {k: v for k, v in interest.items() if v}]
    if authors := _listed(given, "authors"):
        profile["follow"] = {"authors": authors}
    return profile


def _listed(given: Mapping[str, str], column: str) -> list[str]:
    return [part for cell in _BETWEEN.split(given.get(column, "")) if (part := cell.strip())]


def _is_text(text: str) -> bool:
    return not re.search("[\ud800-\udfff]", text)


# ---------------------------------------------------------------- writing


def import_people(
    db: Database,
    post: Post,
    file: Path,
    now: datetime,
    on_progress: OnProgress | None = None,
    door: str = "import",
) -> Imported:
    """Take people in, 500 to a transaction. Who is there already stays as they are, so that a
    second import of one file does nothing; who has left is not brought back and is listed.
    Raises Refused for a file that cannot be read at all."""
    total, done, seen = Imported(), 0, dict[str, int]()
    rows = read_rows(file)
    while batch := list(islice(rows, BATCH)):
        good, bad = _sorted_out(batch, seen)
        with db.writing() as tx:
            written = _write(tx, post, good, now, door)
        total = total + replace(written, bad=tuple(sorted((*bad, *written.bad), key=_line)))
        done += len(batch)
        if on_progress:
            on_progress(done, 0)
    return total


def _line(row: BadRow) -> int:
    return row.line


Good = dict[str, tuple[int, people.NewSubscriber]]
"""{address: (line, who)}."""


def _sorted_out(batch: Iterable[Row], seen: dict[str, int]) -> tuple[Good, list[BadRow]]:
    good: Good = {}
    bad: list[BadRow] = []
    for row in batch:
        try:
            newcomer = _newcomer(row)
            if (known_by := mailbox(newcomer.email)) in seen:
                raise Refused(f"the same address as in line {seen[known_by]}")
            seen[known_by] = row.line
            good[newcomer.email] = row.line, newcomer
        except DigestError as error:
            bad.append(BadRow(row.line, str(row.values.get("email", ""))[:100], str(error)))
    return good, bad


def _newcomer(row: Row) -> people.NewSubscriber:
    """Raises Refused or ProfileError for a row that cannot be taken."""
    if row.fault:
        raise Refused(row.fault)
    email, profile = row.values.get("email"), row.values.get("profile", {})
    if not isinstance(email, str):
        raise Refused("email: missing, or not a text")
    if not isinstance(profile, Mapping):
        raise Refused("profile: must be an object, as in a profile file")
    confirmed_at, consent = _time(row.values.get("confirmed_at")), row.values.get("consent") or ""
    if not isinstance(consent, str) or len(consent) > LONGEST_CONSENT:
        raise Refused(f"consent: must be a text of at most {LONGEST_CONSENT} characters")
    return as_newcomer(normalised(email), wish(profile), confirmed_at, consent)


def _time(given: object) -> datetime | None:
    """An ISO time; one without a zone is UTC."""
    if given is None or given == "":
        return None
    try:
        at = datetime.fromisoformat(str(given))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        said = f"confirmed_at {str(given)[:40]!r}: must be a time as in 2025-09-01T08:00:00Z"
        raise Refused(said) from None


def _write(tx: Tx, post: Post, good: Good, now: datetime, door: str) -> Imported:
    known = people.hold_addresses(tx, good)
    newcomers = [newcomer for email, (_, newcomer) in good.items() if email not in known]
    added = people.add_many(tx, newcomers, now, door)
    pending = [person for person in added if person.state is SubscriberState.PENDING]
    for person in pending:
        ask_to_confirm(tx, post, person, now, asked_before=False)
    left = {email: who for email, who in known.items() if who.state is SubscriberState.ENDED}
    return Imported(
        added=len(added) - len(pending),
        pending=len(pending),
        known=len(known) - len(left),
        bad=tuple(_has_left(good[email][0], person) for email, person in left.items()),
    )


def _has_left(line: int, person: Subscriber) -> BadRow:
    return BadRow(line, person.email, f"has left ({person.reason}); must ask again themselves")
