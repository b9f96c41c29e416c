"""What one reader asks for, ready to be scored: one wish for each interest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from digest.matching import Reader
from digest.matching.vocabulary import PAIR
from digest.model import LIKED, Interest, Paper, Term
from digest.profiles.compact import NO_WORDS, Words, compacted
from digest.profiles.query import Everything, Query
from digest.profiles.shelf import Byline, Shelf

HALF_LIFE = timedelta(days=365)  # of a like; seeds that a reader wrote down do not fade
PART = 0.1  # what the single words of a phrase count beside its pairs of words
QUERY_WORD = 0.25  # what a query's own words weigh among its papers, beside a term's 1


@dataclass(slots=True)
class Wish:
    """One interest, scored apart from the others. Example papers are indices into a batch."""

    section: str
    query: Query | None = None
    everything: bool = False
    terms: Sequence[Term] = ()
    words: Words = NO_WORDS  # of the terms and the query
    seeds: list[int] = field(default_factory=list)  # and likes
    dislikes: list[int] = field(default_factory=list)
    fresh: dict[int, float] = field(default_factory=dict)  # what likes weigh that have faded
    quota: int | None = None
    texts: Sequence[str] = ()  # of the terms, once they are looked at
    may: dict[int, list[int]] = field(default_factory=dict)  # {paper: terms that it may hold}


@dataclass(slots=True)
class Asked:
    """A reader's whole profile against one shelf of papers."""

    reader: Reader
    wishes: list[Wish]
    muted: int  # bits: these papers never come
    followed: dict[int, Byline]
    likes: list[int]
    dislikes: list[int]
    fresh: dict[int, float]  # what likes weigh that have faded
    picked: list[int] = field(default_factory=list)  # papers that may come into the letter


class Examples:
    """The papers that readers of a batch learn from, each once."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []
        self._indices: dict[tuple[str, int, int], int] = {}

    def add(self, ids: Iterable[str], known: Mapping[str, Paper]) -> list[int]:
        """Indices of those whose text is known, each work once."""
        found = (self._index(known[id_]) for id_ in ids if id_ in known)
        return list(dict.fromkeys(found))

    def _index(self, paper: Paper) -> int:
        key = (paper.id, paper.revision, id(paper))
        if key not in self._indices:
            self._indices[key] = len(self.papers)
            self.papers.append(paper)
        return self._indices[key]


def read(reader: Reader, shelf: Shelf, examples: Examples) -> Asked:
    """What the reader asks. Raises for a profile that cannot be understood (QueryError)."""
    profile, known = reader.profile, reader.known
    compact = reader.compact or compacted(profile)
    parts = zip(profile.interests, compact.words, compact.queries, strict=True)
    return Asked(
        reader=reader,
        wishes=[_wish(*part, examples, known) for part in parts],
        muted=_muted(reader, shelf),
        followed=_followed(profile.follow_authors, shelf),
        likes=examples.add(reader.feedback.likes, known),
        dislikes=examples.add(reader.feedback.dislikes, known),
        fresh=_fresh(reader, examples),
    )


def _fresh(reader: Reader, examples: Examples) -> dict[int, float]:
    """{example: weight} of likes: half for every HALF_LIFE that went by until the window's end."""
    said, known, window = reader.feedback, reader.known, reader.window
    if window is None:
        return {}
    ages = zip(said.likes, (window.until - at for at in said.liked_at), strict=False)
    return {
        index: 0.5 ** (max(age, timedelta(0)) / HALF_LIFE)
        for id_, age in ages
        for index in examples.add([id_], known)
    }


def liked() -> Wish:
    """The wish for likes that fit no interest."""
    return Wish(LIKED)


def _wish(
    interest: Interest,
    words: Words,
    query: Query | None,
    examples: Examples,
    known: Mapping[str, Paper],
) -> Wish:
    silent = query is None and not interest.terms and not interest.seeds
    return Wish(
        section=interest.name,
        query=query,
        everything=silent or isinstance(query, Everything),
        terms=interest.terms,
        words=words,
        seeds=examples.add(interest.seeds, known),
        quota=interest.quota,
    )


def codes(
    words: Sequence[Words],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(wish, code, share) of every single word and pair of words that wishes name: a phrase is
    its pairs, and to a PART its words."""
    lengths = np.concatenate([some.lengths for some in words]).astype(np.int64)
    weights = np.concatenate([_weights(some) for some in words])
    numbers = np.concatenate([some.numbers for some in words]).astype(np.int64)
    wish = np.repeat(np.arange(len(words)), [len(some.lengths) for some in words])
    term = np.repeat(np.arange(len(lengths)), lengths)
    together = np.flatnonzero(term[:-1] == term[1:])
    pairs, paired = (numbers[together] << PAIR) + numbers[together + 1], term[together]
    alone = np.where(lengths > 1, weights * PART / np.maximum(lengths, 1), weights)
    beside = weights / np.maximum(lengths - 1, 1)
    return (
        wish[np.concatenate([term, paired])],
        np.concatenate([numbers, pairs]),
        np.concatenate([alone[term], beside[paired]]),
    )


def _weights(words: Words) -> NDArray[np.float64]:
    """Of terms as given; a query's own words rank the papers that meet it."""
    more = len(words.lengths) - len(words.weights)
    return np.append(words.weights, [QUERY_WORD] * more) if more else words.weights


def _muted(reader: Reader, shelf: Shelf) -> int:
    profile, found = reader.profile, 0
    for term in profile.mute_terms:
        found |= shelf.holding(term)
    for category in profile.mute_categories:
        found |= shelf.under(category)
    for author in profile.mute_authors:
        for byline in shelf.by(author):
            found |= 1 << byline.paper
    for id_ in _named(reader):  # is no news to them
        known = reader.known.get(id_)
        if known and (place := shelf.place(known.id)) is not None:
            found |= 1 << place
    return found


def _named(reader: Reader) -> Iterable[str]:
    """The papers that a reader named as seeds, or rated."""
    for interest in reader.profile.interests:
        yield from interest.seeds
    yield from reader.feedback.likes
    yield from reader.feedback.dislikes


def _followed(authors: Iterable[str], shelf: Shelf) -> dict[int, Byline]:
    """{paper: the surest byline of somebody the reader follows}."""
    found: dict[int, Byline] = {}
    for author in authors:
        for byline in shelf.by(author):
            if byline.sure > (found[byline.paper].sure if byline.paper in found else 0.0):
                found[byline.paper] = byline
    return found
