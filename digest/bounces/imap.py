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
from digest.bounces.record import Desk, Taken
from digest.bounces.watch import ALONE, OnFault, OnTaken, Watch, spared
from digest.errors import DigestError

DOOR = "imap"
TIMEOUT = 60.0  # seconds for each answer
AT_ONCE = 50_000  # messages asked for in one answer
BATCH = 200  # messages between two removals
MOST_REFUSED = 20  # messages in a row, and the server is asked no more
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
        uids = _waiting(server)
        watch.waiting(len(uids))
        for first in range(0, len(uids), BATCH):
            if watch.stopped():
                return
            _Round(desk, box, server, taken, fault, watch).take(uids[first : first + BATCH])


def waiting(box: Mailbox) -> int:
    """How many messages wait there. Raises MailboxError."""
    with _opened(box) as server:
        return len(_waiting(server))


@dataclass(slots=True)
class _Round:
    """A few messages, after which those that are recorded are removed: a server that ends every
    long conversation must not have us read the same ones for ever."""

    desk: Desk
    box: Mailbox
    server: imaplib.IMAP4
    taken: OnTaken
    fault: OnFault
    watch: Watch
    recorded: list[str] = field(default_factory=list)
    refused: int = 0  # in a row

    def take(self, uids: Sequence[str]) -> None:
        try:
            for uid in uids:
                if self.watch.stopped():
                    break
                self._one(uid)
        except BaseException:
            with suppress(imaplib.IMAP4.error, OSError):
                _remove(self.server, self.recorded)
            raise
        with self._unless_refused(f"{len(self.recorded)} reports recorded, but not removed"):
            _remove(self.server, self.recorded)

    def _one(self, uid: str) -> None:
        """One message, however the server likes it: it never keeps those behind it waiting."""
        with self._unless_refused(f"message {uid} is left for the next time"):
            if (raw := _fetch(self.server, uid)) is None:
                return
            where = f"{self.box.label}: message {uid}"
            with spared(where, self.fault, imaplib.IMAP4.error):
                done = self.desk.take(raw, DOOR)
                self.taken(done)
                self._put_away(uid, done)

    def _put_away(self, uid: str, done: Taken) -> None:
        _flag(self.server, uid, r"(\Deleted)" if done.understood else r"(\Flagged)")
        if done.understood:
            self.recorded.append(uid)
        self.refused = 0

    @contextmanager
    def _unless_refused(self, what: str) -> Iterator[None]:
        """A server that says no to one message is told of; one that says nothing else, or has
        gone, is believed."""
        try:
            yield
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            self.refused += 1
            if self.refused >= MOST_REFUSED:
                raise
            self.fault(f"{self.box.label}: {what} ({_words(error)})")


@contextmanager
def _opened(box: Mailbox) -> Iterator[imaplib.IMAP4]:
    """The folder, selected. A certificate must be good: nothing is ever downgraded."""
    server: imaplib.IMAP4 | None = None
    mend = "check [bounces] imap_* and the password"
    try:
        server = _connected(box)
        server.login(box.username, box.password)
        _ok(server.select(_quoted(box.folder)), f"no folder {box.folder}")
        mend = "what was recorded is done, the rest is taken the next time"
        yield server
    except (imaplib.IMAP4.error, OSError, EOFError, UnicodeError) as error:
        raise MailboxError(f"{box.label}: {_words(error)}; {mend}") from None
    finally:
        if server is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                server.logout()
            with suppress(OSError):  # after a conversation that was cut
                server.shutdown()


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} seconds"
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


def _connected(box: Mailbox) -> imaplib.IMAP4:
    port = box.port or PORTS[box.security]
    context = box.context or ssl.create_default_context()
    if box.security == "tls":
        return imaplib.IMAP4_SSL(box.host, port, ssl_context=context, timeout=TIMEOUT)
    server = imaplib.IMAP4(box.host, port, timeout=TIMEOUT)
    try:
        if box.security == "starttls":
            server.starttls(ssl_context=context)
    except BaseException:
        with suppress(OSError):
            server.shutdown()
        raise
    return server


def _waiting(server: imaplib.IMAP4) -> list[str]:
    """Also what an earlier run recorded and did not live to remove. Asked for in stretches: imaplib
    takes no answer of more than a million bytes."""
    _, exists = server.response("EXISTS")  # as the folder was selected
    number = int((exists or [None])[-1] or 0)
    found = (
        line
        for first in range(1, number + 1, AT_ONCE)
        for line in _search(server, f"{first}:{min(first + AT_ONCE - 1, number)} UNFLAGGED")
    )
    return [uid.decode("ascii") for line in found for uid in line.split()]


def _search(server: imaplib.IMAP4, what: str) -> list[bytes]:
    found = _ok(server.uid("SEARCH", what), "cannot search")
    return [line for line in found if isinstance(line, bytes)]


def _fetch(server: imaplib.IMAP4, uid: str) -> bytes | None:
    """The message, unmarked; None where somebody else took it."""
    answer = _ok(server.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LARGEST}>)"), f"cannot fetch {uid}")
    bodies = [item[1] for item in answer if isinstance(item, tuple) and len(item) > 1]
    if bodies and isinstance(bodies[0], bytes):
        return bodies[0]
    if any(_search(server, f"UID {uid}")):
        raise imaplib.IMAP4.error("the server sends nothing of it")
    return None


def _flag(server: imaplib.IMAP4, uid: str, flag: str) -> None:
    _ok(server.uid("STORE", uid, "+FLAGS.SILENT", flag), f"cannot mark {uid}")


def _remove(server: imaplib.IMAP4, uids: Sequence[str]) -> None:
    """Only these, where the server can (RFC 4315); else all that are marked."""
    if uids and b"UIDPLUS" in b" ".join(_ok(server.capability(), "no capabilities")).upper():
        _ok(server.uid("EXPUNGE", ",".join(uids)), "cannot expunge")
    elif uids:
        _ok(server.expunge(), "cannot expunge")


def _ok(answer: tuple[str, list[Any]], what: str) -> list[Any]:
    status, data = answer
    if status != "OK":
        said = b" ".join(item for item in data if isinstance(item, bytes))
        raise imaplib.IMAP4.error(f"{what}: {said.decode('utf-8', 'replace')}")
    return data


def _quoted(name: str) -> str:
    """RFC 3501 4.3."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
