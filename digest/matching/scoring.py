"""The wishes of a batch of readers, scored against all papers at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.space import Matrix, Scores, Space
from digest.matching.wishes import Asked, Examples, Wish, liked
from digest.model import Floor, Paper
from digest.profiles.query import Query
from digest.profiles.shelf import Shelf

Flags = NDArray[np.bool_]

# z a paper must reach without a query; how they were chosen: docs/matching.md
FLOORS = {Floor.RELAXED: 4.0, Floor.NORMAL: 6.0, Floor.STRICT: 9.0}
NEAR = 2.0  # z from which a paper is near an interest: popular papers, a like's interest
LEAST = 20.0  # z squared of one mention of a lone term, however common: it was asked for
FAINT = 0.05  # what is left of evidence that is no more than chance: it still orders
DISLIKE = 0.25  # what the mean of disliked papers weighs beside that of liked ones


@dataclass(frozen=True, slots=True)
class Said:
    """What wishes say in words: (wishes x columns) evidence of one mention, and how much of it
    a list of several terms finds in any paper by chance: what is expected and one deviation."""

    weights: Matrix
    chance: Scores


class Block:
    """The z of every wish of these readers for every paper of the shelf.

    `z`: (wishes x papers), how far above chance; `rows[i]`: where reader i's wishes are;
    `likeness`: (example papers x papers), cosines.
    """

    def __init__(
        self, space: Space, shelf: Shelf, asked: Sequence[Asked], examples: Examples
    ) -> None:
        self.space, self.shelf = space, shelf
        self.examples = space.vectors(examples.papers)
        self.likeness = space.likeness(self.examples)
        _place_feedback(self, asked, examples)
        self.wishes = [wish for one in asked for wish in one.wishes]
        self.rows = list(_ranges(asked))
        self._said = self._of_terms(self.wishes)
        self._mixing = self._of_examples(self.wishes)
        self._centres = self._mixing @ self.examples
        self._centres.sort_indices()
        self.z = self._near(self._said, self._mixing, self.likeness)

    def of(self, index: int) -> Scores:
        """(wishes x papers) of one reader; a query's own surprise is not in it."""
        start, end = self.rows[index]
        return self.z[start:end]

    def nearness(self, wishes: Sequence[Wish], papers: Sequence[Paper]) -> Scores:
        """(wishes x other papers)."""
        vectors, mentions = self.space.vectors(papers), self.space.mentioned(papers)
        likeness = self.space.likeness(self.examples, vectors)
        said, mixing = self._of_terms(wishes), self._of_examples(wishes)
        return self._near(said, mixing, likeness, vectors, mentions)

    def shared(self, row: int, paper: int, most: int) -> list[tuple[str, ...]]:
        """The stems (or pairs of stems) that a paper shares with a wish, heaviest first."""
        said = _heaviest(_row(self._said.weights, row), _row(self.space.mentions, paper), most)
        learnt = _heaviest(_row(self._centres, row), _row(self.space.papers, paper), most)
        return [self.space.spelled(column) for column in said or learnt]

    def _near(
        self,
        said: Said,
        mixing: Matrix,
        likeness: Scores,
        vectors: Matrix | None = None,
        mentions: Matrix | None = None,
    ) -> Scores:
        """Evidence adds by squares; being far from what one likes counts against a paper."""
        power = np.zeros((len(said.chance), likeness.shape[1]), np.float32)
        if said.weights.nnz:
            evidence = self.space.evidence(said.weights, mentions)
            power += np.maximum(evidence - said.chance[:, None], FAINT * evidence)
        if mixing.nnz:
            learnt = self.space.learnt(mixing, self.examples, likeness, vectors)
            power += learnt * np.abs(learnt)
        return np.sign(power) * np.sqrt(np.abs(power))

    def _of_terms(self, wishes: Sequence[Wish]) -> Said:
        sizes = np.array([len(wish.codes) for wish in wishes], np.int64)
        rows = np.repeat(np.arange(len(wishes)), sizes)
        numbers = np.array([max(len(wish.terms), 1) for wish in wishes], np.float32)
        columns, weights = self.space.terms(
            np.array([code for wish in wishes for code in wish.codes], np.int64),
            np.array([share for wish in wishes for share in wish.shares], np.float32),
            np.repeat(LEAST / np.sqrt(numbers), sizes),
        )
        there = columns >= 0
        entries = weights[there], (rows[there], columns[there])
        terms = sp.csr_matrix(entries, shape=(len(wishes), self.space.width))
        several = (1 - 1 / numbers).astype(np.float32)
        return Said(terms, self.space.by_chance(terms) * several)

    def _of_examples(self, wishes: Sequence[Wish]) -> Matrix:
        """(wishes x examples): the mean of what is liked less that of what is not."""
        rows, examples, weights = [], [], []
        for row, wish in enumerate(wishes):
            for some, weight in ((wish.seeds, 1.0), (wish.dislikes, -DISLIKE)):
                rows += [row] * len(some)
                examples += some
                weights += [weight / max(len(some), 1)] * len(some)
        shape = (len(wishes), self.examples.shape[0])
        return sp.csr_matrix((np.array(weights, np.float32), (rows, examples)), shape=shape)


def _row(matrix: Matrix, row: int) -> tuple[NDArray[np.int32], Scores]:
    """(columns, values) of one row, by column."""
    start, end = matrix.indptr[row], matrix.indptr[row + 1]
    return matrix.indices[start:end], matrix.data[start:end]


def _heaviest(
    wish: tuple[NDArray[np.int32], Scores], paper: tuple[NDArray[np.int32], Scores], most: int
) -> list[int]:
    """The columns in which both rows are positive, the greatest products first."""
    (columns, weights), (here, values) = wish, paper
    if not len(columns):
        return []
    places = np.minimum(np.searchsorted(columns, here), len(columns) - 1)
    products = np.where(columns[places] == here, weights[places] * values, 0)
    first = np.argsort(-products, kind="stable")[:most]
    return [int(here[i]) for i in first if products[i] > 0]


def floor_of(asked: Asked) -> float:
    return FLOORS[asked.reader.profile.floor]


def mask(query: Query, shelf: Shelf) -> Flags:
    """Which papers of the shelf meet a query."""
    return flags(shelf.meeting(query), len(shelf.papers))


def flags(bits: int, number: int) -> Flags:
    """A set of papers, as an array."""
    row = np.frombuffer(bits.to_bytes(number // 8 + 1, "little"), np.uint8)
    return np.unpackbits(row, bitorder="little")[:number].view(np.bool_)


def _ranges(asked: Sequence[Asked]) -> Iterator[tuple[int, int]]:
    end = 0
    for one in asked:
        start, end = end, end + len(one.wishes)
        yield start, end


# ------------------------------------------------------------------ likes and dislikes


def _place_feedback(block: Block, asked: Sequence[Asked], examples: Examples) -> None:
    """Give each like and dislike to the interest it is closest to."""
    judged = [one for one in asked if one.likes or one.dislikes]
    shelf = Shelf(examples.papers)
    for one in judged:
        _place(block, one, shelf)


def _place(block: Block, one: Asked, shelf: Shelf) -> None:
    papers = [*one.likes, *one.dislikes]
    best, fits = _closest(block, one, papers, shelf)
    apart = liked()
    for index, paper in enumerate(papers):
        like = index < len(one.likes)
        belongs = one.wishes and (fits[index] or (not like and len(one.wishes) == 1))
        wish = one.wishes[best[index]] if belongs else apart
        (wish.seeds if like else wish.dislikes).append(paper)
    for wish in one.wishes:
        wish.seeds = list(dict.fromkeys(wish.seeds))
    if apart.seeds:
        one.wishes.append(apart)


def _closest(
    block: Block, one: Asked, papers: Sequence[int], shelf: Shelf
) -> tuple[list[int], list[bool]]:
    """For each paper: the index of its closest wish, and whether it fits that wish at all."""
    if not one.wishes:
        return [0] * len(papers), [False] * len(papers)
    z = block.nearness(one.wishes, [shelf.papers[i] for i in papers])
    fits = z >= NEAR
    for row, wish in enumerate(one.wishes):
        if wish.everything:
            fits[row] = True
        elif wish.query is not None:
            met = mask(wish.query, shelf)[papers]
            fits[row] = met
            z[row] += np.where(met, NEAR, 0)
    chosen = np.where(fits, z, z - 1000).argmax(axis=0)
    return chosen.tolist(), fits[chosen, np.arange(len(papers))].tolist()
