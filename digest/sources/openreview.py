"""Kind `openreview`: the papers of one venue, by API v2.

    [[sources]] kind = "openreview"  invitation = "ICLR.cc/2026/Conference/-/Submission"
    [[sources]] kind = "openreview"  venue = "TMLR"

`invitation` shows whatever was submitted and is public, `venue` what stands under that venue id
(for a conference, what it has accepted). `base_url` sets the API's address.

A paper may become public long after it was created, and is modified when it does. So the notes
are read newest modification first, down to where the last reading began.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

from digest import identity
from digest.errors import ConfigError
from digest.model import BadEntry, Fetched, Listing, Verdict
from digest.sources import Known, SourceSpec, options, rows
from digest.sources.answers import Answer
from digest.sources.entries import (
    MAX_CATEGORIES,
    Unreadable,
    again,
    arxiv_links,
    listings,
    web_address,
)
from digest.sources.feed import unseen
from digest.sources.http import Web
from digest.text import clean_abstract, clean_line, clean_title, split_authors

API = "https://api2.openreview.net"
SITE = "https://openreview.net"
SLICE = 500  # notes in one answer; the API allows 1,000
MAX_SLICES = 20  # in one fetch; the next goes on
AGAIN = 20  # notes read twice where a reading goes on, for those that were taken away
MAX_SEEN = 3000
_FORUM = re.compile(r"[\w-]{4,64}", re.A)


@dataclass(frozen=True, slots=True)
class _Page:
    """One answer. `newest` and `oldest`: when its notes were modified, in milliseconds."""

    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    entries: int = 0
    newest: int = 0
    oldest: int = 0


@dataclass(frozen=True, slots=True)
class _Swept:
    """Pages of one reading. `end`: where it stopped; `whole`: it came down to the mark."""

    pages: tuple[_Page, ...]
    end: int
    whole: bool

    @property
    def failed(self) -> _Page | None:
        return next((page for page in self.pages if page.verdict is not Verdict.OK), None)


class OpenReviewSource:
    """The cursor: `mark`, the modification down to which all is known; of a reading that is not
    done, `top`, where it began, and `offset`, how far it came; `seen` ids."""

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec, self.web = spec, web
        may = {"venue": "text", "invitation": "text", "base_url": "address"}
        given = options.read(spec, {}, may)
        asked = {name: given[name].strip() for name in ("venue", "invitation") if name in given}
        if len(asked) != 1:
            fault = f"source {spec.name}: needs either venue or invitation"
            raise ConfigError([fault], subject=spec.name)
        names = {"venue": "content.venueid", "invitation": "invitation"}
        self.asked = {names[name]: value for name, value in asked.items()}
        self.url = f"{str(given.get('base_url', API)).rstrip('/')}/notes"

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        return again(kept, listing)

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        start = max(0, int(cursor.get("offset", "0")) - AGAIN)
        swept = await self._sweep(int(cursor.get("mark", "0")), start)
        papers = tuple(identity.fold([paper for page in swept.pages for paper in page.papers]))
        fresh = unseen(papers, cursor)
        verdict, message = _judged(swept, len(fresh), cursor)
        after = _advanced(cursor, swept, papers)
        bad = tuple(bad for page in swept.pages for bad in page.bad)
        return Fetched(verdict, message, papers, bad=bad, cursor=after)

    async def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        """Every paper modified since that day, newest first, a page at a time; ends with the
        first page that failed. What the venue modified since is not told apart from `until`."""
        mark = int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp() * 1000)
        start, page = 0, None
        while page is None or (page.entries >= SLICE and page.oldest >= mark):
            page = await self._page(start)
            yield Fetched(page.verdict, page.message, backfill=page.papers, bad=page.bad)
            if page.verdict is not Verdict.OK:
                return
            start += page.entries

    async def _sweep(self, mark: int, start: int) -> _Swept:
        """Pages from `start` on, down to notes that were not modified since `mark`."""
        pages: list[_Page] = []
        whole = False
        while not whole and len(pages) < MAX_SLICES:
            page = await self._page(start)
            pages.append(page)
            if page.verdict is not Verdict.OK:
                break
            start += page.entries
            whole = page.entries < SLICE or page.oldest < mark
        return _Swept(tuple(pages), start, whole)

    async def _page(self, start: int) -> _Page:
        asked = {**self.asked, "sort": "tmdate:desc", "limit": SLICE, "offset": start}
        answer = await self.web.get(f"{self.url}?{urlencode(asked)}", self.spec)
        return await asyncio.to_thread(_read, answer)


def _read(answer: Answer) -> _Page:
    told = rows.told(answer)
    if not told.ok:
        return _Page(told.verdict, told.message)
    if not isinstance(notes := told.value.get("notes"), list):
        said = clean_line(rows.text(told.value, "message"), 200)
        return _Page(Verdict.PARSE_FAILED, f"the answer has no notes {said}".strip())
    papers, bad = listings(notes, listing)
    modified = [_modified(note) for note in notes if isinstance(note, dict)] or [0]
    return _Page(
        Verdict.OK,
        papers=papers,
        bad=bad,
        entries=len(notes),
        newest=max(modified),
        oldest=min(modified),
    )


def _modified(note: Mapping[str, Any]) -> int:
    said = note.get("tmdate") or note.get("mdate")
    return said if isinstance(said, int) and 0 < said < 10**14 else 0


def listing(note: Mapping[str, Any]) -> Listing:
    """One note: a submission, with its content as `{field: {"value": ...}}`. Raises Unreadable."""
    if not isinstance(note, dict) or not isinstance(note.get("content"), dict):
        raise Unreadable("is no note with content")
    content = {name: _value(field) for name, field in note["content"].items()}
    forum = rows.text(note, "forum") or rows.text(note, "id")
    if not _FORUM.fullmatch(forum):
        raise Unreadable(f"has no id of a forum: {forum[:80]!r}")
    if rows.text(note, "replyto"):
        raise Unreadable("is a reply, not a paper: correct venue or invitation")
    title = clean_title(rows.text(content, "title"))
    if not title:
        raise Unreadable("has no title")
    authors = split_authors(_authors(content.get("authors")))
    ids = [*_other_ids(content), f"openreview:{forum}"]
    keywords = (clean_line(word, 100) for word in rows.texts(content, "keywords"))
    return Listing(
        ids=identity.complete(ids, title, authors),
        title=title,
        abstract=clean_abstract(rows.text(content, "abstract") or rows.text(content, "TL;DR")),
        authors=authors,
        categories=tuple(dict.fromkeys(filter(None, keywords)))[:MAX_CATEGORIES],
        published=_public_on(note),
        links=_links(forum, content, ids),
    )


def _value(field: object) -> object:
    """API v2 wraps each value; what is not wrapped is taken as it is."""
    return field.get("value") if isinstance(field, dict) and "value" in field else field


def _authors(said: object) -> list[str]:
    """Names, or people with a full name each; nothing where they are hidden."""
    people = [
        person if isinstance(person, dict) else {"name": person}
        for person in (said if isinstance(said, list) else [])
        if isinstance(person, dict | str)
    ]
    return [name for p in people if (name := rows.text(p, "fullname") or rows.text(p, "name"))]


def _other_ids(content: Mapping[str, Any]) -> list[str]:
    """The arXiv number or DOI that imported records name."""
    said = [rows.text(content, name) for name in ("doi", "arxiv", "externalUrl", "html")]
    found = [identity.parse(text) for text in said if text]
    return [id_ for id_ in found if id_ and identity.scheme(id_) in {"arxiv", "doi"}]


def _links(forum: str, content: Mapping[str, Any], ids: Sequence[str]) -> dict[str, str]:
    arxiv = next((id_.partition(":")[2] for id_ in ids if id_.startswith("arxiv:")), "")
    links = {**(arxiv_links(arxiv) if arxiv else {}), "abs": f"{SITE}/forum?id={forum}"}
    pdf = rows.text(content, "pdf")
    if pdf.startswith("/"):
        links["pdf"] = f"{SITE}/pdf?id={forum}"
    elif web_address(pdf):
        links["pdf"] = pdf
    return links


def _public_on(note: Mapping[str, Any]) -> date | None:
    """The day of its publication, else of its opening, else of its creation."""
    for name in ("pdate", "odate", "cdate", "tcdate"):
        said = note.get(name)
        if isinstance(said, int) and not isinstance(said, bool) and 0 < said < 4 * 10**12:
            return datetime.fromtimestamp(said / 1000, UTC).date()
    return None


def _judged(swept: _Swept, fresh: int, cursor: Mapping[str, str]) -> tuple[Verdict, str]:
    if failed := swept.failed:
        return failed.verdict, failed.message
    if not swept.whole:
        return Verdict.OK, f"{swept.end:,} papers read, goes on next time"
    if fresh:
        return Verdict.OK, ""
    if swept.end == 0 and not cursor.get("seen"):
        return Verdict.EMPTY, "shows no papers: not open yet, or correct venue or invitation"
    return Verdict.QUIET, ""


def _advanced(
    cursor: Mapping[str, str], swept: _Swept, papers: Sequence[Listing]
) -> dict[str, str]:
    """The cursor after this reading. One that was cut short goes on where it was."""
    good = [page for page in swept.pages if page.verdict is Verdict.OK]
    if not good:
        return dict(cursor)
    top = int(cursor.get("top", "0")) or max(page.newest for page in good)
    seen = dict.fromkeys([*(p.ids[0] for p in papers), *cursor.get("seen", "").split()])
    after = {"seen": " ".join(list(seen)[:MAX_SEEN])}
    if swept.whole:
        return {**after, "mark": str(max(top, int(cursor.get("mark", "0"))))}
    kept = {"mark": cursor["mark"]} if "mark" in cursor else {}
    return {**after, **kept, "top": str(top), "offset": str(swept.end)}
