"""Stemmed words: how the soft terms of a profile meet the words of a text."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import lru_cache

import Stemmer

from digest.text import words

_MOST = 500_000  # words remembered; then the memory starts anew

_memory: dict[str, str] = {}
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


def _stem_anew(word: str) -> str:
    if not hasattr(_local, "stemmer"):
        _local.stemmer = Stemmer.Stemmer("english", 0)  # one a thread: it is not safe to share
    if len(_memory) > _MOST:
        _memory.clear()
    root: str = _local.stemmer.stemWord(word)
    _memory[word] = root
    return root
