"""The thinking of one unit of work: people of a batch on the way to their editions.

No transaction is open while papers are indexed, ranked and chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from digest import cadence, identity, profiles
from digest.compose import compose
from digest.errors import ProfileError
from digest.links import Links
from digest.matching import Matcher, Prepared, Ranking, Reader
from digest.matching.missed import Closed, Counts, is_old, with_missed, worth_another_look
from digest.model import (
    Content,
    Edition,
    EditionPaper,
    EditionState,
    Match,
    Paper,
    Profile,
    SkipReason,
    Window,
)
from digest.store import Database, editions, papers, people
from digest.store.people import Due

if TYPE_CHECKING:
    from digest.profiles.compact import Compact

BACKGROUND = 2000  # earlier papers that teach how common a word is
TRENDING = 200  # most voted papers that are looked at


@dataclass(frozen=True, slots=True)
class Shelf:
    """The papers that people with windows of like length may get, indexed once. `votes`: how
    those that trend came by their upvotes."""

    span: Window
    papers: tuple[Paper, ...]
    by_id: Mapping[str, Paper]
    prepared: Prepared
    votes: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Press:
    """What making editions needs; nothing of it changes while it runs."""

    db: Database
    matcher: Matcher
    links: Links
    mail_domain: str


@dataclass(slots=True)
class Person:
    """One person of a batch on the way to an edition."""

    due: Due
    window: Window
    profile: Profile | None = None
    compact: Compact | None = None
    packed: bytes | None = None  # to be kept for the next time
    ranking: Ranking | None = None
    closed: Sequence[Closed] = ()  # earlier windows, where they are not to be looked up
    carried: tuple[EditionPaper, ...] = ()
    suppressed: bool = False
    sent: set[str] = field(default_factory=set)
    news: tuple[str, ...] = ()  # of works that were sent before, where the person asked for it


def stock(db: Database, matcher: Matcher, span: Window) -> Shelf:
    """Load and index the papers first seen in a span of time."""
    with db.reading() as tx:
        fresh = papers.first_seen_in(tx, span)
        background = papers.before(tx, span.since, BACKGROUND)
        voted = papers.trending(tx, span, TRENDING)
        counts = papers.vote_counts(tx, [paper.key for paper in voted])
    votes = {paper.id: counts[paper.key] for paper in voted}
    trending = [p for p in voted if worth_another_look(p, votes[p.id], span.since)]
    by_id = {paper.id: paper for paper in (*trending, *fresh)}
    return Shelf(span, tuple(fresh), by_id, matcher.prepare(fresh, background, trending), votes)


def read_profiles(db: Database, group: Sequence[Person]) -> None:
    """Who takes no mail, what comes again, and the profiles: as they were kept, or read anew."""
    with db.reading() as tx:
        silent = people.suppressed(tx, [p.due.subscriber.email for p in group])
        lost = editions.carried(tx, [p.due.subscriber.key for p in group])
    for person in group:
        person.suppressed = person.due.subscriber.email in silent
        person.carried = lost.get(person.due.subscriber.key, ())
        try:
            _read_profile(person)
        except ProfileError:
            person.profile = None


def _read_profile(person: Person) -> None:
    from digest.profiles import compact  # numpy: only where needed

    if (known := compact.unpack(person.due.compact)) is None:
        known = compact.compacted(profiles.from_mapping(person.due.document))
        person.packed = compact.pack(known)
    person.compact, person.profile = known, known.profile


def rank(db: Database, group: Sequence[Person], shelf: Shelf) -> None:
    """Rank everybody of the group whose profile could be read and who takes mail."""
    able = [person for person in group if person.profile and not person.suppressed]
    readers = readers_of(db, able)
    for person, ranking in zip(able, shelf.prepared.rank(readers), strict=True):
        person.ranking = _with_carried(ranking, person.carried, shelf)


def readers_of(db: Database, able: Sequence[Person]) -> list[Reader]:
    """People whose profiles could be read, as a matcher takes them."""
    with db.reading() as tx:
        texts = papers.find(tx, {_canonical(id_) for person in able for id_ in _examples(person)})
    return [_reader(person, texts) for person in able]


def _examples(person: Person) -> list[str]:
    """Ids of the papers this person's profile learns from."""
    assert person.profile is not None
    said = person.due.feedback
    seeds = [seed for interest in person.profile.interests for seed in interest.seeds]
    return [*seeds, *said.likes, *said.dislikes]


def _canonical(id_: str) -> str:
    """An id as people type it (`2410.16794v2`, an address) as the store knows it."""
    return identity.parse(id_) or id_


def _reader(person: Person, texts: Mapping[str, Paper]) -> Reader:
    assert person.profile is not None
    asked = {id_: texts.get(_canonical(id_)) for id_ in _examples(person)}
    known = {id_: paper for id_, paper in asked.items() if paper is not None}
    return Reader(person.profile, person.due.feedback, known, person.window, person.compact)


def _with_carried(ranking: Ranking, carried: Sequence[EditionPaper], shelf: Shelf) -> Ranking:
    """Papers of a letter that never arrived come again, with the reasons they had."""
    if not carried:
        return ranking
    there = {match.paper.id for match in ranking.matches}
    again = tuple(
        Match(
            shelf.by_id.get(p.id) or Paper(id=p.id, title="", revision=p.revision),
            p.section,
            p.score,
            p.reasons,
        )
        for p in carried
        if p.id not in there
    )
    matches = sorted((*ranking.matches, *again), key=lambda match: -match.score)
    return replace(ranking, matches=tuple(matches))


def tell_missed(db: Database, group: Sequence[Person], shelf: Shelf) -> None:
    """Call popular papers missed by those whose earlier letter went without them."""
    concerned = {person.due.subscriber.key: since for person in group if (since := _oldest(person))}
    if not concerned:
        return
    with db.reading() as tx:
        known = editions.closed(tx, concerned, min(concerned.values()))
    for person in group:
        key = person.due.subscriber.key
        if person.ranking is None or key not in concerned:
            continue
        closed = person.closed or [Closed(*one) for one in known.get(key, ())]
        there = person.due.subscriber.cadence.zone
        told = with_missed(person.ranking.matches, person.window, closed, shelf.votes, there)
        person.ranking = replace(person.ranking, matches=told)


def _oldest(person: Person) -> datetime | None:
    """When the oldest popular paper from before the person's window was first seen."""
    matches = person.ranking.matches if person.ranking else ()
    old = (m.paper.first_seen for m in matches if is_old(m, person.window))
    return min(filter(None, old), default=None)


def compose_unsent(
    db: Database, group: Sequence[Person], shelf: Shelf, notices: Sequence[str]
) -> list[Content | SkipReason]:
    """Compose, look up what of it somebody already got, and compose those again without it."""
    twins = shelf.prepared.twins
    contents = [_compose(person, notices, twins) for person in group]
    doubtful = list(range(len(group)))
    while doubtful:
        pairs = _pairs(db, doubtful, group, contents, shelf)
        with db.reading() as tx:
            seen = editions.already_received(tx, list(pairs))
        doubtful = sorted({pairs[pair][0] for pair in seen})
        for pair in seen:
            group[pairs[pair][0]].sent.add(pairs[pair][1])
        for index in doubtful:
            contents[index] = _compose(group[index], notices, twins)
    return contents


def _pairs(
    db: Database,
    indices: Sequence[int],
    group: Sequence[Person],
    contents: Sequence[Content | SkipReason],
    shelf: Shelf,
) -> dict[tuple[int, int], tuple[int, str]]:
    """{(person row, paper row): (index in the group, paper id)} of what is about to be sent."""
    chosen = [
        (index, id_)
        for index in indices
        if isinstance(content := contents[index], Content)
        for id_, _ in content.pins
    ]
    keys = {id_: shelf.by_id[id_].key for _, id_ in chosen if id_ in shelf.by_id}
    if missing := {id_ for _, id_ in chosen if id_ not in keys}:
        with db.reading() as tx:
            keys |= papers.keys_of(tx, missing)
    return {
        (group[index].due.subscriber.key, keys[id_]): (index, id_)
        for index, id_ in chosen
        if id_ in keys
    }


def _compose(
    person: Person, notices: Sequence[str], twins: Mapping[str, frozenset[str]]
) -> Content | SkipReason:
    if person.suppressed:
        return SkipReason.SUPPRESSED
    if person.profile is None or person.ranking is None or person.ranking.error:
        return SkipReason.PROFILE_FAILED
    return compose(person.profile, person.ranking, person.sent, notices, twins, person.news)


def edition_of(person: Person, content: Content | SkipReason, now: datetime) -> Edition:
    subscriber, window = person.due.subscriber, person.window
    skipped = isinstance(content, SkipReason)
    return Edition(
        subscriber=subscriber.email,
        window=window,
        state=EditionState.SKIPPED if skipped else EditionState.QUEUED,
        made_at=now,
        reason=content if isinstance(content, SkipReason) else None,
        content=content if isinstance(content, Content) else _nothing(person),
        next_due=cadence.next_due(subscriber.cadence, window.until),
        subscriber_key=subscriber.key,
    )


def _nothing(person: Person) -> Content:
    if person.ranking is None:
        return Content()
    return Content((), person.ranking.considered, person.ranking.near)
