"""The next letter's envelope sent with a letter's body (RFC 2920 3.1); relays that mistrust it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from certificates import certificate
from delivering import SHORT, letter, run
from scripted_relay import CUT, HANG, ScriptedRelay
from talking import (
    ACCEPTED,
    AT_EVERY_STEP,
    DEFERRED,
    PIPELINING,
    REFUSED,
    RETURNED,
    TINY,
    UNKNOWN,
    WITHDRAWN,
    lane_to,
    said,
    yes,
)

from digest.model import Letter, Outcome, Phase
from digest.transports.ahead import Ahead
from digest.transports.smtp import Relay, SmtpTransport
from digest.transports.wire import Wire

IN_A_CONVERSATION = [
    (script, expected) for script, expected in AT_EVERY_STEP if not {"connect", "EHLO"} & {*script}
]
LETTERS = {"pipelining": "letters"}


def some(number: int) -> list[Letter]:
    return [letter(f"r{n}@example.org", f"<{n}@example.org>") for n in range(number)]


async def each(lane, letters: Sequence[Letter], refuses: Sequence[Letter] = ()) -> list[Outcome]:
    """Give them to the lane one by one, each told of the next as a worker does it."""
    outcomes = []
    for one, following in zip(letters, [*letters[1:], None], strict=True):

        async def before_body(one=one, following=following):
            if one in refuses:
                return False
            return (lane.ahead and following) or True

        outcomes.append(await lane.send(one, before_body))
    return outcomes


def talk(script=None, letters=None, relay_options=None, refuses=(), **options):
    """(outcomes, the relay, whether envelopes may go ahead in the end)."""

    async def go():
        async with ScriptedRelay(script, **(relay_options or PIPELINING)) as relay:
            lane = lane_to(relay, **(LETTERS | options))
            outcomes = await each(lane, letters or some(3), refuses)
            await lane.close()
            return outcomes, relay, lane._transport.ahead.possible

    return run(go())


def kinds(outcomes: Sequence[Outcome]):
    return [outcome.kind for outcome in outcomes]


def words(relay: ScriptedRelay) -> list[str]:
    return [command.split()[0] for command in relay.commands]


# ------------------------------------------------------------------ a relay that understands


class Patient:
    """Says nothing to a body before it has read the next envelope, nor takes a body early."""

    def __init__(self, letters: int) -> None:
        self.letters, self.bodies, self.early = letters, 0, b""

    async def __call__(self, reader, writer) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readuntil(b"EHLO test\r\n")
        writer.write(b"250-relay\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        writer.write(b"250 ok\r\n250 ok\r\n354 go ahead\r\n")
        for number in range(self.letters):
            await reader.readuntil(b"\r\n.\r\n")
            self.bodies += 1
            if number + 1 == self.letters:
                break
            await reader.readuntil(b"DATA\r\n")
            await asyncio.sleep(0.02)
            self.early += reader._buffer
            writer.write(b"250 2.0.0 queued\r\n250 ok\r\n250 ok\r\n354 go ahead\r\n")
        writer.write(b"250 2.0.0 queued\r\n")
        writer.close()


def test_the_next_envelope_goes_out_with_a_body_and_the_next_body_waits_for_its_354():
    async def go():
        patient = Patient(letters=3)
        async with await asyncio.start_server(patient, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            lane = SmtpTransport(
                Relay("127.0.0.1", port, "none", timeouts=SHORT, hello="test", **LETTERS)
            ).lane()
            outcomes = await each(lane, some(3))
            await lane.close()
            return kinds(outcomes), patient.bodies, patient.early

    assert run(go()) == ([ACCEPTED] * 3, 3, b"")


def test_the_relay_hears_the_same_commands_as_it_would_one_by_one():
    _, ahead, _ = talk()
    _, plain, _ = talk(pipelining="envelope")
    assert (ahead.commands, ahead.bodies) == (plain.commands, plain.bodies)


def test_it_works_through_tls(tmp_path):
    options = PIPELINING | {"starttls": certificate(tmp_path)}
    trusted = str(tmp_path / "cert.pem")
    outcomes, relay, possible = talk(None, some(4), options, security="starttls", ca_file=trusted)
    assert (kinds(outcomes), len(relay.bodies), possible) == ([ACCEPTED] * 4, 4, True)


@pytest.mark.parametrize(("script", "expected"), IN_A_CONVERSATION)
def test_every_answer_to_an_envelope_that_went_ahead_has_the_outcome_of_any_other(script, expected):
    """The third letter's; the relay has shown by then that it understands. Where MAIL is refused,
    or not answered, it is said again by itself, and answered alike."""
    late = {step: ["", "", *[answer] * 2] for step, answer in script.items()}
    outcomes, _, _ = talk(late, some(3), timeouts=TINY)
    assert [said(one) for one in outcomes[:2]] == [(ACCEPTED, Phase.DOT, 250, "2.0.0")] * 2
    assert said(outcomes[2]) == expected


@pytest.mark.parametrize(
    ("answer", "still"),
    [("550 5.5.1 synchronization error", False), (CUT, True), ("nonsense", True)],
)
def test_a_refusal_of_mail_that_went_ahead_is_asked_again_by_itself(answer, still):
    """A relay may close a connection after so many letters; what it refuses, it refuses."""
    outcomes, relay, possible = talk({"MAIL": ["", "", answer]}, some(4))
    assert (kinds(outcomes), possible) == ([ACCEPTED] * 4, still)
    assert (len(relay.bodies), len(set(relay.bodies)), relay.connections) == (4, 4, 2)


@pytest.mark.parametrize("answer", ["421 4.3.2 busy", "451 4.3.0 later"])
def test_a_relay_that_is_busy_is_believed_at_once(answer):
    outcomes, relay, _ = talk({"MAIL": ["", "", answer]}, some(3))
    assert said(outcomes[2])[1:3] == (Phase.MAIL, int(answer[:3]))
    assert relay.tries["MAIL"] == 3


def test_a_body_of_which_nobody_can_know_leaves_the_next_letter_alone():
    """And ends it: one relay crashes at an envelope that follows a body, now and then."""
    outcomes, relay, possible = talk({"dot": ["", "", CUT]}, some(5))
    assert kinds(outcomes) == [ACCEPTED, ACCEPTED, UNKNOWN, ACCEPTED, ACCEPTED]
    assert (len(relay.bodies), len(set(relay.bodies)), possible) == (5, 5, False)


def test_a_refused_body_leaves_the_envelope_behind_it_standing():
    outcomes, relay, _ = talk({"dot": ["", "", "552 5.3.4 too big"]}, some(4))
    assert kinds(outcomes) == [ACCEPTED, ACCEPTED, REFUSED, ACCEPTED]
    assert (relay.tries["MAIL"], relay.connections) == (4, 1)


def test_a_busy_relay_that_closes_after_a_body_gets_the_next_letter_by_a_new_connection():
    outcomes, relay, _ = talk({"dot": ["", "", "421 4.3.2 closing"]}, some(4))
    assert kinds(outcomes) == [ACCEPTED, ACCEPTED, RETURNED, ACCEPTED]
    assert relay.connections == 2


def test_a_recipient_who_is_refused_ahead_costs_no_connection():
    """DATA was taken for nobody: a lone dot ends it, and the next envelope goes as usual."""
    outcomes, relay, _ = talk({"RCPT": ["", "550 5.1.1 nobody"]}, some(4))
    assert kinds(outcomes) == [ACCEPTED, REFUSED, ACCEPTED, ACCEPTED]
    assert (relay.bodies[1], relay.connections) == (b".\r\n", 1)


def test_an_envelope_that_was_refused_whole_is_reset_before_the_next():
    """sendmail, for one, says "sender already specified" where it is not."""
    script = {"RCPT": ["", "550 5.1.1 nobody"], "DATA": ["", "503 5.0.0 need RCPT"]}
    outcomes, relay, _ = talk(script, some(4))
    assert kinds(outcomes) == [ACCEPTED, REFUSED, ACCEPTED, ACCEPTED]
    assert words(relay)[4:11] == ["MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA"]


# ------------------------------------------------------------------ the letter does not come


def test_a_lane_that_is_given_another_letter_cuts_and_sends_that_one_alone():
    async def go():
        async with ScriptedRelay(**PIPELINING) as relay:
            lane = lane_to(relay, **LETTERS)
            first, second, other = some(3)

            async def names_second():
                return second

            outcomes = [await lane.send(first, names_second), await lane.send(other, yes)]
            await lane.close()
            return kinds(outcomes), relay

    found, relay = run(go())
    assert found == [ACCEPTED, ACCEPTED]
    assert [b"<0@" in relay.bodies[0], b"<2@" in relay.bodies[1]] == [True, True]
    assert (len(relay.bodies), relay.connections) == (2, 2)


def test_a_lane_that_closes_while_an_envelope_is_out_sends_nothing_as_its_body():
    async def go():
        async with ScriptedRelay(**PIPELINING) as relay:
            lane = lane_to(relay, **LETTERS)
            first, second = some(2)

            async def names_second():
                return second

            await lane.send(first, names_second)
            await asyncio.sleep(0.02)  # it has said 354 by now
            await lane.close()
            await relay.ended.wait()
            return relay

    relay = run(go())
    assert (len(relay.bodies), "QUIT" in words(relay)) == (1, False)


def test_a_person_who_left_gets_no_body_though_the_envelope_is_out():
    letters = some(3)
    outcomes, relay, possible = talk(None, letters, refuses=letters[1:2])
    assert (kinds(outcomes), possible) == ([ACCEPTED, WITHDRAWN, ACCEPTED], True)
    assert [b"<0@" in relay.bodies[0], b"<2@" in relay.bodies[1]] == [True, True]


def test_an_address_that_no_relay_can_take_is_told_in_its_own_turn():
    letters = [*some(2), letter("ada@example.org\r\nRCPT TO:<eve@example.org>"), *some(1)]
    outcomes, relay, _ = talk(None, letters)
    assert kinds(outcomes) == [ACCEPTED, ACCEPTED, REFUSED, ACCEPTED]
    assert (relay.tries["MAIL"], relay.connections) == (3, 1)


def test_no_envelope_goes_ahead_on_a_connection_that_takes_no_more_letters():
    outcomes, relay, _ = talk(None, some(5), per_connection=2)
    assert (kinds(outcomes), relay.connections) == ([ACCEPTED] * 5, 3)
    assert relay.tries["MAIL"] == 5


@pytest.mark.parametrize(
    ("more", "kind"), [(0, UNKNOWN), (1, RETURNED)], ids=["the envelope alone", "and of the body"]
)
def test_what_our_buffer_still_holds_tells_whether_the_dot_was_out(monkeypatch, more, kind):
    """Given up after the dot, with the next envelope unwritten: nobody can know of the body."""
    first, second = some(2)
    group = b"MAIL FROM:<b+1@bounces.example.org> SIZE=%d RET=HDRS ENVID=1@example.org\r\n"
    group = group % len(second.raw) + b"RCPT TO:<r1@example.org>\r\nDATA\r\n"

    async def go():
        async with ScriptedRelay({"dot": HANG}, **PIPELINING) as relay:
            lane = lane_to(relay, timeouts=TINY, **LETTERS)

            async def names_second():
                held = property(lambda wire: len(group) + more)
                monkeypatch.setattr(Wire, "unwritten", held)
                return second

            return await lane.send(first, names_second)

    assert run(go()).kind == kind


# ------------------------------------------------------------------ a relay that does not


class Flushing(ScriptedRelay):
    """Drops whatever came behind a dot."""

    async def _act(self, step, writer):
        if step == "dot":
            await asyncio.sleep(0.02)
            self.reader._buffer.clear()
        await super()._act(step, writer)

    async def _converse(self, reader, writer):
        self.reader = reader
        await super()._converse(reader, writer)


def test_a_relay_that_drops_what_follows_a_dot_gets_each_letter_by_itself(caplog):
    async def go():
        async with Flushing(**PIPELINING) as relay:
            lane = lane_to(relay, timeouts=TINY, **LETTERS)
            return await each(lane, some(4)), relay

    with caplog.at_level(logging.WARNING):
        outcomes, relay = run(go())
    assert (kinds(outcomes), len(set(relay.bodies))) == ([ACCEPTED] * 4, 4)
    assert relay.connections == 2
    warned = [one.message for one in caplog.records if one.name == "digest.transports"]
    assert [message.partition(",")[0] for message in warned] == [
        "relay 127.0.0.1 does not take an envelope with the body before it"
    ]


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        *(("MAIL", answer) for answer in ("503 5.5.1 bad sequence", CUT, "nonsense", HANG)),
        *((step, answer) for step in ("RCPT", "DATA") for answer in (CUT, HANG)),
    ],
)
def test_a_relay_that_takes_offence_at_the_first_envelope_ahead_gets_no_other(step, answer):
    outcomes, relay, possible = talk({step: ["", answer]}, some(4), timeouts=TINY)
    assert (kinds(outcomes), possible) == ([ACCEPTED] * 4, False)
    assert (len(relay.bodies), len(set(relay.bodies)), relay.connections) == (4, 4, 2)


def test_the_first_envelope_ahead_is_not_waited_for_as_long_as_others(monkeypatch):
    """A relay that dropped it would cost five minutes."""
    monkeypatch.setattr("digest.transports.smtp.TRIAL", 0.1)

    async def go():
        async with ScriptedRelay({"MAIL": ["", HANG]}, **PIPELINING) as relay:
            lane = lane_to(relay, timeouts=replace(SHORT, command=60.0), **LETTERS)
            return await asyncio.wait_for(each(lane, some(3)), 10.0)

    assert kinds(run(go())) == [ACCEPTED] * 3


def test_a_letter_that_is_refused_for_what_came_behind_it_gets_another_chance():
    outcomes, _, possible = talk({"dot": ["554 5.5.0 commands after the dot"]}, some(3))
    assert (kinds(outcomes), possible) == ([DEFERRED, ACCEPTED, ACCEPTED], False)
    assert said(outcomes[0])[1:] == (Phase.DOT, 554, "5.5.0")


def test_a_first_body_without_an_answer_is_unknown_and_ends_the_trial():
    outcomes, _, possible = talk({"dot": [CUT]}, some(3))
    assert (kinds(outcomes), possible) == ([UNKNOWN, ACCEPTED, ACCEPTED], False)


def test_a_relay_that_is_busy_at_the_trial_is_tried_again():
    outcomes, _, possible = talk({"MAIL": ["", "421 4.3.2 busy"]}, some(4))
    assert (kinds(outcomes), possible) == ([ACCEPTED, RETURNED, ACCEPTED, ACCEPTED], True)


def test_one_lane_alone_tries_a_relay():
    ahead = Ahead("relay")
    ahead.begin()
    assert (ahead.possible, ahead.trying) == (False, True)
    assert ahead.envelope(None)
    assert (ahead.possible, ahead.trying) == (True, False)


def test_a_trial_that_nobody_waits_for_is_made_again():
    ahead = Ahead("relay")
    ahead.begin()
    ahead.dropped()
    assert ahead.possible


@pytest.mark.parametrize(
    ("pipelining", "offered", "possible"),
    [
        ("letters", ("PIPELINING",), True),
        ("letters", (), False),
        ("envelope", ("PIPELINING",), False),
        ("off", ("PIPELINING",), False),
    ],
)
def test_an_envelope_goes_ahead_only_where_that_is_offered_and_wanted(
    pipelining, offered, possible
):
    async def go():
        async with ScriptedRelay(offered=offered) as relay:
            lane = lane_to(relay, pipelining=pipelining)
            await lane.send(letter(), yes)
            return lane.ahead

    assert run(go()) == possible


def test_without_pipelining_each_command_waits_for_its_answer():
    """This relay is cut off by whoever says more than one command at a time."""

    class Strict(ScriptedRelay):
        async def _act(self, step, writer):
            if step in {"MAIL", "RCPT"}:
                await asyncio.sleep(0.01)
                assert not self.reader._buffer
            await super()._act(step, writer)

        async def _converse(self, reader, writer):
            self.reader = reader
            await super()._converse(reader, writer)

    async def go():
        async with Strict(**PIPELINING) as relay:
            return await each(lane_to(relay, pipelining="off"), some(2))

    assert kinds(run(go())) == [ACCEPTED] * 2


def test_a_cancelled_lane_gives_up_the_envelope_that_is_out():
    async def go():
        async with ScriptedRelay({"RCPT": ["", HANG]}, **PIPELINING) as relay:
            lane = lane_to(relay, **LETTERS)
            first, second = some(2)

            async def names_second():
                return second

            await lane.send(first, names_second)
            task = asyncio.create_task(lane.send(second, yes))
            await asyncio.sleep(0)
            while relay.tries["RCPT"] < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return lane._wire, lane._ahead, lane._transport.ahead.possible

    assert run(go()) == (None, None, True)


def test_a_stuffed_letter_and_one_that_is_not_both_carry_the_next_envelope():
    plain = [replace(one, raw=one.raw + b".dot\r\n") for one in some(4)]
    letters = [plain[0], replace(some(2)[1], stuffed=True), *plain[2:]]
    outcomes, relay, _ = talk(None, letters)
    assert kinds(outcomes) == [ACCEPTED] * 4
    assert [body.count(b"\r\n..dot\r\n") for body in relay.bodies] == [1, 0, 1, 1]
