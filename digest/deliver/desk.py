"""The worker's desk: what it claims from the database, and what it gives back. Every question is
asked in a worker thread, a batch at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from digest.deliver.decide import put_off
from digest.deliver.owner import gone
from digest.deliver.policy import Policy
from digest.model import Delivery, Edition, LetterKind, Notice, Paper, Subscriber
from digest.store import Database, Tx, deliveries, editions, papers, people, sources

log = logging.getLogger("digest.deliver")
MOST_PAPERS = 20_000  # pinned texts kept from batch to batch
Pinned = dict[tuple[str, int], Paper]


@dataclass(frozen=True, slots=True)
class Due:
    """A letter to write. `papers` holds those its edition pins (and others) by (id, revision);
    `document` is the profile as plain data, for a confirmation only; `notice` is what the operator
    is told, who is no subscriber."""

    delivery: Delivery
    subscriber: Subscriber | None
    edition: Edition | None = None
    papers: Mapping[tuple[str, int], Paper] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    notice: Notice | None = None

    @property
    def key(self) -> int:
        return self.delivery.key

    @property
    def reader(self) -> Subscriber:
        """Whom a letter is for that is not for the operator. Raises LookupError."""
        if self.subscriber is None:
            raise LookupError(f"delivery {self.key} is for nobody who is known")
        return self.subscriber

    @property
    def token(self) -> str:
        return self.delivery.lease_token or ""


class Desk:
    """Claims letters under new tokens, keeps their leases, gives back what was not started."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        owner: str,
        token: Callable[[], str],
        policy: Policy,
    ) -> None:
        self.db, self.now, self.policy = db, now, policy
        self._owner, self._token = owner, token
        self._papers: Pinned = {}
        self._open: Counter[str] = Counter()  # letters in hand by their lease's token

    def done(self, due: Due) -> None:
        """This letter is in hand no more."""
        self._open[due.token] -= 1
        if not self._open[due.token]:
            del self._open[due.token]

    async def sweep(self) -> None:
        """What dead workers left behind; unknown letters that are to go once more."""
        swept = await asyncio.to_thread(self._sweep)
        if swept.given_back or swept.unknown:
            said = "a worker ended in mid-run: %d letters given back, %d unknown"
            log.warning(said, swept.given_back, swept.unknown)
        if swept.resent:
            log.warning("unknown what became of %d letters: they go once more", swept.resent)

    def _sweep(self) -> deliveries.Swept:
        after = self.policy.resend_after if self.policy.ambiguous == "resend" else None
        with self.db.reading() as tx:
            dead = [owner for owner in deliveries.owners(tx) if gone(owner)]
        with self.db.writing() as tx:
            return deliveries.sweep(tx, self.now(), after, dead)

    async def keep(self) -> None:
        """Hold on to every lease in hand."""
        if self._open:
            await asyncio.to_thread(self._keep, list(self._open))

    def _keep(self, tokens: list[str]) -> None:
        with self.db.writing() as tx:
            deliveries.extend(tx, tokens, self.now() + self.policy.lease)

    async def claim(self) -> list[Due]:
        """The next batch, with all that is needed to write its letters; [] if nothing is due."""
        batch = await asyncio.to_thread(self._claim)
        self._open.update(due.token for due in batch)
        return batch

    def _claim(self) -> list[Due]:
        now, policy = self.now(), self.policy
        with self.db.writing() as tx:
            lease_until = now + policy.lease
            rows = deliveries.claim(tx, self._owner, self._token(), now, lease_until, policy.batch)
        with self.db.reading() as tx:
            return self._equipped(tx, rows) if rows else []

    def _equipped(self, tx: Tx, rows: list[Delivery]) -> list[Due]:
        made = editions.by_keys(tx, [row.edition_key for row in rows if row.edition_key])
        who = people.by_keys(tx, {row.subscriber_key for row in rows})
        asked = {row.key for row in rows if row.kind is LetterKind.CONFIRMATION}
        told = sources.notices_of(tx, [row.key for row in rows if row.kind is LetterKind.NOTICE])
        pinned = self._pinned(tx, made.values())
        return [
            Due(
                row,
                who.get(row.subscriber_key),
                made.get(row.edition_key or 0),
                pinned,
                people.profile(tx, row.subscriber_key)[0] if row.key in asked else {},
                told.get(row.key),
            )
            for row in rows
        ]

    def _pinned(self, tx: Tx, made: Iterable[Edition]) -> Pinned:
        """The texts of these editions. Most papers are in many letters: they are kept."""
        pins = {pin for one in made for pin in one.content.pins}
        if len(self._papers) + len(pins) > MOST_PAPERS:
            self._papers = {}  # letters in hand keep the old one
        if missing := pins - self._papers.keys():
            self._papers.update(papers.pinned(tx, missing))
        return self._papers

    async def release(self, left: Collection[Due], reason: str) -> None:
        """Give these back, due at once for whoever comes next."""
        if left:
            await asyncio.to_thread(self._release, left, reason)

    def _release(self, left: Collection[Due], reason: str) -> None:
        by_token: defaultdict[str, list[int]] = defaultdict(list)
        for due in left:
            by_token[due.token].append(due.key)
        with self.db.writing() as tx:
            for token, keys in by_token.items():
                deliveries.release(tx, token, keys, self.now(), reason)

    async def put_off(self, late: Collection[tuple[Due, float]]) -> None:
        """Give these back, due after so many seconds: their domain has enough in hand."""
        await asyncio.to_thread(self._put_off, late)

    def _put_off(self, late: Collection[tuple[Due, float]]) -> None:
        now = self.now()
        rows = [
            (due.token, due.key, put_off(due.delivery, now, timedelta(seconds=delay), self.policy))
            for due, delay in late
        ]
        with self.db.writing() as tx:
            deliveries.put_off(tx, rows, now, "domain_limit")
