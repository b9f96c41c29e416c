"""What was learnt from all readers: one row for each kind of model, the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select

from digest.store import tables as t
from digest.store.database import Tx

EVERY = timedelta(days=7)
MAP = "map"  # the collaborative map
m = t.models.c


@dataclass(frozen=True, slots=True)
class Kept:
    """When a model was made, and what the check of it found; its bytes are asked for apart."""

    made_at: datetime
    checked: Mapping[str, Any]


def keep(tx: Tx, name: str, kept: Kept, data: bytes | None) -> None:
    """Instead of the last one. No data: there is nothing that would help."""
    tx.execute(delete(t.models).where(m.name == name))
    row = {"name": name, "made_at": kept.made_at, "checked": dict(kept.checked), "data": data}
    tx.execute(insert(t.models), [row])


def latest(tx: Tx, name: str) -> Kept | None:
    """None: never made."""
    found = tx.execute(select(m.made_at, m.checked).where(m.name == name)).one_or_none()
    return Kept(found.made_at, found.checked) if found else None


def is_due(tx: Tx, name: str, now: datetime) -> bool:
    """A week has gone since the last one was made."""
    kept = latest(tx, name)
    return kept is None or now - kept.made_at >= EVERY


def data(tx: Tx, name: str) -> bytes | None:
    found: bytes | None = tx.execute(select(m.data).where(m.name == name)).scalar_one_or_none()
    return found
