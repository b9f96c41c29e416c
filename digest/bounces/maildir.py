"""Reports from a Maildir, into which the mail server delivers what comes back.

A report is removed after it is recorded. What nobody understood stays where a person finds it: in
`cur`, flagged, and is not read again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from digest.bounces.mime import LARGEST
from digest.bounces.record import Desk, Taken
from digest.bounces.watch import ALONE, OnFault, OnTaken, Watch, spared
from digest.errors import Refused

DOOR = "maildir"
FLAG = "F"


def process(desk: Desk, folder: Path, taken: OnTaken, fault: OnFault, watch: Watch = ALONE) -> None:
    """Take every report in `new` and `cur`. `taken` hears of each, `fault` of what could not be
    read or removed. Raises Refused for what is no Maildir, and Broken; what was taken till then is
    recorded and removed."""
    paths = _found(folder)
    watch.waiting(len(paths))
    for path in paths:
        if watch.stopped():
            return
        try:
            raw = _read(path)
        except OSError as error:
            fault(f"{path}: {error.strerror}")
            continue
        if raw is None:
            continue
        with spared(str(path), fault):
            done = desk.take(raw, DOOR)
            _finish(path, done, fault)
            taken(done)


def _finish(path: Path, done: Taken, fault: OnFault) -> None:
    try:
        _put_away(path, done.understood)
    except OSError as error:
        fault(f"{path}: recorded, but not removed: {error.strerror}")


def waiting(folder: Path) -> int:
    """How many messages wait there. Raises Refused for what is no Maildir, or cannot be changed."""
    found = _found(folder)
    for name in ("new", "cur"):
        if not os.access(folder / name, os.W_OK | os.X_OK):
            raise Refused(f"{folder / name}: nothing can be removed there; mend its owner or mode")
    return len(found)


def _found(folder: Path) -> list[Path]:
    try:
        if all((folder / name).is_dir() for name in ("new", "cur")):
            return list(_waiting(folder))
    except OSError as error:
        raise Refused(f"{folder}: {error.strerror}; mend its name, owner or mode") from None
    raise Refused(f"{folder}: no Maildir (it has no new/ and cur/); name the folder above them")


def _waiting(folder: Path) -> Iterator[Path]:
    """What is there, the oldest first; names begin with a time."""
    for name in ("new", "cur"):
        for path in sorted((folder / name).iterdir()):
            if not path.name.startswith(".") and FLAG not in _flags(path):
                yield path


def _flags(path: Path) -> str:
    return path.name.rpartition(":2,")[2] if ":2," in path.name else ""


def _read(path: Path) -> bytes | None:
    """The message, or None where somebody else took it, or it is no file: a pipe would never
    end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read(LARGEST)


def _put_away(path: Path, understood: bool) -> None:
    if understood:
        path.unlink(missing_ok=True)
        return
    base, _, flags = path.name.partition(":2,")
    flags = "".join(sorted({*flags, FLAG}))
    with suppress(FileNotFoundError):  # somebody else was quicker, and has done the same
        path.rename(path.parent.parent / "cur" / f"{base}:2,{flags}")
