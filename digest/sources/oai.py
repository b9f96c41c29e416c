"""arXiv by OAI-PMH: for gaps of months, which the API would answer slowly or not at all.

One set a category, a thousand records an answer, told in the format `arXivRaw`, which has all
versions with their dates. A record's datestamp is that of its last modification, so everything
modified since the gap began is read, and what was first submitted in the gap is kept.
"""

from __future__ import annotations

import asyncio
import email.utils
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from urllib.parse import urlencode

from digest import identity
from digest.model import BadEntry, Listing, Verdict
from digest.sources import SourceSpec, xmltree
from digest.sources.answers import Answer
from digest.sources.arxiv_api import Slice
from digest.sources.entries import MAX_CATEGORIES, Unreadable, arxiv_links
from digest.sources.http import Web
from digest.sources.xmltree import Node
from digest.text import clean_abstract, clean_line, clean_title, split_authors

OAI = "https://oaipmh.arxiv.org/oai"
LONG = timedelta(days=30)  # gaps longer than this are asked for here
RECENT = timedelta(days=60)  # and only those that end so near: all since their begin is read
MOST_WAITS, LONGEST_WAIT = 3, 900.0  # seconds the service may ask us to wait, and how often
MAX_PAGES = 2000  # of one set
_PHYSICS = (
    "astro-ph cond-mat gr-qc hep-ex hep-lat hep-ph hep-th math-ph nlin nucl-ex nucl-th physics"
    " quant-ph"
)


@dataclass(frozen=True, slots=True)
class _Page:
    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    token: str = ""
    lost: bool = False  # the list we were reading is gone: it must be begun again


def suits(since: date, until: date, today: date) -> bool:
    """True for a gap that this is the better way to fill."""
    return until - since > LONG and today - until <= RECENT


def set_of(category: str) -> str:
    """`cs.LG` is `cs:cs:LG`, `hep-th` is `physics:hep-th`, and all of `cs` is `cs`."""
    archive, _, subject = category.partition(".")
    group = "physics" if archive in _PHYSICS.split() else archive
    if not subject:
        return group if group == archive != "physics" else f"{group}:{archive}"
    return f"{group}:{archive}:{subject}"


class ArxivOai:
    """`url`: the address of the OAI-PMH service."""

    def __init__(self, url: str, categories: Sequence[str], spec: SourceSpec, web: Web) -> None:
        self.url, self.spec, self.web = url, spec, web
        self.sets = [set_of(category) for category in categories]

    async def submitted(self, low: date, high: date) -> AsyncIterator[Slice]:
        """Papers first submitted on the days [low, high], in the order of their modification;
        ends with the first failure. Only the last slice says that the days are done."""
        for at, name in enumerate(self.sets):
            async for page in self._listed(name, low):
                papers = tuple(p for p in page.papers if p.published and low <= p.published <= high)
                last = at == len(self.sets) - 1 and not page.token
                ok = page.verdict is Verdict.OK
                said = f"set {name}: {page.message}" if ok else f"OAI, {name}: {page.message}"
                done = high if last and ok else None
                yield Slice(page.verdict, said, papers, page.bad, done)
                if not ok:
                    return

    async def _listed(self, name: str, low: date) -> AsyncIterator[_Page]:
        """All pages of one set. A list that the service has forgotten is begun again, once."""
        first = {"verb": "ListRecords", "metadataPrefix": "arXivRaw", "set": name, "from": str(low)}
        asked, again, told = first, False, set[str]()
        for _ in range(MAX_PAGES):
            page = await self._page(asked)
            if page.lost and not again:
                asked, again = first, True
                told.clear()
                continue
            if page.token and page.token in told:
                page = _Page(Verdict.PARSE_FAILED, "it goes in circles", page.papers, page.bad)
            yield page
            if page.verdict is not Verdict.OK or not page.token:
                return
            told.add(page.token)
            asked = {"verb": "ListRecords", "resumptionToken": page.token}
        yield _Page(Verdict.TOO_LARGE, f"more than {MAX_PAGES:,} answers")

    async def _page(self, asked: dict[str, str]) -> _Page:
        """One answer, waiting as long as the service wants us to."""
        url = f"{self.url}?{urlencode(asked)}"
        answer = await self.web.get(url, self.spec)
        for _ in range(MOST_WAITS):
            if not 0 < answer.retry_after <= LONGEST_WAIT:
                break
            await asyncio.sleep(answer.retry_after)
            answer = await self.web.get(url, self.spec)
        return await asyncio.to_thread(_read, answer)


def _read(answer: Answer) -> _Page:
    parsed = xmltree.parsed(answer)
    root = parsed.root
    if root is None:
        return _Page(parsed.verdict, parsed.message)
    if error := root.at("error"):
        return _refusal(error)
    records = root.at("ListRecords")
    if root.name != "OAI-PMH" or records is None:
        return _Page(Verdict.PARSE_FAILED, f"no records but <{clean_line(root.name, 60)}>")
    papers, bad = _listings(records)
    token = records.text("resumptionToken").strip()[:2000]
    said = f"{sum(1 for _ in records.each('record')):,} records"
    return _Page(Verdict.OK, said, papers, bad, token)


def _refusal(error: Node) -> _Page:
    """What the protocol calls an error; that nothing matches is none."""
    code = error.attributes.get("code", "")
    if code == "noRecordsMatch":
        return _Page(Verdict.OK, "no records")
    said = f"it says: {clean_line(f'{code} {error.text()}', 300)}"
    return _Page(Verdict.HTTP_ERROR, said, lost=code == "badResumptionToken")


def _listings(records: Node) -> tuple[tuple[Listing, ...], tuple[BadEntry, ...]]:
    good, bad = [], []
    for record in records.each("record"):
        header = record.at("header")
        if header is not None and header.attributes.get("status") == "deleted":
            continue
        try:
            good.append(listing(record))
        except Unreadable as error:
            reason = f"{record.text('header/identifier')[:100]} {error}"
            bad.append(BadEntry(record.kept(), reason))
    return tuple(identity.fold(good)), tuple(bad)


def listing(record: Node) -> Listing:
    """One record. `published` is the day of its first version. Raises Unreadable."""
    raw = record.at("metadata/arXivRaw")
    if raw is None:
        raise Unreadable("has no arXivRaw")
    id_ = identity.parse(raw.text("id")) or identity.parse(record.text("header/identifier"))
    title = clean_title(raw.text("title"))
    if not title or not id_ or identity.scheme(id_) != "arxiv":
        raise Unreadable("has no title" if id_ else "has no arXiv number")
    authors = split_authors(raw.text("authors"))
    dois = (identity.parse(said) for said in raw.text("doi").split())
    numbers, first = _versions(raw)
    return Listing(
        ids=identity.complete([id_, *(doi for doi in dois if doi)], title, authors),
        title=title,
        abstract=clean_abstract(raw.text("abstract")),
        authors=authors,
        categories=tuple(dict.fromkeys(raw.text("categories").split()))[:MAX_CATEGORIES],
        published=first,
        version=max(numbers, default=1),
        links=arxiv_links(id_.partition(":")[2]),
    )


def _versions(raw: Node) -> tuple[list[int], date | None]:
    """(the numbers of all versions, the day of the first)."""
    dates: dict[int, date | None] = {}
    for version in raw.each("version"):
        number = re.fullmatch(r"v(\d{1,3})", version.attributes.get("version", ""))
        if number:
            dates[int(number[1])] = _day(version.text("date"))
    return list(dates), dates[min(dates)] if dates else None


def _day(said: str) -> date | None:
    """The day of `Mon, 15 Sep 2025 17:59:59 GMT`, in UTC."""
    try:
        found = email.utils.parsedate_to_datetime(said.strip())
    except (TypeError, ValueError):
        return None
    return (found.astimezone(UTC) if found.tzinfo else found).date()
