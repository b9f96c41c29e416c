"""Files that people name: read whole or line by line, or refused in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from digest.errors import ProfileError, Refused

LONGEST_LINE = 4_000_001  # bytes of a line that are looked at: more than any reader takes
LARGEST_TEXT = 10_000_000  # bytes of a file that is read whole


def profile_text(file: Path) -> str:
    """The text of a profile file. Raises Refused that names it, and where it is not UTF-8."""
    with opened(file) as lines:
        raw = lines.read(LARGEST_TEXT + 1)
    if len(raw) > LARGEST_TEXT:
        raise Refused(f"{file}: more than {LARGEST_TEXT:,} bytes; is it a profile?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].rpartition(b"\n")
        line, column = before[0].count(b"\n") + bool(before[1]) + 1, len(before[2]) + 1
        raise Refused(f"{file}:{line}:{column}: not UTF-8; save it as UTF-8") from None


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Faults of the profile read here name the file, as in `ada.toml:3:1: ...`."""
    try:
        yield
    except ProfileError as error:
        faults = [f"{file}:{place.replace(' ', ': ', 1)}" for place in error.faults]
        raise ProfileError(faults, subject=str(file)) from None


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, or of stdin for `-`. Raises Refused where there is none to read."""
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    if not file.is_file():
        raise Refused(f"no file {file}")
    try:
        lines = file.open("rb")
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}; mend its owner or mode") from None
    with lines:
        yield lines


def text_lines(source: BinaryIO) -> Iterator[str]:
    """The lines of a file, without holding an endless one: only its beginning comes. What is not
    UTF-8 comes as surrogates, which readers refuse."""
    while line := source.readline(LONGEST_LINE):
        whole = line
        while whole and not whole.endswith(b"\n"):  # the rest of a line that is too long
            whole = source.readline(LONGEST_LINE)
        yield line.decode("utf-8", "surrogateescape")
