"""What whoever takes a mailbox is told on the way, and asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from digest.bounces.record import Taken

OnTaken = Callable[[Taken], None]
OnFault = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Watch:
    """`waiting` hears how many messages wait, before the first is taken. Once `stopped` says so no
    other is begun; what is left waits for the next time."""

    waiting: Callable[[int], None] = lambda number: None
    stopped: Callable[[], bool] = lambda: False


ALONE = Watch()
