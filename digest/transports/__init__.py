"""SOCKET 3: how a letter leaves the house. One file per kind; others come by entry point.

A transport opens lanes; a lane sends one letter after another and answers each with an Outcome.
It never raises for what a relay does: that is an Outcome. It never touches the store: the caller's
`before_body` is awaited when the relay has said "354, go ahead" and not one byte of the body has
been written; it makes the crash decidable (commits phase = body) and has the last word on consent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from digest.model import Letter, Outcome

BeforeBody = Callable[[], Awaitable[bool | Letter]]
"""Commit that the body is about to go out. False: consent is gone, nothing may go out. True, or a
letter: go. The letter is the one that this lane will be given next, and is named only to a lane
that can make use of it (see `Lane`)."""


class Lane(Protocol):
    """One conversation with the next hop, reused for many letters, one at a time.

    A lane may have a property `ahead`: True while it could send the envelope of its next letter
    together with the body of this one. It must cope with being given another letter after all."""

    async def send(self, letter: Letter, before_body: BeforeBody) -> Outcome:
        """Send one letter. If `before_body` says False the lane cuts without a body and answers
        WITHDRAWN. A broken connection is opened again on the next call.

        Raises only what `before_body` raises, and CancelledError; both after the cut, so that
        nothing of the letter can still go out behind the caller's back."""
        ...

    async def close(self) -> None:
        """QUIT politely; never raises."""
        ...


class Transport(Protocol):
    """A way out."""

    name: str
    lanes: int  # how many lanes may be open at once

    def lane(self) -> Lane:
        """A new lane, not yet connected."""
        ...


@dataclass(frozen=True, slots=True)
class TransportSpec:
    """What the configuration says of a transport that a plug-in brings: a class called with this.
    It raises ConfigError, or ValueError, for options that it cannot take."""

    name: str  # of its entry point
    options: Mapping[str, object] = field(default_factory=dict)  # `[delivery.options]`
    secret: str = field(default="", repr=False)  # $DIGEST_TRANSPORT_SECRET
