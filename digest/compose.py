"""Pure: what a person's profile found becomes the content of one edition, or a reason for none.

Followed authors go first. Then the interests take turns, best paper of each, in the profile's
order, so that a broad interest cannot swamp a narrow one; trending papers take their turn last.
An edition never exceeds the budget, no interest its quota, and nothing below the floor pads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from digest.model import (
    FOLLOWED,
    TRENDING,
    Content,
    EditionPaper,
    Match,
    Profile,
    QuietWeeks,
    SkipReason,
)

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
    profile: Profile, ranked: Ranked, sent: Collection[str], notices: Iterable[str] = ()
) -> Content | SkipReason:
    """The content of one edition, or why there is none.

    `sent`: canonical ids of works this person already got; none of them comes again. A person
    who asked for a line in quiet weeks gets a content without papers instead of a reason.
    """
    lanes = _lanes(profile, _fresh(ranked.matches, frozenset(sent)))
    chosen = _choose(profile, lanes)
    if not chosen and (_asks_nothing(profile) or profile.quiet_weeks is QuietWeeks.SKIP):
        return _why_nothing(profile, ranked)
    return Content(
        papers=tuple(_edition_paper(match) for match in _in_order(lanes, chosen)),
        considered=ranked.considered,
        near=ranked.near,
        over_budget=ranked.beyond
        + _good(lanes)
        - sum(match.section != TRENDING for match in chosen),
        notices=tuple(notices),
    )


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
    trending = lanes.pop(TRENDING, [])
    return {**lanes, TRENDING: trending}


def _choose(profile: Profile, lanes: Lanes) -> list[Match]:
    """The matches that fit: followed ones first, then one of each section in turn."""
    allowed: dict[str, int | None] = {i.name: i.quota for i in profile.interests}
    allowed[TRENDING] = profile.trending
    others = [lane[: allowed.get(name)] for name, lane in lanes.items() if name != FOLLOWED]
    in_turn = (*lanes[FOLLOWED], *_round_robin(others))
    return list(islice(in_turn, profile.budget))


def _round_robin(lanes: Sequence[Sequence[Match]]) -> Iterator[Match]:
    for turn in range(max(map(len, lanes), default=0)):
        yield from (lane[turn] for lane in lanes if turn < len(lane))


def _good(lanes: Lanes) -> int:
    """How many papers were good enough for their section; popularity alone is not that."""
    return sum(len(lane) for name, lane in lanes.items() if name != TRENDING)


def _in_order(lanes: Lanes, chosen: Sequence[Match]) -> Iterator[Match]:
    """As the letter shows them: section by section, best first."""
    ids = {match.paper.id for match in chosen}
    return (match for lane in lanes.values() for match in lane if match.paper.id in ids)


def _edition_paper(match: Match) -> EditionPaper:
    paper = match.paper
    return EditionPaper(
        paper.id, paper.revision, match.section, float(match.score), tuple(match.reasons)
    )
