"""arXiv's API: the papers of one or more categories by the dates on which they were submitted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from digest.model import BadEntry, Listing, Verdict
from digest.sources import LookedUp, SourceSpec, document
from digest.sources.answers import Answer
from digest.sources.entries import listing, listings
from digest.sources.http import Web

MOST_ASKED = 20  # requests for one list of numbers, where some of it is refused
SLICE = 1000  # papers in one answer; the API allows 2,000 and is slow above 1,000
WINDOW = timedelta(days=7)  # of submission dates asked at once: its paging ends at 30,000
REFUSED = 400  # HTTP: what was asked cannot be meant
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """One answer. `through`: once this slice is stored, all that was submitted up to that date
    is; None within a window or where it failed."""

    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    through: date | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    entries: int = 0
    total: int = 0
    status: int = 0  # of HTTP, where it failed


class ArxivApi:
    """`url`: the API's query address."""

    def __init__(self, url: str, categories: Sequence[str], spec: SourceSpec, web: Web) -> None:
        self.url, self.spec, self.web = url, spec, web
        # `cat:cs*` stands for every category of the archive
        asked = (f"cat:{name}" if "." in name else f"cat:{name}*" for name in categories)
        self.query = f"({' OR '.join(asked)})"

    async def submitted(self, low: date, high: date) -> AsyncIterator[Slice]:
        """Papers submitted on the days [low, high], oldest first; ends with the first failure."""
        while low <= high:
            end = min(low + WINDOW - _DAY, high)
            async for part in self._window(low, end):
                yield part
                if part.verdict is not Verdict.OK:
                    return
            low = end + _DAY

    async def _window(self, low: date, high: date) -> AsyncIterator[Slice]:
        start, total = 0, 1
        dates = f"{low:%Y%m%d}0000 TO {high:%Y%m%d}2359"
        while start < total:
            page = await self._page(dates, start, SLICE)
            if page.verdict is not Verdict.OK:
                yield Slice(page.verdict, f"API, {low} to {high}: {page.message}")
                return
            start, total = start + page.entries, page.total
            said = f"submitted {low} to {high}: {start:,} of {total:,}"
            done = high if start >= total else None
            yield Slice(Verdict.OK, said, page.papers, page.bad, done)

    async def count(self, low: datetime, high: datetime) -> int | None:
        """How many papers were submitted from `low` to `high` (UTC); None where it fails."""
        page = await self._page(f"{low:%Y%m%d%H%M} TO {high:%Y%m%d%H%M}", 0, 1)
        return page.total if page.verdict is Verdict.OK else None

    async def dates(self, numbers: Sequence[str]) -> list[date]:
        """When these papers were submitted: of those it knows; none where it fails."""
        asked = {"id_list": ",".join(numbers), "max_results": len(numbers)}
        page = await self._asked(asked, 0)
        return [paper.published for paper in page.papers if paper.published]

    async def look_up(self, ids: Sequence[str]) -> LookedUp:
        """The papers of these ids (`arxiv:...`), whatever their categories. One number that the
        API refuses spoils its whole list: the list is halved until the number is found."""
        waiting, papers, missing = [list(ids)], list[Listing](), set[str]()
        for _ in range(MOST_ASKED):
            if not waiting or not (part := waiting.pop()):
                break
            numbers = ",".join(id_.removeprefix("arxiv:") for id_ in part)
            page = await self._asked({"id_list": numbers, "max_results": len(part)}, 0)
            if page.status == REFUSED and len(part) > 1:
                waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
            elif page.verdict in {Verdict.OK, Verdict.EMPTY} or page.status == REFUSED:
                papers += page.papers
                missing |= set(part) - {id_ for paper in page.papers for id_ in paper.ids}
            else:
                return LookedUp(page.verdict, page.message, tuple(papers), frozenset(missing))
        return LookedUp(Verdict.OK, "", tuple(papers), frozenset(missing))

    async def _page(self, dates: str, start: int, size: int) -> _Page:
        asked = {
            "search_query": f"{self.query} AND submittedDate:[{dates}]",
            "start": start,
            "max_results": size,
            "sortBy": "submittedDate",
            "sortOrder": "ascending",
        }
        return await self._asked(asked, start)

    async def _asked(self, asked: Mapping[str, object], start: int) -> _Page:
        answer = await self.web.get(f"{self.url}?{urlencode(asked)}", self.spec)
        if not answer.ok:
            return _Page(answer.verdict, answer.message, status=answer.status)
        return await asyncio.to_thread(_read, answer, start)


def _read(answer: Answer, start: int) -> _Page:
    read = document.read(answer.body, answer.headers.get("content-type", ""), answer.url)
    if not read.ok:
        return _Page(read.verdict, read.message)
    said = str(read.feed.get("opensearch_totalresults", ""))
    if not said.isdigit():
        return _Page(Verdict.PARSE_FAILED, "the answer does not say how many papers there are")
    for entry in read.entries:
        if "/api/errors" in str(entry.get("id", "")):
            said = f"it says: {entry.get('summary', '')}"[:300]
            return _Page(Verdict.HTTP_ERROR, said, status=REFUSED)
    if not read.entries and start < int(said):
        return _Page(Verdict.EMPTY, f"an empty page at {start:,} of {int(said):,}")
    papers, bad = listings(read.entries, listing)
    return _Page(Verdict.OK, "", papers, bad, len(read.entries), int(said))
