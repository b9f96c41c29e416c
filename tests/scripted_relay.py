"""A relay whose every step can be told to misbehave, on loopback.

    async with ScriptedRelay({"RCPT": ["450 4.2.0 later"], "dot": CUT}) as relay: ...

A step (connect, EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, body, dot, RSET, QUIT) is given a
list of actions, used up one by one before it behaves well, or one action for ever. An action is a
reply (with \\n between lines), CUT, HANG, or "" for the proper one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Mapping
from typing import Any

CUT, HANG, PAUSE = "<cut>", "<hang>", "<pause>"
PLAIN = ("8BITMIME", "SMTPUTF8", "DSN", "SIZE 1000000")
OFFERED = (*PLAIN, "PIPELINING")  # as nearly every relay
PROPER = {
    "connect": "220 relay ESMTP",
    "STARTTLS": "220 2.0.0 go ahead",
    "AUTH": "235 2.7.0 welcome",
    "DATA": "354 go ahead",
    "dot": "250 2.0.0 queued",
    "QUIT": "221 2.0.0 bye",
}


class _Over(Exception):
    """This conversation ends here."""


class ScriptedRelay:
    def __init__(
        self,
        script: Mapping[str, Any] | None = None,
        *,
        offered: tuple[str, ...] = OFFERED,
        starttls: ssl.SSLContext | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script = dict(script or {})
        self.offered, self.starttls, self.tls = offered, starttls, tls
        self.commands: list[str] = []
        self.bodies: list[bytes] = []  # as they came, dots stuffed
        self.tries: Counter[str] = Counter()
        self.connections = 0
        self.over_tls = False
        self.ended = asyncio.Event()  # a conversation is over
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> ScriptedRelay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer) -> None:
        self._tasks.add(task := asyncio.current_task())
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            await self._converse(reader, writer)
        except (_Over, OSError, EOFError):
            pass
        finally:
            writer.transport.abort()
            self.ended.set()

    async def _converse(self, reader, writer) -> None:
        await self._act("connect", writer)
        while line := await reader.readline():
            self.commands.append(line.decode().rstrip("\r\n"))
            verb = line.split()[0].decode().upper()
            await self._act(verb, writer)
            if verb == "QUIT":
                return
            if verb == "STARTTLS":
                await writer.start_tls(self.starttls)
                self.over_tls = True
            if verb == "DATA" and self._last.startswith("354"):
                await self._take_body(reader, writer)

    async def _take_body(self, reader, writer) -> None:
        action = self._next("body")
        if action == CUT:
            await reader.read(10)
            raise _Over
        if action == PAUSE:
            await asyncio.sleep(0.5)
        body = bytearray()
        while not body.endswith(b"\r\n.\r\n") and body != b".\r\n":
            body += await reader.readuntil(b"\r\n")
        self.bodies.append(bytes(body))
        await self._act("dot", writer)

    def _next(self, step: str):
        self.tries[step] += 1
        acts = self.script.get(step, "")
        if not isinstance(acts, list):
            return acts
        return acts.pop(0) if acts else ""

    async def _act(self, step: str, writer) -> None:
        action = self._next(step)
        if callable(action):
            action = await action()
        action = self._last = action or self._proper(step)
        if action == CUT:
            raise _Over
        if action == HANG:
            await asyncio.sleep(60)
        writer.write(action.replace("\n", "\r\n").encode("utf-8", "surrogateescape") + b"\r\n")
        await writer.drain()

    def _proper(self, step: str) -> str:
        if step != "EHLO":
            return PROPER.get(step, "250 ok")
        offered = [*self.offered]
        if self.starttls is not None and not self.over_tls:
            offered.append("STARTTLS")
        lines = ["relay", *offered]
        return "\n".join([*(f"250-{word}" for word in lines[:-1]), f"250 {lines[-1]}"])
