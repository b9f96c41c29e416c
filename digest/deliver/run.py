"""The worker: claims what is due, feeds the lanes, stops in time, leaves nothing half done."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Protocol

from digest.deliver.backlog import Backlog
from digest.deliver.decide import Jitter
from digest.deliver.desk import Desk, Due
from digest.deliver.hand import Hand
from digest.deliver.lanes import Letters as Letters
from digest.deliver.lanes import Sender
from digest.deliver.policy import Policy
from digest.deliver.recorder import Recorder
from digest.deliver.routes import Routes
from digest.errors import DigestError
from digest.model import DeliveryState, Settlement
from digest.store import Database
from digest.text.discreet import discreet
from digest.transports import Transport

log = logging.getLogger("digest.deliver")
POLL = 0.05  # seconds between looks at the stop flag
AGAIN = 2.0  # seconds between claims while the last letters are on their way

Progress = Callable[[Mapping[str, int]], None]
"""Hears the counts so far, after each commit."""


class Flag(Protocol):
    """A stop event, of asyncio or threading: it is only ever asked."""

    def is_set(self) -> bool: ...


async def deliver(
    db: Database,
    way: Transport | Routes,
    letters: Letters,
    now: Callable[[], datetime],
    owner: str,
    token: Callable[[], str],
    jitter: Jitter,
    *,
    policy: Policy | None = None,
    stop: Flag | None = None,
    on_progress: Progress | None = None,
) -> dict[str, int]:
    """Send until nothing is due, every relay must be left alone, or `stop` is set.

    Returns how many letters ended how: accepted, failed, expired, unknown, deferred, queued (put
    off without being counted); and, where the run ended early, the reason (relay_down, policy,
    stopped ...) with the number of letters that were given back. Raises Broken when the database
    fails: outcomes that were on their way are written if that is possible at all, and the rest
    stays decidable by its lease.

    `way`: one transport, or routes, which may be kept from run to run and have a policy of their
    own. `owner`: deliver.owner.me(...). `token`: a new word at each call. `stop` ends the run
    within about `policy.grace` seconds.
    """
    if not isinstance(way, Routes):
        way = Routes.single(way, jitter, policy or Policy())
    if not way.revive(time.monotonic()):
        return {way.tripped or "relay_down": 0}
    desk = Desk(db, now, owner, token, way.policy)
    return await _Run(desk, way, letters, jitter, stop, on_progress).go()


class _Run:
    """One run."""

    def __init__(
        self,
        desk: Desk,
        routes: Routes,
        letters: Letters,
        jitter: Jitter,
        stop: Flag | None,
        on_progress: Progress | None,
    ) -> None:
        self._desk, self._routes, self._stop = desk, routes, stop
        self._on_progress = on_progress
        self._recorder = Recorder(desk.db, desk.now, self._written)
        self._backlog = Backlog(routes.domains, desk.policy.batch, time.monotonic)
        self._hand = hand = Hand(desk, self._recorder, jitter)
        given = (routes, self._backlog, hand, self._recorder, letters, self._over)
        self._sender = partial(Sender, *given)
        self._counts: Counter[str] = Counter()
        self._lanes: list[asyncio.Task[None]] = []
        self._why = ""  # the run ends early

    async def go(self) -> dict[str, int]:
        await self._desk.sweep()
        recording = asyncio.create_task(self._recorder.run())
        try:
            await self._work()
        except ExceptionGroup as group:
            raise _first(group) from None
        finally:
            await self._wind_up(recording)
        log.info("delivered: %s", dict(self._counts) or "nothing was due")
        return dict(self._counts)

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                count = self._routes.lanes
                self._lanes = [group.create_task(self._sender().run()) for _ in range(count)]
                others = (self._watch(), self._keep(), self._shed())
                watches = [group.create_task(watch) for watch in others]
                await self._feed()
                self._backlog.close()
                await asyncio.wait(self._lanes)
                for watch in watches:
                    watch.cancel()
        finally:
            self._backlog.close()
            await self._routes.close()

    # -------------------------------------------------------------- claims

    async def _feed(self) -> None:
        """Claim until nothing is due and nothing in hand can come back."""
        while not self._over():
            quiet = not self._hand.held
            if quiet:
                await self._recorder.settled()
            batch = await self._claim()
            await self._admit(batch)
            if not batch and quiet:
                return
            if not batch:
                await self._wait_until_empty()

    async def _claim(self) -> list[Due]:
        try:
            batch = await self._desk.claim()
        except DigestError as error:
            self._recorder.broken = error  # what is on the wire still gets its time
            return []
        self._hand.take(batch)
        return batch

    async def _admit(self, batch: Sequence[Due]) -> None:
        """Take letters in hand, but for those whose domain has enough there: they would keep
        others out."""
        late = []
        for due in batch:
            if (delay := self._backlog.late(due)) is None:
                await self._backlog.put(due)
            else:
                late.append((due, delay))
        await self._put_off(late)

    async def _put_off(self, late: Sequence[tuple[Due, float]]) -> None:
        if late:
            await self._desk.put_off(late)
            for due, _ in late:
                self._hand.forget(due)

    async def _wait_until_empty(self) -> None:
        self._hand.empty.clear()
        if self._hand.held and not self._over():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hand.empty.wait(), AGAIN)

    def _over(self) -> bool:
        """True where the run ends early; `_why` says why."""
        if not self._why:
            if self._stopping():
                self._why = "stopped"
            elif tripped := self._routes.tripped:
                self._why = tripped
                log.error("delivery pauses, %s: %s", tripped, discreet(self._routes.said))
        return bool(self._why) or self._recorder.broken is not None

    def _written(self, settled: Sequence[Settlement]) -> None:
        now = self._desk.now()
        for item in settled:
            if item.state is not DeliveryState.QUEUED:
                self._counts[str(item.state)] += 1
                self._hand.ended(item.key)
            elif item.not_before is not None and item.not_before > now:
                self._counts["deferred" if item.counted else "queued"] += 1
        if self._on_progress is not None:
            self._on_progress(self._counts)

    # -------------------------------------------------------------- beside the lanes

    async def _watch(self) -> None:
        """After a stop, letters in the body get their grace; then the lanes are cut."""
        while not (self._stopping() or self._recorder.broken):
            await asyncio.sleep(POLL)
            if self._over():
                self._hand.empty.set()  # nobody waits for letters that stay in hand
                self._backlog.close()  # nor for their turn
        self._hand.empty.set()
        self._backlog.close()
        await asyncio.sleep(self._desk.policy.grace)
        for lane in self._lanes:
            lane.cancel()

    async def _shed(self) -> None:
        """Put off what has come to wait for long, since its domain said "too fast"."""
        while True:
            await asyncio.sleep(AGAIN)
            try:
                await self._put_off(self._backlog.shed())
            except DigestError as error:
                self._recorder.broken = error

    def _stopping(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    async def _keep(self) -> None:
        """Renew the leases, and look for workers that died meanwhile."""
        while True:
            await asyncio.sleep(self._desk.policy.lease.total_seconds() / 3)
            try:
                await self._desk.keep()
                await self._desk.sweep()
            except DigestError as error:
                log.warning("leases could not be renewed: %s", error)

    # -------------------------------------------------------------- the end

    async def _wind_up(self, recording: asyncio.Task[None]) -> None:
        """Write what is owed; give back what was not started; say what cannot be known."""
        for due in list(self._hand.held.values()):
            if self._recorder.marked.get(due.key) == due.token:
                self._hand.cut_off(due)
        try:
            await self._recorder.close()
            left = list(self._hand.held.values())
            await self._desk.release(left, self._why or "stopped")
            if self._why:
                self._counts[self._why] += len(left)
        finally:
            recording.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
