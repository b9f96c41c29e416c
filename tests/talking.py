"""Letters over one SMTP lane to a relay with a script, and what should come of each answer."""

from __future__ import annotations

from dataclasses import replace

from delivering import SHORT, letter, run
from scripted_relay import CUT, HANG, OFFERED, PLAIN, ScriptedRelay

from digest.model import OutcomeKind, Phase
from digest.transports.smtp import Relay, SmtpTransport

ACCEPTED, DEFERRED, REFUSED = OutcomeKind.ACCEPTED, OutcomeKind.DEFERRED, OutcomeKind.REFUSED
RETURNED, UNKNOWN, WITHDRAWN = OutcomeKind.RETURNED, OutcomeKind.UNKNOWN, OutcomeKind.WITHDRAWN
TINY = replace(SHORT, connect=0.2, command=0.2, data=0.2, dot=0.2)


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


def lane_to(relay: ScriptedRelay, **options):
    given = {"security": "none", "timeouts": SHORT, "hello": "test"} | options
    return SmtpTransport(Relay("127.0.0.1", relay.port, **given)).lane()


def talk(script=None, letters=None, before=yes, relay_options=None, **options):
    """Send letters over one lane: (outcomes, the relay)."""

    async def go():
        async with ScriptedRelay(script, **(relay_options or {})) as relay:
            lane = lane_to(relay, **options)
            outcomes = [await lane.send(one, before) for one in letters or [letter()]]
            await lane.close()
            return outcomes, relay

    return run(go())


def said(outcome):
    return outcome.kind, outcome.phase, outcome.code, outcome.enhanced


ONE_BY_ONE, PIPELINING = {"offered": PLAIN}, {"offered": OFFERED}


AT_EVERY_STEP = [
    ({}, (ACCEPTED, Phase.DOT, 250, "2.0.0")),
    ({"connect": "421 4.3.2 busy"}, (RETURNED, Phase.CONNECT, 421, "4.3.2")),
    ({"connect": "554 5.7.1 go away"}, (RETURNED, Phase.CONNECT, 554, "5.7.1")),
    ({"connect": CUT}, (RETURNED, Phase.CONNECT, None, None)),
    ({"connect": HANG}, (RETURNED, Phase.CONNECT, None, None)),
    ({"connect": "nonsense"}, (RETURNED, Phase.CONNECT, None, None)),
    ({"EHLO": "421 4.3.2 busy"}, (RETURNED, Phase.CONNECT, 421, "4.3.2")),
    ({"EHLO": "502 what?"}, (ACCEPTED, Phase.DOT, 250, "2.0.0")),
    ({"EHLO": CUT}, (RETURNED, Phase.CONNECT, None, None)),
    ({"MAIL": "451 4.3.0 later"}, (DEFERRED, Phase.MAIL, 451, "4.3.0")),
    ({"MAIL": "550 5.7.1 not you"}, (REFUSED, Phase.MAIL, 550, "5.7.1")),
    ({"MAIL": "530 5.7.0 log in"}, (RETURNED, Phase.MAIL, 530, "5.7.0")),
    ({"MAIL": CUT}, (RETURNED, Phase.MAIL, None, None)),
    ({"RCPT": "251 2.1.5 moved, will forward"}, (ACCEPTED, Phase.DOT, 250, "2.0.0")),
    ({"RCPT": "450 4.2.0 later"}, (DEFERRED, Phase.RCPT, 450, "4.2.0")),
    ({"RCPT": "550 5.1.1 nobody"}, (REFUSED, Phase.RCPT, 550, "5.1.1")),
    ({"RCPT": "550-5.1.1 no\n550 5.1.1 body"}, (REFUSED, Phase.RCPT, 550, "5.1.1")),
    ({"RCPT": "550 nobody"}, (REFUSED, Phase.RCPT, 550, None)),
    ({"RCPT": "421 4.7.0 too many"}, (RETURNED, Phase.RCPT, 421, "4.7.0")),
    ({"RCPT": CUT}, (RETURNED, Phase.RCPT, None, None)),
    ({"RCPT": HANG}, (RETURNED, Phase.RCPT, None, None)),
    ({"RCPT": "nonsense"}, (RETURNED, Phase.RCPT, None, None)),
    ({"DATA": "451 4.3.0 later"}, (DEFERRED, Phase.DATA, 451, "4.3.0")),
    ({"DATA": "554 5.5.1 no"}, (REFUSED, Phase.DATA, 554, "5.5.1")),
    ({"DATA": "250 what?"}, (RETURNED, Phase.DATA, 250, None)),
    ({"DATA": CUT}, (RETURNED, Phase.DATA, None, None)),
    ({"DATA": HANG}, (RETURNED, Phase.DATA, None, None)),
    ({"body": CUT}, (UNKNOWN, Phase.BODY, None, None)),
    ({"dot": CUT}, (UNKNOWN, Phase.BODY, None, None)),
    ({"dot": HANG}, (UNKNOWN, Phase.BODY, None, None)),
    ({"dot": "nonsense"}, (UNKNOWN, Phase.BODY, None, None)),
    ({"dot": "354 what?"}, (UNKNOWN, Phase.DOT, 354, None)),
    ({"dot": "451 4.6.0 later"}, (DEFERRED, Phase.DOT, 451, "4.6.0")),
    ({"dot": "552 5.3.4 too big"}, (REFUSED, Phase.DOT, 552, "5.3.4")),
    ({"dot": "421 4.3.2 closing"}, (RETURNED, Phase.DOT, 421, "4.3.2")),
    ({"dot": "550 2.0.0 lies"}, (REFUSED, Phase.DOT, 550, None)),
]
"""(script, the outcome of a letter)."""
