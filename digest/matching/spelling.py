"""How a paper itself spells what matched: the words as they stand in its title or abstract."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from digest.model import Paper
from digest.profiles.stems import stem, stem_all
from digest.text import words

_LETTERS = "(?:[^\\W_][\u0300-\u036f\u200b-\u200f\u00ad]*)+"  # a letter and marks set on it
_PIECE = rf"(?:\d+(?:\.\d+)+|{_LETTERS}(?:['’]{_LETTERS})*(?:\+\+|#)?)"
_FIND = re.compile(_PIECE)

JOINED = 3  # pieces that hyphens may join to one word

Word = tuple[str, int, int]  # folded word, where its spelling starts and ends


class Spelling:
    """One text, word by word, each with the place where it is spelled."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = list(_spelled(text))
        self._stems = stem_all(word for word, _, _ in self._words)
        self._at: dict[str, list[int]] = defaultdict(list)
        for place, root in enumerate(self._stems):
            self._at[root].append(place)

    def of_stems(self, wanted: Sequence[str]) -> str:
        """The first words in a row with these stems, as spelled; empty where there are none."""
        for start in self._at.get(wanted[0], ()) if wanted else ():
            if self._stems[start : start + len(wanted)] == list(wanted):
                return self._between(start, start + len(wanted))
        return ""

    def of_words(self, wanted: Sequence[str]) -> str:
        """The first words in a row that are these (`model*` is any that begins so)."""
        for start in self._starts(wanted[0]) if wanted else ():
            found = self._words[start : start + len(wanted)]
            if len(found) == len(wanted) and all(
                _fits(word, want) for (word, _, _), want in zip(found, wanted, strict=True)
            ):
                return self._between(start, start + len(wanted))
        return ""

    def _starts(self, wanted: str) -> Sequence[int]:
        if wanted.endswith("*"):
            return range(len(self._words))
        return self._at.get(stem(wanted), ())

    def _between(self, first: int, end: int) -> str:
        return self._text[self._words[first][1] : self._words[end - 1][2]]


class Spellings:
    """Title and abstract of one paper; says where something stands, the title first."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._title = Spelling(paper.title)

    @cached_property
    def _abstract(self) -> Spelling:
        return Spelling(self._paper.abstract)

    def of_stems(self, wanted: Sequence[str]) -> tuple[str, str]:
        """(as spelled, `title` or `abstract`), or two empty strings."""
        if found := self._title.of_stems(wanted):
            return found, "title"
        found = self._abstract.of_stems(wanted)
        return (found, "abstract") if found else ("", "")

    def of_words(self, wanted: Sequence[str], field: str) -> tuple[str, str]:
        """The same for exact words in `ti`, `ab`, or both where `field` is empty."""
        if field != "ab" and (found := self._title.of_words(wanted)):
            return found, "title"
        if field != "ti" and (found := self._abstract.of_words(wanted)):
            return found, "abstract"
        return "", ""


def _fits(word: str, wanted: str) -> bool:
    return word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted


def _spelled(text: str) -> Iterator[Word]:
    """Each word of `text` with the piece that spells it. Most pieces are one word; two may be one
    (`pre-training`), one may be several."""
    wanted = words(text)
    pieces = [match.span() for match in _FIND.finditer(text)]
    place = 0
    for index, (start, end) in enumerate(pieces):
        if place < len(wanted) and text[start:end].lower() == wanted[place]:
            yield wanted[place], start, end
            place += 1
            continue
        for _, last in pieces[index : index + JOINED]:
            found = words(text[start:last])
            if found and wanted[place : place + len(found)] == found:
                yield from ((word, start, last) for word in found)
                place += len(found)
                break
