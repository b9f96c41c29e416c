"""Whether all letters of a pass have ended, and how: never sooner, and never rosier, than it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from delivering import HOUR, NOW, owe, readers, to, work
from hypothesis import given
from hypothesis import strategies as st
from scripted_relay import ScriptedRelay

from digest.model import Content, DeliveryState, Edition, EditionState, SkipReason, Window
from digest.store import deliveries, editions
from digest.store.passes import Delivered, Pass, delivered, passes, together

OPEN, DONE, ERRORS = Delivered.OPEN, Delivered.DONE, Delivered.DONE_WITH_ERRORS
STANDS = {
    DeliveryState.QUEUED: OPEN,
    DeliveryState.LEASED: OPEN,
    DeliveryState.SENDING: OPEN,
    DeliveryState.ACCEPTED: DONE,
    DeliveryState.COMPLAINED: DONE,
    DeliveryState.SUPPRESSED: ERRORS,
    DeliveryState.CANCELLED: ERRORS,
    DeliveryState.EXPIRED: ERRORS,
    DeliveryState.FAILED: ERRORS,
    DeliveryState.BOUNCED: ERRORS,
}


@pytest.mark.parametrize("state", [s for s in DeliveryState if s is not DeliveryState.UNKNOWN])
def test_every_state_of_a_letter_has_its_word(state):
    assert STANDS[state] == delivered(state, 0) == delivered(state, 1)


def test_a_letter_nobody_can_know_of_is_open_until_it_has_gone_once_more():
    assert [delivered(DeliveryState.UNKNOWN, resends) for resends in (0, 1)] == [OPEN, ERRORS]


@given(st.lists(st.sampled_from(Delivered)))
def test_many_are_done_only_where_each_is(found):
    expected = DONE if set(found) <= {DONE} else OPEN if OPEN in found else ERRORS
    assert expected == together(set(found))


def told(db) -> list[Pass]:
    with db.reading() as tx:
        return passes(tx)


def settled(db, *states) -> None:
    """The letters are in these states, in order."""
    with db.writing() as tx:
        for key, state in enumerate(states, 1):
            tx.exec_driver_sql(f"UPDATE deliveries SET state = '{state}' WHERE key = {key}")


def test_each_pass_is_counted_alone_newest_first(db):
    people = readers(db, "ada@example.org", "bob@example.org", "eve@example.org")
    with db.writing() as tx:
        owe(tx, people[:2], NOW + HOUR)
        skipped = Edition(
            people[2].email,
            Window(NOW, NOW + HOUR),
            EditionState.SKIPPED,
            NOW + HOUR,
            SkipReason.NO_NEW_PAPERS,
            Content(),
            subscriber_key=people[2].key,
        )
        editions.write(tx, [editions.NewEdition(skipped)])
    settled(db, "accepted", "accepted", "failed", "accepted", "queued")
    assert told(db) == [
        Pass(NOW + HOUR, 3, 1, OPEN, {"accepted": 1, "queued": 1}),
        Pass(NOW, 3, 0, ERRORS, {"accepted": 2, "failed": 1}),
    ]
    with db.reading() as tx:
        assert [one.made_at for one in passes(tx, 1)] == [NOW + HOUR]


def test_a_pass_that_was_done_is_open_again_after_a_retry(db):
    readers(db, "ada@example.org", "bob@example.org")
    settled(db, "accepted", "failed")
    assert [one.delivered for one in told(db)] == [ERRORS]
    with db.writing() as tx:
        deliveries.retry(tx, [2], NOW)
    assert [one.delivered for one in told(db)] == [OPEN]


def test_a_pass_is_done_when_the_last_letter_is_and_no_sooner(sqlite):
    """Asked after each commit of a run over a relay that refuses one and puts one off."""
    readers(sqlite, *(f"r{n}@example.org" for n in range(6)))
    heard = []

    def ask(counts):
        [one] = told(sqlite)
        open_ = sum(n for state, n in one.letters.items() if STANDS[DeliveryState(state)] is OPEN)
        heard.append((open_ > 0, one.delivered))

    async def go():
        script = {"RCPT": ["550 5.1.1 nobody", "450 4.2.0 later"]}
        async with ScriptedRelay(script) as relay:
            await work(sqlite, to(relay.port), on_progress=ask)
            await work(sqlite, to(relay.port), now=NOW + timedelta(hours=1), on_progress=ask)

    asyncio.run(go())
    assert heard[-1] == (False, ERRORS)
    assert all((word is OPEN) == is_open for is_open, word in heard)
