"""What publishing would do, with nothing written: previews, rehearsals, explanations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from digest.matching import Ranking
from digest.matching.missed import Closed
from digest.matching.picking import score_of
from digest.model import Edition, Profile, Window
from digest.publish.group import (
    Person,
    Press,
    compose_unsent,
    edition_of,
    rank,
    read_profiles,
    readers_of,
    stock,
    tell_missed,
)
from digest.store.people import Due

EVERYTHING = 1_000_000  # a budget that no window exhausts


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
) -> Draft:
    """The edition that `publish` would make of this profile for this window. Nothing is written.

    For previews, rehearsals and explanations: works already received stay out, as they would,
    and so do those in `sent` (canonical ids). `closed`: windows that were rehearsed before.
    """
    shelf = stock(press.db, press.matcher, window)
    group = [Person(due, window, sent=set(sent), closed=closed)]
    read_profiles(press.db, group)
    rank(press.db, group, shelf)
    tell_missed(press.db, group, shelf)
    [content] = compose_unsent(press.db, group, shelf, ())
    return Draft(edition_of(group[0], content, now), group[0].ranking)


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that is good enough for a profile, whatever its budget and quotas, best first;
    and {id: score} of the window's papers, nearest first, floor or not. `profile`: as it is."""

    profile: Profile
    ranking: Ranking
    order: Mapping[str, float]


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
    return Standing(profile, ranking, {id_: score_of(z) for id_, z in order})


def _unbounded(profile: Profile) -> Profile:
    interests = tuple(replace(interest, quota=None) for interest in profile.interests)
    return replace(profile, interests=interests, budget=EVERYTHING)
