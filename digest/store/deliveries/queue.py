"""Deliveries: outbox and queue at once. Every write of a worker carries its lease's token."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, and_, bindparam, func, insert, null, or_, select, update

from digest.model import (
    Delivery,
    DeliveryState,
    LetterKind,
    Settlement,
    SubscriberState,
)
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.deliveries.rows import FREE, Row, d, delivery_of, give_back_papers, requeue
from digest.store.editions import RETURNS
from digest.store.people import clear_soft_failures, count_soft_failure, suppress
from digest.store.prepared import Among, Prepared
from digest.store.rows import chunks

LEASED = DeliveryState.LEASED
HELD = (LEASED, DeliveryState.SENDING)
SOFT_LIMIT = 2  # soft failures in a row after which an address is suppressed


@dataclass(frozen=True, slots=True)
class Swept:
    """What `sweep` found left behind: rows given back, and rows nobody can know about."""

    given_back: int = 0
    unknown: int = 0
    resent: int = 0


# ------------------------------------------------------------------ the queue


def enqueue(
    tx: Tx,
    kind: LetterKind,
    subscriber: int | None,
    recipient: str,
    message_id: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> int:
    """Queue a letter that belongs to no edition; `subscriber` None: to the operator. Returns its
    key."""
    row = {
        "kind": str(kind),
        "subscriber": subscriber,
        "recipient": recipient,
        "message_id": message_id,
        "state": str(DeliveryState.QUEUED),
        "created_at": now,
        "not_before": now,
        "expires_at": expires_at,
        "changed_at": now,
    }
    key: int = tx.execute(insert(t.deliveries).returning(d.key), [row]).scalar_one()
    return key


def claim(
    tx: Tx, owner: str, token: str, now: datetime, lease_until: datetime, limit: int
) -> list[Delivery]:
    """Lease up to `limit` due letters. Rows whose person left, paused or takes no mail, or whose
    time is over, end here with their reason and are not returned. [] means nothing is due."""
    while found := tx.execute(_DUE, {"at": now, "limit": limit}).all():
        verdicts = {row.key: _why_not(row) for row in found}
        _end(tx, {key: why for key, why in verdicts.items() if why}, now)
        if mine := [row for row in found if verdicts[row.key] is None]:
            _lease(tx, [row.key for row in mine], owner, token, now, lease_until)
            return [delivery_of(row, state=DeliveryState.LEASED, token=token) for row in mine]
    return []


def _lease(tx: Tx, keys: list[int], owner: str, token: str, now: datetime, until: datetime) -> None:
    _LEASE.run(tx, keys=keys, owner=owner, token=token, until=until, at=now)


_CONSENT = (
    t.subscribers.c.state.label("person"),
    t.subscribers.c.reason.label("left"),
    (t.subscribers.c.paused_until > bindparam("at", type_=t.Utc)).label("asleep"),
    t.suppressions.c.reason.label("suppressed"),
    (d.expires_at <= bindparam("at", type_=t.Utc)).label("late"),
)
"""What decides whether a delivery may go; see `_why_not`."""
_MAILBOX = func.coalesce(t.subscribers.c.mailbox, func.lower(d.recipient))
_WITH_PEOPLE = t.deliveries.outerjoin(t.subscribers, t.subscribers.c.key == d.subscriber)
_WITH_CONSENT = _WITH_PEOPLE.outerjoin(t.suppressions, t.suppressions.c.mailbox == _MAILBOX)


def _why_not(row: Row) -> tuple[DeliveryState, str] | None:
    """The end of a letter that may not go (any more), or None. One that is to go once more may
    have arrived already: it stays unknown, and its papers stay received."""
    found = _refused(row)
    return (DeliveryState.UNKNOWN, found[1]) if found and row.resends else found


def _refused(row: Row) -> tuple[DeliveryState, str] | None:
    if row.suppressed is not None:
        return DeliveryState.SUPPRESSED, row.suppressed
    if row.kind == LetterKind.NOTICE:
        return _too_late(row)
    if row.person == SubscriberState.ENDED:
        return DeliveryState.CANCELLED, row.left or "ended"
    confirming = row.kind == LetterKind.CONFIRMATION
    if confirming and row.person != SubscriberState.PENDING:
        return DeliveryState.CANCELLED, "already_confirmed"
    if not confirming and row.person == SubscriberState.PENDING:
        return DeliveryState.CANCELLED, "not_confirmed"
    if not confirming and row.person == SubscriberState.PAUSED and row.asleep:
        return DeliveryState.CANCELLED, "paused"
    return _too_late(row)


def _too_late(row: Row) -> tuple[DeliveryState, str] | None:
    if row.late:
        return DeliveryState.EXPIRED, "too_late" if row.resends else row.reason or "too_late"
    return None


def _end(tx: Tx, ends: dict[int, tuple[DeliveryState, str]], now: datetime) -> None:
    """Write terminal states; papers of letters that will never arrive may come again."""
    if not ends:
        return
    here = update(t.deliveries).where(d.key == bindparam("k"))
    here = here.values(state=bindparam("s"), reason=bindparam("r"), changed_at=now)
    ended = [{"k": key, "s": str(state), "r": why} for key, (state, why) in ends.items()]
    tx.execute(here, ended)
    give_back_papers(tx, [key for key, (state, _) in ends.items() if state in RETURNS])


def record(
    tx: Tx,
    settlements: Sequence[Settlement],
    pairs: Collection[tuple[int, str]],
    now: datetime,
    relays: Mapping[int, str] | None = None,
) -> tuple[frozenset[int], frozenset[int]]:
    """`settle` and `mark_body` in one transaction: (keys settled, keys that may go)."""
    _hold_people(tx, {item.key for item in settlements} | {key for key, _ in pairs})
    settled = _settle(tx, settlements, now) if settlements else frozenset()
    return settled, _mark_body(tx, pairs, now, relays or {}) if pairs else frozenset()


def mark_body(
    tx: Tx,
    pairs: Collection[tuple[int, str]],
    now: datetime,
    relays: Mapping[int, str] | None = None,
) -> frozenset[int]:
    """Commit that these letters' bodies go out now, and by which relay: {keys that may}. A letter
    is missing where its lease is another's by now or consent is gone since the claim: whoever
    leaves commits before this transaction, and is seen by it, or after it."""
    return record(tx, (), pairs, now, relays)[1]


def settle(tx: Tx, settlements: Sequence[Settlement], now: datetime) -> frozenset[int]:
    """Write what came of leased letters. Returns the keys written; an outdated token writes
    nothing. Suppressions, soft failures and returned papers follow in the same transaction."""
    return record(tx, settlements, (), now)[0]


def _hold_people(tx: Tx, keys: Collection[int]) -> None:
    """Whoever these letters are for: nobody else changes them until the commit. People come
    before letters and by key, here and wherever else both are held, so that no two
    transactions wait for each other. SQLite has one writer anyway."""
    if tx.dialect.name == "sqlite":
        return
    _HOLD_PEOPLE.rows(tx, keys=sorted(keys))


def _mark_body(
    tx: Tx, pairs: Collection[tuple[int, str]], now: datetime, relays: Mapping[int, str]
) -> frozenset[int]:
    tokens = dict(pairs)
    rows = _MAY_GO.rows(tx, keys=list(tokens), at=now)
    ours = [row for row in rows if row.lease_token == tokens[row.key] and row.state == LEASED]
    go = frozenset(row.key for row in ours if _why_not(row) is None)
    for by in {relays.get(key) for key in go}:
        keys = [key for key in go if relays.get(key) == by]
        _GOING.run(tx, keys=keys, at=now, by=by)
    return go


def _settle(tx: Tx, settlements: Sequence[Settlement], now: datetime) -> frozenset[int]:
    held = _held(tx, {item.key: item.token for item in settlements})
    valid = [item for item in settlements if item.key in held]
    if not valid:
        return frozenset()
    _SETTLE.run_for_each(tx, map(_settled_row, valid), at=now)
    _ATTEMPT.run_for_each(tx, map(_attempt_row, valid), at=now)
    give_back_papers(tx, [item.key for item in valid if item.state in RETURNS])
    _remember_failures(tx, valid, held, now)
    return frozenset(held)


def _held(tx: Tx, tokens: dict[int, str]) -> dict[int, Row]:
    """The rows among these that are still held under the token given."""
    rows = _HELD.rows(tx, keys=list(tokens))
    held = [row for row in rows if row.lease_token == tokens[row.key] and row.state in HELD]
    return {row.key: row for row in held}


def _settled_row(item: Settlement) -> dict[str, Any]:
    return {
        "k": item.key,
        "s": str(item.state),
        "r": item.reason,
        "n": int(item.counted),
        "wait": item.not_before,
        "by": item.relay,
        "c": item.outcome.code,
        "x": item.outcome.text,
    }


def _attempt_row(item: Settlement) -> dict[str, Any]:
    return {
        "delivery": item.key,
        "outcome": str(item.outcome.kind),
        "phase": str(item.outcome.phase),
        "relay": item.relay,
        "code": item.outcome.code,
        "enhanced": item.outcome.enhanced,
        "text": item.outcome.text,
    }


def _remember_failures(
    tx: Tx, settlements: Iterable[Settlement], held: dict[int, Row], now: datetime
) -> None:
    arrived = []
    for item in settlements:
        row = held[item.key]
        if item.suppress:
            suppress(tx, row.recipient, item.suppress, now)
        elif row.subscriber is None:
            continue
        elif item.soft and count_soft_failure(tx, row.subscriber) >= SOFT_LIMIT:
            suppress(tx, row.recipient, "soft_failures", now)
        elif item.state is DeliveryState.ACCEPTED and row.soft_failures:
            arrived.append(row.subscriber)
    clear_soft_failures(tx, arrived)


def release(
    tx: Tx, token: str, keys: Collection[int], now: datetime, reason: str | None = None
) -> int:
    """Give back leased letters that were never started, due at once. Returns how many."""
    mine = and_(d.state == DeliveryState.LEASED, d.lease_token == token)
    back = requeue(now).where(mine)
    if reason is not None:
        back = back.values(reason=reason)
    return sum(tx.execute(back.where(d.key.in_(part))).rowcount for part in chunks(keys))


def put_off(
    tx: Tx, rows: Collection[tuple[str, int, datetime]], now: datetime, reason: str
) -> None:
    """Give back leased letters that were never started, due later: [(token, key, when)]."""
    mine = and_(d.key == bindparam("k"), d.lease_token == bindparam("held"))
    back = requeue(now).where(mine, d.state == DeliveryState.LEASED)
    back = back.values(not_before=bindparam("wait", type_=t.Utc), reason=reason)
    tx.execute(back, [{"held": token, "k": key, "wait": at} for token, key, at in rows])


def extend(tx: Tx, tokens: Collection[str], lease_until: datetime) -> int:
    """Hold on to the letters of these leases. Returns how many there are."""
    mine = and_(d.state.in_(HELD), d.lease_token.in_(list(tokens)))
    tx.execute(select(d.key).where(mine).order_by(d.key).with_for_update())
    return tx.execute(update(t.deliveries).where(mine).values(lease_until=lease_until)).rowcount


def owners(tx: Tx) -> frozenset[str]:
    """Who holds letters now."""
    held = select(d.lease_owner).where(d.state.in_(HELD), d.lease_owner.is_not(None))
    return frozenset(tx.execute(held.distinct()).scalars())


def sweep(
    tx: Tx, now: datetime, resend_after: timedelta | None, gone: Collection[str] = ()
) -> Swept:
    """What processes that died left behind: those whose lease is over, and those of owners who
    are known to be `gone`. Before the body: queued again. In the body: unknown. Unknown letters
    go once more after `resend_after`, same bytes, same id (None: hold them)."""
    over = or_(d.lease_until < now, d.lease_owner.in_(list(gone)))
    lost = and_(d.state == DeliveryState.SENDING, over)
    here = select(d.key, d.relay).where(lost).order_by(d.key).with_for_update()
    rows = {row.key: row.relay for row in tx.execute(here)}
    _note_lost(tx, rows, now)
    back = requeue(now).where(d.state == DeliveryState.LEASED, over)
    return Swept(tx.execute(back).rowcount, len(rows), _resend(tx, now, resend_after))


def _note_lost(tx: Tx, relays: Mapping[int, str | None], now: datetime) -> None:
    text = "the process ended while the body was going out"
    said = {"at": now, "outcome": "unknown", "phase": "body", "text": text}
    unknown = {"state": str(DeliveryState.UNKNOWN), "reason": "crashed", "text": text}
    free = {"lease_owner": None, "lease_token": None, "lease_until": None, "changed_at": now}
    for part in chunks(relays):
        lost = [{"delivery": key, "relay": relays[key], **said} for key in part]
        tx.execute(insert(t.attempts), lost)
        here = update(t.deliveries).where(d.key.in_(part))
        tx.execute(here.values(**unknown, **free))


def _resend(tx: Tx, now: datetime, after: timedelta | None) -> int:
    if after is None:
        return 0
    ripe = and_(d.state == DeliveryState.UNKNOWN, d.resends == 0, d.changed_at <= now - after)
    again = {"reason": "resend", "resends": 1, "not_before": now}
    return tx.execute(requeue(now).where(ripe).values(again)).rowcount


_SOME = Among(d.key)
_DUE = (
    select(t.deliveries, *_CONSENT)
    .select_from(_WITH_CONSENT)
    .where(d.state == DeliveryState.QUEUED, d.not_before <= bindparam("at", type_=t.Utc))
    .order_by(d.not_before, d.key)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, of=t.deliveries)
)
_LEASE = Prepared(
    update(t.deliveries)
    .where(_SOME)
    .values(
        state=str(DeliveryState.LEASED),
        lease_owner=bindparam("owner"),
        lease_token=bindparam("token"),
        lease_until=bindparam("until"),
        changed_at=bindparam("at"),
    )
)
_HOLD_PEOPLE = Prepared(
    select(t.subscribers.c.key)
    .where(t.subscribers.c.key.in_(select(d.subscriber).where(_SOME)))
    .order_by(t.subscribers.c.key)
    .with_for_update(key_share=True)  # settling may change them: no upgrade from a weaker lock
)
_MAY_GO = Prepared(
    select(d.key, d.state, d.lease_token, d.kind, d.reason, d.resends, *_CONSENT)
    .select_from(_WITH_CONSENT)
    .where(_SOME)
    .order_by(d.key)
    .with_for_update(of=t.deliveries)
)
_GOING = Prepared(
    update(t.deliveries)
    .where(_SOME)
    .values(state=str(DeliveryState.SENDING), relay=bindparam("by"), changed_at=bindparam("at"))
)
_HELD = Prepared(
    select(d.key, d.state, d.subscriber, d.recipient, d.lease_token, t.subscribers.c.soft_failures)
    .select_from(_WITH_PEOPLE)
    .where(_SOME)  # and nothing else: SQLite would take the index of states, and read them all
    .order_by(d.key)
    .with_for_update(of=t.deliveries)
)
_ATTEMPT = Prepared(
    insert(t.attempts).values(
        delivery=bindparam("delivery"),
        at=bindparam("at"),
        outcome=bindparam("outcome"),
        phase=bindparam("phase"),
        relay=bindparam("relay"),
        code=bindparam("code"),
        enhanced=bindparam("enhanced"),
        text=bindparam("text"),
    )
)
_SETTLE = Prepared(
    update(t.deliveries)
    .where(d.key == bindparam("k"))
    .values(
        state=bindparam("s"),
        reason=bindparam("r"),
        attempts=d.attempts + bindparam("n"),
        not_before=func.coalesce(bindparam("wait", type_=t.Utc), d.not_before),
        relay=func.coalesce(bindparam("by", type_=String), d.relay),
        code=bindparam("c"),
        text=bindparam("x"),
        changed_at=bindparam("at"),
        **dict.fromkeys(FREE, null()),
    )
)
