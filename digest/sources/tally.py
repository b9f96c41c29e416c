"""The API's own count of an announcement, held against what the feed showed of it.

A feed that was cut in half looks like a quiet day to those who have no history. So the API is
asked, in two small requests: when some of the papers shown were submitted, by its own dates, and
how many it has of that time, once for each announcement. History does not spare the asking: half
of a large announcement is an ordinary number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

from digest.sources import eastern
from digest.sources.gaps import AGAIN

SAMPLE = 9  # papers of the announcement whose dates are asked for
KNOWN = 0.8  # of them that the API must know, else its index is behind
SHORT = 0.7  # of what the API counts
FEW = 4  # papers; what is smaller differs by chance


class Api(Protocol):
    async def dates(self, numbers: Sequence[str]) -> list[date]:
        """When these were submitted: of those it knows."""
        ...

    async def count(self, low: datetime, high: datetime) -> int | None:
        """How many papers were submitted then; None where it does not say."""
        ...


def due(cursor: Mapping[str, str], day: date, shown: int, now: datetime) -> bool:
    """True where the API is to be asked about the announcement of `day`, of which the feed has
    `shown` papers."""
    said = _said(cursor, day)
    if said.get("total") is not None or not shown:
        return False
    lately = "asked" in said and now - datetime.fromisoformat(said["asked"]) < AGAIN
    return not lately


async def ask(api: Api, day: date, ids: Sequence[str]) -> int | None:
    """How many papers the API has of the announcement of `day`, some of which are `ids`; None
    where it cannot say yet."""
    numbers = [id_.partition(":")[2] for id_ in ids if id_.startswith("arxiv:")]
    chosen = numbers[:: max(1, len(numbers) // SAMPLE)][:SAMPLE]
    dates = sorted(await api.dates(chosen)) if chosen else []
    if not dates or len(dates) < len(chosen) * KNOWN:
        return None
    low, high = eastern.submissions(day)
    middle = dates[len(dates) // 2]
    if not low.date() <= middle <= high.date():  # mirrors may date papers by announcement
        low, high = (datetime.combine(middle, at, UTC) for at in (time(0), time(23, 59)))
    return await api.count(low, high)


def noted(cursor: Mapping[str, str], day: date, total: int | None, now: datetime) -> dict[str, str]:
    """The cursor with what the API said."""
    said = {"day": day.isoformat(), "total": total, "asked": now.isoformat()}
    return {**cursor, "tally": json.dumps(said)}


def lacking(cursor: Mapping[str, str], day: date, shown: int) -> str:
    """In words, that the feed shows far less of `day` than the API counts; else ""."""
    total = _said(cursor, day).get("total")
    if total is None or total < FEW or shown >= total * SHORT:
        return ""
    return f"{shown} papers where the API counts {total}"


def _said(cursor: Mapping[str, str], day: date) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(cursor.get("tally", "{}"))
    return said if said.get("day") == day.isoformat() else {}
