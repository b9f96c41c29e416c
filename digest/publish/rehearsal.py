"""What publishing would do, with nothing written: previews, rehearsals, explanations."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from digest import profiles
from digest.matching import Ranking
from digest.matching.missed import Closed
from digest.matching.picking import score_of
from digest.model import (
    Edition,
    EditionState,
    Frequency,
    Profile,
    Subscriber,
    SubscriberState,
    Window,
)
from digest.publish.group import (
    Person,
    Press,
    Shelf,
    compose_unsent,
    edition_of,
    rank,
    read_profiles,
    readers_of,
    stock,
    tell_missed,
)
from digest.publish.news import tell_news
from digest.store.people import Due

EVERYTHING = 1_000_000  # a budget that no window exhausts
NOBODY = "you@localhost"
SHELVES = 6  # kept for visitors: the weeks of a month, and some days
LATELY = {Frequency.DAILY: (5, 1), Frequency.WEEKLY: (4, 7), Frequency.MONTHLY: (1, 30)}
"""How many windows a visitor is shown, and how many days each has."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An edition as `publish` would make it, and the ranking that it was composed from."""

    edition: Edition
    ranking: Ranking | None


def draft(
    press: Press,
    due: Due,
    window: Window,
    now: datetime,
    sent: Collection[str] = (),
    closed: Sequence[Closed] = (),
    shelf: Shelf | None = None,
) -> Draft:
    """The edition that `publish` would make of this profile for this window. Nothing is written.

    For previews, rehearsals and explanations: works already received stay out, as they would,
    and so do those in `sent` (canonical ids). `closed`: windows that were rehearsed before;
    `shelf`: that of the very window, where it is at hand.
    """
    shelf = shelf or stock(press.db, press.matcher, window)
    group = [Person(due, window, sent=set(sent), closed=closed)]
    read_profiles(press.db, group)
    rank(press.db, group, shelf)
    tell_missed(press.db, group, shelf)
    tell_news(press.db, group)
    [content] = compose_unsent(press.db, group, shelf, ())
    return Draft(edition_of(group[0], content, now), group[0].ranking)


# ------------------------------------------------------------------ several windows in a row


def rehearse(
    press: Press,
    due: Due,
    windows: Iterable[Window],
    shelf_of: Callable[[Window], Shelf] | None = None,
) -> Iterator[Edition]:
    """The editions of windows that follow each other, each knowing those before it."""
    sent: set[str] = set()
    closed: list[Closed] = []
    for window in windows:
        shelf = shelf_of(window) if shelf_of else None
        made = draft(press, due, window, window.until, sent, closed, shelf).edition
        sent.update(id_ for id_, _ in made.content.pins)
        closed.append(Closed(window, made.state is EditionState.QUEUED))
        yield made


class Rehearsals:
    """What visitors would have got lately. What was indexed for one serves all who ask that hour.

    Windows end with the hour, so that they are the same for everybody. One question at a time:
    what is indexed must not be shared between threads.
    """

    def __init__(self, press: Press) -> None:
        self._press = press
        self._shelves: OrderedDict[Window, Shelf] = OrderedDict()
        self._lock = threading.Lock()

    def letters(self, profile: Profile, now: datetime) -> list[Edition]:
        """The profile's last few editions, oldest first. Nothing is written."""
        kind = replace(profile.cadence, zone="UTC")
        nobody = Subscriber(0, NOBODY, SubscriberState.ACTIVE, kind, now)
        due = Due(nobody, profiles.to_mapping(profile))
        with self._lock:
            windows = _last_windows(profile.cadence.frequency, now)
            return list(rehearse(self._press, due, windows, self._shelf))

    def _shelf(self, window: Window) -> Shelf:
        if window not in self._shelves:
            while len(self._shelves) >= SHELVES:
                self._shelves.popitem(last=False)
            self._shelves[window] = stock(self._press.db, self._press.matcher, window)
        self._shelves.move_to_end(window)
        return self._shelves[window]


def _last_windows(frequency: Frequency, now: datetime) -> list[Window]:
    number, days = LATELY[frequency]
    last = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    ends = (last - timedelta(days=days * back) for back in reversed(range(number)))
    return [Window(end - timedelta(days=days), end) for end in ends]


# ------------------------------------------------------------------ one paper's place


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that is good enough for a profile, whatever its budget and quotas, best first;
    and {id: score} of the window's papers, nearest first, floor or not. `profile`: as it is."""

    profile: Profile
    ranking: Ranking
    order: Mapping[str, float]
    known: frozenset[str] = frozenset()  # papers that they named or rated


def standing(press: Press, due: Due, window: Window) -> Standing | None:
    """How the papers of a window stand with this profile; None where it cannot be read."""
    shelf, person = stock(press.db, press.matcher, window), Person(due, window)
    read_profiles(press.db, [person])
    if person.profile is None:
        return None
    profile, person.profile = person.profile, _unbounded(person.profile)
    readers = readers_of(press.db, [person])
    [ranking] = shelf.prepared.rank(readers)
    [order] = shelf.prepared.order(readers, max(1, len(shelf.papers)))
    known = frozenset(paper.id for paper in readers[0].known.values())
    return Standing(profile, ranking, {id_: score_of(z) for id_, z in order}, known)


def _unbounded(profile: Profile) -> Profile:
    interests = tuple(replace(interest, quota=None) for interest in profile.interests)
    return replace(profile, interests=interests, budget=EVERYTHING)
