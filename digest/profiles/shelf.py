"""What a profile's words mean: which papers of a set meet a query, hold a term, are by a person.

A set of papers is a Python integer: bit i stands for the i-th paper. Boolean rules over thousands
of papers then are a few operations on integers, and each clause is looked up once for everybody.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from digest.model import Paper
from digest.profiles.names import alike, spellings
from digest.profiles.query import And, Author, Category, Everything, Leaf, Not, Or, Phrase, Query
from digest.profiles.stems import stem_all, stems
from digest.text import words

MEMORY = 50_000  # answers of each kind that are kept

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
        self._authors: dict[str, list[tuple[int, str]]] | None = None
        self._categories: dict[str, int] | None = None
        self._leaves: dict[Leaf, int] = {}
        self._terms: dict[tuple[str, ...], int] = {}
        self._bylines: dict[str, tuple[Byline, ...]] = {}

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

    def holding(self, term: str) -> int:
        """The papers whose title or abstract holds the term's words in a row, by their stems."""
        wanted = stems(term)
        found = self._terms.get(wanted)
        if found is None:
            found = _union(self._index(field).phrase(wanted) for field in ("ti stems", "ab stems"))
            _remember(self._terms, wanted, found)
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

    def _index(self, kind: str) -> _Index:
        """Over titles (`ti`) or abstracts (`ab`), by words, or by stems (`ti stems`)."""
        if kind not in self._indexes:
            texts = (p.title if kind.startswith("ti") else p.abstract for p in self.papers)
            found: Iterable[list[str]] = map(words, texts)
            if kind.endswith("stems"):
                found = map(stem_all, found)
            self._indexes[kind] = _Index(found)
        return self._indexes[kind]

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

    def _find_bylines(self, person: str) -> Iterable[Byline]:
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
    """An inverted index over rows of words; phrases are checked on the rows themselves."""

    def __init__(self, rows: Iterable[list[str]]) -> None:
        self._rows: list[str] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            self._rows.append(f" {' '.join(row)} ")
            for word in set(row):
                self._places[word].append(i)
        self._sorted: list[str] | None = None

    def phrase(self, wanted: Sequence[str]) -> int:
        """The rows that hold these words in a row; a word that ends in `*` is a prefix."""
        if not wanted:
            return 0
        found = self._one(wanted[0])
        for word in wanted[1:]:
            if not found:
                return 0
            found &= self._one(word)
        return found if len(wanted) == 1 or not found else self._in_a_row(found, wanted)

    def _one(self, word: str) -> int:
        if word.endswith("*"):
            return as_bits(i for w in self._beginning(word[:-1]) for i in self._places[w])
        return as_bits(self._places.get(word, ()))

    def _beginning(self, start: str) -> list[str]:
        if self._sorted is None:
            self._sorted = sorted(self._places)
        last = bisect_left(self._sorted, start + "\U0010ffff")
        return self._sorted[bisect_left(self._sorted, start) : last]

    def _in_a_row(self, candidates: int, wanted: Sequence[str]) -> int:
        parts = (re.escape(w.removesuffix("*")) + "[^ ]*" * w.endswith("*") for w in wanted)
        holds = re.compile(f" {' '.join(parts)} ").search
        return as_bits(i for i in members(candidates) if holds(self._rows[i]))


def _is_under(name: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return name.startswith(wanted.rstrip("*"))
    return name == wanted or name.startswith(wanted + ".")


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep an answer; a memory that has grown too large starts anew."""
    if len(memory) >= MEMORY:
        memory.clear()
    memory[key] = value


def members(bits: int) -> list[int]:
    """The indices in a set of papers, rising."""
    return [i for i, bit in enumerate(reversed(bin(bits)[2:])) if bit == "1"]


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
