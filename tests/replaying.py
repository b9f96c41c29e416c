"""Real arXiv and Hugging Face days on loopback, and what tests of sources share."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx

from digest.ingest import ingest
from digest.model import Fetched, SourceReport
from digest.sources import Source, SourceSpec
from digest.sources.arxiv import ArxivSource
from digest.sources.http import Web
from digest.sources.huggingface import HuggingFaceSource
from digest.store import Database

CATEGORIES = ["cs.RO", "cs.GR"]  # few papers a day, for quick tests
TARGET = "cs.RO+cs.GR"  # as the replay names these categories in its faults
Handler = Any
T = TypeVar("T")


def noon(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+00:00").astimezone(UTC)


def replaying(shared: Path, day: str) -> Any:
    """A replay of its own, to be entered."""
    from replay import Replay  # of the shared tools, which the fixture `shared` puts on the path

    replay = Replay(shared / "data", day)
    replay.server.RequestHandlerClass.wbufsize = -1  # one packet an answer: no delayed ACKs
    return replay


@cache
def _started(shared: Path) -> Any:
    return replaying(shared, "2025-09-15").__enter__()


def replay_on(shared: Path, day: str) -> Any:
    """The replay, set to a day, without faults, with an empty log."""
    replay = _started(shared)
    replay.day = day
    replay.fault.clear()
    replay.log.clear()
    return replay


def web_of(handler: Handler, **more: Any) -> Web:
    """A Web whose network is a function from httpx.Request to httpx.Response."""
    more = {"intervals": {}} | more
    return Web("https://digest.example", transport=httpx.MockTransport(handler), **more)


def no_web() -> Web:
    """A network on which nothing is asked."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    return web_of(refuse)


def spec(kind: str = "feed", **options: object) -> SourceSpec:
    bounds = {
        key: options.pop(key) for key in ("timeout", "max_bytes", "trusted") if key in options
    }
    return SourceSpec(kind, kind, options, **bounds)  # type: ignore[arg-type]


def arxiv(web: Web, base_url: str, **options: object) -> ArxivSource:
    return ArxivSource(spec("arxiv", base_url=base_url, categories=CATEGORIES, **options), web)


def hf(web: Web, base_url: str, **options: object) -> HuggingFaceSource:
    return HuggingFaceSource(spec("huggingface", base_url=base_url, **options), web)


def nothing_known(ids: Collection[str]) -> frozenset[str]:
    return frozenset()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def fetch(source: Source, now: datetime, cursor: Mapping[str, str] | None = None) -> Fetched:
    return run(source.fetch(cursor or {}, nothing_known, now))


def ingest_from(
    db: Database, url: str, now: datetime, hasty: str = "", max_bytes: int = 5_000_000
) -> dict[str, SourceReport]:
    """One pass over arXiv and Hugging Face as `url` replays them: {source: report}. `hasty` names
    the one that waits less than a second; a busy machine must not hurry the other."""

    def bounds(name: str) -> dict[str, object]:
        return {"timeout": 0.8 if name == hasty else 30.0, "max_bytes": max_bytes}

    async def one_pass() -> Sequence[SourceReport]:
        async with Web("https://digest.example", intervals={}) as web:
            both = arxiv(web, url, **bounds("arxiv")), hf(web, url, **bounds("huggingface"))
            return await ingest(db, both, now)

    return {report.source: report for report in run(one_pass())}
