"""What the queue and the answers share: a row as a Delivery, and the way back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from digest.model import (
    Delivery,
    DeliveryState,
    LetterKind,
)
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.editions import give_back
from digest.store.rows import chunks

d = t.deliveries.c
Row = Any  # a result row, read by its columns' names
FREE: dict[str, Any] = {"lease_owner": None, "lease_token": None, "lease_until": None}


def requeue(now: datetime) -> Any:
    free = {"lease_owner": None, "lease_token": None, "lease_until": None}
    return update(t.deliveries).values(state=str(DeliveryState.QUEUED), changed_at=now, **free)


def give_back_papers(tx: Tx, keys: Collection[int]) -> None:
    for part in chunks(keys):
        owed = select(d.edition).where(d.key.in_(part), d.edition.is_not(None))
        give_back(tx, tx.execute(owed).scalars().all())


def delivery_of(row: Row, state: DeliveryState | None = None, token: str | None = None) -> Delivery:
    return Delivery(
        key=row.key,
        kind=LetterKind(row.kind),
        recipient=row.recipient,
        message_id=row.message_id,
        state=state or DeliveryState(row.state),
        created_at=row.created_at,
        subscriber_key=row.subscriber or 0,
        edition_key=row.edition,
        reason=row.reason,
        attempts=row.attempts,
        not_before=row.not_before,
        expires_at=row.expires_at,
        lease_token=token or row.lease_token,
        code=row.code,
        text=row.text,
        resends=row.resends,
        relay=row.relay,
        changed_at=row.changed_at,
    )
