"""What happened to works after people got them: new versions, publications by a journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from digest.identity import registry
from digest.model import Window
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.rows import chunks

JOURNAL = "doi"  # the registry of journals' DOIs: a preprint's is another's


@dataclass(frozen=True, slots=True)
class Event:
    """`version`: the new one, or 0; `published`: the id that a journal gave it, or empty. `title`
    is the current one; `got`: the end of the window in whose edition the person got the work."""

    subscriber: int
    paper: str
    title: str
    got: datetime
    at: datetime
    version: int = 0
    published: str = ""


def events(tx: Tx, windows: Mapping[int, Window]) -> list[Event]:
    """What happened to works in these people's windows {person row: window} that they got in an
    earlier edition, oldest first."""
    low = min((window.since for window in windows.values()), default=None)
    high = max((window.until for window in windows.values()), default=None)
    if low is None or high is None:
        return []
    found: list[Event] = []
    for part in chunks(windows):
        found += [_versioned(row) for row in tx.execute(_versions(part, low, high))]
        found += [_given(row) for row in tx.execute(_ids(part, low, high))]
    mine = (event for event in found if _is_news(event, windows[event.subscriber]))
    return sorted(mine, key=lambda event: (event.at, event.paper, event.version))


def _is_news(event: Event, window: Window) -> bool:
    inside = event.got <= window.since <= event.at < window.until
    return inside and bool(event.version or event.published)


def _received() -> Any:
    """What people got, with its current text."""
    p, r = t.papers.c, t.revisions.c
    return (
        t.received.join(t.editions, t.editions.c.key == t.received.c.edition)
        .join(t.papers, p.key == t.received.c.paper)
        .join(t.revisions, (r.paper == p.key) & (r.revision == p.revision))
    )


_GOT = (
    t.received.c.subscriber,
    t.papers.c.id.label("work"),
    t.revisions.c.title,
    t.editions.c.until.label("got"),
)


def _versions(people: list[int], low: datetime, high: datetime) -> Select[Any]:
    """Texts that came in that time with a version above all before."""
    later, before = t.revisions.alias("later"), t.revisions.alias("before")
    above = select(func.max(before.c.version)).where(
        before.c.paper == later.c.paper, before.c.revision < later.c.revision
    )
    joined = _received().join(later, later.c.paper == t.papers.c.key)
    return (
        select(*_GOT, later.c.seen_at.label("at"), later.c.version.label("version"))
        .select_from(joined)
        .where(t.received.c.subscriber.in_(people), later.c.seen_at >= low, later.c.seen_at < high)
        .where(later.c.version > above.scalar_subquery())
    )


def _ids(people: list[int], low: datetime, high: datetime) -> Select[Any]:
    """DOIs that became known in that time of works that were known before."""
    ids = t.paper_ids.c
    joined = _received().join(t.paper_ids, ids.paper == t.papers.c.key)
    return (
        select(*_GOT, ids.at, ids.id.label("doi"))
        .select_from(joined)
        .where(t.received.c.subscriber.in_(people), ids.at >= low, ids.at < high)
        .where(ids.id.startswith("doi:"), ids.at > t.papers.c.first_seen)
    )


def _versioned(row: Any) -> Event:
    return Event(row.subscriber, row.work, row.title, row.got, row.at, version=row.version)


def _given(row: Any) -> Event:
    by_journal = registry(row.doi) == JOURNAL
    published = row.doi if by_journal else ""
    return Event(row.subscriber, row.work, row.title, row.got, row.at, published=published)
