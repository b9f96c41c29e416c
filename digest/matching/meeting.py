"""Which papers are near enough to which readers, and how near: the sums behind the scores.

Two ways to the same numbers, to the bit: scipy's products, whole blocks at a time; and machine code
(`compiled.py`, numba) that walks an inverted index reader by reader. The second is faster from some
thousand readers on and needs an extra; `Pace` decides. docs/decisions/0015 has the measurements.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = Any
"""A scipy csr_matrix of float32 (scipy gives no types)."""
Scores = NDArray[np.float32]
Papers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

FAINT = 0.05  # what is left of evidence that is no more than chance: it still orders
WORTH = 2_000  # readers of one process from which getting machine code ready pays: some 2 s
APART = 512  # readers for whom a second core is woken
_PADDING = 128  # the arrays of papers end at a multiple of this
_NOTHING = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Said:
    """What wishes say in words: (wishes x columns) evidence of one mention, and how much of it
    a list of several terms finds in any paper by chance: what is expected and one deviation."""

    weights: Matrix
    chance: Scores


@dataclass(frozen=True, slots=True)
class Learnt:
    """What wishes learn from papers: (wishes x columns) centres less nothing; of each wish the
    weight of its papers, what a paper has in common with them by chance, and 1 / deviation; and
    (wishes x places) what is held against places on the collaborative map and by the model."""

    centres: Matrix
    mass: Scores
    expected: Scores
    scale: Scores
    tastes: Scores


@dataclass(frozen=True, slots=True)
class Asking:
    """The wishes of some readers. `rows[i]:rows[i + 1]` are reader i's; `low`: the z from which a
    paper comes out for them; `also`: more papers that do, (some readers x papers); `marks[i]`: the
    reader's row there, or -1."""

    said: Said
    learnt: Learnt
    rows: NDArray[np.int64]
    low: Scores
    marks: NDArray[np.int32]
    also: Bytes


class Index:
    """What wishes are held against: (columns x papers) mentions and vectors; `pull`: how near each
    paper is to the middle of everything; `places`: (papers x places), see Space.places;
    `popular`: 1 for papers that come out from z `near` on."""

    def __init__(
        self,
        mentions: Matrix,
        vectors: Matrix,
        pull: Scores,
        places: Scores,
        popular: Bytes,
        near: float,
    ) -> None:
        self.mentions, self.vectors, self.places = mentions, vectors, places
        self.pull = np.asarray(pull, np.float32)
        self.popular, self.near = popular, near
        self.number = len(pull)

    @cached_property
    def postings(self) -> tuple[tuple[Any, ...], Bytes]:
        """((mentions, vectors, pull), popular), as the compiled loops take them."""
        padding = self._padding
        lists = [
            (m.indptr.astype(np.int64), m.indices.astype(np.uint32), m.data)
            for m in (self.mentions, self.vectors)
        ]
        return (*lists, np.pad(self.pull, padding)), np.pad(self.popular, padding)

    @cached_property
    def padded_places(self) -> Scores:
        """(places x papers and padding), as products take it at once."""
        padded = np.pad(self.places, (self._padding, (0, 0)))
        return np.ascontiguousarray(padded.T, np.float32)

    @property
    def _padding(self) -> tuple[int, int]:
        return 0, -self.number % _PADDING or _PADDING * (not self.number)


class Met:
    """What came out, reader after reader, in few large arrays."""

    def __init__(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], papers: Papers, values: Scores
    ) -> None:
        self._rows, self._starts, self._papers, self._values = rows, starts, papers, values
        self._places = np.zeros(len(starts), np.int64)
        np.cumsum(np.diff(rows) * np.diff(starts), out=self._places[1:])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def of(self, reader: int) -> tuple[Papers, Scores]:
        """(papers, rising; (wishes x these papers) z) of one reader."""
        start, end = self._starts[reader], self._starts[reader + 1]
        values = self._values[self._places[reader] : self._places[reader + 1]]
        wishes = self._rows[reader + 1] - self._rows[reader]
        return self._papers[start:end], values.reshape(wishes, end - start)


def meet(index: Index, asking: Asking, top: int = 0, *, way: ModuleType | None = None) -> Met:
    """The papers that come out for each reader. With `top`, each reader's best so many with a z
    above 0, best first, and no floor. `way`: the machine code; None: scipy."""
    if way is None:
        return _joined(asking, list(_by_products(index, asking, top)))
    readers = len(asking.low)
    cuts = np.linspace(0, readers, (cores() if readers >= APART else 1) + 1).astype(int).tolist()
    parts = list(pairwise(cuts))
    work = _Work(index, asking, top, way)
    with ThreadPoolExecutor(len(parts)) as pool:
        return _joined(asking, list(pool.map(lambda part: work.between(*part), parts)))


def cores() -> int:
    """Processors that this process may use."""
    count = getattr(os, "sched_getaffinity", None)
    return len(count(0)) if count else os.cpu_count() or 1


@cache
def machine_code() -> ModuleType | None:
    """The compiled loops, or None where numba is not installed or does not know this Python."""
    try:
        from digest.matching import compiled
    except ImportError:
        return None
    return compiled


_Part = tuple[NDArray[np.int64], Papers, Scores]
"""Of some readers in a row: (how many papers each, the papers, their z wish after wish)."""


def _joined(asking: Asking, parts: Sequence[_Part]) -> Met:
    if not parts:
        parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    sizes, papers, values = (np.concatenate(some) for some in zip(*parts, strict=True))
    return Met(asking.rows, np.concatenate([[0], np.cumsum(sizes)]), papers, values)


class Pace:
    """Decides for one process whether machine code is worth its getting ready."""

    def __init__(self, worth: int) -> None:
        self._left = worth

    def way(self, readers: int) -> ModuleType | None:
        """How to meet so many more readers; see `meet`."""
        self._left -= readers
        return machine_code() if self._left < 0 else None


# ------------------------------------------------------------------ by scipy


def power(index: Index, said: Said, learnt: Learnt) -> Scores:
    """(wishes x papers): evidence adds by squares; being far from what one likes counts against
    a paper. z squared, with its sign."""
    found = np.zeros((len(said.chance), index.number), np.float32)
    if said.weights.nnz:
        evidence = np.asarray((said.weights @ index.mentions).toarray(), np.float32)
        found += np.maximum(evidence - said.chance[:, None], np.float32(FAINT) * evidence)
    if learnt.centres.nnz or learnt.tastes.shape[1]:
        z = np.asarray((learnt.centres @ index.vectors).toarray(), np.float32)
        z -= np.outer(learnt.mass, index.pull)
        z -= learnt.expected[:, None]
        z *= learnt.scale[:, None]
        if learnt.tastes.shape[1]:
            z += by_taste(index, learnt.tastes)[:, : index.number]
        found += z * np.abs(z)
    return found


def by_taste(index: Index, tastes: Scores) -> Scores:
    """(wishes x papers and padding): the z that the collaborative map and the model give."""
    some = tastes.any(axis=1)
    if some.all():
        return np.asarray(tastes @ index.padded_places, np.float32)
    found = np.zeros((len(tastes), index.padded_places.shape[1]), np.float32)
    found[some] = tastes[some] @ index.padded_places
    return found


def root(powers: Scores) -> Scores:
    """z of signed squares."""
    return np.asarray(np.sign(powers) * np.sqrt(np.abs(powers)), np.float32)


def _by_products(index: Index, asking: Asking, top: int) -> Iterator[_Part]:
    powers = power(index, asking.said, asking.learnt)
    for reader, mark in enumerate(asking.marks.tolist()):
        own = powers[asking.rows[reader] : asking.rows[reader + 1]]
        best = own.max(axis=0) if len(own) else np.full(index.number, -np.inf, np.float32)
        if top:
            papers = np.argsort(-best, kind="stable")[:top]
            papers = papers[best[papers] > 0]
        else:
            z = root(best)
            hit = (z >= asking.low[reader]) | ((z >= index.near) & (index.popular != 0))
            papers = np.flatnonzero(hit | asking.also[mark].view(bool) if mark >= 0 else hit)
        yield np.array([len(papers)]), papers, root(own[:, papers]).ravel()


# ------------------------------------------------------------------ by machine code


class _Work:
    """One batch as the compiled loops take it."""

    def __init__(self, index: Index, asking: Asking, top: int, way: ModuleType) -> None:
        self._way, self._asking, self._top = way, asking, top
        said, learnt = asking.said, asking.learnt
        self._readers = asking.rows, _least_power(asking.low), asking.marks
        self._said = *_rows(said.weights), said.chance, np.float32(FAINT)
        self._index, self._popular = index.postings
        tasted = by_taste(index, learnt.tastes) if learnt.tastes.shape[1] else _NOTHING
        chance = learnt.mass, learnt.expected, learnt.scale
        self._learnt = *_rows(learnt.centres), *chance, tasted
        self._most = int(np.diff(asking.rows).max(initial=1))
        self._number = index.number
        self._near = _least_power(np.array([index.near], np.float32))[0]

    def between(self, first: int, past: int) -> _Part:
        """For the readers in [first, past)."""
        rows = np.diff(self._asking.rows[first : past + 1])
        width = min(self._top, self._number) if self._top else self._number
        starts = np.zeros(past - first + 1, np.int64)
        papers = np.empty(width * len(rows), np.int64)  # untouched pages cost nothing
        values = np.empty(width * int(rows.sum()), np.float32)
        limits = first, past, self._number, self._top, self._most, self._near
        self._way.meet(
            *(self._readers, self._asking.also, limits, self._said, self._learnt, self._index),
            *(self._popular, (starts, papers, values)),
        )
        sizes = np.diff(starts)
        return sizes, papers[: sizes.sum()].copy(), values[: (sizes * rows).sum()].copy()


def _rows(matrix: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int32], Scores]:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def _least_power(z: Scores) -> Scores:
    """The least float32 whose root is at least `z`, so that comparing powers is comparing z."""
    found = (np.sign(z) * z * z).astype(np.float32)
    lowest = np.float32(-np.inf)
    for _ in range(3):
        found = np.where(root(found) < z, np.nextafter(found, np.float32(np.inf)), found)
    for _ in range(6):
        before = np.nextafter(found, lowest)
        found = np.where(root(before) >= z, before, found)
    return found.astype(np.float32)
