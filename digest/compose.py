"""Pure: what a person's profile found becomes the content of one edition, or a reason for none.

Followed authors go first. Then the interests take turns, best paper of each, in the profile's
order, so that a broad interest cannot swamp a narrow one; trending papers take their turn last.
An edition never exceeds the budget, no interest its quota, and nothing below the floor pads it.
A paper that says nearly the same as one that is in takes no place of its own: it is named below.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from digest.model import (
    BY_VOTES,
    FOLLOWED,
    MOST_VOTED,
    TRENDING,
    Content,
    EditionPaper,
    Match,
    Pin,
    Profile,
    QuietWeeks,
    SkipReason,
)

MOST_SIMILAR = 3  # named below one paper
MOST_NAMED = 20  # in one letter, which has an end

NO_SIGNAL = (
    "You have named no interest and no author yet, so this letter holds what got the most upvotes. "
    "Say what you read in your preferences, and it will be about that."
)

Twins = Mapping[str, frozenset[str]]
"""{paper: others that say nearly the same}, by id; most papers are not in it."""

Lanes = Mapping[str, Sequence[Match]]
"""{section: its matches, best first}, in the order in which a letter shows the sections."""


class Ranked(Protocol):
    """What matching says of one person: `matches` above the floor, best first; `beyond` counts
    more that were as good, `near` what scored just below, `considered` all that was looked at."""

    @property
    def matches(self) -> Sequence[Match]: ...
    @property
    def near(self) -> int: ...
    @property
    def considered(self) -> int: ...
    @property
    def beyond(self) -> int: ...


def compose(
    profile: Profile,
    ranked: Ranked,
    sent: Collection[str],
    notices: Iterable[str] = (),
    twins: Twins | None = None,
    news: Sequence[str] = (),
) -> Content | SkipReason:
    """The content of one edition, or why there is none.

    `sent`: canonical ids of works this person already got; none of them comes again. A person
    who asked for a line in quiet weeks gets a content without papers instead of a reason; so does
    one who asked for `news` of works that were sent, where there are some.
    """
    lanes = _lanes(profile, _fresh(ranked.matches, frozenset(sent)))
    chosen = _choose(profile, lanes, twins or {})
    silent = _asks_nothing(profile) or profile.quiet_weeks is QuietWeeks.SKIP
    if not chosen.places and silent and not news:
        return _why_nothing(profile, ranked)
    return Content(
        papers=tuple(chosen.in_order(lanes)),
        considered=ranked.considered,
        near=ranked.near,
        over_budget=ranked.beyond + _good(lanes) - chosen.shown,
        notices=(*notices, *news, *([NO_SIGNAL] if _has_no_signal(profile, chosen) else [])),
        unfitted=len(lanes[FOLLOWED]) - chosen.taken[FOLLOWED],
    )


def _has_no_signal(profile: Profile, chosen: _Chosen) -> bool:
    """True where nothing that the reader wrote or liked had a part in the choice."""
    said = profile.interests or profile.follow_authors
    sections = {match.section for match in chosen.places.values()}
    return not said and sections == {MOST_VOTED}


def _asks_nothing(profile: Profile) -> bool:
    return not (profile.interests or profile.follow_authors or profile.trending)


def _why_nothing(profile: Profile, ranked: Ranked) -> SkipReason:
    if _asks_nothing(profile):
        return SkipReason.EMPTY_PROFILE
    return SkipReason.NOTHING_GOOD_ENOUGH if ranked.considered else SkipReason.NO_NEW_PAPERS


def _fresh(matches: Sequence[Match], sent: frozenset[str]) -> Iterator[Match]:
    """Matches of works that were never sent, under none of their ids, each work once."""
    seen: set[str] = set()
    for match in sorted(matches, key=lambda match: match.section != FOLLOWED):
        names = {match.paper.id, *match.paper.other_ids}
        if seen.isdisjoint(names) and sent.isdisjoint(names):
            yield match
        seen |= names


def _lanes(profile: Profile, matches: Iterable[Match]) -> Lanes:
    lanes: dict[str, list[Match]] = {FOLLOWED: []}
    lanes |= {interest.name: [] for interest in profile.interests}
    for match in matches:
        lanes.setdefault(match.section, []).append(match)
    by_votes = {name: lanes.pop(name, []) for name in (TRENDING, *sorted(BY_VOTES - {TRENDING}))}
    return {**lanes, **by_votes}


def _good(lanes: Lanes) -> int:
    """How many papers were good enough for their section; popularity alone is not that."""
    return sum(len(lane) for name, lane in lanes.items() if name not in BY_VOTES)


# ------------------------------------------------------------------ who gets a place


@dataclass(slots=True)
class _Chosen:
    """What an edition holds so far. `below`: {paper: those named below it}; `taken`: places, by
    what they count against (see `_allowance`)."""

    budget: int
    allowed: Mapping[str, int | None]
    twins: Twins
    places: dict[str, Match] = field(default_factory=dict)
    below: dict[str, list[Match]] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    named: int = 0

    def take(self, match: Match) -> bool:
        """True where it got a place; else it is named below another, or left out."""
        if match.section != FOLLOWED and (above := self._above(match)):
            self.below.setdefault(above, []).append(match)
            self.named += 1
            return False
        kind = _allowance(match.section)
        allowed = self.allowed.get(kind)
        if len(self.places) >= self.budget or (allowed is not None and self.taken[kind] >= allowed):
            return False
        self.places[match.paper.id] = match
        self.taken[kind] += 1
        return True

    def _above(self, match: Match) -> str:
        """The paper in the edition that says nearly the same and has room below; "" where there
        is none."""
        others = self.twins.get(match.paper.id, ())
        if not others or self.named >= MOST_NAMED:
            return ""
        return next((id_ for id_ in self.places if id_ in others and self._has_room(id_)), "")

    def _has_room(self, paper: str) -> bool:
        return len(self.below.get(paper, ())) < MOST_SIMILAR

    @property
    def shown(self) -> int:
        """Papers that were good enough and stand in the letter, be it by their titles."""
        every = [*self.places.values(), *(m for some in self.below.values() for m in some)]
        return sum(match.section not in BY_VOTES for match in every)

    def in_order(self, lanes: Lanes) -> Iterator[EditionPaper]:
        """As the letter shows them: section by section, best first."""
        for match in (match for lane in lanes.values() for match in lane):
            if match.paper.id in self.places:
                yield _edition_paper(match, self.below.get(match.paper.id, ()))


def _choose(profile: Profile, lanes: Lanes, twins: Twins) -> _Chosen:
    """Followed ones first, then one of each section in turn. One that is only named below
    another costs its section no turn."""
    allowed: dict[str, int | None] = {i.name: i.quota for i in profile.interests}
    chosen = _Chosen(profile.budget, allowed | {TRENDING: profile.trending}, twins)
    for match in lanes[FOLLOWED]:
        chosen.take(match)
    waiting = [deque(lane) for name, lane in lanes.items() if name != FOLLOWED]
    while any(waiting):
        for lane in waiting:
            while lane and not chosen.take(lane.popleft()):
                pass
    return chosen


def _allowance(section: str) -> str:
    """The section whose number of places this one counts against."""
    return TRENDING if section in BY_VOTES else section


def _edition_paper(match: Match, below: Iterable[Match]) -> EditionPaper:
    paper = match.paper
    similar: tuple[Pin, ...] = tuple((one.paper.id, one.paper.revision) for one in below)
    return EditionPaper(
        paper.id, paper.revision, match.section, float(match.score), tuple(match.reasons), similar
    )
