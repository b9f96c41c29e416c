"""The wishes of a batch of readers, scored against all papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.meeting import (
    Asking,
    Index,
    Learnt,
    Matrix,
    Papers,
    Said,
    Scores,
    meet,
    power,
    root,
)
from digest.matching.space import Space
from digest.matching.wishes import Asked, Examples, Wish, codes, liked
from digest.model import Floor, Paper
from digest.profiles.compact import NO_WORDS
from digest.profiles.query import Query
from digest.profiles.shelf import Shelf, as_bits

Flags = NDArray[np.bool_]

# z a paper must reach without a query; how they were chosen: docs/matching.md
FLOORS = {Floor.RELAXED: 4.0, Floor.NORMAL: 6.0, Floor.STRICT: 9.0}
NEAR = 2.0  # z from which a paper is near an interest: popular papers, a like's interest
LEAST = 20.0  # z squared of one mention of a lone term, however common: it was asked for
JUST_BELOW = 2 / 3  # of the floor: what lies between is a near miss
FEW = 50  # rated papers that are read one by one to see whether they meet a query
DISLIKE = 0.25  # what the mean of disliked papers weighs beside that of liked ones


@dataclass(frozen=True, slots=True)
class Held:
    """The papers of a window, as wishes are held against them."""

    space: Space
    shelf: Shelf
    index: Index


class Block:
    """How far above chance every wish of these readers is for the papers of the shelf.

    `rows[i]:rows[i + 1]`: reader i's wishes. `whole`: every paper comes out for everybody, not
    only those that may come into a letter.
    """

    def __init__(
        self,
        held: Held,
        asked: Sequence[Asked],
        examples: Examples,
        *,
        whole: bool = False,
        way: ModuleType | None = None,
    ) -> None:
        self.space, self.shelf = held.space, held.shelf
        self.papers = examples.papers
        self.examples = self.space.vectors(examples.papers)
        self._described = self.space.described(self.examples, examples.papers)
        _place_feedback(self, asked, examples)
        self.wishes = [wish for one in asked for wish in one.wishes]
        sizes = [len(one.wishes) for one in asked]
        self.rows = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._said = self._of_terms(self.wishes)
        self._learnt = self._of_papers(self.wishes)
        self._met = meet(held.index, self._asking(asked, whole), way=way)

    @cached_property
    def likeness(self) -> Scores:
        """(example papers x papers): cosines."""
        return self.space.likeness(self.examples)

    @cached_property
    def _known(self) -> Scores:
        """(example papers x rank): what the collaborative map knows of them."""
        return self.space.known(self.papers)

    def of(self, index: int) -> tuple[Papers, Scores]:
        """(papers that may come for one reader, rising; (wishes x these papers) z); a query's own
        surprise is not in it."""
        return self._met.of(index)

    def nearness(self, wishes: Sequence[Wish], papers: Sequence[Paper]) -> Scores:
        """(wishes x other papers)."""
        against, learnt = self.space.against(papers), self._of_papers(wishes)
        return root(power(against, self._of_terms(wishes), learnt))

    def tasted(self, row: int, paper: int) -> float:
        """The z that the collaborative map alone gives a paper for a wish; 0 without a map."""
        return self._dense(row, paper, slice(0, self.space.rank))

    def meant(self, row: int, paper: int) -> float:
        """What the model adds to the z of a paper for a wish; 0 without a model."""
        return self._dense(row, paper, slice(self.space.rank, None))

    def _dense(self, row: int, paper: int, part: slice) -> float:
        return float(self._learnt.tastes[row, part] @ self.space.window_places[paper, part])

    def shared(self, row: int, paper: int, most: int) -> list[tuple[str, ...]]:
        """The stems (or pairs of stems) that a paper shares with a wish, heaviest first."""
        said = _heaviest(_row(self._said.weights, row), _row(self.space.mentions, paper), most)
        learnt = _heaviest(_row(self._learnt.centres, row), _row(self.space.papers, paper), most)
        return [self.space.spelled(column) for column in said or learnt]

    def named(self, row: int, paper: int, most: int, least: float) -> list[str]:
        """The paper's authors and categories (see metadata.names_of) that add at least `least` to
        its z for what a wish has learnt, most first."""
        wanted, scale = _row(self._learnt.centres, row), float(self._learnt.scale[row])
        if not scale:
            return []
        columns = _heaviest(wanted, self.space.named(paper), most, least / scale)
        return [self.space.name(column) for column in columns]

    def _asking(self, asked: Sequence[Asked], whole: bool) -> Asking:
        more = [0 if whole else _also(one, self.shelf) for one in asked]
        low = np.array([-np.inf if whole else _low(one) for one in asked], np.float32)
        marks = np.cumsum([bits > 0 for bits in more], dtype=np.int32) - 1
        marks[[not bits for bits in more]] = -1
        number = len(self.shelf.papers)
        also = [flags(bits, number).view(np.uint8) for bits in more if bits]
        return Asking(
            said=self._said,
            learnt=self._learnt,
            rows=self.rows,
            low=low,
            marks=marks,
            also=np.stack(also) if also else np.empty((0, number), np.uint8),
        )

    def _of_terms(self, wishes: Sequence[Wish]) -> Said:
        numbers = np.array([max(len(wish.terms), 1) for wish in wishes], np.float32)
        rows, named, shares = codes([NO_WORDS, *(wish.words for wish in wishes)])
        rows -= 1
        columns, weights = self.space.terms(
            named, shares.astype(np.float32), (LEAST / np.sqrt(numbers))[rows].astype(np.float32)
        )
        there = columns >= 0
        entries = weights[there], (rows[there], columns[there])
        terms = sp.csr_matrix(entries, shape=(len(wishes), self.space.width))
        several = (1 - 1 / numbers).astype(np.float32)
        return Said(terms, self.space.by_chance(terms) * several)

    def _of_papers(self, wishes: Sequence[Wish]) -> Learnt:
        """The mean of what is liked less that of what is not, and the taste that speaks of it."""
        weights = self._of_examples(wishes)
        mixing, tastes = _as_means(weights), self.space.tastes(weights, self._known)
        meant = self.space.meant(mixing, self.papers)
        return self.space.learnt(mixing, self._described, tastes, meant)

    def _of_examples(self, wishes: Sequence[Wish]) -> Matrix:
        """(wishes x examples): what each liked paper weighs; below 0 for what is not liked."""
        rows, examples, weights = [], [], []
        for row, wish in enumerate(wishes):
            rows += [row] * (len(wish.seeds) + len(wish.dislikes))
            examples += [*wish.seeds, *wish.dislikes]
            weights += [wish.fresh.get(seed, 1.0) for seed in wish.seeds]
            weights += [-DISLIKE] * len(wish.dislikes)
        shape = (len(wishes), self.examples.shape[0])
        return sp.csr_matrix((np.array(weights, np.float32), (rows, examples)), shape=shape)


def _as_means(weights: Matrix) -> Matrix:
    """What is liked adds up to 1 in each row, and what is not to -DISLIKE."""
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    data = weights.data.copy()
    for kind, total in ((data > 0, 1.0), (data < 0, DISLIKE)):
        sums = np.bincount(rows[kind], abs(data[kind]), weights.shape[0])
        data[kind] *= total / sums[rows[kind]]
    return sp.csr_matrix((data, weights.indices, weights.indptr), shape=weights.shape)


def _row(matrix: Matrix, row: int) -> tuple[NDArray[np.int32], Scores]:
    """(columns, values) of one row, by column."""
    start, end = matrix.indptr[row], matrix.indptr[row + 1]
    return matrix.indices[start:end], matrix.data[start:end]


def _heaviest(
    wish: tuple[NDArray[np.int32], Scores],
    paper: tuple[NDArray[np.int32], Scores],
    most: int,
    least: float = 0.0,
) -> list[int]:
    """The columns in which the product of both rows is above `least`, the greatest first."""
    (columns, weights), (here, values) = wish, paper
    if not len(columns):
        return []
    places = np.minimum(np.searchsorted(columns, here), len(columns) - 1)
    products = np.where(columns[places] == here, weights[places] * values, 0)
    first = np.argsort(-products, kind="stable")[:most]
    return [int(here[i]) for i in first if products[i] > least]


def floor_of(asked: Asked) -> float:
    return FLOORS[asked.reader.profile.floor]


def _low(asked: Asked) -> float:
    """The z below which a paper is nothing to a reader, unless it is in `_also`, or popular."""
    if not asked.wishes or any(wish.everything for wish in asked.wishes):
        return -np.inf
    return JUST_BELOW * floor_of(asked)


def _also(asked: Asked, shelf: Shelf) -> int:
    """Papers that may come whatever their z: of followed authors, and those that meet a query."""
    found = as_bits(asked.followed)
    for wish in asked.wishes:
        if wish.query is not None and not wish.everything:
            found |= shelf.meeting(wish.query)
    return found


def flags(bits: int, number: int) -> Flags:
    """A set of papers, as an array."""
    row = np.frombuffer(bits.to_bytes(number // 8 + 1, "little"), np.uint8)
    return np.unpackbits(row, bitorder="little")[:number].view(np.bool_)


# ------------------------------------------------------------------ likes and dislikes


def _place_feedback(block: Block, asked: Sequence[Asked], examples: Examples) -> None:
    """Give each like and dislike to the interest it is closest to: all of a batch at once."""
    judged = [one for one in asked if one.likes or one.dislikes]
    if not judged:
        return
    queried = {paper for one in judged if _has_query(one) for paper in _rated(one)}
    every = {paper for one in judged for paper in _rated(one)}
    rated = sorted(every, key=lambda paper: (paper not in queried, paper))
    texts = [examples.papers[paper] for paper in rated]
    shelf = Shelf(texts[: len(queried)])  # of the others nobody's query is asked
    places = {paper: place for place, paper in enumerate(rated)}
    nearness = block.nearness([wish for one in judged for wish in one.wishes], texts)
    row = 0
    for one in judged:
        at = [places[paper] for paper in _rated(one)]
        past = row + len(one.wishes)
        _place(one, *_closest(one, nearness[row:past, at], at, shelf))
        row = past


def _meet(shelf: Shelf, query: Query, papers: Sequence[int]) -> Flags:
    """Which of these papers meet a query."""
    if len(papers) <= FEW:
        return np.array([shelf.meets(query, paper) for paper in papers], bool)
    return flags(shelf.meeting(query), len(shelf.papers))[papers]


def _rated(one: Asked) -> list[int]:
    return [*one.likes, *one.dislikes]


def _has_query(one: Asked) -> bool:
    return any(wish.query is not None and not wish.everything for wish in one.wishes)


def _place(one: Asked, best: Sequence[int], fits: Sequence[bool]) -> None:
    apart = liked()
    for index, paper in enumerate(_rated(one)):
        like = index < len(one.likes)
        belongs = one.wishes and (fits[index] or (not like and len(one.wishes) == 1))
        wish = one.wishes[best[index]] if belongs else apart
        if like and paper in one.fresh and paper not in wish.seeds:
            wish.fresh[paper] = one.fresh[paper]
        (wish.seeds if like else wish.dislikes).append(paper)
    for wish in one.wishes:
        wish.seeds = list(dict.fromkeys(wish.seeds))
    if apart.seeds:
        one.wishes.append(apart)


def _closest(
    one: Asked, z: Scores, papers: Sequence[int], shelf: Shelf
) -> tuple[list[int], list[bool]]:
    """For each paper: the index of its closest wish, and whether it fits that wish at all. `z`:
    (wishes x these papers), changed here; `papers`: where they are on the shelf."""
    if not one.wishes:
        return [0] * len(papers), [False] * len(papers)
    fits = z >= NEAR
    for row, wish in enumerate(one.wishes):
        if wish.everything:
            fits[row] = True
        elif wish.query is not None:
            met = _meet(shelf, wish.query, papers)
            fits[row] = met
            z[row] += np.where(met, NEAR, 0)
    chosen = np.where(fits, z, z - 1000).argmax(axis=0)
    return chosen.tolist(), fits[chosen, np.arange(len(papers))].tolist()
