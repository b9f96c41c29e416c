"""Letters in hand, from their claim until what becomes of them is decided and handed in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from digest.deliver.decide import Jitter, cut_off, decide, ending, unwritable
from digest.deliver.desk import Desk, Due
from digest.deliver.recorder import Recorder
from digest.model import DeliveryState, Letter, Outcome, OutcomeKind, Settlement


class Hand:
    """`bodies`: which letters' bodies were let go, and by which relay. `drafts`: what was written
    before a lane was free for it. `empty` is set whenever the last letter leaves."""

    def __init__(self, desk: Desk, recorder: Recorder, jitter: Jitter) -> None:
        self._desk, self._recorder, self._jitter = desk, recorder, jitter
        self.held: dict[int, Due] = {}
        self.bodies: dict[tuple[int, str], str] = {}
        self.drafts: dict[tuple[int, str], Letter] = {}
        self._returns: Counter[int] = Counter()
        self.empty = asyncio.Event()

    def take(self, batch: Iterable[Due]) -> None:
        self.held.update((due.key, due) for due in batch)

    def decided(self, due: Due, outcome: Outcome, relay: str) -> None:
        """What a relay said, as what is to be written."""
        returns = self._returns[due.key]
        if outcome.kind is OutcomeKind.RETURNED:
            self._returns[due.key] += 1
        now, policy = self._desk.now(), self._desk.policy
        settlement = decide(outcome, due.delivery, now, self._jitter, policy, returns)
        self._settle(due, replace(settlement, relay=relay))

    def failed(self, due: Due, error: Exception) -> Outcome:
        """A letter that cannot be written."""
        outcome = unwritable(error)
        failed = ending(due.delivery, DeliveryState.FAILED)
        self._settle(due, Settlement(due.key, due.token, failed, outcome, "render"))
        return outcome

    def cut_off(self, due: Due) -> None:
        """A letter that was marked as going out when its lane was cut."""
        relay = self.bodies.get((due.key, due.token))
        now, policy = self._desk.now(), self._desk.policy
        settlement = decide(cut_off(relay is not None), due.delivery, now, self._jitter, policy)
        self._settle(due, replace(settlement, relay=relay))

    def _settle(self, due: Due, settlement: Settlement) -> None:
        self._recorder.settle(settlement)
        self.forget(due)

    def forget(self, due: Due) -> None:
        """It is not ours any more."""
        if self.held.get(due.key) is due:  # or a newer lease of ours has it by now
            del self.held[due.key]
        self.bodies.pop((due.key, due.token), None)
        self.drafts.pop((due.key, due.token), None)
        self._desk.done(due)
        if not self.held:
            self.empty.set()

    def ended(self, key: int) -> None:
        """It will not be tried again: how often it came back is of no interest."""
        self._returns.pop(key, None)
