"""Letters to one domain: how fast they may go, and that they hold up nobody else."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from delivering import HOUR, NOW, QUICK, SHORT, readers, rows, to, work
from hypothesis import given
from hypothesis import strategies as st
from scripted_relay import ScriptedRelay

from digest.deliver import Domains, Due, Limit, Policy, RelayState, Route, Routes, domain_of
from digest.deliver.backlog import Backlog
from digest.deliver.decide import put_off
from digest.deliver.domains import too_fast
from digest.model import Delivery, DeliveryState, LetterKind, Outcome, OutcomeKind, Phase
from digest.transports.smtp import Relay, SmtpTransport

ACCEPTED = Outcome(OutcomeKind.ACCEPTED, Phase.DOT, 250, "2.0.0", "queued")
TOO_FAST = Outcome(OutcomeKind.DEFERRED, Phase.RCPT, 450, "4.7.28", "4.7.28 unusual rate")


def domains(lanes=8, usual=None, **limits) -> Domains:
    named = {name.replace("_", "."): Limit(*limit) for name, limit in limits.items()}
    return Domains(lanes, lambda: 0.0, Policy(), usual or Limit(), named)


def one_after_another(known: Domains, name: str, outcome: Outcome, times=1, at=0.0, took=0.1):
    for _ in range(times):
        known.of(name).begin(at)
        known.heard(name, outcome, at, at + took)
        known.left(name, at + took)


# ------------------------------------------------------------------ one domain


def test_domains_of_one_provider_share_one_limit():
    named = [domain_of(f"ada@{name}") for name in ("GMAIL.com", "googlemail.com", "uni.example")]
    assert named == ["gmail.com", "gmail.com", "uni.example"]


def test_a_domain_begins_with_half_the_lanes_and_gets_all_while_letters_end_quickly():
    known = domains(lanes=8)
    known.of("a.org").active = 1  # somebody is at it all the time: it is not forgotten
    assert known.of("a.org").open == 4
    one_after_another(known, "a.org", ACCEPTED, times=9)
    assert known.of("a.org").open == 8


def test_a_domain_whose_letters_take_long_has_half_the_lanes():
    known = domains(lanes=8)
    known.of("a.org").active = 1
    one_after_another(known, "a.org", ACCEPTED, times=9)
    one_after_another(known, "a.org", ACCEPTED, times=9, took=30.0)
    assert known.of("a.org").open == 4
    one_after_another(known, "a.org", ACCEPTED, times=40)
    assert known.of("a.org").open == 8


def test_a_domain_that_says_too_fast_rests_longer_each_time_and_gets_fewer_lanes():
    known, at, seen = domains(lanes=8), 0.0, []
    for _ in range(7):
        one_after_another(known, "a.org", TOO_FAST, at=at)
        state = known.of("a.org")
        seen.append((state.until - at - 0.1, state.open))
        at = state.until
    rests, lanes = zip(*seen, strict=True)
    assert [round(rest) for rest in rests] == [15, 30, 60, 120, 240, 300, 300]
    assert lanes == (2, 1, 1, 1, 1, 1, 1)


def test_letters_that_were_on_their_way_when_it_said_so_say_nothing_new():
    known = domains(lanes=8)
    for _ in range(4):
        known.of("a.org").begin(0.0)
    for _ in range(4):
        known.heard("a.org", TOO_FAST, 0.0, 0.5)
    assert (known.of("a.org").failures, known.of("a.org").open) == (1, 2)


def test_an_accepted_letter_ends_a_rest_and_lanes_come_back_one_by_one():
    known = domains(lanes=8)
    one_after_another(known, "a.org", TOO_FAST)
    one_after_another(known, "a.org", ACCEPTED, at=100.0)
    assert (known.of("a.org").failures, known.of("a.org").open) == (0, 3)


def test_only_so_many_letters_a_minute_start_where_that_is_the_limit():
    known = domains(slow_org=(0, 30))
    state = known.of("slow.org")
    state.begin(5.0)
    assert (state.wait(5.0), state.wait(7.0)) == (2.0, 0.0)


def test_only_so_many_letters_are_on_their_way_where_that_is_the_limit():
    state = domains(a_org=(2, 0)).of("a.org")
    state.begin(0.0)
    assert state.wait(0.0) == 0.0
    state.begin(0.0)
    assert state.wait(0.0) == float("inf")


def test_a_domain_of_which_nothing_is_known_takes_no_memory():
    known = domains()
    for n in range(1000):
        one_after_another(known, f"d{n}.example", ACCEPTED)
    assert known.known == {}


@pytest.mark.parametrize(
    ("code", "text", "phase", "expected"),
    [
        (421, "4.7.28 Our system has detected an unusual rate", Phase.RCPT, True),
        (450, "4.7.1 Error: too much mail from 192.0.2.1", Phase.RCPT, True),
        (451, "4.7.650 The mail server has been temporarily rate limited", Phase.DOT, True),
        (421, "4.7.0 [TSS04] Messages temporarily deferred", Phase.RCPT, True),
        (452, "4.3.2 too many connections", Phase.RCPT, True),
        (450, "4.7.1 Greylisted, come back later", Phase.RCPT, False),
        (451, "4.7.1 Gray-listing in action", Phase.RCPT, False),
        (450, "4.2.1 This mailbox receives mail too quickly", Phase.RCPT, False),
        (452, "4.2.2 mailbox full", Phase.RCPT, False),
        (451, "4.3.0 later", Phase.DOT, False),
        (421, "4.7.0 too many connections", Phase.MAIL, False),  # before a domain was named
        (550, "5.7.1 too many complaints", Phase.RCPT, False),
    ],
)
def test_a_reply_that_speaks_of_the_domains_rate_is_known(code, text, phase, expected):
    kind = OutcomeKind.RETURNED if code == 421 else OutcomeKind.DEFERRED
    found = text.split()[0] if text[0].isdigit() else None
    assert too_fast(Outcome(kind, phase, code, found, text)) is expected


@given(
    st.lists(st.sampled_from([ACCEPTED, TOO_FAST]), max_size=60),
    st.integers(1, 9),
    st.integers(0, 9),
    st.floats(0.0, 700.0),
)
def test_whatever_is_said_a_domain_stays_in_bounds(outcomes, lanes, limit, took):
    known, at = domains(lanes=lanes, usual=Limit(limit)), 0.0
    for outcome in outcomes:
        one_after_another(known, "a.org", outcome, at=at, took=took)
        state = known.of("a.org")
        assert 1 <= state.open <= min(limit or lanes, lanes)
        assert (state.active, state.wait(at + took) <= 600.0) == (0, True)
        at += took


# ------------------------------------------------------------------ letters in hand


def due(key: int, domain: str) -> Due:
    recipient = f"r{key}@{domain}"
    leased = DeliveryState.LEASED
    return Due(Delivery(key, LetterKind.DIGEST, recipient, f"<{key}@x>", leased, NOW, key), None)


def handed_out(known: Domains, letters, most=100, at=0.0) -> list[int]:
    """What idle lanes get, while none of it ends."""

    async def go():
        backlog, found = Backlog(known, most, lambda: at), []
        for letter in letters:
            await backlog.put(letter)
        lanes = [asyncio.create_task(backlog.take()) for _ in range(known.lanes)]
        for _ in range(20):
            await asyncio.sleep(0)
        backlog.close()
        found = [await lane for lane in lanes]
        return [one[1].key for one in found if one]

    return asyncio.run(go())


def test_a_domain_at_its_limit_holds_up_nobody_behind_it():
    known = domains(lanes=4, a_org=(1, 0))
    letters = [*(due(n, "a.org") for n in range(6)), due(6, "b.org"), due(7, "c.org")]
    assert handed_out(known, letters) == [0, 6, 7]


def test_letters_of_one_domain_start_in_their_order():
    known = domains(lanes=1, a_org=(1, 0))

    async def go():
        backlog, order = Backlog(known, 100, lambda: 0.0), []
        for n in range(5):
            await backlog.put(due(n, "a.org"))
        for _ in range(5):
            name, letter = await backlog.take()
            order.append(letter.key)
            backlog.done(name)
        return order

    assert asyncio.run(go()) == [0, 1, 2, 3, 4]


def test_what_is_left_in_hand_at_the_end_counts_no_more():
    known = domains(lanes=4, a_org=(1, 0))
    handed_out(known, [due(n, "a.org") for n in range(6)])
    assert known.of("a.org").waiting == 0


def test_a_limited_domain_fills_a_quarter_of_the_hand_at_most():
    known = domains(lanes=4, a_org=(1, 0))

    async def go():
        backlog, taken, waits = Backlog(known, 100, lambda: 0.0), 0, []
        for n in range(200):
            letter = due(n, "a.org")
            if (wait := backlog.late(letter)) is None:
                await backlog.put(letter)
                taken += 1
            else:
                waits.append(wait)
        other = backlog.late(due(200, "b.org"))
        backlog.close()
        return taken, waits, other

    taken, waits, other = asyncio.run(go())
    assert (taken, other, waits == sorted(waits)) == (25, None, True)
    assert 80 < waits[-1] < 120  # too early rather than too late: half of 200 times 1 s


def test_a_healthy_domain_is_never_put_off():
    known = domains(lanes=4)

    async def go():
        backlog = Backlog(known, 1000, lambda: 0.0)
        waits = set()
        for n in range(500):
            waits.add(backlog.late(due(n, "a.org")))
            await backlog.put(due(n, "a.org"))
        return waits

    assert asyncio.run(go()) == {None}


def test_letters_of_a_domain_at_rest_leave_the_hand():
    known = domains(lanes=4)
    at = [0.0]

    async def go():
        backlog = Backlog(known, 100, lambda: at[0])
        for n in range(30):
            await backlog.put(due(n, "a.org"))
        for _ in range(8):  # it says "too fast" whenever it is asked: rests of up to minutes
            name, _ = await backlog.take()
            known.heard(name, TOO_FAST, at[0], at[0])
            backlog.done(name)
            at[0] = known.of(name).until
        known.of(name).until += 300.0
        idle = asyncio.create_task(backlog.take())
        await asyncio.sleep(0)
        gone = len(backlog.shed())
        backlog.close()
        return gone, await idle, known.of(name).waiting

    assert asyncio.run(go()) == (22, None, 0)


def test_a_letter_is_never_put_off_until_it_expires():
    letter = due(1, "a.org").delivery
    soon = put_off(letter, NOW + 71 * HOUR, timedelta(hours=5), Policy())
    assert soon == NOW + 72 * HOUR - Policy().last_try


# ------------------------------------------------------------------ a whole run


def limited(port: int, lanes=4, **limits) -> Routes:
    way = SmtpTransport(Relay("127.0.0.1", port, "none", lanes=lanes, timeouts=SHORT, hello="t"))
    route = Route("relay", way, RelayState(lanes, lambda: 0.5, QUICK))
    named = {name.replace("_", "."): Limit(*limit) for name, limit in limits.items()}
    return Routes([route], QUICK, lanes, Domains(lanes, lambda: 0.0, QUICK, Limit(), named))


class Sluggish(ScriptedRelay):
    """Letters to slow.example wait until all others are through. Notes how many do at once."""

    def __init__(self, others: int) -> None:
        super().__init__()
        self.others, self.through = others, asyncio.Event()
        self.now, self.peak = 0, 0

    async def _act(self, step, writer):
        if step == "dot":
            await self._dot()
        await super()._act(step, writer)

    async def _dot(self):
        slow = b"slow.example" in self.bodies[-1]
        if slow:
            self.now += 1
            if not self.through.is_set():
                self.peak = max(self.peak, self.now)
            await asyncio.wait_for(self.through.wait(), 10)
            self.now -= 1
        else:
            self.others -= 1
        if not self.others:
            self.through.set()


def test_a_slow_domain_holds_up_no_letter_to_others(sqlite):
    """Its letters come first and end only when all others are through."""
    slow = [f"r{n}@slow.example" for n in range(12)]
    readers(sqlite, *slow, *(f"r{n}@d{n % 5}.example" for n in range(20)))

    async def go():
        async with Sluggish(others=20) as relay:
            counts = await work(sqlite, to(relay.port, lanes=4))
            return counts, relay.peak

    assert asyncio.run(go()) == ({"accepted": 32}, 2)


def test_a_rest_is_told_once_with_the_domains_own_words(sqlite, caplog):
    readers(sqlite, *(f"r{n}@busy.example" for n in range(3)))

    async def go():
        async with ScriptedRelay({"RCPT": ["450 4.7.1 too many letters"]}) as relay:
            await work(sqlite, to(relay.port, lanes=2))

    asyncio.run(go())
    told = [r.getMessage() for r in caplog.records if "too fast" in r.getMessage()]
    assert told == [
        "busy.example says that letters come too fast, it rests for 0 s: 450 4.7.1 too many letters"
    ]


def test_a_run_that_is_stopped_does_not_wait_for_a_domain_at_rest(sqlite):
    readers(sqlite, *(f"r{n}@busy.example" for n in range(12)))
    stop, policy = asyncio.Event(), Policy(batch=3, rest_first=3600.0, rest_most=3600.0, grace=0.1)

    async def go():
        async with ScriptedRelay({"RCPT": "450 4.7.1 too many letters"}) as relay:
            running = asyncio.create_task(
                work(sqlite, to(relay.port, lanes=2), policy=policy, stop=stop)
            )
            while not relay.tries["RCPT"]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            stop.set()
            return await asyncio.wait_for(running, 20)

    assert asyncio.run(go())["deferred"] <= 2
    found = rows(sqlite).values()
    assert {r.state for r in found} == {DeliveryState.QUEUED}
    assert {r.reason for r in found} <= {"deferred", "domain_limit", "stopped", None}


def test_a_domain_never_has_more_letters_on_their_way_than_it_may(sqlite):
    readers(sqlite, *(f"r{n}@slow.example" for n in range(6)), "ada@example.org")

    async def go():
        async with Sluggish(others=1) as relay:
            return await work(sqlite, limited(relay.port, slow_example=(1, 0))), relay.peak

    assert asyncio.run(go()) == ({"accepted": 7}, 1)


def test_more_letters_than_a_domain_may_have_in_hand_wait_in_the_queue(sqlite):
    readers(sqlite, *(f"r{n}@slow.example" for n in range(60)), "ada@example.org")
    policy = Policy(batch=40, grace=0.5)

    async def go():
        async with ScriptedRelay() as relay:
            routes = limited(relay.port, slow_example=(0, 600))
            routes.policy = policy
            return await work(sqlite, routes), relay

    counts, _ = asyncio.run(go())
    waiting = [r for r in rows(sqlite).values() if r.state is DeliveryState.QUEUED]
    assert counts["accepted"] + len(waiting) == 61
    assert counts["accepted"] <= 15  # a quarter of what may be in hand, and those that started
    assert rows(sqlite)["ada@example.org"].state is DeliveryState.ACCEPTED
    assert {(r.reason, r.attempts, r.not_before > NOW) for r in waiting} == {
        ("domain_limit", 0, True)
    }
