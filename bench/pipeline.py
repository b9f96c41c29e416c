"""The whole way of a letter: match, compose, write, render, send, record, for 10,000 people.

    python bench/pipeline.py [--people 10000] [--papers 1000] [--lanes 10]

Prints JSON: letters per second, CPU per letter by stage, peak memory; beside them, in the same
run, a plain loop of email.message and aiosmtplib.send_message that sends one fixed body of the
same size over as many connections to the same relay. `ratio` is ours over the plain loop's; the
mark is 1. CPU is this process's alone; the relay has its own.
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import sinks

from digest import deliver, publish, subscribe
from digest.app import App, held_clock
from digest.config import load
from digest.ingest import import_papers

BEGIN = datetime(2025, 9, 1, tzinfo=UTC)
NOW = BEGIN + timedelta(days=7, hours=9)


# ------------------------------------------------------------------ the people and the papers


def papers(number: int) -> list[dict[str, Any]]:
    """Real arXiv records, in the shape that `digest paper import` takes."""
    found = []
    for path in sorted((sinks.shared() / "data" / "arxiv").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                found.append(
                    {
                        "id": f"arxiv:{row['id']}",
                        "title": row["title"],
                        "abstract": row["abstract"],
                        "authors": row["authors"],
                        "categories": row["cats"],
                        "date": row["date"],
                        "signals": {"upvotes": len(found) % 40},
                    }
                )
    return found[:number]


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
            profile["follow"] = {"authors": chance.choice(known)["authors"][:2]}
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


def site(folder: Path, port: int, lanes: int) -> App:
    environment = {
        "DIGEST_DATABASE__URL": f"sqlite:///{folder / 'digest.db'}",
        "DIGEST_SITE__POSTAL_ADDRESS": "1 Example Street, Exampleton",
        "DIGEST_MAIL__FROM": "Paper Digest <digest@example.org>",
        "DIGEST_MAIL__BOUNCE_DOMAIN": "bounces.example.org",
        "DIGEST_SMTP__PORT": str(port),
        "DIGEST_SMTP__LANES": str(lanes),
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
    stages.wrap(publish, "_rank", "match")
    stages.wrap(publish, "_read_profiles", "match")
    stages.wrap(publish, "_compose_unsent", "compose")
    stages.wrap(publish, "_edition", "compose")
    stages.wrap(publish, "_write", "write")
    stages.wrap(app, "letter", "render")
    stages.wrap(deliver.recorder.Recorder, "_commit", "record")
    stages.wrap(deliver.desk.Desk, "_claim", "claim")


# ------------------------------------------------------------------ the two ways


def ours(app: App, stages: Stages) -> dict[str, Any]:
    watch(stages, app)
    sizes: list[int] = []
    letter = app.letter

    def measured(due: Any) -> Any:
        made = letter(due)
        sizes.append(len(made.raw))
        return made

    app.letter = measured  # type: ignore[method-assign]
    begun = time.monotonic()
    with stages.whole("publish in all"):
        made = app.publish()
    published = time.monotonic() - begun
    with stages.whole("deliver in all"):
        counts = asyncio.run(app.deliver())
    seconds = time.monotonic() - begun
    letters = counts.get("accepted", 0)
    assert letters == made.queued, (counts, made)
    return {
        "letters": letters,
        "skipped": dict(made.skipped),
        "mean_bytes": sum(sizes) // max(1, len(sizes)),
        "papers_per_letter": _papers_per_letter(app),
        "letters_per_s": round(letters / seconds, 1),
        "publish_s": round(published, 2),
        "deliver_s": round(seconds - published, 2),
        "cpu_ms_per_letter": _per_letter(stages, letters),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


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


async def plain(port: int, letters: int, size: int, lanes: int) -> dict[str, Any]:
    """email.message and aiosmtplib.send_message, one fixed body, as many connections."""
    message = EmailMessage()
    message["From"], message["To"] = "digest@example.org", "reader@example.org"
    message["Subject"] = "One fixed body"
    line = "Words of a fixed letter, as long as a line of ours is wont to be, no more.\n"
    half = max(1, size // 2)
    message.set_content((line * (half // len(line) + 1))[:half])
    message.add_alternative(f"<p>{(line * (half // len(line) + 1))[:half]}</p>", subtype="html")
    left = iter(range(letters))

    async def lane() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp:
            for _ in left:
                await smtp.send_message(message)

    cpu, begun = time.process_time(), time.monotonic()
    await asyncio.gather(*(lane() for _ in range(lanes)))
    seconds = time.monotonic() - begun
    return {
        "letters": letters,
        "letters_per_s": round(letters / seconds, 1),
        "cpu_ms_per_letter": round(1000 * (time.process_time() - cpu) / letters, 3),
        "bytes": len(message.as_bytes()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--papers", type=int, default=1_000)
    parser.add_argument("--lanes", type=int, default=10)
    args = parser.parse_args()
    known = papers(args.papers)
    with sinks.relay() as (name, port), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        app = site(folder, port, args.lanes)
        app.clock = held_clock(BEGIN + timedelta(days=3))
        import_papers(app.db, [json.dumps(paper) for paper in known], app.clock())
        people = folder / "people.jsonl"
        rows = profiles(args.people, known)
        people.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = subscribe.import_people(app.db, app.post, people, BEGIN)
        app.clock = held_clock(NOW)
        found = ours(app, Stages())
        beside = asyncio.run(
            plain(port, min(found["letters"], 3000), found["mean_bytes"], args.lanes)
        )
    report = {
        "relay": name,
        "people": args.people,
        "refused_profiles": Counter(bad.reason for bad in done.bad).most_common(3),
        "papers": len(known),
        "lanes": args.lanes,
        "ours": found,
        "plain_loop": beside,
        "ratio": round(found["letters_per_s"] / beside["letters_per_s"], 2),
        "mark": 1.0,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
