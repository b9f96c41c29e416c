"""What those who write papers agree on: turns, and which windows are closed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, insert, select, update

from digest.store import tables as t
from digest.store.database import Tx

CLOSED = "windows closed until"


def one_at_a_time(tx: Tx) -> None:
    """SQLite has one writer anyway; on PostgreSQL writers of papers take turns, so that two
    sources that show the same new work at the same moment make one row."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(7_365_202)))


def close_until(tx: Tx, until: datetime) -> None:
    """Windows up to here are closed: no paper may be first seen before it any more."""
    one_at_a_time(tx)
    if (closed := _closed_until(tx)) is None:
        tx.execute(insert(t.marks), [{"name": CLOSED, "at": until}])
    elif until > closed:
        tx.execute(update(t.marks).where(t.marks.c.name == CLOSED).values(at=until))


def not_in_a_closed_window(tx: Tx, now: datetime) -> datetime:
    """`now`, or later where a slow fetch began before a window closed and ends after: a paper
    put into a closed window would reach nobody."""
    closed = _closed_until(tx)
    return now if closed is None else max(now, closed)


def _closed_until(tx: Tx) -> datetime | None:
    return tx.execute(select(t.marks.c.at).where(t.marks.c.name == CLOSED)).scalar_one_or_none()
