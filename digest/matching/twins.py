"""Papers that say nearly the same, found once for everybody.

Identity (digest/identity.py) makes one of the records of one work. What is left are works that
differ by little: one text sent in twice under two titles, yearly reports of one campaign, the same
announcement in two journals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from digest.matching.meeting import Matrix
from digest.matching.space import Space
from digest.matching.vocabulary import single

SAME = 0.5  # cosine of title and abstract; how it was chosen: docs/matching.md
RARE = 50  # a pair of words in more papers than this tells none of them apart
SHARED = 5  # rare pairs of words that two papers have in common before they are compared
AT_ONCE = 10_000  # pairs of papers: some 25 MB

Twins = Mapping[int, frozenset[int]]
"""{paper: others that say nearly the same}, indices into a space; most papers are not in it."""


def find_twins(space: Space) -> Twins:
    """Every two papers whose vectors have a cosine of at least SAME.

    Only papers that share rare pairs of words are compared, so the cost grows with the papers and
    not with their square.
    """
    found: dict[int, set[int]] = defaultdict(set)
    ones, others = _compared(space)
    for at in range(0, len(ones), AT_ONCE):
        some, beside = ones[at : at + AT_ONCE], others[at : at + AT_ONCE]
        products = space.papers[some].multiply(space.papers[beside])  # rows have length 1
        same = np.asarray(products.sum(axis=1)).ravel() >= SAME
        for one, other in zip(some[same].tolist(), beside[same].tolist(), strict=True):
            found[one].add(other)
            found[other].add(one)
    return {paper: frozenset(others) for paper, others in found.items()}


def _compared(space: Space) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pairs of papers that share SHARED rare pairs of words, or all that the shorter one has."""
    pairs = _rare_pairs(space)
    own = np.diff(pairs.indptr)
    shared = sp.triu(pairs @ pairs.T, 1).tocoo()
    enough = np.minimum(np.minimum(own[shared.row], own[shared.col]), SHARED)
    kept = shared.data >= enough
    return shared.row[kept], shared.col[kept]


def _rare_pairs(space: Space) -> Matrix:
    """(papers x pairs of words that stand in 2 to RARE of them), ones."""
    papers = space.papers
    holding = np.bincount(papers.indices, minlength=space.width)
    rare = ~single(space.window_codes) & (holding > 1) & (holding <= RARE)
    pairs = papers[:, np.flatnonzero(rare)]
    pairs.data = np.ones(len(pairs.data), np.int32)
    return pairs
