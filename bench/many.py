"""Many people through the real `digest.publish` on SQLite: seconds by part, and memory."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

from digest import publish
from digest.app import App, calm_gc, held_clock
from digest.config import load
from digest.ingest import import_papers
from digest.model import Cadence, Paper
from digest.profiles.stems import STOP_WORDS
from digest.store import people
from digest.store.people import NewSubscriber
from digest.text import words

BEGIN = datetime(2025, 9, 1, tzinfo=UTC)
NOW = BEGIN + timedelta(days=7, hours=9)
TERMS, AT_ONCE = 100, 5_000

PARTS = {  # function of the publishing code: the part it belongs to, nested ones taken off
    "stock": "index the papers",
    "read_profiles": "read and compile",
    "rank": "score and pick",
    "tell_missed": "compose, with reasons",
    "compose_unsent": "compose, with reasons",
    "edition_of": "compose, with reasons",
    "_write": "write",
}


def publish_many(window: Sequence[Paper], old: Sequence[Paper], number: int) -> dict[str, Any]:
    """So many people with 100 terms each: their first letter, and one when profiles are known."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "digest.db"
        begun = time.monotonic()
        with ProcessPoolExecutor(1, mp_context=_spawn()) as apart:  # its memory is not publishing's
            apart.submit(_settle, database, window, old, number).result()
        found: dict[str, Any] = {"people": number, "making them, s": _since(begun)}
        for week in ("first week", "week after"):
            found[week] = _pass(database, number)
            print(week, json.dumps(found[week]), file=sys.stderr, flush=True)
            _rewind(database)
        found["database, MB"] = round(database.stat().st_size / 1e6)
    return found


def _spawn() -> SpawnContext:
    return multiprocessing.get_context("spawn")


def _site(database: Path) -> App:
    settings = {
        "DIGEST_DATABASE__URL": f"sqlite:///{database}",
        "DIGEST_SITE__POSTAL_ADDRESS": "1 Example Street, Exampleton",
        "DIGEST_MAIL__FROM": "Paper Digest <digest@example.org>",
        "DIGEST_SECRET_KEY": "benchmark",
    }
    return App(load(None, settings), held_clock(NOW))


def _settle(database: Path, window: Sequence[Paper], old: Sequence[Paper], number: int) -> None:
    app = _site(database)
    app.db.upgrade()
    for some, at in ((old, -3), (window, 3)):
        import_papers(app.db, map(_line, some), BEGIN + timedelta(days=at))
    made = _people(old, number, random.Random(1))
    while some := list(islice(made, AT_ONCE)):
        with app.db.writing() as tx:
            people.add_many(tx, some, BEGIN, "import")
    app.db.dispose()


def _line(paper: Paper) -> str:
    row = {"id": paper.id, "title": paper.title, "abstract": paper.abstract}
    return json.dumps(row | {"authors": paper.authors, "categories": paper.categories})


def _people(old: Sequence[Paper], number: int, dice: random.Random) -> Iterator[NewSubscriber]:
    """Each with 100 weighted words and pairs of words of five papers."""
    texts = [
        [w for w in words(f"{p.title} {p.abstract}") if w not in STOP_WORDS and len(w) > 2]
        for p in old
    ]
    pairs = [[" ".join(pair) for pair in pairwise(text)] for text in texts]
    due = BEGIN + timedelta(days=7, hours=8)
    for n in range(number):
        some = dice.sample(range(len(texts)), 5)
        chosen = dice.sample([w for i in some for w in texts[i]], 60)
        chosen += dice.sample([p for i in some for p in pairs[i]], 70)
        terms = [f"{t}^{dice.randint(1, 9)}" for t in list(dict.fromkeys(chosen))[:TERMS]]
        document = {"interest": [{"name": "Mine", "terms": terms}], "trending": 0}
        yield NewSubscriber(f"r{n}@example.org", document, Cadence(), None, BEGIN, due)


def _rewind(database: Path) -> None:
    """As before the first letter, but for what is kept of the profiles."""
    app = _site(database)
    with app.db.writing() as tx:
        for table in ("received", "deliveries", "editions", "marks"):
            tx.exec_driver_sql(f"DELETE FROM {table}")
        tx.exec_driver_sql(
            "UPDATE subscribers SET window_since = confirmed_at, next_due = ?",
            ((BEGIN + timedelta(days=7, hours=8)).strftime("%Y-%m-%d %H:%M:%S.%f"),),
        )
    app.db.dispose()


# ------------------------------------------------------------------ one pass


def _pass(database: Path, number: int) -> dict[str, Any]:
    """All who are due, in a process for each core, as `digest run` does it."""
    shares = max(1, min(len(os.sched_getaffinity(0)), number // 1_000))
    begun = time.monotonic()
    with ProcessPoolExecutor(shares, mp_context=_spawn()) as others:
        jobs = [others.submit(_publish, str(database), (n, shares)) for n in range(shares)]
        done = [job.result() for job in jobs]
    wall = _since(begun)
    cpu: defaultdict[str, float] = defaultdict(float)
    for one in done:
        for part, seconds in one["cpu"].items():
            cpu[part] += seconds
    assert number == sum(one["queued"] for one in done), done
    return {
        "processes": shares,
        "wall, s": wall,
        "people a second": round(number / wall),
        "CPU by part, s": {part: round(seconds, 1) for part, seconds in cpu.items()},
        "CPU a person, ms": round(1000 * sum(cpu.values()) / number, 3),
        "peak memory of these processes, MB": sum(one["memory"] for one in done),
    }


def _publish(database: str, share: tuple[int, int]) -> dict[str, Any]:
    calm_gc()
    cpu: defaultdict[str, float] = defaultdict(float)
    for name, part in PARTS.items():
        _watch(publish, name, part, cpu)
    _watch(people, "due", "read and compile", cpu)
    app = _site(Path(database))
    begun = time.process_time()
    made = app.publish(_teller(share), share)
    cpu["the rest"] = time.process_time() - begun - sum(cpu.values())
    memory = _peak()
    return {"queued": made.queued, "cpu": dict(cpu), "memory": memory}


def _peak() -> int:
    """MB this process took at most; not what its parent had, as getrusage may say."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+)", status.read_text())):
        return int(found[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _watch(owner: Any, name: str, part: str, cpu: defaultdict[str, float]) -> None:
    """Count the CPU seconds of all threads while `owner.name` runs."""
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.process_time()
        try:
            return original(*args, **kwargs)
        finally:
            cpu[part] += time.process_time() - begun

    setattr(owner, name, timed)


def _teller(share: tuple[int, int]) -> Callable[[int, int], None]:
    def tell(done: int, _: int) -> None:
        if sys.stderr.isatty() or done % 50_000 == 0:
            print(f"share {share[0]}: {done:,}", file=sys.stderr, flush=True)

    return tell


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 1)
