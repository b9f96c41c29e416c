"""Stemmed words: how the soft terms of a profile meet the words of a text."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import Stemmer

from digest.text import words

_MOST = 500_000  # words remembered; then the memory starts anew
NO_NUMBER = 0  # of a stop word

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

_memory: dict[str, str] = {}
_numbers: dict[str, int] = {}
_local = threading.local()


def stem(word: str) -> str:
    """The English Snowball stem of a folded word: `sampling` and `samples` are `sampl`."""
    return _memory.get(word) or _stem_anew(word)


def stem_all(found: Iterable[str]) -> list[str]:
    """The stems of these words, in order."""
    known = _memory.get
    return [known(word) or _stem_anew(word) for word in found]


@lru_cache(maxsize=50_000)
def stems(term: str) -> tuple[str, ...]:
    """The stems of every word of a term, in order."""
    return tuple(stem_all(words(term)))


def number_of(word: str) -> int:
    """The number of a folded word's stem, from 1 to 2^31 - 1; NO_NUMBER for a stop word.

    It is the same in every process, so that it can be kept. In every second window of 50,000 stems
    two share one: then either counts for the other, though no reason names it where it is not.
    """
    number = _numbers.get(word)
    if number is None:
        if len(_numbers) > _MOST:
            _numbers.clear()
        number = _numbers[word] = _number_anew(word)
    return number


def numbers_of(text: str) -> list[int]:
    """The numbers of a text's words, in order, without stop words."""
    return [number for number in map(number_of, words(text)) if number != NO_NUMBER]


def _number_anew(word: str) -> int:
    if len(word) == 1 or word in STOP_WORDS:
        return NO_NUMBER
    hashed = blake2b(stem(word).encode(), digest_size=8).digest()
    return 1 + int.from_bytes(hashed) % ((1 << 31) - 1)


def _stem_anew(word: str) -> str:
    if not hasattr(_local, "stemmer"):
        _local.stemmer = Stemmer.Stemmer("english", 0)  # one a thread: it is not safe to share
    if len(_memory) > _MOST:
        _memory.clear()
    root: str = _local.stemmer.stemWord(word)
    _memory[word] = root
    return root
