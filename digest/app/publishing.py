"""Publishing beside delivery: in a thread for few people, for many in processes of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from digest.app.process import calm_gc, cores
from digest.config import Settings
from digest.deliver import Flag, Progress
from digest.model import DeliveryState, OutcomeKind
from digest.publish import ALONE, Published, Share
from digest.store import people

if TYPE_CHECKING:
    from digest.app.root import App

MANY = 500  # people due from which publishing gets a process of its own
SHARE = 20_000  # people due for each further process, up to one a core


async def publish_and_deliver(
    app: App, stop: Flag | None, on_progress: Progress | None
) -> tuple[Published, dict[str, int]]:
    """See App.publish_and_deliver."""
    publishing = asyncio.create_task(_publish_apart(app))
    counts: Counter[str] = Counter()

    def tell(more: Mapping[str, int]) -> None:
        if on_progress:
            on_progress(counts + Counter(more))

    counts += Counter(await app.deliver(stop, tell))
    while not publishing.done():
        await asyncio.wait({publishing}, timeout=0.2)
        if not _ended_early(counts) and not (stop and stop.is_set()):
            counts += Counter(await app.deliver(stop, tell))
    made = await publishing
    if not _ended_early(counts):
        counts += Counter(await app.deliver(stop, tell))
    return made, dict(counts)


async def _publish_apart(app: App) -> Published:
    with app.db.reading() as tx:
        due = people.count_due(tx, app.clock())
    if due < MANY:
        return await asyncio.to_thread(app.publish)
    shares = max(1, min(cores(), due // SHARE))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(shares, mp_context=spawn) as others:
        now = app.clock()
        jobs = [
            others.submit(publish_job, app.settings, now, (share, shares))
            for share in range(shares)
        ]
        made = await asyncio.gather(*map(asyncio.wrap_future, jobs))
        return sum(made, Published())


def publish_job(settings: Settings, now: datetime, share: Share = ALONE) -> Published:
    """`publish` as a job for another process."""
    from digest.app.root import App, held_clock

    calm_gc()
    app = App(settings, held_clock(now))
    try:
        return app.publish(share=share)
    finally:
        app.db.dispose()


def _ended_early(counts: Mapping[str, int]) -> bool:
    """The relay must be left alone: a try right now would be one too many."""
    return bool(counts.keys() - {str(kind) for kind in (*OutcomeKind, *DeliveryState)})
