"""Who is at the other end: one conversation with a relay that sends nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from digest.transports.replies import bounded
from digest.transports.smtp import FAULTS, SmtpLane, SmtpTransport

PATIENCE = 10.0  # seconds to connect, greet, encrypt and log in


@dataclass(frozen=True, slots=True)
class Met:
    """`offers`: the keywords of its EHLO, after TLS where there is TLS. `fault`: why it cannot be
    used, in one line; then the rest is empty."""

    offers: tuple[str, ...] = ()
    encrypted: bool = False
    fault: str = ""


async def probe(transport: SmtpTransport) -> Met:
    """Connect as for a letter, log in, take leave. Never raises for what a relay does."""
    waits = replace(transport.relay.timeouts, connect=PATIENCE)
    lane = SmtpLane(SmtpTransport(replace(transport.relay, timeouts=waits)))
    try:
        wire = await lane._ready()
        return Met(tuple(sorted(key.upper() for key in wire.offered)), wire.encrypted)
    except FAULTS as error:
        said = bounded(str(getattr(error, "message", "") or error))
        return Met(fault=said or type(error).__name__)
    finally:
        await lane.close()
