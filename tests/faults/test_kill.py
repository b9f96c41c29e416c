"""kill -9 in mid-run, against a server that counts: nothing is lost, nothing is doubled, and what
cannot be known is listed and is no more than there were connections."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from counting import LANES, Counting, kill, worker
from delivering import Policy, readers, rows, to, work

from digest.model import DeliveryState


async def kill_and_restart(db, kills, workers, dice: random.Random, pipelining) -> Counting:
    """Start workers and kill them after some more letters, so often; then let one finish."""
    async with Counting() as relay:
        for _ in range(kills):
            running = [worker(db, relay.port, pipelining) for _ in range(workers)]
            enough = len(relay.bodies) + dice.randint(3, 30)
            while len(relay.bodies) < enough and any(w.is_alive() for w in running):
                await asyncio.sleep(0.001)
            for started in running:
                kill(started)
        await work(db, to(relay.port), policy=Policy(ambiguous="hold"))
        return relay


def check(db, kills: int, workers: int, pipelining: str = "envelope") -> None:
    people = 150
    readers(db, *(f"r{n}@example.org" for n in range(people)))
    dice = random.Random(kills)
    relay = asyncio.run(kill_and_restart(db, kills, workers, dice, pipelining))
    found = rows(db)
    states = Counter(row.state for row in found.values())
    accepted = relay.accepted()
    unknown = {
        f"Message-ID: {row.message_id}".encode()
        for row in found.values()
        if row.state is DeliveryState.UNKNOWN
    }
    assert set(states) <= {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}, states
    assert {id_ for id_, times in accepted.items() if times > 1} == set()
    assert len(accepted.keys() | unknown) == people
    assert len(unknown) <= LANES * kills * workers


def test_a_worker_killed_again_and_again_loses_and_doubles_nothing(sqlite):
    check(sqlite, kills=6, workers=1)


def test_nor_does_one_whose_envelopes_go_ahead(sqlite):
    check(sqlite, kills=5, workers=1, pipelining="letters")


def test_two_workers_killed_again_and_again_lose_and_double_nothing(db):
    check(db, kills=3, workers=2)
