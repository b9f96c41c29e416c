"""A tiny stand-in for a sentence-transformers model: a bag of words in few dimensions, in which
words of one meaning are one word."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digest.text import words


class BagOfWords:
    """Each word is a direction that only the word decides. `same`: {word: what it means}."""

    def __init__(self, same: Mapping[str, str] | None = None, dimension: int = 48) -> None:
        self._same, self._dimension = same or {}, dimension
        self.asked: list[str] = []

    def encode(self, sentences: list[str], **how: Any) -> NDArray[np.float64]:
        assert how == {"show_progress_bar": False, "convert_to_numpy": True}
        self.asked += sentences
        return np.stack([self._bag(text) for text in sentences])

    def _bag(self, text: str) -> NDArray[np.float64]:
        found = np.zeros(self._dimension)
        for word in words(text):
            seed = zlib.crc32(self._same.get(word, word).encode())
            found += np.random.default_rng(seed).normal(size=self._dimension)
        return found
