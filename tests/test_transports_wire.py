"""Replies as they come off a connection: in pieces, together, unasked, too long."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.transports.wire import LONGEST_LINE, LONGEST_REPLY, Nonsense, Reply, Wire, parse


class Nowhere(asyncio.Transport):
    """A connection that takes everything; what comes back is up to the test."""

    written = b""
    closing = False

    def set_protocol(self, protocol):
        pass

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.closing

    def abort(self):
        self.closing = True


def heard(chunks, replies=3):
    """What is read of these pieces after commands that so many replies are owed to."""

    async def go():
        wire = Wire(Nowhere(), {})
        wire.say(b"MAIL\r\nRCPT\r\nDATA\r\n", replies)
        for chunk in chunks:
            wire.data_received(chunk)
        return [await asyncio.wait_for(wire.reply(), 1) for _ in range(replies)]

    return asyncio.run(go())


THREE = b"250 2.1.0 ok\r\n250-2.1.5 two\r\n250 2.1.5 lines\r\n354 go ahead\r\n"
READ = [Reply(250, "2.1.0 ok"), Reply(250, "2.1.5 two\n2.1.5 lines"), Reply(354, "go ahead")]


@given(st.lists(st.integers(0, len(THREE)), max_size=6))
def test_replies_are_the_same_however_they_are_cut(places):
    cuts = [0, *sorted(places), len(THREE)]
    chunks = [THREE[a:b] for a, b in pairwise(cuts)]
    assert heard(chunks) == READ


def test_what_nobody_asked_for_is_not_taken_for_the_next_answer():
    async def go():
        wire = Wire(Nowhere(), {})
        wire.data_received(b"421 4.4.2 idle too long\r\n")
        wire.say(b"RSET\r\n")
        wire.data_received(b"250 ok\r\n451 what else?\r\n")
        first = await wire.reply()
        wire.say(b"RSET\r\n")
        wire.data_received(b"250 again\r\n")
        return first, await wire.reply()

    assert asyncio.run(go()) == (Reply(250, "ok"), Reply(250, "again"))


def test_replies_that_came_before_the_end_are_still_read():
    async def go():
        wire = Wire(Nowhere(), {})
        wire.say(b"MAIL\r\nRCPT\r\n", 2)
        wire.data_received(b"550 5.7.1 no\r\n")
        wire.connection_lost(None)
        first = await wire.reply()
        with pytest.raises(ConnectionError):
            await wire.reply()
        with pytest.raises(ConnectionError):
            wire.say(b"RSET\r\n")
        return first, wire.open

    assert asyncio.run(go()) == (Reply(550, "5.7.1 no"), False)


@pytest.mark.parametrize(
    "data",
    [
        b"hello there\r\n",
        b"25\r\n",
        b"\r\n",
        b"+25 ok\r\n",
        b"250 " + b"x" * LONGEST_LINE + b"\r\n",
        b"250 " + b"x" * LONGEST_LINE,
        b"250-more\r\n" * LONGEST_REPLY,
    ],
)
def test_nonsense_is_an_error_and_never_waited_for(data):
    with pytest.raises(Nonsense):
        heard([data], 1)


def test_half_a_reply_is_none():
    assert parse(b"250-2.1.0 more to co") == (None, 0)


def test_a_reply_ends_where_the_next_begins():
    assert parse(b"250 ok\r\n354") == (Reply(250, "ok"), 8)
