"""Ingest beside its parser: two real months of arXiv and Hugging Face, fetched, parsed, cleaned,
identified and stored, against bare `feedparser.parse` over the same bytes.

    python bench/ingest.py [--days 61] [--papers 1000000]

Prints JSON. `ratio` is CPU seconds of the whole ingest over those of `feedparser.parse` (and
`json.loads` for what is JSON) in the same run, each day parsed right after it was ingested; the
mark is at most 2. Answers are made in this process and handed over without a socket, as an httpx
transport; the time that making them takes is counted for neither. Of few days the loading of
tables is a large part. `memory_mb` is what the process holds after days 10 and 30 and at the end,
with the database's page cache (64 MB for a connection at most) and without. `lookup` is
microseconds for each paper found by any of its ids, in a store of 10,000 papers and in one of
--papers; its mark is at most 1.5 times as long.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import feedparser
import httpx
import sinks

from digest.ingest import ingest
from digest.model import Listing
from digest.sources import SourceSpec
from digest.sources.arxiv import ArxivSource
from digest.sources.http import Web
from digest.sources.huggingface import HuggingFaceSource
from digest.store import Database, papers

FIRST = date(2025, 9, 1)
CATEGORIES = [
    "cs.CL",
    "cs.CV",
    "cs.AI",
    "cs.LG",
    "cs.RO",
    "cs.IR",
    "cs.SD",
    "eess.IV",
    "eess.AS",
    "cs.GR",
]
MIRROR = "https://mirror.example"
FEW = 10_000  # papers of the store that the large one is held against
ASKED = 100  # ids in one lookup
ABSTRACT = 1000  # characters, of the papers that fill a store


# ------------------------------------------------------------------ the services, in this process


class Services(httpx.AsyncBaseTransport):
    """arXiv and Hugging Face as replayed. `making`: CPU seconds spent on making answers; `bodies`:
    (is a feed, bytes) of the answers since they were last taken."""

    def __init__(self, shared: Path) -> None:
        sys.path.insert(0, str(shared / "tools"))
        from replay import Replay

        self.replay = Replay(shared / "data", FIRST.isoformat())
        self.replay.server.server_close()  # asked without its server
        self.making = 0.0
        self.bodies: list[tuple[bool, bytes]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        begun = time.process_time()
        body, kind = self._answer(request.url)
        self.bodies.append((kind != "json", body))
        answer = httpx.Response(200, content=body, headers={"content-type": f"application/{kind}"})
        self.making += time.process_time() - begun
        return answer

    def _answer(self, url: httpx.URL) -> tuple[bytes, str]:
        query = {name: url.params.get_list(name) for name in url.params}
        if url.path.startswith("/rss/"):
            return self.replay.rss(url.path.removeprefix("/rss/"), None).encode(), "rss+xml"
        if url.path == "/api/query":
            return self.replay.api(query).encode(), "atom+xml"
        return self.replay.daily_papers(query).encode(), "json"

    def taken(self) -> list[tuple[bool, bytes]]:
        bodies, self.bodies = self.bodies, []
        return bodies


@contextmanager
def fresh(folder: str, name: str) -> Any:
    db = Database(f"sqlite:///{folder}/{name}.db")
    db.upgrade()
    try:
        yield db
    finally:
        db.dispose()


# ------------------------------------------------------------------ two months


def months(shared: Path, folder: str, days: int) -> dict[str, Any]:
    services, spent = Services(shared), {"ingest": 0.0, "parse": 0.0}
    memory: dict[str, float] = {}
    bare: dict[str, float] = {}
    size = 0
    with fresh(folder, "months") as db:
        for number in range(1, days + 1):
            day = FIRST + timedelta(days=number - 1)
            services.replay.day = day.isoformat()
            spent["ingest"] += _ingested(db, services, day)
            bodies = services.taken()
            size += sum(len(body) for _, body in bodies)
            spent["parse"] += _seconds(partial(_parsed, bodies))
            if number in {10, 30, days}:
                memory[f"day {number}"] = _memory_mb()
                db.dispose()  # with the pages it keeps, of which there is a bound
                bare[f"day {number}"] = _memory_mb()
        with db.reading() as tx:
            known = papers.count(tx)
    ratio = spent["ingest"] / spent["parse"]
    return {
        "days": days,
        "papers": known,
        "mb_read": round(size / 1e6, 1),
        "cpu_seconds": {name: round(value, 2) for name, value in spent.items()},
        "ms_for_each_paper": round(spent["ingest"] / known * 1000, 2),
        "ratio": round(ratio, 2),
        "mark": 2,
        "memory_mb": memory,
        "memory_mb_without_page_cache": bare,
    }


def _ingested(db: Database, services: Services, day: date) -> float:
    """CPU seconds of one day's pass, without the making of the answers."""
    making = services.making
    took = _seconds(lambda: asyncio.run(_pass(db, services, day)))
    return took - (services.making - making)


async def _pass(db: Database, services: Services, day: date) -> None:
    now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    web = Web("https://digest.example", transport=services, intervals={})
    arxiv = {"base_url": MIRROR, "categories": CATEGORIES}
    both = [
        ArxivSource(SourceSpec("arxiv", "arxiv", arxiv), web),
        HuggingFaceSource(SourceSpec("hf", "huggingface", {"base_url": MIRROR}), web),
    ]
    async with web:
        await ingest(db, both, now)


def _parsed(bodies: Sequence[tuple[bool, bytes]]) -> None:
    for is_feed, body in bodies:
        feedparser.parse(body) if is_feed else json.loads(body)


# ------------------------------------------------------------------ a store that is full


def lookups(folder: str, many: int) -> dict[str, Any]:
    """Microseconds for each paper: known or not, found with its text, and remembered again."""
    with fresh(folder, "few") as few, fresh(folder, "many") as full:
        fill(few, FEW)
        filled = time.perf_counter()
        fill(full, many)
        filled = time.perf_counter() - filled
        stores = {FEW: few, many: full}
        tasks = {"known": _known, "find": _find, "remember": _remember}
        took = {name: _in_turns(task, stores) for name, task in tasks.items()}
    ratios = {name: round(each[many] / each[FEW], 2) for name, each in took.items()}
    return {
        "microseconds_for_each_paper": took,
        "ratio": ratios,
        "mark": 1.5,
        "filled_in_seconds": round(filled, 1),
    }


def fill(db: Database, number: int) -> None:
    """`number` papers with three ids each, made by the database itself."""
    abstract = ("the words of an abstract that tells what was found " * 40)[:ABSTRACT]
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
    texts = "'new', 'bench', '2025-01-01 00:00:00.000000'"
    with db.writing() as tx:
        for into in (
            "papers (key, id, revision, version, first_seen)"
            f" {numbers} SELECT i, 'arxiv:' || i, 1, 1, datetime(1e9 + i, 'unixepoch') || '.000000'"
            " FROM n",
            f"paper_ids (id, paper) {numbers} SELECT 'arxiv:' || i, i FROM n",
            f"paper_ids (id, paper) {numbers} SELECT 'doi:10.1000/' || i, i FROM n",
            f"paper_ids (id, paper) {numbers} SELECT printf('ta:%016x', i * 40503), i FROM n",
            "revisions (paper, revision, version, announce, source, seen_at, title, abstract,"
            f" authors, categories, links) {numbers} SELECT i, 1, 1, {texts}, 'Paper ' || i,"
            f" '{abstract}', '[\"Jane Doe\"]', '[\"cs.LG\"]', '{{}}' FROM n",
        ):
            tx.exec_driver_sql(f"INSERT INTO {into}")


def _in_turns(
    task: Callable[[Database, Sequence[int]], object], stores: dict[int, Database]
) -> dict[int, float]:
    """{papers: median microseconds for each of ASKED papers}; the stores take turns."""
    chance = random.Random(7)
    took: dict[int, list[float]] = {size: [] for size in stores}
    for _ in range(60):
        for size, db in stores.items():
            wanted = chance.sample(range(1, size + 1), ASKED)
            took[size].append(_seconds(partial(task, db, wanted)) / ASKED * 1e6)
    return {size: round(median(each[10:]), 1) for size, each in took.items()}


def _ids(numbers: Sequence[int]) -> list[str]:
    """One of the three ids of each."""
    kinds = ("arxiv:{0}", "doi:10.1000/{0}", "ta:{1:016x}")
    return [kinds[n % 3].format(n, n * 40503) for n in numbers]


def _known(db: Database, numbers: Sequence[int]) -> None:
    with db.reading() as tx:
        assert len(papers.known(tx, _ids(numbers))) == ASKED


def _find(db: Database, numbers: Sequence[int]) -> None:
    with db.reading() as tx:
        assert len(papers.find(tx, _ids(numbers))) == ASKED


def _remember(db: Database, numbers: Sequence[int]) -> None:
    shown = [Listing((f"arxiv:{n}", f"doi:10.1000/{n}"), f"Paper {n}") for n in numbers]
    with db.writing() as tx:
        assert papers.remember(tx, "bench", shown, datetime(2025, 9, 1, tzinfo=UTC)).new == 0


# ------------------------------------------------------------------ measuring


def _seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process, every thread of it."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _memory_mb() -> float:
    """What the process holds now, without what its allocator keeps for later."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=61)
    parser.add_argument("--papers", type=int, default=1_000_000)
    given = parser.parse_args()
    shared = sinks.shared()
    with tempfile.TemporaryDirectory() as folder:
        done = months(shared, folder, given.days)
        done["lookup"] = lookups(folder, given.papers) if given.papers > FEW else None
    print(json.dumps(done, indent=2))


if __name__ == "__main__":
    main()
