"""Workers killed with SIGKILL at random instants and started again, against a counting server.

    python bench/kill.py [--letters 300] [--kills 12] [--lanes 5] [--databases sqlite,postgresql]
        [--workers 1,3] [--seed 1] [--pipelining letters]
                                             the whole measure: --letters 10000 --kills 200

Prints JSON. For each kind of database and number of workers, what the server's log (written before
its reply) and the database say when everything is done:

lost                   letters that the server never had and that are not listed as unknown; and
                       letters recorded as accepted that it never had
twice                  letters that the server had twice before anything was sent again; must be 0
unknown                letters of which nobody can know; `bound` is connections x processes killed
twice_after_resending  then the unknown ones go once more (`ambiguous = "resend"`): letters the
                       server had twice by then, `twice_not_unknown` those that were not unknown
other_bytes            letters of which the server had two different versions

The relay is tools/sink.py of the shared data. A worker is a process of its own, forked from this
one so that 200 starts do not take longer than the letters; its App and its deliver() are those
of `digest deliver`. Ends with 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import deliver as letters
import sinks
from pipeline import NOW, papers

from digest.app import App, held_clock
from digest.config import load
from digest.ingest import import_papers
from digest.model import DeliveryState
from digest.store import Database, deliveries

LATER = NOW + timedelta(hours=1)  # when unknown letters are ripe to go once more
AT_START = 0.15  # share of kills that come while a worker starts
STARTING = 0.15  # seconds within which those come
IDLE = 0.1  # seconds until a worker is started in the place of one that found nothing to do
STUCK = 3.0  # seconds without a letter after which no more are waited for


class Log:
    """The server's log, read on as it grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self.lines = path, 0, 0

    def count(self) -> int:
        """Letters accepted so far."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            more = file.read()
        self._at += len(more)
        self.lines += more.count(b"\n")
        return self.lines

    def versions(self) -> dict[str, list[str]]:
        """{Message-ID: the hash of each letter that came under it}."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for line in self._path.read_text().splitlines():
            row = json.loads(line)
            found[row["message_id"]].append(row["sha256"])
        return found


@contextmanager
def counting_server(folder: Path) -> Iterator[tuple[int, Log]]:
    """(port, log) of the sink."""
    path, port = folder / "accepted.jsonl", sinks.free_port()
    path.touch()
    words = [sys.executable, str(sinks.shared() / "tools" / "sink.py")]
    words += ["--port", str(port), "--log", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # "sink at ..."
        try:
            yield port, Log(path)
        finally:
            process.terminate()


def site(url: str, port: int, args: argparse.Namespace, ambiguous: str = "hold") -> App:
    environment = {
        "DIGEST_DATABASE__URL": url,
        "DIGEST_SITE__POSTAL_ADDRESS": "1 Example Street, Exampleton",
        "DIGEST_MAIL__FROM": "Paper Digest <digest@example.org>",
        "DIGEST_SMTP__PORT": str(port),
        "DIGEST_SMTP__LANES": str(args.lanes),
        "DIGEST_SMTP__PIPELINING": args.pipelining,
        "DIGEST_DELIVERY__AMBIGUOUS": ambiguous,
        "DIGEST_SECRET_KEY": "benchmark",
    }
    return App(load(None, environment), held_clock(NOW))


# ------------------------------------------------------------------ workers


@dataclass
class Crew:
    """So many workers, kept running. No database connection of ours is open while it forks."""

    app: App
    size: int
    pids: set[int] = field(default_factory=set)
    killed: int = 0

    def fill(self) -> None:
        """Start workers in the places of those that have ended."""
        self.pids = {pid for pid in self.pids if os.waitpid(pid, os.WNOHANG) == (0, 0)}
        while len(self.pids) < self.size:
            self.pids.add(_fork(self.app))

    def kill(self, pids: list[int]) -> None:
        """SIGKILL, and see them dead. One that had ended by itself is not counted."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self.killed += os.WIFSIGNALED(status)
            self.pids.discard(pid)

    def wait(self) -> None:
        for pid in self.pids:
            os.waitpid(pid, 0)
        self.pids = set()


def _fork(app: App) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        asyncio.run(app.deliver())
        code = 0
    finally:
        os._exit(code)


def work_and_kill(crew: Crew, log: Log, kills: int, total: int, chance: random.Random) -> None:
    """Kill workers again and again, spread over the letters that there are to send."""
    for left in range(kills, 0, -1):
        done = log.count()
        crew.fill()
        if chance.random() < AT_START:
            time.sleep(chance.uniform(0, STARTING))
        else:
            some = chance.uniform(0, 2 * (total - done) / (left + 1))
            _until(log, crew, done + some, total)
            time.sleep(chance.uniform(0, 0.02))
        number = chance.randint(1, crew.size)
        crew.kill(chance.sample(sorted(crew.pids), min(number, len(crew.pids))))


def _until(log: Log, crew: Crew, wanted: float, total: int) -> None:
    """Until the server has so many letters, or has nearly all, or no more come: those of which
    nobody can know are held, and `finish` tells if there are others."""
    heard = filled = time.monotonic()
    had = log.count()
    while had < min(wanted, 0.98 * total) and time.monotonic() - heard < STUCK:
        time.sleep(0.002)
        if (number := log.count()) > had:
            had, heard = number, time.monotonic()
        if time.monotonic() - filled > IDLE:
            crew.fill()
            filled = time.monotonic()


def finish(crew: Crew) -> None:
    """Run workers until the queue is empty."""
    for _ in range(20):
        crew.fill()
        crew.wait()
        with crew.app.db.reading() as tx:
            counts = deliveries.counts(tx)
        crew.app.db.dispose()
        if not counts.keys() & {"queued", "leased", "sending"}:
            return
    sys.exit(f"letters are left that no worker sends: {counts}")


# ------------------------------------------------------------------ one measure


def measure(args: argparse.Namespace, url: str, workers: int) -> dict[str, Any]:
    """Kill, finish, count; send the unknown ones once more, count again."""
    with tempfile.TemporaryDirectory() as scratch, counting_server(Path(scratch)) as (port, log):
        Database(url).upgrade()
        app = site(url, port, args)
        prepare(app, args.letters)
        crew, begun = Crew(app, workers), time.monotonic()
        work_and_kill(crew, log, args.kills, args.letters, random.Random(args.seed))
        finish(crew)
        seconds, rows, had = time.monotonic() - begun, ended(app), log.versions()
        again = site(url, port, args, "resend")
        again.clock = held_clock(LATER)
        finish(Crew(again, 1))
        return {
            "letters": args.letters,
            "processes_killed": crew.killed,
            "seconds": round(seconds, 1),
            **judged(rows, had, log.versions()),
            "bound": args.lanes * crew.killed,
        }


def prepare(app: App, number: int) -> None:
    known = papers(letters.SHELF)
    import_papers(app.db, [json.dumps(paper) for paper in known], app.clock())
    letters.owe(app, known, 0, number, 15)
    app.renderer  # noqa: B018 - read once, before the workers are forked
    app.db.dispose()


def ended(app: App) -> dict[str, DeliveryState]:
    """{Message-ID: how its letter ended}."""
    with app.db.reading() as tx:
        found = {row.message_id: row.state for row in deliveries.listed(tx)}
    app.db.dispose()
    return found


def judged(
    rows: dict[str, DeliveryState], had: dict[str, list[str]], later: dict[str, list[str]]
) -> dict[str, Any]:
    unknown = {id_ for id_, state in rows.items() if state is DeliveryState.UNKNOWN}
    again = {id_ for id_, hashes in later.items() if len(hashes) > 1}
    return {
        "ended": dict(Counter(str(state) for state in rows.values())),
        "lost": len(rows.keys() - had.keys() - unknown) + len(rows.keys() - later.keys()),
        "twice": sum(len(hashes) > 1 for hashes in had.values()),
        "unknown": len(unknown),
        "unknown_that_had_arrived": len(unknown & had.keys()),
        "twice_after_resending": len(again),
        "twice_not_unknown": len(again - unknown),
        "other_bytes": sum(len(set(hashes)) > 1 for hashes in later.values()),
    }


def kept(found: dict[str, Any]) -> bool:
    """True where every promise was kept."""
    none = ("lost", "twice", "twice_not_unknown", "other_bytes")
    return not any(found[name] for name in none) and found["unknown"] <= found["bound"]


# ------------------------------------------------------------------ all of them


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of a new, empty database; "" where this machine has no such server."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/digest.db"
        return
    sys.path.insert(0, str(sinks.HERE.parent / "tests"))
    import pytest
    from postgres import running_postgres

    try:
        with running_postgres(Path()) as url:
            yield url
    except pytest.skip.Exception as none:
        print(none, file=sys.stderr)
        yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--letters", type=int, default=300)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--lanes", type=int, default=5)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--workers", default="1,3")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pipelining", default="envelope")
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # each killed worker is told of by the next one
    report = {}
    for kind in args.databases.split(","):
        for workers in map(int, args.workers.split(",")):
            with database(kind) as url:
                report[f"{kind}, {workers} at once"] = measure(args, url, workers) if url else None
    print(json.dumps(report, indent=2))
    sys.exit(not all(kept(found) for found in report.values() if found))


if __name__ == "__main__":
    main()
