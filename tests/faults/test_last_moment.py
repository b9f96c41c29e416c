"""Two transactions at once on PostgreSQL: whoever leaves before the body's mark gets no letter."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from delivering import HOUR, NOW, owe, readers, rows
from sqlalchemy import text

from digest.model import DeliveryState, EndReason, Outcome, OutcomeKind, Phase, Settlement
from digest.store import Database, deliveries, people

ADA = "ada@example.org"
LEAVE = {
    "end": lambda tx, key: people.end(tx, key, EndReason.UNSUBSCRIBED),
    "pause": lambda tx, key: people.pause(tx, key, NOW + HOUR, NOW + HOUR),
    "erase": lambda tx, key: people.erase(tx, key),
    "suppress": lambda tx, key: people.suppress(tx, ADA, "complaint", NOW),
}


@pytest.fixture
def db(postgres_url):
    from postgres import fresh_database

    made = Database(fresh_database(postgres_url))
    yield made
    made.dispose()


pytestmark = pytest.mark.postgres


def leased(db, *emails):
    """People whose letters a worker holds: ({email: subscriber key}, the letters)."""
    found = readers(db, *emails)
    with db.writing() as tx:
        return {p.email: p.key for p in found}, deliveries.claim(
            tx, "me", "t", NOW, NOW + HOUR, 100
        )


def in_one(db, act) -> Future:
    """`act(tx)` in a transaction of another thread."""

    def go():
        with db.writing() as tx:
            return act(tx)

    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(go)
    finally:
        pool.shutdown(wait=False)


def until_it_waits(db, future) -> None:
    """Until somebody waits for a lock, or the other transaction is through."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    pause = threading.Event()
    for _ in range(500):
        with db.reading() as tx:
            if future.done() or tx.execute(waiting).scalar_one():
                return
        pause.wait(0.01)
    raise AssertionError("nobody waits and nobody is through")


@pytest.mark.parametrize("how", LEAVE)
def test_who_leaves_in_a_transaction_that_commits_first_gets_nothing(db, how):
    keys, [letter] = leased(db, ADA)
    with db.writing() as tx:
        LEAVE[how](tx, keys[ADA])
        mark = in_one(db, lambda tx: deliveries.mark_body(tx, [(letter.key, "t")], NOW))
        until_it_waits(db, mark)
    assert mark.result(10) == frozenset()


@pytest.mark.parametrize("how", LEAVE)
def test_who_leaves_while_the_body_is_being_marked_waits_for_the_mark(db, how):
    keys, [letter] = leased(db, ADA)
    with db.writing() as tx:
        went = deliveries.mark_body(tx, [(letter.key, "t")], NOW)
        leaving = in_one(db, lambda tx: LEAVE[how](tx, keys[ADA]))
        until_it_waits(db, leaving)
        early = leaving.done()
    leaving.result(10)
    assert (went, early) == ({letter.key}, False)
    assert {r.state for r in rows(db).values()} == {DeliveryState.SENDING}


def test_two_workers_with_letters_of_the_same_people_do_not_wait_for_each_other(db):
    """Each settles one person's letter and marks the other's, crosswise."""
    keys, letters = leased(db, ADA, "bob@example.org")
    with db.writing() as tx:
        owe(tx, [people.get(tx, email) for email in keys], NOW + HOUR)
        letters += deliveries.claim(tx, "other", "u", NOW + HOUR, NOW + 2 * HOUR, 100)
    a1, b1, a2, b2 = (letter.key for letter in letters)
    said = Outcome(OutcomeKind.ACCEPTED, Phase.DOT, 250, None, "ok")

    def crosswise(settles, marks, token):
        done = Settlement(settles, token, DeliveryState.ACCEPTED, said)
        return lambda tx: deliveries.record(tx, [done], [(marks, token)], NOW + HOUR)

    for _ in range(20):
        both = [in_one(db, crosswise(a1, b1, "t")), in_one(db, crosswise(b2, a2, "u"))]
        for future in both:
            future.result(10)
    with db.reading() as tx:
        states = [deliveries.get(tx, key).state for key in (a1, b1, a2, b2)]
    accepted, sending = DeliveryState.ACCEPTED, DeliveryState.SENDING
    assert states == [accepted, sending, sending, accepted]
