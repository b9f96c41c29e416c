"""A worker that looks ahead: letters written while a relay thinks, and envelopes that go out with
the body of the letter before."""

from __future__ import annotations

import asyncio
import threading

import pytest
from delivering import HOUR, NOW, QUICK, plain, readers, rows, to, work
from scripted_relay import CUT, ScriptedRelay

from digest.deliver import Due, Limit, Policy, RelayState, Route, Routes
from digest.deliver.backlog import Backlog
from digest.deliver.domains import Domains
from digest.deliver.hand import Hand
from digest.model import Delivery, DeliveryState, EndReason, LetterKind, Outcome, OutcomeKind, Phase
from digest.store import people

LETTERS = {"pipelining": "letters"}
ACCEPTED, QUEUED = DeliveryState.ACCEPTED, DeliveryState.QUEUED


class Watching(ScriptedRelay):
    """Counts the dots behind which the next envelope has come."""

    behind = 0

    async def _act(self, step, writer):
        if step == "dot":
            await asyncio.sleep(0.003)
            self.behind += self.reader._buffer.endswith(b"DATA\r\n")
        await super()._act(step, writer)

    async def _converse(self, reader, writer):
        self.reader = reader
        await super()._converse(reader, writer)


def sending(db, script=None, lanes=1, routes=None, relay=Watching, **options):
    """One run of a worker with one lane: (counts, the relay)."""

    async def go():
        async with relay(script) as server:
            way = routes(server.port) if routes else to(server.port, lanes=lanes, **LETTERS)
            return await work(db, way, **options), server

    return asyncio.run(go())


def states(db):
    return {name.partition("@")[0]: row.state for name, row in rows(db).items()}


def test_a_lane_sends_each_envelope_but_the_first_behind_a_body(db):
    readers(db, *(f"r{n}@example.org" for n in range(12)))
    counts, relay = sending(db)
    assert (counts, relay.behind, len(set(relay.bodies))) == ({"accepted": 12}, 11, 12)
    assert {(r.attempts, r.code) for r in rows(db).values()} == {(1, 250)}


def test_a_letter_is_left_to_a_lane_that_is_free(sqlite):
    readers(sqlite, *(f"r{n}@site{n}.example" for n in range(3)))
    _, relay = sending(sqlite, lanes=3)
    assert (relay.connections, relay.behind) == (3, 0)


@pytest.mark.parametrize(
    ("leave", "expected"),
    [
        (lambda tx, key: people.end(tx, key, EndReason.UNSUBSCRIBED), DeliveryState.CANCELLED),
        (lambda tx, key: people.pause(tx, key, NOW + HOUR, NOW + HOUR), DeliveryState.CANCELLED),
        (
            lambda tx, key: people.suppress(tx, "r3@example.org", "complaint", NOW),
            DeliveryState.SUPPRESSED,
        ),
    ],
    ids=["unsubscribe", "pause", "suppress"],
)
def test_who_leaves_while_their_envelope_is_out_gets_no_body(sqlite, leave, expected):
    """Within the body of the letter before: the envelope of r3's came with it."""
    everybody = readers(sqlite, *(f"r{n}@example.org" for n in range(6)))
    seen = []

    class Leaving(Watching):
        async def _act(self, step, writer):
            await super()._act(step, writer)
            if step == "dot" and len(self.bodies) == 3 and not seen:
                seen.append(self.behind)
                with sqlite.writing() as tx:
                    leave(tx, everybody[3].key)

    _, relay = sending(sqlite, relay=Leaving)
    assert seen == [3]
    assert [b"To: r3@" in body for body in relay.bodies] == [False] * 5
    assert states(sqlite) == {f"r{n}": expected if n == 3 else ACCEPTED for n in range(6)}


def test_a_letter_that_cannot_be_written_is_passed_over(sqlite):
    readers(sqlite, "ada@example.org", "bad@example.org", "bad2@example.org", "cy@example.org")
    domains = []

    def routes(port):
        domains.append(Routes.single(to(port, lanes=1, **LETTERS), lambda: 0.5, QUICK))
        return domains[0]

    counts, _ = sending(sqlite, routes=routes)
    assert counts == {"accepted": 2, "failed": 2}
    assert {state.active for state in domains[0].domains.known.values()} <= {0}


def test_a_stop_gives_back_the_letter_whose_envelope_is_out(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(6)))
    stop, kept = threading.Event(), []

    def routes(port):
        kept.append(Routes.single(to(port, lanes=1, **LETTERS), lambda: 0.5, QUICK))
        return kept[0]

    async def stop_now() -> str:
        stop.set()
        return ""

    counts, relay = sending(sqlite, {"dot": ["", stop_now]}, routes=routes, stop=stop)
    assert (counts, relay.behind, len(relay.bodies)) == ({"accepted": 2, "stopped": 4}, 2, 2)
    found = rows(sqlite)["r2@example.org"]
    assert (found.state, found.attempts, found.lease_token) == (QUEUED, 0, None)
    assert {state.active for state in kept[0].domains.known.values()} <= {0}


def test_a_lane_that_is_cut_in_a_body_leaves_no_turn_of_a_domain_behind(sqlite):
    readers(sqlite, *(f"r{n}@site{n}.example" for n in range(6)))
    stop, kept = threading.Event(), []

    def routes(port):
        slow = Policy(grace=0.05)
        kept.append(Routes.single(to(port, lanes=1, **LETTERS), lambda: 0.5, slow))
        return kept[0]

    class Hanging(Watching):
        async def _act(self, step, writer):
            if step == "dot" and len(self.bodies) == 3:
                stop.set()
                await asyncio.sleep(60)
            await super()._act(step, writer)

    counts, _ = sending(sqlite, relay=Hanging, routes=routes, stop=stop)
    assert counts == {"accepted": 2, "unknown": 1, "stopped": 3}
    assert {state.active for state in kept[0].domains.known.values()} <= {0}


def test_a_body_of_which_nobody_can_know_costs_the_letter_behind_it_nothing(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(6)))
    counts, relay = sending(sqlite, {"dot": ["", "", CUT]})
    assert counts == {"accepted": 5, "unknown": 1}
    assert (len(relay.bodies), len(set(relay.bodies))) == (6, 6)


def test_the_outcome_of_a_letter_is_written_with_the_mark_of_the_one_behind_it(sqlite):
    """So at most one letter a connection can be unknown after a crash, as without it."""
    readers(sqlite, *(f"r{n}@example.org" for n in range(8)))
    open_bodies = []

    class Looking(Watching):
        async def _act(self, step, writer):
            if step == "dot":
                at = [r.state for r in rows(sqlite).values()]
                open_bodies.append(at.count(DeliveryState.SENDING))
            await super()._act(step, writer)

    sending(sqlite, relay=Looking)
    assert open_bodies == [1] * 8


# ------------------------------------------------------------------ written while a relay thinks


def drafting(db, script=None, lanes=1, **options):
    """One run with a relay that is given one letter at a time: (counts, the relay, the letters
    written so far at each final dot)."""
    written, at_dots = [], []

    def note(due):
        written.append(due.delivery.recipient)
        return plain(due)

    class Noting(Watching):
        async def _act(self, step, writer):
            if step == "dot":
                await asyncio.sleep(0.003)
                at_dots.append(len(written))
            await super()._act(step, writer)

    async def go():
        async with Noting(script) as server:
            given = {"letters": note} | options
            return await work(db, to(server.port, lanes=lanes), **given), server

    return *asyncio.run(go()), at_dots


def test_the_next_letter_is_written_while_the_relay_thinks_about_a_body(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(5)))
    counts, relay, at_dots = drafting(sqlite)
    assert (counts, relay.behind, at_dots) == ({"accepted": 5}, 0, [2, 3, 4, 5, 5])


def test_a_letter_that_was_written_early_waits_for_no_lane_in_particular(sqlite):
    """One body has no answer before all other letters have arrived by the other lane."""
    readers(sqlite, *(f"r{n}@site{n}.example" for n in range(8)))
    others = asyncio.Event()

    async def when_the_others_are_there() -> str:
        await asyncio.wait_for(others.wait(), 1.5)
        return ""

    async def note_it() -> str:
        others.set()
        return ""

    dots = [when_the_others_are_there, *[""] * 6, note_it]
    counts, _, _ = drafting(sqlite, {"dot": dots}, lanes=2)
    assert (counts, others.is_set()) == ({"accepted": 8}, True)


def test_a_letter_that_cannot_be_written_early_fails_once_in_its_turn(sqlite):
    readers(sqlite, "ada@example.org", "bad@example.org", "cy@example.org")
    tried = []

    def failing(due):
        tried.append(due.delivery.recipient)
        return plain(due)

    counts, _, _ = drafting(sqlite, letters=failing)
    assert counts == {"accepted": 2, "failed": 1}
    assert tried.count("bad@example.org") == 2


def test_there_are_never_more_early_letters_than_lanes(sqlite):
    """While a domain that may have one letter at a time thinks, its next ones are laid aside with
    what was written of them."""
    names = [f"r{n}@{'slow' if n % 2 == 0 else f'site{n}'}.example" for n in range(12)]
    readers(sqlite, *names)
    domains = Domains(2, lambda: 0.5, limits={"slow.example": Limit(lanes=1)})
    quick, drafts = asyncio.Event(), []

    class Thinking(Watching):
        async def _act(self, step, writer):
            if step == "dot" and b"@slow" in self.bodies[-1]:
                await asyncio.wait_for(quick.wait(), 1.5)
            elif step == "dot" and sum(b"@site" in body for body in self.bodies) == 6:
                quick.set()
            await super()._act(step, writer)

    def routes(port):
        made = Routes.single(to(port, lanes=2), lambda: 0.5, QUICK)
        made.domains = domains
        return made

    def look(self, due):
        drafts.append(len(self.drafts))
        return forget(self, due)

    forget = Hand.forget
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hand, "forget", look)
        counts, _ = sending(sqlite, routes=routes, relay=Thinking)
    assert (counts, max(drafts)) == ({"accepted": 12}, 2)


def test_an_early_letter_of_a_run_that_ends_is_given_back_as_any_other(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(5)))
    stop = threading.Event()

    async def stop_now() -> str:
        stop.set()
        return ""

    counts, _, at_dots = drafting(sqlite, {"dot": [stop_now]}, stop=stop)
    assert (counts, at_dots) == ({"accepted": 1, "stopped": 4}, [2])
    assert rows(sqlite)["r1@example.org"].state is QUEUED


# ------------------------------------------------------------------ relays and domains


def test_letters_keep_to_their_relays_shares_though_lanes_look_ahead(sqlite):
    readers(sqlite, *(f"r{n}@example.org" for n in range(40)))

    async def go():
        async with Watching() as east, Watching() as west:
            hops = [("east", east, 3), ("west", west, 1)]
            made = [
                Route(
                    name,
                    to(one.port, **LETTERS),
                    RelayState(4, lambda: 0.5, QUICK),
                    weight,
                )
                for name, one, weight in hops
            ]
            await work(sqlite, Routes(made, QUICK, 4))
            return len(east.bodies), len(west.bodies), east.behind + west.behind

    east, west, behind = asyncio.run(go())
    assert (east + west, behind > 20) == (40, True)
    assert 24 <= east <= 36


def state(**given) -> RelayState:
    return RelayState(4, lambda: 0.5, Policy(), **given)


def test_no_letter_looks_ahead_to_a_relay_that_is_in_doubt_or_has_its_pace():
    busy = Outcome(OutcomeKind.RETURNED, Phase.MAIL, 421, None, "busy")
    well, paced, doubtful = state(), state(per_minute=60), state()
    for one in (well, paced, doubtful):
        one.begin(0.0)
    doubtful.heard(busy, 0.0, 0)
    routes = [Route(str(n), to(1), one) for n, one in enumerate((well, paced, doubtful))]
    found = [Routes([route], Policy(), 4).again(route, 100.0) for route in routes]
    assert found == [True, False, False]


def test_a_relay_with_all_lanes_busy_may_have_the_letter_behind_one_of_its_own():
    full = state()
    for _ in range(4):
        full.begin(0.0)
    route = Route("r", to(1), full)
    assert Routes([route], Policy(), 4).again(route, 1.0)
    full.open = 2  # it said that we are too many
    assert not Routes([route], Policy(), 4).again(route, 1.0)
    assert full.active == 4


def test_a_letter_goes_the_way_of_the_one_before_only_where_no_other_relay_is_less_busy():
    """Else lanes would never come to a relay that is well again."""
    east, west = Route("east", to(1), state()), Route("west", to(1), state())
    both = Routes([east, west], Policy(), 4)
    for _ in range(2):
        east.state.begin(0.0)
    assert not both.again(east, 1.0)
    for _ in range(2):
        west.state.begin(0.0)
    assert both.again(east, 1.0)


def due(key: int, recipient: str) -> Due:
    leased = DeliveryState.LEASED
    made = Delivery(key, LetterKind.DIGEST, recipient, f"<{key}@x>", leased, NOW, 1)
    return Due(made, None)


def backlog(*recipients: str, **limits: Limit) -> tuple[Backlog, Domains]:
    domains = Domains(4, lambda: 0.5, limits={name + ".org": one for name, one in limits.items()})
    made = Backlog(domains, 100, lambda: 0.0)

    async def fill():
        for key, recipient in enumerate(recipients):
            await made.put(due(key, recipient))

    asyncio.run(fill())
    return made, domains


def test_a_domain_with_one_lane_may_have_its_next_letter_behind_its_own_alone():
    made, domains = backlog("a@one.org", "b@one.org", "c@one.org", one=Limit(lanes=1))
    name, _ = asyncio.run(made.take())
    assert made.after("else.org") is None
    following = made.after(name)
    assert following is not None
    assert (following[1].delivery.recipient, domains.known[name].active) == ("b@one.org", 1)
    made.done(name)
    assert asyncio.run(made.take())[1].delivery.recipient == "c@one.org"


def test_every_lane_of_one_domain_may_have_a_letter_behind_its_own():
    made, domains = backlog(*(f"r{n}@one.org" for n in range(4)))
    for _ in range(2):  # as many as it begins with
        asyncio.run(made.take())
    assert [made.after("one.org") is None for _ in range(3)] == [False, False, True]
    assert domains.known["one.org"].active == 2


def test_no_letter_waits_behind_one_of_a_slow_domain():
    made, domains = backlog("a@slow.org", "b@quick.org")
    name, _ = asyncio.run(made.take())
    domains.known[name].seconds = 60.0
    assert made.after(name) is None


def test_a_closed_backlog_gives_nothing_to_look_ahead_to():
    made, _ = backlog("a@x.org", "b@x.org")
    name, _ = asyncio.run(made.take())
    made.close()
    assert made.after(name) is None
