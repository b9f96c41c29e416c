"""What every transport promises, and what ours relies on in aiosmtplib's undocumented side."""

from __future__ import annotations

import asyncio
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


async def ask(smtp, line):
    """As a lane does: write, then wait without the library's own timer."""
    smtp.protocol.write(line + b"\r\n")
    return await smtp.protocol.read_response(None)


def test_aiosmtplib_lets_us_write_and_read_each_line_of_the_conversation():
    async def scenario(smtp, relay):
        await smtp.ehlo()
        await ask(smtp, b"MAIL FROM:<a@b.c>")
        await ask(smtp, b"RCPT TO:<a@b.c>")
        go = await ask(smtp, b"DATA")
        end = await ask(smtp, b"raw\r\n.")
        return go.code, end.code, end.message, relay.bodies, smtp.is_connected

    expected = (354, 250, "2.0.0 queued", [b"raw\r\n.\r\n"], True)
    assert split_conversation(scenario) == expected


def test_aiosmtplib_reads_a_reply_of_several_lines_as_one():
    async def scenario(smtp, relay):
        await smtp.ehlo()
        return await ask(smtp, b"MAIL FROM:<a@b.c>")

    reply = split_conversation(scenario, {"MAIL": "550-5.7.1 not\n550 5.7.1 you"})
    assert (reply.code, reply.message) == (550, "5.7.1 not\n5.7.1 you")


@pytest.mark.parametrize("action", ["<cut>", "nonsense"])
def test_aiosmtplib_tells_a_cut_and_nonsense_from_a_reply(action):
    from aiosmtplib import SMTPResponseException, SMTPServerDisconnected

    expected = SMTPServerDisconnected if action == "<cut>" else SMTPResponseException

    async def scenario(smtp, relay):
        await smtp.ehlo()
        with pytest.raises(expected) as caught:
            await ask(smtp, b"MAIL FROM:<a@b.c>")
        return getattr(caught.value, "code", -1)

    assert split_conversation(scenario, {"MAIL": action}) == -1


def test_aiosmtplib_ends_a_wait_when_the_connection_is_aborted():
    from aiosmtplib import SMTPServerDisconnected

    async def scenario(smtp, relay):
        await smtp.ehlo()
        asyncio.get_running_loop().call_later(0.05, smtp.transport.abort)
        with pytest.raises(SMTPServerDisconnected):
            await ask(smtp, b"MAIL FROM:<a@b.c>")
        return smtp.is_connected

    assert split_conversation(scenario, {"MAIL": "<hang>"}) is False


def test_aiosmtplib_lists_what_is_offered_in_lower_case_and_keeps_parameters():
    async def scenario(smtp, relay):
        await smtp.ehlo()
        return smtp.esmtp_extensions["size"], "smtputf8" in smtp.esmtp_extensions

    assert split_conversation(scenario) == ("1000000", True)


def test_aiosmtplib_hands_over_a_transport_that_can_be_aborted():
    async def scenario(smtp, relay):
        return isinstance(smtp.transport, asyncio.WriteTransport)

    assert split_conversation(scenario)
