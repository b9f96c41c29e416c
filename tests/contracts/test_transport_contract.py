"""What every transport promises, and what ours relies on in aiosmtplib's undocumented side."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from delivering import SHORT, letter
from scripted_relay import ScriptedRelay

from digest.model import OutcomeKind, Phase
from digest.transports.catcher import Catcher
from digest.transports.maildir import MaildirTransport
from digest.transports.smtp import Relay, SmtpTransport
from digest.transports.wire import Nonsense, Wire


async def yes() -> bool:
    return True


@asynccontextmanager
async def by_smtp(folder: Path):
    async with Catcher() as catcher:
        relay = Relay("127.0.0.1", catcher.port, "none", lanes=2, timeouts=SHORT, hello="test")
        yield SmtpTransport(relay), lambda: [caught.raw for caught in catcher.caught]


@asynccontextmanager
async def by_maildir(folder: Path):
    def arrived() -> list[bytes]:
        return [path.read_bytes() for path in sorted((folder / "new").glob("*"))]

    yield MaildirTransport(folder), arrived


@asynccontextmanager
async def to_nobody(folder: Path):
    (folder / "blocked").write_text("a file where a folder should be")
    yield MaildirTransport(folder / "blocked"), list


def check(opening, folder, scenario):
    """Run `scenario(transport, arrived)` and close what was opened."""

    async def go():
        async with opening(folder) as (transport, arrived):
            return await scenario(transport, arrived)

    return asyncio.run(go())


every = pytest.mark.parametrize("opening", [by_smtp, by_maildir])


@every
def test_a_letter_arrives_byte_for_byte(opening, tmp_path):
    sent = letter(body=b".dots\r\n..more\r\n" + b"x" * 900 + b"\r\n")

    async def scenario(transport, arrived):
        lane = transport.lane()
        outcome = await lane.send(sent, yes)
        await lane.close()
        return outcome.kind, outcome.phase, arrived()

    assert (OutcomeKind.ACCEPTED, Phase.DOT, [sent.raw]) == check(opening, tmp_path, scenario)


@every
def test_a_lane_sends_one_letter_after_another(opening, tmp_path):
    sent = [letter(message_id=f"<{n}@example.org>") for n in range(3)]

    async def scenario(transport, arrived):
        lane = transport.lane()
        for one in sent:
            await lane.send(one, yes)
        await lane.close()
        return sorted(arrived())

    assert sorted(one.raw for one in sent) == check(opening, tmp_path, scenario)


@every
def test_nothing_arrives_where_the_caller_says_no(opening, tmp_path):
    async def no() -> bool:
        return False

    async def scenario(transport, arrived):
        lane = transport.lane()
        outcome = await lane.send(letter(), no)
        again = await lane.send(letter(), yes)
        await lane.close()
        return outcome.kind, again.kind, len(arrived())

    expected = (OutcomeKind.WITHDRAWN, OutcomeKind.ACCEPTED, 1)
    assert expected == check(opening, tmp_path, scenario)


@every
def test_nothing_arrives_where_the_caller_breaks(opening, tmp_path):
    async def broken() -> bool:
        raise OSError("disk")

    async def scenario(transport, arrived):
        lane = transport.lane()
        with pytest.raises(OSError, match="disk"):
            await lane.send(letter(), broken)
        again = await lane.send(letter(), yes)
        await lane.close()
        return again.kind, len(arrived())

    assert check(opening, tmp_path, scenario) == (OutcomeKind.ACCEPTED, 1)


@every
def test_the_caller_is_asked_once_for_each_letter(opening, tmp_path):
    asked = []

    async def count() -> bool:
        asked.append(1)
        return True

    async def scenario(transport, arrived):
        lane = transport.lane()
        await lane.send(letter(), count)
        await lane.send(letter(), count)
        await lane.close()

    check(opening, tmp_path, scenario)
    assert len(asked) == 2


@pytest.mark.parametrize("opening", [by_smtp, by_maildir])
def test_closing_never_raises(opening, tmp_path):
    async def scenario(transport, arrived):
        lane = transport.lane()
        await lane.close()
        await lane.send(letter(), yes)
        await lane.close()
        await lane.close()

    check(opening, tmp_path, scenario)


def test_a_folder_that_cannot_be_written_is_a_next_hop_that_is_down(tmp_path):
    async def scenario(transport, arrived):
        return await transport.lane().send(letter(), yes)

    outcome = check(to_nobody, tmp_path, scenario)
    assert (outcome.kind, outcome.phase) == (OutcomeKind.RETURNED, Phase.CONNECT)
    assert "blocked" in outcome.text


# ------------------------------------------------------------------ aiosmtplib, pinned


def test_aiosmtplib_is_new_enough_to_refuse_injected_commands():
    assert tuple(int(part) for part in version("aiosmtplib").split(".")[:3]) >= (5, 1, 3)


def split_conversation(scenario, script=None):
    from aiosmtplib import SMTP

    async def go():
        async with ScriptedRelay(script) as relay:
            smtp = SMTP(hostname="127.0.0.1", port=relay.port, local_hostname="t", start_tls=False)
            await smtp.connect()
            try:
                return await scenario(smtp, relay)
            finally:
                smtp.close()

    return asyncio.run(go())


async def ask(wire, line):
    wire.say(line + b"\r\n")
    return await wire.reply()


def taken_over(smtp):
    """As a lane does once the library has opened the connection."""
    return Wire(smtp.transport, smtp.esmtp_extensions)


def test_aiosmtplib_lets_its_connection_be_taken_over():
    async def scenario(smtp, relay):
        await smtp.ehlo()
        wire = taken_over(smtp)
        await ask(wire, b"MAIL FROM:<a@b.c>")
        await ask(wire, b"RCPT TO:<a@b.c>")
        go = await ask(wire, b"DATA")
        end = await ask(wire, b"raw\r\n.")
        return go.code, end, relay.bodies, wire.open

    expected = (354, (250, "2.0.0 queued"), [b"raw\r\n.\r\n"], True)
    assert split_conversation(scenario) == expected


def test_a_connection_that_was_taken_over_is_not_closed_with_its_opener():
    async def scenario(smtp, relay):
        await smtp.ehlo()
        wire = taken_over(smtp)
        del smtp
        gc.collect()
        return (await ask(wire, b"MAIL FROM:<a@b.c>")).code

    assert split_conversation(scenario) == 250


@pytest.mark.parametrize("action", ["<cut>", "nonsense"])
def test_a_cut_and_nonsense_are_told_from_a_reply(action):
    expected = ConnectionError if action == "<cut>" else Nonsense

    async def scenario(smtp, relay):
        await smtp.ehlo()
        with pytest.raises(expected):
            await ask(taken_over(smtp), b"MAIL FROM:<a@b.c>")
        return True

    assert split_conversation(scenario, {"MAIL": action})


def test_a_wait_ends_when_the_connection_is_aborted():
    async def scenario(smtp, relay):
        await smtp.ehlo()
        wire = taken_over(smtp)
        asyncio.get_running_loop().call_later(0.05, wire.abort)
        with pytest.raises(ConnectionError):
            await ask(wire, b"MAIL FROM:<a@b.c>")
        return wire.open

    assert split_conversation(scenario, {"MAIL": "<hang>"}) is False


def test_aiosmtplib_lists_what_is_offered_in_lower_case_and_keeps_parameters():
    async def scenario(smtp, relay):
        await smtp.ehlo()
        return smtp.esmtp_extensions["size"], "smtputf8" in smtp.esmtp_extensions

    assert split_conversation(scenario) == ("1000000", True)
