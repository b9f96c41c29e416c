"""Kind `file`: papers as JSON lines, one to a line.

    [[sources]] name = "lab"  kind = "file"  path = "/var/lib/papers.jsonl"

A line is `{"id", "title", "abstract", "authors": [..], "categories": [..], "date": "2025-09-15",
"links": {..}, "signals": {"upvotes": 12}}`; only `title` must be there.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from digest import identity
from digest.model import Announce, BadEntry, Fetched, Listing, Verdict
from digest.sources import Known, SourceSpec, options
from digest.sources.entries import MAX_CATEGORIES, MAX_RAW, Unreadable, arxiv_links, web_address
from digest.sources.health import Came, judge
from digest.sources.http import Web
from digest.text import clean_abstract, clean_line, clean_title, split_authors

MAX_LINE = 1_000_000  # characters


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no paper: its number from 1, and why."""

    line: int
    entry: BadEntry


def read_papers(lines: Iterable[str], first: int = 1) -> tuple[list[Listing], list[BadLine]]:
    """(the papers of the good lines in order, the bad lines). Blank lines are passed over;
    `first` is the number of the first line."""
    papers: list[Listing] = []
    bad: list[BadLine] = []
    for number, line in enumerate(lines, start=first):
        if not line.strip("\ufeff \t\r\n"):
            continue
        try:
            papers.append(read_paper(line))
        except Unreadable as error:
            raw = line[:MAX_RAW].encode("utf-8", "replace")[:MAX_RAW]
            bad.append(BadLine(number, BadEntry(raw, str(error)[:500])))
    return papers, bad


def read_paper(line: str) -> Listing:
    """One line. Raises Unreadable that names what is wrong with it."""
    if len(line) > MAX_LINE:
        raise Unreadable(f"is longer than {MAX_LINE:,} characters")
    if re.search("[\ud800-\udfff]", line):  # bytes that could not be decoded
        raise Unreadable("is not UTF-8")
    try:
        row = json.loads(line.strip("\ufeff \t\r\n"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise Unreadable("is no JSON object")
    return _listing(row)


def _listing(row: Mapping[str, Any]) -> Listing:
    title = clean_title(_text(row, "title"))
    if not title:
        raise Unreadable("title: is missing")
    authors = split_authors(_texts(row, "authors"))
    ids = _ids(row)
    arxiv = next((id_.partition(":")[2] for id_ in ids if id_.startswith("arxiv:")), "")
    address = next(filter(None, map(identity.link, ids)), "")
    known = arxiv_links(arxiv) if arxiv else {"abs": address} if address else {}
    categories = (clean_line(name, 100) for name in _texts(row, "categories"))
    return Listing(
        ids=identity.complete(ids, title, authors),
        title=title,
        abstract=clean_abstract(_text(row, "abstract")),
        authors=authors,
        categories=tuple(dict.fromkeys(filter(None, categories)))[:MAX_CATEGORIES],
        published=_date(row),
        announce=Announce.LISTED,
        links={**known, **_links(row)},
        signals=_signals(row),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"{key}: must be text, not {type(value).__name__}")
    return value or ""


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts, or one text."""
    value = row.get(key)
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise Unreadable(f"{key}: must be a list of texts")
    return values


def _ids(row: Mapping[str, Any]) -> list[str]:
    """The ids given: `id`, and `other_ids` as an export has them."""
    said = [_text(row, "id"), *_texts(row, "other_ids")]
    found = {text: identity.parse(text) for text in said if text.strip()}
    if odd := next((text for text, id_ in found.items() if id_ is None), None):
        wanted = "an arXiv number, a DOI or scheme:value"
        raise Unreadable(f"id: {odd[:80]!r} is no id; it must be {wanted}, or be left out")
    return [id_ for id_ in found.values() if id_]


def _date(row: Mapping[str, Any]) -> date | None:
    if not (said := _text(row, "date").strip()):
        return None
    try:
        return datetime.fromisoformat(said).date()
    except ValueError:
        raise Unreadable(f"date: {said[:40]!r} is no date (YYYY-MM-DD)") from None


def _links(row: Mapping[str, Any]) -> dict[str, str]:
    """Those that lead to the web; others are left out."""
    links = row.get("links") or {}
    if not isinstance(links, dict):
        raise Unreadable("links: must be an object")
    kept = {
        clean_line(name, 40): to
        for name, to in links.items()
        if isinstance(to, str) and web_address(to)
    }
    return dict(list(kept.items())[:20])


def _signals(row: Mapping[str, Any]) -> dict[str, float]:
    signals = row.get("signals") or {}
    if not isinstance(signals, dict):
        raise Unreadable("signals: must be an object")
    for name, value in signals.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            raise Unreadable(f"signals: {name[:40]}: must be a number")
    return {clean_line(name, 40): float(value) for name, value in list(signals.items())[:20]}


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


class FileSource:
    """Reads the file again when it changed. The cursor: `stamp`, its time and size."""

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec = spec
        self.path = Path(options.read(spec, {"path": "text"}, {})["path"]).expanduser()

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        return await asyncio.to_thread(self._fetch, cursor)

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        try:
            return read_paper(kept.decode("utf-8", "replace"))
        except Unreadable as error:
            return BadEntry(kept, str(error)[:500])

    def _fetch(self, cursor: Mapping[str, str]) -> Fetched:
        if not self.spec.trusted:
            return _refused(f"{self.path}: only the operator may name a file", cursor)
        try:
            about = self.path.stat()
            if not stat.S_ISREG(about.st_mode):
                return _refused(f"{self.path} is no plain file: correct the path", cursor)
            stamp = f"{about.st_mtime_ns}:{about.st_size}"
            if cursor.get("stamp") == stamp:
                return Fetched(Verdict.NOT_MODIFIED, cursor=dict(cursor))
            if about.st_size > self.spec.max_bytes:
                large = f"{self.path} has {about.st_size:,} bytes: raise max_bytes"
                return Fetched(Verdict.TOO_LARGE, large, cursor=dict(cursor))
            with self.path.open(encoding="utf-8", errors="replace") as lines:
                papers, bad = read_papers(lines)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            said = f"{self.path}: {getattr(error, 'strerror', error)}: correct path or rights"
            return _refused(said, cursor)
        return _judged(papers, bad, cursor, stamp)


def _refused(said: str, cursor: Mapping[str, str]) -> Fetched:
    return Fetched(Verdict.REFUSED, said, cursor=dict(cursor))


def _judged(
    papers: list[Listing], bad: list[BadLine], cursor: Mapping[str, str], stamp: str
) -> Fetched:
    works = tuple(identity.fold(papers))
    lines = tuple(BadEntry(b.entry.raw, f"line {b.line}: {b.entry.reason}") for b in bad)
    if bad and not works:
        return Fetched(
            Verdict.PARSE_FAILED,
            f"no line is a paper; {lines[0].reason}",
            bad=lines,
            cursor=dict(cursor),
        )
    verdict, message = judge(Came(shown=len(works), unseen=len(works)))
    return Fetched(verdict, message, works, bad=lines, cursor={"stamp": stamp})
