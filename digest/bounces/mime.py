"""Pure: a message taken apart within bounds, whatever it is made of.

The email package takes messages apart by recursion and line by line through every level; a hostile
report with a thousand levels ends it. Here parts, depth and bytes are bounded, nothing raises, and
what is broken is read as far as it goes.
"""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

LARGEST = 4 * 1024 * 1024  # bytes of a message that are looked at
MOST_HEAD = 64 * 1024  # bytes of one part's headers
MOST_PARTS = 60
DEEPEST = 10  # levels: each holds all that is below it

_FIELD = re.compile(rb"([!-9;-~]{1,80})[ \t]*:(.*)", re.DOTALL)
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_KIND = re.compile(r"\s*([\w.+-]+/[\w.+-]+)")
_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]*)?\?([bq])\?([^?\s]{0,500})\?=", re.IGNORECASE)
_BETWEEN = re.compile(rb"From \S+ +\w{3} \w{3} [ \d]\d \d\d:\d\d.{0,30}\d{4}\s*")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

Fields = Mapping[str, tuple[str, ...]]
"""{header name in lower case: its values, unfolded, in order}."""


@dataclass(frozen=True, slots=True)
class Part:
    """A message or one of its parts. Line ends are LF."""

    fields: Fields
    body: bytes

    def get(self, name: str) -> str:
        """The first value of a header, "" where there is none."""
        return (self.fields.get(name) or ("",))[0]

    @property
    def kind(self) -> str:
        """`text/plain`, in lower case."""
        found = _KIND.match(self.get("content-type"))
        return found[1].lower() if found else "text/plain"

    def data(self) -> bytes:
        """The body without its transfer encoding."""
        way = self.get("content-transfer-encoding").strip().lower()
        if way == "quoted-printable":
            return a2b_qp(self.body)
        if way != "base64":
            return self.body
        try:
            return lf(a2b_base64(self.body))
        except NotBase64:
            return self.body

    def text(self) -> str:
        """The body as text. Whatever charset it claims: codes and addresses are ASCII."""
        return clean(self.data())


def from_stream(stream: BinaryIO) -> bytes:
    """As much of a message as is looked at; the rest is read too, so that nobody's pipe breaks."""
    raw = stream.read(LARGEST)
    while stream.read(1 << 20):
        pass
    return raw


def messages(stream: BinaryIO) -> Iterator[bytes]:
    """The messages of a file: one, or those of an mbox (RFC 4155), as much of each as is looked at.
    What only looks like the line between two, in a letter about the way from here, is none."""
    first = stream.readline(MOST_HEAD)
    if not _BETWEEN.fullmatch(first):
        yield first + stream.read(LARGEST - len(first))
        return
    lines: list[bytes] = []
    size, before = 0, b""
    while line := stream.readline(MOST_HEAD):
        if not before.strip() and before and _BETWEEN.fullmatch(line):
            yield b"".join(lines[:-1])
            lines, size = [], 0
        elif size < LARGEST:
            lines.append(line)
            size += len(line)
        before = line
    yield b"".join(lines if before.strip() else lines[:-1])


def lf(raw: bytes) -> bytes:
    """`raw` with LF as its only line end."""
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def clean(data: bytes) -> str:
    """`data` as text without controls, so that every database takes it."""
    return _UNSEEN.sub(" ", data.decode("utf-8", "replace"))


def unworded(text: str) -> str:
    """A header with its encoded words (RFC 2047) written out; those that are broken stay."""
    return clean(_WORD.sub(_word, re.sub(r"\?=\s+=\?", "?==?", text)).encode("utf-8", "replace"))


def _word(found: re.Match[str]) -> str:
    text = found[3].encode("ascii", "replace")
    try:
        data = a2b_base64(text) if found[2] in "bB" else a2b_qp(text, header=True)
        return data.decode(found[1], "replace")
    except (LookupError, ValueError):  # no such charset, no base64
        return found[0]


def message(raw: bytes) -> Part:
    """A whole message, with or without the `From ` line of a mailbox file."""
    data = lf(raw[:LARGEST])
    if data.startswith((b"From ", b">From ")):
        data = data.partition(b"\n")[2]
    return part(data)


def part(data: bytes) -> Part:
    """Headers, an empty line, a body."""
    if data.startswith(b"\n"):
        return Part({}, data[1:])
    head, _, body = data.partition(b"\n\n")
    return Part(fields(head), body)


def fields(head: bytes) -> Fields:
    """A block of header lines."""
    found: dict[str, list[str]] = {}
    unfolded = re.sub(rb"\n(?=[ \t])", b"", head[:MOST_HEAD])
    for line in unfolded.split(b"\n"):
        if field := _FIELD.match(line):
            found.setdefault(field[1].decode("ascii").lower(), []).append(clean(field[2]).strip())
    return {name: tuple(values) for name, values in found.items()}


def walk(whole: Part) -> list[Part]:
    """The message and its parts from the top down; attached messages are not entered."""
    return list(islice(_walk(whole), MOST_PARTS))


def _walk(whole: Part, level: int = 1) -> Iterator[Part]:
    yield whole
    if whole.kind.startswith("multipart/") and level <= DEEPEST:
        for inner in _split(whole):
            yield from _walk(inner, level + 1)


def _split(whole: Part) -> Iterator[Part]:
    found = _BOUNDARY.search(whole.get("content-type"))
    if found is None:
        return
    name = re.escape((found[1] or found[2]).encode("utf-8", "replace"))
    begin = None
    for line in re.finditer(rb"^--" + name + rb"(--)?[ \t]*(?:\n|\Z)", whole.body, re.MULTILINE):
        if begin is not None:
            yield part(whole.body[begin : line.start()])
        if line[1]:
            return
        begin = line.end()
    if begin is not None:  # cut off
        yield part(whole.body[begin:])
