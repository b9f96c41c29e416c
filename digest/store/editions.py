"""Editions: what each person was owed for each window, and which works they already have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from digest.model import (
    Content,
    DeliveryState,
    Edition,
    EditionPaper,
    EditionState,
    LetterKind,
    Reason,
    ReasonKind,
    SkipReason,
    Window,
)
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.papers import keys_of
from digest.store.prepared import Among, Prepared, each_pair
from digest.store.rows import chunks

e = t.editions.c
RETURNS = (
    *(DeliveryState.EXPIRED, DeliveryState.CANCELLED),
    *(DeliveryState.FAILED, DeliveryState.BOUNCED),
)
"""Deliveries that ended so leave their papers to the person's next edition."""
LOOKED_AT = (str(SkipReason.NOTHING_GOOD_ENOUGH), str(SkipReason.NO_NEW_PAPERS))
"""Editions skipped so had their papers weighed, and no letter."""


@dataclass(frozen=True, slots=True)
class NewEdition:
    """An edition to write, and what its delivery needs."""

    edition: Edition  # `subscriber` is the address the letter goes to
    message_id: str = ""  # of the letter; unused where the edition is skipped


# ------------------------------------------------------------------ writing


def write(tx: Tx, items: Sequence[NewEdition]) -> list[int]:
    """Write editions, mark their papers as received, queue their letters. Returns the keys."""
    if not items:
        return []
    made = insert(t.editions).returning(e.key, sort_by_parameter_order=True)
    keys = list(tx.execute(made, [_row(item.edition) for item in items]).scalars())
    pairs = list(zip(keys, items, strict=True))
    mark_received(tx, [(key, item.edition) for key, item in pairs])
    queued = [p for p in pairs if p[1].edition.state is EditionState.QUEUED]
    if queued:
        tx.execute(insert(t.deliveries), [_delivery_row(key, item) for key, item in queued])
    return keys


def _row(edition: Edition) -> dict[str, Any]:
    return {
        "subscriber": edition.subscriber_key,
        "since": edition.window.since,
        "until": edition.window.until,
        "state": str(edition.state),
        "reason": edition.reason and str(edition.reason),
        "made_at": edition.made_at,
        "next_due": edition.next_due,
        "content": pack(edition.content),
    }


def _delivery_row(key: int, item: NewEdition) -> dict[str, Any]:
    edition = item.edition
    return {
        "kind": str(LetterKind.DIGEST),
        "subscriber": edition.subscriber_key,
        "edition": key,
        "recipient": edition.subscriber,
        "message_id": item.message_id,
        "state": str(DeliveryState.QUEUED),
        "created_at": edition.made_at,
        "not_before": edition.made_at,
        "expires_at": edition.next_due,
        "changed_at": edition.made_at,
    }


def mark_received(tx: Tx, written: Sequence[tuple[int, Edition]]) -> None:
    ids = {id_ for _, edition in written for id_, _ in edition.content.pins}
    keys = keys_of(tx, ids)
    rows = [
        {"subscriber": edition.subscriber_key, "paper": keys[id_], "edition": key}
        for key, edition in written
        for id_, _ in edition.content.pins
        if id_ in keys
    ]
    if rows:
        _MARK[tx.dialect.name].run_for_each(tx, rows)


_MARK = {
    "sqlite": Prepared(sqlite_insert(t.received).on_conflict_do_nothing()),
    "postgresql": Prepared(pg_insert(t.received).on_conflict_do_nothing()),
}


def give_back(tx: Tx, editions: Collection[int]) -> None:
    """These editions never arrived: their papers may come again."""
    for part in chunks(editions):
        tx.execute(delete(t.received).where(t.received.c.edition.in_(part)))


# ------------------------------------------------------------------ reading


def received(tx: Tx, subscribers: Collection[int]) -> dict[int, frozenset[str]]:
    """{person: canonical ids of the works they already got}."""
    r = t.received.c
    joined = t.received.join(t.papers, t.papers.c.key == r.paper)
    found: dict[int, set[str]] = defaultdict(set)
    for part in chunks(subscribers):
        question = select(r.subscriber, t.papers.c.id).select_from(joined)
        for row in tx.execute(question.where(r.subscriber.in_(part))):
            found[row.subscriber].add(row.id)
    return {key: frozenset(ids) for key, ids in found.items()}


def already_received(tx: Tx, pairs: Collection[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """Which of these (person, paper) rows are marked as received."""
    r = t.received.c
    asked, person, paper = each_pair(tx)
    here = and_(r.subscriber == person, r.paper == paper)
    question = select(r.subscriber, r.paper).join_from(asked, t.received, here)
    return frozenset(map(tuple, tx.execute(question, {"pairs": pairs})))


def carried(tx: Tx, subscribers: Collection[int]) -> dict[int, tuple[EditionPaper, ...]]:
    """{person: papers of their latest edition, where it never arrived}."""
    d = t.deliveries.c
    every = t.editions.alias("every").c
    last = select(func.max(every.until)).where(every.subscriber == t.subscribers.c.key)
    joined = t.subscribers.join(t.editions, e.subscriber == t.subscribers.c.key).join(
        t.deliveries, d.edition == e.key
    )
    lost = and_(e.until == last.correlate(t.subscribers).scalar_subquery(), d.state.in_(RETURNS))
    question = select(e.subscriber, e.content).select_from(joined).where(lost)
    return {
        row.subscriber: unpack(row.content).papers
        for part in chunks(subscribers)
        for row in tx.execute(question.where(t.subscribers.c.key.in_(part)))
    }


def get(tx: Tx, key: int) -> Edition | None:
    return by_keys(tx, [key]).get(key)


def by_keys(tx: Tx, keys: Collection[int]) -> dict[int, Edition]:
    rows = tx.execute(_BY_KEYS, {"keys": keys}) if keys else ()
    return {row.key: _edition(row) for row in rows}


def listed(
    tx: Tx, limit: int = 0, subscriber: int | None = None, newest_first: bool = True
) -> list[Edition]:
    """Editions, newest first; limit 0 is all."""
    order = e.key.desc() if newest_first else e.key
    question = _question().order_by(order).limit(limit or None)
    if subscriber is not None:
        question = question.where(e.subscriber == subscriber)
    return [_edition(row) for row in tx.execute(question)]


def containing(tx: Tx, subscriber: int, paper: int) -> Edition | None:
    """The edition by which this person got this paper (rows)."""
    r = t.received.c
    mine = and_(r.subscriber == subscriber, r.paper == paper)
    key = tx.execute(select(r.edition).where(mine)).scalar_one_or_none()
    return get(tx, key) if key is not None else None


def covering(tx: Tx, subscriber: int, at: datetime) -> Edition | None:
    """The edition whose window holds this moment."""
    inside = and_(e.subscriber == subscriber, e.since <= at, e.until > at)
    row = tx.execute(_question().where(inside)).one_or_none()
    return _edition(row) if row else None


def closed(
    tx: Tx, subscribers: Collection[int], since: datetime
) -> dict[int, list[tuple[Window, bool]]]:
    """{person: their windows that closed after `since`, and whether a letter of it reached them}.
    Left out are those whose letter is still on its way or came back, and those for which no paper
    was looked at."""
    d = t.deliveries.c
    joined = t.editions.outerjoin(t.deliveries, d.edition == e.key)
    question = select(e.subscriber, e.since, e.until, e.reason, d.state).select_from(joined)
    told = or_(d.state == str(DeliveryState.ACCEPTED), e.reason.in_(LOOKED_AT))
    found: dict[int, list[tuple[Window, bool]]] = defaultdict(list)
    for part in chunks(subscribers):
        for row in tx.execute(question.where(e.subscriber.in_(part), e.until > since, told)):
            found[row.subscriber].append((Window(row.since, row.until), row.state is not None))
    return found


def counts(tx: Tx, since: datetime | None = None) -> dict[str, int]:
    """{"queued": n, reason of a skip: n} over all editions or those made since."""
    question = select(e.state, e.reason, func.count().label("n")).group_by(e.state, e.reason)
    if since is not None:
        question = question.where(e.made_at >= since)
    return {row.reason or row.state: row.n for row in tx.execute(question)}


def _question() -> Any:
    joined = t.editions.join(t.subscribers, t.subscribers.c.key == e.subscriber)
    return select(t.editions, t.subscribers.c.email).select_from(joined)


_BY_KEYS = _question().where(Among(e.key))


def _edition(row: Any) -> Edition:
    return Edition(
        subscriber=row.email,
        window=Window(row.since, row.until),
        state=EditionState(row.state),
        made_at=row.made_at,
        reason=SkipReason(row.reason) if row.reason else None,
        content=unpack(row.content),
        next_due=row.next_due,
        key=row.key,
        subscriber_key=row.subscriber,
    )


# ------------------------------------------------------------------ content as small data


def pack(content: Content) -> dict[str, Any]:
    """A Content as compact plain data."""
    packed = {
        "papers": [_pack_paper(paper) for paper in content.papers],
        "considered": content.considered,
        "near": content.near,
        "over": content.over_budget,
        "notices": list(content.notices),
    }
    return packed | ({"unfitted": content.unfitted} if content.unfitted else {})


def _pack_paper(paper: EditionPaper) -> list[Any]:
    reasons = [[str(r.kind), r.what, r.where, r.value] for r in paper.reasons]
    row = [paper.id, paper.revision, paper.section, paper.score, reasons]
    return [*row, [list(pin) for pin in paper.similar]] if paper.similar else row


def unpack(data: Mapping[str, Any]) -> Content:
    """The inverse of `pack`."""
    return Content(
        papers=tuple([_unpack_paper(*row) for row in data.get("papers", ())]),
        considered=data.get("considered", 0),
        near=data.get("near", 0),
        over_budget=data.get("over", 0),
        notices=tuple(data.get("notices", ())),
        unfitted=data.get("unfitted", 0),
    )


_KINDS = {str(kind): kind for kind in ReasonKind}  # a look-up is five times faster than a call


def _unpack_paper(
    id_: str, revision: int, section: str, score: float, reasons: Any, similar: Any = ()
) -> EditionPaper:
    told = tuple([_reason(*row) for row in reasons])
    return EditionPaper(id_, revision, section, score, told, tuple(map(tuple, similar)))


@lru_cache(maxsize=1 << 15, typed=True)
def _reason(kind: str, what: str, where: str, value: float) -> Reason:
    """The same few words stand in many letters; one that is known costs a sixth of a new one."""
    return Reason(_KINDS[kind], what, where, value)
