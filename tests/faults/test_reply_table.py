"""The reply table walked row by row against a counting server with scripted recipients."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from delivering import HOUR, NOW, QUICK, readers, row, rows, to, work

from digest.model import DeliveryState
from digest.store import deliveries, people

MINUTE = timedelta(minutes=1)
ACCEPTED, EXPIRED, FAILED = DeliveryState.ACCEPTED, DeliveryState.EXPIRED, DeliveryState.FAILED
QUEUED, UNKNOWN = DeliveryState.QUEUED, DeliveryState.UNKNOWN
POLICY = QUICK

ROWS = {  # local part: state, reason, counted attempts, code, minutes until the next try
    "fine": (ACCEPTED, None, 1, 250, None),
    "rcpt-550": (FAILED, "bad_address", 1, 550, None),
    "rcpt-450": (QUEUED, "deferred", 1, 450, 0.5),
    "data-354-451": (QUEUED, "deferred", 1, 451, 0.5),
    "data-354-554": (FAILED, "refused", 1, 554, None),
    "dot-451": (QUEUED, "deferred", 1, 451, 0.5),
    "dot-552": (FAILED, "content", 1, 552, None),
    "drop-rcpt": (QUEUED, "cut", 0, None, 0.5),
    "drop-354": (QUEUED, "cut", 0, None, 0.5),
    "drop-body": (UNKNOWN, "no_reply", 1, None, None),
    "drop-dot": (UNKNOWN, "no_reply", 1, None, None),
    "shut-421": (QUEUED, "relay_busy", 0, 421, 0.5),
    "policy": (FAILED, "policy", 1, 550, None),
    "full": (QUEUED, "deferred", 1, 452, 0.5),
}


@pytest.fixture
def sink(shared):
    from sink import Sink

    return Sink


def against(sink, db, *times, policy=POLICY, options=None, **more):
    """Runs at these times against one server: (the last counts, the server)."""

    async def go():
        async with sink(**(options or {})) as server:
            for now in times:
                counts = await work(db, to(server.port), now=now, policy=policy, **more)
            return counts, server

    return asyncio.run(go())


def test_every_row_of_the_table(sqlite, sink):
    readers(sqlite, *(f"{word}+x@example.org" for word in ROWS))
    against(sink, sqlite, NOW)
    found = {
        recipient.split("+")[0]: (
            r.state,
            r.reason,
            r.attempts,
            r.code,
            (r.not_before - NOW) / MINUTE if r.state is QUEUED else None,
        )
        for recipient, r in rows(sqlite).items()
    }
    assert found == ROWS


def test_only_addresses_that_do_not_exist_are_suppressed(sqlite, sink):
    readers(sqlite, *(f"{word}+x@example.org" for word in ROWS))
    against(sink, sqlite, NOW)
    with sqlite.reading() as tx:
        assert [found.address for found in people.suppressions(tx)] == ["rcpt-550+x@example.org"]


def test_every_try_is_remembered(sqlite, sink):
    readers(sqlite, "rcpt-450-2@example.org")
    against(sink, sqlite, NOW, NOW + HOUR, NOW + 2 * HOUR)
    with sqlite.reading() as tx:
        tries = deliveries.attempts(tx, row(sqlite, "rcpt-450-2@example.org").key)
    assert [(t.outcome, t.phase, t.code) for t in tries] == [
        ("deferred", "rcpt", 450),
        ("deferred", "rcpt", 450),
        ("accepted", "dot", 250),
    ]


def test_a_mailbox_that_stays_full_expires_before_the_next_edition(sqlite, sink):
    readers(sqlite, "full@example.org")
    hours = [NOW + n * HOUR / 2 for n in range(52)]
    against(sink, sqlite, *hours, jitter=lambda: 0.99)
    found = row(sqlite, "full@example.org")
    assert (found.state, found.code, found.attempts > 8) == (EXPIRED, 452, True)


def test_a_cut_after_the_dot_is_sent_once_more_with_the_same_bytes(sqlite, sink):
    readers(sqlite, "drop-dot-1@example.org")
    _, server = against(sink, sqlite, NOW, NOW + 20 * MINUTE, NOW + 40 * MINUTE)
    assert [letter["replied"] for letter in server.accepted] == [False, True]
    assert len({(r["sha256"], r["message_id"]) for r in server.accepted}) == 1
    assert row(sqlite, "drop-dot-1@example.org").state is ACCEPTED


def test_a_provider_that_closes_after_a_few_letters_costs_no_letter(sqlite, sink):
    readers(sqlite, *(f"r{n}@example.org" for n in range(60)))
    counts, server = against(sink, sqlite, NOW, options={"close_after": 4})
    assert counts == {"accepted": 60}
    assert len({letter["message_id"] for letter in server.accepted}) == len(server.accepted) == 60


def test_a_relay_that_is_only_busy_ends_the_run_and_counts_nothing(sqlite, sink):
    readers(sqlite, *(f"r{n}@example.org" for n in range(5)))
    counts, _ = against(sink, sqlite, NOW, options={"busy": True})
    assert counts == {"relay_busy": 5}
    assert {(r.state, r.reason, r.attempts) for r in rows(sqlite).values()} == {
        (QUEUED, "relay_busy", 0)
    }


def test_the_answer_of_a_slow_relay_is_waited_for(sqlite, sink):
    from digest.transports.smtp import Timeouts

    readers(sqlite, "slow-dot@example.org", "fine@example.org")

    async def go():
        async with sink() as server:
            transport = to(server.port, timeouts=Timeouts(dot=0.3))
            return await work(sqlite, transport)

    assert asyncio.run(go()) == {"accepted": 1, "unknown": 1}
