"""The collaborative map in this process, and its training in another."""

from __future__ import annotations

import multiprocessing
import os
import threading
from datetime import datetime
from typing import TYPE_CHECKING

from digest.config import Settings
from digest.model import SubscriberState
from digest.store import Database, models, people

if TYPE_CHECKING:
    from digest.matching.collaborative import CollaborativeMap

WORTH_LEARNING = 50  # people; what fewer like says nothing of others
LOOK = 0.5  # seconds between looks whether to stop


class MapAtHand:
    """The map in force, read again when there is a newer one."""

    def __init__(self) -> None:
        self._made_at: datetime | None = None
        self._map: CollaborativeMap | None = None

    def current(self, db: Database) -> CollaborativeMap | None:
        with db.reading() as tx:
            kept = models.latest(tx, models.MAP)
        made_at = kept.made_at if kept else None
        if made_at != self._made_at:
            from digest import training  # numpy and scipy: only where needed

            self._map, self._made_at = training.load(db), made_at
        return self._map


def train_apart(settings: Settings, db: Database, now: datetime, stop: threading.Event) -> str:
    """Learn where a week has gone and readers are enough, in a process of its own that lets
    everything else go first; `stop` ends it. What the check found; "": nothing was done."""
    with db.reading() as tx:
        few = people.count(tx).get(SubscriberState.ACTIVE, 0) < WORTH_LEARNING
        if few or not models.is_due(tx, models.MAP, now):
            return ""
    spawn = multiprocessing.get_context("spawn")
    job = spawn.Process(target=_job, args=(settings.database.url, now), daemon=True)
    job.start()
    while job.is_alive() and not stop.is_set():
        job.join(LOOK)
    job.terminate()
    with db.reading() as tx:
        kept = models.latest(tx, models.MAP)
    return str(kept.checked["why"]) if kept and kept.made_at == now else ""


def _job(url: str, now: datetime) -> None:
    from digest import training

    if hasattr(os, "nice"):
        os.nice(10)
    db = Database(url)
    try:
        training.train(db, now)
    finally:
        db.dispose()
