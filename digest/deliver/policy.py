"""The numbers of delivery, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


def _minutes(*numbers: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=number) for number in numbers)


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient, how careful. Times that rows live by are timedeltas; waits within a run are
    seconds."""

    ambiguous: Literal["resend", "hold"] = "resend"  # what becomes of `unknown` letters
    resend_after: timedelta = timedelta(minutes=15)
    retries: tuple[timedelta, ...] = _minutes(1, 5, 15, 30, 60, 120, 240, 480)  # then the last
    patience: timedelta = timedelta(hours=72)  # or until the next edition, if that is sooner
    last_try: timedelta = timedelta(minutes=5)  # before patience ends
    soonest: timedelta = timedelta(seconds=1)  # no second try sooner, whatever the jitter says

    lease: timedelta = timedelta(minutes=2)  # renewed three times in its length
    batch: int = 200  # letters claimed at once
    grace: float = 10.0  # seconds that letters in the body may take after a stop

    backoff_first: float = 5.0  # seconds; doubled with each failure, times jitter
    backoff_most: float = 300.0
    relay_tries: int = 3  # failures in a row after which a run gives the relay up
    cuts: int = 10  # connections cut before the body, in a row, that count as one failure
    equal_errors: int = 20  # refusals of our content in a row, all the same, that end a run
    break_first: float = 300.0  # seconds that a relay is left alone after these; doubled each time
    break_most: float = 3600.0
    policy_refusals: int = 20  # refusals of us (5.7.x) that end a run, if they are
    policy_share: float = 0.1  # at least this share of all answers

    rest_first: float = 30.0  # seconds that a domain rests after "too fast"; doubled, times jitter
    rest_most: float = 600.0
    park: float = 60.0  # seconds that a letter in hand may wait for its domain's turn
