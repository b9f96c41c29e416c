"""Whether letters have ended: that of one edition, and all that one pass of publishing made.

A pass is known by its moment: every edition of it was made at the same one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select

from digest.model import Delivery, DeliveryState, EditionState
from digest.store import tables as t
from digest.store.database import Tx

e, d = t.editions.c, t.deliveries.c


class Delivered(StrEnum):
    OPEN = "open"  # may change by itself, or waits for the operator: no word on how it ends
    DONE = "done"  # the next hop took every letter
    DONE_WITH_ERRORS = "done_with_errors"  # all have ended, not all of them so


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of publishing made. `letters`: {state: n}."""

    made_at: datetime
    editions: int
    skipped: int
    delivered: Delivered
    letters: Mapping[str, int] = field(default_factory=dict)


WAITING = frozenset((DeliveryState.QUEUED, DeliveryState.LEASED, DeliveryState.SENDING))
TAKEN = frozenset((DeliveryState.ACCEPTED, DeliveryState.COMPLAINED))  # a complaint had a letter


def delivered(state: DeliveryState, resends: int) -> Delivered:
    """How it stands with one letter. One of which nobody can know is open until it has gone once
    more, or somebody has said what became of it; after that it is an error for good."""
    if state in TAKEN:
        return Delivered.DONE
    unsure = state is DeliveryState.UNKNOWN and not resends
    return Delivered.OPEN if unsure or state in WAITING else Delivered.DONE_WITH_ERRORS


def of(delivery: Delivery | None) -> Delivered | None:
    """That of an edition's letter; None where none was owed."""
    return delivered(delivery.state, delivery.resends) if delivery else None


def together(found: set[Delivered]) -> Delivered:
    """Of many letters; of none, since there was nothing to do, done."""
    for worst in (Delivered.OPEN, Delivered.DONE_WITH_ERRORS):
        if worst in found:
            return worst
    return Delivered.DONE


def passes(tx: Tx, limit: int = 0) -> list[Pass]:
    """The latest passes, newest first; limit 0 is all."""
    last = select(e.made_at).group_by(e.made_at).order_by(e.made_at.desc()).limit(limit or None)
    again = (d.resends > 0).label("again")
    kinds = (e.made_at, e.state.label("edition"), d.state.label("letter"), again)
    joined = t.editions.outerjoin(t.deliveries, d.edition == e.key)
    question = select(*kinds, func.count().label("n")).select_from(joined)
    question = question.where(e.made_at.in_(last)).group_by(*kinds).order_by(e.made_at.desc())
    rows: defaultdict[datetime, list[tuple[str, str | None, bool, int]]] = defaultdict(list)
    for row in tx.execute(question):
        rows[row.made_at].append((row.edition, row.letter, bool(row.again), row.n))
    return [_pass(at, found) for at, found in rows.items()]


def _pass(at: datetime, rows: list[tuple[str, str | None, bool, int]]) -> Pass:
    letters: defaultdict[str, int] = defaultdict(int)
    stands = set()
    for _, letter, again, n in rows:
        if letter is not None:
            letters[letter] += n
            stands.add(delivered(DeliveryState(letter), int(again)))
    skipped = sum(n for edition, _, _, n in rows if edition == EditionState.SKIPPED)
    return Pass(at, sum(row[-1] for row in rows), skipped, together(stands), dict(letters))
