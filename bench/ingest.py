"""Ingest beside its parser: two real months of arXiv and Hugging Face, fetched, parsed, cleaned,
identified and stored, against bare `feedparser.parse` over the same bytes.

    python bench/ingest.py [--days 61] [--papers 1000000]

Prints JSON. `ratio` is CPU seconds of the whole ingest over those of `feedparser.parse` (and
`json.loads` for what is JSON) in the same run, each day parsed right after it was ingested; the
mark is at most 2. Answers are made in this process and handed over without a socket, as an httpx
transport; the time that making them takes is counted for neither. Of few days the loading of
tables is a large part. `memory_mb` is what the process holds after days 10 and 30 and at the end,
with the database's page cache (64 MB for a connection at most) and without.

`lookup` is microseconds of CPU time for each paper beside 10,000 stored papers and beside --papers,
the stores in turns; the mark is at most 1.5 times as long. `ingest`: ten days of arXiv and Hugging
Face, whole. The others take a hundred papers from anywhere in the store, by one of their three ids:
whether they are `known`, `find` with their texts, `remember` when they are shown again. That is
the worst case, for each is asked for the first time: nearly every page it touches is read anew in
a store larger than the page cache. `again` is the same question at once a second time, with
the pages at hand. `ratio_of_parts` is the lowest and the highest ratio of five parts of the run.
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
ASKED = 100  # papers in one lookup
WARM, ROUNDS, PARTS = 100, 250, 5  # lookups that are not counted, that are, and parts of these
SCATTERED = "(i * 2654435761) % 4294967296"  # as fingerprints of titles are
DAYS = 10  # ingested whole into each store
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


def lookups(shared: Path, folder: str, many: int) -> dict[str, Any]:
    """What one paper costs beside few stored ones and beside many."""
    with fresh(folder, "few") as few, fresh(folder, "many") as full:
        fill(few, FEW)
        filled = time.perf_counter()
        fill(full, many)
        filled = time.perf_counter() - filled
        stores = {FEW: few, many: full}
        took = {"ingest": _days_in_turns(Services(shared), stores)}
        for name, parts in TASKS.items():
            took[name], took[f"{name} again"] = _in_turns(*parts, stores)
    ratios = {name: _ratios(each[FEW], each[many]) for name, each in took.items()}
    return {
        "microseconds_for_each_paper": {
            name: {size: round(median(all_), 1) for size, all_ in each.items()}
            for name, each in took.items()
        },
        "ratio": {name: round(median(each), 2) for name, each in ratios.items()},
        "ratio_of_parts": {name: [min(each), max(each)] for name, each in ratios.items()},
        "mark": 1.5,
        "filled_in_seconds": round(filled, 1),
    }


def _ratios(few: Sequence[float], many: Sequence[float]) -> list[float]:
    """How many times as long it took, in each of PARTS parts of the run."""
    size = max(1, len(few) // PARTS)
    starts = range(0, size * (len(few) // size), size)
    return [round(median(many[at : at + size]) / median(few[at : at + size]), 2) for at in starts]


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
            f"paper_ids (id, paper) {numbers} SELECT printf('ta:%08x', {SCATTERED}), i FROM n",
            "revisions (paper, revision, version, announce, source, seen_at, title, abstract,"
            f" authors, categories, links) {numbers} SELECT i, 1, 1, {texts}, 'Paper ' || i,"
            f" '{abstract}', '[\"Jane Doe\"]', '[\"cs.LG\"]', '{{}}' FROM n",
        ):
            tx.exec_driver_sql(f"INSERT INTO {into}")
    db.dispose()  # and with it the log of that one huge transaction


Task = Callable[[Database, Any], object]
Ask = Callable[[Sequence[int]], object]
Choose = Callable[[random.Random, int], Sequence[int]]
Took = dict[int, list[float]]
"""{papers stored: microseconds for each paper, of each round}"""


def _in_turns(
    task: Task, asked: Ask, chosen: Choose, stores: dict[int, Database]
) -> tuple[Took, Took]:
    """ASKED papers of the store for the first time, and at once again."""
    chance = random.Random(7)
    first: Took = {size: [] for size in stores}
    again: Took = {size: [] for size in stores}
    for number in range(WARM + ROUNDS):
        for size, db in stores.items():
            work = partial(task, db, asked(chosen(chance, size)))
            seconds = _seconds(work), _seconds(work)
            if number >= WARM:
                first[size].append(seconds[0] / ASKED * 1e6)
                again[size].append(seconds[1] / ASKED * 1e6)
    return first, again


def _anywhere(chance: random.Random, size: int) -> Sequence[int]:
    return chance.sample(range(1, size + 1), ASKED)


def _together(chance: random.Random, size: int) -> Sequence[int]:
    """Papers of one announcement: their numbers follow each other."""
    begin = chance.randrange(1, size - ASKED)
    return range(begin, begin + ASKED)


def _days_in_turns(services: Services, stores: dict[int, Database]) -> Took:
    """Days of arXiv and Hugging Face, each ingested whole into each store."""
    took: Took = {size: [] for size in stores}
    days = [date.fromisoformat(day) for day in sorted(services.replay.by_day)[:DAYS]]
    for day in days:
        services.replay.day = day.isoformat()
        papers_shown = len(services.replay.by_day[day.isoformat()])
        for size, db in stores.items():
            took[size].append(_ingested(db, services, day) / papers_shown * 1e6)
    return took


def _scattered(number: int) -> str:
    return f"ta:{number * 2654435761 % 4294967296:08x}"


def _all_ids(numbers: Sequence[int]) -> list[tuple[str, str, str]]:
    return [(f"arxiv:{n}", f"doi:10.1000/{n}", _scattered(n)) for n in numbers]


def _any_id(numbers: Sequence[int]) -> list[str]:
    """One of the three ids of each."""
    return [ids[n % 3] for n, ids in zip(numbers, _all_ids(numbers), strict=True)]


def _every_id(numbers: Sequence[int]) -> list[str]:
    return [id_ for ids in _all_ids(numbers) for id_ in ids]


def _shown(numbers: Sequence[int]) -> list[Listing]:
    ids = _all_ids(numbers)
    return [Listing(each, f"Paper {n}") for n, each in zip(numbers, ids, strict=True)]


def _known(db: Database, ids: Sequence[str]) -> None:
    with db.reading() as tx:
        assert len(papers.known(tx, ids)) == ASKED


def _announced(db: Database, ids: Sequence[str]) -> None:
    with db.reading() as tx:
        assert len(papers.announced(tx, ids)) == 3 * ASKED


def _find(db: Database, ids: Sequence[str]) -> None:
    with db.reading() as tx:
        assert len(papers.find(tx, ids)) == ASKED


def _remember(db: Database, shown: Sequence[Listing]) -> None:
    with db.writing() as tx:
        assert papers.remember(tx, "bench", shown, datetime(2025, 9, 1, tzinfo=UTC)).new == 0


TASKS: dict[str, tuple[Task, Ask, Choose]] = {
    "announced": (_announced, _every_id, _together),
    "remember": (_remember, _shown, _together),
    "find": (_find, _any_id, _anywhere),
    "known": (_known, _any_id, _anywhere),
}


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
        done["lookup"] = lookups(shared, folder, given.papers) if given.papers > FEW else None
    print(json.dumps(done, indent=2))


if __name__ == "__main__":
    main()
