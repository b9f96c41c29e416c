"""Weighted matrix factorisation of who likes what: implicit ALS (Hu, Koren and Volinsky 2008).

Each half-step solves all its rows at once by a few steps of conjugate gradients (Takacs, Pilaszy
and Tikk 2011), as products of whole blocks: no row has a matrix of its own, so that memory is that
of the factors and one block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Matrix = Any
"""A scipy csr_matrix of float32 (scipy gives no types)."""
Factors = NDArray[np.float32]
Times = Callable[[Factors], Factors]

RANK = 400  # factors
ALPHA = 30.0  # confidence that a like adds to what is merely not known
REGULAR = 50.0  # pull of every factor to 0
ROUNDS = 10
STEPS = 3  # of conjugate gradients in a half-step; the next round goes on from there
ROWS, ENTRIES = 8192, 16_384  # taken at once: bounds memory
SEED = 0


def factorise(likes: Matrix, rank: int = RANK, rounds: int = ROUNDS) -> Factors:
    """(papers x rank) factors of `likes`, (readers x papers), 1 where liked. The same likes give
    the same factors. Factors of readers are not kept: `fold_in` makes them when they are needed.
    """
    rank = max(min(rank, *likes.shape), 1)
    papers = np.random.default_rng(SEED).normal(0, 0.1, (likes.shape[1], rank)).astype(np.float32)
    readers = np.zeros((likes.shape[0], rank), np.float32)
    liked_by = likes.T.tocsr()
    for _ in range(rounds):
        readers = _half(likes, papers, readers)
        papers = _half(liked_by, readers, papers)
    return np.asarray(papers, np.float32)


def moment(papers: Factors) -> Factors:
    """(rank x rank): what every reader's system has in common."""
    return np.asarray(papers.T @ papers + REGULAR * np.eye(papers.shape[1]), np.float32)


def fold_in(weights: Matrix, factors: Factors, common: Factors, inverse: Factors) -> Factors:
    """(rows x rank): factors of readers, or of any who like papers with these `factors`.

    `weights`: (rows x papers); a negative one is a dislike, of that confidence. `common`: from
    `moment`; `inverse`: its inverse, by which conjugate gradients come near at once.
    """
    times = _system(abs(weights), factors, common)
    wanted = weights.copy()
    wanted.data = np.where(weights.data > 0, 1 + ALPHA * weights.data, 0).astype(np.float32)
    target = wanted @ factors
    found = target @ inverse
    left = target - times(found)
    return _conjugate(times, found, left, 2 * STEPS, inverse)


def _half(likes: Matrix, fixed: Factors, start: Factors) -> Factors:
    """Rows of factors, given those of the columns."""
    common = moment(fixed)
    found = np.empty_like(start)
    for first in range(0, likes.shape[0], ROWS):
        rows = slice(first, first + ROWS)
        found[rows] = _solved(likes[rows], fixed, common, start[rows])
    return found


def _solved(likes: Matrix, fixed: Factors, common: Factors, start: Factors) -> Factors:
    times = _system(likes, fixed, common)
    left = likes @ fixed * np.float32(1 + ALPHA) - times(start)
    return _conjugate(times, start, left, STEPS)


def _system(likes: Matrix, fixed: Factors, common: Factors) -> Times:
    """What every row's own matrix does to it, without making one."""
    confidence = likes * np.float32(ALPHA)
    rows = np.repeat(np.arange(likes.shape[0]), np.diff(likes.indptr))

    def times(values: Factors) -> Factors:
        sampled = _sampled(confidence, rows, values, fixed)
        return np.asarray(values @ common + sampled @ fixed, np.float32)

    return times


def _conjugate(
    times: Times, found: Factors, left: Factors, steps: int, inverse: Factors | None = None
) -> Factors:
    """Conjugate gradients for every row at once (with `inverse` as preconditioner)."""
    least = np.float32(1e-20)
    way = eased = left if inverse is None else left @ inverse
    size = _products(left, eased)
    for _ in range(steps):
        ahead = times(way)
        far = size / np.maximum(_products(way, ahead), least)
        found = np.asarray(found + far * way, np.float32)
        left = np.asarray(left - far * ahead, np.float32)
        eased = left if inverse is None else left @ inverse
        before, size = size, _products(left, eased)
        way = np.asarray(eased + size / np.maximum(before, least) * way, np.float32)
    return found


def _products(one: Factors, other: Factors) -> Factors:
    """(rows x 1) scalar products."""
    return np.asarray(np.einsum("ij,ij->i", one, other)[:, None], np.float32)


def _sampled(matrix: Matrix, rows: NDArray[np.int64], left: Factors, right: Factors) -> Matrix:
    """`matrix` times, entry by entry, left @ right.T, where it has entries."""
    data = np.empty(matrix.nnz, np.float32)
    for first in range(0, matrix.nnz, ENTRIES):
        some = slice(first, first + ENTRIES)
        np.einsum("ij,ij->i", left[rows[some]], right[matrix.indices[some]], out=data[some])
    data *= matrix.data
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
