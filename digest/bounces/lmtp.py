"""Reports straight from the mail server (LMTP, RFC 2033): it keeps them until they are recorded.

Needs aiosmtpd: the extra `lmtp`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from digest.bounces.record import Desk
from digest.errors import DigestError, Refused

DOOR = "lmtp"
LARGEST = 32 * 1024 * 1024  # bytes; a letter of any size may be returned whole
LONGEST_LINE = 1024 * 1024  # bytes; who refuses a report for its form never sees it again
TAKEN, LATER = "250 2.0.0 recorded", "451 4.3.0 the database cannot be written just now"
TOO_BIG = ("552 Error: Too much mail data", "500 Line too long")
log = logging.getLogger("digest.bounces")


class Handler:
    """What aiosmtpd asks. Every mail is taken: a mail server would only send a refusal on."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """One answer for each recipient (RFC 2033 4.2), after the commit."""
        raw, came_to = bytes(envelope.content or b""), list(envelope.rcpt_tos)
        take = partial(self._desk.take, raw, DOOR, came_to, keep_raw=True)
        try:
            await asyncio.get_running_loop().run_in_executor(None, take)
            answer = TAKEN
        except DigestError as error:
            log.error("%s", error)
            answer = LATER
        except Exception:  # a defect of ours: no reason to have the report thrown away
            log.exception("a report could not be taken; the mail server keeps it")
            answer = LATER
        return _for_each(answer, came_to)


def _for_each(answer: str, came_to: Sequence[str]) -> str:
    return "\r\n".join([answer] * max(1, len(came_to)))


async def serve(desk: Desk, host: str, port: int) -> asyncio.Server:
    """Listen there. Raises Refused where that cannot be done."""
    try:
        from aiosmtpd.lmtp import LMTP
    except ModuleNotFoundError:
        raise Refused("LMTP needs aiosmtpd; pip install 'paper-digest[lmtp]'") from None

    class Wide(LMTP):  # type: ignore[misc, unused-ignore]
        line_length_limit = LONGEST_LINE

        async def push(self, status: Any) -> None:
            """aiosmtpd itself refuses what is too big by one answer; whoever waits for those of
            the other recipients would wait until it gives up."""
            refused = isinstance(status, str) and status.startswith(TOO_BIG)
            to = self.envelope.rcpt_tos if refused and self.envelope else ()
            await super().push(_for_each(status, to) if refused else status)

    logging.getLogger("mail.log").setLevel(logging.WARNING)  # it logs every command
    handler = Handler(desk)
    loop = asyncio.get_running_loop()

    def conversation() -> Any:
        return Wide(
            handler, data_size_limit=LARGEST, enable_SMTPUTF8=True, decode_data=False, loop=loop
        )

    try:
        return await loop.create_server(conversation, host, port)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise Refused(f"cannot listen on {host}:{port}: {said}; choose another --listen") from None
