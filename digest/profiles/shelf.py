"""What a profile's words mean: which papers of a set meet a query, hold a term, are by a person.

A set of papers is a Python integer: bit i stands for the i-th paper. Boolean rules over thousands
of papers then are a few operations on integers, and each clause is looked up once for everybody.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from digest.model import Paper
from digest.profiles.names import SURE, Person, alike, read_person, spellings, without_hints
from digest.profiles.query import And, Author, Category, Everything, Leaf, Not, Or, Phrase, Query
from digest.profiles.stems import stem, stems
from digest.text import words

MEMORY = 50_000  # answers of each kind that are kept
FEW = 24  # rows up to which a loop makes a set sooner than numpy

_Range = tuple[int, int]
"""[first, past): the numbers of words."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Byline:
    """A paper (its index) with an author who may be the person asked for, as it spells them."""

    paper: int
    spelled: str
    sure: float


class Shelf:
    """A fixed list of papers and answers about them. Lookups are remembered; none raises."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        self.papers = tuple(papers)
        self.everything = (1 << len(self.papers)) - 1
        self._indexes: dict[str, _Index] = {}
        self._rows: dict[str, list[str | None]] = {f: [None] * len(papers) for f in ("ti", "ab")}
        self._places: dict[str, int] | None = None
        self._authors: dict[str, list[tuple[int, str]]] | None = None
        self._categories: dict[str, int] | None = None
        self._leaves: dict[Leaf, int] = {}
        self._terms: dict[tuple[str, ...], int] = {}
        self._bylines: dict[str, tuple[Byline, ...]] = {}

    def place(self, id_: str) -> int | None:
        """Where the paper with this id, or another of its ids, stands."""
        if self._places is None:
            every = ((name, i) for i, p in enumerate(self.papers) for name in (p.id, *p.other_ids))
            self._places = dict(every)
        return self._places.get(id_)

    def meeting(self, query: Query) -> int:
        """The papers that meet a query."""
        match query:
            case Not():
                return self.everything & ~self.meeting(query.of)
            case And():
                found = self.everything
                for part in query.of:
                    found &= self.meeting(part)
                return found
            case Or():
                return _union(self.meeting(part) for part in query.of)
            case _:
                return self._leaf(query)

    def meets(self, query: Query, paper: int) -> bool:
        """Whether one paper meets a query: read in its text, where an index of all is not worth
        making."""
        match query:
            case Not():
                return not self.meets(query.of, paper)
            case And():
                return all(self.meets(part, paper) for part in query.of)
            case Or():
                return any(self.meets(part, paper) for part in query.of)
            case Phrase():
                fields = (query.field,) if query.field else ("ti", "ab")
                holds = finder(query.words)
                return any(holds(self.row(field, paper)) for field in fields)
            case _:
                return bool(self._leaf(query) >> paper & 1)

    def holding(self, term: str) -> int:
        """The papers whose title or abstract holds the term's words in a row, by their stems."""
        wanted = stems(term)
        found = self._terms.get(wanted)
        if found is None:
            found = _union(self._index(field).stemmed(wanted) for field in ("ti", "ab"))
            _remember(self._terms, wanted, found)
        return found

    def row(self, field: str, paper: int) -> str:
        """The words of a title (`ti`) or abstract (`ab`), each between blanks."""
        rows = self._rows[field]
        found = rows[paper]
        if found is None:
            text = self.papers[paper].title if field == "ti" else self.papers[paper].abstract
            found = rows[paper] = f" {' '.join(words(text))} "
        return found

    def by(self, person: str) -> tuple[Byline, ...]:
        """Every paper that names the person among its authors, once each, surest spelling."""
        found = self._bylines.get(person)
        if found is None:
            found = tuple(self._find_bylines(person))
            _remember(self._bylines, person, found)
        return found

    def authors(self, paper: int, name: str) -> list[str]:
        """The authors of a paper, as it spells them, whom `name` in a query means."""
        return list(dict.fromkeys(spelled for i, spelled in self._named(name) if i == paper))

    def under(self, category: str) -> int:
        """The papers of a category: `cs.LG`, an archive `cs`, or `cs.*`; case does not matter."""
        wanted = category.strip().lower()
        table = self._category_table()
        return _union(bits for name, bits in table.items() if _is_under(name, wanted))

    def categories(self, paper: int, wanted: str) -> list[str]:
        """The categories of a paper, as it spells them, that `under(wanted)` means."""
        wanted = wanted.strip().lower()
        given = self.papers[paper].categories
        return [name for name in given if _is_under(name.strip().lower(), wanted)]

    def _leaf(self, leaf: Leaf) -> int:
        found = self._leaves.get(leaf)
        if found is None:
            found = self._look_up(leaf)
            _remember(self._leaves, leaf, found)
        return found

    def _look_up(self, leaf: Leaf) -> int:
        match leaf:
            case Everything():
                return self.everything
            case Category():
                return self.under(leaf.name)
            case Author():
                return as_bits(i for i, _ in self._named(leaf.name))
            case Phrase():
                fields = (leaf.field,) if leaf.field else ("ti", "ab")
                return _union(self._index(field).phrase(leaf.words) for field in fields)

    def _index(self, field: str) -> _Index:
        """Over the words of titles (`ti`) or abstracts (`ab`)."""
        if field not in self._indexes:
            self._indexes[field] = _Index([self.row(field, i) for i in range(len(self.papers))])
        return self._indexes[field]

    # -------------------------------------------------------------- people and categories

    def _named(self, name: str) -> list[tuple[int, str]]:
        """(paper, spelled) for a name in a query: one word is any word of a name."""
        asked = words(name)
        if len(asked) > 1 and not name.strip().endswith("*"):
            return [(byline.paper, byline.spelled) for byline in self.by(name)]
        table = self._author_table()
        if not name.strip().endswith("*"):
            return table.get(asked[0], [])
        starting = (pairs for word, pairs in table.items() if word.startswith(asked[-1]))
        return [pair for pairs in starting for pair in pairs]

    def _find_bylines(self, text: str) -> Iterable[Byline]:
        try:
            person = read_person(text)
        except ValueError:  # a profile with such a hint is refused; a query may hold anything
            person = Person(without_hints(text))
        found = self._named_like(person.name)
        return (
            filter(None, (self._hinted(person, one) for one in found)) if person.hinted else found
        )

    def _hinted(self, person: Person, byline: Byline) -> Byline | None:
        """The byline of the very person that the hints tell of: a known co-author makes it sure."""
        others = [name for name in self.papers[byline.paper].authors if name != byline.spelled]
        if any(alike(one, name) for one in person.beside for name in others):
            return replace(byline, sure=SURE)
        given = any(self.categories(byline.paper, wanted) for wanted in person.categories)
        return byline if given else None

    def _named_like(self, person: str) -> Iterable[Byline]:
        best: dict[int, Byline] = {}
        table = self._author_table()
        for key in {name.words[-1] for name in spellings(person)}:
            for paper, spelled in table.get(key, ()):
                sure = alike(person, spelled)
                if sure > (best[paper].sure if paper in best else 0.0):
                    best[paper] = Byline(paper, spelled, sure)
        return best.values()

    def _author_table(self) -> dict[str, list[tuple[int, str]]]:
        """{a word of a name: (paper, author as spelled)}."""
        if self._authors is None:
            table = defaultdict(list)
            for i, paper in enumerate(self.papers):
                for author in paper.authors:
                    for word in {word for name in spellings(author) for word in name.words}:
                        table[word].append((i, author))
            self._authors = dict(table)
        return self._authors

    def _category_table(self) -> dict[str, int]:
        if self._categories is None:
            table = defaultdict(list)
            for i, paper in enumerate(self.papers):
                for category in paper.categories:
                    table[category.strip().lower()].append(i)
            self._categories = {name: as_bits(rows) for name, rows in table.items()}
        return self._categories


class _Index:
    """An inverted index over rows of words, and over words next to each other.

    Words are numbered in their order, so that all that begin alike are a range of numbers, and
    an entry is one number, word * rows + row (or first * words + second in place of the word):
    what a word, a beginning or two of them in a row stand in is one slice of sorted entries.
    """

    def __init__(self, rows: list[str]) -> None:
        self._rows = rows
        split = [row.split() for row in rows]
        self._sorted = sorted({word for row in split for word in row})
        self._number = {word: number for number, word in enumerate(self._sorted)}
        numbers = chain.from_iterable(map(self._number.__getitem__, row) for row in split)
        lengths = [len(row) for row in split]
        self._tokens = np.fromiter(numbers, np.int64, sum(lengths))
        self._places = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
        self._longest = max(lengths, default=0)
        self._words = np.unique(self._tokens * len(rows) + self._places)
        self._of_stems: dict[str, list[str]] | None = None

    @cached_property
    def _pairs(self) -> NDArray[np.int64]:
        together = self._places[:-1] == self._places[1:]
        pairs = self._tokens[:-1] * len(self._sorted) + self._tokens[1:]
        return np.unique(pairs[together] * len(self._rows) + self._places[:-1][together])

    def phrase(self, wanted: Sequence[str]) -> int:
        """The rows that hold these words in a row; a word that ends in `*` is a prefix."""
        spelled = [[self._range(word)] for word in wanted]
        return self._in_a_row(spelled, lambda: finder(tuple(wanted)))

    def stemmed(self, wanted: Sequence[str]) -> int:
        """The rows that hold words with these stems in a row."""
        if self._of_stems is None:
            self._of_stems = defaultdict(list)
            for word in self._sorted:
                self._of_stems[stem(word)].append(word)
        spelled = [self._of_stems.get(root, []) for root in wanted]
        ranges = [[self._range(word) for word in some] for some in spelled]
        return self._in_a_row(ranges, lambda: _any_of(spelled).search)

    def _in_a_row(
        self, spelled: Sequence[Sequence[_Range]], test: Callable[[], Callable[[str], object]]
    ) -> int:
        """The rows that hold one of each of these ranges of words, next to each other."""
        if len(spelled) == 1:
            return _union(self._slice(self._words, *one) for one in spelled[0])
        if len(spelled) > self._longest:
            return 0
        found = (1 << len(self._rows)) - 1 if spelled else 0
        for pair in pairwise(spelled):
            found &= self._beside(*pair)
            if not found:
                return 0
        if len(spelled) == 2 and _whole(spelled[0]):
            return found
        holds = test()
        return as_bits(i for i in members(found) if holds(self._rows[i]))

    def _beside(self, one: Sequence[_Range], other: Sequence[_Range]) -> int:
        """The rows that hold a word of each; next to each other if the first is a whole word."""
        if not _whole(one):
            some, more = (
                _union(self._slice(self._words, *r) for r in ranges) for ranges in (one, other)
            )
            return some & more
        width = len(self._sorted)
        return _union(
            self._slice(self._pairs, first * width + a, first * width + b)
            for first, _ in one
            for a, b in other
        )

    def _slice(self, entries: NDArray[np.int64], first: int, past: int) -> int:
        """The rows of the entries in [first, past)."""
        number = len(self._rows)
        start, end = entries.searchsorted(first * number), entries.searchsorted(past * number)
        rows = entries[start:end] % max(number, 1)
        if len(rows) <= FEW:
            return as_bits(rows.tolist())
        there = np.zeros(number, bool)
        there[rows] = True
        return int.from_bytes(np.packbits(there, bitorder="little").tobytes(), "little")

    def _range(self, word: str) -> _Range:
        """The numbers of a word, or of all that begin so."""
        if word.endswith("*"):
            start = word[:-1]
            past = bisect_left(self._sorted, start + "\U0010ffff")
            return bisect_left(self._sorted, start), past
        number = self._number.get(word, -1)
        return (number, number + 1) if number >= 0 else (0, 0)


def _whole(ranges: Sequence[_Range]) -> bool:
    """Are these single words, or none at all?"""
    return all(past - first == 1 for first, past in ranges)


def _any_of(spelled: Sequence[Sequence[str]]) -> re.Pattern[str]:
    """Finds one of each of these words, next to each other, in a row of words."""
    choices = ("|".join(map(re.escape, some)) for some in spelled)
    return re.compile("".join(f" (?:{some})" for some in choices) + " ")


def _is_under(name: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return name.startswith(wanted.rstrip("*"))
    return name == wanted or name.startswith(wanted + ".")


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep an answer; a memory that has grown too large starts anew."""
    if len(memory) >= MEMORY:
        memory.clear()
    memory[key] = value


def finder(wanted: tuple[str, ...]) -> Callable[[str], object]:
    """A test whether a row of words, each between blanks, holds these in a row."""
    if any(word.endswith("*") for word in wanted[:-1]):
        return row_pattern(wanted).search
    sought = f" {' '.join(wanted)} ".removesuffix("* ")
    return lambda row: sought in row


@lru_cache(maxsize=1_000)
def row_pattern(wanted: tuple[str, ...]) -> re.Pattern[str]:
    """Finds these words in a row of words, each between blanks; `model*` is a prefix."""
    parts = (re.escape(w.removesuffix("*")) + "[^ ]*" * w.endswith("*") for w in wanted)
    return re.compile(f" {' '.join(parts)} ")


def members(bits: int) -> list[int]:
    """The indices in a set of papers, rising."""
    row = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return [(at << 3) + bit for at, byte in enumerate(row) if byte for bit in _BITS[byte]]


_BITS = [[bit for bit in range(8) if byte >> bit & 1] for byte in range(256)]


def as_bits(indices: Iterable[int]) -> int:
    """A set of papers from indices, in time linear in their number and their largest."""
    listed = list(indices)
    if not listed:
        return 0
    row = bytearray((max(listed) >> 3) + 1)
    for i in listed:
        row[i >> 3] |= 1 << (i & 7)
    return int.from_bytes(row, "little")


def _union(parts: Iterable[int]) -> int:
    found = 0
    for part in parts:
        found |= part
    return found
