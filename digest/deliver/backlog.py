"""Letters in hand that wait for a lane. A lane takes the first one whose domain may have one more
now: the letters of a domain that is slow, limited or at rest wait aside and hold up nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from digest.deliver.desk import Due
from digest.deliver.domains import Domains, DomainState, domain_of

LONGEST = 1.0  # seconds between looks, whatever is expected


class Backlog:
    """`put` waits while more than `most` letters are ready; `take` waits for a letter and answers
    None once `close` was called. `clock`: seconds, monotonic."""

    def __init__(self, domains: Domains, most: int, clock: Callable[[], float]) -> None:
        self._domains, self._most, self._clock = domains, most, clock
        self._first: deque[tuple[str, Due]] = deque()  # ready, and named by `soon`
        self._ready: deque[tuple[str, Due]] = deque()
        self._aside: dict[str, deque[Due]] = {}
        self._set_aside = 0
        self._takers: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._closed = False

    # -------------------------------------------------------------- in

    def late(self, due: Due) -> float | None:
        """Seconds until this letter should be claimed again, where its domain has too many in
        hand; None: `put` it."""
        return self._late(domain_of(due.delivery.recipient))

    def _late(self, name: str) -> float | None:
        """A limited domain may fill a quarter of the hand, and all of them together half."""
        most = self._most // 4 if self._set_aside < self._most // 2 else 0
        return self._domains.late(name, self._clock(), most)

    async def put(self, due: Due) -> None:
        name = domain_of(due.delivery.recipient)
        self._domains.of(name).waiting += 1
        self._ready.append((name, due))
        self._wake()
        while len(self) > self._most and not self._closed:
            self._room.clear()
            await self._room.wait()

    def __len__(self) -> int:
        return len(self._first) + len(self._ready) + self._set_aside

    def shed(self) -> list[tuple[Due, float]]:
        """Letters that have come to wait too long, out of hand: [(letter, seconds)]."""
        gone: list[tuple[Due, float]] = []
        for name, letters in list(self._aside.items()):
            while letters and (delay := self._late(name)) is not None:
                self._domains.of(name).waiting -= 1
                self._set_aside -= 1
                gone.append((letters.pop(), delay))
            if not letters:
                del self._aside[name]
        if gone:
            self._room.set()
        return gone

    # -------------------------------------------------------------- out

    async def take(self) -> tuple[str, Due] | None:
        """A letter and its domain, whose turn has begun: say `done` when it is over."""
        while not self._closed:
            if (found := self._next(self._clock())) is not None:
                self._room.set()
                return found
            await self._news()
        return None

    def soon(self) -> Due | None:
        """A letter that lanes will take before those that were not named yet."""
        if self._closed or not self._ready:
            return None
        self._first.append(self._ready.popleft())
        return self._first[-1][1]

    def after(self, name: str) -> tuple[str, Due] | None:
        """A letter, if one is ready, to follow a letter of domain `name` on its lane, and its
        domain. One of the same domain takes the other's turn over: say `done` once for both. None
        behind a slow domain, where it would wait longer than for another lane."""
        state = self._domains.of(name)
        if self._closed or state.slow:
            return None
        state.active -= 1
        found = self._next(self._clock())
        if found is None or found[0] != name:
            state.active += 1
        if found is not None:
            self._room.set()
        return found

    def _next(self, at: float) -> tuple[str, Due] | None:
        for name in self._aside:
            if (state := self._domains.of(name)).wait(at) <= 0.0:
                return self._begun(name, state, self._from_aside(name), at)
        while found := self._first or self._ready:
            name, due = found.popleft()
            state = self._domains.of(name)
            if name not in self._aside and state.wait(at) <= 0.0:
                return self._begun(name, state, due, at)
            self._lay_aside(name, due)
        return None

    def _lay_aside(self, name: str, due: Due) -> None:
        if name not in self._aside:
            self._aside[name] = deque()
            self._wake()  # somebody idle watches the time
        self._aside[name].append(due)
        self._set_aside += 1

    def _from_aside(self, name: str) -> Due:
        letters = self._aside[name]
        due = letters.popleft()
        self._set_aside -= 1
        if letters:
            self._wake()
        else:
            del self._aside[name]
        return due

    @staticmethod
    def _begun(name: str, state: DomainState, due: Due, at: float) -> tuple[str, Due]:
        state.waiting -= 1
        state.begin(at)
        return name, due

    async def _news(self) -> None:
        """Something that a lane that found nothing should look at."""
        at, loop = self._clock(), asyncio.get_running_loop()
        soonest = min((self._domains.of(name).wait(at) for name in self._aside), default=LONGEST)
        future: asyncio.Future[None] = loop.create_future()
        self._takers.append(future)
        timer = loop.call_later(min(soonest, LONGEST), _tell, future) if self._aside else None
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    def done(self, name: str) -> None:
        """One of this domain's letters is over, however it ended."""
        self._domains.left(name, self._clock())
        if name in self._aside:
            self._wake()

    def _wake(self) -> None:
        while self._takers:
            future = self._takers.popleft()
            if not future.done():
                future.set_result(None)
                break

    def close(self) -> None:
        """Whoever takes gets None from now on."""
        self._closed = True
        self._room.set()
        for future in self._takers:
            _tell(future)
        names = [name for name, _ in (*self._first, *self._ready)]
        for name in names + [name for name, letters in self._aside.items() for _ in letters]:
            self._domains.of(name).waiting -= 1


def _tell(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
