"""What a reader missed: papers that became popular after the reader's letter went without them.

Votes settle after a week or two. What was passed by when it had three of them may deserve a second
look when it has a hundred, once, and only within the reader's trending allowance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from digest.cadence import zone
from digest.matching.picking import votes
from digest.matching.reasons import Why
from digest.model import BY_VOTES, MISSED, Match, Paper, Reason, ReasonKind, Window

RISE = 10  # upvotes that a paper must have won, and as many as it had at least
BESIDE = 3  # other reasons that are told

Counts = Sequence[tuple[datetime, float]]
"""A paper's upvotes by the time they were counted, oldest first: one a day, the latest of it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A reader's window that is over; `sent`: a letter of it reached them, else there was none."""

    window: Window
    sent: bool


def counted(counts: Counts, until: datetime) -> float:
    """The upvotes that had been counted by then."""
    return next((value for at, value in reversed(counts) if at < until), 0.0)


def rise(paper: Paper, counts: Counts, since: datetime) -> float:
    """Upvotes counted more than by then; of the time before the first count nothing is known, and
    that is not called a rise."""
    first = counts[0][1] if counts else votes(paper)
    return max(votes(paper) - max(counted(counts, since), first), 0.0)


def worth_another_look(paper: Paper, counts: Counts, since: datetime) -> bool:
    """True for what was first seen from `since` on, and for what rose much since then."""
    won = rise(paper, counts, since)
    fresh = paper.first_seen is None or paper.first_seen >= since
    return fresh or (won >= RISE and won >= votes(paper) - won)


def with_missed(
    matches: Sequence[Match],
    window: Window,
    closed: Sequence[Closed],
    counts: Mapping[str, Counts],
    zone_name: str,
) -> tuple[Match, ...]:
    """The matches, with those popular ones that an earlier letter went without called so; without
    those of them that won no votes since."""
    told = (_told(match, window, closed, counts, zone_name) for match in matches)
    return tuple(match for match in told if match is not None)


def is_old(match: Match, window: Window) -> bool:
    """True for a popular paper that is not of this window."""
    seen = match.paper.first_seen
    return match.section in BY_VOTES and seen is not None and seen < window.since


def _told(
    match: Match,
    window: Window,
    closed: Sequence[Closed],
    counts: Mapping[str, Counts],
    zone_name: str,
) -> Match | None:
    if not is_old(match, window):
        return match
    seen = match.paper.first_seen
    assert seen is not None
    over = next((one for one in closed if one.window.since <= seen < one.window.until), None)
    if over is None:  # from before their first letter, or its end is not known
        return match
    history, until = counts.get(match.paper.id, ()), over.window.until
    if rise(match.paper, history, until) < 1:
        return None
    day = until.astimezone(zone(zone_name)).date()
    where = "letter" if over.sent else ""
    missed = Reason(ReasonKind.MISSED, day.isoformat(), where, counted(history, until))
    return replace(
        match, section=MISSED, reasons=Why(lambda: (missed, *match.reasons[: BESIDE + 1]))
    )
