"""Categories and authors of papers, as more columns beside their words.

What a wish learns from papers it learns from these, too: new papers in the categories of what one
likes, and by its authors, lie a little nearer. Why so little: docs/decisions/0040.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from math import log

import numpy as np
import scipy.sparse as sp

from digest.matching.meeting import Matrix
from digest.model import Paper
from digest.profiles.names import spellings

WEIGHT = 0.1  # length of a paper's categories, and of its authors, beside the 1 of its words
SPREAD = 0.25  # of their variance that counts as chance: as many papers pass the floors as without
LONGEST = WEIGHT * 2**0.5  # of all names of a paper
MOST_Z = 4.0  # that names may add to the z of a paper: alone they pass no floor
PRIOR = 0.002  # a name's share of papers before we have seen any,
PRIOR_PAPERS = 200.0  # with the weight of so many papers
CATEGORY, AUTHOR = "cat:", "au:"  # how a name begins
KEPT = 20_000  # bylines that are remembered, some 1 KB each


class Metadata:
    """The names in `papers`; `others` only teach how common each is."""

    def __init__(self, papers: Sequence[Paper], others: Sequence[Paper]) -> None:
        there = chain.from_iterable(_every(paper) for paper in papers)
        self.names = list(dict.fromkeys(there))
        self._columns = {name: column for column, name in enumerate(self.names)}
        self._seen = Counter(chain.from_iterable(_every(paper) for paper in (*papers, *others)))
        self._total = len(papers) + len(others)

    def rows(self, texts: Sequence[Paper]) -> Matrix:
        """(papers x names): each name by how rare it is; the categories of a paper have the length
        WEIGHT, and its authors have it."""
        entries = [
            (row, column, value)
            for row, paper in enumerate(texts)
            for kind in names_of(paper)
            for column, value in self._weighed(kind)
        ]
        rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
        placed = np.array(values, np.float32), (rows, columns)
        return sp.csr_matrix(placed, shape=(len(texts), len(self.names)))

    def _weighed(self, names: Sequence[str]) -> Iterator[tuple[int, float]]:
        """(column, value) of those of a paper's names that we know; all make it longer."""
        weights = [self._rarity(name) for name in names]
        length = sum(weight * weight for weight in weights) ** 0.5
        for name, weight in zip(names, weights, strict=True):
            column = self._columns.get(name)
            if column is not None:
                yield column, WEIGHT * weight / length

    def _rarity(self, name: str) -> float:
        share = (self._seen[name] + PRIOR * PRIOR_PAPERS) / (self._total + PRIOR_PAPERS)
        return -log(share)


def names_of(paper: Paper) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(categories, authors) of a paper, folded: how one is spelled makes no difference."""
    return _folded(tuple(paper.categories), tuple(paper.authors))


def spelled(paper: Paper, name: str) -> str:
    """A name as the paper prints it, or nothing where it is not in it."""
    printed = paper.categories if name.startswith(CATEGORY) else paper.authors
    fold = _category if name.startswith(CATEGORY) else _author
    return next((text for text in printed if fold(text) == name), "")


@lru_cache(maxsize=KEPT)
def _folded(
    categories: tuple[str, ...], authors: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _distinct(map(_category, categories)), _distinct(map(_author, authors))


def _distinct(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _category(text: str) -> str:
    folded = text.strip().lower()
    return CATEGORY + folded if folded else ""


def _author(text: str) -> str:
    """`Song, Yang` is `Yang Song`."""
    read = spellings(text)
    return AUTHOR + " ".join(read[0].words) if read else ""


def _every(paper: Paper) -> Iterator[str]:
    return chain.from_iterable(names_of(paper))
