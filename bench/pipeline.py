"""The whole way of a letter: match, compose, write, render, send, record, for 10,000 people.

    python bench/pipeline.py [--people 10000] [--papers 1000] [--lanes 10]

Prints JSON: letters per second as `digest run` sends them (publishing in a process beside the
sending one), CPU per letter by stage (2,000 people, one verb after the other), peak memory; beside
them, in the same run and to the same relay, a plain loop that makes an email.message with one fixed
body of the same size for each reader and sends it by aiosmtplib.send_message over one connection.
`ratio` is ours over the plain loop's letters per second; the mark is 1. `plain_floor` is the same
over as many connections as ours, with one message object for everybody. The relay's CPU is not
counted.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gzip
import json
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from itertools import count, islice
from pathlib import Path
from typing import Any

import aiosmtplib
import sinks

from digest import deliver, publish, subscribe
from digest.app import App, calm_gc, held_clock
from digest.config import load
from digest.ingest import import_papers
from digest.store import deliveries

BEGIN = datetime(2025, 9, 1, tzinfo=UTC)
NOW = BEGIN + timedelta(days=7, hours=9)


# ------------------------------------------------------------------ the people and the papers


def papers(number: int) -> list[dict[str, Any]]:
    """Real arXiv records, in the shape that `digest paper import` takes."""
    return list(islice(_papers(), number))


def _papers() -> Iterator[dict[str, Any]]:
    found = count()
    for path in sorted((sinks.shared() / "data" / "arxiv").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield {
                    "id": f"arxiv:{row['id']}",
                    "title": row["title"],
                    "abstract": row["abstract"],
                    "authors": row["authors"],
                    "categories": row["cats"],
                    "date": row["date"],
                    "signals": {"upvotes": next(found) % 40},
                }


def profiles(number: int, known: list[dict[str, Any]], seed: int = 7) -> Iterator[dict[str, Any]]:
    """Varied people: terms and phrases out of real titles, seeds, queries, follows, mutes."""
    chance = random.Random(seed)
    titles = [paper["title"].replace("$", " ").replace("\\", " ").split() for paper in known]
    titles = [words for words in titles if len(words) > 4]
    for index in range(number):
        interests = [_interest(chance, titles, known, n) for n in range(chance.randint(1, 4))]
        profile: dict[str, Any] = {"hour": 8, "budget": 15, "floor": "relaxed"}
        profile["interest"] = interests
        if chance.random() < 0.5:
            profile["follow"] = {
                "authors": [a for a in chance.choice(known)["authors"][:2] if len(a) > 4]
            }
        if chance.random() < 0.2:
            profile["mute"] = {"terms": ["survey"]}
        yield {
            "email": f"reader{index}@example.org",
            "profile": profile,
            "confirmed_at": BEGIN.isoformat(),
            "consent": "benchmark",
        }


def _interest(
    chance: random.Random, titles: list[list[str]], known: list[dict[str, Any]], number: int
) -> dict[str, Any]:
    words = chance.choice(titles)
    start = chance.randrange(len(words) - 2)
    terms = [
        "".join(c for c in " ".join(words[start : start + 2]) if c.isalnum() or c == " "),
        *(w for w in (_word(chance.choice(chance.choice(titles))) for _ in range(4)) if len(w) > 5),
    ]
    interest: dict[str, Any] = {"name": f"Interest {number + 1}", "terms": terms}
    if chance.random() < 0.5:
        interest["seeds"] = [chance.choice(known)["id"] for _ in range(3)]
    if chance.random() < 0.3:
        word = _word(max(words, key=len))
        interest = {
            "name": interest["name"],
            "query": f'"{word}" OR ti:{word[:6]}*',
            "terms": terms,
        }
    return interest


def _word(text: str) -> str:
    return "".join(c for c in text.lower() if c.isascii() and c.isalpha()) or "learning"


def site(folder: Path, port: int, lanes: int, pipelining: str = "envelope") -> App:
    environment = {
        "DIGEST_DATABASE__URL": f"sqlite:///{folder / 'digest.db'}",
        "DIGEST_SITE__POSTAL_ADDRESS": "1 Example Street, Exampleton",
        "DIGEST_MAIL__FROM": "Paper Digest <digest@example.org>",
        "DIGEST_MAIL__BOUNCE_DOMAIN": "bounces.example.org",
        "DIGEST_SMTP__PORT": str(port),
        "DIGEST_SMTP__LANES": str(lanes),
        "DIGEST_SMTP__PIPELINING": pipelining,
        "DIGEST_SECRET_KEY": "benchmark",
    }
    return App(load(None, environment), held_clock(NOW))


# ------------------------------------------------------------------ CPU by stage


class Stages:
    """CPU seconds by stage. Nested stages are taken off the outer one, thread by thread."""

    def __init__(self) -> None:
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Count what `owner.name` takes under `stage`."""
        original: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                self.cpu[stage] += time.thread_time() - begun

        setattr(owner, name, timed)

    @contextmanager
    def whole(self, stage: str) -> Iterator[None]:
        """The whole process's CPU in this block."""
        begun = time.process_time()
        yield
        self.cpu[stage] += time.process_time() - begun


def watch(stages: Stages, app: App) -> None:
    stages.wrap(publish, "stock", "match")
    stages.wrap(publish, "rank", "match")
    stages.wrap(publish, "read_profiles", "match")
    stages.wrap(publish, "compose_unsent", "compose")
    stages.wrap(publish, "edition_of", "compose")
    stages.wrap(publish, "_write", "write")
    stages.wrap(app, "letter", "render")
    stages.wrap(deliver.recorder.Recorder, "_commit", "record")
    stages.wrap(deliver.desk.Desk, "_claim", "claim")


# ------------------------------------------------------------------ the two ways


def by_stage(app: App) -> dict[str, Any]:
    """One verb after the other in this process: where the CPU goes."""
    stages = Stages()
    watch(stages, app)
    with stages.whole("publish in all"):
        made = app.publish()
    with stages.whole("deliver in all"):
        counts = asyncio.run(app.deliver())
    assert counts.get("accepted", 0) == made.queued, (counts, made)
    return {"letters": made.queued, "cpu_ms_per_letter": _per_letter(stages, made.queued)}


def ours(app: App) -> dict[str, Any]:
    """As `digest run` does it: sending while publishing goes on, two processes."""
    cpu, begun = _cpu(), time.monotonic()
    made, counts = asyncio.run(app.publish_and_deliver())
    seconds = time.monotonic() - begun
    letters = counts.get("accepted", 0)
    assert letters == made.queued, (counts, made)
    return {
        "letters": letters,
        "skipped": dict(made.skipped),
        "papers_per_letter": _papers_per_letter(app),
        "letters_per_s": round(letters / seconds, 1),
        "cpu_ms_per_letter": round(1000 * (_cpu() - cpu) / max(1, letters), 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_memory_mb_of_publishing": round(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        ),
    }


def _cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def _mean_size(app: App) -> int:
    """Bytes of a letter, from a sample of those sent."""
    from digest.deliver.desk import Desk

    desk = Desk(app.db, app.clock, "benchmark", lambda: "token", deliver.Policy())
    with app.db.reading() as tx:
        rows = deliveries.listed(tx, 300)
        sizes = [len(app.letter(due).raw) for due in desk._equipped(tx, rows)]
    return sum(sizes) // len(sizes)


def _papers_per_letter(app: App) -> float:
    from digest.store import editions

    with app.db.reading() as tx:
        made = [e for e in editions.listed(tx, 500) if e.content.papers]
    return round(sum(len(e.content.papers) for e in made) / max(1, len(made)), 1)


def _per_letter(stages: Stages, letters: int) -> dict[str, float]:
    cpu = dict(stages.cpu)
    whole = cpu["publish in all"] + cpu["deliver in all"]
    known = sum(cpu.get(name, 0.0) for name in ("render", "record", "claim"))
    cpu["send"] = cpu["deliver in all"] - known
    cpu["in all"] = whole
    return {name: round(1000 * value / max(1, letters), 3) for name, value in sorted(cpu.items())}


def fixed(size: int, reader: int) -> EmailMessage:
    """A letter to one reader whose body is the same for all."""
    message = EmailMessage()
    message["From"], message["To"] = "digest@example.org", f"reader{reader}@example.org"
    message["Subject"] = "One fixed body"
    line = "Words of a fixed letter, as long as a line of ours is wont to be, no more.\n"
    half = max(1, size // 2)
    message.set_content((line * (half // len(line) + 1))[:half])
    message.add_alternative(f"<p>{(line * (half // len(line) + 1))[:half]}</p>", subtype="html")
    return message


async def plain(port: int, letters: int, size: int, lanes: int, *, reused: bool) -> dict[str, Any]:
    """email.message and aiosmtplib.send_message over `lanes` connections. `reused`: one message
    object for all readers, which nobody who writes to people could do: the peer's floor."""
    one = fixed(size, 0)
    left = iter(range(letters))

    async def lane() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp:
            for reader in left:
                await smtp.send_message(one if reused else fixed(size, reader))

    cpu, begun = time.process_time(), time.monotonic()
    await asyncio.gather(*(lane() for _ in range(lanes)))
    seconds = time.monotonic() - begun
    return {
        "letters": letters,
        "connections": lanes,
        "letters_per_s": round(letters / seconds, 1),
        "cpu_ms_per_letter": round(1000 * (time.process_time() - cpu) / letters, 3),
        "bytes": len(one.as_bytes()),
    }


def populated(folder: Path, port: int, lanes: int, people: int, known: list[Any]) -> App:
    """A site with its papers and people, an hour after everybody's window closed."""
    folder.mkdir()
    app = site(folder, port, lanes)
    app.clock = held_clock(BEGIN + timedelta(days=3))
    import_papers(app.db, [json.dumps(paper) for paper in known], app.clock())
    file = folder / "people.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in profiles(people, known)))
    done = subscribe.import_people(app.db, app.post, file, BEGIN)
    assert not done.bad, done.bad[:3]
    app.clock = held_clock(NOW)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--papers", type=int, default=1_000)
    parser.add_argument("--lanes", type=int, default=10)
    args = parser.parse_args()
    calm_gc()
    known = papers(args.papers)
    with sinks.relay() as (name, port), tempfile.TemporaryDirectory() as scratch:
        some = min(args.people, 2000)
        staged = by_stage(populated(Path(scratch) / "staged", port, args.lanes, some, known))
        app = populated(Path(scratch) / "whole", port, args.lanes, args.people, known)
        found = ours(app)
        size = _mean_size(app)
        some = min(found["letters"], 3000)
        loop = asyncio.run(plain(port, some, size, 1, reused=False))
        floor = asyncio.run(plain(port, some, size, args.lanes, reused=True))
    report = {
        "relay": name,
        "people": args.people,
        "papers": len(known),
        "lanes": args.lanes,
        "mean_bytes": size,
        "ours": found,
        "ours_by_stage": staged,
        "plain_loop": loop,
        "plain_floor": floor,
        "ratio": round(found["letters_per_s"] / loop["letters_per_s"], 2),
        "mark": 1.0,
        "ratio_to_floor": round(found["letters_per_s"] / floor["letters_per_s"], 2),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
