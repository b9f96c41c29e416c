"""SOCKET 1: where papers are announced. One file per kind; a third party adds one by entry point.

A kind is a class registered under the entry-point group `digest.sources`, called as
`Kind(spec, web)`. It never touches the store: it gets its own cursor and a function that says
which ids are already known, and answers with a `Fetched`. It never raises for what a server
sends: that is a verdict. Whatever it cannot read of one entry goes into `Fetched.bad`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from digest.model import BadEntry, Fetched, Listing, Verdict

Known = Callable[[Collection[str]], frozenset[str]]
"""Which of these paper ids are already stored (asked in one go)."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One `[[sources]]` entry: `options` holds the keys that belong to the kind."""

    name: str
    kind: str
    options: Mapping[str, object] = field(default_factory=dict)
    timeout: float = 60.0  # seconds in all for one request, body included
    max_bytes: int = 50_000_000  # of one answer, decompressed
    trusted: bool = True  # False: the URL came from somebody who is not the operator


class Source(Protocol):
    """What ingest asks of a source."""

    spec: SourceSpec

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        """Ask once for what is announced now. `cursor` is what the last left ({} at first)."""
        ...


@runtime_checkable
class Rereads(Protocol):
    """A source that can read again what it could not read before."""

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        """An entry as `BadEntry.raw` kept it. Takes CPU time, never raises."""
        ...


@runtime_checkable
class Backfills(Protocol):
    """A source that can also fetch the past."""

    def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        """Everything announced on the days [since, until], in slices, oldest first: the papers
        are in `Fetched.backfill`. `Fetched.cursor` may hold `through`, the day from which to go
        on once this slice is stored. Ends with the first slice that failed."""
        ...


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What a source said of some ids. `missing`: it has no such papers; an id that is neither
    there nor in `papers` was not answered for."""

    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    missing: frozenset[str] = frozenset()


@runtime_checkable
class LooksUp(Protocol):
    """A source that can tell a paper by its id, whether it announced it or not."""

    scheme: str  # of the ids, as in `arxiv:2401.00001`

    async def look_up(self, ids: Sequence[str]) -> LookedUp:
        """The papers of these ids. Like `fetch`, it never raises for what a server sends."""
        ...
