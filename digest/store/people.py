"""People: subscribers, their consent record, profiles, ratings, and who takes no mail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    String,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from digest.model import (
    Act,
    Cadence,
    Consent,
    EndReason,
    Feedback,
    Frequency,
    Subscriber,
    SubscriberState,
    Suppression,
)
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.mailbox import mailbox
from digest.store.papers import key_of
from digest.store.prepared import Among
from digest.store.rows import chunks, insert_new

s = t.subscribers.c
LIVE = (SubscriberState.ACTIVE, SubscriberState.PAUSED)


@dataclass(frozen=True, slots=True)
class Due:
    """A person whose window closes now, with the profile (plain data) and the feedback."""

    subscriber: Subscriber
    document: Mapping[str, Any]
    feedback: Feedback = Feedback()
    compact: bytes | None = None  # what `keep_compact` kept of this very document
    changed_at: datetime | None = None  # when the document was written


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    """A person to add. `confirmed_at` None: pending until they confirm."""

    email: str  # normalised
    document: Mapping[str, Any]
    cadence: Cadence
    text: str | None = None
    confirmed_at: datetime | None = None
    next_due: datetime | None = None
    evidence: str = ""


# ------------------------------------------------------------------ reading


def get(tx: Tx, email: str) -> Subscriber | None:
    """The person with this (normalised) address, in whatever case."""
    here = select(t.subscribers).where(s.mailbox == mailbox(email))
    row = tx.execute(here).one_or_none()
    return _subscriber(row) if row else None


def hold(tx: Tx, key: int) -> Subscriber | None:
    """This person, and nobody else changes them until the commit."""
    row = tx.execute(select(t.subscribers).where(s.key == key).with_for_update()).one_or_none()
    return _subscriber(row) if row else None


def hold_addresses(tx: Tx, emails: Collection[str]) -> dict[str, Subscriber]:
    """{address as asked for: who has it}; nobody else takes or changes one until the commit."""
    asked = {email: mailbox(email) for email in emails}
    found: dict[str, Subscriber] = {}
    for part in chunks(sorted(set(asked.values()))):
        if tx.dialect.name == "postgresql":
            names = func.unnest(cast(part, ARRAY(String))).column_valued("name")
            tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(names, 0))))
        question = select(t.subscribers).where(s.mailbox.in_(part)).order_by(s.key)
        question = question.with_for_update()
        found |= {row.mailbox: _subscriber(row) for row in tx.execute(question)}
    return {email: found[known_by] for email, known_by in asked.items() if known_by in found}


def by_key(tx: Tx, key: int) -> Subscriber | None:
    return by_keys(tx, [key]).get(key)


_BY_KEYS = select(t.subscribers).where(Among(s.key))


def by_keys(tx: Tx, keys: Collection[int]) -> dict[int, Subscriber]:
    rows = tx.execute(_BY_KEYS, {"keys": keys}) if keys else ()
    return {row.key: _subscriber(row) for row in rows}


def listed(
    tx: Tx, limit: int = 0, after_key: int = 0, state: SubscriberState | None = None
) -> list[Subscriber]:
    """People in order of arrival; limit 0 is all."""
    question = select(t.subscribers).where(s.key > after_key).order_by(s.key).limit(limit or None)
    if state is not None:
        question = question.where(s.state == state)
    return [_subscriber(row) for row in tx.execute(question)]


def count(tx: Tx) -> dict[str, int]:
    """{state: people}."""
    rows = tx.execute(select(s.state, func.count().label("n")).group_by(s.state))
    return {row.state: row.n for row in rows}


def profile(tx: Tx, key: int) -> tuple[dict[str, Any], str | None]:
    """(the profile as plain data, its text as written or None)."""
    p = t.profiles.c
    row = tx.execute(select(p.document, p.text).where(p.subscriber == key)).one_or_none()
    return (row.document, row.text) if row else ({}, None)


def consents(tx: Tx, key: int) -> list[Consent]:
    """The consent record, oldest first."""
    c = t.consents.c
    rows = tx.execute(select(t.consents).where(c.subscriber == key).order_by(c.key))
    return [Consent(row.at, Act(row.act), row.door, row.evidence) for row in rows]


def due(
    tx: Tx, now: datetime, after_key: int, limit: int, share: tuple[int, int] = (0, 1)
) -> list[Due]:
    """The next `limit` people by key whose window can close at `now`. `share`: (which, of how
    many) parts of all people."""
    which, of = share
    at_end = and_(s.next_due <= now, s.state.in_(LIVE), s.key > after_key)
    at_end = and_(at_end, s.key % of == which) if of > 1 else at_end
    joined = t.subscribers.outerjoin(t.profiles, t.profiles.c.subscriber == s.key)
    p = t.profiles.c
    question = select(t.subscribers, p.document, p.compact, p.changed_at).select_from(joined)
    rows = tx.execute(question.where(at_end).order_by(s.key).limit(limit)).all()
    said = feedback(tx, [row.key for row in rows])
    return [_due(row, said.get(row.key, Feedback())) for row in rows]


def _due(row: Any, said: Feedback) -> Due:
    return Due(_subscriber(row), row.document or {}, said, row.compact, row.changed_at)


def keep_compact(tx: Tx, made: Sequence[tuple[int, datetime, bytes]]) -> None:
    """Keep what was made of profiles' documents: (person, when the document was written, bytes).
    A document that has changed since is left alone."""
    p = t.profiles.c
    rows = [{"k": key, "at": at, "made": packed} for key, at, packed in made]
    same = and_(p.subscriber == bindparam("k"), p.changed_at == bindparam("at"))
    if rows:
        tx.execute(update(t.profiles).where(same).values(compact=bindparam("made")), rows)


def due_windows(tx: Tx, now: datetime) -> list[tuple[Cadence, datetime, datetime | None, int]]:
    """(cadence, since, paused until, people) for everyone whose window can close at `now`."""
    kinds = (s.frequency, s.day, s.hour, s.zone, s.window_since, s.paused_until)
    ready = and_(s.next_due <= now, s.state.in_(LIVE))
    question = select(*kinds, func.count().label("n")).where(ready).group_by(*kinds)
    return [
        (_cadence(row), row.window_since, row.paused_until, row.n) for row in tx.execute(question)
    ]


def count_due(tx: Tx, now: datetime) -> int:
    ready = and_(s.next_due <= now, s.state.in_(LIVE))
    return tx.execute(select(func.count()).select_from(t.subscribers).where(ready)).scalar_one()


def libraries(tx: Tx, after_key: int, limit: int) -> list[tuple[int, dict[str, Any], Feedback]]:
    """(key, profile as plain data, feedback) of the next people by key who get letters."""
    p = t.profiles.c
    joined = t.subscribers.outerjoin(t.profiles, p.subscriber == s.key)
    question = select(s.key, p.document).select_from(joined)
    live = and_(s.state.in_(LIVE), s.key > after_key)
    rows = tx.execute(question.where(live).order_by(s.key).limit(limit)).all()
    said = feedback(tx, [row.key for row in rows])
    return [(row.key, row.document or {}, said.get(row.key, Feedback())) for row in rows]


def feedback(tx: Tx, keys: Collection[int]) -> dict[int, Feedback]:
    """What each of these people said of papers, oldest first."""
    r = t.ratings.c
    joined = t.ratings.join(t.papers, t.papers.c.key == r.paper)
    likes: dict[int, list[str]] = defaultdict(list)
    dislikes: dict[int, list[str]] = defaultdict(list)
    times: dict[int, list[datetime]] = defaultdict(list)
    for part in chunks(keys):
        question = select(r.subscriber, r.value, r.at, t.papers.c.id).select_from(joined)
        for row in tx.execute(question.where(r.subscriber.in_(part)).order_by(r.at, r.paper)):
            (likes if row.value > 0 else dislikes)[row.subscriber].append(row.id)
            if row.value > 0:
                times[row.subscriber].append(row.at)
    said = likes.keys() | dislikes.keys()
    return {
        key: Feedback(tuple(likes[key]), tuple(dislikes[key]), tuple(times[key])) for key in said
    }


# ------------------------------------------------------------------ a person's life


def add(
    tx: Tx,
    email: str,
    document: Mapping[str, Any],
    text: str | None,
    cadence: Cadence,
    now: datetime,
    door: str,
    evidence: str = "",
    confirmed_at: datetime | None = None,
    next_due: datetime | None = None,
) -> Subscriber:
    """Add one person; their mailbox must be new. With `confirmed_at` active, else pending."""
    person = NewSubscriber(email, document, cadence, text, confirmed_at, next_due, evidence)
    return add_many(tx, [person], now, door)[0]


def add_many(tx: Tx, people: Sequence[NewSubscriber], now: datetime, door: str) -> list[Subscriber]:
    """Add people whose mailboxes are new; in order."""
    if not people:
        return []
    made = insert(t.subscribers).returning(s.key, sort_by_parameter_order=True)
    keys = list(tx.execute(made, [_row_of(person, now) for person in people]).scalars())
    pairs = list(zip(keys, people, strict=True))
    tx.execute(insert(t.profiles), [_profile_row(key, p, now) for key, p in pairs])
    tx.execute(insert(t.consents), [_consent_row(key, p, now, door) for key, p in pairs])
    found = by_keys(tx, keys)
    return [found[key] for key in keys]


def _row_of(person: NewSubscriber, now: datetime) -> dict[str, Any]:
    confirmed = person.confirmed_at
    return {
        "email": person.email,
        "mailbox": mailbox(person.email),
        "state": SubscriberState.ACTIVE if confirmed else SubscriberState.PENDING,
        "created_at": now,
        "confirmed_at": confirmed,
        "window_since": confirmed,
        "next_due": person.next_due,
        **_cadence_columns(person.cadence),
    }


def _profile_row(key: int, person: NewSubscriber, now: datetime) -> dict[str, Any]:
    document = dict(person.document)
    return {"subscriber": key, "document": document, "text": person.text, "changed_at": now}


def _consent_row(key: int, person: NewSubscriber, now: datetime, door: str) -> dict[str, Any]:
    act = Act.IMPORTED if person.confirmed_at else Act.REQUESTED
    return {"subscriber": key, "at": now, "act": act, "door": door, "evidence": person.evidence}


def _cadence_columns(cadence: Cadence) -> dict[str, Any]:
    return {
        "frequency": str(cadence.frequency),
        "day": cadence.day,
        "hour": cadence.hour,
        "zone": cadence.zone,
    }


def note(tx: Tx, key: int, act: Act, now: datetime, door: str, evidence: str = "") -> None:
    """Add one line to the consent record."""
    row = {"subscriber": key, "at": now, "act": act, "door": door, "evidence": evidence}
    tx.execute(insert(t.consents), [row])


def request_again(tx: Tx, key: int, now: datetime) -> None:
    """An ended person asks anew: pending, and nothing is owed for the time between."""
    fresh = {"state": SubscriberState.PENDING, "reason": None, "confirmed_at": None}
    _change(tx, key, **fresh, paused_until=None, window_since=None, next_due=None, created_at=now)


def confirm(tx: Tx, key: int, now: datetime, next_due: datetime) -> None:
    """Pending becomes active; the first window opens now."""
    active = {"state": SubscriberState.ACTIVE, "reason": None, "soft_failures": 0}
    _change(tx, key, **active, confirmed_at=now, window_since=now, next_due=next_due)


def pause(tx: Tx, key: int, until: datetime, next_due: datetime) -> None:
    """No letter before `until`; the window stays open, so that nothing is lost."""
    _change(tx, key, state=SubscriberState.PAUSED, paused_until=until, next_due=next_due)


def resume(tx: Tx, key: int, next_due: datetime) -> None:
    _change(tx, key, state=SubscriberState.ACTIVE, paused_until=None, next_due=next_due)


def wake(tx: Tx, now: datetime) -> int:
    """Everyone whose pause is over is active again. Returns how many."""
    over = and_(s.state == SubscriberState.PAUSED, s.paused_until <= now)
    active = {"state": SubscriberState.ACTIVE, "paused_until": None}
    return tx.execute(update(t.subscribers).where(over).values(active)).rowcount


def end(tx: Tx, key: int, reason: EndReason) -> None:
    """No letter any more, and why. The row stays, so that the door can open again."""
    ended = {"state": SubscriberState.ENDED, "reason": str(reason)}
    _change(tx, key, **ended, paused_until=None, next_due=None)


def erase(tx: Tx, key: int) -> None:
    """Forget who it was: the address, profile, ratings and evidence go; counts stay."""
    _forget_reports(tx, key)
    nobody = f"erased-{key}@invalid"
    _change(tx, key, email=nobody, mailbox=mailbox(nobody))
    end(tx, key, EndReason.ERASED)
    tx.execute(delete(t.profiles).where(t.profiles.c.subscriber == key))
    tx.execute(delete(t.ratings).where(t.ratings.c.subscriber == key))
    tx.execute(update(t.consents).where(t.consents.c.subscriber == key).values(evidence=""))
    mine = t.deliveries.c.subscriber == key
    tx.execute(update(t.deliveries).where(mine).values(recipient=nobody, text=None))
    tries = t.attempts.c.delivery.in_(select(t.deliveries.c.key).where(mine))
    tx.execute(update(t.attempts).where(tries).values(text=""))  # replies repeat the address


def _forget_reports(tx: Tx, key: int) -> None:
    """That reports came stays, and nothing of whom they named."""
    r, d = t.reports.c, t.deliveries.c
    email: str = tx.execute(select(s.email).where(s.key == key)).scalar_one()
    mine = r.delivery.in_(select(d.key).where(d.subscriber == key))
    here = update(t.reports).where(or_(mine, func.lower(r.address) == email.lower()))
    tx.execute(here.values(address=None, text="", raw=None))
    kept = tx.execute(select(r.key, r.raw).where(r.raw.is_not(None))).all()
    naming = [row.key for row in kept if email.encode().lower() in row.raw.lower()]
    for part in chunks(naming):
        tx.execute(update(t.reports).where(r.key.in_(part)).values(text="", raw=None))


def change(
    tx: Tx,
    key: int,
    document: Mapping[str, Any],
    text: str | None,
    cadence: Cadence,
    now: datetime,
    next_due: datetime | None,
) -> None:
    """A new profile; the open window stays open where it was."""
    row = {"document": dict(document), "text": text, "changed_at": now, "compact": None}
    here = t.profiles.c.subscriber == key
    if not tx.execute(update(t.profiles).where(here).values(row)).rowcount:
        tx.execute(insert(t.profiles), [{"subscriber": key, **row}])
    _change(tx, key, next_due=next_due, **_cadence_columns(cadence))


def rate(tx: Tx, key: int, paper_id: str, value: int, now: datetime) -> bool:
    """+1 more like this, -1 less, 0 take it back. False where the paper is unknown."""
    if (paper := key_of(tx, paper_id)) is None:
        return False
    mine = and_(t.ratings.c.subscriber == key, t.ratings.c.paper == paper)
    tx.execute(delete(t.ratings).where(mine))
    if value:
        row = {"subscriber": key, "paper": paper, "value": 1 if value > 0 else -1, "at": now}
        tx.execute(insert(t.ratings), [row])
    return True


def close_windows(
    tx: Tx, moves: Sequence[tuple[int, datetime, datetime, datetime]]
) -> frozenset[int]:
    """Compare and set: (key, since, until, next_due). Returns the people whose window was still
    open at `since`; for the others somebody else was quicker, or they left."""
    still_open = _open_since(tx, {key: since for key, since, _, _ in moves})
    rows = [{"k": k, "b": until, "c": due_at} for k, _, until, due_at in moves if k in still_open]
    if rows:
        moved: dict[str, Any] = {"window_since": bindparam("b"), "next_due": bindparam("c")}
        tx.execute(update(t.subscribers).where(s.key == bindparam("k")).values(moved), rows)
    return still_open


def _open_since(tx: Tx, since: Mapping[int, datetime]) -> frozenset[int]:
    """Which of these people still have their window open there; locked until the commit."""
    question = select(s.key, s.window_since).where(s.state.in_(LIVE)).order_by(s.key)
    return frozenset(
        row.key
        for part in chunks(sorted(since))
        for row in tx.execute(question.where(s.key.in_(part)).with_for_update())
        if row.window_since == since[row.key]
    )


def _change(tx: Tx, key: int, **values: Any) -> None:
    tx.execute(update(t.subscribers).where(s.key == key).values(values))


def _cadence(row: Any) -> Cadence:
    return Cadence(Frequency(row.frequency), row.day, row.hour, row.zone)


def _subscriber(row: Any) -> Subscriber:
    return Subscriber(
        key=row.key,
        email=row.email,
        state=SubscriberState(row.state),
        cadence=_cadence(row),
        created_at=row.created_at,
        reason=row.reason,
        confirmed_at=row.confirmed_at,
        paused_until=row.paused_until,
        window_since=row.window_since,
        next_due=row.next_due,
    )


# ------------------------------------------------------------------ who takes no mail


def suppressed(tx: Tx, addresses: Collection[str]) -> dict[str, Suppression]:
    """{address as asked for: why} for each of these addresses that takes no mail."""
    asked = {address: mailbox(address) for address in addresses}
    found = {
        row.mailbox: Suppression(row.address, row.reason, row.at)
        for part in chunks(set(asked.values()))
        for row in tx.execute(select(t.suppressions).where(t.suppressions.c.mailbox.in_(part)))
    }
    return {address: found[known_by] for address, known_by in asked.items() if known_by in found}


def suppressions(tx: Tx, limit: int = 0) -> list[Suppression]:
    order = t.suppressions.c.at.desc(), t.suppressions.c.address
    rows = tx.execute(select(t.suppressions).order_by(*order).limit(limit or None))
    return [Suppression(row.address, row.reason, row.at) for row in rows]


def suppress(tx: Tx, address: str, reason: str, now: datetime) -> None:
    """This address takes no mail; the first reason stays. Whoever has it is held first: a letter
    to them is on its way before the commit, or will not go."""
    tx.execute(select(s.key).where(s.mailbox == mailbox(address)).with_for_update(key_share=True))
    row = {"mailbox": mailbox(address), "address": address, "reason": reason, "at": now}
    tx.execute(insert_new(tx, t.suppressions), [row])


def unsuppress(tx: Tx, address: str) -> bool:
    """True where it was suppressed."""
    known_by = mailbox(address)
    tx.execute(update(t.subscribers).where(s.mailbox == known_by).values(soft_failures=0))
    mine = select(t.deliveries.c.key).join(t.subscribers).where(s.mailbox == known_by)
    held = and_(t.reports.c.delivery.in_(mine), t.reports.c.weight.in_(("hard", "soft")))
    tx.execute(update(t.reports).where(held).values(weight="forgiven"))
    here = delete(t.suppressions).where(t.suppressions.c.mailbox == known_by)
    return bool(tx.execute(here).rowcount)


def count_soft_failure(tx: Tx, key: int) -> int:
    """One more soft failure of a person's address; returns how many in a row."""
    more = update(t.subscribers).where(s.key == key).values(soft_failures=s.soft_failures + 1)
    count: int = tx.execute(more.returning(s.soft_failures)).scalar_one()
    return count


def clear_soft_failures(tx: Tx, keys: Collection[int]) -> None:
    for part in chunks(keys):
        failing = and_(s.key.in_(part), s.soft_failures > 0)
        tx.execute(update(t.subscribers).where(failing).values(soft_failures=0))
