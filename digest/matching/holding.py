"""Which terms papers may hold: looked up for all of a reader's papers at once, in few bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from digest.profiles.compact import Words

BITS = 1 << 14  # of each paper: of 100 words that it does not hold, fewer than one seems held

Bits = NDArray[np.uint8]


class Holding:
    """The numbers of papers' words, as bits. Sets of numbers would have every word of every paper
    somewhere else in memory, and looking them up would cost four times as much."""

    def __init__(self, papers: Iterable[NDArray[np.int64]]) -> None:
        """`papers`: of each the numbers of its words."""
        numbers = list(papers)
        self._bits = np.zeros((len(numbers), BITS // 8), np.uint8)
        for row, some in zip(self._bits, numbers, strict=True):
            np.bitwise_or.at(row, _byte(some), _bit(some))

    def may_hold(self, papers: Sequence[int], words: Words) -> list[list[int]]:
        """For each paper the terms that it may hold, the weightiest first. None that it holds is
        missing; of a phrase only the first two words are looked at."""
        order = np.argsort(-words.weights, kind="stable")
        lengths = words.lengths.astype(np.int64)
        starts = (np.cumsum(lengths) - lengths)[order]
        lengths = lengths[order]
        numbers = np.append(words.numbers.astype(np.int64), 0)
        rows = self._bits[list(papers)]
        held = _held(rows, numbers[starts])
        held &= _held(rows, numbers[starts + (lengths > 1)])
        held |= lengths == 0  # stop words alone: the text will tell
        place, found = np.nonzero(held)
        terms = order[found].tolist()
        ends = np.searchsorted(place, np.arange(len(rows) + 1)).tolist()
        return [terms[start:end] for start, end in pairwise(ends)]


def _held(rows: Bits, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(papers x numbers)"""
    return np.asarray(rows[:, _byte(numbers)] & _bit(numbers), bool)


def _byte(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return (numbers >> 3) & (BITS // 8 - 1)


def _bit(numbers: NDArray[np.int64]) -> Bits:
    return np.asarray(np.left_shift(1, numbers & 7), np.uint8)
