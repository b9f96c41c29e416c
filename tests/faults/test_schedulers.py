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
    return App(settings, held_clock(NOW))


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


def deliveries_due(app: App) -> int:
    with app.db.reading() as tx:
        return deliveries.due_count(tx, app.clock())


def kill_with_letters_in_hand(app: App, relay: Counting) -> bool:
    """A worker that holds leases dies. False: there was nothing left for it."""
    started = worker(app.db, relay.port)
    held = False
    while started.is_alive() and not held:
        with app.db.reading() as tx:
            held = any(f"/{started.pid}/" in owner for owner in deliveries.owners(tx))
    kill(started)
    return held


@pytest.mark.postgres
def test_two_schedulers_and_three_workers_one_of_which_is_killed(postgres_url):
    url, stop = fresh_database(postgres_url), threading.Event()
    with in_a_thread(Counting()) as relay, ThreadPoolExecutor(5) as pool:
        app = site(url, relay.port)
        due(app)
        made = [pool.submit(schedule, url, relay.port) for _ in range(2)]
        while not made[0].done() and not deliveries_due(app):
            time.sleep(0.002)
        killed = kill_with_letters_in_hand(app, relay)  # before others have a chance
        sending = [pool.submit(keep_sending, url, relay.port, stop) for _ in range(2)]
        killed += sum(kill_with_letters_in_hand(app, relay) for _ in range(KILLS))
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
