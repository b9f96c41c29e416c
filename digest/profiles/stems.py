"""Stemmed words: how the soft terms of a profile meet the words of a text."""

from __future__ import annotations

import threading

import Stemmer

from digest.text import words

_MOST = 500_000  # words remembered; then the memory starts anew

_local = threading.local()


def stem(word: str) -> str:
    """The English Snowball stem of a folded word: `sampling` and `samples` are `sampl`."""
    memory: dict[str, str] | None = getattr(_local, "memory", None)
    if memory is None or len(memory) > _MOST:
        memory = _local.memory = {}
        _local.stemmer = Stemmer.Stemmer("english", 0)  # one a thread: it is not safe to share
    found = memory.get(word)
    if found is None:
        found = memory[word] = _local.stemmer.stemWord(word)
    return found


def stems(text: str) -> tuple[str, ...]:
    """The stems of every word of `text`, in order."""
    return tuple(stem(word) for word in words(text))
