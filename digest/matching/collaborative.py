"""The collaborative map: what readers of the same papers like, carried to papers nobody has read.

It holds nothing of any reader: only factors of papers and of words. A reader's own factors are
made from the reader's likes when they are needed, so feedback counts at once, and whoever leaves
leaves nothing behind but a trace in the papers' factors until the next training.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.carrying import Words, directions, heaviest, neighbours, regress, unit
from digest.matching.factors import Factors, Matrix, factorise, fold_in, moment
from digest.matching.vocabulary import Codes, Grams

FORMAT = 1  # of the stored bytes, and of what the numbers in them mean
FEW = 5  # readers of a paper that are not spoken of
_SHORT = ("factors", "by_word", "data")  # three digits are enough for these


@dataclass(frozen=True)
class CollaborativeMap:
    """A learnt map. `papers`: ids, rising; `readers`: how many like each; `factors`:
    (papers x rank) theirs; `codes`, `weights`:
    the words and their weights; `by_word`: (words x rank) what each word speaks for; `indptr`,
    `indices`, `data`: (papers x words) the heaviest words of each paper; `centres`: (4 x rank) the
    middle of the factors, of both ways to carry them, and of their sum; `mean`, `spread`: of the
    papers' places, (rank) and (rank x rank)."""

    papers: NDArray[np.str_]
    readers: NDArray[np.int32]
    factors: Factors
    codes: Codes
    weights: NDArray[np.float32]
    by_word: Factors
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]
    centres: Factors
    mean: Factors
    spread: Factors

    @property
    def rank(self) -> int:
        return int(self.factors.shape[1])

    # -------------------------------------------------------------- papers

    def place(self, grams: Sequence[Grams]) -> Factors:
        """(texts x rank): where papers lie by their words alone; 0 for one whose words say
        nothing. The papers learnt from have the mean 0."""
        texts = self._words.vectors(grams)
        near = neighbours(heaviest(texts), self._columns, self._directions)
        found = _joined(texts @ self.by_word, near, self.centres) - self.mean
        found[np.diff(texts.indptr) == 0] = 0
        return found

    def known(self, ids: Sequence[str], grams: Sequence[Grams]) -> Factors:
        """(papers x rank) factors to learn a taste from: a paper's own where readers have it, else
        those that its words give, as long as usual."""
        found = np.empty((len(ids), self.rank), np.float32)
        wanted = np.array(ids, dtype=np.str_)
        rows = np.minimum(np.searchsorted(self.papers, wanted), len(self.papers) - 1)
        have = self.papers[rows] == wanted if len(ids) else np.empty(0, bool)
        found[have] = self.factors[rows[have]]
        found[~have] = self.place([grams[i] for i in np.flatnonzero(~have).tolist()]) * self._usual
        return found

    def readers_of(self, id_: str) -> int:
        """How many like this paper; 0 for fewer than FEW, so that nobody can be told from it."""
        row = int(np.searchsorted(self.papers, id_))
        known = row < len(self.papers) and self.papers[row] == id_
        number = int(self.readers[row]) if known else 0
        return number if number >= FEW else 0

    # -------------------------------------------------------------- tastes

    def tastes(self, weights: Matrix, known: Factors) -> Factors:
        """(wishes x rank): times `place` of a paper it is the z of the paper for the wish: how
        many standard deviations above the papers learnt from. 0 for a wish without likes.

        `weights`: (wishes x papers), 1 for a fresh like, less for an old one, negative for a
        dislike; `known`: the factors of these papers.
        """
        found = fold_in(weights, known, self._common, self._inverse)
        variance = np.einsum("ij,ij->i", found @ self.spread, found)
        scale = np.where(variance > 1e-20, 1 / np.sqrt(np.maximum(variance, 1e-20)), 0)
        return np.asarray(found * scale[:, None], np.float32)

    @cached_property
    def _words(self) -> Words:
        return Words(self.codes, self.weights)

    @cached_property
    def _columns(self) -> Matrix:
        """(words x papers)"""
        shape = (len(self.papers), len(self.codes))
        return sp.csr_matrix((self.data, self.indices, self.indptr), shape=shape).T.tocsr()

    @cached_property
    def _directions(self) -> Factors:
        return directions(unit(self.factors), self.centres[0])

    @cached_property
    def _usual(self) -> np.float32:
        """The length of a paper's factors, in the middle."""
        return np.float32(np.median(np.linalg.norm(self.factors, axis=1)))

    @cached_property
    def _common(self) -> Factors:
        return moment(self.factors)

    @cached_property
    def _inverse(self) -> Factors:
        return np.asarray(np.linalg.inv(self._common.astype(np.float64)), np.float32)

    # -------------------------------------------------------------- bytes

    def to_bytes(self) -> bytes:
        """About half as long as in memory."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        parts |= {name: parts[name].astype(np.float16) for name in _SHORT}
        file = io.BytesIO()
        np.savez(file, format=np.array(FORMAT), **parts)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> CollaborativeMap:
        """Raises ValueError for what is not a map of this format."""
        try:
            if not zipfile.is_zipfile(io.BytesIO(data)):
                raise EOFError("it is cut short, or something else")
            with np.load(io.BytesIO(data), allow_pickle=False) as parts:
                if int(parts["format"]) != FORMAT:
                    raise ValueError(f"format {int(parts['format'])}, not {FORMAT}")
                found = {field.name: parts[field.name] for field in fields(cls)}
        except (OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"not a collaborative map: {error}") from None
        return cls(**{**found, **{name: found[name].astype(np.float32) for name in _SHORT}})


def train(
    likes: Matrix, papers: Sequence[str], grams: Sequence[Grams], others: Sequence[Grams] = ()
) -> CollaborativeMap:
    """Learn a map. `likes`: (readers x papers), 1 where liked, no column empty; `papers`: the ids
    of the columns, rising; `grams`: their words; `others`: more texts, to tell how common a word
    is."""
    factors = factorise(likes)
    words = Words.of([*grams, *others])
    texts = words.vectors(grams)
    short = heaviest(texts)
    middle = unit(factors).mean(axis=0)
    ways = directions(unit(factors), middle)
    by_word = regress(texts, ways)
    carried, near = texts @ by_word, neighbours(short, short.T.tocsr(), ways, same=True)
    centres = np.stack([middle, carried.mean(axis=0), near.mean(axis=0), np.zeros_like(middle)])
    centres[3] = _summed(carried, near, centres).mean(axis=0)
    places = _joined(carried, near, centres)
    return CollaborativeMap(
        papers=np.array(papers, dtype=np.str_),
        readers=np.diff(likes.tocsc().indptr).astype(np.int32),
        factors=factors,
        codes=words.codes,
        weights=words.weights,
        by_word=by_word,
        indptr=short.indptr.astype(np.int32),
        indices=short.indices.astype(np.int32),
        data=short.data,
        centres=centres,
        mean=places.mean(axis=0),
        spread=np.atleast_2d(np.cov(places, rowvar=False, bias=True)).astype(np.float32),
    )


def _summed(carried: Factors, near: Factors, centres: Factors) -> Factors:
    return directions(carried, centres[1]) + directions(near, centres[2])


def _joined(carried: Factors, near: Factors, centres: Factors) -> Factors:
    """Both ways to a place as one direction."""
    return directions(_summed(carried, near, centres), centres[3])
