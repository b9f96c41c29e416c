"""SMTP through aiosmtplib, the conversation split so that the phase is always known.

`sendmail()` of the library cannot tell a cut before 354 from one after the dot, and
`send_message()` writes the letter anew; here it opens connections (opening.py), and wire.py takes
them over. The bytes of the letter go out as they are (CRLF, dots stuffed: RFC 5321 4.5.2). What is
relied upon of the library is pinned by tests/contracts/test_transport_contract.py.

Where the relay offers PIPELINING, MAIL, RCPT and DATA go out in one write (RFC 2920), and where the
caller names the next letter, with the body of the one before: one wait a letter. Each still has
its own reply, and nothing of a body is written before its 354 and the caller's word.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from aiosmtplib import SMTPException, SMTPResponseException

from digest.model import Letter, Outcome, OutcomeKind, Phase
from digest.transports import BeforeBody
from digest.transports.ahead import Ahead
from digest.transports.envelope import Unsendable, envelope
from digest.transports.opening import Relay as Relay
from digest.transports.opening import Timeouts as Timeouts
from digest.transports.opening import connected, tls_context
from digest.transports.patience import Patience
from digest.transports.replies import bounded, enhanced, judge
from digest.transports.wire import Reply, Wire, stuffed

TRIAL = 30.0  # seconds that the first envelope sent ahead may wait for each reply
IDLE = 5.0  # seconds; a connection that is closed later was idle, which tells of no cap
FAULTS = (SMTPException, OSError, EOFError, ValueError, RuntimeError)
"""What a broken or lying relay makes aiosmtplib and asyncio raise (timeouts are OSErrors)."""


class SmtpTransport:
    """Lanes to one relay. They share what is learnt of it: its cap of letters a connection, and
    whether it takes an envelope with the body before it."""

    name = "smtp"

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.lanes = relay.lanes
        self.cap = relay.per_connection
        self.ahead = Ahead(relay.host, relay.pipelining == "letters")
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
            self._context = await asyncio.to_thread(tls_context, self.relay)
        return self._context


class SmtpLane:
    """One connection, opened when a letter comes, reused within the relay's limits."""

    def __init__(self, transport: SmtpTransport) -> None:
        self._transport = transport
        self._relay = transport.relay
        self._wire: Wire | None = None
        self._phase = Phase.CONNECT
        self._letters = 0  # answered on this connection
        self._opened = 0.0
        self._answered_at = 0.0
        self._dirty = False  # the relay may hold a half-made envelope
        self._patience = Patience(self._give_up)
        self._unsent = 0  # bytes that our own buffer still held when we gave up
        self._ahead: Letter | None = None  # its envelope went out with the last body

    @property
    def ahead(self) -> bool:
        """True where the next letter's envelope may go out with this one's body."""
        wire = self._wire
        if wire is None or not (wire.pipelining and self._transport.ahead.possible):
            return False
        return self._lasts(self._letters + 1)

    async def send(self, letter: Letter, before_body: BeforeBody) -> Outcome:
        try:
            early = await self._to_354(letter)
            if early is not None:
                return early
            go = await before_body()
            if not go:
                self._cut()
                return Outcome(OutcomeKind.WITHDRAWN, Phase.DATA)
            return await self._body(letter, None if go is True else go)
        except BaseException:
            self._cut()
            raise

    async def close(self) -> None:
        if self._ahead is not None:
            self._cut()  # the relay may wait for a body, and would take QUIT for one
        self._patience.end()
        wire, self._wire = self._wire, None
        if wire is None:
            return
        if wire.open:
            with suppress(*FAULTS):
                async with asyncio.timeout(self._relay.timeouts.quit):
                    wire.say(b"QUIT\r\n")
                    await wire.reply()
        wire.close()

    # -------------------------------------------------------------- before the body

    async def _to_354(self, letter: Letter) -> Outcome | None:
        """The conversation up to "354 go ahead": None, or how it ended before that."""
        if self._ahead is letter and self._wire is not None:
            outcome = await self._went_ahead(self._wire)
            if self._transport.ahead.envelope(outcome):
                self._ahead = None
                return outcome
        if self._ahead is not None:
            self._cut()  # an envelope that is not this letter's
        return await self._asked(letter)

    async def _went_ahead(self, wire: Wire) -> Outcome | None:
        """The replies to an envelope that is out already."""
        try:
            return await self._grouped(wire)
        except FAULTS as error:
            return self._lost(error)

    async def _asked(self, letter: Letter) -> Outcome | None:
        self._phase = Phase.CONNECT
        try:
            wire = await self._ready()
            mail, rcpt = envelope(letter, wire.offered)
            self._phase, self._dirty = Phase.MAIL, True
            if wire.pipelining:
                wire.say(GROUP % (mail, rcpt), len(STEPS))
                return await self._grouped(wire)
            return await self._one_by_one(wire, (mail, rcpt, b"DATA"))
        except Unsendable as error:
            text = bounded(str(error))
            return Outcome(OutcomeKind.REFUSED, error.phase, None, error.enhanced, text)
        except FAULTS as error:
            return self._lost(error)

    async def _one_by_one(self, wire: Wire, commands: tuple[bytes, ...]) -> Outcome | None:
        for phase, command in zip(STEPS, commands, strict=True):
            self._phase = phase
            reply = await self._ask(wire, command + b"\r\n", self._seconds(phase))
            if not _wanted(phase, reply.code):
                return self._answered(reply)
        return None

    async def _grouped(self, wire: Wire) -> Outcome | None:
        """The replies to MAIL, RCPT and DATA that went out together. The first that is not the
        wanted one decides; the others are read, so that the connection can be used again."""
        for step, phase in enumerate(STEPS):
            self._phase = phase
            reply = await self._reply(wire, self._seconds(phase))
            if not _wanted(phase, reply.code):
                outcome = self._answered(reply)
                if self._wire is not None:
                    await self._come_back(wire, STEPS[step + 1 :])
                return outcome
        return None

    async def _come_back(self, wire: Wire, phases: tuple[Phase, ...]) -> None:
        """Out of a group of which a command was refused. A relay that says 354 all the same gets
        a lone dot (RFC 2920 3.1): nobody is there to receive that empty letter. Where somebody
        might be, because MAIL alone was refused, the connection is cut instead."""
        taken = set()
        try:
            for phase in phases:
                reply = await self._reply(wire, self._seconds(phase))
                if _wanted(phase, reply.code):
                    taken.add(phase)
            if taken == {Phase.DATA}:
                await self._ask(wire, b".\r\n", self._seconds(Phase.DATA))
                self._dirty = False
            elif Phase.DATA in taken:
                self._cut()
        except FAULTS:
            self._cut()

    def _seconds(self, phase: Phase) -> float:
        waits = self._relay.timeouts
        if self._ahead is not None and self._transport.ahead.trying:
            return min(TRIAL, waits.command)  # some relays drop what follows a body
        return waits.data if phase is Phase.DATA else waits.command

    async def _ask(self, wire: Wire, data: bytes, seconds: float) -> Reply:
        """Write and wait for the reply."""
        with self._patience.of(seconds):
            wire.say(data)
            return await wire.reply()

    async def _reply(self, wire: Wire, seconds: float) -> Reply:
        with self._patience.of(seconds):
            return await wire.reply()

    def _give_up(self) -> None:
        """The relay took too long: what is awaited ends with the connection."""
        if self._wire is not None:
            self._unsent = self._wire.unwritten
            self._wire.abort()

    async def _ready(self) -> Wire:
        """A connection with an empty envelope."""
        if self._wire is not None and await self._still_good(self._wire):
            return self._wire
        await self.close()
        self._wire = await self._connect()
        self._letters, self._dirty, self._unsent = 0, False, 0
        self._patience.lost = False
        self._opened = asyncio.get_running_loop().time()
        return self._wire

    async def _still_good(self, wire: Wire) -> bool:
        now = asyncio.get_running_loop().time()
        if not wire.open:
            if now - self._answered_at < IDLE:
                self._transport.closed_in_silence(self._letters)
            return False
        return self._lasts(self._letters) and (not self._dirty or await self._reset(wire))

    def _lasts(self, letters: int) -> bool:
        """True where the connection may take one more after so many."""
        age = asyncio.get_running_loop().time() - self._opened
        return letters < self._transport.cap and age <= self._relay.seconds

    async def _reset(self, wire: Wire) -> bool:
        try:
            reply = await self._ask(wire, b"RSET\r\n", self._relay.timeouts.command)
        except FAULTS:
            return False
        self._dirty = False
        return reply.code == 250

    async def _connect(self) -> Wire:
        hello, context = await self._transport.hello(), await self._transport.context()
        return await connected(self._relay, hello, context)

    # -------------------------------------------------------------- the body

    async def _body(self, letter: Letter, following: Letter | None) -> Outcome:
        """The body and the reply to its final dot. Once that dot may be out, silence is unknown."""
        wire = self._wire
        if wire is None or not wire.open:
            return self._lost(ConnectionError("closed before the body"))
        group, ahead = self._goes_ahead(wire, following), self._transport.ahead
        outcome = await self._dot(wire, letter, group)
        if group:
            outcome = ahead.body(outcome)
            if not (ahead.possible or ahead.trying):
                self._cut()
        return outcome

    def _goes_ahead(self, wire: Wire, following: Letter | None) -> bytes:
        """The next letter's envelope, if it goes out with this one's body."""
        if following is None or not self.ahead:
            return b""
        try:
            group = GROUP % envelope(following, wire.offered)
        except Unsendable:
            return b""  # it is told when that letter's turn has come
        self._ahead = following
        self._transport.ahead.begin()
        return group

    async def _dot(self, wire: Wire, letter: Letter, group: bytes) -> Outcome:
        body = (letter.raw, b".\r\n") if letter.stuffed else (stuffed(letter.raw),)
        replies = 1 + len(STEPS) if group else 1
        try:
            with self._patience.of(self._relay.timeouts.dot):
                wire.say(b"".join((*body, group)), replies)
                reply = await wire.reply()
        except FAULTS as error:
            self._cut()
            kind = OutcomeKind.RETURNED if self._unsent > len(group) else OutcomeKind.UNKNOWN
            return Outcome(kind, Phase.BODY, None, None, self._words(error))
        self._phase, self._dirty = Phase.DOT, bool(group)
        self._letters += 1
        return self._answered(reply)

    # -------------------------------------------------------------- endings

    def _answered(self, reply: Reply) -> Outcome:
        """What a reply means for the letter. 421 and nonsense end the connection."""
        self._answered_at = asyncio.get_running_loop().time()
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
        if self._ahead is not None:
            self._ahead = None
            self._transport.ahead.dropped()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()


STEPS = (Phase.MAIL, Phase.RCPT, Phase.DATA)
GROUP = b"%b\r\n%b\r\nDATA\r\n"


def _wanted(phase: Phase, code: int) -> bool:
    if phase is Phase.DATA:
        return code == 354
    return code == 250 or (phase is Phase.RCPT and code == 251)
