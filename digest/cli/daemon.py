"""What `digest serve` runs: the heartbeat and the site in one process, ended together."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from digest.cli.logs import log_to_stderr
from digest.schedule import Heartbeat, Tick, stop_on_signals

if TYPE_CHECKING:
    from digest.app import App
    from digest.web import SiteParts

INGEST, PUBLISH = 900.0, 60.0  # seconds between the starts of two passes
BOUNCES = 300.0
TRAIN = 3600.0  # between looks whether a week has gone
LOOK, DELIVER = 1.0, 10.0  # between looks for due letters; between passes where none was seen
SITE_GRACE, WORK_GRACE = 3.0, 11.0  # seconds to finish in after SIGTERM: 15 in all
log = logging.getLogger("digest.serve")


def serve(app: App, *, web: bool, work: bool) -> int:
    """Run until SIGTERM or SIGINT; then finish what is on the wire and return."""
    log_to_stderr()
    app.db.current()  # a database that cannot be used ends it here, in one line
    _ = app.embeddings  # and so does a model that cannot
    listening = _listen(app) if web else None
    with stop_on_signals() as stop:
        beat = Heartbeat(ticks(app) if work else {}, app.clock, stop=stop)
        beat.start()
        try:
            if listening is not None:
                _site(app, listening, stop)
            else:
                stop.wait()
        finally:
            late = beat.stop(WORK_GRACE)
    for name in late:
        log.warning("%s did not end in time; what it held is given back when its lease ends", name)
    return 0


def ticks(app: App) -> dict[str, Tick]:
    """The heartbeat's jobs: each asks the database what is due."""
    from digest.bounces import doors

    jobs = {
        "ingest": Tick(INGEST, _until_stopped(app.ingest, "ingest")),
        "publish": Tick(PUBLISH, lambda stop: _publish(app)),
        "deliver": Tick(LOOK, _when_due(app)),
        "train": Tick(TRAIN, lambda stop: _train(app, stop)),
    }
    if doors.has_mailboxes(app.settings):
        jobs["bounces"] = Tick(BOUNCES, lambda stop: _take_what_came_back(app, stop))
    return jobs


def _until_stopped(
    begin: Callable[[], Coroutine[Any, Any, Any]], name: str
) -> Callable[[threading.Event], None]:
    """A job whose coroutine is cancelled when the stop event is set."""

    async def watched(stop: threading.Event) -> None:
        working = asyncio.create_task(begin())
        while not working.done():
            await asyncio.wait({working}, timeout=0.2)
            if stop.is_set():
                working.cancel()
        if not working.cancelled():
            for report in working.result():
                log.info("%s %s: %s, %d new", name, report.source, report.verdict, report.new)

    return lambda stop: asyncio.run(watched(stop))


def _take_what_came_back(app: App, stop: threading.Event) -> None:
    from digest.bounces import Watch, doors

    taken: list[Any] = []
    watch = Watch(stopped=stop.is_set)
    try:
        doors.take_all(app.desk, app.settings, taken.append, _warn, watch)
    finally:
        if new := [part.effect for one in taken for part in one.parts]:
            log.info("came back: %s", dict(Counter(new)))


def _warn(fault: str) -> None:
    log.warning("%s", fault)


def _publish(app: App) -> None:
    made = app.publish()
    if made.queued or made.skipped:
        log.info("published %d editions, skipped %s", made.queued, dict(made.skipped))


def _train(app: App, stop: threading.Event) -> None:
    if found := app.train_apart(stop):
        log.info("learnt from readers: %s", found)


def _when_due(app: App) -> Callable[[threading.Event], None]:
    """A confirmation goes out at once. Where nothing is due a pass now and then still looks for
    what other workers left behind, and for letters to send again."""
    passed = -DELIVER

    def job(stop: threading.Event) -> None:
        nonlocal passed
        if time.monotonic() < passed + DELIVER and not _letters_due(app):
            return
        _deliver(app, stop)
        passed = time.monotonic()

    return job


def _letters_due(app: App) -> bool:
    from digest.store import deliveries

    with app.db.reading() as tx:
        first = deliveries.next_due(tx)
    return first is not None and first <= app.clock()


def _deliver(app: App, stop: threading.Event) -> None:
    async def work() -> None:
        asked = asyncio.Event()
        working = asyncio.create_task(app.deliver(asked))
        while not working.done():
            await asyncio.wait({working}, timeout=0.2)
            if stop.is_set():
                asked.set()
        if counts := {state: n for state, n in working.result().items() if n}:
            log.info("delivered %s", counts)

    asyncio.run(work())


def _listen(app: App) -> Any:
    from digest.web.serve import listen

    return listen(*app.settings.web.address)


def _site(app: App, listening: Any, stop: threading.Event) -> None:
    from digest.web import create_site
    from digest.web.serve import serve_site

    serve_site(create_site(site_parts(app)), listening, stop, grace=SITE_GRACE)


def site_parts(app: App) -> SiteParts:
    """What the site is built from."""
    from digest.web import SiteParts

    return SiteParts(
        db=app.db,
        links=app.links,
        site=app.site,
        clock=app.clock,
        renderer=app.renderer,
        mail_domain=app.mail_domain,
        templates=app.templates,
        rehearse=app.rehearsals.letters,
        hooks=app.hooks,
    )
