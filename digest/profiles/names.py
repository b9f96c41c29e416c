"""People's names: which spelling may mean whom, and how surely."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from digest.text import words

SURE = 1.0  # the given name is the same, or both give the same initials
MAYBE = 0.5  # one gives only an initial of the other

_PARTICLES = frozenset(
    words(
        "af al auf av bin da dal de del della den der des di do dos du el ibn la le of ten ter "
        "van vande vander vom von zu zum zur"
    )
)
_SUFFIXES = frozenset(("jr", "sr", "ii", "iii", "iv", "phd", "md"))
_SPELT_OUT = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name in natural order, folded; the last `family` words are the surname, the first
    `lead` are one hyphenated name (`Wei-Yao` has 2)."""

    words: tuple[str, ...]
    family: int
    lead: int = 1

    @property
    def given(self) -> tuple[str, ...]:
        return self.words[: len(self.words) - self.family]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as a profile names them, and what tells them from others of the same name: whom
    they write with, and in which categories. Any one of these hints is enough."""

    name: str
    beside: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def hinted(self) -> bool:
        return bool(self.beside or self.categories)


_HINTED = re.compile(r"(.*\S)\s*\(([^()]*:[^()]*)\)\s*", re.S)
_HINT = re.compile(r"\s*(\w+)\s*:\s*(.*\S)\s*", re.S)


@lru_cache(maxsize=50_000)
def read_person(text: str) -> Person:
    """`Wang, Wei (with: Jane Doe; cat: cs.LG)`. Raises ValueError for a hint that is none."""
    found = _HINTED.fullmatch(text)
    if found is None:
        return Person(text.strip())
    beside: list[str] = []
    categories: list[str] = []
    for hint in found[2].split(";"):
        said = _HINT.fullmatch(hint)
        if said and said[1].lower() == "with" and words(said[2]):
            beside.append(said[2])
        elif said and said[1].lower() == "cat":
            categories += [name for part in said[2].split(",") if (name := part.strip())]
        else:
            raise ValueError(f"{hint.strip()!r} is no hint; write (with: Jane Doe; cat: cs.LG)")
    return Person(found[1], tuple(beside), tuple(categories))


def without_hints(text: str) -> str:
    """The name alone."""
    found = _HINTED.fullmatch(text)
    return found[1] if found else text


@lru_cache(maxsize=100_000)
def spellings(text: str) -> tuple[Name, ...]:
    """The ways to read a name: `Song, Yang` is `Yang Song`; `Müller` is also `Mueller`. Hints
    are left out."""
    text = without_hints(text)
    texts = dict.fromkeys((text, text.translate(_SPELT_OUT)))
    return tuple(name for one in texts if (name := _read(one)) is not None)


@lru_cache(maxsize=100_000)
def alike(followed: str, printed: str) -> float:
    """How surely `printed` means the person `followed`: SURE, MAYBE or 0.

    Given names may be initials, joined (`Shao-Yuan`, `Shaoyuan`) or lack the middle ones; two
    given names that differ are two people. A name of one word is only that name, whole.
    """
    pairs = ((a, b) for a in spellings(followed) for b in spellings(printed))
    return max((_alike(a, b) for a, b in pairs), default=0.0)


def has_given_name(text: str) -> bool:
    """False for a surname alone, or a name of one word."""
    return any(name.given for name in spellings(text))


def _read(text: str) -> Name | None:
    parts = [
        (found, part)
        for part in text.split(",")
        if (found := words(part)) and not _is_suffix(found)
    ]
    if len(parts) > 1:
        (family, _), (given, written) = parts[:2]
        return Name((*given, *family), len(family), _lead(written))
    if not parts:
        return None
    whole, written = parts[0]
    while len(whole) > 1 and whole[-1] in _SUFFIXES:
        whole.pop()
    return Name(tuple(whole), _family_length(whole), _lead(written))


def _lead(written: str) -> int:
    return max(len(words(written.split()[0])), 1)


def _is_suffix(found: Sequence[str]) -> bool:
    return len(found) == 1 and found[0] in _SUFFIXES


def _family_length(found: Sequence[str]) -> int:
    """Words of the surname: the last, and the particles before it (`van der Maaten`)."""
    length = 1
    while length < len(found) - 1 and found[-length - 1] in _PARTICLES:
        length += 1
    return length


def _alike(a: Name, b: Name) -> float:
    if len(a.words) == 1 or len(b.words) == 1:
        return SURE if a.words == b.words else 0.0
    return max(_alike_if(a, b, family) for family in {a.family, b.family})


def _alike_if(a: Name, b: Name, family: int) -> float:
    """How alike they are if the last `family` words of both are the surname."""
    if a.words[-family:] != b.words[-family:]:
        return 0.0
    given, other = a.words[:-family], b.words[:-family]
    if "".join(given) == "".join(other):
        return SURE
    in_step = list(zip(given, other, strict=False))  # leaving out middle names is no difference
    if not in_step or not all(_agree(x, y) for x, y in in_step):
        return 0.0
    if given[0] == other[0] and len(given[0]) > 1:
        return SURE if a.lead == b.lead else 0.0  # Wei is not Wei-Yao
    return MAYBE


def _agree(x: str, y: str) -> bool:
    return x == y or (x[0] == y[0] and 1 in (len(x), len(y)))
