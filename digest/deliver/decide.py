"""Pure: what came back for a letter -> what to write about its delivery (the reply table).

It knows nothing of the relay's state (relay.py) and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from digest.deliver.policy import Policy
from digest.errors import DigestError
from digest.model import Delivery, DeliveryState, Outcome, OutcomeKind, Phase, Settlement
from digest.transports.replies import CONFIGURATION

Jitter = Callable[[], float]
"""A number in [0, 1), uniform: full jitter spreads what failed together."""

DEFAULT = Policy()
BUSY = 421


class Refusal(StrEnum):
    """What a final refusal is about; the `reason` of a failed delivery."""

    BAD_ADDRESS = "bad_address"  # suppressed at once
    MAILBOX = "mailbox"  # full, or inactive, or "too fast": counted softly
    POLICY = "policy"  # our sender, authentication or reputation; never the address's fault
    CONTENT = "content"  # our letter
    UNSUPPORTED = "unsupported"  # the relay cannot carry this address
    REFUSED = "refused"  # none of these: no conclusion about the address


def decide(
    outcome: Outcome,
    delivery: Delivery,
    now: datetime,
    jitter: Jitter,
    policy: Policy = DEFAULT,
    returns: int = 0,
) -> Settlement:
    """What to write. `delivery` must be leased. `returns`: how often this run saw this letter
    come back unsaid; the first time it is due again at once, then later."""
    match outcome.kind:
        case OutcomeKind.ACCEPTED:
            return _settled(outcome, delivery, DeliveryState.ACCEPTED, counted=True)
        case OutcomeKind.UNKNOWN:
            return _settled(outcome, delivery, DeliveryState.UNKNOWN, "no_reply", counted=True)
        case OutcomeKind.DEFERRED:
            delay = _retry_delay(delivery.attempts, policy)
            return _later(outcome, delivery, now, jitter() * delay, "deferred", policy)
        case OutcomeKind.REFUSED:
            return _failed(outcome, delivery)
        case OutcomeKind.WITHDRAWN:  # the next claim ends it, with the reason it finds
            return _settled(outcome, delivery, DeliveryState.QUEUED, "withdrawn", not_before=now)
        case OutcomeKind.RETURNED:
            delay = jitter() * policy.retries[0] if returns else timedelta()
            return _later(outcome, delivery, now, delay, why_returned(outcome), policy)


def _later(
    outcome: Outcome,
    delivery: Delivery,
    now: datetime,
    delay: timedelta,
    reason: str,
    policy: Policy,
) -> Settlement:
    """Queued again after `delay`; expired where patience ends before."""
    counted = outcome.kind is OutcomeKind.DEFERRED
    end = _patience_ends(delivery, policy)
    at = now + (max(delay, policy.soonest) if delay or counted else delay)
    if at >= end:
        at = end - policy.last_try
        if at <= now:
            return _settled(outcome, delivery, DeliveryState.EXPIRED, reason, counted=counted)
    return _settled(outcome, delivery, DeliveryState.QUEUED, reason, counted=counted, not_before=at)


def put_off(delivery: Delivery, now: datetime, delay: timedelta, policy: Policy) -> datetime:
    """When a letter is due that waits for its domain's turn: never so late that it expires
    untried."""
    return max(now, min(now + delay, _patience_ends(delivery, policy) - policy.last_try))


def _retry_delay(attempts: int, policy: Policy) -> timedelta:
    """The most to wait after so many counted attempts before this one."""
    return policy.retries[min(attempts, len(policy.retries) - 1)]


def _patience_ends(delivery: Delivery, policy: Policy) -> datetime:
    end = delivery.created_at + policy.patience
    return min(end, delivery.expires_at) if delivery.expires_at else end


def why_returned(outcome: Outcome) -> str:
    """One word for a letter of which nothing was said."""
    if outcome.code == BUSY:
        return "relay_busy"
    if outcome.phase is Phase.CONNECT:
        return "relay_down" if outcome.code is None else "relay_refuses"
    return "cut" if outcome.code is None else "relay_refuses"


def _failed(outcome: Outcome, delivery: Delivery) -> Settlement:
    about = refusal(outcome)
    bad = about is Refusal.BAD_ADDRESS
    return _settled(
        outcome,
        delivery,
        DeliveryState.FAILED,
        str(about),
        counted=True,
        suppress=str(about) if bad else None,
        soft=about is Refusal.MAILBOX,
    )


def refusal(outcome: Outcome) -> Refusal:
    """What a 5xx is about: by its enhanced code (RFC 3463), else by code and phase."""
    if outcome.enhanced is None:
        return _by_code(outcome.code or 0, outcome.phase)
    _, subject, _ = outcome.enhanced.split(".")
    if subject == "1":
        ours = outcome.phase is Phase.MAIL or outcome.enhanced in OUR_SENDER
        return Refusal.POLICY if ours else Refusal.BAD_ADDRESS
    return BY_CODE.get(outcome.enhanced) or BY_SUBJECT.get(subject, Refusal.REFUSED)


OUR_SENDER = ("5.1.7", "5.1.8")  # bad *sender* address: no word about the recipient's
BY_CODE = {
    "5.2.3": Refusal.CONTENT,  # longer than this mailbox allows
    "5.3.4": Refusal.CONTENT,  # too big for the system
    "5.6.7": Refusal.UNSUPPORTED,  # non-ASCII address (RFC 6531)
}
BY_SUBJECT = {
    "2": Refusal.MAILBOX,
    "5": Refusal.CONTENT,
    "6": Refusal.CONTENT,
    "7": Refusal.POLICY,
}


def _by_code(code: int, phase: Phase) -> Refusal:
    """A bare code says little; an address is never suppressed for it at once."""
    if phase is Phase.MAIL:
        return Refusal.POLICY
    if code == 552 or phase is Phase.DOT or 500 <= code <= 504:
        return Refusal.CONTENT
    if phase is Phase.RCPT and code in {550, 551, 553}:
        return Refusal.MAILBOX
    return Refusal.REFUSED


def _settled(
    outcome: Outcome,
    delivery: Delivery,
    state: DeliveryState,
    reason: str | None = None,
    *,
    counted: bool = False,
    not_before: datetime | None = None,
    suppress: str | None = None,
    soft: bool = False,
) -> Settlement:
    token, state = delivery.lease_token or "", ending(delivery, state)
    return Settlement(
        delivery.key, token, state, outcome, reason, counted, not_before, suppress, soft
    )


def ending(delivery: Delivery, state: DeliveryState) -> DeliveryState:
    """The state in which a delivery really ends. A letter that is sent once more after `unknown`
    may have arrived by its first try: its second one can prove that, and never the contrary."""
    lost = state in {DeliveryState.EXPIRED, DeliveryState.FAILED}
    return DeliveryState.UNKNOWN if delivery.resends and lost else state


# ------------------------------------------------------------------ outcomes that no relay told


def unheard(outcome: Outcome) -> bool:
    """The relay could not even be asked, or would not listen to us: the same letter is tried
    again, by another relay where there is one."""
    ours = outcome.phase is Phase.CONNECT or outcome.code in CONFIGURATION
    return outcome.kind is OutcomeKind.RETURNED and ours


def unwritable(error: Exception) -> Outcome:
    """A letter that cannot be rendered was never offered to anybody."""
    said = str(error) if isinstance(error, DigestError) else repr(error)
    return Outcome(OutcomeKind.REFUSED, Phase.CONNECT, None, None, said[:500])


def raised(error: Exception, in_body: bool) -> Outcome:
    """A transport that raises has said nothing; what that means depends on the body alone."""
    kind = OutcomeKind.UNKNOWN if in_body else OutcomeKind.RETURNED
    phase = Phase.BODY if in_body else Phase.MAIL
    return Outcome(kind, phase, None, None, repr(error)[:500])


def cut_off(in_body: bool) -> Outcome:
    """A letter that was marked as going out when we ended its lane."""
    if in_body:
        kind, text = OutcomeKind.UNKNOWN, "we stopped before the relay answered"
    else:
        kind, text = OutcomeKind.RETURNED, "we stopped before the body"
    return Outcome(kind, Phase.BODY, None, None, text)
