"""What a collaborative map in force costs: ranking with and without one, in the same run.

    python bench/match.py --parts taste

The numbers of the map are drawn, since what it costs does not hang on them: 400 factors for each
of the earlier papers, z of one deviation. `usual`: profiles of which some have seeds, as on a new
site; `readers`: everybody has rated ten papers, too. Milliseconds of CPU a reader, in batches of a
thousand as publishing asks for them; `parts` are where the map's share goes.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from digest.matching import Reader, meeting
from digest.matching.carrying import Words, heaviest
from digest.matching.collaborative import CollaborativeMap
from digest.matching.factors import RANK
from digest.matching.lexical import LexicalMatcher
from digest.matching.vocabulary import Vocabulary
from digest.model import Feedback, Paper

BATCH, RATED = 1_000, 10
PARTS = {
    "known": "factors of what readers like",
    "tastes": "tastes folded in",
    "by_taste": "tastes past the papers",
}


def measure_taste(
    window: Sequence[Paper], old: Sequence[Paper], readers: Sequence[Reader], cpu: Any
) -> dict[str, Any]:
    """`cpu`: CPU seconds of a call."""
    dice = np.random.default_rng(3)
    made = drawn(old, window, dice)
    found: dict[str, Any] = {"papers learnt from": len(old), "factors": RANK}
    kinds = {"usual": readers, "readers": [_who_rates(one, old, dice) for one in readers]}
    for name, some in kinds.items():
        without = _cost(LexicalMatcher(0), window, old, some, cpu)
        with_map = _cost(LexicalMatcher(0, made), window, old, some, cpu)
        parts = with_map.pop("parts")
        found[name] = {"without": without["ms"], "with a map": with_map["ms"], "parts": parts}
    return found


def drawn(old: Sequence[Paper], window: Sequence[Paper], dice: Any) -> CollaborativeMap:
    """A map over the earlier papers, as large as one that was learnt."""
    library = sorted(old, key=lambda paper: paper.id)
    vocabulary = Vocabulary()
    grams = [vocabulary.grams(paper) for paper in library]
    words = Words.of(grams)
    short = heaviest(words.vectors(grams))

    def some(*shape: int) -> Any:
        return dice.normal(0, 0.1, shape).astype(np.float32)

    made = CollaborativeMap(
        papers=np.array([paper.id for paper in library], dtype=np.str_),
        readers=np.full(len(library), 20, np.int32),
        factors=some(len(library), RANK),
        codes=words.codes,
        weights=words.weights,
        by_word=some(len(words.codes), RANK),
        indptr=short.indptr.astype(np.int32),
        indices=short.indices.astype(np.int32),
        data=short.data,
        centres=some(4, RANK),
        mean=np.zeros(RANK, np.float32),
        spread=np.eye(RANK, dtype=np.float32),
    )
    places = made.place([vocabulary.grams(paper) for paper in window])
    spread = np.cov(places, rowvar=False, bias=True).astype(np.float32)
    return replace(made, mean=places.mean(axis=0), spread=spread)


def _who_rates(reader: Reader, old: Sequence[Paper], dice: Any) -> Reader:
    rated = [old[i] for i in dice.choice(len(old), RATED, replace=False)]
    said = Feedback(tuple(p.id for p in rated[2:]), tuple(p.id for p in rated[:2]))
    known = {**reader.known, **{paper.id: paper for paper in rated}}
    return replace(reader, feedback=said, known=known)


def _cost(
    matcher: LexicalMatcher, window: Sequence[Paper], old: Sequence[Paper], readers: Any, cpu: Any
) -> dict[str, Any]:
    prepared = matcher.prepare(window, old[-2000:])
    batches = [readers[at : at + BATCH] for at in range(0, len(readers), BATCH)]
    prepared.rank(batches[0][:20])  # the machine code is ready, and places are made
    spent: defaultdict[str, float] = defaultdict(float)
    undo = [
        _watch(CollaborativeMap, "known", spent),
        _watch(CollaborativeMap, "tastes", spent),
        _watch(meeting, "by_taste", spent),
    ]
    seconds = cpu(lambda: [prepared.rank(batch) for batch in batches])
    for put_back in undo:
        put_back()
    per = 1000 / len(readers)
    parts = {PARTS[name]: round(some * per, 3) for name, some in spent.items()}
    return {"ms": round(seconds * per, 3), "parts": parts}


def _watch(owner: Any, name: str, spent: defaultdict[str, float]) -> Callable[[], None]:
    original = getattr(owner, name)

    @functools.wraps(original)
    def timed(*args: Any) -> Any:
        begun = time.process_time()
        answer = original(*args)
        spent[name] += time.process_time() - begun
        return answer

    setattr(owner, name, timed)
    return lambda: setattr(owner, name, original)
