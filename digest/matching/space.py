"""The papers of a window as vectors, and how unusual it is that a paper is near a wish.

Two matrices over the same columns (stemmed words and pairs of words). `papers`: BM25 weights
(Robertson and Walker 1994), rows scaled to length 1, for likeness to other papers. `mentions`: how
much a paper is about a word it mentions, for what a reader wrote. Where wishes learn from papers,
the columns of their categories and authors follow those of words (metadata.py).

Every score is in standard deviations (`z`): how far a paper lies above what the window's papers and
its background would give by chance, taking words as independent. So wishes of one word and wishes
learnt from fifty papers are measured by one rule, whatever the number of papers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.collaborative import CollaborativeMap
from digest.matching.embeddings import Embeddings, Meaning
from digest.matching.meeting import Index, Learnt, Matrix, Scores
from digest.matching.metadata import LONGEST, MOST_Z, SPREAD, Metadata
from digest.matching.vocabulary import Codes, Grams, Vocabulary, single, text_key
from digest.model import Paper

Row = NDArray[np.float32]
Indices = NDArray[np.int32]

K1, B = 1.2, 0.75  # BM25: how soon repetition stops counting, and length
PRIOR = 0.002  # a word's share of papers before we have seen any,
PRIOR_PAPERS = 200.0  # with the weight of so many papers
NO_CODE = -1
TOO_COMMON = 0.25  # a word of more papers than this makes no two papers alike, and costs most
IN_TITLE = 3.0  # mentions that one in the title is worth
MAP, BESIDE = 1.25, 0.275  # of z: what the collaborative map gives, and Rocchio where it gives any
MEANT, EASED = 0.25, 0.875  # of z: what the operator's model adds, and all else where it does
PLACED = 20_000  # texts whose places on the map are remembered, some 1.6 KB each
MOST_Z2 = 400.0  # the evidence of one term has a bound: rarer than 1 in 400 is not stronger


class Space:
    """Vectors over the words of `papers`; `background` only teaches how common a word is."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        papers: Sequence[Paper],
        background: Sequence[Paper] = (),
        taste: CollaborativeMap | None = None,
        embeddings: Embeddings | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.taste = taste
        self._meaning = Meaning(embeddings, papers, background) if embeddings else None
        self.window = papers
        self._placed: dict[int, Row] = {}
        self.number = len(papers)
        grams = self._grams(papers)
        keys = {text_key(paper) for paper in papers}
        others = {text_key(p): p for p in background if text_key(p) not in keys}
        self._rows_of = {key: i for i, key in enumerate(map(text_key, papers))}
        self._rows_of |= {key: self.number + i for i, key in enumerate(others)}
        known = [*papers, *others.values()]
        grams += self._grams(known[self.number :])
        self._learn(grams)
        self._metadata = Metadata(papers, known[self.number :])
        self._corpus = self._weigh(grams)
        self.papers: Matrix = self._corpus[: self.number]
        self.mentions: Matrix = self._mention(grams[: self.number])
        whole = self.described(self._corpus, known)
        self._named: Matrix = whole[: self.number, self.width :]
        self._by_column: Matrix = whole[: self.number].T.tocsr()
        self._moments(whole)

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
        self._idf = -np.log(self.share) * (self.share <= TOO_COMMON)
        self._common = (seen > 1) | single(self.codes)  # chance pairs make no vector longer
        ours = np.unique(_joined([g.codes for g in grams[: self.number]], np.int64))
        self._code_rows = np.searchsorted(self.codes, ours)  # window column -> row in self.codes
        self._columns = np.full(len(self.codes), -1, np.int32)
        self._columns[self._code_rows] = np.arange(len(ours), dtype=np.int32)
        self.width = len(ours)

    def _find(self, codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(rows of these codes in ours, whether each is there at all)."""
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return places, self.codes[places] == codes

    def _weigh(self, grams: Sequence[Grams]) -> Matrix:
        """(texts x window columns), each row scaled by the length of its whole vector."""
        rows, places, counts, _ = self._entries(grams)
        lengths = np.array([g.length for g in grams], np.float32) / self._mean_length
        damping = (K1 * (1 - B + B * lengths))[rows]
        weights = counts * (K1 + 1) / (counts + damping) * self._idf[places]
        squares = np.bincount(rows, weights**2 * self._common[places], len(grams))
        weights /= np.sqrt(np.maximum(squares, 1e-12))[rows]
        return self._matrix(rows, places, weights, len(grams))

    def _mention(self, grams: Sequence[Grams]) -> Matrix:
        """(texts x window columns): 1 for one mention, growing to 1 + K1; a title counts more."""
        rows, places, counts, titled = self._entries(grams)
        counts += (IN_TITLE - 1) * titled
        return self._matrix(rows, places, counts * (K1 + 1) / (counts + K1), len(grams))

    def _entries(self, grams: Sequence[Grams]) -> tuple[Indices, NDArray[np.int64], Row, Row]:
        """(text, row in self.codes, count, count in the title) of every code that we know."""
        places, known = self._find(_joined([g.codes for g in grams], np.int64))
        rows = np.repeat(np.arange(len(grams), dtype=np.int32), [len(g.codes) for g in grams])
        counts = _joined([g.counts for g in grams], np.float32)
        titled = _joined([g.titled for g in grams], np.float32)
        return rows[known], places[known], counts[known], titled[known]

    def _matrix(self, rows: Indices, places: NDArray[np.int64], values: Row, number: int) -> Matrix:
        """(texts x window columns), without zeros."""
        columns = self._columns[places]
        kept = (columns >= 0) & (values > 0)
        entries = values[kept].astype(np.float32), (rows[kept], columns[kept])
        matrix = sp.csr_matrix(entries, shape=(number, self.width))
        matrix.sort_indices()
        return matrix

    def _moments(self, whole: Matrix) -> None:
        """Mean and variance of each column, of words and of names, over everything we know."""
        total = max(self._total, 1)
        every = _sums(whole, axis=0) / total
        second = _sums(whole.multiply(whole), axis=0) / total
        variance = np.maximum(second - every**2, 1e-12).astype(np.float32)
        words = np.arange(len(every)) < self.width
        self._mean, self._named_mean = every * words, every * ~words
        self._variance, self._named_variance = variance * words, SPREAD * variance * ~words

    def index(self, popular: Sequence[int], near: float) -> Index:
        """What wishes are held against; the papers `popular` come out from a z of `near` on."""
        marked = np.zeros(self.number, np.uint8)
        marked[list(popular)] = 1
        pull = self._by_column.T @ self._mean
        parts = self.mentions.T.tocsr(), self._by_column, pull, self.window_places
        return Index(*parts, marked, near)

    def against(self, texts: Sequence[Paper]) -> Index:
        """The same for other texts."""
        vectors = self.described(self.vectors(texts), texts)
        mentions = self._mention(self._grams(texts))
        nothing = np.zeros(len(texts), np.uint8)
        pull = vectors @ self._mean
        places = self.places(texts)
        return Index(mentions.T.tocsr(), vectors.T.tocsr(), pull, places, nothing, np.inf)

    @cached_property
    def _mentioned(self) -> tuple[Row, Row]:
        """Mean and variance of each column of `mentions` over everything we know: as strong as in
        the window's papers, as common as everywhere."""
        holding = np.maximum(np.bincount(self.mentions.indices, minlength=self.width), 1)
        common = self.share[self._code_rows]
        mean = common * _sums(self.mentions, axis=0) / holding
        second = common * _sums(self.mentions.multiply(self.mentions), axis=0) / holding
        return mean.astype(np.float32), np.maximum(second - mean**2, 0).astype(np.float32)

    @property
    def window_codes(self) -> Codes:
        """The code of each window column."""
        return self.codes[self._code_rows]

    def spelled(self, column: int) -> tuple[str, ...]:
        """The stem, or the two stems, of a column."""
        return self.vocabulary.spelled(int(self.codes[self._code_rows[column]]))

    def words_of_window(self) -> Iterator[Codes]:
        """Of each paper of the window the codes of its single words."""
        for grams in self._grams(self.window):
            yield grams.codes[single(grams.codes)]

    # -------------------------------------------------------------- what readers say

    def terms(self, codes: Codes, shares: Row, least: Row) -> tuple[Indices, Row]:
        """(columns, weights) of codes of soft terms: the evidence of one mention, z squared, at
        least `least`. Column -1: no paper of the window has the code."""
        ours = self.codes[self._code_rows]
        if not len(ours):
            return np.full(len(codes), -1, np.int32), np.zeros(len(codes), np.float32)
        columns = np.searchsorted(ours, codes)
        columns[columns == len(ours)] = 0
        columns[ours[columns] != codes] = -1
        evidence = np.clip(1 / self.share[self._code_rows[columns]] - 1, least, MOST_Z2)
        return columns.astype(np.int32), (shares * evidence).astype(np.float32)

    def by_chance(self, terms: Matrix) -> Row:
        """How much evidence the papers hold for wishes on average, and one deviation of it."""
        mean, variance = self._mentioned
        return np.asarray(terms @ mean + np.sqrt(terms.multiply(terms) @ variance), np.float32)

    def vectors(self, texts: Sequence[Paper]) -> Matrix:
        """(texts x window columns); texts of the window or its background are not weighed anew."""
        rows = np.array([self._rows_of.get(text_key(text), -1) for text in texts], np.int64)
        new = np.flatnonzero(rows < 0)
        if not len(new):
            return self._corpus[rows]
        weighed = self._weigh(self._grams([texts[i] for i in new.tolist()]))
        old = np.flatnonzero(rows >= 0)
        stacked = sp.vstack([self._corpus[rows[old]], weighed], format="csr")
        return stacked[np.argsort(np.concatenate([old, new]))]

    def described(self, vectors: Matrix, texts: Sequence[Paper]) -> Matrix:
        """(texts x (window columns + names)): `vectors` of their words, then who wrote them and in
        which categories they are."""
        if not self._metadata.names:
            return vectors
        return sp.hstack([vectors, self._metadata.rows(texts)], format="csr", dtype=np.float32)

    def name(self, column: int) -> str:
        """What stands in a column that follows those of words, see metadata.names_of."""
        return self._metadata.names[column - self.width]

    def named(self, paper: int) -> tuple[Indices, Row]:
        """(columns, values) of the names of a paper of the window."""
        row = slice(*self._named.indptr[paper : paper + 2])
        return self._named.indices[row] + np.int32(self.width), self._named.data[row]

    def _grams(self, texts: Sequence[Paper]) -> list[Grams]:
        return [self.vocabulary.grams(text) for text in texts]

    # -------------------------------------------------------------- what readers like

    @cached_property
    def window_places(self) -> Scores:
        """Of the papers of the window."""
        return self.places(self.window)

    def places(self, texts: Sequence[Paper]) -> Scores:
        """(texts x (rank + dimension)): on the collaborative map, and by the model; 0 wide for
        each that is not there."""
        nothing = np.empty((len(texts), 0), np.float32)
        mapped = self._mapped(self.taste, texts) if self.taste else nothing
        return np.hstack([mapped, self._meaning.places(texts) if self._meaning else nothing])

    def _mapped(self, taste: CollaborativeMap, texts: Sequence[Paper]) -> Scores:
        """(texts x rank): on the map. Many readers rate the same papers, so those of other texts
        than the window's are remembered."""
        if texts is self.window:
            return taste.place(self._grams(texts))
        keys = [text_key(text) for text in texts]
        if len(self._placed) + len(keys) > PLACED:
            self._placed.clear()
        new = {k: text for k, text in zip(keys, texts, strict=True) if k not in self._placed}
        self._placed.update(zip(new, taste.place(self._grams([*new.values()])), strict=True))
        found = [self._placed[key] for key in keys]
        return np.stack(found) if found else np.empty((0, taste.rank), np.float32)

    @property
    def rank(self) -> int:
        """How many columns of places are the map's."""
        return self.taste.rank if self.taste else 0

    def meant(self, mixing: Matrix, examples: Sequence[Paper]) -> Scores:
        """(wishes x dimension): to be held against places, see Meaning.tastes."""
        if self._meaning is None:
            return np.empty((mixing.shape[0], 0), np.float32)
        return self._meaning.tastes(mixing, examples)

    def known(self, examples: Sequence[Paper]) -> Scores:
        """(examples x rank): what tastes are learnt from, see CollaborativeMap.known."""
        if self.taste is None:
            return np.empty((len(examples), 0), np.float32)
        return self.taste.known([paper.id for paper in examples], self._grams(examples))

    def tastes(self, weights: Matrix, known: Scores) -> Scores:
        """(wishes x rank): to be held against places; 0 for a wish without examples. `weights`:
        (wishes x examples), see CollaborativeMap.tastes; `known`: of the examples."""
        found = np.zeros((weights.shape[0], self.rank), np.float32)
        some = np.flatnonzero(np.diff(weights.indptr))
        if self.taste is not None and len(some):
            found[some] = self.taste.tastes(weights[some], known)
        return found

    def likeness(self, examples: Matrix) -> Scores:
        """(examples x papers): cosines of their words. `examples`: from `vectors`."""
        shape = (examples.shape[0], self._by_column.shape[0])
        wide = sp.csr_matrix((examples.data, examples.indices, examples.indptr), shape=shape)
        return np.asarray((wide @ self._by_column).toarray(), np.float32)

    def learnt(self, mixing: Matrix, examples: Matrix, tastes: Scores, meant: Scores) -> Learnt:
        """What wishes learn from: Rocchio (1971), the weighted mean of examples less the mean of
        everything; nothing where a wish has no examples. Where the collaborative map knows a taste,
        Rocchio stands beside it. What the model says is added to either.

        `mixing`: (wishes x examples) weights; `examples`: from `described`; `tastes` and `meant`:
        from the methods of these names.
        """
        mass = _sums(mixing, axis=1)
        centres = mixing @ examples
        centres.sort_indices()
        words = centres.multiply(centres) @ self._variance
        self._bound(centres, np.sqrt(words))
        expected = centres @ (self._mean + self._named_mean)
        expected -= mass * float(self._mean @ self._mean)
        deviation = np.sqrt(words + centres.multiply(centres) @ self._named_variance)
        scale = np.where(deviation > 0, 1 / np.maximum(deviation, 1e-12), 0).astype(np.float32)
        known = tastes.any(axis=1)
        scale = np.where(known, np.float32(BESIDE) * scale, scale).astype(np.float32)
        eased = self._eased(meant)
        mapped = tastes * (np.float32(MAP) * eased)[:, None]
        dense = np.hstack([mapped, meant * np.float32(MEANT)])
        return Learnt(centres, mass, expected.astype(np.float32), scale * eased, dense)

    def _bound(self, centres: Matrix, deviation: Row) -> None:
        """Make the names in each row of `centres` smaller where they could add more than MOST_Z.
        `deviation`: by words; without it names say nothing."""
        named = centres.indices >= self.width
        rows = np.repeat(np.arange(centres.shape[0]), np.diff(centres.indptr))[named]
        lengths = np.sqrt(np.bincount(rows, centres.data[named] ** 2, centres.shape[0]))
        most = np.maximum(LONGEST * lengths, 1e-12)
        centres.data[named] *= np.minimum(MOST_Z * deviation / most, 1).astype(np.float32)[rows]

    def _eased(self, meant: Scores) -> Row:
        """What the rest of z is multiplied by, wish by wish, so that no more papers pass a floor
        with the model than without."""
        trust = self._meaning.trust if self._meaning else 0.0
        return np.where(meant.any(axis=1), 1 - (1 - EASED) * trust, 1).astype(np.float32)

    def surprise(self, count: int, of: int) -> float:
        """z of meeting a rule that `count` of `of` papers meet."""
        share = (count + PRIOR * PRIOR_PAPERS) / (of + PRIOR_PAPERS)
        return float(min((1 - share) / share, MOST_Z2) ** 0.5) if count < of else 0.0


def _joined(parts: Sequence[NDArray[Any]], kind: type) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _sums(matrix: Matrix, axis: int) -> Row:
    return np.asarray(matrix.sum(axis=axis), np.float32).ravel()
