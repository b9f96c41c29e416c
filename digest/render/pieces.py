"""The parts of a letter that its readers share, and how a letter is made to fit.

A template writes a paper once; what differs for each reader (the signed address, the reasons) is a
slot in it. A piece is that text cut at its slots and already quoted-printable, so that a letter is
little more than a join of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from markupsafe import escape

from digest.model import EditionPaper, Paper, Reason
from digest.render.mime import LONGEST_BODY, base64_size, qp, qp_lines, raw_size
from digest.render.paper import DEPTHS, FEEDBACK, SLOT, WHY, Named
from digest.render.words import why_words, wrap

LETTER_RAW = 80_000  # bytes of HTML: Gmail cuts a letter at about 102 kB
SHELF = 6_000  # papers kept: about 4 kB each
ADDRESS = (
    SLOT.encode()
)  # in quoted-printable text, which has no controls; one byte is found fastest
FIRST_PAPER = 0xE000  # a slot's name is one character: those of papers are private ones

Similar = tuple[Named, ...]
Fillings = Mapping[str, bytes]
"""{slot: what belongs there}."""

_SLOTS = re.compile(f"{SLOT}(.)", re.DOTALL)
_qp = lru_cache(maxsize=512)(qp)  # what lies between slots is often the same for many readers


class Piece(NamedTuple):
    """A text with slots, quoted-printable; `segments` has one more than `slots`."""

    segments: tuple[bytes, ...]
    slots: str

    def filled(self, fillings: Fillings) -> bytes:
        parts = [b""] * (2 * len(self.slots) + 1)
        parts[::2] = self.segments
        parts[1::2] = [fillings[slot] for slot in self.slots]
        return b"".join(parts)


def piece(text: str) -> Piece:
    """A text as a template wrote it, cut at its slots."""
    parts = _SLOTS.split(text)
    return Piece(tuple(map(_qp, parts[::2])), "".join(parts[1::2]))


class Both(NamedTuple):
    """A paper in HTML and in text, cut where the reasons belong. The reader's address is still a
    mark in it (ADDRESS), to be put in once for all papers of a letter."""

    html: tuple[bytes, ...]
    text: tuple[bytes, ...]


def around_why(text: str) -> tuple[bytes, ...]:
    """A paper as a template wrote it, as `Both` holds it."""
    found = piece(text)
    marks = {slot: ADDRESS if slot == FEEDBACK[1] else slot.encode() for slot in found.slots}
    ends = [i for i, slot in enumerate(found.slots) if slot == WHY[1]]
    cuts = zip([0, *(end + 1 for end in ends)], [*ends, len(found.slots)], strict=True)
    return tuple(Piece(found.segments[a : b + 1], found.slots[a:b]).filled(marks) for a, b in cuts)


class Why(NamedTuple):
    """What fills a paper's slots in HTML and in text, quoted-printable."""

    html: bytes
    text: bytes


def whys(reasons: Sequence[Iterable[Reason]], address: str) -> list[Why]:
    """The reasons for each paper, and at last an address, all encoded in one go."""
    said = [why_words(each) for each in reasons]
    html = str(escape("\x02".join([*said, address]))).split("\x02")
    text = [wrap(why, "     ").lstrip() for why in said]
    done = qp_lines([*html, *text, address])
    return list(map(Why, done[: len(html)], done[len(html) :]))


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
        if (found := self._young.get(key)) and found[0] is paper:
            return found[1]
        if len(self._young) >= SHELF // 2:
            self._old, self._young = self._young, {}
        found = found or self._old.get(key)
        if found is not None and _told(found[0]) == _told(paper):
            made = found[1]
        else:
            made = self._make(paper, depth, has_why, shared, similar)
        self._young[key] = paper, made  # this very value is known at a glance
        return made


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


@cache
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
        *self._whys, self._address = whys([entry.reasons for entry in entries], feedback)
        self._slots = [paper_slot(i)[1] for i in range(len(entries))]

    def html(self, frame: Piece, own: Fillings) -> tuple[bytes, list[Both]]:
        """The letter's HTML, and its papers as far as there is room beside the frame; `own`: what
        else in the frame is the reader's."""
        told = [self._both(i, 0) for i in range(len(self._entries))]
        done = self._filled(0, frame, own, told)
        if len(done) > LETTER_RAW:  # encoded, hence perhaps also raw
            nothing = dict.fromkeys(self._slots, b"")
            depths = self._depths(size_of(frame.filled({**own, **nothing})))
            told = [self._both(i, depths[i]) for i in range(len(self._entries))]
            done = self._filled(0, frame, own, told)
        return done, told

    def text(self, frame: Piece, own: Fillings, told: Sequence[Both]) -> bytes:
        """The letter's text with these papers."""
        return self._filled(1, frame, own, told)

    def _filled(self, kind: int, frame: Piece, own: Fillings, told: Sequence[Both]) -> bytes:
        """`kind`: 0 is HTML, 1 is text."""
        papers = [why[kind].join(both[kind]) for why, both in zip(self._whys, told, strict=True)]
        filled = frame.filled({**own, **dict(zip(self._slots, papers, strict=True))})
        return filled.replace(ADDRESS, self._address[kind])

    def _depths(self, frame: Size) -> dict[int, int]:
        order = sorted(range(len(self._entries)), key=lambda i: (self._entries[i].score, -i))
        return fit(frame, order, len(DEPTHS), lambda i, depth: size_of(self._alone(i, depth)))

    def _both(self, i: int, depth: int) -> Both:
        has_why = bool(self._whys[i].html)
        return self._shelf.take(self._papers[i], depth, has_why, self._shared, self._similar[i])

    def _alone(self, i: int, depth: int) -> bytes:
        """A paper in HTML."""
        html = self._whys[i].html.join(self._both(i, depth).html)
        return html.replace(ADDRESS, self._address.html)
