"""Group commit: what many lanes have to write goes into one transaction at a time.

The order is the promise: within a transaction outcomes come before body marks, and a lane hands
in its outcome before it asks for its next body. So at most one letter a lane is ever on the wire
without its outcome being written, and a crash leaves no more `unknown` rows than connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from digest.errors import Broken, DigestError
from digest.model import Settlement
from digest.store import Database, deliveries

log = logging.getLogger("digest.deliver")
GATHER = 0.001  # seconds a body mark waits for those of other lanes, at most
QUIET = 2  # turns of the loop in a row that bring no mark: then nobody is waited for
PATIENCE = 0.2  # seconds an outcome waits for a body mark to share its transaction with
Written = Callable[[Sequence[Settlement]], None]
Mark: TypeAlias = tuple[int, str, str | None, asyncio.Future[bool]]


class Recorder:
    """One task runs `run`; lanes call `may_go` and `settle`. After a failure of the database
    nothing more may go; `close` tries once more to write the outcomes that are still owed."""

    def __init__(self, db: Database, now: Callable[[], datetime], written: Written) -> None:
        self._db = db
        self._now = now
        self._written = written
        self._marks: list[Mark] = []
        self._owed: list[Settlement] = []
        self._wake = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._one_at_a_time = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self.marked: dict[int, str] = {}  # committed as going out and not yet settled
        self.broken: DigestError | None = None

    async def may_go(self, key: int, token: str, relay: str | None = None) -> bool:
        """Commit that this letter's body goes out now, by which relay. False: it may not (any
        more)."""
        if self.broken:
            raise self.broken
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._marks.append((key, token, relay, future))
        self._idle.clear()
        self._wake.set()
        return await future

    def settle(self, settlement: Settlement) -> None:
        """Write this soon: with the next body mark, for which somebody waits."""
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(PATIENCE, self._wake.set)
        self._owed.append(settlement)
        self._idle.clear()

    async def settled(self) -> None:
        """Everything handed in so far is written (or the database is broken)."""
        self._wake.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Write, for ever."""
        while True:
            await self._wake.wait()
            await self._gather()
            self._wake.clear()
            if self._later is not None:
                self._later.cancel()
                self._later = None
            await self._write()
            if self.broken or not (self._marks or self._owed):
                self._idle.set()

    async def _gather(self) -> None:
        """Wait for the marks of other lanes while they keep coming."""
        loop = asyncio.get_running_loop()
        end, seen, quiet = loop.time() + GATHER, -1, 0
        while quiet < QUIET and loop.time() < end:
            quiet = 0 if len(self._marks) > seen else quiet + 1
            seen = len(self._marks)
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Write what is still owed, once more where the database failed. Raises what it said."""
        await self.settled()
        failed, self.broken = self.broken, None
        if self._owed:
            await self._write()
        if error := self.broken or failed:
            raise error

    async def _write(self) -> None:
        async with self._one_at_a_time:
            await self._write_all()

    async def _write_all(self) -> None:
        marks, self._marks = [m for m in self._marks if not m[3].done()], []
        owed, self._owed = self._owed, []
        pairs = [(key, token) for key, token, _, _ in marks]
        relays = {key: relay for key, _, relay, _ in marks if relay}
        try:
            settled, go = await self._committed(owed, pairs, relays)
        except DigestError as error:
            self._fail(error, owed, marks)
            return
        except Exception as error:  # a fault of ours: lanes would wait for their marks for ever
            log.exception("outcomes cannot be written")
            self._fail(Broken(f"outcomes cannot be written: {error!r}"), owed, marks)
            return
        self._note(owed, settled, go, pairs)
        for key, _, _, future in marks:
            if not future.done():
                future.set_result(key in go)

    async def _committed(
        self,
        owed: Sequence[Settlement],
        pairs: Sequence[tuple[int, str]],
        relays: Mapping[int, str],
    ) -> tuple[frozenset[int], frozenset[int]]:
        """SQLite commits in less time than a change of threads takes; a server is waited for."""
        if self._db.is_sqlite:
            return self._commit(owed, pairs, relays)
        return await asyncio.to_thread(self._commit, owed, pairs, relays)

    def _commit(
        self,
        owed: Sequence[Settlement],
        pairs: Sequence[tuple[int, str]],
        relays: Mapping[int, str],
    ) -> tuple[frozenset[int], frozenset[int]]:
        if not owed and not pairs:
            return frozenset(), frozenset()
        now = self._now()
        with self._db.writing() as tx:
            return deliveries.record(tx, owed, pairs, now, relays)

    def _note(
        self,
        owed: Sequence[Settlement],
        settled: frozenset[int],
        go: frozenset[int],
        pairs: Sequence[tuple[int, str]],
    ) -> None:
        for item in owed:
            if self.marked.get(item.key) == item.token:
                del self.marked[item.key]
        self.marked.update(pair for pair in pairs if pair[0] in go)
        if settled:
            self._written([item for item in owed if item.key in settled])

    def _fail(self, error: DigestError, owed: list[Settlement], marks: Sequence[Mark]) -> None:
        self.broken = error
        self._owed = owed + self._owed
        for *_, future in marks:
            if not future.done():
                future.set_exception(error)
