"""The worker: claims what is due, feeds the lanes, stops in time, leaves nothing half done."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from digest.deliver.decide import Jitter, decide, ending
from digest.deliver.desk import Desk, Due
from digest.deliver.policy import Policy
from digest.deliver.recorder import Recorder
from digest.deliver.relay import RelayState
from digest.errors import DigestError
from digest.model import DeliveryState, Letter, Outcome, OutcomeKind, Phase, Settlement
from digest.store import Database
from digest.text.discreet import discreet
from digest.transports import Lane, Transport

log = logging.getLogger("digest.deliver")
POLL = 0.05  # seconds between looks at the stop flag
AGAIN = 2.0  # seconds between claims while the last letters are on their way

Letters = Callable[[Due], Letter]
"""Writes a letter out; the same bytes for the same Due. What it raises costs only that letter."""

Progress = Callable[[Mapping[str, int]], None]
"""Hears the counts so far, after each commit."""


class Flag(Protocol):
    """A stop event, of asyncio or threading: it is only ever asked."""

    def is_set(self) -> bool: ...


async def deliver(
    db: Database,
    transport: Transport,
    letters: Letters,
    now: Callable[[], datetime],
    owner: str,
    token: Callable[[], str],
    jitter: Jitter,
    *,
    policy: Policy | None = None,
    stop: Flag | None = None,
    relay: RelayState | None = None,
    on_progress: Progress | None = None,
) -> dict[str, int]:
    """Send until nothing is due, the relay must be left alone, or `stop` is set.

    Returns how many letters ended how: accepted, failed, expired, unknown, deferred, queued (put
    off without being counted); and, where the run ended early, the reason (relay_down, policy,
    stopped ...) with the number of letters that were given back. Raises Broken when the database
    fails: outcomes that were on their way are written if that is possible at all, and the rest
    stays decidable by its lease.

    `owner`: deliver.owner.me(...). `token`: a new word at each call. `relay` may be kept from run
    to run. `stop` ends the run within about `policy.grace` seconds.
    """
    policy = policy or Policy()
    relay = relay or RelayState(transport.lanes, jitter, policy)
    if not relay.revive(time.monotonic()):
        return {relay.tripped: 0}
    desk = Desk(db, now, owner, token, policy)
    return await _Run(desk, transport, letters, relay, jitter, stop, on_progress).go()


class _Run:
    """One run. A letter in hand is in `_held` from its claim until its outcome is decided."""

    def __init__(
        self,
        desk: Desk,
        transport: Transport,
        letters: Letters,
        relay: RelayState,
        jitter: Jitter,
        stop: Flag | None,
        on_progress: Progress | None,
    ) -> None:
        self._desk, self._transport, self._letters = desk, transport, letters
        self._relay, self._jitter, self._stop = relay, jitter, stop
        self._on_progress = on_progress
        self._recorder = Recorder(desk.db, desk.now, self._written)
        self._queue: asyncio.Queue[Due | None] = asyncio.Queue(desk.policy.batch)
        self._held: dict[int, Due] = {}
        self._bodies: set[int] = set()  # keys whose body was let go
        self._returns: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._empty = asyncio.Event()
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
        async with asyncio.TaskGroup() as group:
            count = max(1, self._transport.lanes)
            self._lanes = [group.create_task(self._lane()) for _ in range(count)]
            watches = [group.create_task(self._watch()), group.create_task(self._keep())]
            await self._feed()
            for _ in self._lanes:
                await self._queue.put(None)
            await asyncio.wait(self._lanes)
            for watch in watches:
                watch.cancel()

    # -------------------------------------------------------------- claims

    async def _feed(self) -> None:
        """Claim until nothing is due and nothing in hand can come back."""
        while not self._over():
            quiet = not self._held
            if quiet:
                await self._recorder.settled()
            batch = await self._claim()
            for due in batch:
                await self._queue.put(due)
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
        self._held.update((due.key, due) for due in batch)
        return batch

    async def _wait_until_empty(self) -> None:
        self._empty.clear()
        if self._held and not self._over():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), AGAIN)

    def _over(self) -> bool:
        """True where the run ends early; `_why` says why."""
        if not self._why:
            if self._stopping():
                self._why = "stopped"
            elif self._relay.tripped:
                self._why = self._relay.tripped
                log.error("delivery pauses, %s: %s", self._why, discreet(self._relay.said))
        return bool(self._why) or self._recorder.broken is not None

    # -------------------------------------------------------------- lanes

    async def _lane(self) -> None:
        lane = self._transport.lane()
        try:
            while (due := await self._queue.get()) is not None:
                await self._one(lane, due)
        finally:
            await lane.close()

    async def _one(self, lane: Lane, due: Due) -> None:
        """One letter, until it has an outcome or the run is over."""
        if self._over() or (letter := self._write(due)) is None:
            return
        while await self._may_start():
            outcome = await self._send(lane, letter, due)
            if outcome is not None and not _unheard(outcome):
                self._decided(due, outcome)
                return

    async def _may_start(self) -> bool:
        """Wait for the relay's sake. False: the run is over, the letter stays in `_held`."""
        while not self._over():
            wait = self._relay.wait(time.monotonic())
            if wait <= 0:
                return True
            await asyncio.sleep(min(wait, 1.0))
        return False

    def _write(self, due: Due) -> Letter | None:
        """The letter, or None where it cannot be rendered: that one fails, named."""
        try:
            return self._letters(due)
        except Exception as error:
            said = str(error) if isinstance(error, DigestError) else repr(error)
            log.error("letter %d cannot be written: %s", due.key, discreet(said))
            outcome = Outcome(OutcomeKind.REFUSED, Phase.CONNECT, None, None, said[:500])
            failed = ending(due.delivery, DeliveryState.FAILED)
            self._settle(due, Settlement(due.key, due.token, failed, outcome, "render"))
            return None

    async def _send(self, lane: Lane, letter: Letter, due: Due) -> Outcome | None:
        """What the lane says; None where the database broke before the body."""
        era = self._relay.begin(time.monotonic())

        async def before_body() -> bool:
            if self._over():
                return False
            if await self._recorder.may_go(due.key, due.token):
                self._bodies.add(due.key)
                return True
            return False

        outcome = None
        try:
            outcome = await lane.send(letter, before_body)
        except DigestError:
            pass  # the database, in before_body: the run ends, the lease decides
        except Exception as error:  # a transport's own fault must not stop the queue for ever
            log.exception("transport %s", self._transport.name)
            outcome = _raised(error, due.key in self._bodies)
        finally:
            self._relay.left()
        if outcome is not None:
            self._relay.heard(outcome, time.monotonic(), era)
        return outcome

    def _decided(self, due: Due, outcome: Outcome) -> None:
        if outcome.kind is OutcomeKind.WITHDRAWN and self._over():
            return  # ours to withhold, not the person's wish: given back
        returns = self._returns[due.key]
        if outcome.kind is OutcomeKind.RETURNED:
            self._returns[due.key] += 1
        policy = self._desk.policy
        now = self._desk.now()
        self._settle(due, decide(outcome, due.delivery, now, self._jitter, policy, returns))

    def _settle(self, due: Due, settlement: Settlement) -> None:
        self._recorder.settle(settlement)
        self._forget(due)

    def _forget(self, due: Due) -> None:
        del self._held[due.key]
        self._bodies.discard(due.key)
        self._desk.done(due)
        if not self._held:
            self._empty.set()

    def _written(self, settled: Sequence[Settlement]) -> None:
        now = self._desk.now()
        for item in settled:
            if item.state is not DeliveryState.QUEUED:
                self._counts[str(item.state)] += 1
                self._returns.pop(item.key, None)
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
                self._empty.set()  # nobody waits for letters that stay in hand
        self._empty.set()
        await asyncio.sleep(self._desk.policy.grace)
        for lane in self._lanes:
            lane.cancel()

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
        for due in list(self._held.values()):
            if due.key in self._recorder.marked:
                self._settle(due, self._cut_off(due))
        try:
            await self._recorder.close()
            left = list(self._held.values())
            await self._desk.release(left, self._why or "stopped")
            if self._why:
                self._counts[self._why] += len(left)
        finally:
            recording.cancel()

    def _cut_off(self, due: Due) -> Settlement:
        """A letter that was marked as going out when its lane was cut."""
        if due.key in self._bodies:
            kind, text = OutcomeKind.UNKNOWN, "we stopped before the relay answered"
        else:
            kind, text = OutcomeKind.RETURNED, "we stopped before the body"
        outcome = Outcome(kind, Phase.BODY, None, None, text)
        return decide(outcome, due.delivery, self._desk.now(), self._jitter, self._desk.policy)


def _unheard(outcome: Outcome) -> bool:
    """The relay could not even be asked: the same letter is tried again."""
    return outcome.kind is OutcomeKind.RETURNED and outcome.phase is Phase.CONNECT


def _raised(error: Exception, in_body: bool) -> Outcome:
    """A transport that raises has said nothing; what that means depends on the body alone."""
    kind = OutcomeKind.UNKNOWN if in_body else OutcomeKind.RETURNED
    phase = Phase.BODY if in_body else Phase.MAIL
    return Outcome(kind, phase, None, None, repr(error)[:500])


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
