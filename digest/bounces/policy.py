"""Pure: what a failure weighs, and what follows from it.

Sends are counted, not days: somebody with a monthly letter has as many chances as somebody with a
daily one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from digest.bounces.dsn import NOT_FAILED, statuses_in
from digest.bounces.report import Failure

SENDS, SOFT_SENDS = 5, 3
"""An address is stopped when 3 of the last 5 letters sent to it came back softly."""


class Weight(StrEnum):
    """How much a failure says about an address."""

    HARD = "hard"  # there is nobody: once is enough
    SOFT = "soft"  # full, unreachable, expired, or not clear: counted
    POLICY = "policy"  # they refuse us: never held against the address
    CONTENT = "content"  # they refuse this letter: likewise
    NONE = "none"  # delayed or delivered
    FORGIVEN = "forgiven"  # was held against it, until an operator let the address take mail again


HELD_AGAINST = (Weight.HARD, Weight.SOFT)
TOLD = (Weight.POLICY, Weight.CONTENT)  # what the operator should know


class Proof(StrEnum):
    """How a report shows that it speaks of a letter of ours."""

    LETTER = "letter"  # it knows the letter's secret address or id, or a provider vouches
    ADDRESS = "address"  # it only names somebody: anyone could write that
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to do. `bounced`: that letter did not arrive; `suppress`: the reason to stop for."""

    weight: Weight
    bounced: bool = False
    suppress: str | None = None


_TOO_FAST = re.compile(r"\brate\b|too (?:fast|quickly|many|frequent)|\bthrottl", re.IGNORECASE)
_ABOUT_US = re.compile(
    r"\b(?:spam(?!\.)|spamhaus|black-?list|block-?list|blocked|reputation|dmarc|spf|dkim|dnsbl|rbl)"
    r"\b",
    re.IGNORECASE,
)
_OUR_SENDER = ("5.1.7", "5.1.8")  # a bad *sender* address (RFC 3463 3.2)
_CONTENT = ("5.2.3", "5.3.4")  # too long for the mailbox, too big for the system


def weigh(failure: Failure) -> Weight:
    """The weight of one failure, by its code (RFC 3463), else by its words."""
    if failure.action in NOT_FAILED:
        return Weight.NONE
    code = code_of(failure)
    class_, subject, _ = code.split(".") if code else ("", "", "")
    if subject == "7" or code in _OUR_SENDER:
        return Weight.POLICY
    if class_ == "5" and (subject in {"5", "6"} or code in _CONTENT):
        return Weight.CONTENT
    if class_ == "5" and subject == "1":
        return Weight.HARD
    if code == "5.2.1" and not _TOO_FAST.search(failure.text):
        return Weight.HARD
    vague = subject in {"", "0"}
    return Weight.POLICY if vague and _ABOUT_US.search(failure.text) else Weight.SOFT


def code_of(failure: Failure) -> str:
    """The most telling code: many servers put 5.0.0 as the status and say more in their words."""
    if failure.status and not failure.status.endswith(".0.0"):
        return failure.status
    said = (code for code in statuses_in(failure.text) if not code.endswith(".0.0"))
    return next(said, failure.status)


def rule(failure: Failure, proof: Proof, at_our_address: bool) -> Ruling:
    """What one failure means. A report that proves nothing, or tells of an address that a letter
    was forwarded to, weighs softly at most, and marks no letter."""
    weight = weigh(failure)
    sure = proof is Proof.LETTER and at_our_address
    if weight is Weight.HARD and not sure:
        weight = Weight.SOFT
    hard = weight is Weight.HARD
    return Ruling(weight, weight is not Weight.NONE and sure, "bounced" if hard else None)


def enough(soft_sends: int) -> str | None:
    """The reason to stop an address of whose last sends so many came back softly."""
    return "soft_bounces" if soft_sends >= SOFT_SENDS else None
