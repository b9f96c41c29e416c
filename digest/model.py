"""THE WORDS: the frozen values and enums that the rooms hand each other. Imports nothing of ours.

Times are timezone-aware UTC `datetime`s. Paper ids are canonical: `arxiv:2401.01234`,
`doi:10.1101/2024.01.01.573000` or `sha:<16 hex digits>` (title and authors). A `key` is a row's
integer key in the store and never leaves this installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

# ---------------------------------------------------------------- sources and papers


class Verdict(StrEnum):
    """How one fetch of one source ended."""

    OK = "ok"  # new or known papers came
    QUIET = "quiet"  # answered properly, nothing new, and that is plausible
    NOT_MODIFIED = "not_modified"  # the server said 304
    HOLIDAY = "holiday"  # the source does not announce on this day
    LATE = "late"  # today's announcement is expected and not there yet
    STALE = "stale"  # repeats what was already seen, whatever its date says
    SHORT = "short"  # far fewer papers than usual
    EMPTY = "empty"  # no papers although some were expected
    PARSE_FAILED = "parse_failed"
    HTTP_ERROR = "http_error"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    REFUSED = "refused"  # we refused to ask: private address, bad URL, missing file

    @property
    def healthy(self) -> bool:
        """True where no reader can have lost a paper."""
        return self in {Verdict.OK, Verdict.QUIET, Verdict.NOT_MODIFIED, Verdict.HOLIDAY}


class Announce(StrEnum):
    """Why a source lists a paper."""

    NEW = "new"
    CROSS = "cross"
    REPLACE = "replace"
    REPLACE_CROSS = "replace-cross"
    LISTED = "listed"  # shown by a curated page, e.g. Hugging Face daily papers


@dataclass(frozen=True, slots=True)
class Listing:
    """One work as one source shows it, cleaned: Unicode text, no markup, no TeX.

    `ids` holds every id the source knows, canonical candidates first; none may be empty.
    """

    ids: tuple[str, ...]
    title: str
    abstract: str = ""
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    published: date | None = None  # what it claims; never used to select papers
    version: int = 1
    announce: Announce = Announce.NEW
    links: Mapping[str, str] = field(default_factory=dict)
    signals: Mapping[str, float] = field(default_factory=dict)  # e.g. {"upvotes": 12}


@dataclass(frozen=True, slots=True)
class BadEntry:
    """An entry that could not be read: its bytes (bounded) and the reason."""

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one source said in one fetch. `cursor` replaces the source's stored cursor."""

    verdict: Verdict
    message: str = ""
    listings: tuple[Listing, ...] = ()
    backfill: tuple[Listing, ...] = ()  # from another endpoint, for a gap
    bad: tuple[BadEntry, ...] = ()
    cursor: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceReport:
    """One line of `digest ingest --json`."""

    source: str
    verdict: Verdict
    fetched: int = 0
    new: int = 0
    revised: int = 0
    backfilled: int = 0
    quarantined: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What the operator is told of a source: that it turned bad, or is `well` again."""

    source: str
    at: datetime
    well: bool
    verdict: Verdict
    message: str = ""
    since: datetime | None = None  # last well, or when it turned bad; None: never, or not known


@dataclass(frozen=True, slots=True)
class Paper:
    """One work under one canonical id, as of one revision."""

    id: str
    title: str
    abstract: str = ""
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    published: date | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    signals: Mapping[str, float] = field(default_factory=dict)  # latest value of each
    other_ids: tuple[str, ...] = ()
    first_seen: datetime | None = None  # None: announced by no source of ours
    revision: int = 1  # counts the stored texts of this paper, from 1
    key: int = 0


# ---------------------------------------------------------------- people


class SubscriberState(StrEnum):
    PENDING = "pending"  # asked, not confirmed
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class EndReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    ADMIN = "admin"
    ERASED = "erased"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class Act(StrEnum):
    """What a line of a person's consent record says happened."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    IMPORTED = "imported"
    CHANGED = "changed"
    PAUSED = "paused"
    RESUMED = "resumed"
    ENDED = "ended"
    ERASED = "erased"


class Frequency(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Cadence:
    """When a person's letters come: at a local hour, on a day, in an IANA zone.

    `day`: weekly: an index into WEEKDAYS; monthly: 1..28, or -1 for the last day; daily: 0.
    """

    frequency: Frequency = Frequency.WEEKLY
    day: int = 0
    hour: int = 8
    zone: str = "UTC"


class Floor(StrEnum):
    RELAXED = "relaxed"
    NORMAL = "normal"
    STRICT = "strict"


class QuietWeeks(StrEnum):
    SKIP = "skip"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Term:
    """A soft term of a profile, as written, with its weight (`distillation^2` has 2)."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Interest:
    """One named interest. `query` is boolean and required; `terms` and `seeds` only rank."""

    name: str
    query: str = ""
    terms: Sequence[Term] = ()
    seeds: tuple[str, ...] = ()
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a subscriber wants (the profile file of the contract), defaults filled in."""

    cadence: Cadence = Cadence()
    budget: int = 12
    floor: Floor = Floor.NORMAL
    quiet_weeks: QuietWeeks = QuietWeeks.SKIP
    revisions: bool = False  # mention new versions and publications of works that were sent
    trending: int = 3
    interests: tuple[Interest, ...] = ()
    follow_authors: tuple[str, ...] = ()
    mute_terms: tuple[str, ...] = ()
    mute_authors: tuple[str, ...] = ()
    mute_categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of papers: canonical ids; `liked_at`: when, of each like (none: now)."""

    likes: tuple[str, ...] = ()
    dislikes: tuple[str, ...] = ()
    liked_at: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An address and its life. `window_since` is where the next window opens (None: not yet)."""

    key: int
    email: str
    state: SubscriberState
    cadence: Cadence
    created_at: datetime
    reason: str | None = None
    confirmed_at: datetime | None = None
    paused_until: datetime | None = None
    window_since: datetime | None = None
    next_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """One line of the consent record: what happened, when, by which door, with what evidence."""

    at: datetime
    act: Act
    door: str  # web | cli | one_click | import | mail | provider
    evidence: str = ""


# ---------------------------------------------------------------- matches and editions


class ReasonKind(StrEnum):
    """Why a paper matches. `Reason.what` and `Reason.where` are true by construction."""

    TERM = "term"  # what: the paper's own words; where: title | abstract
    QUERY = "query"  # what: the words of the paper that met the query; where as above, or authors
    AUTHOR = "author"  # what: the followed author as the paper spells the name
    SEED = "seed"  # what: the id of the seed or liked paper it is close to
    CATEGORY = "category"  # what: the category
    SHARED = "shared"  # what, where (authors | categories): also of `value` papers the person likes
    READERS = "readers"  # what: a seed or liked paper, or ""; value: its readers here, at least 5
    MEANING = "meaning"  # near what the person likes by the site's language model; names nothing
    VOTES = "votes"  # value: upvotes
    MISSED = "missed"  # what: day of a letter without it (where: letter) or none; value: votes then
    EVERYTHING = "everything"  # the person asked for every paper


@dataclass(frozen=True, slots=True)
class Reason:
    kind: ReasonKind
    what: str = ""
    where: str = ""
    value: float = 0.0

    def __hash__(self) -> int:  # asked for every reason of every letter; an enum's own is slow
        return hash((self.what, self.where, self.value))


@dataclass(frozen=True, slots=True)
class Match:
    """A paper for one person, in an interest's section or one of those below; reasons are true."""

    paper: Paper
    section: str
    score: float
    reasons: Sequence[Reason]  # may be worked out only when looked at: most never are


FOLLOWED = "Authors you follow"
TRENDING = "Trending near your interests"
MOST_VOTED = "Most upvoted"  # trending, for whoever names no interest to be near
MISSED = "What you missed"  # trending now, and skipped when it was new
LIKED = "Like papers you liked"  # likes that fit none of the interests
BY_VOTES = frozenset({TRENDING, MOST_VOTED, MISSED})  # sections that share the trending allowance


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open time [since, until) of first sight that an edition covers."""

    since: datetime
    until: datetime


class EditionState(StrEnum):
    QUEUED = "queued"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    NO_NEW_PAPERS = "no_new_papers"  # nothing was first seen in this window
    NOTHING_GOOD_ENOUGH = "nothing_good_enough"  # candidates, none above the floor
    EMPTY_PROFILE = "empty_profile"  # no interest, no follow, no trending: nothing to match
    SUPPRESSED = "suppressed"  # the address takes no mail
    PROFILE_FAILED = "profile_failed"  # the profile could not be read; quarantined, named


Pin = tuple[str, int]
"""A paper's id and a revision of its text: what a letter shows never changes."""


@dataclass(frozen=True, slots=True)
class EditionPaper:
    """One paper of an edition's content: small data, pinned to a revision of the text."""

    id: str
    revision: int
    section: str
    score: float
    reasons: tuple[Reason, ...]
    similar: tuple[Pin, ...] = ()  # papers that say nearly the same: only named, below it


@dataclass(frozen=True, slots=True)
class Content:
    """An edition's content. `considered` papers were new; `near` scored just below the floor."""

    papers: tuple[EditionPaper, ...] = ()
    considered: int = 0
    near: int = 0
    over_budget: int = 0  # good enough, but beyond the budget or a quota
    notices: tuple[str, ...] = ()  # honest lines, e.g. about a source that failed
    unfitted: int = 0  # of those beyond the budget, by followed authors

    @property
    def pins(self) -> tuple[Pin, ...]:
        """Every paper that the letter shows, be it by its title alone."""
        return tuple(pin for p in self.papers for pin in ((p.id, p.revision), *p.similar))


@dataclass(frozen=True, slots=True)
class Edition:
    """What one subscriber is owed for one window; exactly one."""

    subscriber: str  # address
    window: Window
    state: EditionState
    made_at: datetime
    reason: SkipReason | None = None
    content: Content = Content()
    next_due: datetime | None = None  # when the one after this closes
    key: int = 0
    subscriber_key: int = 0


# ---------------------------------------------------------------- letters and deliveries


class LetterKind(StrEnum):
    DIGEST = "digest"
    CONFIRMATION = "confirmation"
    NOTICE = "notice"  # to the site's operator: a source turned bad, or is well again


@dataclass(frozen=True, slots=True)
class Letter:
    """Bytes and envelope, ready for a transport. `raw` has CRLF line ends and no line over 998;
    `stuffed`: nor a line that begins with a dot, so that DATA takes it as it is."""

    recipient: str
    mail_from: str
    message_id: str
    subject: str
    raw: bytes
    stuffed: bool = False


class DeliveryState(StrEnum):
    QUEUED = "queued"  # due at not_before
    LEASED = "leased"  # a worker holds it
    SENDING = "sending"  # its body is going out (committed before the first byte)
    ACCEPTED = "accepted"  # the next hop owns it
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    UNKNOWN = "unknown"  # cut after the body: neither side can know
    BOUNCED = "bounced"
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The life of one letter."""

    key: int
    kind: LetterKind
    recipient: str
    message_id: str
    state: DeliveryState
    created_at: datetime
    subscriber_key: int  # 0: to the operator, who need not be a subscriber
    edition_key: int | None = None
    reason: str | None = None
    attempts: int = 0
    not_before: datetime | None = None
    expires_at: datetime | None = None
    lease_token: str | None = None
    code: int | None = None
    text: str | None = None
    resends: int = 0  # times it was sent again after `unknown`
    relay: str | None = None  # where its body went last, or who answered last
    changed_at: datetime | None = None  # since when it is in this state


class Phase(StrEnum):
    """How far a conversation had come when it ended."""

    CONNECT = "connect"  # connecting, TLS, EHLO, AUTH
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # before the 354
    BODY = "body"  # after the 354: bytes may be on the wire
    DOT = "dot"  # a reply to the final dot came


class OutcomeKind(StrEnum):
    """What a transport said of one letter."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"  # later: certainly not accepted now
    REFUSED = "refused"  # never: certainly not accepted
    UNKNOWN = "unknown"  # cut after the body, no reply
    RETURNED = "returned"  # nothing was said of this letter: relay down, cut before the body
    WITHDRAWN = "withdrawn"  # consent was gone before the body; nothing went out


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back for one letter: kind, phase, and the reply (code, `5.1.1`, text)."""

    kind: OutcomeKind
    phase: Phase
    code: int | None = None
    enhanced: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What deliver decided to write about one leased delivery after an outcome.

    `counted`: the attempt counts against the retry schedule. `suppress`: the address takes no
    more mail, and why; `soft`: count one soft failure of the address instead.
    """

    key: int
    token: str  # the lease's fencing token: an outdated one writes nothing
    state: DeliveryState
    outcome: Outcome
    reason: str | None = None
    counted: bool = False
    not_before: datetime | None = None
    suppress: str | None = None
    soft: bool = False
    relay: str | None = None  # who said it; None: nobody was asked


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that takes no mail, since when and why."""

    address: str
    reason: str
    at: datetime
