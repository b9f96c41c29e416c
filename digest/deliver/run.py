"""The worker: claims what is due, feeds the lanes, stops in time, leaves nothing half done."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from digest.deliver.backlog import Backlog
from digest.deliver.decide import Jitter, cut_off, decide, ending, raised, unheard, unwritable
from digest.deliver.desk import Desk, Due
from digest.deliver.policy import Policy
from digest.deliver.recorder import Recorder
from digest.deliver.routes import Route, Routes
from digest.errors import DigestError
from digest.model import DeliveryState, Letter, Outcome, OutcomeKind, Settlement
from digest.store import Database
from digest.text.discreet import discreet
from digest.transports import Transport

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
    """One run. A letter in hand is in `_held` from its claim until its outcome is decided."""

    def __init__(
        self,
        desk: Desk,
        routes: Routes,
        letters: Letters,
        jitter: Jitter,
        stop: Flag | None,
        on_progress: Progress | None,
    ) -> None:
        self._desk, self._routes, self._letters = desk, routes, letters
        self._jitter, self._stop = jitter, stop
        self._on_progress = on_progress
        self._recorder = Recorder(desk.db, desk.now, self._written)
        self._backlog = Backlog(routes.domains, desk.policy.batch, time.monotonic)
        self._held: dict[int, Due] = {}
        self._bodies: dict[tuple[int, str], str] = {}  # bodies let go: by which relay
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
        try:
            async with asyncio.TaskGroup() as group:
                count = self._routes.lanes
                self._lanes = [group.create_task(self._lane()) for _ in range(count)]
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
            quiet = not self._held
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
        self._held.update((due.key, due) for due in batch)
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
                self._forget(due)

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
            elif tripped := self._routes.tripped:
                self._why = tripped
                log.error("delivery pauses, %s: %s", tripped, discreet(self._routes.said))
        return bool(self._why) or self._recorder.broken is not None

    # -------------------------------------------------------------- lanes

    async def _lane(self) -> None:
        while (found := await self._backlog.take()) is not None:
            domain, due = found
            try:
                await self._one(domain, due)
            finally:
                self._backlog.done(domain)

    async def _one(self, domain: str, due: Due) -> None:
        """One letter, until it has an outcome or the run is over. A relay that could not even be
        asked leaves it to the others."""
        if self._over() or (letter := self._write(due)) is None:
            return
        while (route := await self._route()) is not None:
            outcome = await self._send(route, domain, letter, due)
            if outcome is not None and not unheard(outcome):
                self._decided(due, outcome, route)
                return

    async def _route(self) -> Route | None:
        """The relay for this letter, as soon as one may have it. None: the run is over, the
        letter stays in `_held`."""
        while not self._over():
            at = time.monotonic()
            if (route := self._routes.choose(at)) is not None:
                return route
            await asyncio.sleep(min(self._routes.wait(at), 1.0))
        return None

    def _write(self, due: Due) -> Letter | None:
        """The letter, or None where it cannot be rendered: that one fails, named."""
        try:
            return self._letters(due)
        except Exception as error:
            outcome = unwritable(error)
            log.error("letter %d cannot be written: %s", due.key, discreet(outcome.text))
            failed = ending(due.delivery, DeliveryState.FAILED)
            self._settle(due, Settlement(due.key, due.token, failed, outcome, "render"))
            return None

    async def _send(self, route: Route, domain: str, letter: Letter, due: Due) -> Outcome | None:
        """What the relay says; None where the database broke before the body."""
        began = time.monotonic()
        era, lane = route.state.begin(began), route.lane()

        async def before_body() -> bool:
            if self._over():
                return False
            if await self._recorder.may_go(due.key, due.token, route.name):
                self._bodies[due.key, due.token] = route.name
                return True
            return False

        outcome = None
        try:
            outcome = await lane.send(letter, before_body)
        except DigestError:
            pass  # the database, in before_body: the run ends, the lease decides
        except Exception as error:  # a transport's own fault must not stop the queue for ever
            log.exception("transport %s", route.name)
            outcome = raised(error, (due.key, due.token) in self._bodies)
        finally:
            route.state.left()
            route.idle.append(lane)
        if outcome is not None:
            self._heard(route, domain, outcome, began, era)
        if (spare := route.surplus()) is not None:
            await spare.close()
        return outcome

    def _heard(self, route: Route, domain: str, outcome: Outcome, began: float, era: int) -> None:
        at = time.monotonic()
        route.state.heard(outcome, at, era)
        if rest := self._routes.domains.heard(domain, outcome, began, at):
            said = "%s says that letters come too fast, it rests for %.0f s: %s"
            log.warning(said, domain, rest, discreet(f"{outcome.code} {outcome.text}"))
        if (news := self._routes.news_of(route)) is not None:
            log.warning("relay %s: %s", route.name, discreet(news))

    def _decided(self, due: Due, outcome: Outcome, route: Route) -> None:
        if outcome.kind is OutcomeKind.WITHDRAWN and self._over():
            return  # ours to withhold, not the person's wish: given back
        returns = self._returns[due.key]
        if outcome.kind is OutcomeKind.RETURNED:
            self._returns[due.key] += 1
        policy = self._desk.policy
        decided = decide(outcome, due.delivery, self._desk.now(), self._jitter, policy, returns)
        self._settle(due, replace(decided, relay=route.name))

    def _settle(self, due: Due, settlement: Settlement) -> None:
        self._recorder.settle(settlement)
        self._forget(due)

    def _forget(self, due: Due) -> None:
        if self._held.get(due.key) is due:  # or a newer lease of ours has it by now
            del self._held[due.key]
        self._bodies.pop((due.key, due.token), None)
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
                self._backlog.close()  # nor for their turn
        self._empty.set()
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
        for due in list(self._held.values()):
            if self._recorder.marked.get(due.key) == due.token:
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
        outcome = cut_off((due.key, due.token) in self._bodies)
        now, policy = self._desk.now(), self._desk.policy
        decided = decide(outcome, due.delivery, now, self._jitter, policy)
        return replace(decided, relay=self._bodies.get((due.key, due.token)))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
