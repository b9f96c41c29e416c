"""The embedded catcher: an SMTP server that any client can talk to."""

from __future__ import annotations

import asyncio
import smtplib

from delivering import run

from digest.transports.catcher import Catcher


def with_client(scenario, folder=None):
    """Run a blocking client beside the catcher: (what it returned, the catcher)."""

    async def go():
        async with Catcher(folder) as catcher:
            return await asyncio.to_thread(scenario, catcher.port), catcher

    return run(go())


def test_a_letter_becomes_a_file_with_its_dots(tmp_path):
    def scenario(port):
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail("a@b.c", ["ada@b.c", "bob@b.c"], b"Subject: x\r\n\r\n.dot\r\n")

    _, catcher = with_client(scenario, tmp_path / "letters")
    [caught] = catcher.caught
    assert (caught.sender, caught.recipients) == ("a@b.c", ("ada@b.c", "bob@b.c"))
    assert caught.path.name == "0001-ada@b.c.eml"
    assert caught.path.read_bytes() == b"Subject: x\r\n\r\n.dot\r\n"


def test_commands_out_of_order_are_refused():
    def scenario(port):
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo()
            commands = ["RCPT TO:<a@b.c>", "DATA", "MAIL nonsense", "WHAT", "NOOP", "RSET"]
            return [client.docmd(command)[0] for command in commands]

    codes, _ = with_client(scenario)
    assert codes == [503, 503, 501, 502, 250, 250]


def test_a_client_that_leaves_in_mid_letter_leaves_nothing():
    def scenario(port):
        client = smtplib.SMTP("127.0.0.1", port)
        client.ehlo()
        client.docmd("MAIL FROM:<a@b.c>")
        client.docmd("RCPT TO:<a@b.c>")
        client.docmd("DATA")
        client.send(b"half a let")
        client.close()

    _, catcher = with_client(scenario)
    assert catcher.caught == []


def test_an_endless_line_ends_only_its_own_conversation():
    def scenario(port):
        client = smtplib.SMTP("127.0.0.1", port)
        try:
            client.send(b"x" * 200_000)
            client.close()
        except OSError:
            pass
        with smtplib.SMTP("127.0.0.1", port) as other:
            return other.noop()[0]

    code, _ = with_client(scenario)
    assert code == 250
