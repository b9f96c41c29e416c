"""Which papers one reader's ranking holds, and in which section; no words yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digest.matching.meeting import Papers, Scores
from digest.matching.scoring import FLOORS, JUST_BELOW, Flags, flags, floor_of
from digest.matching.space import Space
from digest.matching.wishes import Asked, Wish
from digest.model import Floor, Paper, Window
from digest.profiles.shelf import Shelf

FOLLOW, POPULAR = -1, -2  # in place of a wish
SLACK = 6  # more than the budget or a quota: some may have been sent, or be alike
SURE_BONUS, MAYBE_BONUS = 30.0, 6.0  # z of being by somebody the reader follows
WINDOWS = 1_000  # kept, one byte a paper each
LEAST_VOTES = 5  # from which a paper may be called trending
HALF = 6.0  # the z that is shown as a score of 0.5: the normal floor
NUDGE = 0.01  # of z for each e-fold of votes: between equals the popular one goes first


class Pick(NamedTuple):
    """A paper (its index on the shelf) for one of the reader's wishes, FOLLOW or POPULAR."""

    paper: int
    wish: int
    z: float


@dataclass(frozen=True, slots=True)
class Picked:
    """As Ranking: best first; `beyond` were good enough too but are not among the picks."""

    picks: list[Pick]
    near: int = 0
    considered: int = 0
    beyond: int = 0


class Picker:
    """Picks from one shelf. The first `fresh` papers are the window's; `trending` are indices."""

    def __init__(self, space: Space, shelf: Shelf, fresh: int, trending: Sequence[int]) -> None:
        self._space, self._shelf, self._fresh = space, shelf, fresh
        self._trending = np.array(trending, np.int64)
        self._number = len(shelf.papers)
        self._votes = np.log1p([votes(paper) for paper in shelf.papers])
        self._nudge = (NUDGE * self._votes).astype(np.float32)
        self._seen = [paper.first_seen for paper in shelf.papers]
        self._windows: dict[Window | None, Flags] = {}
        self._ends: dict[datetime, Flags] = {}
        self._all = np.ones(self._number, bool)

    def pick(self, asked: Asked, papers: Papers, z: Scores) -> Picked:
        """What this reader's letter may hold. `papers`: all that may come, rising; `z`: (wishes x
        these papers), own nearness only."""
        window = self._inside(asked.reader.window)
        inside = window[papers]
        allowed = self._allowed(asked, papers)
        met, ranked = self._met(asked, papers, z)
        followed = self._followed(asked, papers, ranked, inside & allowed)
        good = met & (inside & allowed)
        if followed:
            good[:, _places(papers, [pick.paper for pick in followed])] = False
        chosen, total = self._in_turns(asked, papers, good, ranked)
        free = allowed & ~good.any(axis=0)
        popular = self._popular(asked, papers, z, met, free, followed)
        return Picked(
            picks=[*_sorted([*followed, *chosen]), *popular],
            near=self._near(asked, z, inside & free),
            considered=int(np.count_nonzero(window)),
            beyond=total - len(chosen),
        )

    def order(self, asked: Asked, papers: Papers, z: Scores, top: int) -> list[tuple[int, float]]:
        """(paper, z) of the window's best `top` papers, whatever the floor."""
        met, ranked = self._met(asked, papers, z)
        for row, wish in enumerate(asked.wishes):
            if wish.query is not None:
                ranked[row, ~met[row]] = -np.inf
        if not asked.wishes:
            return []
        inside = self._inside(asked.reader.window)[papers] & self._allowed(asked, papers)
        best = np.where(inside, ranked.max(axis=0), -np.inf)
        first = _best(best, np.flatnonzero(np.isfinite(best)), top)
        return [(int(papers[place]), float(best[place])) for place in first]

    def _allowed(self, asked: Asked, papers: Papers) -> Flags:
        if not asked.muted:
            return self._all[: len(papers)]
        return ~flags(asked.muted, self._number)[papers]

    def _inside(self, window: Window | None) -> Flags:
        """The papers of a reader's own window; what was never stored has no time and counts."""
        if window not in self._windows:
            if len(self._windows) >= WINDOWS:
                self._windows.clear()
            inside = np.array([_is_in(seen, window) for seen in self._seen], bool)
            inside[self._fresh :] = False
            self._windows[window] = inside
        return self._windows[window]

    def _by_then(self, window: Window | None) -> Flags:
        """What had been seen when a window closed: a letter tells of nothing that came later."""
        if window is None:
            return np.ones(self._number, bool)
        if window.until not in self._ends:
            if len(self._ends) >= WINDOWS:
                self._ends.clear()
            seen = (at is None or at < window.until for at in self._seen)
            self._ends[window.until] = np.fromiter(seen, bool, self._number)
        return self._ends[window.until]

    def _met(self, asked: Asked, papers: Papers, z: Scores) -> tuple[Flags, Scores]:
        """(good enough for the wish, z with the surprise of meeting its query)."""
        nudge = self._nudge[papers]
        ranked = z + nudge
        met = z >= floor_of(asked)
        for row, wish in enumerate(asked.wishes):
            if wish.everything:
                met[row] = True
            elif wish.query is not None:
                bits = self._shelf.meeting(wish.query)
                met[row] = flags(bits, self._number)[papers]
                ranked[row] = self._with_surprise(bits, met[row], z[row]) + nudge
        return met, ranked

    def _with_surprise(self, bits: int, met: Flags, z: Scores) -> Scores:
        count = (bits & ((1 << self._fresh) - 1)).bit_count()
        power = self._space.surprise(count, self._fresh) ** 2 * met + z * np.abs(z)
        return np.asarray(np.sign(power) * np.sqrt(np.abs(power)), np.float32)

    def _followed(self, asked: Asked, papers: Papers, ranked: Scores, there: Flags) -> list[Pick]:
        if not asked.followed:
            return []
        best = ranked.max(axis=0) if len(ranked) else self._nudge[papers]
        places = _places(papers, list(asked.followed)).tolist()
        return [
            Pick(paper, FOLLOW, (SURE_BONUS if by.sure == 1 else MAYBE_BONUS) + float(best[place]))
            for place, (paper, by) in zip(places, asked.followed.items(), strict=True)
            if there[place]
        ]

    def _in_turns(
        self, asked: Asked, papers: Papers, good: Flags, ranked: Scores
    ) -> tuple[list[Pick], int]:
        """Each paper in the wish it fits best, the wishes in turns, some more than the budget."""
        budget = asked.reader.profile.budget + SLACK
        if len(good) > 1:
            own = np.where(good, ranked, -np.inf).argmax(axis=0)
        turns: list[tuple[int, float, Pick]] = []
        total = 0
        for row, wish in enumerate(asked.wishes):
            places = np.flatnonzero(good[row] & (own == row) if len(good) > 1 else good[row])
            total += len(places)
            first = _best(ranked[row], places, min(budget, _most(wish)))
            found = zip(papers[first].tolist(), ranked[row, first].tolist(), strict=True)
            turns += [(turn, -z, Pick(i, row, z)) for turn, (i, z) in enumerate(found)]
        if len(good) > 1:
            turns.sort(key=lambda entry: entry[:2])
        return [pick for _, _, pick in turns[:budget]], total

    def _near(self, asked: Asked, z: Scores, rest: Flags) -> int:
        if not len(z):
            return 0
        return int((rest & (z.max(axis=0) >= JUST_BELOW * floor_of(asked))).sum())

    def _popular(
        self,
        asked: Asked,
        papers: Papers,
        z: Scores,
        met: Flags,
        free: Flags,
        followed: Sequence[Pick],
    ) -> list[Pick]:
        """Papers with votes near the wishes; by votes alone for who has none or wants all."""
        wanted = asked.reader.profile.trending
        if not wanted or not len(self._trending) or not len(papers):
            return []
        places = np.minimum(_places(papers, self._trending), len(papers) - 1)
        there = places[papers[places] == self._trending]  # the others are not near
        near = np.zeros(len(there), np.float32)
        pull = self._votes[papers[there]]
        kept = free[there] & self._by_then(asked.reader.window)[papers[there]]
        if has_bounds(asked):
            near = np.where(met[:, there], FLOORS[Floor.NORMAL], z[:, there]).max(axis=0)
            pull = pull * np.minimum(near, FLOORS[Floor.NORMAL])
            kept = kept & (near >= FLOORS[Floor.RELAXED])
        taken = {pick.paper for pick in followed}
        first = _best(pull, np.flatnonzero(kept), wanted + SLACK + len(taken))
        picks = [Pick(int(papers[there[i]]), POPULAR, float(near[i])) for i in first]
        return [pick for pick in picks if pick.paper not in taken][: wanted + SLACK]


def _places(papers: Papers, some: Sequence[int] | Papers) -> Papers:
    """Where some of `papers`, which rise, are among them."""
    return np.searchsorted(papers, some)


def has_bounds(asked: Asked) -> bool:
    """True where there is something to be near: some interest, and none that wants all."""
    return bool(asked.wishes) and not any(wish.everything for wish in asked.wishes)


def score_of(z: float) -> float:
    """z as a number from 0 to 1: relaxed 0.4, normal 0.5, strict 0.6."""
    return round(z / (z + HALF), 4) if z > 0 else 0.0


def votes(paper: Paper) -> float:
    """A paper's upvotes, 0 where there are none."""
    return max(float(paper.signals.get("upvotes", 0.0)), 0.0)


def _sorted(picks: list[Pick]) -> list[Pick]:
    return sorted(picks, key=lambda pick: (-pick.z, pick.paper))


def _most(wish: Wish) -> int:
    return 10**6 if wish.quota is None else wish.quota + SLACK


def _best(scores: Scores | NDArray[np.float64], among: NDArray[np.int64], most: int) -> list[int]:
    """The `most` of these papers with the highest scores, best first; equals in shelf order."""
    values = -scores[among]
    if len(among) > most:
        kept = values <= np.partition(values, most - 1)[most - 1]
        among, values = among[kept], values[kept]
    chosen: list[int] = among[np.argsort(values, kind="stable")][:most].tolist()
    return chosen


def _is_in(seen: datetime | None, window: Window | None) -> bool:
    return seen is None or window is None or window.since <= seen < window.until
