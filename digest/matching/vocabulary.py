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
from digest.profiles.stems import stem
from digest.text import words

Codes = NDArray[np.int64]
"""One number for each stem (its index) or pair of stems in a row (first + 1, then second)."""

GENERATION = 15_000  # texts; two generations are kept, some 3 KB a text
MOST_STEMS = 1_500_000
MOST_TERMS = 100_000  # terms of profiles that are remembered
_PAIR = 32  # bits of the second stem of a pair

# These, and single letters, say nothing of a paper's subject. They do not stand between the words
# of a pair: "distribution of tokens" holds the pair (distribut, token).
STOP_WORDS = frozenset(
    words(
        "about above after again all also am an and any are as at be because been before being "
        "below between both but by can could did do does doing down during each few for from "
        "further had has have having he her here hers herself him himself his how if in into is "
        "it its itself just me more most my myself no nor not of off on once only or other our "
        "ours out over own same she should so some such than that the their theirs them then "
        "there these they this those through to too under until up very was we were what when "
        "where which while who whom why will with within without you your"
    )
)


@dataclass(frozen=True, slots=True)
class Grams:
    """What one paper holds: distinct codes, how often each, how often in the title of it, and how
    many in all."""

    codes: Codes
    counts: NDArray[np.float32]
    titled: NDArray[np.float32]
    length: int


class Vocabulary:
    """Gives stems their numbers and remembers texts; safe to share between threads.

    Numbers hold for the life of this object: whoever keeps codes keeps the vocabulary too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}  # of words; -1: stop word
        self._of_stems: dict[str, int] = {}
        self._stems: list[str] = []
        self._terms: dict[str, tuple[list[int], list[int]]] = {}
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

    def codes(self, term: str) -> tuple[list[int], list[int]]:
        """(codes of the single words, codes of the pairs) of a term, in order."""
        found = self._terms.get(term)
        if found is None:
            if len(self._terms) >= MOST_TERMS:
                self._terms.clear()
            numbers = self._number(words(term))
            found = self._terms[term] = numbers, _pairs(numbers)
        return found

    def spelled(self, code: int) -> tuple[str, ...]:
        """The stem or two stems of a code."""
        first, second = code >> _PAIR, code & ((1 << _PAIR) - 1)
        return (self._stems[first - 1], self._stems[second]) if first else (self._stems[second],)

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
        return np.concatenate([numbers, (numbers[:-1] + 1 << _PAIR) + numbers[1:]])

    def _number(self, found: Sequence[str]) -> list[int]:
        """Stem numbers without stop words."""
        known = self._numbers
        numbers = [known.get(word, -2) for word in found]
        if -2 in numbers:
            self._learn(word for word in found if word not in known)
            numbers = [known[word] for word in found]
        return [number for number in numbers if number >= 0]

    def _learn(self, unknown: Iterable[str]) -> None:
        with self._lock:
            for word in unknown:
                if word in self._numbers:
                    continue
                root = stem(word)
                if root not in self._of_stems and not _is_stop(word):
                    self._stems.append(root)
                    self._of_stems[root] = len(self._stems) - 1
                self._numbers[word] = -1 if _is_stop(word) else self._of_stems[root]


def single(codes: Codes) -> NDArray[np.bool_]:
    """Which codes are single words, not pairs."""
    return codes < 1 << _PAIR


def text_key(paper: Paper) -> int:
    """Tells texts apart, whatever they are called (64 bits: two alike once in 10^9 corpora)."""
    return hash((paper.title, paper.abstract))


def _is_stop(word: str) -> bool:
    return len(word) == 1 or word in STOP_WORDS


def _pairs(numbers: Sequence[int]) -> list[int]:
    following = iter(numbers)
    next(following, None)
    return [((a + 1) << _PAIR) + b for a, b in zip(numbers, following, strict=False)]
