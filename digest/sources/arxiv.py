"""Kind `arxiv`: the feed of the day's announcement, and the API for what the feed did not bring.

    [[sources]] name = "arxiv-ml"  kind = "arxiv"  categories = ["cs.LG", "stat.ML"]

`format` is `rss` or `atom`, in which arXiv tells the same. `base_url` asks one place for all
(`{base_url}/rss/...`, `{base_url}/api/query`, `{base_url}/oai`); `api_url` and `oai_url` set the
addresses of the API and of OAI-PMH, which fills gaps of months. The feed holds one announcement
only, so a day that was missed (we were down; the feed was stale, short, empty or broken) is fetched
through the API, by the dates on which its papers were submitted. What the API cannot give: old
papers cross-listed on such a day.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from urllib.parse import quote

from digest.errors import ConfigError
from digest.model import Announce, BadEntry, Fetched, Listing, Verdict
from digest.sources import Known, LookedUp, SourceSpec, eastern, oai, options, tally, xmltree
from digest.sources.announcement import Announcement, day_in, read
from digest.sources.arxiv_api import ArxivApi, Slice
from digest.sources.entries import again, listing
from digest.sources.gaps import Gap, after_slices, missing
from digest.sources.health import judge
from digest.sources.http import Web
from digest.sources.oai import OAI, ArxivOai, suits

FEEDS = "https://rss.arxiv.org"
API = "https://export.arxiv.org/api/query"
FEED_LIMIT = 2000  # papers; the feed shows no more of one announcement
MAX_SLICES = 20  # of a gap in one fetch; the next fetch goes on
SLACK = 0.1  # of an announcement: what feed and API may differ in
_CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)*(?:\.[A-Za-z]+(?:-[a-z]+)?)?")
_REPLACED = {Announce.REPLACE, Announce.REPLACE_CROSS}


class ArxivSource:
    """The cursor: `etag` and `modified` of the last good answer; `day`, the last announcement
    taken, with its ids in `seen`; `counts` by weekday; `tally`, the API's own count; `complete`,
    the last announcement of which all is known; `asked`, when the API last answered for a day
    that it may learn more about."""

    scheme = "arxiv"

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec, self.web = spec, web
        may = {"base_url": "address", "api_url": "address", "oai_url": "address", "format": "text"}
        given = options.read(spec, {"categories": "texts"}, may)
        categories = [category.strip() for category in given["categories"]]
        if odd := [name for name in categories if not _CATEGORY.fullmatch(name)]:
            fault = f"source {spec.name}: categories: {', '.join(odd)}: no category of arXiv"
            raise ConfigError([fault], subject=spec.name)
        if (form := given.get("format", "rss")) not in {"rss", "atom"}:
            fault = f"source {spec.name}: format: must be rss or atom, not {form!r}"
            raise ConfigError([fault], subject=spec.name)
        base = str(given.get("base_url", "")).rstrip("/")
        self.feed_url = f"{base or FEEDS}/{form}/{'+'.join(map(quote, categories))}"
        api_url = given.get("api_url") or (f"{base}/api/query" if base else API)
        self.api = ArxivApi(api_url, categories, spec, web)
        oai_url = given.get("oai_url") or (f"{base}/oai" if base else OAI)
        self.oai = ArxivOai(oai_url, categories, spec, web)

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        answer = await self.web.get(self.feed_url, self.spec, cursor)
        shown = await asyncio.to_thread(read, answer)
        verdict, message = judge(shown.came(cursor, now))
        if verdict is Verdict.OK and shown.entries >= FEED_LIMIT:
            verdict, message = Verdict.SHORT, f"the feed ends at {FEED_LIMIT:,} papers"
        cursor, lacking = await self._tallied(cursor, shown, verdict, now)
        if lacking:
            verdict, message = Verdict.SHORT, lacking
        after = shown.advanced(cursor, verdict, now)
        papers = _of_known_works(shown.papers, known)
        fetched = Fetched(verdict, message, papers, bad=shown.bad, cursor=after)
        gap = missing(after, verdict, now)
        if gap is None:
            return replace(fetched, cursor=after_slices(after, None, None, now))
        filled = _filled(await self._slices(gap), papers, known)
        if verdict is Verdict.SHORT and filled.confirms(shown):
            fetched = replace(fetched, verdict=Verdict.OK)
            after = shown.advanced(cursor, Verdict.OK, now)
        return filled.added_to(fetched, after_slices(after, gap, filled.through, now), gap)

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        """A record of OAI-PMH, or an entry of the feed or the API."""
        if kept.startswith(b"<"):
            return again(kept, oai.listing, xmltree.opened)
        return again(kept, listing)

    async def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        """Everything announced on the days [since, until], oldest first, a slice at a time; ends
        with the first slice that failed, and what came before it holds."""
        first = eastern.submitted_from(since)
        archive = self.oai if suits(first, until, now.date()) else self.api
        async for part in archive.submitted(first, until):
            done = {"through": part.through.isoformat()} if part.through else {}
            yield Fetched(
                part.verdict, part.message, backfill=part.papers, bad=part.bad, cursor=done
            )

    async def _tallied(
        self, cursor: Mapping[str, str], shown: Announcement, verdict: Verdict, now: datetime
    ) -> tuple[Mapping[str, str], str]:
        """(the cursor with the API's own count, in words that the feed shows far less of it)."""
        if verdict is Verdict.OK:
            return await self._against(cursor, shown.day, [p.ids[0] for p in shown.added], now)
        if verdict not in {Verdict.QUIET, Verdict.NOT_MODIFIED}:
            return cursor, ""
        day = day_in(cursor, "day")  # taken before, when the API was behind
        after, lacking = await self._against(cursor, day, cursor.get("seen", "").split(), now)
        if day is None or after is cursor or not lacking:
            return after, ""
        return {**after, "complete": eastern.before(day).isoformat()}, lacking

    async def _against(
        self, cursor: Mapping[str, str], day: date | None, ids: Sequence[str], now: datetime
    ) -> tuple[Mapping[str, str], str]:
        if day is None:
            return cursor, ""
        if tally.due(cursor, day, len(ids), now):
            cursor = tally.noted(cursor, day, await tally.ask(self.api, day, ids), now)
        return cursor, tally.lacking(cursor, day, len(ids))

    async def look_up(self, ids: Sequence[str]) -> LookedUp:
        """The papers of these ids, announced or not, of any category."""
        return await self.api.look_up(ids)

    async def _slices(self, gap: Gap) -> list[Slice]:
        slices: list[Slice] = []
        async for part in self.api.submitted(eastern.submitted_from(gap.first), gap.last):
            slices.append(part)
            if len(slices) >= MAX_SLICES:
                break
        return slices


def _of_known_works(papers: Sequence[Listing], known: Known) -> tuple[Listing, ...]:
    """Without replacements of papers that we never had: they are not new, and never were ours."""
    replaced = [id_ for paper in papers if paper.announce in _REPLACED for id_ in paper.ids]
    ours = known(replaced) if replaced else frozenset()
    return tuple(p for p in papers if p.announce not in _REPLACED or not ours.isdisjoint(p.ids))


@dataclass(frozen=True, slots=True)
class _Filled:
    """What the API told of a gap: `told` ids, the papers we lacked, newer versions of others."""

    told: frozenset[str]
    lacked: tuple[Listing, ...]
    revised: tuple[Listing, ...]
    bad: tuple[BadEntry, ...]
    through: date | None
    failed: Slice | None

    def confirms(self, shown: Announcement) -> bool:
        """True where a short announcement is just a small one: the API knows what the feed shows
        (its index is not behind) and next to nothing that we lack."""
        added = {paper.ids[0] for paper in shown.added}
        return max(len(added - self.told), len(self.lacked)) <= len(added) * SLACK

    def added_to(self, fetched: Fetched, cursor: Mapping[str, str], gap: Gap) -> Fetched:
        worse = self.failed is not None and fetched.verdict.healthy
        return Fetched(
            verdict=self.failed.verdict if self.failed and worse else fetched.verdict,
            message=self._said(fetched.message, gap),
            listings=fetched.listings,
            backfill=(*self.lacked, *self.revised),
            bad=(*fetched.bad, *self.bad),
            cursor=cursor,
        )

    def _said(self, before: str, gap: Gap) -> str:
        days = str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"
        said = f"{days} asked through the API: {len(self.lacked) or 'no'} papers were missing"
        if self.failed:
            said += f"; unfinished: {self.failed.message}"
        elif self.through is None or self.through < gap.last:
            said += f"; done to {self.through}, goes on next time"
        return f"{before}; {said}" if before else said


def _filled(slices: Sequence[Slice], papers: Sequence[Listing], known: Known) -> _Filled:
    found = {paper.ids[0]: paper for part in slices for paper in part.papers}
    shown = {paper.ids[0] for paper in papers}
    ours = known(list(found)) if found else frozenset()
    return _Filled(
        told=frozenset(found),
        lacked=tuple(p for id_, p in found.items() if id_ not in ours and id_ not in shown),
        revised=tuple(p for id_, p in found.items() if id_ in ours and p.version > 1),
        bad=tuple(bad for part in slices for bad in part.bad),
        through=max((part.through for part in slices if part.through), default=None),
        failed=next((part for part in slices if part.verdict is not Verdict.OK), None),
    )
