"""What texts mean, by a model of the operator's: one more thing by which papers are like what a
reader likes. The only door of sentence-transformers (extra `embeddings`), imported late.

The model is a folder. Nothing is ever fetched: neither at the start nor for what a model lacks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from digest.errors import ConfigError
from digest.matching.vocabulary import text_key
from digest.model import Paper

Vectors = NDArray[np.float32]

KEPT = 30_000  # texts remembered, twice: some 100 MB at 384 numbers a text
OTHERS = 2_000  # texts beside the window's that tell how near texts are by chance
DOUBT = 200.0  # texts: with so many, a deviation counts half
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


class Encoder(Protocol):
    """What of a SentenceTransformer is used."""

    def encode(
        self, sentences: list[str], *, show_progress_bar: bool, convert_to_numpy: bool
    ) -> NDArray[np.floating]:
        """(texts x dimension)."""
        ...


class Embeddings:
    """Vectors of texts, remembered by text; safe to share between threads."""

    def __init__(self, encoder: Encoder, kept: int = KEPT) -> None:
        self._encoder, self._kept = encoder, kept
        self._lock = threading.Lock()
        self._young: dict[int, Vectors] = {}
        self._old: dict[int, Vectors] = {}
        self.dimension = len(self._encode(["A text to tell how long a vector is"])[0])

    def of(self, papers: Sequence[Paper]) -> Vectors:
        """(papers x dimension), each of length 1; 0 for a paper without text."""
        keys = [text_key(paper) for paper in papers]
        with self._lock:
            there = {key: self._look(key) for key in keys}
        new = {k: p for k, p in zip(keys, papers, strict=True) if there[k] is None}
        there |= zip(new, self._vectors(list(new.values())), strict=True)  # long: nobody waits
        with self._lock:
            for key in new:
                self._keep(key, there[key])
        found = [vector for key in keys if (vector := there[key]) is not None]
        return np.stack(found) if found else np.empty((0, self.dimension), np.float32)

    def _look(self, key: int) -> Vectors | None:
        """What is remembered; from then on it is young again."""
        if (found := self._young.get(key)) is None and (found := self._old.get(key)) is not None:
            self._keep(key, found)
        return found

    def _keep(self, key: int, vector: Vectors | None) -> None:
        if len(self._young) >= self._kept:
            self._old, self._young = self._young, {}
        if vector is not None:
            self._young[key] = vector

    def _vectors(self, papers: Sequence[Paper]) -> Vectors:
        texts = [f"{paper.title}\n{paper.abstract}".strip() for paper in papers]
        found = np.zeros((len(texts), self.dimension), np.float32)
        said = [i for i, text in enumerate(texts) if text]
        if said:
            found[said] = self._encode([texts[i] for i in said])
        return found

    def _encode(self, texts: list[str]) -> Vectors:
        raw = self._encoder.encode(texts, show_progress_bar=False, convert_to_numpy=True)
        found = np.nan_to_num(np.asarray(raw, np.float32))
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(lengths, np.float32(1e-12)), np.float32)


class Meaning:
    """How near texts are to what a reader likes, beyond what they are by chance.

    Chance is taken from the window's papers and up to OTHERS more. Where texts are few it says
    little: z is made smaller by n / (n + DOUBT).
    """

    def __init__(
        self, embeddings: Embeddings, papers: Sequence[Paper], others: Sequence[Paper]
    ) -> None:
        self._embeddings = embeddings
        seen = embeddings.of([*papers, *others[:OTHERS]])
        seen = seen[seen.any(axis=1)]
        self._mean = seen.mean(axis=0) if len(seen) else np.zeros(embeddings.dimension, np.float32)
        away = seen - self._mean
        self._spread = away.T @ away / np.float32(max(len(seen), 1))
        self.trust = len(seen) / (len(seen) + DOUBT)

    def places(self, texts: Sequence[Paper]) -> Vectors:
        """(texts x dimension): vectors less their mean; 0 for what has no text."""
        found = self._embeddings.of(texts)
        away = found - self._mean
        away[np.abs(found).max(axis=1, initial=0) == 0] = 0
        return np.asarray(away, np.float32)

    def tastes(self, mixing: NDArray[np.float32], examples: Sequence[Paper]) -> Vectors:
        """(wishes x dimension): times `places` of a paper it is the z of the cosine between the
        paper and the mean of what a wish likes. 0 for a wish without examples.

        `mixing`: (wishes x examples), sparse; what is liked adds up to 1 in a row."""
        found = np.asarray(mixing @ self._embeddings.of(examples), np.float32)
        variance = np.einsum("ij,ij->i", found @ self._spread, found)
        scale = np.where(variance > 1e-12, self.trust / np.sqrt(np.maximum(variance, 1e-12)), 0)
        return np.asarray(found * scale[:, None], np.float32)


def open_model(folder: str) -> Embeddings:
    """The model in this folder. Raises ConfigError, which names the mend."""
    key, path = "matching.embeddings", Path(folder)
    if not path.is_dir():
        fault = f"{key}: no folder {folder}; put a model there, or take the key out"
        raise ConfigError([fault], subject=folder)
    os.environ.update(dict.fromkeys(OFFLINE, "1"))  # read when the library is imported
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        fault = f"{key}: needs `pip install 'paper-digest[embeddings]'` ({error})"
        raise ConfigError([fault], subject=folder) from None
    try:
        return Embeddings(SentenceTransformer(str(path.resolve()), local_files_only=True))
    except Exception as error:  # whatever the parts of a model say when one is missing
        said = " ".join(str(error).split())[:200]
        fault = f"{key}: {folder} is no sentence-transformers model that can be read: {said}"
        raise ConfigError([fault], subject=folder) from None
