"""kill -9 in mid-run, against a server that counts: nothing is lost, nothing is doubled, and what
cannot be known is listed and is no more than there were connections."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from delivering import Policy, readers, rows, to, work
from scripted_relay import ScriptedRelay

from digest.model import DeliveryState

WORKER = Path(__file__).with_name("worker.py")
LANES = 4


def start(db, port: int) -> subprocess.Popen:
    url = db.engine.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, str(WORKER), url, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


class Counting(ScriptedRelay):
    """Keeps the Message-ID of every letter whose final dot it has read."""

    async def _act(self, step, writer):
        if step in {"RCPT", "dot"}:
            await asyncio.sleep(0.002)
        await super()._act(step, writer)

    def accepted(self) -> Counter[bytes]:
        return Counter(
            line
            for body in self.bodies
            for line in body.split(b"\r\n")
            if line.startswith(b"Message-ID")
        )


async def kill_and_restart(db, kills: int, workers: int, dice: random.Random) -> Counting:
    """Start workers and kill them after some more letters, so often; then let one finish."""
    async with Counting() as relay:
        for _ in range(kills):
            running = [start(db, relay.port) for _ in range(workers)]
            enough = len(relay.bodies) + dice.randint(3, 30)
            while len(relay.bodies) < enough and any(w.poll() is None for w in running):
                await asyncio.sleep(0.001)
            for worker in running:
                worker.kill()
                worker.communicate()
        await work(db, to(relay.port), policy=Policy(ambiguous="hold"))
        return relay


def check(db, kills: int, workers: int) -> None:
    people = 150
    readers(db, *(f"r{n}@example.org" for n in range(people)))
    relay = asyncio.run(kill_and_restart(db, kills, workers, random.Random(kills)))
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
    check(sqlite, kills=3, workers=1)


def test_two_workers_killed_again_and_again_lose_and_double_nothing(db):
    check(db, kills=1, workers=2)
