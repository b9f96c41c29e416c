"""Pure: how fast letters may go to one recipient domain. Times are seconds of a monotonic clock.

A domain begins with half of the lanes and gets more while its letters end quickly (as Postfix
does), so one that is slow never holds all of them. One that says "too fast" rests, then gets fewer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from digest.deliver.decide import BUSY, DEFAULT, Jitter
from digest.deliver.policy import Policy
from digest.deliver.relay import turn
from digest.model import Outcome, OutcomeKind, Phase

SAME = {  # one provider, one limit
    "googlemail.com": "gmail.com",
    **dict.fromkeys(("hotmail.com", "live.com", "msn.com", "hotmail.co.uk"), "outlook.com"),
    **dict.fromkeys(("hotmail.fr", "hotmail.de", "live.fr", "outlook.de"), "outlook.com"),
    **dict.fromkeys(("ymail.com", "rocketmail.com", "aol.com", "yahoo.co.uk"), "yahoo.com"),
    **dict.fromkeys(("yahoo.co.in", "yahoo.fr", "yahoo.de", "yahoo.es"), "yahoo.com"),
    **dict.fromkeys(("me.com", "mac.com"), "icloud.com"),
    **dict.fromkeys(("gmx.de", "web.de", "gmx.at", "gmx.ch", "mail.com"), "gmx.net"),
    **dict.fromkeys(("protonmail.com", "pm.me"), "proton.me"),
    **dict.fromkeys(("foxmail.com",), "qq.com"),
}
_TOO_FAST = re.compile(
    r"too (?:many|fast|quick|much)|rate.?limit|throttl|exceeded|unusual rate|slow down|temporarily"
    r" deferred|concurren",
    re.IGNORECASE,
)
_GREY = re.compile(r"gr[ea]y.?list", re.IGNORECASE)
SLOW = 5.0  # seconds, smoothed: such a domain gets half of the lanes at most
FEW = 20  # letters in hand that a limited domain may always have


def domain_of(recipient: str) -> str:
    """The domain whose limit counts."""
    domain = recipient.rpartition("@")[2].lower()
    return SAME.get(domain, domain)


def too_fast(outcome: Outcome) -> bool:
    """True where a reply about the recipient says that letters come too fast: 421, 450 or 451 with
    4.7.x (Gmail's 4.7.28), or such words. Grey lists look alike, and are about one letter."""
    if outcome.code not in {BUSY, 450, 451, 452} or outcome.phase not in {Phase.RCPT, Phase.DOT}:
        return False
    if _GREY.search(outcome.text) or (outcome.enhanced or "").startswith("4.2."):
        return False  # 4.2.x is about one mailbox
    return (outcome.enhanced or "").startswith("4.7.") or bool(_TOO_FAST.search(outcome.text))


@dataclass(frozen=True, slots=True)
class Limit:
    """What a site grants one domain. 0: no limit."""

    lanes: int = 0
    per_minute: int = 0


@dataclass(slots=True)
class DomainState:
    """How one domain is doing."""

    most: int  # letters on their way at once
    first: int  # the same for a domain of which nothing is known, or that is slow
    per_minute: int
    open: int  # the same for now
    active: int = 0
    waiting: int = 0  # letters in hand that have not started
    failures: int = 0
    until: float = 0.0  # rests until then
    next_at: float = 0.0
    booked: float = 0.0  # until when letters that were put off have their turn
    seconds: float = 1.0  # that a letter takes, smoothed

    def wait(self, at: float) -> float:
        """Seconds until one more letter may start; infinite: until one has ended."""
        soonest = max(self.until, self.next_at)
        if at < soonest:
            return soonest - at
        return 0.0 if self.active < self.open else float("inf")

    def begin(self, at: float) -> None:
        self.active += 1
        if self.per_minute:
            self.next_at = turn(self.next_at, at) + 60 / self.per_minute

    @property
    def interval(self) -> float:
        """Seconds from one letter to the next."""
        paced = 60 / self.per_minute if self.per_minute else 0.0
        return max(paced, self.seconds / self.open)

    @property
    def slow(self) -> bool:
        return self.seconds > SLOW

    def unremarkable(self, at: float) -> bool:
        """Nothing is known of it that a new one would not have as well."""
        idle = not (self.active or self.waiting or self.failures or self.per_minute)
        return idle and self.open >= self.first and not self.slow and at >= self.until


@dataclass(slots=True)
class Domains:
    """All domains with letters in hand, and those with a history. `limits` by name as in
    `domain_of`; `usual` for all others."""

    lanes: int
    jitter: Jitter
    policy: Policy = DEFAULT
    usual: Limit = Limit()
    limits: Mapping[str, Limit] = field(default_factory=dict)
    known: dict[str, DomainState] = field(default_factory=dict)

    def of(self, name: str) -> DomainState:
        """What is known of this domain."""
        if (found := self.known.get(name)) is None:
            found = self.known[name] = self._new(name)
        return found

    def _new(self, name: str) -> DomainState:
        limit = self.limits.get(name, self.usual)
        most = min(limit.lanes or self.lanes, self.lanes)
        first = min(most, (self.lanes + 1) // 2)
        return DomainState(most, first, limit.per_minute, first)

    def left(self, name: str, at: float) -> None:
        """A letter is done, however it ended."""
        state = self.known[name]
        state.active -= 1
        if state.unremarkable(at):
            del self.known[name]

    def heard(self, name: str, outcome: Outcome, began: float, at: float) -> float:
        """What came of a letter: the seconds of a rest that begins now, else 0. Answers to
        letters that were on their way when the domain was told to rest say nothing new, and the
        time to reach a relay is not the domain's."""
        state, took = self.known[name], at - began
        if outcome.phase is Phase.CONNECT:
            return 0.0
        state.seconds += (took - state.seconds) / 8
        if state.slow:
            state.open = min(state.open, state.first)
        if outcome.kind is OutcomeKind.ACCEPTED:
            state.failures = 0
            if not state.slow and state.open < state.most:
                state.open += 1
        elif too_fast(outcome) and at >= state.until:
            return self._rest(state, at)
        return 0.0

    def _rest(self, state: DomainState, at: float) -> float:
        state.failures += 1
        state.open = max(1, state.open // 2)
        longest = self.policy.rest_first * 2.0 ** min(state.failures - 1, 30)
        spread = 0.5 + self.jitter() / 2
        rest = min(longest, self.policy.rest_most) * spread
        state.until = at + rest
        return rest

    def late(self, name: str, at: float, most: int) -> float | None:
        """Seconds after which one more letter had better be claimed again, where `most` are in
        hand or it would wait too long; None: keep it. Too early rather than too late, so that no
        turn is missed."""
        state = self.of(name)
        if not self._limited(state, at):
            return None
        rest = max(0.0, state.until - at)
        soon = max(FEW, int(self.policy.park / state.interval))
        if rest <= self.policy.park and state.waiting < min(most, soon):
            return None
        state.booked = max(state.booked, at + rest + state.waiting * state.interval / 2)
        state.booked += state.interval / 2
        return state.booked - at

    def _limited(self, state: DomainState, at: float) -> bool:
        """True where letters wait although lanes are free."""
        few = state.open < state.first or state.most < self.lanes or state.slow
        return few or bool(state.per_minute) or at < state.until
