"""Numbers for words: each text becomes the counts of its stemmed words and pairs of words, once.

Publish runs over backgrounds that overlap; what a text holds does not change, so it is remembered
by the text itself, in this process, within a bound.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digest.model import Paper
from digest.profiles.stems import NO_NUMBER, number_of, stem
from digest.text import words

Codes = NDArray[np.int64]
"""One number for each stem (`number_of`) or pair of stems in a row (first, then second)."""

GENERATION = 15_000  # texts; two generations are kept, some 3 KB a text
MOST_STEMS = 1_500_000
PAIR = 32  # bits of the second stem of a pair


@dataclass(frozen=True, slots=True)
class Grams:
    """What one paper holds: distinct codes, how often each, how often in the title of it, and how
    many in all."""

    codes: Codes
    counts: NDArray[np.float32]
    titled: NDArray[np.float32]
    length: int


class Vocabulary:
    """Counts the words of texts and remembers them; safe to share between threads.

    Codes are the same everywhere; what stems they stand for only this object knows.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}  # of words
        self._stems: dict[int, str] = {}
        self._young: dict[int, Grams] = {}
        self._old: dict[int, Grams] = {}

    @property
    def full(self) -> bool:
        """Time to begin a new one."""
        return len(self._numbers) > MOST_STEMS

    def grams(self, paper: Paper) -> Grams:
        """The codes of a paper's title and abstract."""
        key = text_key(paper)
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            self._keep(key, found := found or self._count(paper))
        return found

    def spelled(self, code: int) -> tuple[str, ...]:
        """The stem or two stems of a code."""
        first, second = code >> PAIR, code & ((1 << PAIR) - 1)
        return (self._stems[first], self._stems[second]) if first else (self._stems[second],)

    def _keep(self, key: int, grams: Grams) -> None:
        with self._lock:
            if len(self._young) >= GENERATION:
                self._old, self._young = self._young, {}
            self._young[key] = grams

    def _count(self, paper: Paper) -> Grams:
        title = self._every_code(paper.title)
        everything = np.concatenate([title, self._every_code(paper.abstract)])
        codes, places = np.unique(everything, return_inverse=True)
        counts = np.bincount(places, minlength=len(codes)).astype(np.float32)
        titled = np.bincount(places[: len(title)], minlength=len(codes)).astype(np.float32)
        return Grams(codes, counts, titled, len(everything))

    def _every_code(self, text: str) -> Codes:
        numbers = np.array(self._number(words(text)), np.int64)
        return np.concatenate([numbers, (numbers[:-1] << PAIR) + numbers[1:]])

    def _number(self, found: Sequence[str]) -> list[int]:
        """Stem numbers without stop words."""
        known = self._numbers
        numbers = [known.get(word, -1) for word in found]
        if -1 in numbers:
            self._learn(word for word in found if word not in known)
            numbers = [known[word] for word in found]
        return [number for number in numbers if number != NO_NUMBER]

    def _learn(self, unknown: Iterable[str]) -> None:
        with self._lock:
            for word in unknown:
                if word in self._numbers:
                    continue
                number = self._numbers[word] = number_of(word)
                if number != NO_NUMBER:
                    self._stems[number] = stem(word)


def single(codes: Codes) -> NDArray[np.bool_]:
    """Which codes are single words, not pairs."""
    return codes < 1 << PAIR


def text_key(paper: Paper) -> int:
    """Tells texts apart, whatever they are called (64 bits: two alike once in 10^9 corpora)."""
    return hash((paper.title, paper.abstract))
