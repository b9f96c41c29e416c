"""What `paper show` tells of one paper besides its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from digest.store import tables as t
from digest.store.database import Tx
from digest.store.rows import WEAK


@dataclass(frozen=True, slots=True)
class History:
    """What `paper show` tells besides the text."""

    revisions: tuple[dict[str, Any], ...]
    listings: tuple[dict[str, Any], ...]
    signals: tuple[dict[str, Any], ...]
    ids: tuple[dict[str, Any], ...] = ()  # and since when: a DOI that came later is a publication


def history(tx: Tx, key: int) -> History:
    """Every revision, listing, signal and id of one paper, oldest first."""
    columns = t.revisions.c
    shown = (columns.revision, columns.version, columns.announce, columns.source)
    revisions = select(*shown, columns.seen_at, columns.title).where(columns.paper == key)
    listings = select(t.listings.c.source, t.listings.c.first_at).where(t.listings.c.paper == key)
    known_by = select(t.paper_ids.c.id, t.paper_ids.c.at).where(
        t.paper_ids.c.paper == key, ~t.paper_ids.c.id.startswith(WEAK)
    )
    values = select(t.signals.c.name, t.signals.c.day, t.signals.c.value)
    return History(
        _rows(tx, revisions.order_by(columns.revision)),
        _rows(tx, listings.order_by(t.listings.c.first_at)),
        _rows(tx, values.where(t.signals.c.paper == key).order_by(t.signals.c.day)),
        _rows(tx, known_by.order_by(t.paper_ids.c.at, t.paper_ids.c.id)),
    )


def _rows(tx: Tx, question: Select[Any]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(row._mapping) for row in tx.execute(question))
