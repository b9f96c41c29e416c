"""A service's archive, asked day by day for what its feed did not show.

Feeds show the last thirty or hundred papers, whoever asks in between. So each day, once it is
over, is asked for in the archive too, and what the feed had dropped is found. The cursor says up
to which day all is known (`through`); a service that was down is asked from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from digest.model import Fetched, Listing, Verdict
from digest.sources import Known
from digest.sources.arxiv_api import Slice

SETTLED = timedelta(hours=36)  # after a day began, UTC: it is over everywhere, and indexed
OVERLAP = timedelta(days=1)  # asked again, for what the index learnt late
MAX_SLICES = 40  # in one fetch; the next goes on after the last whole day
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Owed:
    """The days [first, last] are to be asked for."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


def settled(now: datetime) -> date:
    """The last day of which the archive knows all."""
    return (now - SETTLED).date()


def owed(cursor: Mapping[str, str], now: datetime) -> Owed | None:
    """What to ask the archive for. A source that is asked for the first time misses nothing from
    before."""
    last, through = settled(now), through_in(cursor)
    if through is None or through >= last:
        return None
    return Owed(through + _DAY - OVERLAP, last)


def through_in(cursor: Mapping[str, str]) -> date | None:
    """The day up to which all is known."""
    return date.fromisoformat(cursor["through"]) if cursor.get("through") else None


def days(owed: Owed) -> list[date]:
    """Each of them, oldest first."""
    return [owed.first + _DAY * at for at in range((owed.last - owed.first).days + 1)]


async def some(slices: AsyncIterator[Slice], most: int = MAX_SLICES) -> list[Slice]:
    """The slices of a fetch: up to `most`, and on to the end of the day they stand in."""
    taken: list[Slice] = []
    async for part in slices:
        taken.append(part)
        if len(taken) >= most and part.through is not None:
            break
    return taken


def lacked(papers: Sequence[Listing], shown: Sequence[Listing], known: Known) -> int:
    """How many of these `papers` neither the feed showed nor we had."""
    here = {id_ for paper in shown for id_ in paper.ids}
    new = [paper for paper in papers if here.isdisjoint(paper.ids)]
    ours = known([id_ for paper in new for id_ in paper.ids]) if new else frozenset()
    return sum(ours.isdisjoint(paper.ids) for paper in new)


def filled(
    fetched: Fetched, slices: Sequence[Slice], owed: Owed, papers: Sequence[Listing], missed: int
) -> Fetched:
    """`fetched` with the archive's `papers`, and the cursor moved on to the last whole day."""
    through = max((part.through for part in slices if part.through), default=None)
    failed = next((part for part in slices if part.verdict is not Verdict.OK), None)
    worse = failed is not None and fetched.verdict.healthy
    before = through_in(fetched.cursor)
    reached = max(filter(None, (before, through)), default=None)
    cursor = {**fetched.cursor, **({"through": reached.isoformat()} if reached else {})}
    said = _said(owed, missed, failed, through)
    return replace(
        fetched,
        verdict=failed.verdict if failed and worse else _with(fetched.verdict, missed),
        message="; ".join(filter(None, (fetched.message, said))),
        backfill=(*fetched.backfill, *papers),
        bad=(*fetched.bad, *(bad for part in slices for bad in part.bad)),
        cursor=cursor,
    )


def _with(verdict: Verdict, missed: int) -> Verdict:
    """A feed that is quiet is not so where the archive brought papers."""
    return Verdict.OK if missed and verdict in {Verdict.QUIET, Verdict.NOT_MODIFIED} else verdict


def _said(owed: Owed, missed: int, failed: Slice | None, through: date | None) -> str:
    if failed:
        return f"{owed} asked through the API; unfinished: {failed.message}"
    if through is None or through < owed.last:
        return f"{owed} asked through the API; done to {through}, goes on next time"
    return f"{owed} asked through the API: {missed} more than the feed showed" if missed else ""
