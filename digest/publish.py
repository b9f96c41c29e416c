"""VERB 3: for each batch of people who are due: match, compose, write their editions.

Due is a query; a window closes by compare-and-set; so running this twice, or at two places at
once, makes one edition for each person and window. Reads are short, thinking happens with no
transaction open, each batch is written in one short transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

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
    LetterKind,
    Match,
    Paper,
    Profile,
    SkipReason,
    Window,
)
from digest.store import Database, Tx, editions, papers, people, sources
from digest.store.editions import NewEdition
from digest.store.people import Due

BATCH = 1000  # people in one unit of work
BACKGROUND = 2000  # earlier papers that teach how common a word is
TRENDING = 200  # most voted papers that are looked at
EVERYTHING = 1_000_000  # a budget that no window exhausts

OnProgress = Callable[[int, int], None]
"""(people done, people due)."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one pass made: queued editions, and skipped ones by reason."""

    queued: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)


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
class _Person:
    """One person of a batch on the way to an edition."""

    due: Due
    window: Window
    profile: Profile | None = None
    ranking: Ranking | None = None
    closed: Sequence[Closed] = ()  # earlier windows, where they are not to be looked up
    carried: tuple[EditionPaper, ...] = ()
    suppressed: bool = False
    sent: set[str] = field(default_factory=set)


def publish(press: Press, now: datetime, on_progress: OnProgress | None = None) -> Published:
    """Write the editions of everyone whose window closes by `now`."""
    with press.db.writing() as tx:
        people.wake(tx, now)
    with press.db.reading() as tx:
        spans, total = _spans(tx, now)
        notices = _notices(tx, now)
    shelves: dict[int, Shelf] = {}
    counts: Counter[str] = Counter()
    done = 0
    for batch in _batches(press.db, now):
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
    groups: dict[int, list[_Person]] = defaultdict(list)
    for due in batch:
        if (window := _window(due, now)) is not None:
            groups[_length_class(window)].append(_Person(due, window))
    counts: Counter[str] = Counter()
    for length, group in groups.items():
        if length not in shelves:
            span = spans.get(length) or _cover([person.window for person in group])
            shelves[length] = stock(press.db, press.matcher, span)
        while (made := _publish_group(press, group, shelves[length], notices, now)) is None:
            shelves[length] = stock(press.db, press.matcher, shelves[length].span)
        counts.update(made)
    return counts


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


def _batches(db: Database, now: datetime) -> Iterator[list[Due]]:
    """Everyone who is due, walked by key, so that memory stays bounded."""
    after = 0
    while True:
        with db.reading() as tx:
            batch = people.due(tx, now, after, BATCH)
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


# ------------------------------------------------------------------ matching and composing


def _publish_group(
    press: Press, group: list[_Person], shelf: Shelf, notices: Sequence[str], now: datetime
) -> Counter[str] | None:
    """What was written; None where the shelf is no longer all that these windows hold."""
    _read_profiles(press.db, group)
    _rank(press.db, group, shelf)
    _tell_missed(press.db, group, shelf)
    contents = _compose_unsent(press.db, group, shelf, notices)
    made = [_edition(p, c, now) for p, c in zip(group, contents, strict=True)]
    try:
        return _write(press, made, shelf)
    except _PapersCameIn:
        return None


def _read_profiles(db: Database, group: Sequence[_Person]) -> None:
    with db.reading() as tx:
        silent = people.suppressed(tx, [p.due.subscriber.email for p in group])
        lost = editions.carried(tx, [p.due.subscriber.key for p in group])
    for person in group:
        person.suppressed = person.due.subscriber.email in silent
        person.carried = lost.get(person.due.subscriber.key, ())
        try:
            person.profile = profiles.from_mapping(person.due.document)
        except ProfileError:
            person.profile = None


def _rank(db: Database, group: Sequence[_Person], shelf: Shelf) -> None:
    """Rank everybody of the group whose profile could be read and who takes mail."""
    able = [person for person in group if person.profile and not person.suppressed]
    with db.reading() as tx:
        texts = papers.find(tx, {_canonical(id_) for person in able for id_ in _examples(person)})
    readers = [_reader(person, texts) for person in able]
    for person, ranking in zip(able, shelf.prepared.rank(readers), strict=True):
        person.ranking = _with_carried(ranking, person.carried, shelf)


def _examples(person: _Person) -> list[str]:
    """Ids of the papers this person's profile learns from."""
    assert person.profile is not None
    said = person.due.feedback
    seeds = [seed for interest in person.profile.interests for seed in interest.seeds]
    return [*seeds, *said.likes, *said.dislikes]


def _canonical(id_: str) -> str:
    """An id as people type it (`2410.16794v2`, an address) as the store knows it."""
    return identity.parse(id_) or id_


def _reader(person: _Person, texts: Mapping[str, Paper]) -> Reader:
    assert person.profile is not None
    asked = {id_: texts.get(_canonical(id_)) for id_ in _examples(person)}
    known = {id_: paper for id_, paper in asked.items() if paper is not None}
    return Reader(person.profile, person.due.feedback, known, person.window)


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


def _tell_missed(db: Database, group: Sequence[_Person], shelf: Shelf) -> None:
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


def _oldest(person: _Person) -> datetime | None:
    """When the oldest popular paper from before the person's window was first seen."""
    matches = person.ranking.matches if person.ranking else ()
    old = (m.paper.first_seen for m in matches if is_old(m, person.window))
    return min(filter(None, old), default=None)


def _compose_unsent(
    db: Database, group: Sequence[_Person], shelf: Shelf, notices: Sequence[str]
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
    group: Sequence[_Person],
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
    keys = {id_: paper.key for id_, paper in shelf.by_id.items()}
    if missing := {id_ for _, id_ in chosen if id_ not in keys}:
        with db.reading() as tx:
            keys |= papers.keys_of(tx, missing)
    return {
        (group[index].due.subscriber.key, keys[id_]): (index, id_)
        for index, id_ in chosen
        if id_ in keys
    }


def _compose(
    person: _Person, notices: Sequence[str], twins: Mapping[str, frozenset[str]]
) -> Content | SkipReason:
    if person.suppressed:
        return SkipReason.SUPPRESSED
    if person.profile is None or person.ranking is None or person.ranking.error:
        return SkipReason.PROFILE_FAILED
    return compose(person.profile, person.ranking, person.sent, notices, twins)


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
    group = [_Person(due, window, sent=set(sent), closed=closed)]
    _read_profiles(press.db, group)
    _rank(press.db, group, shelf)
    _tell_missed(press.db, group, shelf)
    [content] = _compose_unsent(press.db, group, shelf, ())
    return Draft(_edition(group[0], content, now), group[0].ranking)


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that is good enough for a profile, whatever its budget and quotas, best first;
    and the ids of the window's papers by how near they are, floor or not."""

    profile: Profile
    ranking: Ranking
    order: Sequence[str]


def standing(press: Press, due: Due, window: Window) -> Standing | None:
    """How the papers of a window stand with this profile; None where it cannot be read."""
    shelf, person = stock(press.db, press.matcher, window), _Person(due, window)
    _read_profiles(press.db, [person])
    if person.profile is None:
        return None
    person.profile = _unbounded(person.profile)
    with press.db.reading() as tx:
        reader = _reader(person, papers.find(tx, _examples(person)))
    [ranking] = shelf.prepared.rank([reader])
    [order] = shelf.prepared.order([reader], max(1, len(shelf.papers)))
    return Standing(person.profile, ranking, [id_ for id_, _ in order])


def _unbounded(profile: Profile) -> Profile:
    interests = tuple(replace(interest, quota=None) for interest in profile.interests)
    return replace(profile, interests=interests, budget=EVERYTHING)


# ------------------------------------------------------------------ writing


def _edition(person: _Person, content: Content | SkipReason, now: datetime) -> Edition:
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


def _nothing(person: _Person) -> Content:
    if person.ranking is None:
        return Content()
    return Content((), person.ranking.considered, person.ranking.near)


class _PapersCameIn(Exception):
    """Papers of this span were stored while we were thinking: they would fall into windows that
    close now and reach nobody. From the commit on, `remember` keeps out of closed windows."""


def _write(press: Press, made: Sequence[Edition], shelf: Shelf) -> Counter[str]:
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
    return Counter(str(item.edition.reason or item.edition.state) for item in mine)


def message_id(press: Press, edition: Edition) -> str:
    """The letter's Message-ID: from the natural key, so the same however often it is made."""
    natural = f"{edition.subscriber_key}/{edition.window.until.isoformat()}"
    return press.links.message_id(LetterKind.DIGEST, natural, press.mail_domain)
