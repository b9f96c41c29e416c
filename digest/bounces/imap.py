"""Reports from a mailbox that another machine keeps (IMAP4rev1, RFC 3501).

A report is removed after it is recorded. What nobody understood stays, flagged, and is not read
again.
"""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from digest.bounces.mime import LARGEST
from digest.bounces.record import Desk
from digest.bounces.watch import ALONE, OnFault, OnTaken, Watch
from digest.errors import DigestError

DOOR = "imap"
TIMEOUT = 60.0  # seconds for each answer
PORTS = {"tls": 993, "starttls": 143, "none": 143}


class MailboxError(DigestError):
    """The mailbox cannot be opened or read; it is named, with the mend."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where reports wait. `port` 0: the usual one. `context`: what a certificate must show."""

    host: str
    username: str
    password: str = field(repr=False)
    security: Literal["tls", "starttls", "none"] = "tls"
    port: int = 0
    folder: str = "INBOX"
    context: ssl.SSLContext | None = None

    @property
    def label(self) -> str:
        return f"mailbox {self.username}@{self.host}:{self.port or PORTS[self.security]}"


def process(desk: Desk, box: Mailbox, taken: OnTaken, fault: OnFault, watch: Watch = ALONE) -> None:
    """Take every report of the folder. Raises MailboxError, and Broken; what was taken till then
    is recorded and removed."""
    with _opened(box) as server:
        recorded: list[str] = []
        try:
            uids = _waiting(server)
            watch.waiting(len(uids))
            for uid in uids:
                if watch.stopped():
                    break
                if (raw := _fetch(server, uid)) is None:
                    fault(f"{box.label}: message {uid} could not be read; it is tried again")
                    continue
                done = desk.take(raw, DOOR)
                _flag(server, uid, r"(\Deleted)" if done.understood else r"(\Flagged)")
                recorded += [uid] if done.understood else []
                taken(done)
        finally:
            with suppress(imaplib.IMAP4.error, OSError):
                _remove(server, recorded)


@contextmanager
def _opened(box: Mailbox) -> Iterator[imaplib.IMAP4]:
    """The folder, selected. A certificate must be good: nothing is ever downgraded."""
    server: imaplib.IMAP4 | None = None
    try:
        server = _connected(box)
        server.login(box.username, box.password)
        _ok(server.select(_quoted(box.folder)), f"no folder {box.folder}")
        yield server
    except (imaplib.IMAP4.error, OSError, EOFError, UnicodeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise MailboxError(
            f"{box.label}: {said[:300]}; check [bounces] imap_* and the password"
        ) from None
    finally:
        if server is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                server.logout()


def _connected(box: Mailbox) -> imaplib.IMAP4:
    port = box.port or PORTS[box.security]
    context = box.context or ssl.create_default_context()
    if box.security == "tls":
        return imaplib.IMAP4_SSL(box.host, port, ssl_context=context, timeout=TIMEOUT)
    server = imaplib.IMAP4(box.host, port, timeout=TIMEOUT)
    if box.security == "starttls":
        server.starttls(ssl_context=context)
    return server


def _waiting(server: imaplib.IMAP4) -> list[str]:
    """Also what an earlier run recorded and did not live to remove."""
    found = _ok(server.uid("SEARCH", "UNFLAGGED"), "cannot search")
    return [
        uid.decode("ascii") for line in found if isinstance(line, bytes) for uid in line.split()
    ]


def _fetch(server: imaplib.IMAP4, uid: str) -> bytes | None:
    """The message, unmarked; None where it is gone."""
    answer = _ok(server.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LARGEST}>)"), f"cannot fetch {uid}")
    bodies = [item[1] for item in answer if isinstance(item, tuple) and len(item) > 1]
    return bodies[0] if bodies and isinstance(bodies[0], bytes) else None


def _flag(server: imaplib.IMAP4, uid: str, flag: str) -> None:
    _ok(server.uid("STORE", uid, "+FLAGS.SILENT", flag), f"cannot mark {uid}")


def _remove(server: imaplib.IMAP4, uids: Sequence[str]) -> None:
    """Only these, where the server can (RFC 4315); else all that are marked."""
    if uids and b"UIDPLUS" in b" ".join(_ok(server.capability(), "no capabilities")).upper():
        for first in range(0, len(uids), 500):
            server.uid("EXPUNGE", ",".join(uids[first : first + 500]))
    elif uids:
        server.expunge()


def _ok(answer: tuple[str, list[Any]], what: str) -> list[Any]:
    status, data = answer
    if status != "OK":
        said = b" ".join(item for item in data if isinstance(item, bytes))
        raise imaplib.IMAP4.error(f"{what}: {said.decode('utf-8', 'replace')}")
    return data


def _quoted(name: str) -> str:
    """RFC 3501 4.3."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
