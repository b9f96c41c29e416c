"""PostgreSQL ends at once in mid-run and comes back: the run says so or goes on, the next one
finishes, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from delivering import HOUR, NOW, Policy, readers, rows, to, work
from postgres import fresh_database, restartable_postgres
from scripted_relay import ScriptedRelay

from digest.errors import Broken
from digest.model import DeliveryState
from digest.store import Database

PEOPLE, LANES = 40, 3
HOLD = Policy(ambiguous="hold", batch=15, grace=0.5)


@pytest.fixture(scope="module")
def server():
    with restartable_postgres() as found:
        yield found


async def run_through(db, restart, step: str, after: int):
    """Restart at the nth time that the relay comes to this step: (what the run said, the relay)."""
    seen, back = 0, asyncio.Event()

    async def at_this_step() -> str:
        nonlocal seen
        seen += 1
        if seen == after:
            restarting = asyncio.to_thread(restart)  # to its end, though the lane is cut
            asyncio.ensure_future(restarting).add_done_callback(lambda _: back.set())
            await back.wait()
        return ""

    said = ""
    async with ScriptedRelay({step: at_this_step}) as relay:
        try:
            await work(db, to(relay.port, lanes=LANES), policy=HOLD)
        except Broken as error:
            said = str(error)
        await back.wait()  # a slow machine may take longer than the worker's patience
        for hours in (1, 2):  # by then every lease is over
            await work(db, to(relay.port, lanes=LANES), policy=HOLD, now=NOW + hours * HOUR)
        return said, relay


@pytest.mark.postgres
@pytest.mark.parametrize(("step", "after"), [("RCPT", 7), ("dot", 11)])
def test_a_restart_in_mid_run_loses_and_doubles_nothing(server, step, after):
    url, restart = server
    db = Database(fresh_database(url))
    readers(db, *(f"r{n}@example.org" for n in range(PEOPLE)))
    said, relay = asyncio.run(run_through(db, restart, step, after))
    found = rows(db).values()
    db.dispose()
    had = Counter(
        line for body in relay.bodies for line in body.split(b"\r\n") if b"Message-ID" in line
    )
    unknown = {row.message_id for row in found if row.state is DeliveryState.UNKNOWN}
    ids = {id_.decode().split()[1] for id_ in had}
    assert said == "" or said.startswith("database postgresql"), said
    assert {row.state for row in found} <= {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}
    assert [id_ for id_, times in had.items() if times > 1] == []
    assert len(ids | unknown) == PEOPLE
    assert len(unknown) <= LANES
