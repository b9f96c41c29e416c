"""The papers of a window as vectors, and how unusual it is that a paper is near a wish.

BM25 weights (Robertson and Walker 1994) of stemmed words and pairs, rows scaled to length 1.
Every score is in standard deviations (`z`): how far a paper lies above what the window's papers and
its background would give by chance, taking words as independent. So wishes of one word and wishes
learnt from fifty papers are measured by one rule, whatever the number of papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.vocabulary import Codes, Grams, Vocabulary, single, text_key
from digest.model import Paper

Row = NDArray[np.float32]
Scores = NDArray[np.float32]
Indices = NDArray[np.int32]
Matrix = Any
"""A scipy csr_matrix of float32 (scipy gives no types)."""

K1, B = 1.2, 0.75  # BM25: how soon repetition stops counting, and length
PRIOR = 0.002  # a word's share of papers before we have seen any,
PRIOR_PAPERS = 200.0  # with the weight of so many papers
NO_CODE = -1
TOO_COMMON = 0.25  # a word of more papers than this tells nothing, and costs most
MOST_Z2 = 400.0  # the evidence of one term has a bound: rarer than 1 in 400 is not stronger


class Space:
    """Vectors over the words of `papers`; `background` only teaches how common a word is."""

    def __init__(
        self, vocabulary: Vocabulary, papers: Sequence[Paper], background: Sequence[Paper] = ()
    ) -> None:
        self.vocabulary = vocabulary
        self.number = len(papers)
        grams = [vocabulary.grams(paper) for paper in papers]
        keys = {text_key(paper) for paper in papers}
        others = {text_key(p): vocabulary.grams(p) for p in background if text_key(p) not in keys}
        self._rows_of = {key: i for i, key in enumerate(map(text_key, papers))}
        self._rows_of |= {key: self.number + i for i, key in enumerate(others)}
        grams += others.values()
        self._learn(grams)
        self._corpus = self._weigh(grams)
        self._corpus.sort_indices()
        self.papers: Matrix = self._corpus[: self.number]
        self._moments()

    def _learn(self, grams: Sequence[Grams]) -> None:
        """Which codes there are, how common each, and which the window's papers use."""
        lengths = np.array([g.length for g in grams] or [0], np.float32)
        self._mean_length = max(float(lengths.mean()), 1.0)
        self._total = len(grams)
        nothing = np.array([NO_CODE], np.int64)  # so that there is always a code to compare with
        everything = _joined([nothing, *(g.codes for g in grams)], np.int64)
        self.codes, seen = np.unique(everything, return_counts=True)
        self.share = ((seen + PRIOR * PRIOR_PAPERS) / (self._total + PRIOR_PAPERS)).astype(
            np.float32
        )
        telling = self.share <= TOO_COMMON
        self._idf = -np.log(self.share) * telling
        self._common = (seen > 1) | single(self.codes)  # chance pairs make no vector longer
        ours = np.unique(_joined([g.codes for g in grams[: self.number]], np.int64))
        rows = np.searchsorted(self.codes, ours)
        self._code_rows = rows[telling[rows]]  # window column -> row in self.codes
        self._columns = np.full(len(self.codes), -1, np.int32)
        self._columns[self._code_rows] = np.arange(len(self._code_rows), dtype=np.int32)
        self.width = len(self._code_rows)

    def _find(self, codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(rows of these codes in ours, whether each is there at all)."""
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return places, self.codes[places] == codes

    def _weigh(self, grams: Sequence[Grams]) -> Matrix:
        """(texts x window columns), each row scaled by the length of its whole vector."""
        sizes = np.array([len(g.codes) for g in grams], np.int64)
        codes = _joined([g.codes for g in grams], np.int64)
        counts = _joined([g.counts for g in grams], np.float32)
        rows = np.repeat(np.arange(len(grams)), sizes)
        lengths = np.array([g.length for g in grams], np.float32) / self._mean_length
        damping = (K1 * (1 - B + B * lengths))[rows]
        places, known = self._find(codes)
        rows, places = rows[known], places[known]
        counts, damping = counts[known], damping[known]
        weights = counts * (K1 + 1) / (counts + damping) * self._idf[places]
        squares = np.bincount(rows, weights**2 * self._common[places], len(grams))
        weights /= np.sqrt(np.maximum(squares, 1e-12))[rows]
        columns = self._columns[places]
        ours = columns >= 0
        shape = (len(grams), self.width)
        return sp.csr_matrix(
            (weights[ours].astype(np.float32), (rows[ours], columns[ours])), shape=shape
        )

    def _moments(self) -> None:
        """Mean and variance of each column over everything we know."""
        squares = self._corpus.multiply(self._corpus)
        total = max(self._total, 1)
        self._mean = _sums(self._corpus, axis=0) / total
        second = _sums(squares, axis=0) / total
        self._variance = np.maximum(second - self._mean**2, 1e-12).astype(np.float32)
        seen = np.maximum(np.bincount(self._corpus.indices, minlength=self.width), 1)
        usual = (second * total / seen).astype(np.float32)
        self._square = np.append(usual, np.float32(1))  # mean square where it occurs; -1: none

    @cached_property
    def transposed(self) -> Matrix:
        """(window columns x papers)."""
        return self.papers.T.tocsr()

    @cached_property
    def _pull(self) -> Row:
        """How near each paper is to the middle of everything."""
        return np.asarray(self.papers @ self._mean, np.float32)

    def spelled(self, column: int) -> tuple[str, ...]:
        """The stem, or the two stems, of a column."""
        return self.vocabulary.spelled(int(self.codes[self._code_rows[column]]))

    # -------------------------------------------------------------- what readers say

    def terms(self, codes: Codes, shares: Row) -> tuple[Indices, Row]:
        """(columns, weights) of codes of soft terms, so that the weighted sum over a paper is the
        square of the evidence: where a code has its usual weight, z squared of its presence.
        Column -1: no paper of the window has it."""
        places, known = self._find(codes)
        columns = np.where(known, self._columns[places], -1)
        rare = self.share[places]
        evidence = np.minimum((1 - rare) / rare, MOST_Z2)
        weights = shares * evidence / np.sqrt(self._square[columns])
        return columns.astype(np.int32), weights.astype(np.float32)

    def vectors(self, texts: Sequence[Paper]) -> Matrix:
        """(texts x window columns); texts of the window or its background are not weighed anew."""
        rows = np.array([self._rows_of.get(text_key(text), -1) for text in texts], np.int64)
        new = np.flatnonzero(rows < 0)
        if not len(new):
            return self._corpus[rows]
        weighed = self._weigh([self.vocabulary.grams(texts[i]) for i in new.tolist()])
        old = np.flatnonzero(rows >= 0)
        stacked = sp.vstack([self._corpus[rows[old]], weighed], format="csr")
        return stacked[np.argsort(np.concatenate([old, new]))]

    # -------------------------------------------------------------- scores

    def likeness(self, examples: Matrix, against: Matrix | None = None) -> Scores:
        """(examples x papers): cosines."""
        columns = self.transposed if against is None else against.T.tocsr()
        return np.asarray((examples @ columns).toarray(), np.float32)

    def learnt(
        self, mixing: Matrix, examples: Matrix, likeness: Scores, against: Matrix | None = None
    ) -> Scores:
        """(wishes x papers): z of nearness to what wishes learn from: Rocchio (1971), the
        weighted mean of examples less the mean of everything. Wishes without examples give 0.

        `mixing`: (wishes x examples) weights; `likeness`: (examples x papers) cosines.
        """
        mass = _sums(mixing, axis=1)
        pull = self._pull if against is None else against @ self._mean
        centres = mixing @ examples
        expected = centres @ self._mean - mass * float(self._mean @ self._mean)
        deviation = np.sqrt(centres.multiply(centres) @ self._variance)
        scale = np.where(deviation > 0, 1 / np.maximum(deviation, 1e-12), 0).astype(np.float32)
        z = mixing @ likeness
        z -= np.outer(mass, pull)
        z -= expected[:, None]
        z *= scale[:, None]
        return np.asarray(z, np.float32)

    def surprise(self, count: int, of: int) -> float:
        """z of meeting a rule that `count` of `of` papers meet."""
        share = (count + PRIOR * PRIOR_PAPERS) / (of + PRIOR_PAPERS)
        return float(min((1 - share) / share, MOST_Z2) ** 0.5) if count < of else 0.0


def _joined(parts: Sequence[NDArray[Any]], kind: type) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _sums(matrix: Matrix, axis: int) -> Row:
    return np.asarray(matrix.sum(axis=axis), np.float32).ravel()
