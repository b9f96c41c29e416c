"""`digest run`, `ingest`, `publish`, `deliver`: one pass of what is due, as for cron."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.globals import open_app
from digest.cli.options import AsJson, Command, example
from digest.cli.output import as_data, note, print_json, progress, say, table

if TYPE_CHECKING:
    from digest.app import App
    from digest.model import SourceReport
    from digest.publish import Published

FAILURES = ("failed", "unknown")  # outcomes that a person should look at
Sources = Annotated[list[str] | None, typer.Argument(metavar="SOURCE...", help="None: all.")]


@contextmanager
def stoppable() -> Iterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets; a second signal ends at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def asked() -> None:
        note("stopping: what is on the wire is finished, the rest stays queued")
        stop.set()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked)
    try:
        yield stop
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)


# ------------------------------------------------------------------ ingest


def ingest(sources: Sources = None, as_json: AsJson = False) -> int:
    """Ask every source (or those named) what is new, and remember it."""
    app = open_app()
    wanted = len(sources) if sources else len(app.specs())
    with progress("sources") as tell:
        done = count(1)
        reports = asyncio.run(app.ingest(sources or (), lambda _: tell(next(done), wanted)))
    if as_json:
        print_json(ingest_rows(reports))
    else:
        print_reports(reports)
    return 0 if all(report.verdict.healthy for report in reports) else 1


def ingest_rows(reports: Sequence[SourceReport]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = as_data(reports)
    return rows


def print_reports(reports: Sequence[SourceReport]) -> None:
    columns = ("source", "verdict", "fetched", "new", "revised", "backfilled", "bad", "message")
    rows = (
        [r.source, r.verdict, r.fetched, r.new, r.revised, r.backfilled, r.quarantined, r.message]
        for r in reports
    )
    table(columns, rows, "no sources; add one with `digest source add` or in the configuration")


# ------------------------------------------------------------------ publish


def publish(as_json: AsJson = False) -> None:
    """Match and compose: an edition for everyone whose window has closed."""
    with progress("people") as tell:
        made = open_app().publish(tell)
    if as_json:
        return print_json(publish_row(made))
    return say(published_words(made))


def publish_row(made: Published) -> dict[str, Any]:
    return {"queued": made.queued, "skipped": dict(made.skipped)}


def published_words(made: Published) -> str:
    skipped = "".join(f", {n} skipped ({why})" for why, n in made.skipped.items())
    return f"{made.queued} editions queued{skipped}"


# ------------------------------------------------------------------ deliver


def deliver(as_json: AsJson = False) -> int:
    """Send what is due until nothing is; what is deferred waits for the next call."""
    counts = asyncio.run(_deliver(open_app()))
    if as_json:
        print_json(counts)
    else:
        say(delivered_words(counts))
    return code_of(counts)


async def _deliver(app: App) -> Mapping[str, int]:
    from digest.store import deliveries

    with app.db.reading() as tx:
        due = deliveries.due_count(tx, app.clock())
    with stoppable() as stop, progress("letters") as tell:
        return await app.deliver(stop, lambda counts: tell(sum(counts.values()), due))


def delivered_words(counts: Mapping[str, int]) -> str:
    if not any(counts.values()):
        return "nothing was due"
    return ", ".join(f"{n} {state}" for state, n in sorted(counts.items()) if n)


def code_of(counts: Mapping[str, int]) -> int:
    """1 where a letter failed: `digest delivery list --not-accepted` names it."""
    return 1 if any(counts.get(state) for state in FAILURES) else 0


# ------------------------------------------------------------------ run


def run(as_json: AsJson = False) -> int:
    """One pass of all that is due: ingest, publish, deliver. Running it again does nothing."""
    done = asyncio.run(_run(open_app()))
    if as_json:
        print_json(
            {
                "ingest": ingest_rows(done.ingest),
                "publish": publish_row(done.publish),
                "deliver": dict(done.deliver),
            }
        )
    else:
        print_reports(done.ingest)
        say(published_words(done.publish))
        say(delivered_words(done.deliver))
    healthy = all(report.verdict.healthy for report in done.ingest)
    return code_of(done.deliver) if healthy else 1


async def _run(app: App) -> Any:
    with stoppable() as stop:
        return await app.run(stop)


COMMANDS = (
    Command("run", run, example("digest run", "digest run --now 2026-03-02T08:00:00Z --json")),
    Command("ingest", ingest, example("digest ingest", "digest ingest arxiv-ml hf --json")),
    Command("publish", publish, example("digest publish --json")),
    Command("deliver", deliver, example("digest deliver")),
)
