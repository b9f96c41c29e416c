"""Does the collaborative map help on this site? Asked of its own readers, before it is used.

A fifth of all papers is taken for new: nobody's likes of them are learnt from. Readers who like
some of them get these papers ranked by the same matching with and without a map learnt from the
rest. The map is used only where recall@20 is surely better: paired bootstrap over the readers.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from digest.matching import Matcher, Reader
from digest.matching.measures import ndcg, recall
from digest.model import Interest, Paper, Profile

SHARE = 5  # one paper in so many is held out
LEAST_LIKES = 3  # likes that are left to a reader who is asked
LEAST_READERS = 50  # asked; fewer prove nothing
MOST_READERS = 1000
MOST_PAPERS = 5000  # ranked, and as many that teach how common a word is
TOGETHER = 200
RESAMPLES = 2000
SURE = 0.05  # chance of being wrong that is taken

Library = tuple[str, ...]
"""The ids of the papers one reader likes."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a held-out check found. `low`: the gain in recall@20 is larger than this, nineteen
    times out of twenty."""

    helps: bool
    why: str
    readers: int = 0  # asked
    papers: int = 0  # ranked
    recall_without: float = 0.0
    recall_with: float = 0.0
    ndcg_without: float = 0.0
    ndcg_with: float = 0.0
    low: float = 0.0

    def figures(self) -> dict[str, float]:
        """For reports: whether the map is used, and what the check measured."""
        names = {"low": "held-out recall@20 gains at least", "readers": "held-out readers"}
        names |= {"recall_without": "held-out recall@20 without map"}
        names |= {"recall_with": "held-out recall@20 with map"}
        values = asdict(self)
        return {"map": float(self.helps)} | {name: values[key] for key, name in names.items()}


@dataclass(frozen=True, slots=True)
class Trial:
    """Who is asked to rank what: `asked`: what each reader is known to like, and `wanted`: what
    was held out of it; `left`: everybody's libraries without what was held out."""

    new: list[Paper]
    old: list[Paper]
    asked: list[Library]
    wanted: Sequence[Mapping[str, float]]
    left: list[Library]


def is_held_out(id_: str) -> bool:
    """The same papers each time, so that two checks can be compared."""
    return zlib.crc32(id_.encode()) % SHARE == 0


def trial(libraries: Sequence[Library], papers: Mapping[str, Paper]) -> Trial:
    """Part the papers that are known here."""
    left = [tuple(i for i in one if i in papers and not is_held_out(i)) for one in libraries]
    held = [tuple(i for i in one if i in papers and is_held_out(i)) for one in libraries]
    able = [i for i, one in enumerate(left) if len(one) >= LEAST_LIKES and held[i]]
    able = able[:: -(-len(able) // MOST_READERS) or 1]
    liked = {id_ for i in able for id_ in held[i]}
    new = [paper for id_, paper in papers.items() if is_held_out(id_)]
    new.sort(key=lambda paper: paper.id not in liked)
    new = new[: max(MOST_PAPERS, len(liked))]
    old = [paper for id_, paper in papers.items() if not is_held_out(id_)]
    wanted = [dict.fromkeys(held[i], 1.0) for i in able]
    return Trial(new, old, [left[i] for i in able], wanted, left)


def compare(asked: Trial, without: Matcher, with_map: Matcher) -> Check:
    """Rank for everybody both ways."""
    plain, better = _scores(asked, without), _scores(asked, with_map)
    gains = better - plain
    low = lower_bound(gains[:, 0])
    helps = bool(low > 0 and gains[:, 1].mean() >= 0)
    (recall_without, ndcg_without), (recall_with, ndcg_with) = plain.mean(0), better.mean(0)
    measured = f"recall@20 {recall_without:.3f} without, {recall_with:.3f} with the map"
    return Check(
        helps=helps,
        why=f"{measured}; {'surely' if helps else 'not surely'} better",
        readers=len(asked.asked),
        papers=len(asked.new),
        recall_without=float(recall_without),
        recall_with=float(recall_with),
        ndcg_without=float(ndcg_without),
        ndcg_with=float(ndcg_with),
        low=low,
    )


def lower_bound(gains: NDArray[np.float64]) -> float:
    """The mean gain is above this in all but SURE of the resamples (percentile bootstrap)."""
    draw = np.random.default_rng(0)
    means = [gains[draw.integers(0, len(gains), len(gains))].mean() for _ in range(RESAMPLES)]
    return float(np.quantile(means, SURE))


def _scores(asked: Trial, matcher: Matcher) -> NDArray[np.float64]:
    """(readers x 2): recall@20 and NDCG@10."""
    prepared = matcher.prepare(asked.new, asked.old[:MOST_PAPERS])
    texts = {paper.id: paper for paper in asked.old}
    readers = [_reader(library, texts) for library in asked.asked]
    found: list[list[tuple[str, float]]] = []
    for first in range(0, len(readers), TOGETHER):
        found += prepared.order(readers[first : first + TOGETHER], 20)
    ranked = ([id_ for id_, _ in one] for one in found)
    pairs = zip(ranked, asked.wanted, strict=True)
    return np.array([(recall(one, w, 20), ndcg(one, w, 10)) for one, w in pairs])


def _reader(library: Library, texts: Mapping[str, Paper]) -> Reader:
    interests = (Interest("Likes", seeds=library),)
    return Reader(Profile(interests=interests), known={id_: texts[id_] for id_ in library})
