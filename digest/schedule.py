"""The heartbeat: it ticks, and no more. What is due is a query, so a lost tick loses nothing.

APScheduler gives the ticks. Its own defaults would drop a late one (a grace of one second), so
ours is taken late, several missed ones as one, and never twice at once.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from digest.errors import DigestError

log = logging.getLogger("digest.schedule")
_quiet = logging.getLogger("digest.schedule.apscheduler")  # a tick while busy is no news
_quiet.setLevel(logging.ERROR)

Job = Callable[[threading.Event], None]
"""A job is handed the stop event and returns soon after it is set."""

STOPPING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Tick:
    """One thing to do again and again: `seconds` from one start to the next at the least."""

    seconds: float
    job: Job


class Heartbeat:
    """Runs each job at once and then every so often, each in a thread of its own.

    A job that raises is logged by name and comes again. `now` is the wall clock: where it steps
    back (`watch_seconds` to notice), all jobs tick at once instead of sleeping through the step.
    """

    def __init__(
        self,
        ticks: Mapping[str, Tick],
        now: Callable[[], datetime],
        *,
        stop: threading.Event | None = None,
        watch_seconds: float = 30.0,
    ) -> None:
        self.stopping = stop or threading.Event()
        self._now = now
        self._watch_seconds = watch_seconds
        self._running = _Running()
        self._scheduler = _scheduler()
        for name, tick in ticks.items():
            self._add(name, tick)

    def _add(self, name: str, tick: Tick) -> None:
        def beat() -> None:
            with self._running.named(name):
                _guarded(name, tick.job, self.stopping)

        trigger = _Every(timedelta(seconds=tick.seconds))
        self._scheduler.add_job(beat, trigger, id=name, name=name)

    def start(self) -> None:
        """Every job ticks at once; returns at once."""
        self._scheduler.start()
        threading.Thread(target=self._watch, name="clock-watch", daemon=True).start()

    def stop(self, timeout: float = 10.0) -> tuple[str, ...]:
        """No tick after this. Sets the stop event, waits for running jobs at most `timeout`
        seconds, and returns the names of those that still run (none where all is well)."""
        self.stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        late = self._running.wait(timeout)
        if late:
            log.warning("still running after %g s, left behind: %s", timeout, ", ".join(late))
        return late

    def wake(self, name: str | None = None) -> None:
        """Tick now: this job, or all of them. One that is running just now goes on as it is, and
        comes again after its interval."""
        for job in self._scheduler.get_jobs():
            if name in {None, job.id}:
                job.reschedule(job.trigger)

    def _watch(self) -> None:
        last = self._now()
        while not self.stopping.wait(self._watch_seconds):
            current = self._now()
            if current < last:
                log.warning("the clock stepped back by %s; all jobs tick now", last - current)
                self.wake()
            last = current


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process at once.

    For the main thread only (signals reach no other); restores the former handlers.
    """
    stop = threading.Event()
    heard_before: list[int] = []

    def heard(number: int, _frame: FrameType | None) -> None:
        if heard_before:
            os._exit(128 + number)  # what is half done stays decidable: it was written so
        heard_before.append(number)
        # The main thread may hold the event's own lock in wait(); setting it here would hang.
        threading.Thread(target=stop.set, daemon=True).start()

    former = {number: signal.signal(number, heard) for number in STOPPING}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


# ------------------------------------------------------------------ inside


def _guarded(name: str, job: Job, stopping: threading.Event) -> None:
    if stopping.is_set():
        return
    try:
        job(stopping)
    except DigestError as error:
        log.error("%s: %s; it comes again", name, error)
    except Exception:
        log.exception("%s failed; it comes again", name)


def _scheduler() -> BackgroundScheduler:
    return BackgroundScheduler(
        timezone="UTC",
        logger=_quiet,
        executors={"default": _Threads()},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )


class _Every(BaseTrigger):  # type: ignore[misc]
    """At once, then `gap` after the last start. A clock that jumps ahead gives one tick, not
    one for each gap it jumped over."""

    def __init__(self, gap: timedelta) -> None:
        self.gap = gap

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return now if previous is None else now + self.gap


class _Threads(BaseExecutor):  # type: ignore[misc]
    """A daemon thread for each tick: one that hangs cannot keep the process from ending."""

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        def run() -> None:
            try:
                job.func()
            finally:
                self._run_job_success(job.id, [])

        threading.Thread(target=run, name=f"tick-{job.id}", daemon=True).start()


class _Running:
    """The names of the jobs that run just now."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def named(self, name: str) -> Iterator[None]:
        with self._changed:
            self._names.add(name)
        try:
            yield
        finally:
            with self._changed:
                self._names.discard(name)
                self._changed.notify_all()

    def wait(self, timeout: float) -> tuple[str, ...]:
        with self._changed:
            self._changed.wait_for(lambda: not self._names, timeout)
            return tuple(sorted(self._names))
