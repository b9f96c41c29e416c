"""Deciding and writing under anything that can happen: a machine that looks for a way to lose a
letter, to double it silently, to count it wrong, or to write to somebody who has left.

The world keeps what no worker sees: which letters the next hop has really taken. Workers hold
letters in memory and may be slow, overtaken, or dead at any point.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import _fresh_sqlite
from delivering import HOUR, NOW
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from digest.deliver import Policy, decide
from digest.model import (
    Cadence,
    Content,
    Delivery,
    DeliveryState,
    Edition,
    EditionPaper,
    EditionState,
    EndReason,
    Listing,
    Outcome,
    OutcomeKind,
    Phase,
    Window,
)
from digest.store import Database, deliveries, editions, papers, people

MINUTE = timedelta(minutes=1)
POLICY = Policy()
ACCEPTED, UNKNOWN, RETURNED = OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN, OutcomeKind.RETURNED
DEFERRED, REFUSED = OutcomeKind.DEFERRED, OutcomeKind.REFUSED
OPEN = {DeliveryState.QUEUED, DeliveryState.LEASED, DeliveryState.SENDING}
GIVES_BACK = {DeliveryState.EXPIRED, DeliveryState.CANCELLED, DeliveryState.FAILED}
PEOPLE = 2
RELAYS = ("east", "west", "spare")
OFTEN = {"claim": 4, "mark": 5, "hear": 6, "owe": 3, "leave": 3, "come_back": 2, "sweep": 2}
SELDOM = ("keep", "overtake", "die", "stop", "step_the_clock")
ACTS = (*SELDOM, *(act for act, weight in OFTEN.items() for _ in range(weight)))

codes = {
    DEFERRED: (450, "4.2.0"),
    REFUSED: (550, "5.2.1"),
    ACCEPTED: (250, "2.0.0"),
}


def said(kind: OutcomeKind, phase: Phase) -> Outcome:
    return Outcome(kind, phase, *codes.get(kind, (None, None)), "words")


@dataclass
class Worker:
    """What one process remembers."""

    owner: str
    token: str
    held: dict[int, Delivery]
    bodies: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)  # the relay has taken it; no reply was read yet
    by: dict[int, str] = field(default_factory=dict)  # where each body went


class Deliveries(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.db = Database(f"sqlite:///{_fresh_sqlite(Path(self.folder.name))}")
        self.now: datetime = NOW
        self.workers: list[Worker] = []
        self.dead: list[str] = []
        self.number = 0
        self.accepted: Counter[int] = Counter()  # by the next hop, whether we know or not
        self.doubtful: Counter[int] = Counter()  # times a letter was recorded as unknown
        self.counted: Counter[int] = Counter()
        self.by: dict[int, str] = {}  # the relay that each letter should name
        self.takers: defaultdict[int, set[str]] = defaultdict(set)
        self.written: set[int] = set()  # letters whose acceptance was recorded
        self.person: dict[int, int] = {}  # who each letter is for
        with self.db.writing() as tx:
            for number in range(PEOPLE):
                email = f"r{number}@example.org"
                people.add(tx, email, {}, None, Cadence(), NOW, "test", confirmed_at=NOW)
        for number in range(2 * PEOPLE):
            self.owe(number, False, False)

    def teardown(self) -> None:
        try:
            self._everything_ends()
        finally:
            self.db.dispose()
            self.folder.cleanup()

    def owe(self, n, _, __):
        """One more letter for somebody, with a paper of its own."""
        number = len(self.person)
        email, id_ = f"r{n % PEOPLE}@example.org", f"arxiv:2601.{number:05}"
        window = Window(NOW + number * MINUTE, NOW + (number + 1) * MINUTE)
        with self.db.writing() as tx:
            papers.remember(tx, "a", [Listing((id_,), "A title")], NOW)
            person = people.get(tx, email)
            made = Edition(
                email,
                window,
                EditionState.QUEUED,
                self.now,
                content=Content((EditionPaper(id_, 1, "Flow", 0.5, ()),)),
                next_due=self.now + 24 * HOUR,
                subscriber_key=person.key,
            )
            editions.write(tx, [editions.NewEdition(made, f"<{number}@example.org>")])
            self.person[deliveries.listed(tx, 1)[0].key] = person.key

    def _row(self, key: int) -> Delivery:
        with self.db.reading() as tx:
            return deliveries.get(tx, key)

    @rule(what=st.sampled_from(ACTS), n=st.integers(0, 99), yes=st.booleans(), also=st.booleans())
    def something_happens(self, what, n, yes, also):
        """One rule for all: hypothesis would try machines that lack some of several."""
        getattr(self, what)(n, yes, also)

    # ---------------------------------------------------------- workers

    def claim(self, n, marked, taken):
        self.number += 1
        worker = Worker(f"w{self.number}", f"t{self.number}", {})
        with self.db.writing() as tx:
            until = self.now + POLICY.lease
            got = deliveries.claim(tx, worker.owner, worker.token, self.now, until, 1 + n % 3)
        worker.held = {row.key: row for row in got}
        if got:
            self.workers.append(worker)
        for key in worker.held if marked and n % 3 == 0 else ():
            self._mark(worker, key, taken)

    def mark(self, n, taken, _):
        hands = [(w, key) for w in self.workers for key in w.held.keys() - w.bodies]
        if hands:
            self._mark(*hands[n % len(hands)], taken)

    def _mark(self, worker, key, taken):
        """Its body goes out, if it may, and then the relay takes it or does not."""
        before, may = self._row(key), self._may_receive(key)
        relay = RELAYS[(self.number + key) % len(RELAYS)]
        with self.db.writing() as tx:
            went = deliveries.mark_body(tx, [(key, worker.token)], self.now, {key: relay})
        mine = before.lease_token == worker.token and before.state is DeliveryState.LEASED
        in_time = before.expires_at is None or self.now < before.expires_at
        assert (key in went) == (mine and may and in_time)
        worker.bodies |= went
        if went:
            self.by[key] = worker.by[key] = relay
        if went and taken:
            self.takers[key].add(relay)
            worker.taken.add(key)
            self.accepted[key] += 1

    def _may_receive(self, key: int) -> bool:
        with self.db.reading() as tx:
            person = people.by_key(tx, self.person[key])
            silent = people.suppressed(tx, [person.email])
        asleep = person.paused_until is not None and person.paused_until > self.now
        return person.state != "ended" and not asleep and not silent

    def hear(self, n, lost, refused):
        """A reply, or the connection is lost before it is read."""
        hands = [(worker, key) for worker in self.workers for key in worker.held]
        if not hands:
            return
        worker, key = hands[n % len(hands)]
        body, kind = key in worker.bodies, REFUSED if refused else DEFERRED
        if lost and n % 2:
            outcome = said(UNKNOWN, Phase.BODY) if body else said(RETURNED, Phase.RCPT)
        elif key in worker.taken:
            outcome = said(ACCEPTED, Phase.DOT)
        else:
            outcome = said(kind, Phase.DOT if body else Phase.RCPT)
        self._settle(worker, key, outcome)

    def _settle(self, worker, key, outcome):
        before, delivery = self._row(key), worker.held.pop(key)
        relay = worker.by.get(key, RELAYS[key % len(RELAYS)])
        decided = decide(outcome, delivery, self.now, lambda: 0.5, POLICY)
        decided = replace(decided, relay=relay)
        with self.db.writing() as tx:
            written = deliveries.settle(tx, [decided], self.now)
        assert (key in written) == (before.lease_token == worker.token)
        if written:
            self.by[key] = relay
            self.counted[key] += decided.counted
            self.doubtful[key] += outcome.kind is UNKNOWN
            self.written |= {key} if outcome.kind is ACCEPTED else set()

    def die(self, n, _, __):
        if self.workers:
            self.dead.append(self.workers.pop(n % len(self.workers)).owner)

    def stop(self, n, _, __):
        """In good order: what is in the body is settled, the rest given back."""
        if not self.workers:
            return
        worker = self.workers.pop(n % len(self.workers))
        self.dead.append(worker.owner)
        for key in worker.bodies & worker.held.keys():
            self._settle(worker, key, said(UNKNOWN, Phase.BODY))
        with self.db.writing() as tx:
            deliveries.release(tx, worker.token, worker.held.keys(), self.now, "stopped")

    def sweep(self, n, known, resend):
        """Somebody looks for what others left; they may know who is dead, or only the time."""
        self.now += (0, 3, 16)[n % 3] * MINUTE
        sending = [key for key in self.person if self._row(key).state is DeliveryState.SENDING]
        with self.db.writing() as tx:
            after = POLICY.resend_after if resend else None
            deliveries.sweep(tx, self.now, after, self.dead if known else ())
        for key in sending:
            self.doubtful[key] += self._row(key).state is not DeliveryState.SENDING

    def overtake(self, n, resend, _):
        """All leases run out while their holders sleep, and another worker is quicker."""
        self.sweep(1, False, resend)
        self.claim(n, False, False)

    def keep(self, n, _, __):
        if self.workers:
            token = self.workers[n % len(self.workers)].token
            with self.db.writing() as tx:
                deliveries.extend(tx, [token], self.now + POLICY.lease)

    # ---------------------------------------------------------- the world

    def step_the_clock(self, n, _, __):
        self.now += (1, 16, 16, 60, 400, -5, -90)[n % 7] * MINUTE

    def leave(self, n, for_good, pause):
        email = f"r{n % PEOPLE}@example.org"
        with self.db.writing() as tx:
            person = people.get(tx, email)
            if person.state != "ended" and pause:
                people.pause(tx, person.key, self.now + 10 * MINUTE, self.now)
            elif person.state != "ended" and for_good:
                people.end(tx, person.key, EndReason.UNSUBSCRIBED)
            else:
                people.suppress(tx, email, "complaint", self.now)

    def come_back(self, n, _, __):
        email = f"r{n % PEOPLE}@example.org"
        with self.db.writing() as tx:
            people.confirm(tx, people.get(tx, email).key, self.now, self.now + 24 * HOUR)
            people.resume(tx, people.get(tx, email).key, self.now)
            people.unsuppress(tx, email)

    # ---------------------------------------------------------- what is always true

    @invariant()
    def nothing_is_taken_twice_unless_it_was_unknown(self):
        for key, times in self.accepted.items():
            assert times <= 1 + min(1, self.doubtful[key]), (key, times)

    @invariant()
    def every_letter_is_told_of_truly(self):
        with self.db.reading() as tx:
            rows = deliveries.listed(tx)
            received = editions.received(tx, set(self.person.values()))
            held = editions.by_keys(tx, [row.edition_key for row in rows])
        assert {row.key for row in rows} == self.person.keys()
        for row in rows:
            assert row.attempts == self.counted[row.key], row
            assert row.relay == self.by.get(row.key), row
            if row.state is DeliveryState.ACCEPTED:
                assert self.accepted[row.key] and row.key in self.written
                assert row.relay in self.takers[row.key], row
            elif row.state not in OPEN:
                assert row.reason and row.key not in self.written
            [paper] = held[row.edition_key].content.papers
            has = paper.id in received.get(row.subscriber_key, ())
            assert has == (row.state not in GIVES_BACK), row
            assert row.state not in GIVES_BACK or not self.accepted[row.key], row

    def _everything_ends(self) -> None:
        """Whoever comes last finds an end for each letter."""
        self.dead += [worker.owner for worker in self.workers]
        self.now += 9 * HOUR
        with self.db.writing() as tx:
            deliveries.sweep(tx, self.now, None, self.dead)
        self.now += 99 * HOUR
        with self.db.writing() as tx:
            assert deliveries.claim(tx, "last", "last", self.now, self.now, 99) == []
        self.doubtful.update(self.person)
        self.every_letter_is_told_of_truly()
        assert not {self._row(key).state for key in self.person} & OPEN


TestDeliveries = Deliveries.TestCase
EXAMPLES = settings.default.max_examples // 20  # each takes as long as many plain ones
TestDeliveries.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(4))
def test_long_walks(seed):
    """Hypothesis begins with simple machines; these are long from the start."""
    chance, machine = random.Random(seed), Deliveries()
    for _ in range(300):
        what, n = chance.choice(ACTS), chance.randrange(100)
        machine.something_happens(what, n, chance.random() < 0.6, chance.random() < 0.6)
        machine.nothing_is_taken_twice_unless_it_was_unknown()
        machine.every_letter_is_told_of_truly()
    machine.teardown()
