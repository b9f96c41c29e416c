"""The phrases a letter is built from. All take cleaned or outside text and return clean text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from unicodedata import bidirectional

from digest.cadence import zone
from digest.model import (
    BY_VOTES,
    FOLLOWED,
    WEEKDAYS,
    Content,
    Edition,
    EditionPaper,
    Profile,
    Reason,
    ReasonKind,
    Window,
)
from digest.profiles.names import without_hints

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WIDTH = 72  # of the plain text

_SPACES = re.compile(r"\s+")
# Controls, what is no character at all, and what would turn round the text that follows (Trojan
# Source, CVE-2021-42574). Joiners and directional marks stay: scripts and emoji need them.
_NEVER = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def plain(text: str) -> str:
    """`text` on one line, without controls, surrogates or reversals of direction."""
    return text if text.isprintable() else _NEVER.sub("", _SPACES.sub(" ", text)).strip()


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, ended with … at a word's end where one is near."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    at_word = head.rfind(" ")
    return head[: at_word if at_word > limit * 0.6 else None].rstrip(" ,;:.-–—(") + "…"


def short_title(title: str, limit: int) -> str:
    """A long title's part before its colon where that says enough, cut to `limit` characters."""
    head, colon, _ = title.partition(": ")
    return cut(head if colon and len(title) > 48 and len(head) > 11 else title, limit)


def excerpt(text: str, limit: int) -> str:
    """The beginning of an abstract: up to the last whole sentence if that keeps most of it."""
    if len(text) <= limit:
        return text
    end = max(text.rfind(mark, 0, limit) for mark in (". ", "? ", "! ", "。"))
    return text[: end + 1] if end > limit * 0.7 else cut(text, limit)


def direction(text: str) -> str:
    """`rtl` where the first letter with a direction is Hebrew, Arabic or the like; else `ltr`."""
    if text.isascii():
        return "ltr"
    strong = (d for d in map(bidirectional, text) if d in {"L", "R", "AL"})
    return "ltr" if next(strong, "L") == "L" else "rtl"


def wrap(text: str, indent: str = "", width: int = WIDTH) -> str:
    """Lines of at most `width`, except where a word alone is longer; words are never broken."""
    room = width - len(indent)
    lines = []
    while len(text) > room:
        at = text.rfind(" ", 0, room + 1)
        at = at if at > 0 else text.find(" ", room)
        if at < 0:
            break
        lines.append(indent + text[:at].rstrip(" "))
        text = text[at + 1 :]
    return "\n".join([*lines, indent + text])


def counted(number: int, one: str, many: str = "") -> str:
    """`1 paper`, `1,204 papers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], shown: int) -> str:
    """`A, B and 7 more`; a single one too many is shown, since `1 more` is no shorter."""
    if len(names) <= shown + 1:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"


# ------------------------------------------------------------------ why a paper is there


@lru_cache(maxsize=1 << 14)
def _quoted(text: str) -> str:
    """In quotation marks; isolated where its direction would disturb the sentence around it."""
    text = plain(text)
    return f"“{text}”" if direction(text) == "ltr" else f"“\u2068{text}\u2069”"


@lru_cache(maxsize=64)
def _where(where: str) -> str:
    if where == "authors":
        return " among the authors"
    return f" in the {plain(where)}" if where else ""


def _seed(reason: Reason) -> str:
    name = plain(reason.what).removeprefix("arxiv:")
    return (
        f"close to {name}, which you liked"
        if reason.where == "liked"
        else (f"close to your seed {name}")
    )


def _readers(reason: Reason) -> str:
    """Of the site's readers there are five at least, or they are not counted."""
    if not reason.what:
        return "near what readers like who like the same papers as you"
    name = plain(reason.what).removeprefix("arxiv:")
    return f"near what the {round(reason.value)} readers here like who like {name}, as you do"


def _shared(reason: Reason) -> str:
    """An author or a category of papers that the reader likes."""
    one, name = reason.value == 1, plain(reason.what)
    liked = "a paper you like" if one else f"{reason.value:,.0f} papers you like"
    if reason.where == "authors":
        return f"by {name}, an author of {liked}"
    return f"in {name}, as {'is' if one else 'are'} {liked}"


@lru_cache(maxsize=1 << 14)
def reason_words(reason: Reason) -> str:
    """One reason in words, as `explain`, the letter and the site say it."""
    match reason.kind:
        case ReasonKind.TERM:
            return f"matches {_quoted(reason.what)}{_where(reason.where)}"
        case ReasonKind.QUERY:
            return f"meets your query with {_quoted(reason.what)}{_where(reason.where)}"
        case ReasonKind.AUTHOR:
            return f"by {plain(reason.what)}, whom you follow"
        case ReasonKind.SEED:
            return _seed(reason)
        case ReasonKind.READERS:
            return _readers(reason)
        case ReasonKind.MEANING:
            return "near in meaning to papers you like, as this site's language model reads it"
        case ReasonKind.CATEGORY:
            return f"in {plain(reason.what)}"
        case ReasonKind.SHARED:
            return _shared(reason)
        case ReasonKind.VOTES:
            return counted(round(reason.value), "upvote")
        case ReasonKind.MISSED:
            return _missed(reason)
        case ReasonKind.EVERYTHING:
            return "you asked for every paper"


def _missed(reason: Reason) -> str:
    """`2 upvotes counted when your letter of 8 September 2025 went without it`."""
    try:
        day = day_words(date.fromisoformat(reason.what))
    except ValueError:
        day = plain(reason.what)
    votes = counted(round(reason.value), "upvote") if reason.value else "no upvote"
    if not reason.where:
        return f"{votes} counted on {day}, when no letter came"
    return f"{votes} counted when your letter of {day} went without it"


def why_words(reasons: Iterable[Reason]) -> str:
    """All reasons of a paper on one line; words found in the same field are said together."""
    phrases: list[str] = []
    last: Reason | None = None
    for reason in reasons:
        if last is not None and last.kind is reason.kind and _together(last, reason):
            ending = _where(reason.where)
            phrases[-1] = f"{phrases[-1].removesuffix(ending)}, {_quoted(reason.what)}{ending}"
        else:
            phrases.append(reason_words(reason))
        last = reason
    return "\u00a0· ".join(phrases)  # the dot never begins a line


def _together(one: Reason, other: Reason) -> bool:
    """Of two of one kind."""
    words = one.kind is ReasonKind.TERM or one.kind is ReasonKind.QUERY
    return words and one.where == other.where


# ------------------------------------------------------------------ when


def day_words(day: date) -> str:
    """`8 September 2025`, whatever the locale of the machine."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


@lru_cache(maxsize=1024)
def moment_words(at: datetime, zone_name: str) -> str:
    """`Monday 8 September 2025, 08:00`, there."""
    there = at.astimezone(zone(zone_name))
    return f"{WEEKDAYS[there.weekday()].capitalize()} {day_words(there)}, {there:%H:%M}"


@lru_cache(maxsize=1024)
def period_words(window: Window, zone_name: str) -> str:
    """`1 – 8 September 2025`, there."""
    there = zone(zone_name)
    first, last = window.since.astimezone(there), window.until.astimezone(there)
    if first.date() == last.date():
        return day_words(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} – {day_words(last)}"
    start = day_words(first) if first.year != last.year else day_words(first)[:-5]
    return f"{start} – {day_words(last)}"


def span_word(window: Window) -> str:
    """What the window is to its reader. It follows the window and not the cadence, because a
    window after a pause or an outage is longer."""
    length = window.until - window.since
    if length <= timedelta(hours=36):
        return "day"
    if length <= timedelta(days=9):
        return "week"
    return "month" if timedelta(days=27) < length < timedelta(days=33) else "time"


# ------------------------------------------------------------------ what is in the letter


def heading_words(edition: Edition) -> str:
    """The letter's one h1."""
    span = span_word(edition.window)
    if not edition.content.papers:
        return f"A quiet {span}"
    return "Your papers" if span == "time" else f"Your {span} in papers"


def preheader_words(edition: Edition, zone_name: str) -> str:
    """The visible first line, 40 to 110 characters: what is in this letter."""
    content, since = edition.content, _since(edition.window, zone_name)
    if not content.papers:
        return _quiet_words(content, since)
    line = f"{counted(len(content.papers), 'paper')} {_from_new(content)} since {since}"
    followed = sum([_is_followed(paper) for paper in content.papers])
    if not followed:
        return line
    return f"{line}, {followed:,} by {'people' if followed > 1 else 'somebody'} you follow"


@lru_cache(maxsize=1024)
def _since(window: Window, zone_name: str) -> str:
    there = window.since.astimezone(zone(zone_name))
    weekday = WEEKDAYS[there.weekday()].capitalize()
    return f"{weekday} {there.day} {MONTHS[there.month - 1]}"


def _from_new(content: Content) -> str:
    known = content.considered >= len(content.papers)
    return f"from {counted(content.considered, 'new one')}" if known else "chosen for you"


def _quiet_words(content: Content, since: str) -> str:
    if not content.considered:
        return f"No new papers have come in since {since}"
    if content.considered == 1:
        return f"The one new paper since {since} was not close enough"
    return f"None of {content.considered:,} new papers since {since} came close enough"


def _is_followed(paper: EditionPaper) -> bool:
    kinds = [reason.kind for reason in paper.reasons]
    return paper.section == FOLLOWED or ReasonKind.AUTHOR in kinds


def near_words(content: Content) -> str:
    """How floor and budget worked: `16 papers were good enough, the best 9 are here; 31 more came
    close.` Papers that are only trending passed no floor and are not counted. May be empty."""
    own = sum(paper.section not in BY_VOTES for paper in content.papers)
    good = own + content.over_budget
    said = f"{counted(good, 'paper was', 'papers were')} good enough" if good else ""
    if content.over_budget:
        said += f", the best {own:,} are here" if own > 1 else ", the best one is here"
    close = f"{content.near:,} more" if good else counted(content.near, "paper")
    near = f"{close} came close" if content.near else ""
    left = f"{content.unfitted:,} by people you follow did not fit" if content.unfitted else ""
    shown = content.over_budget or content.near or left
    return "; ".join(part for part in (said, left, near) if part) + "." if shown else ""


# ------------------------------------------------------------------ what was asked for


def profile_words(profile: Profile) -> str:
    """What a profile asks for, in one line, for confirmations and lists; `describe` of its cadence
    says when."""
    names = [cut(plain(interest.name), 40) for interest in profile.interests]
    people = [cut(_name_first(plain(without_hints(name))), 40) for name in profile.follow_authors]
    about = listed(names, 4) if names else "popular papers"
    if people:
        about += f"; papers by {listed(people, 3)}"
    return f"{about}; at most {counted(profile.budget, 'paper')} in one letter"


def _name_first(name: str) -> str:
    """`Song, Yang` as `Yang Song`."""
    last, comma, first = name.partition(", ")
    return f"{first} {last}" if comma and first else name
