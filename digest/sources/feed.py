"""Kind `feed`: any RSS, Atom, RDF or JSON feed.

[[sources]] name = "nature"  kind = "feed"  url = "https://www.nature.com/nature.rss"
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from digest.model import BadEntry, Fetched, Listing
from digest.sources import Known, SourceSpec, document, jsonfeed, options
from digest.sources.answers import Answer
from digest.sources.entries import again, listing, listings
from digest.sources.health import Came, judge
from digest.sources.http import Web

MAX_SEEN = 3000  # ids of the last answers that are kept to tell what repeats itself


class FeedSource:
    """Asks one address. The cursor holds the validators of the last answer, the ids it showed
    (`seen`) and the day something unseen last came (`changed`)."""

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec = spec
        self.web = web
        self.url: str = options.read(spec, {"url": "address"}, {})["url"]

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        answer = await self.web.get(self.url, self.spec, cursor)
        if not answer.ok:
            came = Came(answer.verdict, answer.message, silent_days=silent_days(cursor, now))
            verdict, message = judge(came)
            return Fetched(verdict, message, cursor=dict(cursor))
        return await asyncio.to_thread(self._read, answer, cursor, now)

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        return again(
            kept, lambda entry: (listing if _is_parsed(entry) else jsonfeed.listing)(entry)
        )

    def _read(self, answer: Answer, cursor: Mapping[str, str], now: datetime) -> Fetched:
        content_type = answer.headers.get("content-type", "")
        read_one: Callable[[Any], Listing]
        if jsonfeed.is_one(answer.body):
            read, read_one = jsonfeed.read(answer.body), jsonfeed.listing
        else:
            read, read_one = document.read(answer.body, content_type, answer.url), listing
        papers, bad = listings(read.entries, read_one)
        fresh = unseen(papers, cursor)
        silent = 0 if fresh else silent_days(cursor, now)
        came = Came(read.verdict, read.message, len(papers), len(fresh), silent_days=silent)
        verdict, message = judge(came)
        after = advanced(cursor, answer.validators, papers, fresh, now) if read.ok else dict(cursor)
        return Fetched(verdict, message, papers, bad=bad, cursor=after)


def _is_parsed(entry: Any) -> bool:
    """True for what feedparser made of an entry; an item of a JSON Feed has none of these."""
    names = entry.keys() if isinstance(entry, dict) else ()
    marks = {"links", "guidislink", "content"}
    return any(name in marks or name.endswith("_detail") for name in names)


def unseen(papers: Sequence[Listing], cursor: Mapping[str, str]) -> list[Listing]:
    """The papers that this source's last answers did not show."""
    before = set(cursor.get("seen", "").split())
    return [paper for paper in papers if paper.ids[0] not in before]


def advanced(
    cursor: Mapping[str, str],
    validators: Mapping[str, str],
    papers: Sequence[Listing],
    fresh: Sequence[Listing],
    now: datetime,
) -> dict[str, str]:
    """The cursor after a good answer that showed `papers`, of which `fresh` are unseen."""
    shown = [paper.ids[0] for paper in papers]
    seen = list(dict.fromkeys([*shown, *cursor.get("seen", "").split()]))[:MAX_SEEN]
    changed = now.date().isoformat() if fresh else cursor.get("changed", now.date().isoformat())
    return {**validators, "seen": " ".join(seen), "changed": changed}


def silent_days(cursor: Mapping[str, str], now: datetime) -> int:
    """Days since the source last showed anything unseen."""
    changed = cursor.get("changed")
    return (now.date() - date.fromisoformat(changed)).days if changed else 0
