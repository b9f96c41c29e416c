"""A small SMTP server on loopback that keeps what it accepts as .eml files: for `digest demo`.

It speaks enough of RFC 5321 for any client and for a curious person with netcat. It is no relay:
nothing leaves the folder.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

MOST_BYTES = 50_000_000
OFFERED = ("8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", f"SIZE {MOST_BYTES}")
_PATH = re.compile(rb"<([^>]*)>")
_UNSAFE = re.compile(r"[^A-Za-z0-9@._+-]+")
_SIMPLE = {
    b"QUIT": "221 2.0.0 bye",
    b"NOOP": "250 2.0.0 nothing done",
    b"VRFY": "252 2.1.5 send it and see",
    b"HELP": "214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP QUIT",
}


@dataclass(frozen=True, slots=True)
class Caught:
    """One accepted letter: its envelope and its bytes as they came, dots unstuffed."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    path: Path | None = None


class Catcher:
    """`async with Catcher(folder) as catcher:` listens on `catcher.port`; port 0 picks a free one.

    Each letter is kept in `caught` and, where there is a folder, written there as one file before
    the client hears 250.
    """

    def __init__(self, folder: str | Path | None = None, port: int = 0) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.port = port
        self.caught: list[Caught] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Catcher:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await Conversation(self, reader, writer).run()
        except (ConnectionError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # gone in mid-sentence, or no SMTP at all
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def keep(self, sender: str, recipients: tuple[str, ...], raw: bytes) -> Caught:
        """Take responsibility for a letter."""
        path = None
        if self.folder is not None:
            number = len(self.caught) + 1
            path = self.folder / f"{number:04}-{_UNSAFE.sub('_', recipients[0])[:100]}.eml"
            path.write_bytes(raw)
        letter = Caught(sender, recipients, raw, path)
        self.caught.append(letter)
        return letter


class Conversation:
    """One client. An envelope is made by MAIL and RCPT, and ended by DATA, RSET or EHLO."""

    def __init__(
        self, catcher: Catcher, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.catcher, self.reader, self.writer = catcher, reader, writer
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def run(self) -> None:
        await self.say("220 catcher ESMTP")
        while line := await self.reader.readline():
            verb = line[:4].upper().strip()
            await self.say(await self._data() if verb == b"DATA" else self.answer(verb, line))
            if verb == b"QUIT":
                break

    def answer(self, verb: bytes, line: bytes) -> str:
        """The reply to a command that is not DATA."""
        if verb in {b"EHLO", b"HELO", b"RSET"}:
            self._forget()
            return self._hello() if verb == b"EHLO" else "250 catcher"
        if verb == b"MAIL":
            return self._mail(line)
        if verb == b"RCPT":
            return self._rcpt(line)
        return _SIMPLE.get(verb, "502 5.5.1 command not known")

    def _hello(self) -> str:
        lines = ["catcher", *OFFERED]
        return "\r\n".join(f"250-{word}" for word in lines[:-1]) + f"\r\n250 {lines[-1]}"

    def _mail(self, line: bytes) -> str:
        if (found := _PATH.search(line)) is None:
            return "501 5.5.4 MAIL FROM:<address>"
        self._forget()
        self.sender = found[1].decode("utf-8", "replace")
        return "250 2.1.0 ok"

    def _rcpt(self, line: bytes) -> str:
        found = _PATH.search(line)
        if self.sender is None:
            return "503 5.5.1 MAIL comes first"
        if found is None or b"@" not in found[1]:
            return "501 5.1.3 RCPT TO:<address>"
        self.recipients.append(found[1].decode("utf-8", "replace"))
        return "250 2.1.5 ok"

    async def _data(self) -> str:
        if self.sender is None or not self.recipients:
            return "503 5.5.1 no recipients"
        await self.say("354 end with a dot on a line of its own")
        raw = await self._body()
        if raw is None:
            return "552 5.3.4 too large"
        self.catcher.keep(self.sender, tuple(self.recipients), raw)
        self._forget()
        return f"250 2.0.0 kept as {len(self.catcher.caught)}"

    async def _body(self) -> bytes | None:
        """The letter, dots unstuffed; None where it is too large."""
        lines: list[bytes] = []
        size = 0
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            size += len(line)
            if size <= MOST_BYTES:
                lines.append(line.removeprefix(b"."))
        return b"".join(lines) if size <= MOST_BYTES else None

    async def say(self, line: str) -> None:
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()

    def _forget(self) -> None:
        self.sender, self.recipients = None, []
