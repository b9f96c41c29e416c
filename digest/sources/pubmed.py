"""Kind `pubmed`: a saved search, by its feed, and by the E-utilities for what the feed dropped.

    [[sources]] name = "liver"  kind = "pubmed"  url = "https://pubmed.ncbi.nlm.nih.gov/rss/search/..."
                term = "hepatocytes[tiab] AND organoids[tiab]"

`url` is the feed that PubMed makes of a search, `term` the search itself; either will do. With
`term`, each day is asked for once it is over, so that no article is lost between two looks at a
feed of a hundred. With `url` alone, a feed that shows nothing we saw before is called short.
`base_url` sets the address of the E-utilities.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from digest import identity
from digest.errors import ConfigError, Refused
from digest.model import BadEntry, Fetched, Listing, Verdict
from digest.sources import Known, SourceSpec, archive, document, options, pubmed_api, xmltree
from digest.sources.answers import Answer
from digest.sources.archive import Owed
from digest.sources.arxiv_api import Slice
from digest.sources.entries import Entry, again, listings
from digest.sources.entries import listing as listing_of
from digest.sources.feed import advanced, silent_days, unseen
from digest.sources.health import Came, judge
from digest.sources.http import Web
from digest.sources.pubmed_api import PubmedApi, links_of
from digest.text import clean_abstract

EUTILS = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
FULL = 15  # articles in a feed that cannot be all of it; PubMed offers feeds of 15 to 100
_PMID = re.compile(r"(?:(?:pubmed|pmid):\s*|pubmed(?:\.ncbi\.nlm\.nih\.gov)?/)(\d{1,11})", re.I)
_ABSTRACT = re.compile(r"<b>\s*ABSTRACT\s*</b>(.*?)(?:<p[^<>]*>\s*PMID:|\Z)", re.I | re.S)
_TRUE_DOI = re.compile(r"DOI:\s*<a [^<>]*>(10\.[^<>\s]+)</a>\s*</p>", re.I)


class PubmedSource:
    """The cursor: the feed's validators, `seen` ids, the day something unseen last came
    (`changed`), and with a term the day up to which the E-utilities told all (`through`)."""

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec, self.web = spec, web
        given = options.read(spec, {}, {"url": "address", "term": "text", "base_url": "address"})
        if not given.keys() & {"url", "term"}:
            fault = f"source {spec.name}: needs url (the feed of a search) or term (the search)"
            raise ConfigError([fault], subject=spec.name)
        self.url: str = given.get("url", "")
        self.term: str = given.get("term", "").strip()
        self.api = PubmedApi(given.get("base_url", EUTILS), self.term, spec, web)

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        if not self.url:
            return await self._searched(cursor, now)
        answer = await self.web.get(self.url, self.spec, cursor)
        fetched = await asyncio.to_thread(_read, answer, cursor, now, bool(self.term))
        if not self.term:
            return fetched
        owed = archive.owed(cursor, now)
        if owed is None:
            through = cursor.get("through") or archive.settled(now).isoformat()
            return replace(fetched, cursor={**fetched.cursor, "through": through})
        slices = await archive.some(self.api.added(owed))
        papers = identity.fold([paper for part in slices for paper in part.papers])
        missed = archive.lacked(papers, fetched.listings, known)
        return archive.filled(fetched, slices, owed, papers, missed)

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        """An article as the E-utilities told it, or an entry of the feed."""
        if kept.startswith(b"<"):
            return again(kept, pubmed_api.listing, xmltree.opened)
        return again(kept, listing)

    async def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        """Every article added on the days [since, until], oldest first; ends with the first
        answer that failed. Raises Refused without a term, for a feed has no past."""
        if not self.term:
            name = self.spec.name
            raise Refused(f"source {name}: needs term (its search) to fetch the past", subject=name)
        async for part in self.api.added(Owed(since, until)):
            yield Fetched(part.verdict, part.message, backfill=part.papers, bad=part.bad)

    async def _searched(self, cursor: Mapping[str, str], now: datetime) -> Fetched:
        """Without a feed: what was added today and on the days of which not all is known."""
        settled, through = archive.settled(now), archive.through_in(cursor)
        first = min(through or settled, settled) + timedelta(days=1) - archive.OVERLAP
        slices = await archive.some(self.api.added(Owed(first, now.date())))
        papers = tuple(identity.fold([paper for part in slices for paper in part.papers]))
        fresh = unseen(papers, cursor)
        bad = tuple(bad for part in slices for bad in part.bad)
        reached = max((part.through for part in slices if part.through), default=None)
        after = advanced(cursor, {}, papers, fresh, now)
        if done := max(filter(None, (through, reached and min(reached, settled))), default=None):
            after["through"] = done.isoformat()
        verdict, message = _of_search(slices, len(fresh), silent_days(after, now))
        kept = after if any(part.verdict is Verdict.OK for part in slices) else dict(cursor)
        return Fetched(verdict, message, papers, bad=bad, cursor=kept)


def _of_search(slices: Sequence[Slice], fresh: int, silent: int) -> tuple[Verdict, str]:
    if failed := next((part for part in slices if part.verdict is not Verdict.OK), None):
        return failed.verdict, failed.message
    if fresh:
        return Verdict.OK, ""
    return judge(Came(Verdict.NOT_MODIFIED, silent_days=silent))


def _read(answer: Answer, cursor: Mapping[str, str], now: datetime, healed: bool) -> Fetched:
    """What the feed shows. `healed`: what it dropped is found elsewhere."""
    if not answer.ok:
        came = Came(answer.verdict, answer.message, silent_days=silent_days(cursor, now))
        return Fetched(*judge(came), cursor=dict(cursor))
    found = document.read(answer.body, answer.headers.get("content-type", ""), answer.url)
    papers, bad = listings(found.entries, listing)
    fresh = unseen(papers, cursor)
    silent = 0 if fresh else silent_days(cursor, now)
    came = Came(found.verdict, found.message, len(papers), len(fresh), silent_days=silent)
    verdict, message = judge(came)
    if not found.entries and found.verdict is Verdict.OK and cursor.get("seen") is None:
        verdict, message = Verdict.QUIET, "the search finds nothing yet"
    if not healed and cursor.get("seen") and len(fresh) == len(papers) >= FULL:
        verdict = Verdict.SHORT
        message = f"all {len(papers)} articles are new, so others may be lost: add term, the search"
    after = dict(cursor)
    if found.ok:
        kept = {name: cursor[name] for name in ("through",) if name in cursor}
        after = {**kept, **advanced(cursor, answer.validators, papers, fresh, now)}
    return Fetched(verdict, message, papers, bad=bad, cursor=after)


def listing(entry: Entry) -> Listing:
    """One entry of a saved search. Raises Unreadable."""
    paper = listing_of(entry)
    body = "".join(str(part.get("value", "")) for part in entry.get("content", ()))
    pmid = _pmid(entry)
    said = _TRUE_DOI.search(body)
    ids = [id_ for id_ in paper.ids if identity.scheme(id_) in {"doi", "arxiv"}]
    doi = identity.parse(said[1]) if said else next(iter(ids), None)
    if not pmid:
        return paper
    ids = [*ids, *([doi] if doi else []), f"pmid:{pmid}"]
    return replace(
        paper,
        ids=identity.complete(ids, paper.title, paper.authors),
        abstract=_abstract(entry, body),
        links=links_of(pmid, doi),
    )


def _pmid(entry: Entry) -> str:
    for name in ("id", "link", "dc_identifier"):
        if found := _PMID.search(str(dict.get(entry, name) or "")):
            return found[1]
    return ""


def _abstract(entry: Entry, body: str) -> str:
    """Without the citation above it and the numbers below it."""
    if found := _ABSTRACT.search(body):
        return clean_abstract(found[1])
    return "" if "NO ABSTRACT" in body else clean_abstract(str(entry.get("summary") or ""))
