"""Why one reader got, or did not get, one paper: the fate is looked up, or the matching is asked
again with the very papers of that window. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from digest import cadence
from digest.matching.picking import score_of
from digest.matching.scoring import FLOORS
from digest.model import (
    BY_VOTES,
    Delivery,
    DeliveryState,
    Edition,
    EditionState,
    Interest,
    Match,
    Paper,
    Profile,
    SkipReason,
    Subscriber,
    SubscriberState,
    Window,
)
from digest.profiles import parse_query
from digest.profiles.shelf import Shelf
from digest.publish import Press, Standing, draft, standing
from digest.render import reason_words
from digest.store import deliveries, editions, people
from digest.store.people import Due
from digest.store.sources import Health


class FateKind(StrEnum):
    NOT_INGESTED = "not_ingested"  # no source of this site has announced it
    SENT = "sent"
    FOLDED = "folded"  # named below another paper that says nearly the same
    ON_ITS_WAY = "on_its_way"  # in an edition whose letter was not accepted (yet)
    NOT_DELIVERED = "not_delivered"  # in an edition whose letter never arrived
    WILL_COME = "will_come"  # in the open window, and good enough as things stand
    PAUSED = "paused"  # the same, once a pause is over
    NOT_CONFIRMED = "not_confirmed"
    ENDED = "ended"
    BEFORE_FIRST_WINDOW = "before_first_window"
    OVER_BUDGET = "over_budget"
    MUTED = "muted"
    KNOWN = "known"  # a seed of theirs, or rated: no news to them
    NOT_GOOD_ENOUGH = "not_good_enough"  # below the floor, or no interest asks for it
    SKIPPED = "skipped"  # the whole edition was, or will be, for the reason named


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one paper for one reader. `words` is a sentence, `reasons` why it matches.

    `into`: the paper that it is named below; `score` and `floor`: from 0 to 1.
    """

    kind: FateKind
    words: str
    reasons: tuple[str, ...] = ()
    edition: int | None = None
    rank: int | None = None  # among what was good enough, or else among all new papers, from 1
    score: float | None = None
    floor: float | None = None
    into: str | None = None


def never_announced(health: Mapping[str, Health], sources: Sequence[str], paper: str) -> Fate:
    """The fate of a paper that no source of this site has shown. `health`: of those asked."""
    asked = [
        f"{name} was last asked on {health[name].checked_at:%d %B %Y} ({health[name].verdict})"
        if name in health and health[name].checked_at
        else f"{name} has never been asked"
        for name in sources
    ]
    said = "; ".join(asked) or "there is no source yet, see `digest source add`"
    return Fate(
        FateKind.NOT_INGESTED, f"{paper} was never announced by a source of this site: {said}"
    )


def explain(press: Press, person: Subscriber, paper: Paper, now: datetime) -> Fate:
    """The fate of a stored paper for a person."""
    with press.db.reading() as tx:
        got = editions.containing(tx, person.key, paper.key)
        letter = deliveries.of_editions(tx, [got.key]).get(got.key) if got else None
    if got is not None:
        return _received(got, paper, letter)
    assert paper.first_seen is not None
    if person.state is SubscriberState.PENDING:
        return Fate(FateKind.NOT_CONFIRMED, f"{person.email} has not confirmed yet")
    if person.confirmed_at is None or paper.first_seen < person.confirmed_at:
        return _too_early(person, paper)
    with press.db.reading() as tx:
        closed = editions.covering(tx, person.key, paper.first_seen)
    if closed is not None:
        return _left_out(press, person, paper, closed)
    if person.state is SubscriberState.ENDED:
        return Fate(
            FateKind.ENDED, f"{person.email} left ({person.reason}) before that window closed"
        )
    return _still_open(press, person, paper, now)


# ------------------------------------------------------------------ in an edition


def _entry(edition: Edition, paper: Paper) -> tuple[tuple[str, ...], float | None] | None:
    """(why the paper is in the edition, its score), or None where it has no place there."""
    ids = {paper.id, *paper.other_ids}
    entry = next((p for p in edition.content.papers if p.id in ids), None)
    if entry is None:
        return None
    return tuple(reason_words(reason) for reason in entry.reasons), entry.score


def _above(edition: Edition, paper: Paper) -> str:
    """The paper of the edition below which this one is named; "" where there is none."""
    ids = {paper.id, *paper.other_ids}
    below = ((p.id, {id_ for id_, _ in p.similar}) for p in edition.content.papers)
    return next((above for above, named in below if ids & named), "")


def _received(edition: Edition, paper: Paper, letter: Delivery | None) -> Fate:
    why, score = _entry(edition, paper) or ((), None)
    kind, words = _how_far(edition, letter)
    if into := _above(edition, paper):
        what = f"named below {into}, which says nearly the same: {words}"
        return Fate(FateKind.FOLDED, what, edition=edition.key, into=into)
    return Fate(kind, words, why, edition.key, score=score)


def _how_far(edition: Edition, letter: Delivery | None) -> tuple[FateKind, str]:
    """How far the letter of an edition has come."""
    if letter is None or letter.state is not DeliveryState.ACCEPTED:
        state = letter.state if letter else "gone"
        words = f"in edition {edition.key}; its letter is {state}: see `digest delivery list`"
        return FateKind.ON_ITS_WAY, words
    return FateKind.SENT, f"sent in edition {edition.key}, made on {edition.made_at:%d %B %Y}"


def _too_early(person: Subscriber, paper: Paper) -> Fate:
    seen = f"{paper.first_seen:%d %B %Y}"
    words = f"it was first seen on {seen}, before {person.email}'s first window opened"
    return Fate(FateKind.BEFORE_FIRST_WINDOW, words)


# ------------------------------------------------------------------ in no edition


def _left_out(press: Press, person: Subscriber, paper: Paper, edition: Edition) -> Fate:
    """A window that is closed: what the profile as it is now makes of the same papers."""
    if edition.state is EditionState.SKIPPED and edition.reason in {
        SkipReason.SUPPRESSED,
        SkipReason.PROFILE_FAILED,
    }:
        words = f"edition {edition.key} was skipped: {edition.reason}"
        return Fate(FateKind.SKIPPED, words, edition=edition.key)
    if (entry := _entry(edition, paper)) is not None:
        return _lost(press, edition, *entry)
    stands = standing(press, _due(press, person), edition.window)
    where = f"edition {edition.key} (by the profile as it is now)"
    return _ranked(stands, paper, where, edition.key)


def _lost(press: Press, edition: Edition, why: tuple[str, ...], score: float | None) -> Fate:
    """Its letter ended without arriving, so that the paper is free to come again."""
    with press.db.reading() as tx:
        letter = deliveries.of_editions(tx, [edition.key]).get(edition.key)
        later = editions.listed(tx, 1, edition.subscriber_key)[0].key != edition.key
    ended = f"{letter.state} ({letter.reason})" if letter else "gone"
    what = "a later edition was made without it" if later else "the next edition carries it"
    words = f"it was in edition {edition.key}, whose letter is {ended}; {what}"
    return Fate(FateKind.NOT_DELIVERED, words, why, edition.key, score=score)


def _still_open(press: Press, person: Subscriber, paper: Paper, now: datetime) -> Fate:
    assert person.window_since is not None
    closes = cadence.next_due(person.cadence, person.window_since, person.paused_until)
    due, window = _due(press, person), Window(person.window_since, max(closes, now))
    made = draft(press, due, window, now).edition
    if made.reason in {SkipReason.SUPPRESSED, SkipReason.PROFILE_FAILED}:
        return Fate(FateKind.SKIPPED, f"the next edition will be skipped: {made.reason}")
    paused = person.state is SubscriberState.PAUSED
    when = f"the edition of {closes:%d %B %Y %H:%M}Z{' (paused until then)' if paused else ''}"
    if (entry := _entry(made, paper)) is not None:
        kind = FateKind.PAUSED if paused else FateKind.WILL_COME
        return Fate(kind, f"as things stand it will be in {when}", *entry[:1], score=entry[1])
    if into := _above(made, paper):
        what = (
            f"as things stand it will be named in {when}, below {into}, which says nearly the same"
        )
        return Fate(FateKind.FOLDED, what, into=into)
    return _ranked(standing(press, due, window), paper, when, None)


def _due(press: Press, person: Subscriber) -> Due:
    with press.db.reading() as tx:
        document, _ = people.profile(tx, person.key)
        said = people.feedback(tx, [person.key]).get(person.key)
    return Due(person, document, said) if said else Due(person, document)


# ------------------------------------------------------------------ what the profile makes of it


def _ranked(stands: Standing | None, paper: Paper, where: str, edition: int | None) -> Fate:
    """Good enough but beyond the budget, or not good enough."""
    if stands is None:
        words = f"not in {where}: the profile cannot be read, see `digest profile lint`"
        return Fate(FateKind.SKIPPED, words, edition=edition)
    matches = stands.ranking.matches
    for rank, match in enumerate(matches, 1):
        if match.paper.id == paper.id:
            return _over_budget(stands.profile, match, rank, where, edition)
    if paper.id in stands.known:
        words = f"not in {where}: it is known to them, as a seed or by their thumbs"
        return Fate(FateKind.KNOWN, words, edition=edition)
    if muted := next(_mutes(stands.profile, paper), None):
        return Fate(FateKind.MUTED, f"not in {where}: the profile mutes {muted}", edition=edition)
    return _too_far(stands, paper, where, edition)


def _over_budget(
    profile: Profile, match: Match, rank: int, where: str, edition: int | None
) -> Fate:
    why = tuple(reason_words(reason) for reason in match.reasons)
    words = f"good enough for {where}, at rank {rank}, but beyond {_bound(profile, match.section)}"
    return Fate(FateKind.OVER_BUDGET, words, why, edition, rank, match.score)


def _bound(profile: Profile, section: str) -> str:
    """What may have kept a paper of this section out."""
    if section in BY_VOTES:
        return f"the {profile.trending} trending ones, or the budget of {profile.budget}"
    quota = next((i.quota for i in profile.interests if i.name == section), None)
    if quota is None:
        return f"the budget of {profile.budget}"
    return f"the quota of {quota} of {section!r}, or the budget of {profile.budget}"


def _mutes(profile: Profile, paper: Paper) -> Iterator[str]:
    """Everything of the profile that keeps this very paper away."""
    alone = Shelf([paper])
    yield from (f"the term {t!r}" for t in profile.mute_terms if alone.holding(t))
    yield from (b.spelled for a in profile.mute_authors for b in alone.by(a))
    yield from (f"the category {c}" for c in profile.mute_categories if alone.under(c))


def _too_far(stands: Standing, paper: Paper, where: str, edition: int | None) -> Fate:
    profile, score = stands.profile, stands.order.get(paper.id)
    rank = list(stands.order).index(paper.id) + 1 if score is not None else None
    floor = score_of(FLOORS[profile.floor]) if score is not None else None
    unmet = [interest.name for interest in profile.interests if not _asks_for(interest, paper)]
    if unmet and len(unmet) == len(profile.interests):
        why = f"it does not meet the query of {', '.join(map(repr, unmet))}"
    elif score is None or floor is None:
        why = "the profile asks for nothing like it"
    else:
        place = f"it is number {rank} of {stands.ranking.considered} new papers, with a score of"
        short = f"{floor - score:.2f} below the profile's floor ({profile.floor}, {floor:.2f})"
        why = f"{place} {score:.2f}, {short}"
    words = f"not in {where}: {why}"
    return Fate(FateKind.NOT_GOOD_ENOUGH, words, (), edition, rank, score, floor)


def _asks_for(interest: Interest, paper: Paper) -> bool:
    query = parse_query(interest.query)
    return query is None or bool(Shelf([paper]).meeting(query))
