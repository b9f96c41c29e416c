"""SMTP through aiosmtplib, the conversation split so that the phase is always known.

`sendmail()` of the library cannot tell a cut before 354 from one after the dot, and
`send_message()` writes the letter anew; here its single verbs are used, and the bytes of the
letter go out as they are (CRLF, dots stuffed: RFC 5321 4.5.2). What is used of the library's
undocumented side (`SMTP.protocol`, its `write` and `read_response`) is pinned by
tests/contracts/test_transport_contract.py.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from aiosmtplib import SMTP, SMTPException, SMTPHeloError, SMTPResponseException
from aiosmtplib.response import SMTPResponse

from digest.model import Letter, Outcome, OutcomeKind, Phase
from digest.transports import BeforeBody
from digest.transports.envelope import Unsendable, envelope
from digest.transports.patience import Patience
from digest.transports.replies import bounded, enhanced, judge

Security = Literal["tls", "starttls", "opportunistic", "none"]
FAULTS = (SMTPException, OSError, EOFError, ValueError, RuntimeError)
"""What a broken or lying relay makes aiosmtplib and asyncio raise (timeouts are OSErrors)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a relay, each step alone (RFC 5321 4.5.3.2; connecting is shorter, so
    that a dead relay is known soon)."""

    connect: float = 30.0  # TCP, greeting, EHLO, TLS, AUTH
    command: float = 300.0  # MAIL, RCPT, RSET
    data: float = 120.0  # DATA until 354
    dot: float = 600.0  # the final dot until its reply
    quit: float = 2.0


@dataclass(frozen=True, slots=True)
class Relay:
    """The next hop. `security`: tls (from the first byte), starttls (required), opportunistic
    (TLS where offered, certificate not checked, no password without TLS), none.

    `per_connection` letters and `seconds` bound how long one connection is used.
    """

    host: str
    port: int = 25
    security: Security = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    lanes: int = 10
    timeouts: Timeouts = Timeouts()
    per_connection: int = 1000
    seconds: float = 600.0
    ca_file: str = ""  # certificates to trust besides the system's
    hello: str = ""  # our name in EHLO; default: this machine's


class Unusable(SMTPException):
    """The relay is there but must not be used as it is."""


class SmtpTransport:
    """Lanes to one relay. They share what is learnt of it: its cap of letters a connection."""

    name = "smtp"

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.lanes = relay.lanes
        self.cap = relay.per_connection
        self._silent_at = 0
        self._hello: str | None = relay.hello or None
        self._context: ssl.SSLContext | None = None

    def lane(self) -> SmtpLane:
        return SmtpLane(self)

    def closed_in_silence(self, letters: int) -> None:
        """A connection was closed without a word after so many letters. Twice the same number
        is taken for the relay's cap, and the next connections stay below it."""
        if letters and letters == self._silent_at:
            self.cap = min(self.cap, letters)
        self._silent_at = letters

    async def hello(self) -> str:
        """Our name, looked up once for all lanes."""
        if self._hello is None:
            name = await asyncio.to_thread(socket.getfqdn)
            self._hello = name if name.isascii() and name.strip() else "localhost"
        return self._hello

    async def context(self) -> ssl.SSLContext | None:
        """The TLS settings, read once for all lanes (reading the certificates takes 20 ms)."""
        if self._context is None and self.relay.security != "none":
            self._context = await asyncio.to_thread(_tls_context, self.relay)
        return self._context


def _tls_context(relay: Relay) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if relay.ca_file:
        context.load_verify_locations(relay.ca_file)
    if relay.security == "opportunistic":  # RFC 7435: better than clear text, and no more
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class SmtpLane:
    """One connection, opened when a letter comes, reused within the relay's limits."""

    def __init__(self, transport: SmtpTransport) -> None:
        self._transport = transport
        self._relay = transport.relay
        self._smtp: SMTP | None = None
        self._phase = Phase.CONNECT
        self._letters = 0  # answered on this connection
        self._opened = 0.0
        self._dirty = False  # the relay may hold a half-made envelope
        self._patience = Patience(self._give_up)
        self._unsent = False  # when we gave up, our own buffer still held something

    async def send(self, letter: Letter, before_body: BeforeBody) -> Outcome:
        try:
            early = await self._to_354(letter)
            if early is not None:
                return early
            if not await before_body():
                self._cut()
                return Outcome(OutcomeKind.WITHDRAWN, Phase.DATA)
            return await self._body(letter.raw)
        except BaseException:
            self._cut()
            raise

    async def close(self) -> None:
        self._patience.end()
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        if smtp.is_connected:
            with suppress(*FAULTS):
                await smtp.quit(timeout=self._relay.timeouts.quit)
        smtp.close()

    # -------------------------------------------------------------- before the body

    async def _to_354(self, letter: Letter) -> Outcome | None:
        """The conversation up to "354 go ahead": None, or how it ended before that."""
        self._phase = Phase.CONNECT
        try:
            smtp = await self._ready()
            mail, rcpt = envelope(letter, smtp.esmtp_extensions)
            waits = self._relay.timeouts
            for phase, command, wanted, timeout in (
                (Phase.MAIL, mail, 250, waits.command),
                (Phase.RCPT, rcpt, 250, waits.command),
                (Phase.DATA, b"DATA", 354, waits.data),
            ):
                self._phase, self._dirty = phase, True
                reply = await self._ask(smtp, command + b"\r\n", timeout)
                if reply.code != wanted and not (phase is Phase.RCPT and reply.code == 251):
                    return self._answered(reply)
        except Unsendable as error:
            text = bounded(str(error))
            return Outcome(OutcomeKind.REFUSED, error.phase, None, error.enhanced, text)
        except FAULTS as error:
            return self._lost(error)
        return None

    async def _ask(self, smtp: SMTP, data: bytes, seconds: float) -> SMTPResponse:
        """Write and wait for the reply."""
        protocol = smtp.protocol
        if protocol is None:
            raise ConnectionError("closed")
        with self._patience.of(seconds):
            protocol.write(data)
            return await protocol.read_response(None)

    def _give_up(self) -> None:
        """The relay took too long: what is awaited ends with the connection."""
        wire = self._smtp.transport if self._smtp else None
        if isinstance(wire, asyncio.WriteTransport):
            self._unsent = wire.get_write_buffer_size() > 0
            wire.abort()

    async def _ready(self) -> SMTP:
        """A connection with an empty envelope."""
        if self._smtp is not None and await self._still_good(self._smtp):
            return self._smtp
        await self.close()
        self._smtp = await self._connect()
        self._letters, self._dirty, self._unsent = 0, False, False
        self._patience.lost = False
        self._opened = asyncio.get_running_loop().time()
        return self._smtp

    async def _still_good(self, smtp: SMTP) -> bool:
        if not smtp.is_connected:
            self._transport.closed_in_silence(self._letters)
            return False
        age = asyncio.get_running_loop().time() - self._opened
        if self._letters >= self._transport.cap or age > self._relay.seconds:
            return False
        return not self._dirty or await self._reset(smtp)

    async def _reset(self, smtp: SMTP) -> bool:
        try:
            reply = await self._ask(smtp, b"RSET\r\n", self._relay.timeouts.command)
        except FAULTS:
            return False
        self._dirty = False
        return reply.code == 250

    async def _connect(self) -> SMTP:
        relay = self._relay
        smtp = SMTP(
            hostname=relay.host,
            port=relay.port,
            local_hostname=await self._transport.hello(),
            timeout=relay.timeouts.connect,
            use_tls=relay.security == "tls",
            start_tls={"starttls": True, "opportunistic": None}.get(relay.security, False),
            tls_context=await self._transport.context(),
        )
        try:
            await smtp.connect()
            await _greet(smtp)
            await self._log_in(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _log_in(self, smtp: SMTP) -> None:
        relay = self._relay
        if not relay.username:
            return
        if relay.security == "opportunistic" and smtp.get_transport_info("sslcontext") is None:
            raise Unusable(
                "the relay offers no TLS, and no password goes out in the clear; set "
                'smtp.security = "starttls"'
            )
        await smtp.login(relay.username, relay.password)

    # -------------------------------------------------------------- the body

    async def _body(self, raw: bytes) -> Outcome:
        """The body and the reply to its final dot. Once that dot may be out, silence is unknown."""
        smtp = self._smtp
        if smtp is None or not smtp.is_connected:
            return self._lost(ConnectionError("closed before the body"))
        try:
            reply = await self._ask(smtp, stuffed(raw), self._relay.timeouts.dot)
        except FAULTS as error:
            self._cut()
            kind = OutcomeKind.RETURNED if self._unsent else OutcomeKind.UNKNOWN
            return Outcome(kind, Phase.BODY, None, None, self._words(error))
        self._phase, self._dirty = Phase.DOT, False
        self._letters += 1
        return self._answered(reply)

    # -------------------------------------------------------------- endings

    def _answered(self, reply: SMTPResponse) -> Outcome:
        """What a reply means for the letter. 421 and nonsense end the connection."""
        kind = judge(reply.code, self._phase)
        if kind in {OutcomeKind.RETURNED, OutcomeKind.UNKNOWN}:
            self._cut()
        text = bounded(reply.message)
        return Outcome(kind, self._phase, reply.code, enhanced(reply.code, text), text)

    def _lost(self, error: BaseException) -> Outcome:
        """The conversation broke off before the body: nothing was accepted."""
        if self._phase is Phase.MAIL and isinstance(error, ConnectionError):
            self._transport.closed_in_silence(self._letters)
        self._cut()
        code = error.code if isinstance(error, SMTPResponseException) and error.code > 0 else None
        text = self._words(error)
        found = enhanced(code, text) if code else None
        return Outcome(OutcomeKind.RETURNED, self._phase, code, found, text)

    def _words(self, error: BaseException) -> str:
        if self._patience.lost:
            return "no reply in time"
        return bounded(str(getattr(error, "message", "") or error)) or type(error).__name__

    def _cut(self) -> None:
        """End the connection at once. Bytes that wait to be written are dropped: a graceful
        close would still send them, after we have called their fate."""
        self._patience.end()
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        if isinstance(smtp.transport, asyncio.WriteTransport):
            smtp.transport.abort()
        smtp.close()


async def _greet(smtp: SMTP) -> None:
    if not smtp.is_ehlo_or_helo_needed:
        return
    try:
        await smtp.ehlo()
    except SMTPHeloError:
        if not smtp.is_connected:
            raise
        await smtp.helo()


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
