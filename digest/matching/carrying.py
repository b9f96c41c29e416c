"""From words to factors: how a paper that nobody has read yet gets its place among those that
readers have. Two ways, which err differently: ridge regression of factors on TF-IDF (as in Agarwal
and Chen 2009), and the mean of a paper's neighbours, weighed by a power of the cosine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.factors import Factors, Matrix
from digest.matching.vocabulary import Codes, Grams, single

RIDGE = 5.0
STEPS = 30  # of conjugate gradients
POWER = 2.5  # of a neighbour's cosine
HEAVIEST = 30  # words of a paper by which its neighbours are found: more gain nothing
ROWS = 1000  # papers whose neighbours are looked for at once
LEAST_PAPERS = 2  # with a word, for it to be of use
MOST_WORDS = 60_000


class Words:
    """TF-IDF over single stems: (1 + log tf) log(N / df), rows of length 1."""

    def __init__(self, codes: Codes, weights: NDArray[np.float32]) -> None:
        """`codes`: rising; `weights`: log(N / df) of each."""
        self.codes, self.weights = codes, weights

    @classmethod
    def of(cls, grams: Sequence[Grams]) -> Words:
        """The words of these texts, the most common ones where there are too many."""
        found = [g.codes[single(g.codes)] for g in grams]
        codes, seen = np.unique(np.concatenate([np.empty(0, np.int64), *found]), return_counts=True)
        kept = np.flatnonzero(seen >= min(LEAST_PAPERS, len(grams)))
        if len(kept) > MOST_WORDS:
            kept = np.sort(kept[np.argsort(-seen[kept], kind="stable")[:MOST_WORDS]])
        weights = np.log(len(grams) / np.maximum(seen[kept], 1)).astype(np.float32)
        return cls(codes[kept], weights)

    def vectors(self, grams: Sequence[Grams]) -> Matrix:
        """(texts x words), rows of length 1, or 0 where a text has none of the words."""
        shape = (len(grams), len(self.codes))
        if not len(self.codes) or not grams:
            return sp.csr_matrix(shape, dtype=np.float32)
        rows = np.repeat(np.arange(len(grams)), [len(g.codes) for g in grams])
        codes = np.concatenate([g.codes for g in grams])
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        kept = self.codes[places] == codes
        rows, places = rows[kept], places[kept]
        counts = np.concatenate([g.counts for g in grams])[kept]
        values = (1 + np.log(counts)) * self.weights[places]
        lengths = np.sqrt(np.bincount(rows, values**2, len(grams)))
        values = (values / np.maximum(lengths, 1e-9)[rows]).astype(np.float32)
        return sp.csr_matrix((values, (rows, places)), shape=shape)


def regress(texts: Matrix, factors: Factors) -> Factors:
    """(words x rank): which factors a word speaks for: W that makes |texts W - factors|^2 +
    RIDGE |W|^2 least, all columns at once by conjugate gradients."""
    back = texts.T.tocsr()
    found = np.zeros((texts.shape[1], factors.shape[1]), np.float32)
    left = back @ factors
    way, size = left.copy(), _squares(left)
    for _ in range(STEPS):
        ahead = back @ (texts @ way) + np.float32(RIDGE) * way
        far = size / np.maximum(np.einsum("ij,ij->j", way, ahead), np.float32(1e-20))
        found += far * way
        left -= far * ahead
        before, size = size, _squares(left)
        way = left + size / np.maximum(before, np.float32(1e-20)) * way
    return found


def heaviest(texts: Matrix) -> Matrix:
    """Only the HEAVIEST words of each text, their weights as they were."""
    lengths = np.diff(texts.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((-texts.data, rows))
    place = np.arange(texts.nnz) - np.repeat(texts.indptr[:-1], lengths)  # by weight, in its row
    kept = order[place < HEAVIEST]
    entries = texts.data[kept], (rows[kept], texts.indices[kept])
    return sp.csr_matrix(entries, shape=texts.shape)


def neighbours(texts: Matrix, columns: Matrix, factors: Factors, *, same: bool = False) -> Factors:
    """Of each text the mean of the `factors` of those papers which it has words in common with.
    `texts`: from `heaviest`; `columns`: (words x papers), of these from `heaviest`, too. `same`:
    both are the same papers, and nothing is a neighbour of itself."""
    found = np.empty((texts.shape[0], factors.shape[1]), np.float32)
    for first in range(0, texts.shape[0], ROWS):
        near = texts[first : first + ROWS] @ columns
        near.data = np.power(near.data, np.float32(POWER))
        alike = np.asarray(near.toarray(), np.float32)
        if same:
            some = np.arange(len(alike))
            alike[some, first + some] = 0
        total = np.maximum(alike.sum(axis=1, keepdims=True), np.float32(1e-9))
        found[first : first + ROWS] = alike @ factors / total
    return found


def directions(vectors: Factors, centre: Factors) -> Factors:
    """Where rows lie from the centre, length 1. What all papers have in common, and how often a
    paper was read, says nothing of whom it is for."""
    return unit(vectors - centre)


def unit(vectors: Factors) -> Factors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-9)), np.float32)


def _squares(values: Factors) -> Factors:
    return np.asarray(np.einsum("ij,ij->j", values, values), np.float32)
