"""Three counting servers, one of which dies in mid-run and comes back: nothing is lost, nothing is
taken by two of them, and what nobody can know is no more than the dead one had connections."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest
from commanding import Site
from delivering import HOUR, NOW, SHORT, Policy, readers, row, rows, work
from relays import relay

from digest.deliver import RelayState, Route, Routes
from digest.model import DeliveryState
from digest.store import deliveries
from digest.transports.smtp import Relay, SmtpTransport

LANES, PEOPLE = 6, 150
HOLD = Policy(ambiguous="hold", backoff_first=0.05, backoff_most=0.1, grace=0.5)


@pytest.fixture
def mortal(shared):
    """A Sink that can die, with every connection it has, and rise again at its old port."""
    from sink import Sink

    class Mortal(Sink):
        def __init__(self, **options):
            super().__init__(**options)
            self.writers, self.at = set(), {}

        async def _serve(self, reader, writer):
            self.writers.add(writer)
            await super()._serve(reader, writer)

        def _keep(self, *letter):
            super()._keep(*letter)
            if act := self.at.pop(len(self.accepted), None):
                act()

        def die(self):
            self._server.close()
            for writer in self.writers:
                writer.transport.abort()

        def rise(self):
            self.rising = asyncio.ensure_future(self.__aenter__())

    return Mortal


def ways(*sinks, weights=(1, 1, 1)) -> Routes:
    made = []
    for name, sink, weight in zip(("a", "b", "c"), sinks, weights, strict=False):
        hop = Relay("127.0.0.1", sink.port, "none", lanes=LANES, timeouts=SHORT, hello="test")
        state = RelayState(LANES, random.Random(1).random, HOLD)
        made.append(Route(name, SmtpTransport(hop), state, weight))
    return Routes(made, HOLD, LANES)


def taken(*sinks) -> Counter[str]:
    return Counter(letter["message_id"] for sink in sinks for letter in sink.accepted)


def test_one_of_three_dies_in_mid_run_and_comes_back(db, mortal):
    readers(db, *(f"r{n}@d{n % 9}.example" for n in range(PEOPLE)))

    async def go():
        slow = {"reply_delay": 0.004}  # the others are still busy when it has come back
        async with mortal() as a, mortal(**slow) as b, mortal(**slow) as c:
            a.at[10] = a.die  # in the middle of a letter: accepted, and never answered
            b.at[20] = a.rise
            counts = await work(db, ways(a, b, c))
            return counts, (a, b, c)

    counts, sinks = asyncio.run(go())
    found, had = rows(db), taken(*sinks)
    unknown = {r.message_id for r in found.values() if r.state is DeliveryState.UNKNOWN}
    states = {r.state for r in found.values()}
    assert counts["accepted"] + counts["unknown"] == PEOPLE
    assert states == {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}
    assert max(had.values()) == 1
    assert {r.message_id for r in found.values()} == had.keys() | unknown
    assert len(unknown) <= LANES
    assert {r.relay for r in found.values() if r.message_id in unknown} == {"a"}
    assert len(sinks[0].accepted) > 10  # it was given letters again


def test_each_letter_is_where_the_database_says(sqlite, mortal):
    readers(sqlite, *(f"r{n}@d{n % 9}.example" for n in range(60)))

    async def go():
        async with mortal() as a, mortal(close_after=3) as b, mortal(busy=True) as c:
            await work(sqlite, ways(a, b, c))
            return {"a": a.accepted, "b": b.accepted, "c": c.accepted}

    there = {row["rcpt"]: name for name, kept in asyncio.run(go()).items() for row in kept}
    assert there == {recipient: found.relay for recipient, found in rows(sqlite).items()}


def test_a_letter_of_which_nobody_can_know_goes_by_another_relay_only_when_its_time_has_come(
    sqlite, mortal
):
    readers(sqlite, "drop-dot-1@example.org")

    async def go():
        async with mortal() as a, mortal() as b:
            b.tries["drop-dot-1@example.org", "drop-dot"] = 1  # b behaves
            routes = ways(a, b, weights=(1, 0))
            routes.policy = Policy(ambiguous="resend", backoff_first=3600.0)
            routes.routes[0].state.policy = routes.policy
            seen = []
            for minutes in (0, 1, 14, 16):
                await work(sqlite, routes, now=NOW + minutes * HOUR / 60)
                seen.append((len(a.accepted), len(b.accepted)))
            return seen, a.accepted + b.accepted

    seen, letters = asyncio.run(go())
    assert seen == [(1, 0), (1, 0), (1, 0), (1, 1)]
    assert len({(one["message_id"], one["sha256"]) for one in letters}) == 1
    with sqlite.reading() as tx:
        tries = deliveries.attempts(tx, row(sqlite, "drop-dot-1@example.org").key)
    assert [(t.relay, t.outcome) for t in tries] == [("a", "unknown"), ("b", "accepted")]


# ------------------------------------------------------------------ as an operator meets it


def test_relays_of_the_configuration_are_checked_asked_used_and_named(tmp_path, shared):
    site = Site(tmp_path)
    with relay() as east, relay() as west:
        relays = [
            {"name": "east", "port": east.port, "weight": 3},
            {"name": "west", "port": west.port},
            {"name": "spare", "port": 1, "weight": 0},
        ]
        site.environment |= {
            "DIGEST_SMTP__MAILDIR": "",
            "DIGEST_SMTP__LANES": "4",
            "DIGEST_SMTP__RELAYS": json.dumps(relays),
        }
        people = "".join(f"r{n}@d{n}.example,\n" for n in range(12))
        site("subscriber", "import", site.write("people.csv", f"email,consent\n{people}"))
        checked, asked, done = site("check").out, site("doctor").out, site("deliver")
    listed = site("delivery", "list", "--json").json
    shown = site("delivery", "show", "1").out
    assert f"east: 127.0.0.1:{east.port} (none, weight 3)" in checked
    assert "spare: 127.0.0.1:1 (none, only while the others are not well)" in checked
    assert f"west, 127.0.0.1:{west.port}, answers without TLS" in asked
    assert "! relay          spare, 127.0.0.1:1: " in asked
    assert done.code == 0
    assert Counter(letter["relay"] for letter in listed) == {
        "east": len(east.accepted),
        "west": len(west.accepted),
    }
    assert len(east.accepted) > len(west.accepted) > 0
    assert listed[-1]["relay"] in shown
