"""Two rows found to be one work become one, and what was sent to whom is kept."""

from __future__ import annotations

from sqlalchemy import Column, Table, delete, func, select, update

from digest.store import tables as t
from digest.store.database import Tx


def merge(tx: Tx, survivor: int, loser: int) -> None:
    """Fold the paper of row `loser` into that of row `survivor` (the one seen first).

    Its ids, texts, listings, signals, ratings and "received" marks move; where both have one
    the survivor's stays. The loser's texts follow the survivor's as further revisions.
    """
    _move(tx, t.listings, t.listings.c.source, survivor, loser)
    _move(tx, t.ratings, t.ratings.c.subscriber, survivor, loser)
    _move(tx, t.received, t.received.c.subscriber, survivor, loser)
    _move_signals(tx, survivor, loser)
    _move_texts(tx, survivor, loser)
    _move_first_sight(tx, survivor, loser)
    ids = t.paper_ids
    tx.execute(update(ids).where(ids.c.paper == loser).values(paper=survivor))
    tx.execute(delete(t.papers).where(t.papers.c.key == loser))


def _move(tx: Tx, table: Table, other: Column[object], survivor: int, loser: int) -> None:
    """Rows unique in (paper, other): the loser's move where the survivor has none."""
    taken = select(other).where(table.c.paper == survivor).scalar_subquery()
    doubled = (table.c.paper == loser) & other.in_(taken)
    tx.execute(delete(table).where(doubled))
    tx.execute(update(table).where(table.c.paper == loser).values(paper=survivor))


def _move_signals(tx: Tx, survivor: int, loser: int) -> None:
    s = t.signals.alias("mine")
    same = select(s.c.paper).where(
        s.c.paper == survivor, s.c.name == t.signals.c.name, s.c.day == t.signals.c.day
    )
    tx.execute(delete(t.signals).where(t.signals.c.paper == loser, same.exists()))
    tx.execute(update(t.signals).where(t.signals.c.paper == loser).values(paper=survivor))


def _move_first_sight(tx: Tx, survivor: int, loser: int) -> None:
    """A survivor that nobody announced was announced as the loser, if that was."""
    p, other = t.papers.c, t.papers.alias("other")
    seen = select(other.c.first_seen).where(other.c.key == loser).scalar_subquery()
    quiet = (p.key == survivor) & p.first_seen.is_(None)
    tx.execute(update(t.papers).where(quiet).values(first_seen=seen))


def _move_texts(tx: Tx, survivor: int, loser: int) -> None:
    r = t.revisions.c
    last = tx.execute(select(func.max(r.revision)).where(r.paper == survivor)).scalar_one()
    moved = update(t.revisions).where(r.paper == loser)
    tx.execute(moved.values(paper=survivor, revision=r.revision + last))
