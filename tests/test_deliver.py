"""A worker with a real database and a relay on loopback."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import timedelta

import pytest
from delivering import HOUR, NOW, letter, plain, readers, row, rows, to, work
from scripted_relay import CUT, HANG, ScriptedRelay
from sqlalchemy import select
from sqlalchemy.event import listen

from digest.deliver import Policy, Routes
from digest.deliver.recorder import Recorder
from digest.errors import Broken
from digest.model import (
    Cadence,
    Content,
    DeliveryState,
    Edition,
    EditionPaper,
    EditionState,
    EndReason,
    LetterKind,
    Listing,
    Window,
)
from digest.store import Database, deliveries, editions, papers, people
from digest.store.tables import deliveries as deliveries_table
from digest.transports.smtp import Timeouts

ADA = "ada@example.org"
MINUTE = timedelta(minutes=1)
ACCEPTED, QUEUED, UNKNOWN = DeliveryState.ACCEPTED, DeliveryState.QUEUED, DeliveryState.UNKNOWN


def sending(db, script=None, runs=1, relay_options=None, transport_options=None, **options):
    """Runs of a worker against a scripted relay: (counts of the last run, the relay)."""

    async def go():
        async with ScriptedRelay(script, **(relay_options or {})) as relay:
            for _ in range(runs):
                counts = await work(db, to(relay.port, **(transport_options or {})), **options)
            return counts, relay

    return asyncio.run(go())


def state(db, recipient=ADA):
    found = row(db, recipient)
    return found.state, found.reason, found.attempts


# ------------------------------------------------------------------ the good day


def test_everything_due_goes_out_once(db):
    readers(db, *(f"r{n}@example.org" for n in range(25)))
    counts, relay = sending(db, runs=2, policy=Policy(batch=7))
    assert (counts, len(relay.bodies)) == ({}, 25)
    assert {r.state for r in rows(db).values()} == {ACCEPTED}
    assert {(r.attempts, r.code, r.text) for r in rows(db).values()} == {(1, 250, "2.0.0 queued")}


def test_lanes_reuse_their_connections(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(25)))
    counts, relay = sending(sqlite)
    assert counts == {"accepted": 25}
    assert relay.connections <= 3


def test_a_letter_knows_its_edition_its_person_and_its_pinned_papers(sqlite):
    [ada] = readers(sqlite, ADA)
    entry = EditionPaper("arxiv:2601.00001", 1, "Flow", 0.5, ())
    window = Window(NOW, NOW + HOUR)
    made = Edition(
        ADA, window, EditionState.QUEUED, NOW, content=Content((entry,)), subscriber_key=ada.key
    )
    with sqlite.writing() as tx:
        papers.remember(tx, "a", [Listing(("arxiv:2601.00001",), "A title")], NOW)
        [key] = editions.write(tx, [editions.NewEdition(made, "<2@example.org>")])
    seen = {}

    def note(due):
        seen[due.edition.key] = due
        return plain(due)

    sending(sqlite, letters=note)
    due = seen[key]
    assert due.papers["arxiv:2601.00001", 1].title == "A title"
    assert (due.subscriber.email, due.edition.content.papers) == (ADA, (entry,))


def test_a_confirmation_knows_what_was_asked_for(sqlite):
    with sqlite.writing() as tx:
        bob = people.add(tx, "bob@example.org", {"budget": 5}, None, Cadence(), NOW, "web")
        deliveries.enqueue(tx, LetterKind.CONFIRMATION, bob.key, bob.email, "<c@x>", NOW)
    seen = []

    def note(due):
        seen.append((due.document, due.edition))
        return plain(due)

    counts, _ = sending(sqlite, letters=note)
    assert (counts, seen) == ({"accepted": 1}, [({"budget": 5}, None)])


def test_progress_is_told_after_each_commit(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(9)))
    heard = []
    sending(sqlite, on_progress=lambda counts: heard.append(counts["accepted"]))
    assert heard == sorted(heard)
    assert heard[-1] == 9


def test_two_workers_share_the_work_and_double_nothing(db):
    readers(db, *(f"r{n}@example.org" for n in range(60)))

    async def go():
        async with ScriptedRelay() as relay:
            both = [work(db, to(relay.port), policy=Policy(batch=5)) for _ in range(2)]
            return await asyncio.gather(*both), relay

    counts, relay = asyncio.run(go())
    assert [count["accepted"] > 0 for count in counts] == [True, True]
    assert sum(count["accepted"] for count in counts) == 60
    assert len(relay.bodies) == len(set(relay.bodies)) == 60


# ------------------------------------------------------------------ one bad letter


def test_a_letter_that_cannot_be_rendered_fails_alone_and_is_named(sqlite):
    readers(sqlite, ADA, "bad@example.org", "cy@example.org")
    counts, relay = sending(sqlite)
    assert (counts, len(relay.bodies)) == ({"accepted": 2, "failed": 1}, 2)
    assert state(sqlite, "bad@example.org") == (DeliveryState.FAILED, "render", 0)
    assert "no template can do this" in row(sqlite, "bad@example.org").text


def test_an_address_that_smtp_cannot_carry_fails_alone(sqlite):
    readers(sqlite, ADA, "eve\r\nDATA@example.org")
    counts, _ = sending(sqlite, letters=lambda due: letter(due.delivery.recipient))
    assert counts == {"accepted": 1, "failed": 1}
    assert state(sqlite, "eve\r\nDATA@example.org")[:2] == (DeliveryState.FAILED, "bad_address")


def test_a_transport_that_raises_costs_only_its_letter(sqlite):
    readers(sqlite, ADA, "bug@example.org")

    def faulty(lane):
        send = lane.send

        async def sometimes(one, before_body):
            if one.recipient.startswith("bug"):
                raise KeyError("a bug of a plug-in")
            return await send(one, before_body)

        lane.send = sometimes
        return lane

    async def go():
        async with ScriptedRelay() as relay:
            transport = to(relay.port)
            lane = transport.lane
            transport.lane = lambda: faulty(lane())
            return await work(sqlite, transport)

    assert asyncio.run(go()) == {"accepted": 1, "queued": 1}
    assert state(sqlite, "bug@example.org") == (QUEUED, "cut", 0)


# ------------------------------------------------------------------ consent at the last moment


@pytest.mark.parametrize(
    ("leave", "expected"),
    [
        (
            lambda tx, key: people.end(tx, key, EndReason.UNSUBSCRIBED),
            (DeliveryState.CANCELLED, "unsubscribed"),
        ),
        (lambda tx, key: people.erase(tx, key), (DeliveryState.CANCELLED, "erased")),
        (
            lambda tx, key: people.pause(tx, key, NOW + 48 * HOUR, NOW + 48 * HOUR),
            (DeliveryState.CANCELLED, "paused"),
        ),
        (
            lambda tx, key: people.suppress(tx, ADA, "complaint", NOW),
            (DeliveryState.SUPPRESSED, "complaint"),
        ),
    ],
)
def test_who_leaves_before_the_body_is_on_the_wire_gets_nothing(sqlite, leave, expected):
    [ada] = readers(sqlite, ADA)

    async def leave_at_354() -> str:
        with sqlite.writing() as tx:
            leave(tx, ada.key)
        return ""

    _, relay = sending(sqlite, {"DATA": leave_at_354})
    [only] = rows(sqlite).values()
    assert (relay.bodies, relay.tries["DATA"]) == ([], 1)
    assert (only.state, only.reason) == expected


def test_who_leaves_while_the_body_is_on_the_wire_has_it(sqlite):
    [ada] = readers(sqlite, ADA)

    async def leave_at_the_dot() -> str:
        with sqlite.writing() as tx:
            people.end(tx, ada.key, EndReason.UNSUBSCRIBED)
        return ""

    sending(sqlite, {"dot": leave_at_the_dot})
    assert state(sqlite) == (ACCEPTED, None, 1)


# ------------------------------------------------------------------ letters that wait


def test_a_deferred_letter_waits_for_the_next_call(sqlite):
    readers(sqlite, ADA)
    script = {"RCPT": ["450 4.2.0 later"]}
    counts, _ = sending(sqlite, script, runs=2)
    assert (counts, state(sqlite)) == ({}, (QUEUED, "deferred", 1))
    assert row(sqlite, ADA).not_before == NOW + 30 * timedelta(seconds=1)
    assert sending(sqlite, now=NOW + MINUTE)[0] == {"accepted": 1}


def test_a_letter_cut_before_its_body_goes_again_at_once(sqlite):
    readers(sqlite, ADA)
    counts, relay = sending(sqlite, {"RCPT": [CUT]})
    assert (counts, len(relay.bodies), state(sqlite)) == (
        {"accepted": 1},
        1,
        (ACCEPTED, None, 1),
    )


def test_a_letter_that_is_always_cut_holds_up_nobody(sqlite):
    readers(sqlite, ADA)
    counts, relay = sending(sqlite, {"RCPT": CUT})
    assert (counts, relay.tries["RCPT"], state(sqlite)) == ({"queued": 1}, 2, (QUEUED, "cut", 0))


def test_a_letter_whose_time_is_over_expires(sqlite):
    readers(sqlite, ADA)
    sending(sqlite, {"RCPT": "450 4.2.0 later"}, now=NOW + 24 * HOUR - MINUTE / 3)
    assert state(sqlite)[0] is DeliveryState.EXPIRED


def test_an_unknown_letter_goes_once_more_with_the_same_bytes(sqlite):
    readers(sqlite, ADA)
    _, relay = sending(sqlite, {"dot": [CUT]})
    assert state(sqlite)[:2] == (UNKNOWN, "no_reply")
    assert sending(sqlite, now=NOW + 14 * MINUTE)[0] == {}
    counts, again = sending(sqlite, now=NOW + 15 * MINUTE)
    assert (counts, again.bodies) == ({"accepted": 1}, relay.bodies)


def test_a_letter_that_is_unknown_twice_is_left_to_people(sqlite):
    readers(sqlite, ADA)
    sending(sqlite, {"dot": CUT})
    sending(sqlite, {"dot": CUT}, now=NOW + HOUR)
    assert sending(sqlite, now=NOW + 9 * HOUR)[0] == {}
    assert state(sqlite)[:2] == (UNKNOWN, "no_reply")


def with_a_paper(db):
    """Ada's letter holds a paper: how many papers count as received, whenever it is asked."""
    entry = EditionPaper("arxiv:2601.00001", 1, "Flow", 0.5, ())
    window, content = Window(NOW - HOUR, NOW), Content((entry,))
    with db.writing() as tx:
        ada = people.add(tx, ADA, {}, None, Cadence(), NOW - HOUR, "test", confirmed_at=NOW - HOUR)
        made = Edition(ADA, window, EditionState.QUEUED, NOW, None, content, NOW + HOUR, 0, ada.key)
        papers.remember(tx, "a", [Listing(("arxiv:2601.00001",), "A title")], NOW)
        editions.write(tx, [editions.NewEdition(made, "<2@example.org>")])

    def received():
        with db.reading() as tx:
            return len(editions.received(tx, [ada.key]).get(ada.key, ()))

    return received


@pytest.mark.parametrize(
    ("script", "reason", "later"),
    [
        ({}, "too_late", 25 * HOUR),
        ({"RCPT": "550 5.1.1 nobody"}, "bad_address", 15 * MINUTE),
        ({"RCPT": "450 4.2.0 later"}, "deferred", HOUR - 2 * MINUTE),
    ],
)
def test_a_letter_that_was_unknown_stays_so_where_its_second_try_fails(
    sqlite, script, reason, later
):
    received = with_a_paper(sqlite)
    sending(sqlite, {"dot": CUT})
    sending(sqlite, script, now=NOW + later)
    assert (row(sqlite, ADA).state, row(sqlite, ADA).reason) == (UNKNOWN, reason)
    assert received() == 1
    assert sending(sqlite, now=NOW + 99 * HOUR)[0] == {}


def test_a_person_who_left_before_the_second_try_may_have_the_first(sqlite):
    received = with_a_paper(sqlite)
    sending(sqlite, {"dot": CUT})
    with sqlite.writing() as tx:
        people.end(tx, people.get(tx, ADA).key, EndReason.UNSUBSCRIBED)
    _, relay = sending(sqlite, now=NOW + HOUR / 2)
    assert (relay.bodies, state(sqlite)[:2]) == ([], (UNKNOWN, "unsubscribed"))
    assert received() == 1


def test_an_admin_can_send_an_unknown_letter_again_however_late_it_is(sqlite):
    with_a_paper(sqlite)
    sending(sqlite, {"dot": CUT})
    with sqlite.writing() as tx:
        deliveries.resolve(tx, [row(sqlite, ADA).key], QUEUED, NOW + 99 * HOUR)
    assert sending(sqlite, now=NOW + 99 * HOUR, policy=Policy(ambiguous="hold"))[0] == {
        "accepted": 1
    }


def test_an_unknown_letter_is_held_where_that_is_the_policy(sqlite):
    readers(sqlite, ADA)
    sending(sqlite, {"dot": [CUT]})
    hold = Policy(ambiguous="hold")
    assert sending(sqlite, now=NOW + 9 * HOUR, policy=hold)[0] == {}
    assert state(sqlite)[0] is UNKNOWN


# ------------------------------------------------------------------ the relay


def test_a_dead_relay_ends_the_run_and_costs_no_attempt(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(5)))

    async def go():
        async with ScriptedRelay() as relay:
            port = relay.port
        return await work(sqlite, to(port))

    assert asyncio.run(go()) == {"relay_down": 5}
    found = {(r.state, r.reason, r.attempts, r.not_before) for r in rows(sqlite).values()}
    assert found == {(QUEUED, "relay_down", 0, NOW)}
    assert sending(sqlite)[0] == {"accepted": 5}


def test_a_relay_that_comes_back_in_time_gets_everything(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(5)))
    script = {"connect": [CUT, "421 4.3.2 busy"]}
    counts, relay = sending(sqlite, script, transport_options={"lanes": 1})
    assert (counts, relay.connections) == ({"accepted": 5}, 3)


def test_wrong_credentials_are_told_as_such(sqlite, caplog):
    readers(sqlite, ADA)
    counts, _ = sending(
        sqlite,
        {"AUTH": "535 5.7.8 bad credentials"},
        relay_options={"offered": ("AUTH PLAIN",)},
        transport_options={"username": "ada", "password": "wrong"},
    )
    assert (counts, state(sqlite)) == ({"relay_refuses": 1}, (QUEUED, "relay_refuses", 0))
    assert "535 5.7.8 bad credentials" in caplog.text


def test_routes_that_are_kept_leave_a_dead_relay_alone(sqlite):
    readers(sqlite, ADA)
    policy = Policy(backoff_first=3600.0, relay_tries=1)

    async def go():
        async with ScriptedRelay({"connect": CUT}) as relay:
            kept = Routes.single(to(relay.port), lambda: 0.5, policy)
            return [await work(sqlite, kept) for _ in range(2)], relay.connections

    assert asyncio.run(go()) == ([{"relay_down": 1}, {"relay_down": 0}], 1)


def test_the_same_error_again_and_again_ends_the_run_before_all_letters_are_lost(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(40)))
    counts, _ = sending(sqlite, {"dot": "554 5.6.0 not like this"}, policy=Policy(equal_errors=8))
    assert counts["failed"] < 15
    assert counts["content"] == 40 - counts["failed"]


def test_a_relay_that_cuts_after_each_body_leaves_few_letters_unknown(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(40)))
    counts, _ = sending(sqlite, {"dot": CUT})
    assert counts["unknown"] <= 3 + 2  # what its lanes had in hand, and two that tried it alone
    assert counts["no_reply"] == 40 - counts["unknown"]


# ------------------------------------------------------------------ stopping


def test_a_stop_gives_back_at_once_what_was_not_started(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(20)))
    stop = threading.Event()

    async def stop_at_the_first_dot() -> str:
        stop.set()
        return ""

    counts, relay = sending(sqlite, {"dot": stop_at_the_first_dot}, stop=stop)
    assert counts["accepted"] == len(relay.bodies) <= 3
    assert counts["accepted"] + counts["stopped"] == 20
    assert {r.state for r in rows(sqlite).values()} == {ACCEPTED, QUEUED}
    assert sending(sqlite)[0] == {"accepted": counts["stopped"]}


def test_a_stop_waits_no_longer_than_its_grace_for_what_is_in_the_body(sqlite):
    readers(sqlite, ADA, "bob@example.org", "cy@example.org", "di@example.org")
    stop = asyncio.Event()

    async def stop_and_hang() -> str:
        stop.set()
        return HANG

    policy = Policy(grace=0.1)
    counts, _ = sending(
        sqlite,
        {"dot": [stop_and_hang], "RCPT": ["", HANG, HANG, HANG]},
        stop=stop,
        policy=policy,
        transport_options={"timeouts": Timeouts()},
    )
    assert counts == {"unknown": 1, "stopped": 3}


def test_a_run_that_is_stopped_before_it_begins_claims_nothing(sqlite):
    readers(sqlite, ADA)
    stop = threading.Event()
    stop.set()
    counts, relay = sending(sqlite, stop=stop)
    assert (relay.connections, state(sqlite)) == (0, (QUEUED, None, 0))
    assert counts == {"stopped": 0}


def test_a_cancelled_run_leaves_nothing_half_done(sqlite):
    readers(sqlite, ADA, "bob@example.org")

    async def go():
        async with ScriptedRelay({"dot": [HANG], "RCPT": ["", HANG]}) as relay:
            task = asyncio.create_task(work(sqlite, to(relay.port)))
            while not relay.bodies or relay.tries["RCPT"] < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(go())
    found = sorted(rows(sqlite).values(), key=lambda r: r.state)
    with sqlite.reading() as tx:
        tries = deliveries.attempts(tx, found[1].key)
    assert [r.state for r in found] == [QUEUED, UNKNOWN]
    assert [(one.outcome, one.relay) for one in tries] == [("unknown", "smtp")]


# ------------------------------------------------------------------ leases


def leased_by(db, owner, until, in_body=False):
    """Somebody else holds everything that is due."""
    with db.writing() as tx:
        held = deliveries.claim(tx, owner, "theirs", NOW, until, 100)
        if in_body:
            deliveries.mark_body(tx, [(r.key, "theirs") for r in held], NOW)
    return held


def test_what_a_living_worker_holds_is_not_touched(sqlite):
    readers(sqlite, ADA)
    leased_by(sqlite, "elsewhere/1/2/x", NOW + HOUR)
    assert sending(sqlite)[0] == {}


def test_what_a_dead_worker_held_goes_out_when_its_lease_is_over(sqlite):
    readers(sqlite, ADA)
    leased_by(sqlite, "elsewhere/1/2/x", NOW + HOUR)
    assert sending(sqlite, now=NOW + HOUR + MINUTE)[0] == {"accepted": 1}


def test_what_a_dead_worker_had_in_the_body_is_unknown(sqlite):
    readers(sqlite, ADA)
    leased_by(sqlite, "elsewhere/1/2/x", NOW + HOUR, in_body=True)
    assert sending(sqlite, now=NOW + HOUR + MINUTE)[0] == {}
    assert state(sqlite)[:2] == (UNKNOWN, "crashed")


def test_a_worker_that_woke_up_late_writes_nothing(sqlite):
    """Its lease was taken while it was between RCPT and DATA."""
    readers(sqlite, ADA)

    async def taken() -> str:
        with sqlite.writing() as tx:
            deliveries.sweep(tx, NOW + HOUR, None)
            deliveries.claim(tx, "another", "newer", NOW, NOW + HOUR, 10)
        return ""

    counts, relay = sending(sqlite, {"RCPT": taken}, now=lambda: NOW)
    assert (counts, relay.bodies) == ({}, [])
    assert row(sqlite, ADA).lease_token == "newer"


def lease_until(db):
    with db.reading() as tx:
        return tx.execute(select(deliveries_table.c.lease_until)).scalar_one()


def test_leases_are_renewed_while_letters_take_long(sqlite):
    readers(sqlite, ADA)
    lease, clock = timedelta(seconds=0.15), [NOW]

    async def slowly() -> str:
        first = lease_until(sqlite)
        clock[0] += lease / 2
        while lease_until(sqlite) == first:
            await asyncio.sleep(0.01)
        clock[0] = first + lease / 4
        with sqlite.writing() as tx:
            assert deliveries.sweep(tx, clock[0], None) == deliveries.Swept()
        return ""

    counts, _ = sending(sqlite, {"dot": slowly}, now=lambda: clock[0], policy=Policy(lease=lease))
    assert counts == {"accepted": 1}


# ------------------------------------------------------------------ the ground gives way


def broken_runs(path, script=None, prepare=lambda db: None):
    """A run on a database with little patience for locks: (what was raised, the relay)."""
    impatient = Database(f"sqlite:///{path}", busy=0.1)
    prepare(impatient)

    async def go():
        async with ScriptedRelay(script) as relay:
            with pytest.raises(Broken) as caught:
                await work(impatient, to(relay.port))
            return str(caught.value), relay

    try:
        return asyncio.run(go())
    finally:
        impatient.dispose()


def test_a_locked_database_is_named_and_nothing_goes_out(sqlite):
    readers(sqlite, ADA)
    with sqlite.writing():
        said, relay = broken_runs(sqlite.engine.url.database)
    assert "digest.db: database is locked" in said
    assert (relay.connections, state(sqlite)) == (0, (QUEUED, None, 0))


def test_a_read_only_database_is_named_and_nothing_goes_out(sqlite):
    readers(sqlite, ADA)

    def read_only(connection, _record):  # as for a file of somebody else; root may write to those
        connection.execute("PRAGMA query_only=ON")

    path = sqlite.engine.url.database
    said, relay = broken_runs(path, prepare=lambda db: listen(db.engine, "connect", read_only))
    assert "digest.db: attempt to write a readonly database" in said
    assert (relay.connections, state(sqlite)) == (0, (QUEUED, None, 0))


def test_a_database_that_locks_up_before_the_body_stops_the_body(sqlite):
    readers(sqlite, ADA)
    lock = sqlite3.connect(sqlite.engine.url.database, isolation_level=None)

    async def lock_up() -> str:
        lock.execute("BEGIN IMMEDIATE")
        return ""

    said, relay = broken_runs(sqlite.engine.url.database, {"DATA": lock_up})
    lock.close()
    assert "locked" in said
    assert (relay.bodies, state(sqlite)[0]) == ([], DeliveryState.LEASED)


def test_a_fault_of_ours_in_recording_ends_the_run_and_lets_no_body_go(sqlite, monkeypatch):
    readers(sqlite, ADA)

    def faulty(*given) -> None:
        raise ValueError("an odd value")

    monkeypatch.setattr(Recorder, "_commit", faulty)
    said, relay = broken_runs(sqlite.engine.url.database)
    assert said == "outcomes cannot be written: ValueError('an odd value')"
    assert relay.bodies == []


def test_an_outcome_that_could_not_be_written_is_tried_once_more(sqlite, monkeypatch):
    readers(sqlite, ADA)
    lock = sqlite3.connect(sqlite.engine.url.database, isolation_level=None)
    fail = Recorder._fail

    async def lock_up() -> str:
        lock.execute("BEGIN IMMEDIATE")
        return ""

    def fail_and_let_go(*given) -> None:
        fail(*given)
        lock.execute("ROLLBACK")

    monkeypatch.setattr(Recorder, "_fail", fail_and_let_go)
    said, _ = broken_runs(sqlite.engine.url.database, {"dot": lock_up})
    lock.close()
    assert "locked" in said
    assert state(sqlite)[0] is ACCEPTED


def test_an_outcome_that_could_not_be_written_at_all_is_unknown_later(sqlite):
    readers(sqlite, ADA)
    lock = sqlite3.connect(sqlite.engine.url.database, isolation_level=None)

    async def lock_up() -> str:
        lock.execute("BEGIN IMMEDIATE")
        return ""

    broken_runs(sqlite.engine.url.database, {"dot": lock_up})
    lock.close()
    assert state(sqlite)[0] is DeliveryState.SENDING
    sending(sqlite, now=NOW + HOUR)
    assert state(sqlite)[0] is UNKNOWN
