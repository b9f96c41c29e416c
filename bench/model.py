"""What a model of the operator's (`matching.embeddings`) does to ranking and floors, on a stand-in.

    python bench/model.py [--readers 120] [--dimension 300]

Prints JSON. No language model is at hand in a benchmark, so latent semantic analysis of the same
texts (TF-IDF by truncated SVD, random subspace iteration) stands for one: dense vectors of the same
kind, without what a model knows of other texts. The data and measures are those of `quality.py`;
the peer in the same run is the matching by words alone, without the collaborative map.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import quality
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.embeddings import Embeddings
from digest.matching.lexical import LexicalMatcher
from digest.matching.measures import measure

THINNED = 3  # of old papers that no reader likes, one in so many is kept


class Latent:
    """An encoder that knows the texts of one task, and no others."""

    def __init__(self, task: quality.Task, dimension: int) -> None:
        papers = (*task.library.new, *task.library.old)
        self._vectors = reduced(weighed(task), dimension)
        texts = (f"{paper.title}\n{paper.abstract}".strip() for paper in papers)
        self._rows = {text: row for row, text in enumerate(texts)}

    def encode(self, sentences: list[str], **_: Any) -> NDArray[np.float32]:
        rows = [self._rows.get(text, 0) for text in sentences]
        return np.asarray(self._vectors[rows], np.float32)


def weighed(task: quality.Task) -> Any:
    """(texts x words) TF-IDF, rows of length 1."""
    counts, shares = quality._counts(task)
    counts.data = (1 + np.log(counts.data)).astype(np.float32)
    weights = counts @ sp.diags(-np.log(shares))
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    return (sp.diags(1 / np.maximum(lengths, 1e-9)) @ weights).tocsr().astype(np.float32)


def reduced(weights: Any, dimension: int) -> NDArray[np.float32]:
    """Rows in the leading singular directions (Halko, Martinsson and Tropp 2011)."""
    dice = np.random.default_rng(1)
    basis = weights @ dice.normal(size=(weights.shape[1], dimension)).astype(np.float32)
    for _ in range(3):
        basis, _rest = np.linalg.qr(basis)
        words = weights.T @ basis
        basis = weights @ words
    _left, _values, right = np.linalg.svd(words.T, full_matrices=False)
    return np.asarray(weights @ right.T, np.float32)


def thinned(task: quality.Task) -> quality.Task:
    liked = {id_ for reader in task.readers for id_ in reader.likes}
    old = task.library.old
    kept = tuple(p for n, p in enumerate(old) if p.id in liked or n % THINNED == 0)
    return replace(task, library=replace(task.library, old=kept))


def told(task: quality.Task, embeddings: Embeddings | None) -> dict[str, Any]:
    matcher = LexicalMatcher(embeddings=embeddings)
    found: dict[str, Any] = quality.rounded(measure(quality.ours(task, matcher), task.qrels))
    return {**found, "floors": quality.floors(task, matcher)}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=120)
    parser.add_argument("--dimension", type=int, default=300)
    asked = parser.parse_args(words)
    found = {}
    for load in (quality.citeulike, quality.authors):
        task = thinned(load().of(asked.readers))
        stand_in = Embeddings(Latent(task, asked.dimension))
        found[load.__name__] = {
            "readers": len(task.readers),
            "words": told(task, None),
            "with the stand-in": told(task, stand_in),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
