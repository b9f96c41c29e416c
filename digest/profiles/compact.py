"""A profile as few bytes that are read back at once: checked already, its words as numbers.

Reading a document of a hundred terms anew, and stemming it, costs more than ranking its reader.
The bytes are a memory, kept beside the document and made again whenever it, the release, or the
stemmer is another; what they say is never more than the document does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, overload

import numpy as np
import Stemmer
from numpy.typing import NDArray

from digest import __version__
from digest.model import Cadence, Floor, Frequency, Interest, Profile, QuietWeeks, Term
from digest.profiles.query import (
    And,
    Author,
    Category,
    Everything,
    Not,
    Or,
    Phrase,
    Query,
    leaves,
    parse_query,
)
from digest.profiles.stems import numbers_of

FORMAT = 1  # to be counted up when other words, or the same words otherwise, are written

_PLAIN = [f.name for f in fields(Profile) if f.name not in ("cadence", "interests")]
_ENUMS: dict[str, type[StrEnum]] = {"floor": Floor, "quiet_weeks": QuietWeeks}
_KINDS = ("phrase", "author", "category", "everything", "not", "and", "or")
_PHRASE, _AUTHOR, _CATEGORY, _EVERYTHING, _NOT, _AND, _OR = range(len(_KINDS))


class Words(NamedTuple):
    """The words of an interest's terms and then of its query's phrases: each one's weight (of
    terms only), how many stems it has without stop words, and their numbers, one after another."""

    weights: NDArray[np.float64]
    lengths: NDArray[np.uint16]
    numbers: NDArray[np.uint32]


NO_WORDS = Words(np.empty(0), np.empty(0, np.uint16), np.empty(0, np.uint32))


class Terms(Sequence[Term]):
    """Terms that are made when they are looked at: of a hundred, reasons name one or two."""

    __slots__ = ("_weights", "texts")

    def __init__(self, texts: list[str], weights: NDArray[np.float64]) -> None:
        self.texts, self._weights = texts, weights

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> Term: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Term]: ...
    def __getitem__(self, index: int | slice) -> Term | Sequence[Term]:
        if isinstance(index, slice):
            return tuple(self)[index]
        return Term(self.texts[index], float(self._weights[index]))

    def __iter__(self) -> Iterator[Term]:
        return map(Term, self.texts, self._weights.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def texts_of(terms: Sequence[Term]) -> Sequence[str]:
    """What the terms say, without their weights."""
    return terms.texts if isinstance(terms, Terms) else [term.text for term in terms]


@dataclass(frozen=True, slots=True)
class Compact:
    """A profile, and of each of its interests the words and the query's tree."""

    profile: Profile
    words: Sequence[Words]
    queries: Sequence[Query | None]


def compacted(profile: Profile) -> Compact:
    """Raises QueryError for a query that cannot be read."""
    queries = [parse_query(interest.query) for interest in profile.interests]
    return Compact(profile, list(map(_words, profile.interests, queries)), queries)


def _words(interest: Interest, query: Query | None) -> Words:
    asked = [term.text for term in interest.terms]
    phrases = [leaf for leaf in leaves(query) if isinstance(leaf, Phrase)] if query else []
    asked += [" ".join(word.removesuffix("*") for word in leaf.words) for leaf in phrases]
    found = [numbers_of(text) for text in asked]
    return Words(
        np.array([term.weight for term in interest.terms], np.float64),
        np.array([len(some) for some in found], np.uint16),
        np.array([number for some in found for number in some], np.uint32),
    )


# ------------------------------------------------------------------ to bytes and back


def pack(compact: Compact) -> bytes:
    """The bytes: a line of JSON, then the numbers of each interest."""
    profile = compact.profile
    head = [
        _edition(),
        [str(profile.cadence.frequency), *(profile.cadence.day, profile.cadence.hour)],
        profile.cadence.zone,
        {name: getattr(profile, name) for name in _PLAIN},
        list(map(_interest, profile.interests, compact.words, compact.queries)),
    ]
    line = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    return b"\n".join([line.encode(), b"".join(a.tobytes() for w in compact.words for a in w)])


def unpack(packed: bytes | None) -> Compact | None:
    """What was packed; None where there is nothing, or another release packed it."""
    line, _, numbers = (packed or b"").partition(b"\n")
    if not line.startswith(_mark()):
        return None
    _, (frequency, day, hour), zone, plain, rows = json.loads(line)
    words = list(_cut(numbers, [row[-2:] for row in rows]))
    profile = Profile(
        cadence=Cadence(Frequency(frequency), day, hour, zone),
        interests=tuple(map(_read, rows, words)),
        **{name: _value(name, value) for name, value in plain.items()},
    )
    return Compact(profile, words, [_tree(row[2]) for row in rows])


def _value(name: str, plain: Any) -> Any:
    """A field of a profile from plain data."""
    if name in _ENUMS:
        return _ENUMS[name](plain)
    return tuple(plain) if isinstance(plain, list) else plain


def _interest(interest: Interest, words: Words, query: Query | None) -> list[Any]:
    texts = "\n".join(term.text for term in interest.terms)
    row = [interest.name, interest.query, _plain(query), interest.seeds, interest.quota, texts]
    return [*row, [len(words.weights), len(words.lengths)], len(words.numbers)]


def _read(row: Sequence[Any], words: Words) -> Interest:
    name, query, _, seeds, quota, texts = row[:6]
    terms = Terms(texts.split("\n") if texts else [], words.weights)
    return Interest(name, query, terms, tuple(seeds), quota)


def _cut(numbers: bytes, sizes: Sequence[Sequence[Any]]) -> Iterator[Words]:
    at = 0
    for (weights, lengths), many in sizes:
        past = at + 8 * weights
        end = past + 2 * lengths
        yield Words(
            np.frombuffer(numbers, np.float64, weights, at),
            np.frombuffer(numbers, np.uint16, lengths, past),
            np.frombuffer(numbers, np.uint32, many, end),
        )
        at = end + 4 * many


@cache
def _edition() -> str:
    return f"{FORMAT}/{__version__}/{Stemmer.version()}/{','.join(_PLAIN)}"


@cache
def _mark() -> bytes:
    return json.dumps([_edition()])[:-1].encode() + b","


# ------------------------------------------------------------------ queries as plain data


def _plain(query: Query | None) -> Any:
    match query:
        case Phrase():
            return [_PHRASE, query.field, " ".join(query.words)]
        case Author() | Category():
            return [_AUTHOR if isinstance(query, Author) else _CATEGORY, query.name]
        case Everything():
            return [_EVERYTHING]
        case Not():
            return [_NOT, _plain(query.of)]
        case And() | Or():
            return [_AND if isinstance(query, And) else _OR, list(map(_plain, query.of))]
    return None


def _tree(plain: Any) -> Any:
    """The tree that `_plain` wrote down."""
    if plain is None:
        return None
    kind = plain[0]
    if kind == _PHRASE:
        return Phrase(tuple(plain[2].split(" ")), plain[1])
    if kind >= _AND:
        return (And if kind == _AND else Or)(tuple(map(_tree, plain[1])))
    if kind == _NOT:
        return Not(_tree(plain[1]))
    if kind == _EVERYTHING:
        return Everything()
    return (Author if kind == _AUTHOR else Category)(plain[1])
