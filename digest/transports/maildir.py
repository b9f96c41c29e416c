"""A Maildir instead of a relay: for rehearsals, and for sites whose mail goes on from files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from digest.model import Letter, Outcome, OutcomeKind, Phase
from digest.transports import BeforeBody
from digest.transports.replies import bounded

_UNSAFE = re.compile(r"[^A-Za-z0-9@._-]+")


class MaildirTransport:
    """Writes each letter to `folder`/new under a name made of its Message-ID, so that a letter
    sent again takes the place of the first and does not stand beside it; also where the first
    was seen by then and moved to cur/."""

    name = "maildir"

    def __init__(self, folder: str | Path, lanes: int = 2) -> None:
        self.folder = Path(folder)
        self.lanes = lanes
        self._seen: frozenset[str] = frozenset()
        self._seen_at = 0

    def lane(self) -> MaildirLane:
        return MaildirLane(self.folder, self.seen)

    def seen(self, name: str) -> bool:
        """True where cur/ holds this letter, under whatever flags. The folder is read again only
        where it has changed since: it may hold a great many letters."""
        cur = self.folder / "cur"
        changed_at = cur.stat().st_mtime_ns
        if changed_at != self._seen_at:
            self._seen = frozenset(name.partition(":")[0] for name in os.listdir(cur))
            self._seen_at = changed_at
        return name in self._seen


class MaildirLane:
    """One writer. The file appears in new/ whole and synced, or not at all."""

    def __init__(self, folder: Path, seen: Callable[[str], bool]) -> None:
        self._folder = folder
        self._seen = seen

    async def send(self, letter: Letter, before_body: BeforeBody) -> Outcome:
        name = file_name(letter.message_id)
        try:
            draft = await asyncio.to_thread(self._write, name, letter.raw)
        except OSError as error:
            return _unwritable(error, Phase.CONNECT)
        try:
            if not await before_body():
                return Outcome(OutcomeKind.WITHDRAWN, Phase.DATA)
            return await asyncio.to_thread(self._publish, draft, name)
        finally:
            draft.unlink(missing_ok=True)

    async def close(self) -> None:
        return None

    def _write(self, name: str, raw: bytes) -> Path:
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        draft = self._folder / "tmp" / f"{name}.{id(self):x}"
        with draft.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _publish(self, draft: Path, name: str) -> Outcome:
        new = self._folder / "new"
        try:
            if self._seen(name):
                return _accepted(f"is there as {name}")
            draft.replace(new / name)
            _sync(new)
        except OSError as error:
            return _unwritable(error, Phase.DATA)
        return _accepted(f"written as {name}")


def _accepted(text: str) -> Outcome:
    return Outcome(OutcomeKind.ACCEPTED, Phase.DOT, 250, "2.0.0", text)


def file_name(message_id: str) -> str:
    """A file name that is the same for the same Message-ID, and for no other."""
    mark = hashlib.sha256(message_id.encode("utf-8", "replace")).hexdigest()[:12]
    return f"{_UNSAFE.sub('_', message_id.strip('<>')).lstrip('.')[:120]}.{mark}"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(error: OSError, phase: Phase) -> Outcome:
    text = bounded(f"{error.filename}: {error.strerror}")
    return Outcome(OutcomeKind.RETURNED, phase, None, None, text)
