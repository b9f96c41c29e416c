"""Whether the next letter's envelope may go out together with a letter's body.

RFC 2920 3.1 allows it wherever PIPELINING is offered, and it halves the waits. But few clients do
it and not every relay takes it, so one has to show that it does: one lane tries, with one
envelope, and until that one is answered no other lane does. A relay that does not take it, then
or later, is never given one again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from enum import Enum, auto

from digest.model import Outcome, OutcomeKind, Phase

log = logging.getLogger("digest.transports")


class _Trust(Enum):
    UNTRIED = auto()
    TRYING = auto()
    GOOD = auto()
    BAD = auto()


class Ahead:
    """What the relay called `name` has shown. `wanted`: False never tries it."""

    def __init__(self, name: str, wanted: bool = True) -> None:
        self._name = name
        self._trust = _Trust.UNTRIED if wanted else _Trust.BAD

    @property
    def possible(self) -> bool:
        """True where an envelope may go ahead now: say `begin` where it does."""
        return self._trust in {_Trust.UNTRIED, _Trust.GOOD}

    @property
    def trying(self) -> bool:
        """True while the one envelope that tries the relay is out."""
        return self._trust is _Trust.TRYING

    def begin(self) -> None:
        if self._trust is _Trust.UNTRIED:
            self._trust = _Trust.TRYING

    def dropped(self) -> None:
        """Nobody waits for its answer any more."""
        if self._trust is _Trust.TRYING:
            self._trust = _Trust.UNTRIED

    def body(self, outcome: Outcome) -> Outcome:
        """What came of a body with an envelope behind it. At the trial it may have been refused
        for what came behind, so it gets another chance, alone."""
        if outcome.kind is OutcomeKind.UNKNOWN:
            self._mistaken("it did not answer the letter before")
        elif outcome.kind is OutcomeKind.REFUSED and self.trying:
            self._mistaken(f"it refused the letter before: {outcome.code} {outcome.text}")
            return replace(outcome, kind=OutcomeKind.DEFERRED)
        return outcome

    def envelope(self, outcome: Outcome | None) -> bool:
        """What came of an envelope that went ahead; None: 354. False: do not believe it, but say
        it again by itself."""
        if outcome is None or (outcome.code is not None and outcome.phase is not Phase.MAIL):
            self._trust = _Trust.GOOD
            return True
        if outcome.code is None and self._trust is _Trust.GOOD:
            return outcome.phase is not Phase.MAIL  # closed after so many letters, it may be
        if outcome.code is not None and outcome.kind is not OutcomeKind.REFUSED:
            self.dropped()  # busy, or not for now: that says nothing
            return True
        self._mistaken(f"{outcome.code or ''} {outcome.text}".strip())
        return False

    def _mistaken(self, said: str) -> None:
        self._trust = _Trust.BAD
        log.warning(
            "relay %s does not take an envelope with the body before it, so letters go one by "
            'one; set smtp.pipelining = "envelope": %s',
            *(self._name, said),
        )
