"""What came back later for letters that a relay had taken: bounces, complaints, goodbyes by mail.

A report is recorded once, under its hash; whoever comes second with it writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from digest.model import Delivery, DeliveryState
from digest.store import deliveries, editions
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.rows import insert_new

d, r = t.deliveries.c, t.reports.c
MOST_KEPT, LOOKED_BACK = 2000, 5000  # reports, of whose bytes the older are dropped
SENT = (DeliveryState.ACCEPTED, DeliveryState.BOUNCED, DeliveryState.COMPLAINED)
ON_ITS_WAY = (DeliveryState.SENDING, DeliveryState.UNKNOWN)
CAME_BACK = (
    *(DeliveryState.ACCEPTED, DeliveryState.UNKNOWN, DeliveryState.BOUNCED),
    *(DeliveryState.QUEUED, DeliveryState.LEASED, DeliveryState.SENDING),
)
"""From which states a letter can turn out to have come back: a report may be quicker than our own
record of the relay's answer, or tell of a letter that is to be sent again."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one part of a report says, and what was done. `effect`: see digest/bounces."""

    kind: str
    effect: str
    weight: str | None = None
    delivery: int | None = None
    address: str | None = None
    status: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored part of a report."""

    key: int
    hash: str
    at: datetime
    door: str
    told: Told


# ------------------------------------------------------------------ writing


def begin(tx: Tx, hash_: str, at: datetime, door: str) -> bool:
    """Take this report: False where it is recorded already, or somebody else is just doing it."""
    first = {"hash": hash_, "part": 0, "at": at, "door": door, "kind": "", "text": "", "effect": ""}
    made = insert_new(tx, t.reports).values(first).returning(r.key)
    return tx.execute(made).scalar_one_or_none() is not None


def finish(tx: Tx, hash_: str, parts: list[Told], raw: bytes | None = None) -> None:
    """Write what a report that was begun says; at least one part. `raw`: its bytes, to look at."""
    here = update(t.reports).where(r.hash == hash_, r.part == 0)
    begun = tx.execute(
        here.values(raw=raw, **_columns(parts[0])).returning(r.key, r.at, r.door)
    ).one()
    more = [
        {"hash": hash_, "part": number, "at": begun.at, "door": begun.door, **_columns(told)}
        for number, told in enumerate(parts[1:], 1)
    ]
    if more:
        tx.execute(insert(t.reports), more)
    if raw is not None:
        _drop_old_bytes(tx, begun.key)


def _drop_old_bytes(tx: Tx, key: int) -> None:
    """Anybody may write to an address that takes mail: bytes are kept of the last reports only.
    A stretch of keys is looked at, and not the whole past of a large table."""
    last = key - MOST_KEPT
    here = update(t.reports).where(r.key <= last, r.key > last - LOOKED_BACK, r.raw.is_not(None))
    tx.execute(here.values(raw=None))


def _columns(told: Told) -> dict[str, Any]:
    return {
        "kind": told.kind,
        "effect": told.effect,
        "weight": told.weight,
        "delivery": told.delivery,
        "address": told.address,
        "status": told.status,
        "text": told.text,
    }


def came_back(tx: Tx, key: int, state: DeliveryState, reason: str, now: datetime) -> bool:
    """A letter has bounced or was complained about; papers of one that bounced may come again.
    False where it ended otherwise before."""
    free = {"lease_owner": None, "lease_token": None, "lease_until": None}
    here = update(t.deliveries).where(d.key == key, d.state.in_(CAME_BACK))
    values = {"state": str(state), "reason": reason, "changed_at": now, **free}
    found = tx.execute(here.values(values).returning(d.edition)).one_or_none()
    if found is None:
        return False
    if state in editions.RETURNS and found.edition is not None:
        editions.give_back(tx, [found.edition])
    return True


# ------------------------------------------------------------------ reading


def find(tx: Tx, message_ids: Collection[str]) -> Delivery | None:
    """The first letter with one of these Message-IDs."""
    for message_id in message_ids:
        key = tx.execute(select(d.key).where(d.message_id == message_id)).scalar_one_or_none()
        if key is not None:
            return deliveries.get(tx, key)
    return None


def latest_sent(tx: Tx, subscriber: int, *, on_its_way: bool = False) -> Delivery | None:
    """The letter that was sent last to this person; `on_its_way`: or of which we do not know yet
    that it was."""
    states = (*SENT, *ON_ITS_WAY) if on_its_way else SENT
    sent = select(d.key).where(d.subscriber == subscriber, d.state.in_(states))
    key = tx.execute(sent.order_by(d.key.desc()).limit(1)).scalar_one_or_none()
    return deliveries.get(tx, key) if key is not None else None


def is_forgiven(tx: Tx, letter: int) -> bool:
    """Whether an operator has let an address take mail again after what was told of a letter."""
    told = select(r.key).where(r.delivery == letter, r.weight == "forgiven")
    return tx.execute(told.limit(1)).scalar_one_or_none() is not None


def failed_sends(tx: Tx, subscriber: int, weights: Collection[str], sends: int, also: int) -> int:
    """How many of the `sends` letters sent last to this person came back with these weights;
    `also`: a letter that is just being found to."""
    last = select(d.key).where(d.subscriber == subscriber, d.state.in_(SENT))
    keys = set(tx.execute(last.order_by(d.key.desc()).limit(sends)).scalars())
    came = select(r.delivery).where(r.delivery.in_(keys), r.weight.in_(list(weights)))
    return len((set(tx.execute(came).scalars()) | {also}) & keys)


def listed(
    tx: Tx,
    limit: int = 0,
    kind: str | None = None,
    weight: str | None = None,
    effect: str | None = None,
    address: str | None = None,
) -> list[Kept]:
    """Reports, newest first; limit 0 is all. `address` in whatever case."""
    question = select(t.reports).order_by(r.key.desc()).limit(limit or None)
    for column, wanted in ((r.kind, kind), (r.weight, weight), (r.effect, effect)):
        if wanted is not None:
            question = question.where(column == wanted)
    if address is not None:
        question = question.where(func.lower(r.address) == address.lower())
    return [_kept(row) for row in tx.execute(question)]


def of_letter(tx: Tx, key: int) -> list[Kept]:
    """What came back for one letter, the oldest first."""
    question = select(t.reports).where(r.delivery == key).order_by(r.key)
    return [_kept(row) for row in tx.execute(question)]


def get(tx: Tx, key: int) -> tuple[Kept, bytes | None] | None:
    """One part of a report, and its bytes where they were kept."""
    row = tx.execute(select(t.reports).where(r.key == key)).one_or_none()
    return (_kept(row), row.raw) if row else None


def counts(tx: Tx, since: datetime) -> dict[str, int]:
    """{kind, a bounce's with its weight: reports since}."""
    question = select(r.kind, r.weight, func.count().label("n")).where(r.at >= since)
    rows = tx.execute(question.group_by(r.kind, r.weight).order_by(r.kind, r.weight))
    return {f"{row.kind} {row.weight}" if row.weight else row.kind: row.n for row in rows}


def by_effect(tx: Tx, since: datetime | None = None) -> dict[str, int]:
    """{effect: reports since}; of all times where none is given."""
    question = select(r.effect, func.count().label("n")).group_by(r.effect).order_by(r.effect)
    if since is not None:
        question = question.where(r.at >= since)
    return {row.effect: row.n for row in tx.execute(question)}


def _kept(row: Any) -> Kept:
    told = Told(row.kind, row.effect, row.weight, row.delivery, row.address, row.status, row.text)
    return Kept(row.key, row.hash, row.at, row.door, told)
