"""The parts of a letter that its readers share, and how a letter is made to fit.

A template writes a paper once; what differs for each reader (the signed address, the reasons) is a
slot in it. A piece is that text cut at its slots and already quoted-printable, so that a letter is
little more than a join of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import escape

from digest.model import EditionPaper, Paper
from digest.render.mime import base64_size, qp
from digest.render.paper import DEPTHS, FEEDBACK, SLOT, WHY
from digest.render.words import why_words, wrap

LETTER_RAW = 80_000  # bytes of HTML: Gmail cuts a letter at about 102 kB
LETTER_ENCODED = 95_000
_FIRST_PAPER = 0xE000  # private characters: no words a template writes after SLOT
SHELF = 6_000  # pieces kept: about 4 kB each

_SLOTS = re.compile(f"{SLOT}(.)", re.DOTALL)


class Size(NamedTuple):
    """Bytes as read, and as sent in quoted-printable."""

    raw: int
    encoded: int

    def plus(self, other: Size, times: int = 1) -> Size:
        return Size(self.raw + times * other.raw, self.encoded + times * other.encoded)

    @property
    def fits(self) -> bool:
        sent = min(self.encoded, base64_size(self.raw))  # mime.part takes the shorter
        return self.raw <= LETTER_RAW and sent <= LETTER_ENCODED


class Filling(NamedTuple):
    """What goes into a slot."""

    data: bytes
    size: Size


class Piece(NamedTuple):
    """A text with slots; `segments` has one more than `slots`."""

    segments: tuple[bytes, ...]
    slots: str
    size: Size

    def filled_size(self, fillings: Mapping[str, Filling]) -> Size:
        size = self.size
        for slot in self.slots:
            size = size.plus(fillings[slot].size)
        return size

    def filled(self, fillings: Mapping[str, Filling]) -> Filling:
        parts = [self.segments[0]]
        for slot, segment in zip(self.slots, self.segments[1:], strict=True):
            parts += (fillings[slot].data, segment)
        return Filling(b"".join(parts), self.filled_size(fillings))


def filling(text: str) -> Filling:
    """A text without slots."""
    data = qp(text)
    return Filling(data, Size(_raw(text), len(data)))


def piece(text: str) -> Piece:
    """A text as a template wrote it, cut at its slots."""
    parts = _SLOTS.split(text)
    segments = tuple(map(qp, parts[::2]))
    raw = sum(map(_raw, parts[::2]))
    return Piece(segments, "".join(parts[1::2]), Size(raw, sum(map(len, segments))))


def _raw(text: str) -> int:
    return len(text.encode("utf-8", "replace")) + text.count("\n")


class Both(NamedTuple):
    """A paper's two pieces."""

    html: Piece
    text: Piece


class Shelf:
    """Pieces of papers, the recently used kept: two generations of at most SHELF / 2 each.

    A paper's text is checked on every take, so that a preview of a text that is not stored never
    meets the piece of another.
    """

    def __init__(self, make: Callable[[Paper, int, bool], Both]) -> None:
        self._make = make
        self._young: dict[tuple[str, int, int, bool], tuple[tuple[object, ...], Both]] = {}
        self._old = self._young

    def take(self, paper: Paper, depth: int, has_why: bool) -> Both:
        key = (paper.id, paper.revision, depth, has_why)
        told = (paper.title, paper.abstract, paper.authors, paper.categories, paper.links)
        found = self._young.get(key) or self._old.get(key)
        if found is None or found[0] != (*told, paper.published):
            found = (*told, paper.published), self._make(paper, depth, has_why)
        if len(self._young) >= SHELF // 2:
            self._old, self._young = self._young, {}
        self._young[key] = found
        return found[1]


def fit(
    start: Size, order: Sequence[int], depths: int, size: Callable[[int, int], Size]
) -> dict[int, int]:
    """{paper: depth} so that the letter fits: what is cut is cut from all of `order` (the least
    relevant first) before anything more is. `size(paper, depth)` are its bytes."""
    now = {i: (0, size(i, 0)) for i in order}
    whole = start
    for _, each in now.values():
        whole = whole.plus(each)
    for depth in range(1, depths):
        for i in order:
            if whole.fits:
                return {i: d for i, (d, _) in now.items()}
            smaller = size(i, depth)
            whole = whole.plus(now[i][1], -1).plus(smaller)
            now[i] = (depth, smaller)
    return {i: d for i, (d, _) in now.items()}


# ------------------------------------------------------------------ the papers of one letter


class Told(NamedTuple):
    """{slot of a letter's frame: its paper, for this reader}."""

    html: dict[str, Filling]
    text: dict[str, Filling]


class _Slots(NamedTuple):
    """What goes into the slots of one paper, for this reader."""

    html: dict[str, Filling]
    text: dict[str, Filling]


def paper_slot(index: int) -> str:
    """What a template puts out where the letter's paper number `index` belongs."""
    return SLOT + chr(_FIRST_PAPER + index)


def tell(
    entries: Sequence[EditionPaper],
    papers: Sequence[Paper],
    feedback: str,
    shelf: Shelf,
    frame: Size,
) -> Told:
    """Each paper as far as there is room beside the letter's frame; `feedback` is the reader's
    address for saying more or less of a paper, up to the paper's id."""
    slots = _slots(entries, feedback)

    def both(i: int, depth: int) -> Both:
        return shelf.take(papers[i], depth, WHY[1] in slots[i].html)

    def size(i: int, depth: int) -> Size:
        return both(i, depth).html.filled_size(slots[i].html)

    order = sorted(range(len(entries)), key=lambda i: (entries[i].score, -i))
    told = Told({}, {})
    for i, depth in fit(frame, order, len(DEPTHS), size).items():
        name, pieces = paper_slot(i)[1], both(i, depth)
        told.html[name] = pieces.html.filled(slots[i].html)
        told.text[name] = pieces.text.filled(slots[i].text)
    return told


def _slots(entries: Sequence[EditionPaper], feedback: str) -> list[_Slots]:
    in_html, in_text = (
        {FEEDBACK[1]: filling(str(escape(feedback)))},
        {FEEDBACK[1]: filling(feedback)},
    )
    return [_with_why(entry, in_html, in_text) for entry in entries]


def _with_why(
    entry: EditionPaper, in_html: dict[str, Filling], in_text: dict[str, Filling]
) -> _Slots:
    why = why_words(entry.reasons)
    if not why:
        return _Slots(in_html, in_text)
    indented = wrap(why, "     ").lstrip()  # after "Why: "
    return _Slots(
        {**in_html, WHY[1]: filling(str(escape(why)))}, {**in_text, WHY[1]: filling(indented)}
    )
