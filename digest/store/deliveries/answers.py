"""Answers about deliveries, and what an admin may do about them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, update

from digest.model import (
    Delivery,
    DeliveryState,
    LetterKind,
)
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.deliveries.rows import d, delivery_of, give_back_papers, requeue
from digest.store.editions import RETURNS, by_keys, mark_received
from digest.store.rows import chunks

e = t.editions.c


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one delivery, as it ended."""

    at: datetime
    outcome: str
    phase: str
    code: int | None
    enhanced: str | None
    text: str
    relay: str | None = None


def due_count(tx: Tx, now: datetime) -> int:
    """Letters that could go now."""
    ready = and_(d.state == DeliveryState.QUEUED, d.not_before <= now)
    return tx.execute(select(func.count()).select_from(t.deliveries).where(ready)).scalar_one()


def next_due(tx: Tx) -> datetime | None:
    """When the next queued letter may go."""
    first = select(func.min(d.not_before)).where(d.state == DeliveryState.QUEUED)
    found: datetime | None = tx.execute(first).scalar_one()
    return found


def counts(tx: Tx, since: datetime | None = None) -> dict[str, int]:
    """{state: letters} over all, or those that changed since."""
    question = select(d.state, func.count().label("n")).group_by(d.state)
    if since is not None:
        question = question.where(d.changed_at >= since)
    return {row.state: row.n for row in tx.execute(question)}


def listed(
    tx: Tx,
    limit: int = 0,
    state: DeliveryState | None = None,
    not_accepted: bool = False,
    subscriber: int | None = None,
) -> list[Delivery]:
    """Letters, newest first; limit 0 is all."""
    keys = select(d.key).order_by(d.key.desc()).limit(limit or None)
    if state is not None:
        keys = keys.where(d.state == state)
    if not_accepted:
        keys = keys.where(t.NOT_ACCEPTED)
    if subscriber is not None:
        keys = keys.where(d.subscriber == subscriber)
    # Keys first, which an index alone answers; then the few rows.
    question = select(t.deliveries).where(d.key.in_(keys)).order_by(d.key.desc())
    return [delivery_of(row) for row in tx.execute(question)]


def get(tx: Tx, key: int) -> Delivery | None:
    row = tx.execute(select(t.deliveries).where(d.key == key)).one_or_none()
    return delivery_of(row) if row else None


def queued_since(tx: Tx, subscriber: int, kind: LetterKind, since: datetime) -> list[Delivery]:
    """A person's letters of this kind that were queued after `since`, newest first."""
    mine = and_(d.subscriber == subscriber, d.kind == kind, d.created_at > since)
    rows = tx.execute(select(t.deliveries).where(mine).order_by(d.key.desc()))
    return [delivery_of(row) for row in rows]


def of_editions(tx: Tx, editions: Collection[int]) -> dict[int, Delivery]:
    """{edition: its letter's delivery}."""
    return {
        row.edition: delivery_of(row)
        for part in chunks(editions)
        for row in tx.execute(select(t.deliveries).where(d.edition.in_(part)))
    }


def attempts(tx: Tx, key: int) -> list[Attempt]:
    """Every try of one letter, oldest first."""
    a = t.attempts.c
    rows = tx.execute(select(t.attempts).where(a.delivery == key).order_by(a.key))
    return [Attempt(r.at, r.outcome, r.phase, r.code, r.enhanced, r.text, r.relay) for r in rows]


def retry(tx: Tx, keys: Collection[int], now: datetime) -> frozenset[int]:
    """Queue again what waits, failed or expired: {keys} for which that was possible. Papers of a
    letter that never arrived go into the next edition; once there is one, it is too late."""
    again = (DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.EXPIRED)
    later = t.editions.alias("later")
    own = select(e.subscriber, e.until).where(e.key == d.edition).subquery()
    newer = select(later.c.key).where(
        later.c.subscriber == own.c.subscriber, later.c.until > own.c.until
    )
    waiting = or_(d.state == DeliveryState.QUEUED, ~newer.exists())
    here = and_(d.key.in_(list(keys)), d.state.in_(again), waiting)
    fresh = {"not_before": now, "expires_at": None, "reason": "retry"}
    found = frozenset(tx.execute(select(d.key).where(here)).scalars())
    tx.execute(requeue(now).where(here).values(fresh))
    _receive_again(tx, found)
    return found


def _receive_again(tx: Tx, keys: Collection[int]) -> None:
    """A letter that failed had given its papers back; now it goes after all."""
    owed = tx.execute(select(d.edition).where(d.key.in_(list(keys)), d.edition.is_not(None)))
    mark_received(tx, list(by_keys(tx, owed.scalars().all()).items()))


def resolve(tx: Tx, keys: Collection[int], to: DeliveryState, now: datetime) -> frozenset[int]:
    """An admin says what became of unknown letters: ACCEPTED, QUEUED (send again, however late it
    is by now) or CANCELLED (it did not arrive: its papers may come again)."""
    here = and_(d.key.in_(list(keys)), d.state == DeliveryState.UNKNOWN)
    found = frozenset(tx.execute(select(d.key).where(here)).scalars())
    values: dict[str, Any] = {"state": str(to), "reason": "resolved", "changed_at": now}
    if to is DeliveryState.QUEUED:
        values |= {"not_before": now, "expires_at": None, "resends": d.resends + 1}
    tx.execute(update(t.deliveries).where(here).values(values))
    give_back_papers(tx, found if to in RETURNS else [])
    return found
