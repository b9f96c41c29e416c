"""Why one reader got, or did not get, one paper: the fate is looked up, or the matching is asked
again with the very papers of that window. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from digest import cadence
from digest.model import (
    DeliveryState,
    Edition,
    EditionState,
    Match,
    Paper,
    SkipReason,
    Subscriber,
    SubscriberState,
    Window,
)
from digest.publish import Draft, Press, draft
from digest.render import reason_words
from digest.store import deliveries, editions, people
from digest.store.people import Due


class FateKind(StrEnum):
    SENT = "sent"
    ON_ITS_WAY = "on_its_way"  # in an edition whose letter was not accepted (yet)
    WILL_COME = "will_come"  # in the open window, and good enough as things stand
    NOT_CONFIRMED = "not_confirmed"
    ENDED = "ended"
    BEFORE_FIRST_WINDOW = "before_first_window"
    OVER_BUDGET = "over_budget"
    NOT_GOOD_ENOUGH = "not_good_enough"  # below the floor, or muted
    SKIPPED = "skipped"  # the whole edition was, for the reason named


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one paper for one reader. `words` is a sentence, `reasons` why it matches."""

    kind: FateKind
    words: str
    reasons: tuple[str, ...] = ()
    edition: int | None = None
    rank: int | None = None  # among what was good enough, from 1
    score: float | None = None


def explain(press: Press, person: Subscriber, paper: Paper, now: datetime) -> Fate:
    """The fate of a stored paper for a person."""
    with press.db.reading() as tx:
        got = editions.containing(tx, person.key, paper.key)
        letter = deliveries.of_editions(tx, [got.key]).get(got.key) if got else None
    if got is not None:
        return _received(got, paper, letter.state if letter else None)
    assert paper.first_seen is not None
    if person.state is SubscriberState.PENDING:
        return Fate(FateKind.NOT_CONFIRMED, f"{person.email} has not confirmed yet")
    if person.confirmed_at is None or paper.first_seen < person.confirmed_at:
        return _too_early(person, paper)
    with press.db.reading() as tx:
        closed = editions.covering(tx, person.key, paper.first_seen)
    if closed is not None:
        return _left_out(press, person, paper, closed, now)
    if person.state is SubscriberState.ENDED:
        return Fate(
            FateKind.ENDED, f"{person.email} left ({person.reason}) before that window closed"
        )
    return _still_open(press, person, paper, now)


def _received(edition: Edition, paper: Paper, state: DeliveryState | None) -> Fate:
    ids = {paper.id, *paper.other_ids}
    entry = next((p for p in edition.content.papers if p.id in ids), None)
    why = tuple(reason_words(reason) for reason in entry.reasons) if entry else ()
    score = entry.score if entry else None
    if state is DeliveryState.ACCEPTED:
        words = f"sent in edition {edition.key}, made on {edition.made_at:%d %B %Y}"
        return Fate(FateKind.SENT, words, why, edition.key, score=score)
    words = f"in edition {edition.key}; its letter is {state}: see `digest delivery list`"
    return Fate(FateKind.ON_ITS_WAY, words, why, edition.key, score=score)


def _too_early(person: Subscriber, paper: Paper) -> Fate:
    seen = f"{paper.first_seen:%d %B %Y}"
    words = f"it was first seen on {seen}, before {person.email}'s first window opened"
    return Fate(FateKind.BEFORE_FIRST_WINDOW, words)


def _left_out(
    press: Press, person: Subscriber, paper: Paper, edition: Edition, now: datetime
) -> Fate:
    """A window that is closed: what the profile as it is now makes of the same papers."""
    if edition.state is EditionState.SKIPPED and edition.reason in {
        SkipReason.SUPPRESSED,
        SkipReason.PROFILE_FAILED,
    }:
        words = f"edition {edition.key} was skipped: {edition.reason}"
        return Fate(FateKind.SKIPPED, words, edition=edition.key)
    again = draft(press, _due(press, person), edition.window, now)
    return _ranked(again, paper, f"edition {edition.key}", edition.key)


def _still_open(press: Press, person: Subscriber, paper: Paper, now: datetime) -> Fate:
    assert person.window_since is not None
    window = Window(person.window_since, max(now, person.window_since))
    again = draft(press, _due(press, person), window, now)
    closes = cadence.next_due(person.cadence, person.window_since, person.paused_until)
    pause = " (paused until then)" if person.state is SubscriberState.PAUSED else ""
    when = f"the edition of {closes:%d %B %Y %H:%M}Z{pause}"
    if any(entry.id == paper.id for entry in again.edition.content.papers):
        match = _match(again, paper)
        why = tuple(reason_words(reason) for reason in match.reasons) if match else ()
        return Fate(FateKind.WILL_COME, f"as things stand it will be in {when}", why)
    return _ranked(again, paper, when, None)


def _due(press: Press, person: Subscriber) -> Due:
    with press.db.reading() as tx:
        document, _ = people.profile(tx, person.key)
        said = people.feedback(tx, [person.key]).get(person.key)
    return Due(person, document, said) if said else Due(person, document)


def _match(again: Draft, paper: Paper) -> Match | None:
    found = again.ranking.matches if again.ranking else ()
    return next((match for match in found if match.paper.id == paper.id), None)


def _ranked(again: Draft, paper: Paper, where: str, edition: int | None) -> Fate:
    """Good enough but beyond the budget, or not good enough, by today's profile."""
    match = _match(again, paper)
    if match is None or again.ranking is None:
        words = f"not in {where}: the profile mutes it, or it scores below the profile's floor"
        return Fate(FateKind.NOT_GOOD_ENOUGH, words, edition=edition)
    rank = 1 + [m.paper.id for m in again.ranking.matches].index(paper.id)
    why = tuple(reason_words(reason) for reason in match.reasons)
    words = f"good enough for {where}, at rank {rank}, but beyond the budget or a quota"
    return Fate(FateKind.OVER_BUDGET, words, why, edition, rank, match.score)
