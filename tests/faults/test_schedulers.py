"""Two schedulers and three workers on one PostgreSQL, one worker killed again and again: each
reader is made one edition and sent it once, but for letters of which nobody can know."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from counting import LANES, Counting, kill, worker
from delivering import HOUR, NOW, Policy, to, work
from postgres import fresh_database
from relays import in_a_thread

from digest.app import App, held_clock
from digest.config import Settings
from digest.model import Cadence, DeliveryState, Listing
from digest.store import deliveries, editions, papers, people

PEOPLE, KILLS = 120, 3
WISH = {"interest": [{"name": "All", "query": "*"}]}


def site(url: str, port: int) -> App:
    settings = Settings(
        site={"postal_address": "1 Example Street"},
        mail={"from": "Paper Digest <d@example.org>"},
        smtp={"port": port, "lanes": 2},
        delivery={"ambiguous": "hold"},
        database={"url": url},
        secret_key="s" * 40,
    )
    return App(settings, held_clock(NOW + HOUR))


def due(app: App) -> None:
    """Readers whose week ends now, and a paper for them."""
    week = 7 * 24 * HOUR
    new = [
        people.NewSubscriber(
            f"r{n}@d{n % 7}.example", WISH, Cadence(), confirmed_at=NOW - week, next_due=NOW
        )
        for n in range(PEOPLE)
    ]
    with app.db.writing() as tx:
        papers.remember(tx, "a", [Listing(("arxiv:2603.00001",), "Flow matching")], NOW - HOUR)
        people.add_many(tx, new, NOW - week, "test")


def schedule(url: str, port: int) -> int:
    """Publish again and again until nobody is due: editions made."""
    app, made = site(url, port), 0
    while True:
        made += (published := app.publish()).queued
        with app.db.reading() as tx:
            if not people.count_due(tx, app.clock()):
                break
        assert not published.skipped
    app.close()
    return made


def keep_sending(url: str, port: int, stop: threading.Event) -> None:
    app = site(url, port)
    while not stop.is_set():
        asyncio.run(app.deliver(stop))
        time.sleep(0.02)
    app.close()


def kill_again_and_again(app: App, relay: Counting) -> int:
    """Each after some more letters: how many had not ended by themselves."""
    killed = 0
    for _ in range(KILLS):
        started, enough = worker(app.db, relay.port), len(relay.bodies) + PEOPLE // (2 * KILLS)
        while len(relay.bodies) < enough and started.is_alive():
            time.sleep(0.002)
        killed += started.is_alive()
        kill(started)
    return killed


@pytest.mark.postgres
def test_two_schedulers_and_three_workers_one_of_which_is_killed(postgres_url):
    url, stop = fresh_database(postgres_url), threading.Event()
    with in_a_thread(Counting()) as relay, ThreadPoolExecutor(5) as pool:
        app = site(url, relay.port)
        due(app)
        made = [pool.submit(schedule, url, relay.port) for _ in range(2)]
        sending = [pool.submit(keep_sending, url, relay.port, stop) for _ in range(2)]
        killed = kill_again_and_again(app, relay)
        made = [one.result() for one in made]
        stop.set()
        for one in sending:
            one.result()
        hold = Policy(ambiguous="hold")
        asyncio.run(work(app.db, to(relay.port), policy=hold, now=NOW + HOUR))
    with app.db.reading() as tx:
        rows, all_editions = deliveries.listed(tx), editions.listed(tx)
    app.close()
    had = Counter(line.split()[1].decode() for line in relay.accepted().elements())
    unknown = {row.message_id for row in rows if row.state is DeliveryState.UNKNOWN}
    assert sum(made) == len(all_editions) == len({one.subscriber for one in all_editions}) == PEOPLE
    assert {row.state for row in rows} <= {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}
    assert max(had.values()) == 1
    assert {row.message_id for row in rows} == had.keys() | unknown
    assert len(unknown) <= LANES * killed
    assert killed > 0
