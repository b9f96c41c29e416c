"""Kind `arxiv`: the feed of the day's announcement, and the API for what the feed did not bring.

    [[sources]] name = "arxiv-ml"  kind = "arxiv"  categories = ["cs.LG", "stat.ML"]

`base_url` asks one place for both (`{base_url}/rss/...`, `{base_url}/api/query`); `api_url` sets
the API's own address. The feed holds one announcement only, so a day that was missed (we were
down; the feed was stale, short, empty or broken) is fetched through the API, by the dates on
which its papers were submitted. What the API cannot give: old papers cross-listed on such a day.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from urllib.parse import quote

from digest.errors import ConfigError
from digest.model import Announce, Fetched, Listing, Verdict
from digest.sources import Known, SourceSpec, eastern, options
from digest.sources.announcement import read
from digest.sources.arxiv_api import ArxivApi, Slice
from digest.sources.gaps import Gap, after_slices, missing
from digest.sources.health import judge
from digest.sources.http import Web

RSS = "https://rss.arxiv.org/rss"
API = "https://export.arxiv.org/api/query"
FEED_LIMIT = 2000  # papers; the feed shows no more of one announcement
MAX_SLICES = 20  # of a gap in one fetch; the next fetch goes on
_CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)*(?:\.[A-Za-z]+(?:-[a-z]+)?)?")
_REPLACED = {Announce.REPLACE, Announce.REPLACE_CROSS}


class ArxivSource:
    """The cursor: `etag` and `modified` of the last good answer; `day`, the last announcement
    taken, with its ids in `seen`; `counts` by weekday; `complete`, the last announcement of which
    all is known; `asked`, when the API last answered for a day that it may learn more about."""

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec, self.web = spec, web
        may = {"base_url": "address", "api_url": "address"}
        given = options.read(spec, {"categories": "texts"}, may)
        categories = [category.strip() for category in given["categories"]]
        if odd := [name for name in categories if not _CATEGORY.fullmatch(name)]:
            fault = f"source {spec.name}: categories: {', '.join(odd)}: no category of arXiv"
            raise ConfigError([fault], subject=spec.name)
        base = str(given.get("base_url", "")).rstrip("/")
        feeds = f"{base}/rss" if base else RSS
        self.feed_url = f"{feeds}/{'+'.join(map(quote, categories))}"
        api_url = given.get("api_url") or (f"{base}/api/query" if base else API)
        self.api = ArxivApi(api_url, categories, spec, web)

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        answer = await self.web.get(self.feed_url, self.spec, cursor)
        shown = await asyncio.to_thread(read, answer)
        verdict, message = judge(shown.came(cursor, now))
        if verdict is Verdict.OK and shown.entries >= FEED_LIMIT:
            verdict, message = Verdict.SHORT, f"the feed ends at {FEED_LIMIT:,} papers"
        after = shown.advanced(cursor, verdict, now)
        papers = _of_known_works(shown.papers, known)
        fetched = Fetched(verdict, message, papers, bad=shown.bad, cursor=after)
        return await self._mended(fetched, known, now)

    async def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        """Everything announced on the days [since, until], oldest first, a slice at a time; ends
        with the first slice that failed, and what came before it holds."""
        async for part in self.api.submitted(eastern.submitted_from(since), until):
            yield Fetched(part.verdict, part.message, backfill=part.papers, bad=part.bad)

    async def _mended(self, fetched: Fetched, known: Known, now: datetime) -> Fetched:
        """`fetched`, with the papers of the days that are missing by now."""
        gap = missing(fetched.cursor, fetched.verdict, now)
        if gap is None:
            return replace(fetched, cursor=after_slices(fetched.cursor, None, None, now))
        slices = await self._slices(gap)
        found = [paper for part in slices for paper in part.papers]
        known_ids = known([paper.ids[0] for paper in found])
        new = tuple(p for p in found if p.ids[0] not in known_ids or p.version > 1)
        failed = next((part for part in slices if part.verdict is not Verdict.OK), None)
        through = max((part.through for part in slices if part.through), default=None)
        return Fetched(
            verdict=failed.verdict if failed and fetched.verdict.healthy else fetched.verdict,
            message=_told(fetched.message, gap, len(new), through, failed),
            listings=fetched.listings,
            backfill=new,
            bad=(*fetched.bad, *(bad for part in slices for bad in part.bad)),
            cursor=after_slices(fetched.cursor, gap, through, now),
        )

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


def _told(said: str, gap: Gap, new: int, through: date | None, failed: Slice | None) -> str:
    days = str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"
    told = f"{days} asked through the API: {new or 'no'} papers were missing"
    if failed:
        told += f"; unfinished: {failed.message}"
    elif through is None or through < gap.last:
        told += f"; done to {through}, goes on next time"
    return f"{said}; {told}" if said else told
