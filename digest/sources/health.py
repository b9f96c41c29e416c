"""pure: what a fetch was worth, judged by what came and what was known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median

from digest.model import Fetched, Verdict

ENOUGH = 4  # earlier counts of a weekday without which it has no usual count
SHORT = 0.7  # of the usual count
ENOUGH_DAYS = 5  # earlier counts of any weekday, to fall back on
VERY_SHORT = 0.5  # of their median, since weekdays differ
FRESH = 0.2  # of what is shown must be unseen, else it repeats itself
SILENT_DAYS = 60  # after which a feed without a calendar is called stale


@dataclass(frozen=True, slots=True)
class Came:
    """What one fetch brought, and what was known before it.

    `answer`: how transport and parser ended. `shown`: new papers it shows, `unseen`: those of
    them that this source did not show before. Of a source that announces by a calendar: `day`,
    the announcement it says it shows; `last`, the last one taken; `expected`, the one that should
    be out; `holiday`, no announcement today; `usual`, earlier counts of that weekday, and `any_day`
    of all weekdays.
    `silent_days`: since it last showed anything unseen.
    """

    answer: Verdict = Verdict.OK
    message: str = ""
    shown: int = 0
    unseen: int = 0
    day: date | None = None
    last: date | None = None
    expected: date | None = None
    holiday: bool = False
    usual: Sequence[int] = ()
    any_day: Sequence[int] = ()
    silent_days: int = 0

    @property
    def behind(self) -> bool:
        """An announcement is expected that was not taken yet."""
        return self.expected is not None and (self.last is None or self.last < self.expected)


def judge(came: Came) -> tuple[Verdict, str]:
    """The verdict and its reason in a few words."""
    if came.answer not in {Verdict.OK, Verdict.NOT_MODIFIED}:
        return came.answer, came.message
    if came.answer is Verdict.NOT_MODIFIED:
        return _unchanged(came)
    if came.shown == 0:
        return _nothing(came)
    if came.unseen == 0 or (came.behind and came.unseen < came.shown * FRESH):
        return _repeated(came)
    if came.expected and came.day and came.day < came.expected:
        return Verdict.LATE, f"shows {came.day}; {came.expected} is not there yet"
    if usual := _usual_if_short(came):
        return Verdict.SHORT, f"{came.shown} papers where {usual:g} are usual"
    return Verdict.OK, came.message


def of_what_was_read(fetched: Fetched, before: Mapping[str, str]) -> Fetched:
    """`fetched`, or that most of its entries could not be read: then it is no quiet day, whatever
    its kind says, and its cursor stays `before`, so that all of it is asked for again."""
    read = len(fetched.listings) + len(fetched.backfill)
    trusted = fetched.verdict.healthy or fetched.verdict is Verdict.EMPTY
    if not trusted or len(fetched.bad) <= read:
        return fetched
    all_ = f"{len(fetched.bad):,} of {read + len(fetched.bad):,} entries"
    why = f"{all_} could not be read ({fetched.bad[0].reason}): they are in quarantine"
    return replace(fetched, verdict=Verdict.PARSE_FAILED, message=why, cursor=dict(before))


def _usual_if_short(came: Came) -> float:
    """The usual count where this one is far below it; else 0."""
    if len(came.usual) >= ENOUGH:
        usual, share = median(came.usual), SHORT
    elif len(came.any_day) >= ENOUGH_DAYS:
        usual, share = median(came.any_day), VERY_SHORT
    else:
        return 0.0
    return float(usual) if came.shown < usual * share else 0.0


def _unchanged(came: Came) -> tuple[Verdict, str]:
    if came.behind and not came.holiday:
        return Verdict.LATE, f"unchanged; {came.expected} is not there yet"
    return _silent(came) or (Verdict.NOT_MODIFIED, "")


def _nothing(came: Came) -> tuple[Verdict, str]:
    if came.holiday:
        return Verdict.HOLIDAY, "no announcement today"
    if came.expected is None:
        return Verdict.EMPTY, "shows nothing at all"
    if not came.behind:
        return Verdict.QUIET, ""
    if came.day and came.day < came.expected:
        return Verdict.LATE, f"empty, and {came.expected} is not there yet"
    return Verdict.EMPTY, f"no new papers on {came.expected}, when some were expected"


def _repeated(came: Came) -> tuple[Verdict, str]:
    if came.holiday:
        return Verdict.HOLIDAY, "no announcement today"
    if not came.behind:
        return _silent(came) or (Verdict.QUIET, "")
    if came.day and came.last and came.day <= came.last:
        return Verdict.LATE, f"still shows {came.day}; {came.expected} is not there yet"
    again = came.shown - came.unseen
    return Verdict.STALE, f"repeats {again} of {came.shown} papers as if they were new"


def _silent(came: Came) -> tuple[Verdict, str] | None:
    if came.expected is None and came.silent_days > SILENT_DAYS:
        return Verdict.STALE, f"has shown nothing new for {came.silent_days} days"
    return None
