"""SOCKET 2: which papers a profile wants, how much, and why.

`prepare` looks at the papers of a window once; `rank` then answers for many readers at once.
Everything here is pure: same papers and readers in, same ranking out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from digest.model import Feedback, Match, Paper, Profile, Window

if TYPE_CHECKING:
    from digest.profiles.compact import Compact  # numpy: only where needed


@dataclass(frozen=True, slots=True)
class Reader:
    """One profile to match. `known` gives the texts of its seeds and rated papers by id."""

    profile: Profile
    feedback: Feedback = Feedback()
    known: Mapping[str, Paper] = field(default_factory=dict)
    window: Window | None = None  # only papers first seen in it count (trending apart); None: all
    compact: Compact | None = None  # of the same profile, where it is at hand


@dataclass(frozen=True, slots=True)
class Ranking:
    """What one reader's profile says of the papers of a window.

    `matches` are above the profile's floor, best first, at most one per paper (the section it
    fits best), at least as many as the budget and the quotas can take; `beyond` counts papers that
    were good enough too. `near` counts papers that scored just below; `considered` all that were
    looked at. `error` says why the profile could not be matched; then the rest is empty.
    """

    matches: tuple[Match, ...]
    near: int = 0
    considered: int = 0
    beyond: int = 0
    error: str = ""


class Prepared(Protocol):
    """The papers of one window, indexed."""

    def rank(self, readers: Sequence[Reader]) -> list[Ranking]:
        """One ranking for each reader, in order. Never raises for one reader's profile."""
        ...

    def order(self, readers: Sequence[Reader], top: int) -> Iterator[list[tuple[str, float]]]:
        """For each reader the best `top` papers of the window, as (id, score), floor or not."""
        ...

    @property
    def twins(self) -> Mapping[str, frozenset[str]]:
        """{paper: others that say nearly the same}, by id; most papers are not in it."""
        ...


class Matcher(Protocol):
    """The contract of a way to match."""

    def prepare(
        self,
        papers: Sequence[Paper],
        background: Sequence[Paper] = (),
        trending: Sequence[Paper] = (),
    ) -> Prepared:
        """Index `papers` (first seen in the window); `background` only teaches how common a word
        is; `trending` are papers with votes that may fill the section TRENDING."""
        ...
