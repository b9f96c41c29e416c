"""Several relays: lanes by weight, a breaker for each, and never one letter at two of them."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from delivering import NOW, QUICK, SHORT, readers, row, rows, work
from hypothesis import given
from hypothesis import strategies as st
from scripted_relay import CUT, ScriptedRelay

from digest.deliver import Policy, RelayState, Route, Routes
from digest.model import DeliveryState, Outcome, OutcomeKind, Phase
from digest.store import deliveries
from digest.transports.smtp import Relay, SmtpTransport

ADA = "ada@example.org"
ACCEPTED = Outcome(OutcomeKind.ACCEPTED, Phase.DOT, 250, "2.0.0", "queued")
DOWN = Outcome(OutcomeKind.RETURNED, Phase.CONNECT, None, None, "refused")
OURS = Outcome(OutcomeKind.REFUSED, Phase.DOT, 554, "5.6.0", "malformed")
US = Outcome(OutcomeKind.REFUSED, Phase.RCPT, 550, "5.7.1", "not you")


class Nowhere:
    """A transport that is never asked."""

    name, lanes = "nowhere", 8

    def lane(self):
        raise AssertionError("no lane is wanted")


def fleet(lanes=8, policy=None, **weights) -> Routes:
    policy = policy or Policy()
    made = [
        Route(name, Nowhere(), RelayState(8, lambda: 0.5, policy), weight)
        for name, weight in weights.items()
    ]
    return Routes(made, policy, lanes)


def named(routes: Routes, name: str) -> Route:
    return next(route for route in routes.routes if route.name == name)


def start(routes: Routes, at=0.0) -> str:
    """A lane starts a letter by the relay that is chosen."""
    route = routes.choose(at)
    if route is None:
        return "-"
    route.state.begin(at)
    return route.name


def hear(routes: Routes, name: str, *outcomes, at=0.0) -> None:
    state = named(routes, name).state
    for outcome in outcomes:
        era = state.begin(at)
        state.left()
        state.heard(outcome, at, era)


# ------------------------------------------------------------------ which one


def test_lanes_are_spread_by_weight():
    assert Counter(start(fleet_) for fleet_ in [fleet(east=3, west=1)] for _ in range(8)) == {
        "east": 6,
        "west": 2,
    }


def test_letters_that_come_one_by_one_are_spread_by_weight_too():
    routes, took = fleet(east=3, west=1), Counter()
    for _ in range(100):
        name = start(routes)
        named(routes, name).state.left()
        took[name] += 1
    assert took == {"east": 75, "west": 25}


def test_no_relay_gets_more_lanes_than_it_may():
    routes = fleet(lanes=12, east=9, west=1)
    named(routes, "east").state.open = 3
    assert Counter(start(routes) for _ in range(8)) == {"east": 3, "west": 5}


def test_a_relay_of_weight_0_waits_until_all_others_are_unwell():
    routes = fleet(east=1, west=1, spare=0)
    assert {start(routes) for _ in range(4)} == {"east", "west"}
    hear(routes, "east", DOWN)
    assert {start(routes) for _ in range(4)} == {"west"}
    hear(routes, "west", DOWN)
    assert {start(routes) for _ in range(3)} == {"spare"}


def test_a_spare_relay_is_not_used_because_the_others_are_busy():
    routes = fleet(lanes=16, east=1, spare=0)
    assert [start(routes) for _ in range(9)] == ["east"] * 8 + ["-"]


def test_a_relay_in_trouble_is_tried_by_one_letter_while_others_do_the_work():
    routes = fleet(east=1, west=1)
    hear(routes, "east", DOWN)
    later = named(routes, "east").state.until
    assert Counter(start(routes, later) for _ in range(6)) == {"east": 1, "west": 5}


def test_the_run_goes_on_until_every_relay_has_been_given_up():
    routes = fleet(east=1, west=1)
    hear(routes, "east", DOWN, DOWN, DOWN)
    assert (routes.tripped, named(routes, "east").state.tripped) == ("", "relay_down")
    hear(routes, "west", DOWN, DOWN, DOWN)
    assert routes.tripped == "relay_down"
    assert routes.said == "east: relay_down, refused; west: relay_down, refused"


def test_a_relay_that_was_given_up_is_tried_again_in_the_same_run():
    routes = fleet(east=1, west=1)
    hear(routes, "east", DOWN, DOWN, DOWN)
    rest = named(routes, "east").state.until
    assert {start(routes, rest - 1) for _ in range(4)} == {"west"}
    assert "east" in {start(routes, rest) for _ in range(4)}
    hear(routes, "east", ACCEPTED, at=rest)
    assert named(routes, "east").well


def test_our_own_bad_letters_end_the_run_whatever_other_relays_there_are():
    routes = fleet(east=1, west=1, policy=Policy(equal_errors=3))
    hear(routes, "east", OURS, OURS, OURS)
    assert routes.tripped == "content"


def test_a_relay_that_refuses_us_leaves_the_others_their_letters():
    routes = fleet(east=1, west=1, policy=Policy(policy_refusals=3))
    hear(routes, "east", US, US, US)
    assert (routes.tripped, {start(routes) for _ in range(4)}) == ("", {"west"})


def test_what_happens_to_a_relay_is_told_once():
    routes, told = fleet(east=1, west=1), []
    for outcome in (DOWN, DOWN, DOWN, DOWN):
        hear(routes, "east", outcome)
        told.append(routes.news_of(named(routes, "east")))
    routes.choose(named(routes, "east").state.until)
    told.append(routes.news_of(named(routes, "east")))
    hear(routes, "east", ACCEPTED)
    told += [routes.news_of(named(routes, "east")) for _ in range(2)]
    assert [one for one in told if one] == ["is left alone, relay_down: refused", "is well again"]


@given(
    st.lists(
        st.tuples(st.sampled_from([ACCEPTED, DOWN, US, OURS]), st.integers(0, 400)), max_size=60
    ),
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
)
def test_whatever_happens_a_letter_goes_to_a_relay_that_may_have_it(outcomes, weights):
    routes, at = fleet(**{f"r{n}": weight for n, weight in enumerate(weights)}), 0.0
    for outcome, seconds in outcomes:
        at += seconds
        if routes.tripped:
            assert routes.revive(at) or routes.tripped
        elif (route := routes.choose(at)) is not None:
            assert not route.state.tripped
            assert route.state.wait(at) == 0.0
            hear(routes, route.name, outcome, at=at)
        else:
            assert 0.0 < routes.wait(at) <= 3600.0


# ------------------------------------------------------------------ whole runs


def ways(*relays: ScriptedRelay, lanes=3, weights=(1, 1, 1), policy=QUICK) -> Routes:
    """Relays a, b, c."""
    made = []
    for name, relay, weight in zip("abc", relays, weights, strict=False):
        hop = Relay("127.0.0.1", relay.port, "none", lanes=lanes, timeouts=SHORT, hello="test")
        state = RelayState(lanes, lambda: 0.5, policy)
        made.append(Route(name, SmtpTransport(hop), state, weight))
    return Routes(made, policy, lanes)


def two(sqlite, one=None, other=None, people=12, **options):
    """A run by two relays: (counts, letters of each)."""

    async def go():
        async with ScriptedRelay(one) as a, ScriptedRelay(other) as b:
            counts = await work(sqlite, ways(a, b, **options))
            return counts, len(a.bodies), len(b.bodies)

    readers(sqlite, *(f"r{n}@d{n}.example" for n in range(people)))
    return asyncio.run(go())


def by_relay(db) -> Counter[str | None]:
    return Counter(found.relay for found in rows(db).values())


def test_every_letter_names_the_relay_that_took_it(sqlite):
    counts, a, b = two(sqlite)
    assert (counts, a + b) == ({"accepted": 12}, 12)
    assert by_relay(sqlite) == {"a": a, "b": b}
    assert min(a, b) > 0


def test_letters_go_by_the_other_relay_where_one_is_down(sqlite):
    counts, a, b = two(sqlite, {"connect": CUT})
    assert (counts, a, b) == ({"accepted": 12}, 0, 12)


def test_letters_go_by_the_other_relay_where_one_is_busy_from_the_start(sqlite):
    counts, a, b = two(sqlite, {"connect": "421 4.3.2 busy"})
    assert (counts, a, b) == ({"accepted": 12}, 0, 12)


@pytest.mark.parametrize("full", ["452 4.3.1 disk full", "454 4.7.0 no"])
def test_a_full_relay_gets_one_letter_and_the_other_one_the_rest(sqlite, full):
    patient = Policy(backoff_first=3600.0, backoff_most=3600.0, grace=0.5)
    counts, a, b = two(sqlite, {"MAIL": full}, lanes=1, policy=patient)
    assert (counts, a, b) == ({"accepted": 11, "deferred": 1}, 0, 11)


def test_wrong_credentials_at_one_relay_cost_no_letter(sqlite):
    counts, a, b = two(sqlite, {"MAIL": "530 5.7.0 log in first"})
    assert (counts, a, b) == ({"accepted": 12}, 0, 12)


def test_a_letter_that_one_relay_may_have_is_not_given_to_the_other(sqlite):
    """Nobody can know: only the policy sends it again, after its delay."""
    counts, a, b = two(sqlite, {"dot": CUT}, people=1, weights=(1, 0))
    assert (counts, a, b) == ({"unknown": 1}, 1, 0)
    [found] = rows(sqlite).values()
    assert (found.state, found.relay) == (DeliveryState.UNKNOWN, "a")


def test_both_relays_that_tried_a_letter_are_named(sqlite):
    readers(sqlite, ADA)

    async def go():
        async with ScriptedRelay({"dot": CUT}) as a, ScriptedRelay() as b:
            routes = ways(a, b, weights=(1, 0))
            await work(sqlite, routes)
            named(routes, "a").state.until = float("inf")
            await work(sqlite, routes, now=NOW.replace(hour=12))
            return a.bodies == b.bodies

    assert asyncio.run(go())
    with sqlite.reading() as tx:
        tries = deliveries.attempts(tx, row(sqlite, ADA).key)
    assert [(t.relay, t.outcome) for t in tries] == [("a", "unknown"), ("b", "accepted")]


def test_the_log_names_the_relay_that_is_left_alone(sqlite, caplog):
    two(sqlite, {"connect": CUT}, people=300)
    assert "relay a: is left alone, relay_down" in caplog.text


def test_421_closes_connections_that_are_too_many_by_then(sqlite):
    readers(sqlite, *(f"r{n}@d{n}.example" for n in range(40)))

    async def go():
        async with ScriptedRelay({"RCPT": ["", "", "", "", "421 4.3.2 slow down"]}) as relay:
            routes = ways(relay, lanes=6)
            counts = await work(sqlite, routes)
            return counts, routes.routes[0].state.open, len(routes.routes[0].idle)

    counts, lanes, idle = asyncio.run(go())
    assert (counts, idle, lanes < 6) == ({"accepted": 40}, 0, True)
