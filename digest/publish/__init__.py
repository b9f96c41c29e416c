"""VERB 3: for each batch of people who are due: match, compose, write their editions.

group.py     the thinking: papers indexed once, people ranked, their editions composed
rehearsal.py the same for previews and explanations, with nothing written

Due is a query; a window closes by compare-and-set; so running this twice, or at two places at
once, makes one edition for each person and window. Reads are short, thinking happens with no
transaction open, each batch is written in one short transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from digest import cadence
from digest.model import Edition, EditionState, LetterKind, Window
from digest.publish.group import (
    Person,
    Press,
    Shelf,
    compose_unsent,
    edition_of,
    rank,
    read_profiles,
    stock,
    tell_missed,
)
from digest.publish.news import tell_news
from digest.publish.rehearsal import NOBODY, Draft, Rehearsals, Standing, draft, rehearse, standing
from digest.store import Database, Tx, editions, papers, people, sources
from digest.store.editions import NewEdition
from digest.store.people import Due

__all__ = [
    "NOBODY",
    "Draft",
    "Press",
    "Published",
    "Rehearsals",
    "Shelf",
    "Standing",
    "draft",
    "message_id",
    "publish",
    "publish_batch",
    "rehearse",
    "standing",
    "stock",
]

BATCH = 1000  # people in one unit of work

Share = tuple[int, int]
"""(which, of how many) equal shares of the people: for processes side by side."""
ALONE: Share = (0, 1)

OnProgress = Callable[[int, int], None]
"""(people done, people due)."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one pass made: queued editions, and skipped ones by reason."""

    queued: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Published) -> Published:
        skipped = Counter(self.skipped) + Counter(other.skipped)
        return Published(self.queued + other.queued, dict(sorted(skipped.items())))


def publish(
    press: Press, now: datetime, on_progress: OnProgress | None = None, share: Share = ALONE
) -> Published:
    """Write the editions of everyone in our share whose window closes by `now`."""
    with press.db.writing() as tx:
        people.wake(tx, now)
    with press.db.reading() as tx:
        spans, total = _spans(tx, now)
        notices = _notices(tx, now)
    shelves: dict[int, Shelf] = {}
    counts: Counter[str] = Counter()
    done = 0
    for batch in _batches(press.db, now, share):
        counts.update(publish_batch(press, batch, spans, shelves, notices, now))
        done += len(batch)
        if on_progress:
            on_progress(done, total)
    queued = counts.pop(EditionState.QUEUED, 0)
    return Published(queued, dict(sorted(counts.items())))


def publish_batch(
    press: Press,
    batch: Sequence[Due],
    spans: Mapping[int, Window],
    shelves: dict[int, Shelf],
    notices: Sequence[str],
    now: datetime,
) -> Counter[str]:
    """One unit of work: these people's editions. `shelves` is a cache, filled as needed."""
    groups: dict[int, list[Person]] = defaultdict(list)
    for due in batch:
        if (window := _window(due, now)) is not None:
            groups[_length_class(window)].append(Person(due, window))
    counts: Counter[str] = Counter()
    for length, group in groups.items():
        if length not in shelves:
            span = spans.get(length) or _cover([person.window for person in group])
            shelves[length] = stock(press.db, press.matcher, span)
        while (made := _publish_group(press, group, shelves[length], notices, now)) is None:
            shelves[length] = stock(press.db, press.matcher, shelves[length].span)
        counts.update(made)
    return counts


def _batches(db: Database, now: datetime, share: Share) -> Iterator[list[Due]]:
    """Everyone who is due, walked by key, so that memory stays bounded."""
    after = 0
    while True:
        with db.reading() as tx:
            batch = people.due(tx, now, after, BATCH, share)
        if not batch:
            return
        yield batch
        after = batch[-1].subscriber.key


# ------------------------------------------------------------------ windows


def _window(due: Due, now: datetime) -> Window | None:
    person = due.subscriber
    if person.window_since is None:
        return None
    return cadence.window(person.cadence, person.window_since, now, person.paused_until)


def _length_class(window: Window) -> int:
    """Windows of like length share a shelf: one day, two, four, eight, ..."""
    return max(0, (window.until - window.since - timedelta(hours=2)).days).bit_length()


def _cover(windows: Sequence[Window]) -> Window:
    return Window(min(w.since for w in windows), max(w.until for w in windows))


def _spans(tx: Tx, now: datetime) -> tuple[dict[int, Window], int]:
    """({length class: the span that covers its windows}, people due)."""
    found: dict[int, list[Window]] = defaultdict(list)
    total = 0
    for kind, since, paused_until, number in people.due_windows(tx, now):
        total += number
        if (window := cadence.window(kind, since, now, paused_until)) is not None:
            found[_length_class(window)].append(window)
    return {length: _cover(windows) for length, windows in found.items()}, total


# ------------------------------------------------------------------ thinking, and writing


def _publish_group(
    press: Press, group: list[Person], shelf: Shelf, notices: Sequence[str], now: datetime
) -> Counter[str] | None:
    """What was written; None where the shelf is no longer all that these windows hold."""
    read_profiles(press.db, group)
    rank(press.db, group, shelf)
    tell_missed(press.db, group, shelf)
    tell_news(press.db, group)
    contents = compose_unsent(press.db, group, shelf, notices)
    made = [edition_of(p, c, now) for p, c in zip(group, contents, strict=True)]
    try:
        return _write(press, made, group, shelf)
    except _PapersCameIn:
        return None


def _notices(tx: Tx, now: datetime) -> tuple[str, ...]:
    """One honest line for each source that readers may be missing papers of."""
    return tuple(
        f"{health.name} has not answered properly since {health.healthy_at:%d %B}: papers from "
        "there may be missing here; they come in a later letter."
        for health in sources.health(tx).values()
        if health.verdict is not None
        and not health.verdict.healthy
        and health.healthy_at is not None
        and health.healthy_at < now - timedelta(days=1)
    )


class _PapersCameIn(Exception):
    """Papers of this span were stored while we were thinking: they would fall into windows that
    close now and reach nobody. From the commit on, `remember` keeps out of closed windows."""


def _write(
    press: Press, made: Sequence[Edition], group: Sequence[Person], shelf: Shelf
) -> Counter[str]:
    """Close the windows and write the editions of those that were still open, or nothing."""
    moves = [
        (e.subscriber_key, e.window.since, e.window.until, e.next_due)
        for e in made
        if e.next_due is not None
    ]
    items = [NewEdition(edition, message_id(press, edition)) for edition in made]
    with press.db.writing() as tx:
        papers.close_until(tx, max(edition.window.until for edition in made))
        if papers.count_seen_in(tx, shelf.span) != len(shelf.papers):
            raise _PapersCameIn
        still_open = people.close_windows(tx, moves)
        mine = [item for item in items if item.edition.subscriber_key in still_open]
        editions.write(tx, mine)
        people.keep_compact(tx, list(_packed(group)))
    return Counter(str(item.edition.reason or item.edition.state) for item in mine)


def _packed(group: Iterable[Person]) -> Iterator[tuple[int, datetime, bytes]]:
    """Profiles that were read anew, as they are to be kept."""
    for person in group:
        if person.packed and person.due.changed_at:
            yield person.due.subscriber.key, person.due.changed_at, person.packed


def message_id(press: Press, edition: Edition) -> str:
    """The letter's Message-ID: from the natural key, so the same however often it is made."""
    natural = f"{edition.subscriber_key}/{edition.window.until.isoformat()}"
    return press.links.message_id(LetterKind.DIGEST, natural, press.mail_domain)
