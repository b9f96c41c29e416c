"""A connection to a relay, opened by aiosmtplib: greeting, EHLO, TLS, password."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Literal, cast

from aiosmtplib import SMTP, SMTPException, SMTPHeloError

from digest.transports.wire import Wire

Security = Literal["tls", "starttls", "opportunistic", "none"]
Pipelining = Literal["letters", "envelope", "off"]


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

    `per_connection` letters and `seconds` bound how long one connection is used. `pipelining`,
    where the relay offers it: "envelope" (its three commands in one write), "letters" (and with
    the body of the letter before), "off" (one command at a time).
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
    pipelining: Pipelining = "envelope"


class Unusable(SMTPException):
    """The relay is there but must not be used as it is."""


def tls_context(relay: Relay) -> ssl.SSLContext:
    """Which certificates are believed. Reads files."""
    context = ssl.create_default_context()
    if relay.ca_file:
        context.load_verify_locations(relay.ca_file)
    if relay.security == "opportunistic":  # RFC 7435: better than clear text, and no more
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def connected(relay: Relay, hello: str, context: ssl.SSLContext | None) -> Wire:
    """Ready for MAIL. `hello` is our name in EHLO. Raises SMTPException, OSError, ValueError."""
    smtp = SMTP(
        hostname=relay.host,
        port=relay.port,
        local_hostname=hello,
        timeout=relay.timeouts.connect,
        use_tls=relay.security == "tls",
        start_tls={"starttls": True, "opportunistic": None}.get(relay.security, False),
        tls_context=context,
    )
    try:
        await smtp.connect()
        await _greet(smtp)
        await _log_in(smtp, relay)
        if not smtp.is_connected:
            raise ConnectionError("the relay closed the connection")
        wire = Wire(cast(asyncio.Transport, smtp.transport), smtp.esmtp_extensions)
        wire.pipelining &= relay.pipelining != "off"
        return wire
    except BaseException:
        smtp.close()
        raise


async def _greet(smtp: SMTP) -> None:
    if not smtp.is_ehlo_or_helo_needed:
        return
    try:
        await smtp.ehlo()
    except SMTPHeloError:
        if not smtp.is_connected:
            raise
        await smtp.helo()


async def _log_in(smtp: SMTP, relay: Relay) -> None:
    if not relay.username:
        return
    if relay.security == "opportunistic" and smtp.get_transport_info("sslcontext") is None:
        raise Unusable(
            "the relay offers no TLS, and no password goes out in the clear; set "
            'smtp.security = "starttls"'
        )
    await smtp.login(relay.username, relay.password)
