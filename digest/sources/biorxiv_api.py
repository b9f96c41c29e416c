"""The API of bioRxiv and medRxiv: what was posted on a day, and what journals published on it.

`details/<server>/<from>/<to>/<cursor>/json` has a row for each version posted; `pubs/...` has one
for each preprint that a journal published. A page holds 30 or 100 rows, so the cursor goes on by
what came. Counts come as numbers or as text, dates padded or not.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from digest import identity
from digest.model import Announce, BadEntry, Listing, Verdict
from digest.sources import SourceSpec, rows
from digest.sources.answers import Answer
from digest.sources.archive import Owed, days
from digest.sources.arxiv_api import Slice
from digest.sources.entries import Unreadable, listings
from digest.sources.http import Web
from digest.text import clean_abstract, clean_line, clean_title, split_authors

MOST = 20_000  # rows of a day; more is a fault of the service
MAX_PAGES = 300  # of a day
_SLACK = 0.9  # of the rows it announces it must have: it counts some that it does not show
_NOTHING = re.compile(r"no (?:posts|articles|preprints|results|papers|records)? ?found", re.I)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Page:
    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    entries: int = 0
    total: int = 0


class BiorxivApi:
    """`url`: the API's address, `server`: biorxiv or medrxiv."""

    def __init__(self, url: str, server: str, spec: SourceSpec, web: Web) -> None:
        self.url, self.server, self.spec, self.web = url.rstrip("/"), server, spec, web

    async def posted(self, owed: Owed, *, journals: bool) -> AsyncIterator[Slice]:
        """The versions posted on these days, oldest first, and where `journals` are asked for too
        the preprints that journals published on them. Ends with the first failure."""
        for day in days(owed):
            async for part in self._day("details", posting, day, whole=not journals):
                yield part
                if part.verdict is not Verdict.OK:
                    return
            if not journals:
                continue
            async for part in self._day("pubs", publication, day, whole=True):
                yield part
                if part.verdict is not Verdict.OK:
                    return

    async def _day(
        self, endpoint: str, read: Callable[[Row], Listing], day: date, *, whole: bool
    ) -> AsyncIterator[Slice]:
        """One day's pages; with the last of them the day is `whole`."""
        start, total = 0, 1
        for _ in range(MAX_PAGES):
            page = await self._page(endpoint, read, day, start)
            if page.verdict is not Verdict.OK:
                yield Slice(page.verdict, f"API, {day}: {page.message}")
                return
            start, total = start + page.entries, page.total
            if not page.entries and start < total * _SLACK:
                yield Slice(Verdict.SHORT, f"API, {day}: ends at {start:,} of {total:,} {endpoint}")
                return
            start = start if page.entries else total
            said = f"{endpoint} of {day}: {start:,} of {total:,}"
            done = day if whole and start >= total else None
            yield Slice(Verdict.OK, said, page.papers, page.bad, done)
            if start >= total:
                return
        yield Slice(Verdict.TOO_LARGE, f"API, {day}: more than {MAX_PAGES} answers")

    async def _page(
        self, endpoint: str, read: Callable[[Row], Listing], day: date, start: int
    ) -> _Page:
        url = f"{self.url}/{endpoint}/{self.server}/{day}/{day}/{start}/json"
        answer = await self.web.get(url, self.spec)
        return await asyncio.to_thread(_read, answer, read)


def _read(answer: Answer, read: Callable[[Row], Listing]) -> _Page:
    told = rows.told(answer)
    if not told.ok:
        return _Page(told.verdict, told.message)
    found, messages = told.value.get("collection"), told.value.get("messages")
    said = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(found, list) or not isinstance(said, dict):
        return _Page(Verdict.PARSE_FAILED, "the answer has no collection and no messages")
    status, total = rows.text(said, "status"), rows.number(said, "total")
    if not found and _NOTHING.search(status):
        return _Page(Verdict.OK)
    if status.lower() != "ok":
        return _Page(Verdict.HTTP_ERROR, f"it says: {clean_line(status, 200) or 'nothing'}")
    if total is None or total > MOST:
        return _Page(Verdict.PARSE_FAILED, "the answer does not say how many papers there are")
    papers, bad = listings(found, read)
    return _Page(Verdict.OK, "", papers, bad, len(found), total)


def posting(row: Row) -> Listing:
    """One version of a preprint. Raises Unreadable."""
    doi = _preprint(row, "doi")
    version = max(1, min(rows.number(row, "version") or 1, 999))
    announce = Announce.REPLACE if version > 1 else Announce.NEW
    server = "medrxiv" if rows.text(row, "server").lower() == "medrxiv" else "biorxiv"
    page = f"https://www.{server}.org/content/{doi.partition(':')[2]}v{version}"
    links = {"abs": page, "pdf": f"{page}.full.pdf"}
    return _listing(row, "", doi, _journal(row, "published", doi), version, announce, links)


def publication(row: Row) -> Listing:
    """A preprint that a journal published: known news of a known work. Raises Unreadable."""
    doi = _preprint(row, "preprint_doi")
    journal = _journal(row, "published_doi", doi)
    if not journal:
        raise Unreadable(f"has no DOI of a journal: {row.get('published_doi')!r}")
    links = {"abs": identity.link(doi), "journal": identity.link(journal)}
    return _listing(row, "preprint_", doi, journal, 1, Announce.REPLACE, links)


def _listing(
    row: Row,
    prefix: str,
    doi: str,
    journal: str,
    version: int,
    announce: Announce,
    links: Mapping[str, str],
) -> Listing:
    title = clean_title(rows.text(row, f"{prefix}title"))
    if not title:
        raise Unreadable("has no title")
    authors = split_authors(rows.text(row, f"{prefix}authors"))
    abstract = clean_abstract(rows.text(row, f"{prefix}abstract"))
    category = clean_line(rows.text(row, f"{prefix}category"), 100)
    return Listing(
        ids=identity.complete([doi, journal], title, authors),
        title=title,
        abstract="" if abstract == "NA" else abstract,
        authors=authors,
        categories=(category,) if category not in {"", "NA"} else (),
        published=rows.day(rows.text(row, f"{prefix}date")),
        version=version,
        announce=announce,
        links=links,
    )


def _preprint(row: Row, key: str) -> str:
    """The canonical id of the preprint: its DOI without version."""
    id_ = identity.parse(rows.text(row, key))
    if not id_ or identity.scheme(id_) != "doi":
        raise Unreadable(f"has no DOI: {row.get(key)!r}")
    return id_


def _journal(row: Row, key: str, preprint: str) -> str:
    """The id of the journal's version; empty where there is none (`NA`)."""
    id_ = identity.parse(rows.text(row, key)) or ""
    return id_ if id_.startswith("doi:") and id_ != preprint else ""
