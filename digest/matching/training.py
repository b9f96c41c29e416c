"""Training: from readers' libraries to a collaborative map that surely helps, or to none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import scipy.sparse as sp

from digest.matching.collaborative import CollaborativeMap, train
from digest.matching.heldout import LEAST_READERS, Check, Library, compare, trial
from digest.matching.lexical import LexicalMatcher
from digest.matching.vocabulary import Grams, Vocabulary
from digest.model import Paper

MOST_PAPERS = 50_000  # that get factors, the most liked ones
MOST_LIKES = 1_000  # of one reader, the last ones
OTHERS = 30_000  # further texts, to tell how common a word is
LEAST_SHARED = 50  # papers with several readers: without them there is nothing to learn


@dataclass(frozen=True, slots=True)
class Learnt:
    """`map`: None where the check did not say that it helps."""

    map: CollaborativeMap | None
    check: Check


def learn(libraries: Sequence[Library], papers: Iterable[Paper]) -> Learnt:
    """Check on held-out papers whether a map helps these readers; only then learn one from all
    they like. `papers`: those whose texts are known, liked or not."""
    texts = {paper.id: paper for paper in papers}
    asked = trial(libraries, texts)
    readers = Counter(chain.from_iterable(asked.left))
    shared = sum(number > 1 for number in readers.values())
    if len(asked.asked) < LEAST_READERS or shared < LEAST_SHARED:
        why = f"too few readers ({len(asked.asked)} of {LEAST_READERS} could be asked)"
        few = f"too few papers with several readers ({shared} of {LEAST_SHARED})"
        enough = len(asked.asked) >= LEAST_READERS
        return Learnt(None, Check(False, few if enough else why, len(asked.asked)))
    grams = _Grams()
    map_ = _map(asked.left, {paper.id: paper for paper in asked.old}, grams)
    check = compare(asked, grams.matcher(), grams.matcher(map_))
    return Learnt(_map(libraries, texts, grams) if check.helps else None, check)


class _Grams:
    """What texts hold, counted once."""

    def __init__(self) -> None:
        self._vocabulary = Vocabulary()

    def of(self, papers: Iterable[Paper]) -> list[Grams]:
        return [self._vocabulary.grams(paper) for paper in papers]

    def matcher(self, taste: CollaborativeMap | None = None) -> LexicalMatcher:
        return LexicalMatcher(taste=taste)


def _map(
    libraries: Sequence[Library], texts: Mapping[str, Paper], grams: _Grams
) -> CollaborativeMap:
    likes, ids = matrix(libraries, texts)
    liked = set(ids)
    others = [paper for id_, paper in texts.items() if id_ not in liked][:OTHERS]
    return train(likes, ids, grams.of(texts[id_] for id_ in ids), grams.of(others))


def matrix(libraries: Sequence[Library], known: Iterable[str]) -> tuple[sp.csr_matrix, list[str]]:
    """((readers x papers) likes, the papers' ids, rising); readers of nothing have no row."""
    there = set(known)
    kept = [[id_ for id_ in one if id_ in there][-MOST_LIKES:] for one in libraries]
    counted = Counter(chain.from_iterable(kept)).most_common(MOST_PAPERS)
    ids = sorted(id_ for id_, _ in counted)
    columns = {id_: column for column, id_ in enumerate(ids)}
    rows = [[columns[id_] for id_ in one if id_ in columns] for one in kept]
    rows = [row for row in rows if row]
    starts = np.cumsum([0, *map(len, rows)])
    flat = np.array(list(chain.from_iterable(rows)), np.int32)
    entries = np.ones(len(flat), np.float32), flat, starts
    return sp.csr_matrix(entries, shape=(len(rows), len(ids))), ids
