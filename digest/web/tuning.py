"""Pure: what a reader may say about a paper's authors and words, and what it makes of a profile.

A link that rates papers opens no more than its paper: it follows only people who wrote it and
mutes only words that are in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from digest.errors import Refused
from digest.model import Paper, Profile
from digest.profiles.names import SURE, alike, spellings
from digest.profiles.shelf import Shelf
from digest.profiles.stems import stems
from digest.render.words import plain
from digest.text import words

FIRST, LAST, TERMS = 6, 2, 8  # authors from either end of the list, words of the title
LONGEST, LONGEST_WORD = 200, 40  # characters of a name or a term; of one offered

_WORD = re.compile(r"[^\W\d_](?:[\w'’‐‑-]*\w)?")
_NOBODY_MINDS = frozenset(
    words(
        "about across against after all also among and any are based before being between beyond "
        "both but can does during each for from has have how inside into its more most not onto "
        "only other our out over own per same should some such than that the their them then there "
        "these they this those through together too toward towards under until upon using versus "
        "very via was were what when where whether which while who whom whose why will with within "
        "without you your"
    )
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the page offers. `authors`: (name as printed, whether they are followed); `terms` to
    mute; `muted`: those of the profile that are in the paper."""

    authors: Sequence[tuple[str, bool]]
    more_authors: int
    terms: Sequence[str]
    muted: Sequence[str]


def offer(paper: Paper, profile: Profile) -> Offer:
    """What can be said of this paper, and what was said already."""
    named = [name for name in dict.fromkeys(map(tidy, paper.authors)) if spellings(name)]
    shown = named if len(named) <= FIRST + LAST else [*named[:FIRST], *named[-LAST:]]
    muted = [term for term in profile.mute_terms if _holds(paper, term)]
    return Offer(
        [(name, any(_is(entry, name) for entry in profile.follow_authors)) for name in shown],
        len(named) - len(shown),
        _terms(paper, profile),
        muted,
    )


def _terms(paper: Paper, profile: Profile) -> list[str]:
    """Words of the title that may say something, in order, none that is muted."""
    known = {stems(term) for term in profile.mute_terms} | {()}
    found: dict[tuple[str, ...], str] = {}
    for word in _WORD.findall(plain(paper.title)):
        if 2 < len(word) <= LONGEST_WORD and word.lower() not in _NOBODY_MINDS:
            found.setdefault(stems(word), word)
    return list(islice((word for root, word in found.items() if root not in known), TERMS))


# ------------------------------------------------------------------ what is said


def tidy(text: str) -> str:
    """On one line, with single blanks."""
    return " ".join(plain(text).split())


def follow(paper: Paper, profile: Profile, name: str) -> Profile:
    """With this author of the paper followed. Raises Refused for anybody else."""
    _must_be_author(paper, name)
    if any(_is(entry, name) for entry in profile.follow_authors):
        return profile
    return replace(profile, follow_authors=(*profile.follow_authors, name))


def unfollow(paper: Paper, profile: Profile, name: str) -> Profile:
    """The same taken back."""
    _must_be_author(paper, name)
    left = tuple(entry for entry in profile.follow_authors if not _is(entry, name))
    return replace(profile, follow_authors=left)


def mute(paper: Paper, profile: Profile, term: str) -> Profile:
    """With these words of the paper muted. Raises Refused for words that are not in it."""
    _must_be_there(paper, term)
    if any(stems(entry) == stems(term) for entry in profile.mute_terms):
        return profile
    return replace(profile, mute_terms=(*profile.mute_terms, term))


def unmute(paper: Paper, profile: Profile, term: str) -> Profile:
    """The same taken back."""
    _must_be_there(paper, term)
    left = tuple(entry for entry in profile.mute_terms if stems(entry) != stems(term))
    return replace(profile, mute_terms=left)


ACTS: dict[str, Callable[[Paper, Profile, str], Profile]] = {
    "follow": follow,
    "unfollow": unfollow,
    "mute": mute,
    "unmute": unmute,
}


def _must_be_author(paper: Paper, name: str) -> None:
    if name not in map(tidy, paper.authors):
        raise Refused("This name is not among the paper's authors.")


def _must_be_there(paper: Paper, term: str) -> None:
    if not stems(term) or len(term) > LONGEST or not _holds(paper, term):
        raise Refused("These words are not in its title or abstract. Copy some that are.")


def _is(entry: str, printed: str) -> bool:
    return alike(entry, printed) == SURE


def _holds(paper: Paper, term: str) -> bool:
    return bool(Shelf([paper]).holding(term))
