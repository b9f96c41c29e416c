"""Papers that profiles name as seeds and that are not stored: which, and when to ask for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, literal, select, union, update

from digest.model import SubscriberState
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.papers import known
from digest.store.rows import chunks, dialect_insert, insert_new

RETRY = timedelta(days=3)  # after the first time in vain; then twice as long, and so on
MOST_TRIES = 6  # then it is forgotten until a profile that names it changes: after half a year
LOOKED = "seeds looked for until"
_LIVE = (SubscriberState.ACTIVE, SubscriberState.PAUSED)  # what strangers ask for is not fetched


def looked_until(tx: Tx, scheme: str) -> datetime | None:
    """Up to when profiles have been looked through for seeds of this scheme."""
    asked = select(t.marks.c.at).where(t.marks.c.name == f"{LOOKED} ({scheme})")
    return tx.execute(asked).scalar_one_or_none()


def look_until(tx: Tx, scheme: str, at: datetime) -> None:
    made = dialect_insert(tx)(t.marks).values(name=f"{LOOKED} ({scheme})", at=at)
    latest = made.on_conflict_do_update(index_elements=["name"], set_={"at": made.excluded.at})
    tx.execute(latest)


def changed_people(tx: Tx, since: datetime | None) -> list[int]:
    """Rows of the people whose profile counts, and changed or began to count since then."""
    s, p = t.subscribers.c, t.profiles.c
    live = select(s.key).where(s.state.in_([str(state) for state in _LIVE]))
    if since is None:
        return sorted(tx.execute(live).scalars())
    changed = live.join(t.profiles, p.subscriber == s.key).where(p.changed_at >= since)
    return sorted(tx.execute(union(changed, live.where(s.confirmed_at >= since))).scalars())


def documents(tx: Tx, people: Collection[int]) -> Iterator[dict[str, Any]]:
    """The profiles of these people, as plain data."""
    p = t.profiles.c
    for part in chunks(people):
        yield from tx.execute(select(p.document).where(p.subscriber.in_(part))).scalars()


def want(tx: Tx, ids: Collection[str], now: datetime) -> int:
    """Put those down that are not stored; how many. One that is down already keeps its time."""
    stored = known(tx, ids)
    rows = [{"id": i, "next_at": now, "tries": 0} for i in dict.fromkeys(ids) if i not in stored]
    if rows:
        tx.execute(insert_new(tx, t.sought), rows)
    return len(rows)


def due(tx: Tx, scheme: str, now: datetime, limit: int) -> list[str]:
    """Ids of this scheme to ask for now, those that wait longest first."""
    s = t.sought.c
    mine = (s.next_at <= now) & s.id.startswith(f"{scheme}:", autoescape=True)
    return list(
        tx.execute(select(s.id).where(mine).order_by(s.next_at, s.id).limit(limit)).scalars()
    )


def found(tx: Tx, ids: Collection[str]) -> None:
    """These need not be asked for any more."""
    for part in chunks(ids):
        tx.execute(delete(t.sought).where(t.sought.c.id.in_(part)))


def missed(tx: Tx, ids: Collection[str], now: datetime) -> None:
    """These were not to be had: ask again later and later, and in the end no more."""
    s = t.sought.c
    waits = [(s.tries == n, literal(now + RETRY * 2**n, s.next_at.type)) for n in range(MOST_TRIES)]
    for part in chunks(ids):
        tx.execute(delete(t.sought).where(s.id.in_(part), s.tries >= MOST_TRIES - 1))
        later = {"next_at": case(*waits, else_=s.next_at), "tries": s.tries + 1}
        tx.execute(update(t.sought).where(s.id.in_(part)).values(later))
