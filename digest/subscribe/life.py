"""A person's life: pending -> active <-> paused -> ended(reason), and being forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from digest import cadence, profiles
from digest.errors import Refused
from digest.links import Links
from digest.model import Act, Cadence, EndReason, LetterKind, Subscriber, SubscriberState
from digest.store import Database, Tx, deliveries, people
from digest.subscribe.addresses import normalised

AGAIN_AFTER = timedelta(minutes=10)  # between two confirmations to one address
MOST_IN_A_DAY = 3  # confirmations to one address, whoever asks for them
CONFIRMATION_LIVES = timedelta(days=3)  # in the queue; its link does not expire
LONGEST_PAUSE = timedelta(days=5 * 365)

Document = Mapping[str, Any]
"""A profile file as plain data."""

PENDING, ACTIVE = SubscriberState.PENDING, SubscriberState.ACTIVE
PAUSED, ENDED = SubscriberState.PAUSED, SubscriberState.ENDED


@dataclass(frozen=True, slots=True)
class Post:
    """What a confirmation needs to go out under a name of its own."""

    links: Links
    mail_domain: str


class Answer(StrEnum):
    """What became of a request."""

    NEW = "new"  # not known before, or had left: pending now
    AGAIN = "again"  # was pending already
    ALREADY_ACTIVE = "already_active"  # active or paused: nothing was changed


@dataclass(frozen=True, slots=True)
class Asked:
    """`confirmation`: the key of the delivery that was queued; None: none (too soon, or none
    needed)."""

    subscriber: Subscriber
    answer: Answer
    confirmation: int | None = None


def said(asked: Asked) -> str:
    """What became of a request, in words."""
    if asked.answer is Answer.ALREADY_ACTIVE:
        return f"{asked.subscriber.state} already; nothing was changed"
    if asked.confirmation is None:
        return (
            "pending; a confirmation went out already, and none was queued: an address gets one "
            f"in ten minutes and {MOST_IN_A_DAY} in a day at most"
        )
    return "pending; a letter that asks to confirm is queued"


@dataclass(frozen=True, slots=True)
class Wish:
    """A profile fit to be stored: every key written out, and the text as its author wrote it."""

    document: Document
    text: str | None
    cadence: Cadence


def wish(profile: Document | str) -> Wish:
    """Read a profile given as a TOML text or as plain data. Raises ProfileError."""
    text = profile if isinstance(profile, str) else None
    read = profiles.parse(profile) if isinstance(profile, str) else profiles.from_mapping(profile)
    return Wish(profiles.to_mapping(read), text, read.cadence)


# ---------------------------------------------------------------- coming


def request(
    db: Database,
    post: Post,
    email: str,
    profile: Document | str,
    now: datetime,
    door: str,
    evidence: str = "",
) -> Asked:
    """Somebody wants letters at this address: they are pending until the address confirms.

    Of a pending person the last profile counts; an active one is not touched, since anybody may
    ask for anybody. One confirmation in ten minutes and MOST_IN_A_DAY in a day go to an address at
    most, and each is a line of the consent record.
    """
    wanted, address = wish(profile), normalised(email)
    with db.writing() as tx:
        known = people.hold_addresses(tx, [address]).get(address)
        if known is not None and known.state in {ACTIVE, PAUSED}:
            return Asked(known, Answer.ALREADY_ACTIVE)
        again = known is not None and known.state is PENDING
        if known is None:
            newcomer = as_newcomer(address, wanted, None, evidence)
            person = people.add_many(tx, [newcomer], now, door)[0]
        else:
            person = _pending_again(tx, known, wanted, now)
        queued = ask_to_confirm(tx, post, person, now)
        if known is not None and queued is not None:
            people.note(tx, person.key, Act.REQUESTED, now, door, evidence)
        return Asked(person, Answer.AGAIN if again else Answer.NEW, queued)


def _pending_again(tx: Tx, known: Subscriber, wanted: Wish, now: datetime) -> Subscriber:
    """Somebody who left or never confirmed, with a new profile; nothing is owed yet."""
    if known.state is ENDED:
        people.request_again(tx, known.key, now)
    people.change(tx, known.key, wanted.document, wanted.text, wanted.cadence, now, None)
    return _now(tx, known.key)


def ask_to_confirm(
    tx: Tx, post: Post, person: Subscriber, now: datetime, asked_before: bool = True
) -> int | None:
    """Queue a confirmation, unless the address had its share of them. Returns its key."""
    if asked_before and _had_enough(tx, person.key, now):
        return None
    natural = f"{person.key}/{now.isoformat()}"
    message_id = post.links.message_id("confirmation", natural, post.mail_domain)
    return deliveries.enqueue(
        tx,
        LetterKind.CONFIRMATION,
        person.key,
        person.email,
        message_id,
        now,
        expires_at=now + CONFIRMATION_LIVES,
    )


def _had_enough(tx: Tx, key: int, now: datetime) -> bool:
    """Anybody can have letters sent to anybody, so they are few."""
    day = now - timedelta(days=1)
    asked = deliveries.queued_since(tx, key, LetterKind.CONFIRMATION, day)
    return len(asked) >= MOST_IN_A_DAY or any(now < one.created_at + AGAIN_AFTER for one in asked)


def confirm(db: Database, key: int, now: datetime, door: str, evidence: str = "") -> Subscriber:
    """The address says yes: the first window opens now. Twice is once.

    Raises Refused for a person who has ended: an old letter's link brings nobody back.
    """
    with db.writing() as tx:
        person = _held(tx, key)
        if person.state is ENDED:
            raise Refused(f"{person.email} has left; subscribe again to get letters")
        if person.state is not PENDING:
            return person
        people.note(tx, key, Act.CONFIRMED, now, door, evidence)
        return _begin(tx, person, now)


def _begin(tx: Tx, person: Subscriber, at: datetime) -> Subscriber:
    people.confirm(tx, person.key, at, cadence.next_due(person.cadence, at))
    return _now(tx, person.key)


def add_confirmed(
    db: Database,
    email: str,
    profile: Document | str,
    confirmed_at: datetime,
    *,
    now: datetime | None = None,
    door: str = "cli",
    evidence: str = "",
) -> Subscriber:
    """The operator vouches for this person's consent; no confirmation is sent.

    Their first window opens at `confirmed_at`; for somebody known, who was pending or had left, not
    before `now`, since windows never overlap. Raises Refused for somebody who gets letters already.
    """
    wanted, address, now = wish(profile), normalised(email), now or confirmed_at
    with db.writing() as tx:
        known = people.hold_addresses(tx, [address]).get(address)
        if known is not None and known.state in {ACTIVE, PAUSED}:
            raise Refused(f"{address} is {known.state} already; see `digest subscriber show`")
        if known is None:
            newcomer = as_newcomer(address, wanted, confirmed_at, evidence)
            return people.add_many(tx, [newcomer], now, door)[0]
        people.note(tx, known.key, Act.IMPORTED, now, door, evidence)
        return _begin(tx, _pending_again(tx, known, wanted, now), max(now, confirmed_at))


def as_newcomer(
    address: str, wanted: Wish, confirmed_at: datetime | None, evidence: str = ""
) -> people.NewSubscriber:
    """A row to add: active from `confirmed_at`, or pending where that is None."""
    due = cadence.next_due(wanted.cadence, confirmed_at) if confirmed_at else None
    return people.NewSubscriber(
        address, wanted.document, wanted.cadence, wanted.text, confirmed_at, due, evidence
    )


# ---------------------------------------------------------------- staying


def change(
    db: Database,
    key: int,
    profile: Document | str,
    now: datetime,
    door: str,
    evidence: str = "",
) -> Subscriber:
    """A new profile. The open window stays open where it was, so that no paper is lost.

    A new cadence takes effect at its next slot after now, unless a letter is overdue.
    Raises ProfileError, and Refused for a person who has left.
    """
    wanted = wish(profile)
    with db.writing() as tx:
        return _change(tx, _here(tx, key), wanted, now, door, evidence)


Amendment = Callable[[Document, str | None], Document | str | None]
"""(the profile as plain data, its text or None) -> the profile after it; None: as it is."""


def amend(
    db: Database, key: int, amendment: Amendment, now: datetime, door: str, evidence: str = ""
) -> Subscriber:
    """`change` for what depends on the profile that is stored: of two at once both count.

    An amendment that returns None leaves no trace. What it raises ends the act.
    """
    with db.writing() as tx:
        person = _here(tx, key)
        after = amendment(*people.profile(tx, key))
        if after is None:
            return person
        return _change(tx, person, wish(after), now, door, evidence)


def _change(
    tx: Tx, person: Subscriber, wanted: Wish, now: datetime, door: str, evidence: str
) -> Subscriber:
    due = _due_after_change(person, wanted.cadence, now)
    people.change(tx, person.key, wanted.document, wanted.text, wanted.cadence, now, due)
    people.note(tx, person.key, Act.CHANGED, now, door, evidence)
    return _now(tx, person.key)


def _due_after_change(person: Subscriber, new: Cadence, now: datetime) -> datetime | None:
    since, due = person.window_since, person.next_due
    if since is None or due is None or new == person.cadence:
        return due
    return cadence.next_due(new, since if due <= now else max(since, now), person.paused_until)


def pause(
    db: Database, key: int, until: datetime, now: datetime, door: str, evidence: str = ""
) -> Subscriber:
    """No letter before `until`; the first one after it covers the time of the pause, too.

    Raises Refused for a time that is past or years ahead, and for somebody who gets no letters.
    """
    if not now < until <= now + LONGEST_PAUSE:
        raise Refused(f"a pause must end between now and in five years, not at {until.isoformat()}")
    with db.writing() as tx:
        person = _held(tx, key)
        if person.window_since is None or person.state not in {ACTIVE, PAUSED}:
            raise Refused(f"{person.email} is {person.state}; only who gets letters can pause")
        if person.state is PAUSED and person.paused_until == until:
            return person
        due = cadence.next_due(person.cadence, person.window_since, until)
        people.pause(tx, key, until, due)
        people.note(tx, key, Act.PAUSED, now, door, evidence)
        return _now(tx, key)


def resume(db: Database, key: int, now: datetime, door: str, evidence: str = "") -> Subscriber:
    """The pause is over; the next letter comes at the next slot. Raises Refused if they left."""
    with db.writing() as tx:
        person = _held(tx, key)
        if person.state is ACTIVE:
            return person
        if person.state is not PAUSED or person.window_since is None:
            raise Refused(f"{person.email} is {person.state}; only who paused can resume")
        people.resume(tx, key, cadence.next_due(person.cadence, person.window_since, now))
        people.note(tx, key, Act.RESUMED, now, door, evidence)
        return _now(tx, key)


# ---------------------------------------------------------------- leaving


def end(
    db: Database, key: int, reason: EndReason, now: datetime, door: str, evidence: str = ""
) -> Subscriber:
    """No letter any more. When this returns it is committed; the first reason stays."""
    with db.writing() as tx:
        person = _held(tx, key)
        if person.state is ENDED:
            return person
        people.end(tx, key, reason)
        people.note(tx, key, Act.ENDED, now, door, evidence)
        return _now(tx, key)


def erase(db: Database, key: int, now: datetime, door: str) -> Subscriber:
    """Forget who this was: address, profile, ratings, evidence, replies that name the address,
    and that it takes no mail. A nameless row stays, so that counts and editions still add up."""
    with db.writing() as tx:
        person = _held(tx, key)
        if person.reason == EndReason.ERASED:
            return person
        people.unsuppress(tx, person.email)
        people.erase(tx, key)
        people.note(tx, key, Act.ERASED, now, door)
        return _now(tx, key)


# ---------------------------------------------------------------- who


def find(db: Database, email: str) -> Subscriber:
    """The person with this address. Raises Refused if there is none."""
    address = normalised(email)
    with db.reading() as tx:
        person = people.get(tx, address)
    if person is None:
        raise Refused(f"no subscriber {address}; see `digest subscriber list`", subject=address)
    return person


def _held(tx: Tx, key: int) -> Subscriber:
    person = people.hold(tx, key)
    if person is None:
        raise Refused(f"no subscriber with key {key}", subject=str(key))
    return person


def _here(tx: Tx, key: int) -> Subscriber:
    """Raises Refused for somebody who has left."""
    person = _held(tx, key)
    if person.state is ENDED:
        raise Refused(f"{person.email} has left; subscribe again to get letters")
    return person


def _now(tx: Tx, key: int) -> Subscriber:
    person = people.by_key(tx, key)
    assert person is not None
    return person
