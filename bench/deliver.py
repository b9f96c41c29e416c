"""Everything after matching: claim, render, MIME, SMTP, record, for letters that are all distinct.

    python bench/deliver.py [--letters 10000] [--papers 15] [--lanes 10] [--delay 0.02]
    python bench/deliver.py --flat 1000000 [--papers 3]

Prints JSON: CPU per letter by stage, letters per second, memory; beside them, in the same run and
to the same relay, a plain loop of email.message and aiosmtplib.send_message with one fixed body,
and nodemailer's pool with one fixed body (where npm can get it). They take turns, a slice of
letters each, and medians are shown, so that a busy machine is unjust to none. Ratios are letters
per CPU second of each process alone, ours over theirs: at their body of our letters' size, and at
one of --bytes.

With --delay the relay answers after that long, as one far away does: what came in one go, in one
go. `possible_per_s` is what the round trips allow, which are fewer the more goes out together
(--pipelining as in the settings): two a letter ("envelope"), or one ("letters"), or four ("off",
where the relay does not offer it). `of_the_bare_client` is our rate over that of a client that
does nothing but these round trips, in the same run: a loop and a relay have delays of their own.

With --flat so many letters are due at once; memory is told at 10,000 and at every tenfold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import crowd
import sinks
from pipeline import NOW, Stages, papers, plain, site

from digest import deliver
from digest.app import App, calm_gc, held_clock
from digest.ingest import import_papers
from digest.model import (
    Cadence,
    Content,
    Edition,
    EditionPaper,
    EditionState,
    Reason,
    ReasonKind,
    Subscriber,
    Window,
)
from digest.store import editions, people

ROUND_TRIPS = {"letters": 1, "envelope": 2, "off": 4}
SHELF = 300  # papers of the week that letters choose from
BATCH = 2000  # people written in one transaction


def content(chance: random.Random, known: Sequence[dict[str, Any]], number: int) -> Content:
    """`number` papers with a few reasons each, chosen so that no two letters are the same."""
    chosen = chance.sample(range(len(known)), number)
    return Content(
        tuple(
            EditionPaper(
                known[index]["id"],
                1,
                f"Interest {place % 3 + 1}",
                1.0 - place / 100,
                reasons(chance, known, index),
            )
            for place, index in enumerate(sorted(chosen, key=lambda i: i % 3))
        ),
        considered=len(known),
        near=chance.randrange(60),
    )


def reasons(chance: random.Random, known: Sequence[dict[str, Any]], index: int) -> Any:
    """One or two words of the title, perhaps a seed, the votes: few readers have the same."""
    words = [word for word in known[index]["title"].split() if word.isalpha()] or ["paper"]
    terms = chance.sample(words, min(len(words), chance.randint(1, 2)))
    seed = [Reason(ReasonKind.SEED, chance.choice(known)["id"])] if chance.random() < 0.3 else []
    votes = Reason(ReasonKind.VOTES, value=float(index % 40))
    return (*(Reason(ReasonKind.TERM, word, "title") for word in terms), *seed, votes)


def owe(app: App, known: Sequence[dict[str, Any]], first: int, letters: int, number: int) -> None:
    """People, from number `first` on, each with one edition whose letter is due."""
    chance = random.Random(first)
    for start in range(first, first + letters, BATCH):
        ours = [
            people.NewSubscriber(f"reader{n}@site{n % 20}.example", {}, Cadence(), confirmed_at=NOW)
            for n in range(start, min(first + letters, start + BATCH))
        ]
        with app.db.writing() as tx:
            added = people.add_many(tx, ours, NOW, "benchmark")
            made = [_edition(app, who, content(chance, known, number)) for who in added]
            editions.write(tx, made)


def _edition(app: App, who: Subscriber, papers_: Content) -> editions.NewEdition:
    window = Window(NOW - timedelta(days=7), NOW)
    edition = Edition(
        who.email,
        window,
        EditionState.QUEUED,
        NOW,
        content=papers_,
        next_due=NOW + timedelta(days=7),
        subscriber_key=who.key,
    )
    id_ = app.links.message_id("digest", f"{who.key}", "example.org")
    return editions.NewEdition(edition, id_)


def memory() -> int:
    """Megabytes in use now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


class Slice:
    """One slice of our letters: CPU by stage, seconds, bytes."""

    def __init__(self, app: App) -> None:
        self.stages, self.bytes, self.letters = app_stages(app), 0, 0
        letter, self._app = app.letter, app

        def measured(due: deliver.Due) -> Any:
            made = letter(due)
            self.bytes += len(made.raw)
            return made

        app.letter = measured  # type: ignore[method-assign]

    def run(self) -> dict[str, float]:
        """Send what is due; milliseconds of CPU per letter by stage, and letters a second."""
        cpu, size, begun = self.stages.cpu, self.bytes, time.monotonic()
        cpu.clear()
        with self.stages.whole("in all"):
            counts = asyncio.run(self._app.deliver())
        seconds, letters = time.monotonic() - begun, counts["accepted"]
        assert counts == {"accepted": letters}, counts
        cpu["send"] = 2 * cpu["in all"] - sum(cpu.values())
        self.letters += letters
        found = {name: 1000 * value / letters for name, value in sorted(cpu.items())}
        return found | {"rate": letters / seconds, "bytes": (self.bytes - size) / letters}


def app_stages(app: App) -> Stages:
    stages = Stages()
    stages.wrap(app, "letter", "render")
    stages.wrap(deliver.recorder.Recorder, "_commit", "record")
    stages.wrap(deliver.desk.Desk, "_claim", "claim")
    return stages


def medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(row[name] for row in rows), 3) for name in rows[0]}


def peers(args: argparse.Namespace, port: int, letters: int, size: int) -> dict[str, Any]:
    """One slice of each peer with a fixed body of so many bytes."""
    loop = asyncio.run(plain(port, letters, size, args.lanes, reused=True))
    return {"plain_loop": loop, "nodemailer": nodemailer(port, letters, size, args.lanes)}


def nodemailer(port: int, letters: int, size: int, lanes: int) -> dict[str, Any] | None:
    """Its pool, from a scratch folder; None where it cannot be had."""
    folder = node_folder()
    if folder is None:
        return None
    words = ["node", "pool.mjs", *map(str, (port, letters, size, lanes))]
    said = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


@cache
def node_folder() -> Path | None:
    """A folder with nodemailer in it, made once and kept in the machine's folder for scratch."""
    folder = Path(tempfile.gettempdir()) / f"paper-digest-nodemailer-{os.getuid()}"
    if not shutil.which("npm") or not shutil.which("node"):
        print("no npm: the run goes without nodemailer", file=sys.stderr)
        return None
    folder.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parent / "pool.mjs", folder)
    words = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "nodemailer"]
    if (
        not (folder / "node_modules").is_dir()
        and subprocess.run(words, capture_output=True).returncode
    ):
        print("npm cannot get nodemailer: the run goes without it", file=sys.stderr)
        return None
    return folder


def turns(args: argparse.Namespace, app: App, port: int) -> dict[str, Any]:
    """Slices of ours and of the peers, turn by turn."""
    known = papers(SHELF)
    import_papers(app.db, [json.dumps(paper) for paper in known], app.clock())
    app.renderer  # noqa: B018 - the templates are read before the clock starts
    part, ours, begun = Slice(app), [], memory()
    size = args.letters // args.slices
    few, alike, given, bare = min(size, 1000), [], [], []
    for number in range(args.slices):
        owe(app, known, number * size, size, args.papers)
        ours.append(part.run())
        alike.append(peers(args, port, few, int(ours[-1]["bytes"])))
        given.append(peers(args, port, few, args.bytes))
        if args.delay:
            bare.append(bare_client(args, port, size, int(ours[-1]["bytes"])))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = medians(ours)
    return {
        "letters": part.letters,
        "ours": found,
        "peers_at_our_size": compared(alike, found["in all"]),
        f"peers_at_{args.bytes}_bytes": compared(given, found["in all"]),
        "memory_mb": {"begin": begun, "peak": peak},
        **({"bare_client": round(median(bare), 1)} if bare else {}),
    }


def bare_client(args: argparse.Namespace, port: int, letters: int, size: int) -> float:
    return asyncio.run(sinks.bare(port, letters, size, args.lanes, args.pipelining))


def compared(rows: Sequence[dict[str, Any]], ours: float) -> dict[str, Any]:
    """{peer: its medians, and our letters per CPU second over its}."""
    found: dict[str, Any] = {}
    for peer in rows[0]:
        slices = [row[peer] for row in rows if row[peer] is not None]
        if slices:
            found[peer] = medians(slices)
            found[peer]["ratio"] = round(found[peer]["cpu_ms_per_letter"] / ours, 2)
    return found


def flat(args: argparse.Namespace, app: App) -> dict[str, Any]:
    """Memory while so many letters go out in one run."""
    known = papers(SHELF)
    import_papers(app.db, [json.dumps(paper) for paper in known], app.clock())
    chance = random.Random(1)
    contents = [content(chance, known, args.papers) for _ in range(500)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:  # and its memory
        other.submit(crowd.gather_at, app.db.url, args.flat, contents, NOW).result()
    marks = {10**power: 0 for power in range(4, 10) if 10**power <= args.flat} | {args.flat: 0}
    waiting = sorted(marks, reverse=True)
    begun, cpu = time.monotonic(), time.process_time()

    def tell(counts: Mapping[str, int]) -> None:
        if waiting and counts["accepted"] >= waiting[-1]:
            marks[waiting[-1]] = memory()
            print(f"{waiting.pop():,} letters: {memory()} MB", file=sys.stderr)

    counts = asyncio.run(app.deliver(on_progress=tell))
    assert counts == {"accepted": args.flat}, counts
    return {
        "letters": args.flat,
        "memory_mb_after": marks,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "mark_mb": 150,
        "cpu_ms_per_letter": round(1000 * (time.process_time() - cpu) / args.flat, 3),
        "letters_per_s": round(args.flat / (time.monotonic() - begun), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--letters", type=int, default=10_000)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--papers", type=int, default=15)
    parser.add_argument("--lanes", type=int, default=10)
    parser.add_argument("--bytes", type=int, default=30_000)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--pipelining", choices=ROUND_TRIPS, default="envelope")
    parser.add_argument("--flat", type=int, default=0, metavar="LETTERS")
    args = parser.parse_args()
    calm_gc()  # as `digest deliver` does
    with (
        sinks.relay(args.delay, pipelining=args.pipelining != "off") as (name, port),
        tempfile.TemporaryDirectory() as scratch,
    ):
        app = site(Path(scratch), port, args.lanes, args.pipelining)
        app.clock = held_clock(NOW)
        found = flat(args, app) if args.flat else turns(args, app, port)
    report = {
        "relay": name,
        "lanes": args.lanes,
        **found,
        "marks": {"plain_loop": 2.5, "nodemailer": 1},
    }
    if args.delay:
        possible = {name: args.lanes / (n * args.delay) for name, n in ROUND_TRIPS.items()}
        report |= {"possible_per_s": possible, "mark": 0.9}
        rate = found["ours"]["rate"]
        report["of_the_possible"] = {name: round(rate / n, 3) for name, n in possible.items()}
        report["of_the_bare_client"] = round(found["ours"]["rate"] / found["bare_client"], 3)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
