"""Two months with a fault of some service on every fourth day: nothing is lost for good."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from commanding import Site
from conftest import _fresh_sqlite
from hypothesis import settings
from replaying import run

from digest.ingest import ingest
from digest.sources import SourceSpec
from digest.sources.arxiv import ArxivSource
from digest.sources.http import Web
from digest.sources.huggingface import HuggingFaceSource
from digest.store import Database, papers

FIRST, LAST = date(2025, 9, 1), date(2025, 10, 31)
CATEGORIES = ["cs.RO", "cs.GR", "eess.AS"]
SEEDS = range(40) if settings().max_examples > 1000 else [7]
MIRROR = "https://mirror.example"
DAY = timedelta(days=1)
BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><channel>&b;</channel></rss>'
PAGE = b"<!doctype html><html><head><title>Just a moment...</title></head></html>"
FAULTS = ("stale", "short", "empty", "http500", "http429", "gone", "truncated", "html", "bomb")
FAULTS += ("error_feed", "redirect_loop", "reset", "slow", "hang", "huge", "latin1")
BROKEN = ("rss", "rss", "api", "hf")
SOURCES = json.dumps(
    [
        {"name": "arxiv", "kind": "arxiv", "categories": CATEGORIES},
        {"name": "hf", "kind": "huggingface"},
    ]
)
SHAPED = {"stale", "short", "empty"}


class Services(httpx.AsyncBaseTransport):
    """arXiv and Hugging Face as replayed, without sockets; `fault` of today for `broken`."""

    def __init__(self, shared: Path) -> None:
        from replay import Replay

        self.replay: Any = Replay(shared / "data", FIRST.isoformat())
        self.replay.server.server_close()
        self.fault, self.broken = "", ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kind = {"rss": "rss", "api": "api"}[request.url.path.split("/")[1]]
        if "daily_papers" in request.url.path:
            kind = "hf"
        fault = self.fault if self.broken == kind else ""
        return self._faulty(fault, request) or self._healthy(kind, request.url, fault)

    def _healthy(self, kind: str, url: httpx.URL, fault: str) -> httpx.Response:
        query = {name: url.params.get_list(name) for name in url.params}
        if kind == "rss":
            shaped = fault if fault in SHAPED else None
            body = self.replay.rss(url.path.removeprefix("/rss/"), shaped).encode()
        else:
            answer = self.replay.daily_papers if kind == "hf" else self.replay.api
            body = answer(query).encode()
            body = b"[]" if kind == "hf" and fault == "empty" else body
        if fault == "truncated":
            body = body[: len(body) * 2 // 3]
        if fault == "latin1":
            body = body.decode().encode("latin-1", "replace")
        if fault == "huge":
            body += b" " * 3_000_000
        return httpx.Response(200, content=body)

    @staticmethod
    def _faulty(fault: str, request: httpx.Request) -> httpx.Response | None:
        if fault == "reset":
            raise httpx.ReadError("the connection was closed", request=request)
        if fault in {"slow", "hang"}:  # how both end, without waiting for it
            raise httpx.ReadTimeout("", request=request)
        there = {"location": str(request.url)}
        return {
            "http500": httpx.Response(500),
            "http429": httpx.Response(429, headers={"retry-after": "3600"}),
            "gone": httpx.Response(410),
            "html": httpx.Response(200, content=PAGE),
            "bomb": httpx.Response(200, content=BOMB),
            "error_feed": httpx.Response(400, text="<title>Feed error for query</title>"),
            "redirect_loop": httpx.Response(302, headers=there),
        }.get(fault)


def days() -> Iterator[date]:
    day = FIRST
    while day <= LAST:
        yield day
        day += DAY


async def one_pass(db: Database, services: Services, now: datetime) -> None:
    bounds: dict[str, Any] = {"timeout": 5.0, "max_bytes": 2_500_000}
    web = Web(transport=services, intervals={})
    options = {"base_url": MIRROR, "categories": CATEGORIES}
    async with web:
        asked = [
            ArxivSource(SourceSpec("arxiv", "arxiv", options, **bounds), web),
            HuggingFaceSource(SourceSpec("hf", "huggingface", {"base_url": MIRROR}, **bounds), web),
        ]
        await ingest(db, asked, now)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_months_with_bad_days_end_with_every_paper_known_once_and_each_bad_day_told(
    tmp_path: Path, shared: Path, seed: int
) -> None:
    site, services = Site(_fresh_sqlite(tmp_path).parent), Services(shared)
    db = Database(f"sqlite:///{site.folder / 'digest.db'}")
    bad = lived_through(db, services, random.Random(seed))
    announced = {
        f"arxiv:{paper['id']}"
        for paper in services.replay.papers
        if str(FIRST) <= paper["date"] <= str(LAST) and set(CATEGORIES) & set(paper["cats"])
    }
    with db.reading() as tx:
        stored = Counter(paper.id for paper in papers.listed(tx, 0))
    db.dispose()
    assert announced - stored.keys() == set()
    assert max(stored.values()) == 1
    told = site("source", "list", "--json", now=noon(LAST), DIGEST_SOURCES=SOURCES).json
    listed = {(row["name"], day["day"]) for row in told for day in row["bad_days"]}
    assert {(name, str(day)) for name, day in bad} - listed == set()


def lived_through(db: Database, services: Services, chance: random.Random) -> set[tuple[str, date]]:
    """A pass on each day; the (source, day) on which its service failed so that it shows."""
    bad = set()
    for number, day in enumerate(days()):
        services.replay.day = day.isoformat()
        services.fault = services.broken = ""
        if number % 4 == 3:
            services.fault, services.broken = chance.choice(FAULTS), chance.choice(BROKEN)
        if shows(services, day):
            bad.add(("hf" if services.broken == "hf" else "arxiv", day))
        run(one_pass(db, services, noon(day)))
    return bad


def shows(services: Services, day: date) -> bool:
    """False for what is no fault to whoever asks: bytes that can be read all the same, a feed
    that is small or repeats itself on a day without announcement, what the daily page's replay
    cannot do, and an API that was not needed."""
    announces = bool(services.replay.by_day.get(day.isoformat()))
    shaped = services.fault in SHAPED and (services.broken == "hf" or not announces)
    return bool(services.fault) and not (
        shaped or services.fault == "latin1" or services.broken == "api"
    )


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
