"""The reply table, row by row: for each thing that a relay can do, what becomes of the letter
(state, reason, counted attempts, when it is due again) and of the relay (given up, left alone for
a while, its lanes)."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from certificates import certificate
from delivering import NOW, SHORT, letter, readers, row, work
from scripted_relay import CUT, HANG, PAUSE, PLAIN, ScriptedRelay

from digest.deliver import Policy, RelayState, Route, Routes
from digest.model import DeliveryState
from digest.store import deliveries, people
from digest.transports.smtp import Relay, SmtpTransport, Timeouts

ADA = "ada@example.org"
MINUTE = timedelta(minutes=1)
QUEUED, FAILED, UNKNOWN = DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.UNKNOWN
EXPIRED, ACCEPTED = DeliveryState.EXPIRED, DeliveryState.ACCEPTED
TINY = Timeouts(connect=0.15, command=0.15, data=0.15, dot=0.15, quit=0.1)
POLICY = Policy(
    backoff_first=0.001, backoff_most=0.002, rest_first=0.001, rest_most=0.002, grace=0.5
)
ALONE = "alone"  # one lane alone tries it next


@dataclass(frozen=True)
class Case:
    """What the relay does -> the letter: (state, reason, attempts, minutes until it is due; None:
    never), and the relay: the word for which it was given up, ALONE, or the lanes it has."""

    says: dict[str, Any]
    letter: tuple[DeliveryState, str | None, int, float | None]
    relay: str | int = 8
    suppressed: bool = False
    words: str = ""  # in the letter's last text, or in what is said of the relay
    relay_options: dict[str, Any] = field(default_factory=dict)
    hop: dict[str, Any] = field(default_factory=dict)
    body: bytes = b"Hello.\r\n"


def down(word: str, says, **more) -> Case:
    """The letter was never heard of: due at once, not counted; the relay is given up."""
    return Case(says, (QUEUED, word, 0, 0.0), word, **more)


LOGIN = {"hop": {"username": "ada", "password": "x"}, "relay_options": {"offered": ("AUTH PLAIN",)}}
HUGE = (b"x" * 998 + b"\r\n") * 20_000
TABLE = {
    # connect, TLS, EHLO, log in: relay down, or our configuration
    "nobody listens": down("relay_down", {"listen": False}, words="connecting"),
    "never greets": down("relay_down", {"connect": HANG}),
    "cut instead of a greeting": down("relay_down", {"connect": CUT}),
    "greets with garbage": down("relay_down", {"connect": "SSH-2.0-OpenSSH_9.6"}),
    "greets with 554": down("relay_refuses", {"connect": "554 5.7.1 you are listed"}),
    "cut at EHLO": down("relay_down", {"EHLO": CUT}),
    "required TLS is not offered": down(
        "relay_down", {}, hop={"security": "starttls"}, words="STARTTLS"
    ),
    "STARTTLS is offered and fails": down(
        "relay_refuses", {"STARTTLS": "454 4.7.0 no TLS today"}, hop={"security": "starttls"}
    ),
    "STARTTLS is offered and cut": down(
        "relay_down", {"STARTTLS": CUT}, hop={"security": "starttls"}
    ),
    "STARTTLS is offered and hangs": down(
        "relay_down", {"STARTTLS": HANG}, hop={"security": "starttls"}
    ),
    "the certificate is over": down(
        "relay_down", {"certificate": {"days": -1}}, hop={"security": "starttls"}, words="expired"
    ),
    "the certificate is over, TLS from the start": down(
        "relay_down", {"certificate": {"days": -1}}, hop={"security": "tls"}, words="expired"
    ),
    "the certificate is another's": down(
        "relay_down",
        {"certificate": {"address": "192.0.2.1"}},
        hop={"security": "starttls"},
        words="mismatch",
    ),
    "535 to our password": down("relay_refuses", {"AUTH": "535 5.7.8 bad credentials"}, **LOGIN),
    "534 to our password": down("relay_refuses", {"AUTH": "534 5.7.9 too weak"}, **LOGIN),
    "530 to MAIL": down("relay_refuses", {"MAIL": "530 5.7.0 log in first"}),
    # 421 anywhere: about the connection
    "421 as greeting": down("relay_busy", {"connect": "421 4.3.2 busy"}),
    "421 to MAIL, once": Case({"MAIL": ["421 4.3.2 busy"]}, (ACCEPTED, None, 1, None), 4),
    "421 to RCPT, always": Case({"RCPT": "421 4.3.2 busy"}, (QUEUED, "relay_busy", 0, 0.5), ALONE),
    "421 after the dot, once": Case({"dot": ["421 4.3.2 busy"]}, (ACCEPTED, None, 1, None), 4),
    # closed without a word before the body
    "cut at MAIL, once": Case({"MAIL": [CUT]}, (ACCEPTED, None, 1, None)),
    "cut at RCPT, always": Case({"RCPT": CUT}, (QUEUED, "cut", 0, 0.5)),
    "cut instead of 354": Case({"DATA": CUT}, (QUEUED, "cut", 0, 0.5)),
    "silent instead of 354": Case({"DATA": HANG}, (QUEUED, "cut", 0, 0.5)),
    # 4xx: certainly not accepted
    "451 to MAIL": Case({"MAIL": "451 4.3.0 later"}, (QUEUED, "deferred", 1, 0.5)),
    "450 to RCPT": Case({"RCPT": "450 4.2.0 later"}, (QUEUED, "deferred", 1, 0.5)),
    "451 instead of 354": Case({"DATA": "451 4.3.0 later"}, (QUEUED, "deferred", 1, 0.5)),
    "451 after the dot": Case({"dot": "451 4.3.0 later"}, (QUEUED, "deferred", 1, 0.5)),
    "452 to RCPT: a full mailbox": Case({"RCPT": "452 4.2.2 full"}, (QUEUED, "deferred", 1, 0.5)),
    "452 to MAIL: a full disk": Case(
        {"MAIL": "452 4.3.1 disk full"}, (QUEUED, "deferred", 1, 0.5), ALONE
    ),
    "454 to MAIL": Case({"MAIL": "454 4.7.0 not now"}, (QUEUED, "deferred", 1, 0.5), ALONE),
    # 5xx
    "550 5.1.1 to RCPT": Case(
        {"RCPT": "550 5.1.1 nobody"}, (FAILED, "bad_address", 1, None), suppressed=True
    ),
    "550 5.2.1 to RCPT": Case({"RCPT": "550 5.2.1 inactive"}, (FAILED, "mailbox", 1, None)),
    "552 5.2.2 to RCPT": Case({"RCPT": "552 5.2.2 full"}, (FAILED, "mailbox", 1, None)),
    "550 5.7.1 to RCPT": Case({"RCPT": "550 5.7.1 not you"}, (FAILED, "policy", 1, None)),
    "550 5.7.26 after the dot": Case({"dot": "550 5.7.26 no DKIM"}, (FAILED, "policy", 1, None)),
    "552 5.3.4 after the dot": Case({"dot": "552 5.3.4 too big"}, (FAILED, "content", 1, None)),
    "554 5.6.0 after the dot": Case({"dot": "554 5.6.0 malformed"}, (FAILED, "content", 1, None)),
    "501 5.5.4 to MAIL": Case({"MAIL": "501 5.5.4 syntax"}, (FAILED, "content", 1, None)),
    # after the body
    "cut in the body": Case({"body": CUT}, (UNKNOWN, "no_reply", 1, None), ALONE),
    "cut after the dot": Case({"dot": CUT}, (UNKNOWN, "no_reply", 1, None), ALONE),
    "silent after the dot": Case({"dot": HANG}, (UNKNOWN, "no_reply", 1, None), ALONE),
    "garbage after the dot": Case({"dot": "yes?"}, (UNKNOWN, "no_reply", 1, None), ALONE),
    "stops reading in the body": Case(
        {"body": PAUSE}, (QUEUED, "cut", 0, 0.5), body=HUGE, relay_options={"offered": ()}
    ),
    "250 after the dot": Case({}, (ACCEPTED, None, 1, None)),
}


def settled(db, case: Case, folder, more: tuple[str, ...]) -> Routes:
    """One letter's run against a relay that does this, and offers more."""
    says, options = deepcopy(case.says), dict(case.relay_options)
    options["offered"] = options.get("offered", PLAIN) + more
    listen, wanted = says.pop("listen", True), case.hop.get("security")
    if wanted and "STARTTLS" not in case.words:
        context = certificate(folder, **says.pop("certificate", {}))
        options["tls" if wanted == "tls" else "starttls"] = context
    trusted = {"ca_file": str(folder / "cert.pem")} if (folder / "cert.pem").exists() else {}

    async def go():
        async with ScriptedRelay(says, **options) as relay:
            hop = {"security": "none", "timeouts": TINY, "lanes": 8, "hello": "t"} | trusted
            way = SmtpTransport(Relay("127.0.0.1", relay.port, **(hop | case.hop)))
            if not listen:
                await relay.__aexit__()
            routes = Routes([Route("r", way, RelayState(8, lambda: 0.5, POLICY))], POLICY, 8)
            await work(db, routes, letters=lambda due: letter(ADA, body=case.body))
            return routes

    return asyncio.run(go())


@pytest.mark.parametrize("more", [(), ("PIPELINING",)], ids=["", "pipelined"])
@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_the_letter_and_the_relay_after(sqlite, tmp_path, case, more):
    readers(sqlite, ADA)
    state = settled(sqlite, case, tmp_path, more).routes[0].state
    found = row(sqlite, ADA)
    minutes = (found.not_before - NOW) / MINUTE if found.state is QUEUED else None
    assert (found.state, found.reason, found.attempts, minutes) == case.letter
    assert (state.tripped or (ALONE if state.doubtful else state.open)) == case.relay
    assert case.words in f"{found.text} {state.said}"
    with sqlite.reading() as tx:
        assert bool(people.suppressions(tx)) is case.suppressed
        counted = sum(t.outcome in {"deferred", "refused", "unknown", "accepted"}
                      for t in deliveries.attempts(tx, found.key))  # fmt: skip
    assert counted == found.attempts


@pytest.mark.parametrize("number", range(1, 10))
def test_the_schedule_of_retries_with_half_the_jitter(sqlite, number):
    """1, 5, 15, 30 min, 1, 2, 4, 8 h at most, and before the next edition in any case."""
    readers(sqlite, ADA)
    now = NOW

    async def go():
        nonlocal now
        async with ScriptedRelay({"RCPT": "450 4.2.0 later"}) as relay:
            hop = Relay("127.0.0.1", relay.port, "none", timeouts=SHORT, hello="t")
            for _ in range(number):
                await work(sqlite, SmtpTransport(hop), now=now, policy=POLICY)
                waited, now = row(sqlite, ADA).not_before - now, row(sqlite, ADA).not_before
            return waited

    waits = [0.5, 2.5, 7.5, 15, 30, 60, 120, 240, 240]
    assert asyncio.run(go()) == waits[number - 1] * MINUTE
    assert (row(sqlite, ADA).state, row(sqlite, ADA).attempts) == (QUEUED, number)
