"""One answer of arXiv's feed: the announcement it shows."""

from __future__ import annotations

import calendar
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from time import struct_time
from typing import Any

from digest.model import Announce, BadEntry, Listing, Verdict
from digest.sources import document, eastern
from digest.sources.answers import Answer
from digest.sources.entries import listing, listings
from digest.sources.feed import unseen
from digest.sources.health import Came

_ADDED = {Announce.NEW, Announce.CROSS}
_KEPT = 8  # counts for each weekday
_KEPT_KEYS = ("complete", "asked", "tally")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an answer of the feed holds. `day`: the date at arXiv that the feed says it is of;
    `entries`: how many it has, replacements and unreadable ones too."""

    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    entries: int = 0
    day: date | None = None
    validators: Mapping[str, str] = field(default_factory=dict)

    @property
    def added(self) -> tuple[Listing, ...]:
        """New and cross-listed papers: what an announcement is made of."""
        return tuple(paper for paper in self.papers if paper.announce in _ADDED)

    def came(self, cursor: Mapping[str, str], now: datetime) -> Came:
        """What the judge needs."""
        today = eastern.on(now)
        day = max(self.day or today, today)
        due = eastern.latest(now)
        counts = _counts(cursor)
        return Came(
            answer=self.verdict,
            message=self.message,
            shown=len(self.added),
            unseen=len(unseen(self.added, cursor)),
            day=self.day,
            last=day_in(cursor, "day"),
            expected=max(due, day) if self.day == day and eastern.announces(day) else due,
            holiday=not eastern.announces(day),
            usual=counts.get(str(day.weekday()), ()),
            any_day=[count for each in counts.values() for count in each],
        )

    def advanced(
        self, cursor: Mapping[str, str], verdict: Verdict, now: datetime
    ) -> dict[str, str]:
        """The cursor after this answer. One that is not to be trusted changes nothing, so that
        it is asked for in full again."""
        day = self.day or eastern.latest(now)
        took = verdict in {Verdict.OK, Verdict.LATE} and bool(unseen(self.added, cursor))
        if took:
            shown = " ".join(paper.ids[0] for paper in self.added)
            taken = {"day": day.isoformat(), "seen": shown, "counts": self._counted(cursor, day)}
            kept = {name: cursor[name] for name in _KEPT_KEYS if name in cursor}
            return {**kept, **self.validators, **taken}
        if verdict in {Verdict.QUIET, Verdict.HOLIDAY}:
            return {**cursor, **self.validators}
        return dict(cursor)

    def _counted(self, cursor: Mapping[str, str], day: date) -> str:
        counts = _counts(cursor)
        if day_in(cursor, "day") != day:
            weekday = str(day.weekday())
            counts[weekday] = [*counts.get(weekday, ()), len(self.added)][-_KEPT:]
        return json.dumps(counts)


def read(answer: Answer) -> Announcement:
    """Parse an answer of the feed. Takes CPU time."""
    if not answer.ok:
        return Announcement(answer.verdict, answer.message)
    found = document.read(answer.body, answer.headers.get("content-type", ""), answer.url)
    papers, bad = listings(found.entries, listing)
    return Announcement(
        verdict=found.verdict,
        message=found.message,
        papers=papers,
        bad=bad,
        entries=len(found.entries),
        day=_day(found.feed),
        validators=answer.validators,
    )


def day_in(cursor: Mapping[str, str], name: str) -> date | None:
    """A date of the cursor."""
    return date.fromisoformat(cursor[name]) if cursor.get(name) else None


def _day(feed: Mapping[str, Any]) -> date | None:
    for name in ("published_parsed", "updated_parsed"):
        parsed = feed.get(name)
        if isinstance(parsed, struct_time) and 1990 < parsed.tm_year < 2200:
            return eastern.on(datetime.fromtimestamp(calendar.timegm(parsed), UTC))
    return None


def _counts(cursor: Mapping[str, str]) -> dict[str, list[int]]:
    return dict(json.loads(cursor.get("counts", "{}")))
