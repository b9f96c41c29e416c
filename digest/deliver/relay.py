"""Pure: what came back -> how to treat the relay. Times are seconds of a monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

from digest.deliver.decide import BUSY, DEFAULT, Jitter, Refusal, refusal, why_returned
from digest.deliver.policy import Policy
from digest.model import Outcome, OutcomeKind, Phase

GROWTH = 20  # letters accepted by each open lane before one more is opened
LATE = 0.05  # seconds that a letter which starts late does not make the next one late


@dataclass(slots=True)
class RelayState:
    """How one relay is doing. May be kept from run to run, so that a dead relay is asked less and
    less often (`daemon`), or made anew for each (`digest deliver`).

    `tripped` names why a run must end: relay_down, relay_busy, relay_refuses, relay_full, cut,
    no_reply, policy, content ...; `said` holds the relay's words for the operator.
    """

    most: int  # lanes
    jitter: Jitter
    policy: Policy = DEFAULT
    per_minute: int = 0  # letters at most; 0: any number
    open: int = 0  # lanes in use at most; halved by 421, grows slowly
    active: int = 0
    failures: int = 0
    silent: int = 0  # letters in a row of which nobody can know
    broken: int = 0  # times in a row that it refused us, or our letters, too often
    until: float = 0.0  # nobody starts before
    next_at: float = 0.0  # when `per_minute` lets the next letter start
    era: int = 0  # counts troubles
    tripped: str = ""
    said: str = ""
    cuts: int = 0
    answers: int = 0
    policy_refusals: int = 0
    alike: tuple[str, int | None, str | None] | None = None
    equal: int = 0
    grown: int = 0

    def __post_init__(self) -> None:
        self.open = self.open or self.most

    def revive(self, at: float) -> bool:
        """Begin a run. False while the relay that ended the last one must still be left alone."""
        if at < self.until:
            return False
        self.tripped = ""
        self.answers = self.policy_refusals = self.equal = self.cuts = 0
        self.failures = min(self.failures, self.policy.relay_tries - 1)
        self.silent = min(self.silent, self.policy.relay_tries - 1)
        return True

    @property
    def doubtful(self) -> bool:
        """True from a trouble until the relay proves to be well: one lane alone tries it."""
        return bool(self.failures or self.silent or self.broken)

    def wait(self, at: float) -> float:
        """Seconds until one more lane may start a letter; 0 is now. A relay in trouble is tried
        by one lane alone."""
        soonest = max(self.until, self.next_at)
        if at < soonest:
            return soonest - at
        limit = 1 if self.doubtful else self.open
        return 0.0 if self.active < limit else 0.1

    def begin(self, at: float) -> int:
        """A lane starts a letter. Hand the number back to `heard`."""
        self.active += 1
        if self.per_minute:
            self.next_at = turn(self.next_at, at) + 60 / self.per_minute
        return self.era

    def left(self) -> None:
        """The lane is done with its letter, however it ended."""
        self.active -= 1

    def heard(self, outcome: Outcome, at: float, era: int) -> None:
        """What came of a letter. Trouble that began before the last trouble was known is the
        same trouble, and counts once."""
        if outcome.kind is OutcomeKind.UNKNOWN:
            self._silence(outcome, at, era)
        elif is_trouble(outcome):
            self._trouble(outcome, at, era)
        elif outcome.kind is OutcomeKind.RETURNED:
            self._cut(outcome, at, era)
        elif outcome.kind in ANSWERS:
            self._answer(outcome, at)

    def _silence(self, outcome: Outcome, at: float, era: int) -> None:
        """Nobody can know of this letter. A relay that takes bodies and never answers would turn
        a whole run into such letters."""
        if era != self.era or self.tripped:
            return
        self.silent += 1
        self._trouble(outcome, at, era)
        if self.silent >= self.policy.relay_tries:
            self.tripped = trouble_word(outcome)

    def _trouble(self, outcome: Outcome, at: float, era: int) -> None:
        if era != self.era or self.tripped:
            return
        self.era += 1
        self.failures += 1
        self.said = f"{outcome.code or ''} {outcome.text}".strip()
        gentle = outcome.code == BUSY and outcome.phase is not Phase.CONNECT
        if outcome.code == BUSY:
            self.open = max(1, self.open // 2)
            self.grown = 0
        self.until = at + self._backoff(self.failures - 1 if gentle else self.failures)
        if self.failures >= self.policy.relay_tries:
            self.tripped = trouble_word(outcome)

    def _backoff(self, failures: int) -> float:
        """0 for none, then 5 s, 10 s ... 5 min, each times jitter."""
        if failures < 1:
            return 0.0
        longest = self.policy.backoff_first * 2.0 ** min(failures - 1, 30)
        return min(longest, self.policy.backoff_most) * self.jitter()

    def _cut(self, outcome: Outcome, at: float, era: int) -> None:
        self.cuts += 1
        if self.cuts >= self.policy.cuts:
            self.cuts = 0
            self._trouble(outcome, at, era)

    def _answer(self, outcome: Outcome, at: float) -> None:
        """The relay spoke about a letter: it is alive."""
        self.failures = self.cuts = 0
        self.answers += 1
        if outcome.phase is Phase.DOT:
            self.silent = 0
        if outcome.kind is OutcomeKind.REFUSED:
            self._refused(outcome, refusal(outcome), at)
        elif outcome.kind is OutcomeKind.ACCEPTED:
            self.alike, self.equal, self.broken = None, 0, 0
            self._grow()

    def _grow(self) -> None:
        if self.open == self.most:
            return
        self.grown += 1
        if self.grown >= GROWTH * self.open:
            self.open, self.grown = self.open + 1, 0

    def _refused(self, outcome: Outcome, about: Refusal, at: float) -> None:
        """Refusals that tell of us, not of an address, must not go on for ever."""
        if about is Refusal.POLICY:
            self.policy_refusals += 1
            share = self.policy_refusals / self.answers
            enough = self.policy_refusals >= self.policy.policy_refusals
            if self.broken or (enough and share >= self.policy.policy_share):
                self._break(about, outcome, at)
        elif about in {Refusal.CONTENT, Refusal.REFUSED}:
            alike = (str(about), outcome.code, outcome.enhanced)
            self.equal = self.equal + 1 if alike == self.alike else 1
            self.alike = alike
            if self.broken or self.equal >= self.policy.equal_errors:
                self._break(about, outcome, at)

    def _break(self, about: Refusal, outcome: Outcome, at: float) -> None:
        """Each letter sent now would be lost for good. Later one letter alone tries, and one more
        such answer is enough; so a daemon loses few letters, however long nobody looks."""
        if self.tripped:
            return
        self.tripped = str(about)
        self.said = f"{outcome.code or ''} {outcome.text}".strip()
        longest = self.policy.break_first * 2.0 ** min(self.broken, 30)
        self.until = at + min(longest, self.policy.break_most)
        self.broken += 1


def turn(next_at: float, at: float) -> float:
    """When the letter that starts now should have started, for the sake of the next one."""
    return next_at if next_at <= at < next_at + LATE else at


ANSWERS = {OutcomeKind.ACCEPTED, OutcomeKind.DEFERRED, OutcomeKind.REFUSED}


def is_trouble(outcome: Outcome) -> bool:
    """True where the outcome tells of the relay and not of the letter."""
    if outcome.kind is OutcomeKind.RETURNED:
        return outcome.phase is Phase.CONNECT or outcome.code is not None
    return outcome.kind is OutcomeKind.DEFERRED and _full(outcome)


def _full(outcome: Outcome) -> bool:
    """452 4.3.x: its disk is full; 454: it cannot authenticate or encrypt for now."""
    return outcome.code == 454 or (
        outcome.code == 452 and (outcome.enhanced or "").startswith("4.3.")
    )


def trouble_word(outcome: Outcome) -> str:
    if outcome.kind is OutcomeKind.UNKNOWN:
        return "no_reply"
    if outcome.kind is OutcomeKind.DEFERRED and _full(outcome):
        return "relay_full"
    return why_returned(outcome)
