"""The parts of a letter that its readers share, and how a letter is made to fit.

A template writes a paper once; what differs for each reader (the signed address, the reasons) is a
slot in it. A piece is that text cut at its slots and already quoted-printable, so that a letter is
little more than a join of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from markupsafe import escape

from digest.model import EditionPaper, Paper
from digest.render.mime import LONGEST_BODY, base64_size, qp, qp_lines, raw_size
from digest.render.paper import DEPTHS, FEEDBACK, SLOT, WHY, Named
from digest.render.words import why_words, wrap

LETTER_RAW = 80_000  # bytes of HTML: Gmail cuts a letter at about 102 kB
SHELF = 6_000  # pieces kept: about 4 kB each
FIRST_PAPER = 0xE000  # a slot's name is one character: those of papers are private ones

Similar = tuple[Named, ...]

_SLOTS = re.compile(f"{SLOT}(.)", re.DOTALL)
_qp = lru_cache(maxsize=512)(qp)  # what lies between slots is often the same for many readers


class Piece(NamedTuple):
    """A text with slots, quoted-printable; `segments` has one more than `slots`."""

    segments: tuple[bytes, ...]
    slots: str

    def filled(self, fillings: Mapping[str, bytes]) -> bytes:
        parts = [b""] * (2 * len(self.slots) + 1)
        parts[::2] = self.segments
        parts[1::2] = [fillings[slot] for slot in self.slots]
        return b"".join(parts)


def piece(text: str) -> Piece:
    """A text as a template wrote it, cut at its slots."""
    parts = _SLOTS.split(text)
    return Piece(tuple(map(_qp, parts[::2])), "".join(parts[1::2]))


class Both(NamedTuple):
    """A paper's two pieces."""

    html: Piece
    text: Piece


class Shelf:
    """Pieces of papers, the recently used kept: two generations of at most SHELF / 2 each.

    The paper itself is looked at on every take, so that a preview of a text that is not stored
    never meets the piece of another.
    """

    def __init__(self, make: Callable[[Paper, int, bool, bool, Similar], Both]) -> None:
        self._make = make
        self._young: dict[tuple[str, int, int, bool, bool, Similar], tuple[Paper, Both]] = {}
        self._old = self._young

    def take(
        self, paper: Paper, depth: int, has_why: bool, shared: bool, similar: Similar = ()
    ) -> Both:
        key = (paper.id, paper.revision, depth, has_why, shared, similar)
        if (found := self._young.get(key)) and _same(found[0], paper):
            return found[1]
        if len(self._young) >= SHELF // 2:
            self._old, self._young = self._young, {}
        if (found := self._old.get(key)) is None or not _same(found[0], paper):
            found = paper, self._make(paper, depth, has_why, shared, similar)
        self._young[key] = found
        return found[1]


def _same(one: Paper, other: Paper) -> bool:
    return one is other or _told(one) == _told(other)


def _told(paper: Paper) -> tuple[object, ...]:
    text = (paper.title, paper.abstract, paper.authors)
    return (*text, paper.categories, paper.published, paper.links)


# ------------------------------------------------------------------ fitting


class Size(NamedTuple):
    """Bytes of HTML as read, and as sent in quoted-printable."""

    raw: int
    encoded: int

    @property
    def fits(self) -> bool:
        sent = min(self.encoded, base64_size(self.raw))  # mime.part takes the shorter
        return self.raw <= LETTER_RAW and sent <= LONGEST_BODY


def size_of(data: bytes) -> Size:
    return Size(raw_size(data), len(data))


def fit(
    frame: Size, order: Sequence[int], depths: int, size: Callable[[int, int], Size]
) -> dict[int, int]:
    """{paper: depth} so that the letter fits: what is cut is cut from all of `order` (the least
    relevant first) before anything more is. `size(paper, depth)` are its bytes."""
    now = {i: (0, size(i, 0)) for i in order}
    raw = frame.raw + sum(each.raw for _, each in now.values())
    encoded = frame.encoded + sum(each.encoded for _, each in now.values())
    for depth in range(1, depths):
        for i in order:
            if Size(raw, encoded).fits:
                return {i: d for i, (d, _) in now.items()}
            before, smaller = now[i][1], size(i, depth)
            raw += smaller.raw - before.raw
            encoded += smaller.encoded - before.encoded
            now[i] = (depth, smaller)
    return {i: d for i, (d, _) in now.items()}


# ------------------------------------------------------------------ the papers of one letter


class Told(NamedTuple):
    """{slot of a letter's frame: its paper, for this reader}."""

    html: dict[str, bytes]
    text: dict[str, bytes]


def paper_slot(index: int) -> str:
    """What a template puts out where the letter's paper number `index` belongs."""
    return SLOT + chr(FIRST_PAPER + index)


class Papers:
    """The papers of one letter; `feedback` is its reader's address for saying more or less of a
    paper, up to the paper's id; "" where anybody may read it. `similar`: what is named below each
    of the papers."""

    def __init__(
        self,
        entries: Sequence[EditionPaper],
        papers: Sequence[Paper],
        feedback: str,
        shelf: Shelf,
        similar: Sequence[Similar],
    ) -> None:
        self._entries, self._papers, self._shelf = entries, papers, shelf
        self._similar = similar
        self._shared = not feedback
        whys = [why_words(entry.reasons) for entry in entries]
        self._has_why = list(map(bool, whys))
        self._html = _fillings(str(escape(feedback)), [str(escape(why)) for why in whys])
        self._text = _fillings(feedback, [wrap(why, "     ").lstrip() for why in whys])

    def beside(self, frame: bytes) -> Told:
        """Each paper as far as there is room beside the letter's frame, in HTML."""
        everything = range(len(self._entries))
        html = [self._in_html(i, 0) for i in everything]
        if len(frame) + sum(map(len, html)) <= LETTER_RAW:  # encoded, hence also raw
            text = [self._in_text(i, 0) for i in everything]
        else:
            depths = self._depths(size_of(frame))
            html = [self._in_html(i, depths[i]) for i in everything]
            text = [self._in_text(i, depths[i]) for i in everything]
        names = [paper_slot(i)[1] for i in everything]
        return Told(dict(zip(names, html, strict=True)), dict(zip(names, text, strict=True)))

    def _depths(self, frame: Size) -> dict[int, int]:
        order = sorted(range(len(self._entries)), key=lambda i: (self._entries[i].score, -i))
        return fit(frame, order, len(DEPTHS), lambda i, depth: size_of(self._in_html(i, depth)))

    def _both(self, i: int, depth: int) -> Both:
        similar, has_why = self._similar[i], self._has_why[i]
        return self._shelf.take(self._papers[i], depth, has_why, self._shared, similar)

    def _in_html(self, i: int, depth: int) -> bytes:
        return self._both(i, depth).html.filled(self._html[i])

    def _in_text(self, i: int, depth: int) -> bytes:
        return self._both(i, depth).text.filled(self._text[i])


def _fillings(feedback: str, whys: Sequence[str]) -> list[dict[str, bytes]]:
    """What goes into the slots of each paper."""
    address, *reasons = qp_lines([feedback, *whys])
    return [{FEEDBACK[1]: address, WHY[1]: why} for why in reasons]
