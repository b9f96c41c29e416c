"""Everything after matching: claim, render, MIME, SMTP, record, for letters that are all distinct.

    python bench/deliver.py [--letters 10000] [--papers 15] [--lanes 10] [--delay 0.02]

Prints JSON: CPU per letter by stage, letters per second, memory; beside them, in the same run and
to the same relay, a plain loop of email.message and aiosmtplib.send_message with one fixed body
of the same size. The two take turns, a slice of letters each, and medians are shown, so that a
busy machine is unjust to neither. `ratio` is letters per CPU second, ours over the plain loop's.
CPU is this process's alone.

With --delay every reply of the relay takes that long (sink.py in place of smtp-sink), and
`of_the_possible` is our rate over what the round trips of a letter allow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import sinks
from pipeline import NOW, Stages, papers, plain, site

from digest import deliver
from digest.app import App, held_clock
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

ROUND_TRIPS = 4  # MAIL, RCPT, DATA, the dot
SHELF = 300  # papers of the week that letters choose from
BATCH = 2000  # people written in one transaction


def content(chance: random.Random, known: Sequence[dict[str, Any]], number: int) -> Content:
    """`number` papers with two reasons each, chosen so that no two letters are the same."""
    chosen = chance.sample(range(len(known)), number)
    return Content(
        tuple(
            EditionPaper(
                known[index]["id"],
                1,
                f"Interest {place % 3 + 1}",
                1.0 - place / 100,
                (
                    Reason(ReasonKind.TERM, known[index]["title"].split()[0], "title"),
                    Reason(ReasonKind.VOTES, value=float(index % 40)),
                ),
            )
            for place, index in enumerate(sorted(chosen, key=lambda i: i % 3))
        ),
        considered=len(known),
        near=20,
    )


def owe(app: App, known: Sequence[dict[str, Any]], first: int, letters: int, number: int) -> None:
    """People, from number `first` on, each with one edition whose letter is due."""
    chance = random.Random(first)
    for start in range(first, first + letters, BATCH):
        ours = [
            people.NewSubscriber(f"reader{n}@example.org", {}, Cadence(), confirmed_at=NOW)
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


def both(args: argparse.Namespace, app: App, port: int) -> dict[str, Any]:
    """Slices of ours and of the plain loop, turn by turn."""
    known = papers(SHELF)
    import_papers(app.db, [json.dumps(paper) for paper in known], app.clock())
    app.renderer  # noqa: B018 - the templates are read before the clock starts
    part, ours, begun = Slice(app), [], memory()
    size, beside = args.letters // args.slices, []
    for number in range(args.slices):
        owe(app, known, number * size, size, args.papers)
        ours.append(part.run())
        few, fat = min(size, 1000), int(ours[-1]["bytes"])
        beside.append(asyncio.run(plain(port, few, fat, args.lanes, reused=True)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "letters": part.letters,
        "ours": medians(ours),
        "plain_loop": medians(beside),
        "memory_mb": {"begin": begun, "peak": peak},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--letters", type=int, default=10_000)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--papers", type=int, default=15)
    parser.add_argument("--lanes", type=int, default=10)
    parser.add_argument("--delay", type=float, default=0.0)
    args = parser.parse_args()
    with sinks.relay(args.delay) as (name, port), tempfile.TemporaryDirectory() as scratch:
        app = site(Path(scratch), port, args.lanes)
        app.clock = held_clock(NOW)
        found = both(args, app, port)
    ratio = found["plain_loop"]["cpu_ms_per_letter"] / found["ours"]["in all"]
    report = {"relay": name, "lanes": args.lanes, **found, "ratio": round(ratio, 2), "mark": 2.5}
    if args.delay:
        possible = args.lanes / (ROUND_TRIPS * args.delay)
        report["of_the_possible"] = round(found["ours"]["rate"] / possible, 3)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
