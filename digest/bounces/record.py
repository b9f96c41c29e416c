"""A report is recorded under its hash, and what follows from it is done, in one transaction.

Whoever brings a report removes it from where it came only after `take` has returned. The same
report twice does nothing the second time, so a crash in between is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from digest.bounces.dsn import unxtext
from digest.bounces.policy import (
    HELD_AGAINST,
    SENDS,
    TOLD,
    Proof,
    Ruling,
    Weight,
    code_of,
    enough,
    rule,
)
from digest.bounces.read import fingerprint, read
from digest.bounces.report import Failure, Kind, Report
from digest.errors import TokenError
from digest.links import Links, Purpose
from digest.model import Act, Delivery, DeliveryState, EndReason, Subscriber, SubscriberState
from digest.store import Database, Tx, deliveries, people, reports
from digest.store.mailbox import mailbox
from digest.store.reports import Told

log = logging.getLogger("digest.bounces")

MOST_RAW = 32 * 1024  # bytes kept of what nobody understood
MAIL = "mail"  # the door that a consent record names
PROVIDER = "provider"


class Effect(StrEnum):
    """What was done about one part of a report."""

    SUPPRESSED = "suppressed"  # the address takes no more mail
    BOUNCED = "bounced"  # the letter is known not to have arrived
    COUNTED = "counted"  # held against the address, not enough yet
    ENDED = "ended"  # the person gets no letters any more
    LISTED = "listed"  # a person should look
    NONE = "none"


TO_LOOK_AT = (Kind.FORGED, Kind.UNRECOGNISED, Kind.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one report; no `parts` where it had been recorded before."""

    hash: str
    kind: Kind
    parts: Sequence[Told] = ()

    @property
    def understood(self) -> bool:
        """False where it had better stay where a person finds it."""
        return self.kind not in TO_LOOK_AT

    @property
    def listed(self) -> bool:
        """Whether a person should look at it."""
        return any(told.effect == Effect.LISTED for told in self.parts)


@dataclass(frozen=True, slots=True)
class Trace:
    """Which letter a report speaks of, and how sure that is."""

    letter: Delivery | None = None
    proof: Proof = Proof.NOTHING


@dataclass(frozen=True, slots=True)
class Desk:
    """Where reports are recorded. `clock`: what time it is."""

    db: Database
    links: Links
    clock: Callable[[], datetime]

    def take(
        self, raw: bytes, door: str, came_to: Sequence[str] = (), *, keep_raw: bool = False
    ) -> Taken:
        """Record a message. `keep_raw`: no mailbox keeps what nobody understands, so it is kept
        here. Raises Broken where the database is; then nothing is recorded."""
        return self.take_report(read(raw, came_to), fingerprint(raw), door, raw, keep_raw=keep_raw)

    def take_report(
        self, report: Report, hash_: str, door: str, raw: bytes = b"", *, keep_raw: bool = False
    ) -> Taken:
        """Record a report that was read already. Its beginning is kept where a person should look
        and would find it nowhere else."""
        now = self.clock()
        with self.db.writing() as tx:
            report = _unmasked(self.links, report)
            if not reports.begin(tx, hash_, now, door):
                return Taken(hash_, report.kind)
            act = _Act(tx, self.links, report, now, door)
            taken = Taken(hash_, report.kind, act.parts())
            gone = keep_raw or taken.understood
            keep = gone and taken.listed and not act.of_somebody_forgotten
            reports.finish(tx, hash_, list(taken.parts), raw[:MOST_RAW] or None if keep else None)
        _tell(door, taken.parts)
        return taken


def _unmasked(links: Links, report: Report) -> Report:
    """A report that comes to an address which we never made is no report of ours."""
    bounce = [_value(links, Purpose.BOUNCE, token) for token in report.tokens]
    leave = [_value(links, Purpose.LEAVE_BY_MAIL, token) for token in report.leaves]
    if (bounce or leave) and not any([*bounce, *leave]):
        return Report(Kind.FORGED, note="an address that this site never made")
    return report


def _value(links: Links, purpose: Purpose, token: str) -> int | None:
    try:
        return int(links.read(purpose, token))
    except TokenError:
        return None


def _tell(door: str, parts: Sequence[Told]) -> None:
    """One line for what an operator should know; whom it is about stays out of logs."""
    for told in parts:
        if told.weight in TOLD or told.effect == Effect.LISTED:
            said = " ".join(word for word in (told.kind, told.weight, told.status) if word)
            about = f"letter {told.delivery}" if told.delivery else "no letter of ours"
            log.warning("%s by %s, %s; see `digest bounce list`", said, door, about)


class _Act:
    """One report within one transaction."""

    def __init__(self, tx: Tx, links: Links, report: Report, now: datetime, door: str) -> None:
        self._tx, self._links, self._report = tx, links, report
        self._now, self._door = now, door
        self.of_somebody_forgotten = False

    def parts(self) -> list[Told]:
        """Do what the report asks for; what it says, and what was done."""
        report = self._report
        match report.kind:
            case Kind.BOUNCE:
                return [self._bounce(failure) for failure in report.failures or (Failure(),)]
            case Kind.DELAY:
                return [self._only(failure) for failure in report.failures or (Failure(),)]
            case Kind.COMPLAINT:
                return [self._complaint(failure) for failure in report.failures or (Failure(),)]
            case Kind.UNSUBSCRIBE:
                return self._unsubscribe()
        effect = Effect.LISTED if report.kind in TO_LOOK_AT else Effect.NONE
        return [Told(report.kind, effect, text=report.note)]

    # -------------------------------------------------------------- which letter

    def _trace(self, failure: Failure) -> Trace:
        """The letter by its secret address, by its id, or by whom it went to."""
        report = self._report
        for token in (*report.tokens, *report.traces):
            if (key := _value(self._links, Purpose.BOUNCE, token)) is not None:
                return Trace(deliveries.get(self._tx, key), Proof.LETTER)
        if letter := reports.find(self._tx, report.message_ids):
            return Trace(letter, Proof.LETTER)
        if report.kind is not Kind.BOUNCE and report.message_ids:
            return Trace()  # of somebody else's letter
        return self._by_address(failure)

    def _by_address(self, failure: Failure) -> Trace:
        for address in filter(None, (failure.original, failure.recipient)):
            if (person := people.get(self._tx, address)) is not None:
                vouched = self._report.vouched
                letter = reports.latest_sent(self._tx, person.key, on_its_way=vouched)
                sure = vouched and letter is not None
                return Trace(letter, Proof.LETTER if sure else Proof.ADDRESS)
        return Trace()

    # -------------------------------------------------------------- what follows

    def _only(self, failure: Failure) -> Told:
        """It is recorded, and nothing follows."""
        return self._told(failure, self._trace(failure).letter, Effect.NONE, Weight.NONE)

    def _bounce(self, failure: Failure) -> Told:
        trace = self._trace(failure)
        letter = trace.letter
        if letter is None:
            ruling = rule(failure, Proof.NOTHING, False)
            effect = Effect.NONE if ruling.weight is Weight.NONE else Effect.LISTED
            return self._told(failure, None, effect, ruling.weight)
        person = people.hold(self._tx, letter.subscriber_key)
        ruling = rule(failure, trace.proof, is_at(letter.recipient, failure))
        if ruling.weight in HELD_AGAINST and reports.is_forgiven(self._tx, letter.key):
            ruling = replace(ruling, weight=Weight.FORGIVEN, suppress=None)
        effect = self._follow(ruling, letter, person)
        return self._told(failure, letter, effect, ruling.weight)

    def _follow(self, ruling: Ruling, letter: Delivery, person: Subscriber | None) -> Effect:
        bounced = ruling.bounced and reports.came_back(
            self._tx, letter.key, DeliveryState.BOUNCED, str(ruling.weight), self._now
        )
        against = ruling.weight in HELD_AGAINST
        if against and not _forgotten(person) and (reason := self._stop_for(ruling, letter)):
            people.suppress(self._tx, letter.recipient, reason, self._now)
            return Effect.SUPPRESSED
        if bounced:
            return Effect.BOUNCED
        if against:
            return Effect.COUNTED
        quiet = ruling.weight in {Weight.NONE, Weight.FORGIVEN}
        return Effect.NONE if quiet else Effect.LISTED

    def _stop_for(self, ruling: Ruling, letter: Delivery) -> str | None:
        if ruling.suppress:
            return ruling.suppress
        key, weights = letter.subscriber_key, [str(weight) for weight in HELD_AGAINST]
        return enough(reports.failed_sends(self._tx, key, weights, SENDS, letter.key))

    def _complaint(self, failure: Failure) -> Told:
        trace = self._trace(failure)
        letter = trace.letter
        if letter is None or trace.proof is not Proof.LETTER:
            return self._told(failure, letter, Effect.LISTED)
        if letter.state is DeliveryState.COMPLAINED:  # whoever came back since is not meant
            return self._told(failure, letter, Effect.NONE)
        reports.came_back(self._tx, letter.key, DeliveryState.COMPLAINED, "complained", self._now)
        person = people.hold(self._tx, letter.subscriber_key)
        if not _forgotten(person):
            people.suppress(self._tx, letter.recipient, "complained", self._now)
            self._end(person, EndReason.COMPLAINED, f"a complaint by {self._door}")
        return self._told(failure, letter, Effect.ENDED)

    def _unsubscribe(self) -> list[Told]:
        """As by one click: no letter any more, whoever sent this from wherever, to each address
        that it came to."""
        report = self._report
        failure = report.failures[0] if report.failures else Failure()
        leaves = (_value(self._links, Purpose.LEAVE_BY_MAIL, token) for token in report.leaves)
        keys = sorted({key for key in leaves if key is not None})  # in one order: two cannot lock
        trace = Trace() if keys else self._trace(failure)
        if trace.proof is Proof.LETTER and trace.letter:
            keys = [trace.letter.subscriber_key]
        found = [person for key in keys if (person := people.hold(self._tx, key)) is not None]
        return [self._leave(one) for one in found] or [self._told(failure, None, Effect.LISTED)]

    def _leave(self, person: Subscriber) -> Told:
        self._end(person, EndReason.UNSUBSCRIBED, f"by {self._door}")
        address = None if _forgotten(person) else person.email
        return Told(Kind.UNSUBSCRIBE, Effect.ENDED, address=address, text=self._report.note)

    def _end(self, person: Subscriber | None, reason: EndReason, evidence: str) -> None:
        if person is None or person.state is SubscriberState.ENDED:
            return
        people.end(self._tx, person.key, reason)
        door = PROVIDER if self._report.vouched else MAIL
        people.note(self._tx, person.key, Act.ENDED, self._now, door, evidence)

    def _told(
        self,
        failure: Failure,
        letter: Delivery | None,
        effect: Effect,
        weight: Weight | None = None,
    ) -> Told:
        address = letter.recipient if letter else failure.recipient or failure.original
        forgotten = letter is not None and letter.recipient.endswith("@invalid")  # erased
        self.of_somebody_forgotten |= forgotten
        return Told(
            self._report.kind,
            effect,
            weight,
            letter.key if letter else None,
            address or None,
            code_of(failure) or None,
            "" if forgotten else failure.text or self._report.note,
        )


def _forgotten(person: Subscriber | None) -> bool:
    return person is None or person.reason == EndReason.ERASED


def is_at(ours: str, failure: Failure) -> bool:
    """Whether a failure is at the address that our letter went to; true where none is named."""
    named = [name for name in (failure.recipient, failure.original) if name]
    spellings = {mailbox(spelled) for name in named for spelled in (name, unxtext(name))}
    return not named or mailbox(ours) in spellings
