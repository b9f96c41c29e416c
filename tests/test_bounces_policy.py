"""What a failure weighs, row by row, and what follows."""

from __future__ import annotations

import pytest

from digest.bounces.policy import Proof, Ruling, Weight, enough, rule, weigh
from digest.bounces.report import Failure

HARD, SOFT, POLICY = Weight.HARD, Weight.SOFT, Weight.POLICY
CONTENT, NONE = Weight.CONTENT, Weight.NONE

TABLE = [
    # status, what the server said, weight
    ("5.1.1", "550 5.1.1 user unknown", HARD),
    ("5.1.0", "550 address rejected", HARD),
    ("5.1.2", "no such domain", HARD),
    ("5.1.3", "bad syntax", HARD),
    ("5.1.6", "moved", HARD),
    ("5.1.10", "null MX", HARD),
    ("5.1.7", "bad sender address", POLICY),
    ("5.1.8", "sender's domain does not exist", POLICY),
    ("5.2.1", "550 5.2.1 mailbox disabled", HARD),
    ("5.2.1", "550 5.2.1 receiving mail at a rate that is too high", SOFT),
    ("5.2.2", "552 5.2.2 mailbox full", SOFT),
    ("5.2.3", "too long for this mailbox", CONTENT),
    ("5.2.0", "something about the mailbox", SOFT),
    ("4.2.2", "452 4.2.2 over quota, given up", SOFT),
    ("4.4.7", "delivery time expired", SOFT),
    ("4.7.1", "greylisted for days", POLICY),
    ("5.3.0", "system trouble", SOFT),
    ("5.3.4", "message too big", CONTENT),
    ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied", SOFT),
    ("5.4.4", "Host not found", SOFT),
    ("5.4.6", "loop", SOFT),
    ("5.5.0", "protocol", CONTENT),
    ("5.6.0", "bad content", CONTENT),
    ("5.6.7", "needs SMTPUTF8", CONTENT),
    ("5.7.1", "550 5.7.1 blocked", POLICY),
    ("5.7.26", "unauthenticated", POLICY),
    ("5.0.0", "550-5.1.1 nobody here", HARD),
    ("5.0.0", "550 5.7.1 go away", POLICY),
    ("5.0.0", "550 message looks like spam", POLICY),
    ("5.0.0", "554 no", SOFT),
    ("", "550 5.1.1 nobody here", HARD),
    ("", "550 rejected by our blocklist", POLICY),
    ("", "550 no such user; see http://spam.example", SOFT),
    ("", "", SOFT),
]


@pytest.mark.parametrize(("status", "text", "weight"), TABLE)
def test_every_code_has_its_weight(status: str, text: str, weight: Weight) -> None:
    assert weight is weigh(Failure(status=status, text=text))


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_has_not_failed_weighs_nothing(action: str) -> None:
    assert NONE is weigh(Failure(action=action, status="5.1.1"))


def ruling(status: str, proof: Proof = Proof.LETTER, at_ours: bool = True) -> Ruling:
    return rule(Failure(status=status), proof, at_ours)


def test_one_hard_bounce_is_enough() -> None:
    assert Ruling(HARD, True, "bounced") == ruling("5.1.1")


def test_a_soft_bounce_is_not_enough() -> None:
    assert Ruling(SOFT, True, None) == ruling("5.2.2")


@pytest.mark.parametrize("status", ["5.7.1", "5.6.0"])
def test_what_is_our_fault_is_never_held_against_an_address(status: str) -> None:
    assert ruling(status).suppress is None


def test_a_report_that_only_names_somebody_weighs_softly_and_marks_no_letter() -> None:
    assert Ruling(SOFT, False, None) == ruling("5.1.1", Proof.ADDRESS)


def test_a_failure_at_an_address_to_which_a_letter_was_forwarded_weighs_softly() -> None:
    assert Ruling(SOFT, False, None) == ruling("5.1.1", at_ours=False)


def test_three_of_the_last_sends_are_enough() -> None:
    assert [None, None, None, "soft_bounces"] == [enough(n) for n in range(4)]
