"""What happens while a run is going: somebody leaves by the very bytes of their letter, a template
cannot do one reader's letter, the clock jumps."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from datetime import timedelta
from email import message_from_bytes

import pytest
from delivering import HOUR, NOW, Policy, owe, plain, readers, rows, to, work
from relays import in_a_thread
from scripted_relay import ScriptedRelay
from visiting import Visitor

from digest.app import App, held_clock
from digest.cli import run
from digest.cli.daemon import site_parts
from digest.config import Settings
from digest.model import DeliveryState
from digest.store import people
from digest.web import create_site

ADA, BAD = "ada@example.org", "bad@example.org"
ACCEPTED, UNKNOWN = DeliveryState.ACCEPTED, DeliveryState.UNKNOWN


def settings(db, port: int, **site) -> Settings:
    return Settings(
        site={"url": "https://digest.example.org", "postal_address": "1 Example Street"} | site,
        mail={"from": "Paper Digest <d@example.org>"},
        smtp={"port": port, "lanes": 1},
        database={"url": f"sqlite:///{db.engine.url.database}"},
        secret_key="s" * 40,
    )


def unstuffed(body: bytes) -> bytes:
    return re.sub(rb"(?m)^\.\.", b".", body.removesuffix(b".\r\n"))


# ------------------------------------------------------------------ one click


def test_one_click_by_the_bytes_of_a_letter_stops_the_next_one_of_the_same_run(sqlite):
    """Ada's first letter goes out first, her second one last."""
    everybody = readers(sqlite, ADA, *(f"r{n}@example.org" for n in range(6)))
    with sqlite.writing() as tx:
        owe(tx, everybody[:1], NOW + HOUR / 60)
    answers = []

    async def go():
        async with ScriptedRelay() as relay:
            app = App(settings(sqlite, relay.port), held_clock(NOW + HOUR))

            async def she_has_had_it() -> str:
                if len(relay.bodies) == 3:
                    answers.append(await asyncio.to_thread(one_click, app, relay.bodies[0]))
                return ""

            relay.script["MAIL"] = she_has_had_it
            counts = await app.deliver()
            app.close()
            return counts, relay

    counts, relay = asyncio.run(go())
    to_ada = [body for body in relay.bodies if b"To: ada@example.org" in body]
    assert (answers, len(to_ada), len(relay.bodies)) == ([(200, "ended")], 1, 7)
    assert counts == {"accepted": 7}
    assert sorted((r.state, r.reason) for r in all_rows(sqlite) if r.recipient == ADA) == [
        (ACCEPTED, None),
        (DeliveryState.CANCELLED, "unsubscribed"),
    ]


def one_click(app: App, body: bytes) -> tuple[int, str]:
    """As a mail program does it (RFC 8058): (the site's answer, how Ada is stored then)."""
    letter = message_from_bytes(unstuffed(body))
    [address, *_] = re.findall(r"<(https://[^>]+)>", letter["List-Unsubscribe"])
    name, _, value = letter["List-Unsubscribe-Post"].partition("=")
    site = Visitor(create_site(site_parts(app)))
    page = site.post(address.removeprefix("https://digest.example.org"), {name: value})
    with app.db.reading() as tx:
        return page.status_code, str(people.get(tx, ADA).state)


def all_rows(db):
    from digest.store import deliveries

    with db.reading() as tx:
        return deliveries.listed(tx)


# ------------------------------------------------------------------ a template


def test_a_template_that_raises_for_one_reader_costs_that_letter_alone_and_names_it(
    sqlite, tmp_path, capsys
):
    own = tmp_path / "own" / "email" / "digest"
    own.mkdir(parents=True)
    (own / "subject.txt").write_text(
        '{% if email == "bad@example.org" %}{{ 1 // 0 }}{% endif %}Papers'
    )
    readers(sqlite, ADA, BAD, "cy@example.org")
    config = tmp_path / "digest.toml"
    asked = ["--config", str(config), "--now", NOW.isoformat()]
    with in_a_thread(ScriptedRelay()) as relay:
        config.write_text(
            f'[site]\ntemplates = "{tmp_path}/own"\n'
            f'[database]\nurl = "sqlite:///{sqlite.engine.url.database}"\n'
            f"[smtp]\nport = {relay.port}\n"
        )
        code = run([*asked, "deliver"])
    capsys.readouterr()
    run([*asked, "delivery", "list", "--not-accepted", "--json"])
    [left] = json.loads(capsys.readouterr().out)
    assert (code, len(relay.bodies)) == (1, 2)
    assert (left["subscriber"], left["state"], left["reason"]) == (BAD, "failed", "render")
    assert "division" in left["text"]


# ------------------------------------------------------------------ the clock


@pytest.mark.parametrize("jump", [timedelta(minutes=10), 30 * HOUR, -30 * HOUR])
def test_a_clock_that_jumps_in_mid_run_loses_and_doubles_nothing(sqlite, jump):
    """Two workers on one machine, so that each sees the other's leases by the new time."""
    readers(sqlite, *(f"r{n}@example.org" for n in range(24)))
    policy = Policy(ambiguous="hold", batch=5, lease=timedelta(seconds=0.3), grace=0.5)
    clock = [NOW]

    async def go():
        async with ScriptedRelay() as relay:

            async def now_and_then() -> str:
                if len(relay.bodies) == 8:
                    clock[0] = NOW + jump
                await asyncio.sleep(0.01)
                return ""

            relay.script["dot"] = now_and_then
            both = [
                work(sqlite, to(relay.port, lanes=2), now=lambda: clock[0], policy=policy)
                for _ in range(2)
            ]
            await asyncio.gather(*both)
            for later in (NOW, NOW + HOUR, NOW + 99 * HOUR):
                await work(sqlite, to(relay.port), now=later, policy=policy, letters=plain)
            return Counter(
                line.split()[1].decode()
                for body in relay.bodies
                for line in body.split(b"\r\n")
                if line.startswith(b"Message-ID")
            )

    had, found = asyncio.run(go()), rows(sqlite).values()
    ended = {state: {r.message_id for r in found if r.state is state} for state in DeliveryState}
    assert max(had.values()) == 1
    assert ended[ACCEPTED] <= had.keys() <= ended[ACCEPTED] | ended[UNKNOWN]
    assert len(ended[UNKNOWN]) <= 4
    late = ended[DeliveryState.EXPIRED]
    assert len(ended[ACCEPTED] | ended[UNKNOWN] | late) == 24
    assert bool(late) is (jump > 24 * HOUR)
