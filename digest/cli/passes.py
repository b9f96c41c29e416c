"""`digest run`, `ingest`, `publish`, `deliver`: one pass of what is due, as for cron."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from digest.cli.globals import open_app
from digest.cli.options import AsJson, Command, example
from digest.cli.output import as_data, note, print_json, progress, say, table

if TYPE_CHECKING:
    from digest.app import App, Pass
    from digest.model import SourceReport
    from digest.publish import Published

FAILURES = ("failed", "unknown")  # outcomes that a person should look at
WAITS = ("deferred", "queued", "stopped")  # nothing is wrong: the next call goes on
Sources = Annotated[list[str] | None, typer.Argument(metavar="SOURCE...", help="None: all.")]
T = TypeVar("T")


@contextmanager
def stoppable() -> Iterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets; a second signal ends at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)
        with suppress(OSError):  # nobody may be listening any more: it must end all the same
            note("stopping: what is on the wire is finished, the rest stays queued")

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked)
    try:
        yield stop
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)


# ------------------------------------------------------------------ train


def train(as_json: AsJson = False) -> None:
    """Learn what readers of the same papers like. `serve` does it once a week by itself.

    A map is kept only where it ranks held-out papers better; letters go on without one.
    """
    app = open_app()
    check = app.train()
    if as_json:
        print_json(check)
    else:
        say(f"the collaborative map is {'used' if check.helps else 'not used'}: {check.why}")


# ------------------------------------------------------------------ ingest


def ingest(sources: Sources = None, as_json: AsJson = False) -> int:
    """Ask every source what is new, and remember it. Or only those that are named."""
    reports = asyncio.run(_ingest(open_app(), sources or ()))
    if as_json:
        print_json(ingest_rows(reports))
    else:
        print_reports(reports)
    return 0 if all(report.verdict.healthy for report in reports) else 1


async def _ingest(app: App, names: Sequence[str]) -> Sequence[SourceReport]:
    wanted, done = len(names or app.specs()), count(1)
    with progress("sources") as tell:
        return await app.ingest(names, lambda _: tell(next(done), wanted))


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
    """Make the editions that are due. One for everyone whose window has closed."""
    made = _publish(open_app())
    if as_json:
        return print_json(publish_row(made))
    return say(published_words(made))


def _publish(app: App) -> Published:
    with progress("people") as tell:
        return app.publish(tell)


def publish_row(made: Published) -> dict[str, Any]:
    return {"queued": made.queued, "skipped": dict(made.skipped)}


def published_words(made: Published) -> str:
    from digest.render.words import counted

    skipped = "".join(f", {n} skipped ({why})" for why, n in made.skipped.items())
    return f"{counted(made.queued, 'edition')} queued{skipped}"


# ------------------------------------------------------------------ deliver


def deliver(as_json: AsJson = False) -> int:
    """Send what is due until nothing is. What is deferred waits for the next call."""
    counts = asyncio.run(_stoppably(open_app()))
    if as_json:
        print_json(counts)
    else:
        say(delivered_words(counts))
    return code_of(counts)


async def _stoppably(app: App) -> Mapping[str, int]:
    with stoppable() as stop:
        return await _deliver(app, stop)


async def _deliver(app: App, stop: asyncio.Event) -> Mapping[str, int]:
    from digest.store import deliveries

    with app.db.reading() as tx:
        due = deliveries.due_count(tx, app.clock())
    with progress("letters") as tell:
        return await app.deliver(stop, lambda counts: tell(sum(counts.values()), due))


def delivered_words(counts: Mapping[str, int]) -> str:
    """`3 letters accepted, 1 deferred; 2 wait: relay_down`."""
    from digest.render.words import counted

    ended = [(word, n) for word, n in sorted(counts.items()) if n and not _troubles({word: n})]
    said = ", ".join(f"{n} {word}" for word, n in ended)
    said = said and f"{counted(ended[0][1], 'letter')} {said.partition(' ')[2]}"
    waiting = [f"{n} {'waits' if n == 1 else 'wait'}: {w}" for w, n in _troubles(counts).items()]
    return "; ".join(filter(None, [said, *waiting])) or "nothing was due"


def _troubles(counts: Mapping[str, int]) -> dict[str, int]:
    """Why the relay was left alone, and how many letters it keeps waiting."""
    from digest.model import DeliveryState

    known = {*DeliveryState, *WAITS}
    return {word: n for word, n in counts.items() if n and word not in known}


def code_of(counts: Mapping[str, int]) -> int:
    """1 where a letter failed or the relay could not be used: `digest delivery list
    --not-accepted` names them."""
    return 1 if any(counts.get(state) for state in FAILURES) or _troubles(counts) else 0


# ------------------------------------------------------------------ run


def run(as_json: AsJson = False) -> int:
    """One pass: ingest, publish, deliver. Run again, it does nothing."""
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


async def _run(app: App) -> Pass:
    """As App.run, with progress, and without the rest once a stop was asked for."""
    from digest.app import Pass
    from digest.publish import Published

    with stoppable() as stop:
        reports = await _unless(stop, _ingest(app, ())) or ()
        if stop.is_set():
            return Pass(reports, Published(), {})
        most = _most_letters(app)
        with progress("letters") as tell:
            ended = app.publish_and_deliver(stop, lambda counts: tell(sum(counts.values()), most))
            return Pass(reports, *await ended)


def _most_letters(app: App) -> int:
    """Letters that are due, and one for everybody whose window has closed: some will be skipped."""
    from digest.store import deliveries, people

    with app.db.reading() as tx:
        return deliveries.due_count(tx, app.clock()) + people.count_due(tx, app.clock())


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What work brings, or None where a stop was asked for before."""
    asked, doing = asyncio.create_task(stop.wait()), asyncio.create_task(work)
    await asyncio.wait({asked, doing}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not doing.done():
        doing.cancel()
        await asyncio.wait({doing})
    return None if doing.cancelled() else doing.result()


COMMANDS = (
    Command("train", train, example("digest train", "digest train --json")),
    Command("run", run, example("digest run", "digest run --now 2026-03-02T08:00:00Z --json")),
    Command("ingest", ingest, example("digest ingest", "digest ingest arxiv-ml hf --json")),
    Command("publish", publish, example("digest publish --json")),
    Command("deliver", deliver, example("digest deliver")),
)
