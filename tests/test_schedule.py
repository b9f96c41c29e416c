"""The heartbeat ticks, forgives and ends. Waiting is for events, never for a length of time."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest

from digest.errors import Broken
from digest.schedule import Heartbeat, Tick, stop_on_signals

LONG = 3600.0  # an interval that no test lives to see
PATIENCE = 20.0  # how long a test waits for an event before it fails
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Counted:
    """A job that counts its ticks and says when it has reached a number."""

    def __init__(self, enough: int = 1, error: Exception | None = None) -> None:
        self.ticks, self.enough, self.error = 0, enough, error
        self.reached = threading.Event()

    def __call__(self, stop: threading.Event) -> None:
        self.ticks += 1
        if self.ticks >= self.enough:
            self.reached.set()
        if self.error:
            raise self.error


class Busy:
    """A job that runs until it is let go (`stop` alone does not end it)."""

    def __init__(self) -> None:
        self.ticks = 0
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, stop: threading.Event) -> None:
        self.ticks += 1
        self.began.set()
        self.go.wait(PATIENCE)


@contextmanager
def beating(
    ticks: dict[str, Tick], now: Callable[[], datetime] = lambda: NOON, watch: float = LONG
) -> Iterator[Heartbeat]:
    heart = Heartbeat(ticks, now, watch_seconds=watch)
    heart.start()
    try:
        yield heart
    finally:
        heart.stop(PATIENCE)


def test_every_job_ticks_at_the_start_however_long_its_interval() -> None:
    ingest, publish = Counted(), Counted()
    with beating({"ingest": Tick(LONG, ingest), "publish": Tick(LONG, publish)}):
        assert ingest.reached.wait(PATIENCE)
        assert publish.reached.wait(PATIENCE)


def test_a_job_comes_again_after_its_interval() -> None:
    job = Counted(enough=3)
    with beating({"deliver": Tick(0.01, job)}):
        assert job.reached.wait(PATIENCE)


def test_a_job_that_raises_comes_again() -> None:
    job = Counted(enough=3, error=RuntimeError("boom"))
    with beating({"deliver": Tick(0.01, job)}):
        assert job.reached.wait(PATIENCE)


def test_a_job_that_raises_is_logged_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    job = Counted(enough=2, error=RuntimeError("boom"))
    with beating({"publish": Tick(0.01, job)}):
        assert job.reached.wait(PATIENCE)
    assert "publish failed; it comes again" in caplog.messages


def test_an_error_of_ours_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    job = Counted(enough=2, error=Broken("database x.db: locked"))
    with beating({"publish": Tick(0.01, job)}):
        assert job.reached.wait(PATIENCE)
    record = next(r for r in caplog.records if r.name == "digest.schedule")
    assert (
        record.getMessage(),
        record.exc_info,
    ) == ("publish: database x.db: locked; it comes again", None)


def test_one_job_that_hangs_does_not_hold_up_the_others() -> None:
    busy, other = Busy(), Counted(enough=3)
    with beating({"deliver": Tick(0.01, busy), "ingest": Tick(0.01, other)}):
        assert busy.began.wait(PATIENCE)
        assert other.reached.wait(PATIENCE)
        busy.go.set()


def test_a_job_never_runs_twice_at_once() -> None:
    busy, other = Busy(), Counted(enough=5)
    with beating({"deliver": Tick(0.01, busy), "ingest": Tick(0.01, other)}):
        assert other.reached.wait(PATIENCE)
        assert busy.ticks == 1
        busy.go.set()


def test_ticking_over_a_busy_job_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    busy, other = Busy(), Counted(enough=5)
    with beating({"deliver": Tick(0.01, busy), "ingest": Tick(0.01, other)}):
        assert other.reached.wait(PATIENCE)
        busy.go.set()
    assert caplog.messages == []


def test_stopping_tells_the_jobs_and_waits_for_them() -> None:
    began, ended = threading.Event(), threading.Event()

    def job(stop: threading.Event) -> None:
        began.set()
        assert stop.wait(PATIENCE)
        ended.set()

    with beating({"deliver": Tick(LONG, job)}) as heart:
        assert began.wait(PATIENCE)
        assert heart.stop(PATIENCE) == ()
        assert ended.is_set()


def test_stopping_names_the_jobs_it_leaves_behind() -> None:
    busy = Busy()
    with beating({"deliver": Tick(LONG, busy)}) as heart:
        assert busy.began.wait(PATIENCE)
        assert heart.stop(timeout=0.01) == ("deliver",)
        busy.go.set()


def test_nothing_ticks_after_the_stop() -> None:
    job = Counted(enough=3)
    with beating({"deliver": Tick(0.001, job)}) as heart:
        assert job.reached.wait(PATIENCE)
        heart.stop(PATIENCE)
        ticks = job.ticks
        threading.Event().wait(0.05)
        assert ticks == job.ticks


def test_stopping_what_never_started_is_harmless() -> None:
    assert Heartbeat({}, lambda: NOON).stop() == ()


def test_a_stop_event_from_outside_is_the_one_the_jobs_get() -> None:
    stop, seen = threading.Event(), []
    given = threading.Event()

    def job(event: threading.Event) -> None:
        seen.append(event)
        given.set()

    heart = Heartbeat({"deliver": Tick(LONG, job)}, lambda: NOON, stop=stop)
    heart.start()
    assert given.wait(PATIENCE)
    heart.stop(PATIENCE)
    assert [stop] == seen


def test_waking_a_job_ticks_it_before_its_time() -> None:
    job, other = Counted(enough=2), Counted(enough=2)
    with beating({"deliver": Tick(LONG, job), "ingest": Tick(LONG, other)}) as heart:
        while not job.ticks or not other.ticks:
            threading.Event().wait(0.001)
        for _ in range(200):  # a tick while the first one still ends is no tick
            heart.wake("deliver")
            if job.reached.wait(PATIENCE / 200):
                break
        assert (job.reached.is_set(), other.reached.is_set()) == (True, False)


def test_a_clock_that_steps_back_does_not_put_the_house_to_sleep() -> None:
    """It steps again where the first tick had not ended: one that runs is not run beside itself."""
    job = Counted(enough=2)
    times = cycle([NOON, NOON + timedelta(minutes=1), NOON - timedelta(hours=2)])

    def now() -> datetime:
        while not job.ticks:  # the first tick comes before the step
            threading.Event().wait(0.001)
        return next(times)

    with beating({"publish": Tick(LONG, job)}, now, watch=0.001):
        assert job.reached.wait(PATIENCE)


# ------------------------------------------------------------------ signals


def test_a_signal_sets_the_stop_event() -> None:
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(PATIENCE)


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        pass
    assert before == signal.getsignal(signal.SIGTERM)


STUBBORN = """
import signal, threading
from digest.schedule import stop_on_signals
with stop_on_signals() as stop:
    print("ready", flush=True)
    stop.wait()
    print("stopping", flush=True)
    threading.Event().wait()
"""


def test_a_second_signal_ends_the_process_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"stopping\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
