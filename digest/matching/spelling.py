"""How a paper itself spells what matched: the words as they stand in its title or abstract."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

from digest.profiles.shelf import Shelf, row_pattern
from digest.profiles.stems import stem_all
from digest.text import words

_LETTERS = "(?:[^\\W_][\u0300-\u036f\u200b-\u200f\u00ad]*)+"  # a letter and marks set on it
_PIECE = re.compile(rf"\d+(?:\.\d+)+|{_LETTERS}(?:['’]{_LETTERS})*(?:\+\+|#)?")

_ENDS = " \n.,;:!?-–—/()[]{}'’\"“”`*=<>|"  # what may stand at a word's end
JOINED = 3  # pieces that hyphens may join to one word

Span = tuple[int, int]


class Spelling:
    """One text as words in a row, each with the place where it is spelled."""

    __slots__ = ("_lower", "_spans", "_starts", "_text", "_words", "stems")

    def __init__(self, text: str, row: str) -> None:
        """`row`: the words of the text, each between blanks."""
        self._text, self._lower, self._words = text, text.lower(), row
        self.stems = f" {' '.join(stem_all(row.split()))} "  # each between blanks
        self._starts: array[int] | None = None
        self._spans: array[int] | None = None

    def of_stems(self, row: str) -> str:
        """The first words in a row with the stems of `row` (see `in_row`), as spelled; empty
        where there are none."""
        at = self.stems.find(row)
        return self._between(self.stems.count(" ", 0, at), row.count(" ") - 1) if at >= 0 else ""

    def of_words(self, wanted: Sequence[str]) -> str:
        """The first words in a row that are these (`model*` is any that begins so)."""
        if not wanted or not (found := row_pattern(tuple(wanted)).search(self._words)):
            return ""
        return self._between(self._words.count(" ", 0, found.start()), len(wanted))

    def _between(self, first: int, number: int) -> str:
        """The text from the first of so many words to the last."""
        if self._starts is None:
            self._starts = array("I", [i + 1 for i, c in enumerate(self._words) if c == " "])
        wanted = self._words[self._starts[first] : self._starts[first + number] - 1].split(" ")
        return self._typed(wanted) or self._told(first, number)

    def _typed(self, wanted: Sequence[str]) -> str:
        """The words where the text has them letter by letter, as it nearly always does."""
        lower = self._lower
        for between in " -":
            sought = between.join(wanted)
            start = lower.find(sought) if len(lower) == len(self._text) else -1
            while start >= 0:
                end = start + len(sought)
                if not (lower[max(start - 1, 0) : start] + lower[end : end + 1]).strip(_ENDS):
                    return self._text[start:end]
                start = lower.find(sought, end)
        return ""

    def _told(self, first: int, number: int) -> str:
        """The words where diacritics, joined hyphens or apostrophes stand between."""
        if self._spans is None:
            self._spans = array("I", chain.from_iterable(_spans(self._text, self._words.split())))
        start, end = self._spans[2 * first], self._spans[2 * (first + number) - 1]
        return self._text[start:end]


class Spellings:
    """Title and abstract of one paper; says where something stands, the title first."""

    __slots__ = ("_abstract", "_title")

    def __init__(self, shelf: Shelf, paper: int) -> None:
        printed = shelf.papers[paper]
        self._title = Spelling(printed.title, shelf.row("ti", paper))
        self._abstract = Spelling(printed.abstract, shelf.row("ab", paper))

    def of_stems(self, row: str) -> tuple[str, str]:
        """(as spelled, `title` or `abstract`), or two empty strings. `row`: see `in_row`."""
        if found := self._title.of_stems(row):
            return found, "title"
        found = self._abstract.of_stems(row)
        return (found, "abstract") if found else ("", "")

    def where(self, row: str) -> str:
        """`title`, `abstract`, or empty: where words with the stems of `row` stand first."""
        if row in self._title.stems:
            return "title"
        return "abstract" if row in self._abstract.stems else ""

    def of_words(self, wanted: Sequence[str], field: str) -> tuple[str, str]:
        """The same for exact words in `ti`, `ab`, or both where `field` is empty."""
        if field != "ab" and (found := self._title.of_words(wanted)):
            return found, "title"
        if field != "ti" and (found := self._abstract.of_words(wanted)):
            return found, "abstract"
        return "", ""


def in_row(wanted: Sequence[str]) -> str:
    """Stems as they stand in a text's row of them; something that stands in none for no stems."""
    return f" {' '.join(wanted)} " if wanted else "\n"


@lru_cache(maxsize=1 << 15)
def row_of(term: str) -> str:
    """The stems of a term, in a row."""
    return in_row(stem_all(words(term)))


def _spans(text: str, wanted: Sequence[str]) -> Iterator[Span]:
    """For each word of `text`, the piece that spells it; an empty one where none can be told."""
    pieces = [match.span() for match in _PIECE.finditer(text)]
    if len(pieces) == len(wanted):  # nearly always: each piece is one word
        return iter(pieces)
    return _aligned(text, wanted, pieces)


def _aligned(text: str, wanted: Sequence[str], pieces: Sequence[Span]) -> Iterator[Span]:
    """Two pieces may be one word (`pre-training`), one may be several (`½`)."""
    place = 0
    for index, span in enumerate(pieces):
        if place < len(wanted) and text[slice(*span)].lower() == wanted[place]:
            yield span
            place += 1
            continue
        for _, end in pieces[index : index + JOINED]:
            found = words(text[span[0] : end])
            if found and wanted[place : place + len(found)] == found:
                yield from ((span[0], end) for _ in found)
                place += len(found)
                break
    yield from ((0, 0) for _ in wanted[place:])
