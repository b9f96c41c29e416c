"""What logs tell: what was done, to how many, and never to whom."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest
from delivering import NOW, plain, readers, work
from delivering import to as relay_at
from hypothesis import given
from hypothesis import strategies as st
from scripted_relay import ScriptedRelay

from digest.cli.logs import Discreet
from digest.links import Links, Purpose
from digest.store import Database
from digest.text.discreet import ADDRESS, TOKEN, discreet

SECRET = "a secret for tests that is long enough"
LINKS = Links(SECRET, "https://digest.example.org")
OWN = "{{ {}['asked for by ' ~ email] }}"  # a template whose fault quotes its reader


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("550 5.1.1 <ada@example.org>: no such user", f"550 5.1.1 <{ADDRESS}>: no such user"),
        ("to ada@example.org, eve@example.org.", f"to {ADDRESS}, {ADDRESS}."),
        ("RCPT TO:<o'hara@example.org> SIZE=9", f"RCPT TO:<{ADDRESS}> SIZE=9"),
        ("(mailto:unsub+7.abc@bounces.example.org?subject=x)", f"(mailto:{ADDRESS})"),
        ("KeyError('eve\\r\\nDATA@example.org')", f"KeyError({ADDRESS}')"),
        ('"ada lovelace"@example.org', ADDRESS),
        ("иван@пример.рф", ADDRESS),
        ("ada@localhost", ADDRESS),
        ("ada@[192.0.2.1]:25", f"{ADDRESS}:25"),
        ("database postgresql+psycopg://digest:***@db.example.org/digest: locked",) * 2,
        ("3 papers @ 8:00, a@, @b",) * 2,
        ("delivered {'accepted': 12}",) * 2,
        ("https://arxiv.org/abs/2509.01234v2",) * 2,
    ],
)
def test_an_address_is_taken_out_and_nothing_else(said: str, told: str) -> None:
    assert told == discreet(said)


@given(st.emails(), st.sampled_from([" ", ": ", " <", " '", "("]))
def test_no_address_gets_through(address: str, before: str) -> None:
    expected = f"refused{before}{ADDRESS}> by the relay".replace("'", "")
    assert expected == discreet(f"refused{before}{address}> by the relay").replace("'", "")


def test_a_long_word_takes_no_long_time() -> None:
    """Linear: what took the square of this length would not end today."""
    for long in ("a" * 1_000_000, '"' * 1_000_000, "a@" * 300_000, "a+" * 500_000):
        assert ADDRESS in discreet(f"{long} ada@example.org")


@given(st.sampled_from(Purpose), st.integers(0, 2**63 - 1))
def test_no_token_gets_through(purpose: Purpose, key: int) -> None:
    token = LINKS.token(purpose, key)
    expected = f"GET https://digest.example.org/{purpose}/{TOKEN} failed; {TOKEN}"
    assert expected == discreet(f"GET {LINKS.url(purpose, key)} failed; {token.upper()}")


def test_a_traceback_is_as_discreet_as_its_line() -> None:
    try:
        raise ValueError("ada@example.org is no address")
    except ValueError:
        record = logging.LogRecord("x", 40, "x", 1, "%s", ("eve@example.org",), sys.exc_info())
    told = Discreet("%(message)s").format(record)
    assert told.startswith(f"{ADDRESS}\nTraceback")
    assert told.endswith(f"ValueError: {ADDRESS} is no address")


# ------------------------------------------------------------------ deliveries


def test_a_letter_that_cannot_be_written_is_logged_by_its_number(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(due):
        raise KeyError(f"{due.delivery.recipient} and {LINKS.token(Purpose.BOUNCE, 7)}")

    readers(sqlite, "ada@example.org")

    async def go() -> None:
        async with ScriptedRelay() as relay:
            await work(sqlite, relay_at(relay.port), letters=faulty)

    asyncio.run(go())
    assert f"letter 1 cannot be written: KeyError({ADDRESS} and {TOKEN}')" in caplog.text
    assert "example.org" not in caplog.text


def test_a_relay_that_quotes_addresses_gets_none_into_the_log(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    readers(sqlite, *(f"r{n}@example.org" for n in range(30)))

    async def go() -> None:
        async with ScriptedRelay({"RCPT": "550 5.7.1 <r1@example.org> is on our list"}) as relay:
            await work(sqlite, relay_at(relay.port), letters=plain)

    asyncio.run(go())
    assert f"delivery pauses, policy: 550 5.7.1 <{ADDRESS}> is on our list" in caplog.text
    assert "@example.org" not in caplog.text


# ------------------------------------------------------------------ the daemon


def site(folder: Path, port: int) -> Database:
    """A site whose letters cannot be shown, and some cannot be written, over a relay there."""
    own = folder / "own" / "email" / "digest"
    own.mkdir(parents=True)
    (own / "page.html").write_text(OWN)
    (own / "body.html").write_text("{% if 'bad' in email %}" + OWN + "{% endif %}")
    (folder / "digest.toml").write_text(
        f'site.templates = "{folder}/own"\ndatabase.url = "sqlite:///{folder}/digest.db"\n'
        f'smtp = {{port = {port}, lanes = 2}}\nweb.listen = "127.0.0.1:0"\n'
        'mail = {from = "d@example.org", bounce_domain = "bounces.example.org"}\n'
    )
    db = Database(f"sqlite:///{folder}/digest.db")
    db.upgrade()
    readers(db, "bad@example.org", *(f"r{n}@example.org" for n in range(30)))
    db.dispose()
    return db


async def served(folder: Path) -> str:
    """What `digest serve` tells while letters are refused and people come by."""
    arguments = ("--config", f"{folder}/digest.toml", "--now", NOW.isoformat(), "serve")
    daemon = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from digest.cli import main; main()", *arguments),
        env={**os.environ, "DIGEST_SECRET_KEY": SECRET},
        stderr=asyncio.subprocess.PIPE,
    )
    assert daemon.stderr is not None
    told = ""
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(r"answers at \('127\.0\.0\.1', (\d+)\)", told)):
                told += (await daemon.stderr.readline()).decode()
            await visit(f"http://127.0.0.1:{found[1]}")
            while "delivery pauses" not in told:
                told += (await daemon.stderr.readline()).decode()
            daemon.send_signal(signal.SIGTERM)
            told += (await daemon.stderr.read()).decode()
            assert await daemon.wait() == 0
    finally:
        if daemon.returncode is None:
            daemon.kill()
        await daemon.wait()
    return told


async def visit(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        for purpose in Purpose:
            await client.get(f"/{purpose}/{LINKS.token(purpose, 2)}")
        assert (await client.get(f"/l/{LINKS.token(Purpose.LETTER, 2)}")).status_code == 500
        assert (await client.get("/readyz")).status_code == 200


def test_the_daemons_log_says_what_happened_and_to_nobody(tmp_path: Path) -> None:
    refusing = "550 5.7.1 <r1@example.org> and " + LINKS.token(Purpose.BOUNCE, 2) + " blocked"

    async def go() -> str:
        async with ScriptedRelay({"RCPT": refusing}) as relay:
            site(tmp_path, relay.port)
            return await served(tmp_path)

    told = asyncio.run(go())
    assert re.search(r"letter \d+ cannot be written: edition \d+ cannot be rendered", told)
    assert f"delivery pauses, policy: 550 5.7.1 <{ADDRESS}> and {TOKEN} blocked" in told
    assert "edition 2 cannot be shown" in told
    assert re.findall(r".*@.*", told) == []
    assert re.findall(r".*\d\.[\w-]{32}.*", told) == []
    assert "alembic" not in told
