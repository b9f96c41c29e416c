"""One timer for all the waits of a lane.

`asyncio.wait_for` makes and cancels a timer for each reply, four times a letter; here a deadline
is moved instead, and the timer looks at it when it fires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Patience:
    """`with patience.of(seconds): await ...` calls `give_up` once where the block takes longer;
    `give_up` must make what is awaited end. `lost` tells afterwards whether that was so."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self.lost = False

    def of(self, seconds: float) -> Patience:
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._arm(loop, self._deadline)
        return self

    def __enter__(self) -> None:
        """The wait has begun when `of` was called."""

    def __exit__(self, *error: object) -> None:
        self._deadline = None

    def _arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self.end()
        self._timer = loop.call_at(at, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if loop.time() < self._deadline:
            self._arm(loop, self._deadline)
        else:
            self.lost = True
            self._give_up()

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
