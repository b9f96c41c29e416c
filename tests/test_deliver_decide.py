"""The reply table, row by row: what came back -> what is written, and how the relay is treated."""

from __future__ import annotations

from datetime import timedelta

import pytest
from delivering import HOUR, NOW
from hypothesis import given
from hypothesis import strategies as st

from digest.deliver import Policy, RelayState, decide
from digest.model import (
    Delivery,
    DeliveryState,
    LetterKind,
    Outcome,
    OutcomeKind,
    Phase,
)

MINUTE = timedelta(minutes=1)
QUEUED, FAILED = DeliveryState.QUEUED, DeliveryState.FAILED


def leased(**fields) -> Delivery:
    given = {"created_at": NOW, "expires_at": NOW + 24 * HOUR, "lease_token": "t"} | fields
    return Delivery(
        7,
        LetterKind.DIGEST,
        "ada@example.org",
        "<1@example.org>",
        DeliveryState.LEASED,
        subscriber_key=1,
        **given,
    )


def said(code=None, enhanced=None, phase=Phase.RCPT, kind=None) -> Outcome:
    if kind is None:
        kind = OutcomeKind.REFUSED if code >= 500 else OutcomeKind.DEFERRED
    return Outcome(kind, phase, code, enhanced, "words")


def verdict(outcome, jitter=0.5, returns=0, now=NOW, policy=None, **fields):
    return decide(outcome, leased(**fields), now, lambda: jitter, policy or Policy(), returns)


def test_an_accepted_letter_is_accepted():
    done = verdict(said(250, "2.0.0", Phase.DOT, OutcomeKind.ACCEPTED))
    assert (done.key, done.token, done.state) == (7, "t", DeliveryState.ACCEPTED)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (said(phase=Phase.CONNECT, kind=OutcomeKind.RETURNED), "relay_down"),
        (said(535, "5.7.8", Phase.CONNECT, OutcomeKind.RETURNED), "relay_refuses"),
        (said(530, "5.7.0", Phase.MAIL, OutcomeKind.RETURNED), "relay_refuses"),
        (said(421, "4.3.2", Phase.RCPT, OutcomeKind.RETURNED), "relay_busy"),
        (said(phase=Phase.RCPT, kind=OutcomeKind.RETURNED), "cut"),
        (said(phase=Phase.DATA, kind=OutcomeKind.RETURNED), "cut"),
    ],
)
def test_a_letter_of_which_nothing_was_said_is_due_at_once_and_not_counted(outcome, reason):
    done = verdict(outcome)
    assert (done.state, done.reason, done.counted, done.not_before) == (QUEUED, reason, False, NOW)


def test_a_letter_that_comes_back_again_and_again_waits_a_little():
    done = verdict(said(phase=Phase.RCPT, kind=OutcomeKind.RETURNED), returns=1)
    assert (done.counted, done.not_before) == (False, NOW + 30 * timedelta(seconds=1))


@pytest.mark.parametrize(
    ("attempts", "minutes"),
    [(0, 1), (1, 5), (2, 15), (3, 30), (4, 60), (5, 120), (6, 240), (7, 480), (30, 480)],
)
def test_a_deferred_letter_waits_longer_each_time(attempts, minutes):
    done = verdict(said(450, "4.2.0"), jitter=0.999, attempts=attempts)
    assert (done.state, done.reason, done.counted) == (QUEUED, "deferred", True)
    assert done.not_before == NOW + 0.999 * minutes * MINUTE


def test_full_jitter_never_waits_less_than_a_second():
    assert verdict(said(450), jitter=0.0).not_before == NOW + timedelta(seconds=1)


def test_the_last_try_comes_shortly_before_patience_ends():
    late = NOW + 23 * HOUR
    done = verdict(said(450), now=late, attempts=9)
    assert done.not_before == NOW + 24 * HOUR - 5 * MINUTE


@pytest.mark.parametrize("kind", [OutcomeKind.DEFERRED, OutcomeKind.RETURNED])
def test_patience_ends_before_the_next_edition(kind):
    late = NOW + 24 * HOUR - timedelta(seconds=30)
    done = verdict(said(450, kind=kind), now=late, attempts=9, jitter=0.9, returns=3)
    assert done.state is DeliveryState.EXPIRED


def test_patience_ends_after_three_days_whatever_the_next_edition():
    late = NOW + 72 * HOUR - MINUTE
    done = verdict(said(450), now=late, expires_at=NOW + 700 * HOUR, attempts=9)
    assert (done.state, done.reason) == (DeliveryState.EXPIRED, "deferred")


@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_silence_after_the_body_is_unknown_under_every_policy(policy):
    silent = said(phase=Phase.BODY, kind=OutcomeKind.UNKNOWN)
    done = verdict(silent, policy=Policy(ambiguous=policy))
    assert (done.state, done.suppress, done.soft) == (DeliveryState.UNKNOWN, None, False)


@pytest.mark.parametrize(
    ("code", "enhanced", "phase", "reason", "suppress", "soft"),
    [
        (550, "5.1.1", Phase.RCPT, "bad_address", True, False),
        (553, "5.1.3", Phase.RCPT, "bad_address", True, False),
        (556, "5.1.10", Phase.RCPT, "bad_address", True, False),
        (550, "5.1.1", Phase.DOT, "bad_address", True, False),
        (550, "5.1.8", Phase.RCPT, "policy", False, False),
        (550, "5.1.7", Phase.MAIL, "policy", False, False),
        (550, "5.1.1", Phase.MAIL, "policy", False, False),
        (550, "5.2.1", Phase.RCPT, "mailbox", False, True),
        (552, "5.2.2", Phase.RCPT, "mailbox", False, True),
        (552, "5.2.3", Phase.DOT, "content", False, False),
        (550, "5.7.1", Phase.RCPT, "policy", False, False),
        (550, "5.7.26", Phase.DOT, "policy", False, False),
        (550, None, Phase.MAIL, "policy", False, False),
        (552, "5.3.4", Phase.DOT, "content", False, False),
        (552, None, Phase.DOT, "content", False, False),
        (554, "5.6.0", Phase.DOT, "content", False, False),
        (501, "5.5.4", Phase.RCPT, "content", False, False),
        (500, None, Phase.DATA, "content", False, False),
        (554, None, Phase.DOT, "content", False, False),
        (550, None, Phase.RCPT, "mailbox", False, True),
        (None, "5.6.7", Phase.MAIL, "unsupported", False, False),
        (None, "5.1.3", Phase.RCPT, "bad_address", True, False),
        (550, "5.4.1", Phase.RCPT, "refused", False, False),
        (554, None, Phase.DATA, "refused", False, False),
        (599, "5.99.99", Phase.RCPT, "refused", False, False),
    ],
)
def test_a_refusal_is_told_by_its_enhanced_code_else_by_its_place(
    code, enhanced, phase, reason, suppress, soft
):
    done = verdict(said(code, enhanced, phase, OutcomeKind.REFUSED))
    assert (done.state, done.reason, bool(done.suppress), done.soft) == (
        FAILED,
        reason,
        suppress,
        soft,
    )


outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(OutcomeKind),
    phase=st.sampled_from(Phase),
    code=st.none() | st.integers(200, 599),
    enhanced=st.none() | st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
)


@given(outcomes, st.integers(0, 40), st.integers(0, 200), st.floats(0, 0.999), st.integers(0, 5))
def test_whatever_comes_back_the_rules_hold(outcome, attempts, hours, jitter, returns):
    now = NOW + hours * HOUR
    row = leased(attempts=attempts, expires_at=NOW + 100 * HOUR)
    done = decide(outcome, row, now, lambda: jitter, Policy(), returns)
    ends = {
        OutcomeKind.ACCEPTED: {DeliveryState.ACCEPTED},
        OutcomeKind.UNKNOWN: {DeliveryState.UNKNOWN},
        OutcomeKind.REFUSED: {FAILED},
        OutcomeKind.DEFERRED: {QUEUED, DeliveryState.EXPIRED},
        OutcomeKind.RETURNED: {QUEUED, DeliveryState.EXPIRED},
        OutcomeKind.WITHDRAWN: {QUEUED},
    }
    assert done.state in ends[outcome.kind]
    assert done.outcome == outcome
    if done.state is QUEUED and outcome.kind is not OutcomeKind.WITHDRAWN:
        assert now <= done.not_before < NOW + 72 * HOUR
    if outcome.kind is OutcomeKind.DEFERRED and done.state is QUEUED:
        assert done.not_before > now
    if (outcome.enhanced or "").startswith("5.7."):
        assert not done.suppress


# ------------------------------------------------------------------ the relay

ACCEPTED = said(250, "2.0.0", Phase.DOT, OutcomeKind.ACCEPTED)
DOWN = said(phase=Phase.CONNECT, kind=OutcomeKind.RETURNED)
BUSY = said(421, "4.3.2", Phase.RCPT, OutcomeKind.RETURNED)
SILENT = said(phase=Phase.BODY, kind=OutcomeKind.UNKNOWN)
CUT = said(phase=Phase.MAIL, kind=OutcomeKind.RETURNED)


def relay(most=8, **numbers) -> RelayState:
    return RelayState(most, lambda: 0.5, Policy(**numbers))


def hear(state: RelayState, *outcomes_, at=0.0) -> RelayState:
    for outcome in outcomes_:
        era = state.begin(at)
        state.left()
        state.heard(outcome, at, era)
    return state


def test_a_dead_relay_is_left_alone_longer_each_time_and_then_given_up():
    state = relay()
    waits = []
    for _ in range(3):
        hear(state, DOWN)
        waits.append(state.wait(0.0))
    assert waits == [2.5, 5.0, 10.0]
    assert (state.tripped, state.said) == ("relay_down", "words")


def test_backing_off_never_takes_longer_than_five_minutes():
    state = relay(relay_tries=100)
    hear(state, *[DOWN] * 40)
    assert state.wait(0.0) == 150.0


def test_lanes_that_fail_at_the_same_moment_count_as_one_failure():
    state = relay()
    eras = [state.begin(0.0) for _ in range(8)]
    for era in eras:
        state.left()
        state.heard(DOWN, 0.0, era)
    assert (state.failures, state.tripped) == (1, "")


def test_a_relay_in_trouble_is_tried_by_one_lane_alone():
    state = hear(relay(), DOWN)
    assert state.wait(100.0) == 0.0
    state.begin(0.0)
    assert state.wait(100.0) > 0.0


def test_an_answer_ends_the_trouble():
    state = hear(relay(), DOWN, DOWN, said(550, "5.1.1"), DOWN, DOWN)
    assert (state.failures, state.tripped) == (2, "")


def test_421_halves_the_lanes_and_they_grow_again_slowly():
    state = hear(relay(), BUSY)
    assert (state.open, state.wait(0.0)) == (4, 0.0)
    hear(state, *[ACCEPTED] * 79)
    assert state.open == 4
    hear(state, ACCEPTED)
    assert state.open == 5
    hear(state, *[ACCEPTED] * 1000)
    assert state.open == 8


def test_a_relay_that_says_nothing_but_421_is_given_up():
    assert hear(relay(), BUSY, BUSY, BUSY).tripped == "relay_busy"


def test_connections_cut_in_a_row_count_as_a_failure():
    assert hear(relay(), *[CUT] * 9).failures == 0
    assert hear(relay(), *[CUT] * 10).failures == 1
    assert hear(relay(), *[CUT] * 30).tripped == "cut"


@pytest.mark.parametrize("code", [(452, "4.3.1"), (454, "4.7.0")])
def test_a_relay_that_is_full_or_cannot_encrypt_is_paused(code):
    assert hear(relay(), said(*code)).wait(0.0) > 0


def test_a_full_mailbox_does_not_pause_the_relay():
    assert hear(relay(), said(452, "4.2.2")).wait(0.0) == 0


def test_the_same_error_about_our_letters_again_and_again_ends_the_run():
    wrong = said(554, "5.6.0", Phase.DOT)
    assert hear(relay(), *[wrong] * 19).tripped == ""
    assert hear(relay(), *[wrong] * 20).tripped == "content"
    assert hear(relay(), *([wrong] * 15 + [ACCEPTED]) * 5).tripped == ""


def test_refusals_of_us_end_the_run_by_number_and_share():
    ours = said(550, "5.7.1")
    assert hear(relay(), *[ACCEPTED] * 300, *[ours] * 20).tripped == ""
    assert hear(relay(), *[ACCEPTED] * 30, *[ours] * 20).tripped == "policy"


def test_a_relay_that_refuses_us_is_asked_by_one_letter_only_and_ever_less_often():
    ours = said(550, "5.7.1")
    state, lost = hear(relay(), *[ours] * 20), []
    for minutes in range(0, 200, 5):
        at = 60.0 * minutes
        if state.revive(at):
            assert (state.tripped, state.doubtful) == ("", True)
            hear(state, ours, at=at)
            lost.append(minutes)
        assert state.tripped == "policy"
    assert lost == [5, 15, 35, 75, 135, 195]


def test_a_relay_that_takes_us_again_is_trusted_again():
    ours = said(550, "5.7.1")
    state = hear(relay(), *[ours] * 20)
    state.revive(300.0)
    hear(state, ACCEPTED, *[ours] * 10, at=300.0)
    assert (state.tripped, state.doubtful) == ("", False)


def test_a_relay_that_takes_bodies_and_never_answers_is_given_up_soon():
    assert hear(relay(), SILENT).wait(0.0) > 0
    assert hear(relay(), SILENT, SILENT).tripped == ""
    assert hear(relay(), SILENT, SILENT, SILENT).tripped == "no_reply"
    assert hear(relay(), *[SILENT, said(550, "5.1.1")] * 3).tripped == "no_reply"
    assert hear(relay(), *[SILENT, SILENT, ACCEPTED] * 9).tripped == ""


def test_a_relay_gets_only_so_many_letters_a_minute():
    state = RelayState(8, lambda: 0.5, Policy(), per_minute=120)
    state.begin(10.0)
    assert (state.wait(10.0), state.wait(10.5)) == (0.5, 0.0)
    starts = 0
    for at in range(525, 525 + 50 * 60):  # asked fifty times a second for a minute
        if state.wait(at / 50) == 0.0:
            state.begin(at / 50)
            state.left()
            starts += 1
    assert starts == 120


def test_bad_addresses_never_end_a_run():
    assert hear(relay(), *[said(550, "5.1.1")] * 500).tripped == ""


def test_a_state_that_is_kept_asks_a_dead_relay_once_a_run():
    state = hear(relay(), DOWN, DOWN, DOWN)
    assert not state.revive(5.0)
    assert state.revive(11.0)
    hear(state, DOWN, at=11.0)
    assert (state.tripped, state.wait(11.0)) == ("relay_down", 10.0)


@given(st.lists(outcomes, max_size=80))
def test_whatever_comes_back_the_lanes_stay_in_bounds(said_):
    state = hear(relay(most=5), *said_)
    assert 1 <= state.open <= 5
    assert state.active == 0
    assert 0 <= state.wait(0.0) <= 300
