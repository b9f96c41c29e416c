"""A connection to a relay once it is greeted, encrypted and logged in: lines out, replies in.

The library that opened it reads one reply at a time and loses those that arrive together; here
several commands may go out in one write (PIPELINING, RFC 2920), which costs one wait for three.
Replies are paired with commands by their order alone. What nobody asked for is dropped, so that it
is never taken for the answer to what is asked next.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

LONGEST_LINE = 8192
LONGEST_REPLY = 4 * LONGEST_LINE


class Reply(NamedTuple):
    """`message` holds the lines without their codes, joined by line feeds."""

    code: int
    message: str


class Nonsense(ValueError):
    """What came is no reply of SMTP."""


class Wire(asyncio.Protocol):
    """Takes `transport` over from whoever opened it. `offered` are EHLO's keywords."""

    def __init__(self, transport: asyncio.Transport, offered: Mapping[str, str]) -> None:
        self.offered = offered
        self.pipelining = "pipelining" in offered
        self._transport = transport
        self._buffer = b""
        self._owed = 0  # replies that are still to come
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._fault: Exception | None = None
        transport.set_protocol(self)

    @property
    def open(self) -> bool:
        return self._fault is None and not self._transport.is_closing()

    @property
    def encrypted(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None

    @property
    def unwritten(self) -> int:
        """Bytes that wait in this process."""
        return self._transport.get_write_buffer_size()

    def say(self, data: bytes, replies: int = 1) -> None:
        """Write commands that will be answered so many times. All earlier replies must have been
        read. Raises OSError where the connection is closed."""
        if not self.open:
            raise self._fault or ConnectionError("the connection is closed")
        self._buffer, self._owed = b"", replies
        self._replies.clear()
        self._transport.write(data)

    async def reply(self) -> Reply:
        """The next one that is owed; no time limit. Raises OSError where the connection ends
        before it, Nonsense where it is none."""
        while not self._replies:
            if self._fault is not None:
                raise self._fault
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._replies.popleft()

    def abort(self) -> None:
        """End the connection at once; what waits to be written is dropped."""
        self._fail(ConnectionAbortedError("the connection was cut"))
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    # -------------------------------------------------------------- what asyncio calls

    def data_received(self, data: bytes) -> None:
        if not self._owed:
            return
        try:
            self._take(self._buffer + data)
        except ValueError as error:
            self._fail(Nonsense(f"no reply of SMTP: {error}"))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        lost = ConnectionResetError("the relay closed the connection")
        lost.__cause__ = exc
        self._fail(lost)

    def _fail(self, error: Exception) -> None:
        self._fault = self._fault or error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, data: bytes) -> None:
        """As many replies as are owed; the rest of the data may be the beginning of one."""
        while self._owed:
            reply, end = parse(data)
            if reply is None:
                break
            self._replies.append(reply)
            self._owed -= 1
            data = data[end:]
        self._buffer = data


def parse(data: bytes) -> tuple[Reply | None, int]:
    """The reply that begins the data and where it ends; (None, 0) where it is not complete.
    Raises ValueError for what cannot be one."""
    lines, begin = [], 0
    while (end := data.find(b"\n", begin)) >= 0:
        line = data[begin : end + 1]
        if len(line) > LONGEST_LINE:
            break
        code, begin = _code(line), end + 1
        lines.append(line[4:].strip(b" \t\r\n"))
        if line[3:4] != b"-":
            return Reply(code, b"\n".join(lines).decode("utf-8", "surrogateescape")), begin
    if len(data) - begin > LONGEST_LINE or len(data) > LONGEST_REPLY:
        raise ValueError("it is too long")
    return None, 0


def _code(line: bytes) -> int:
    if not line[:3].isdigit():
        raise ValueError(line[:80].decode("utf-8", "replace").strip())
    return int(line[:3])


_BARE = re.compile(rb"\r\n|\r|\n")


def stuffed(raw: bytes) -> bytes:
    """A letter as DATA wants it: CRLF, leading dots doubled, the final dot.

    A bare CR or LF never goes out: relays differ on it, and that is how letters are smuggled.
    """
    if not raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"):
        raw = _BARE.sub(b"\r\n", raw)
    raw = raw.replace(b"\r\n.", b"\r\n..")
    head = b"." if raw.startswith(b".") else b""
    tail = b".\r\n" if raw.endswith(b"\r\n") else b"\r\n.\r\n"
    return b"".join((head, raw, tail))
