"""One entry of somebody's library, whatever the file's kind, and what a whole file gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from digest import identity
from digest.profiles.table import wrong_string
from digest.text import clean_author, clean_title

SCHEMES = {"arxiv", "doi", "pubmed"}  # ids that stand for a paper anywhere, not just in one program
_MAX_TITLE = 5_000  # characters of a title, markup and all, that are read
_ARXIV = re.compile(
    r"\barXiv[:\s]\s*((?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d{1,3})?)(?!\d)", re.I
)
_DOI = re.compile(r"\bdoi:?\s*(10\.\d{4,9}/\S+)", re.I)
_PUBMED = re.compile(r"\bPMID:?\s*(\d{1,9})\b", re.I)
_WHEN = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)(?:[-/ ](1[0-2]|0?[1-9])(?!\d))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """A paper of a library. `where` is its place in the file; `when` is (year, month), zeros where
    they are not told; of the authors only the first counts."""

    where: str
    ids: tuple[str, ...] = ()
    title: str = ""
    author: str = ""
    when: tuple[int, int] = (0, 0)

    @property
    def weak_id(self) -> str:
        """The id made of title and first author; empty where they say too little."""
        return identity.title_key(self.title, (self.author,)) if self.author else ""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that a file names."""

    where: str
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was left out and why. `unreadable`: it is damaged; else it is of no use here."""

    where: str
    why: str
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file gives. `works` have an id, `untold` only a title; `skipped` lists the rest."""

    kind: str = ""
    works: tuple[Entry, ...] = ()
    untold: tuple[Entry, ...] = ()
    follows: tuple[str, ...] = ()
    feeds: tuple[Feed, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def seeds(self) -> tuple[str, ...]:
        """One canonical id for each work, the newest work first."""
        newest = sorted(self.works, key=_age, reverse=True)
        return tuple(dict.fromkeys(work.ids[0] for work in newest))

    @property
    def empty(self) -> bool:
        """True where nothing at all could be read."""
        return not (self.works or self.untold or self.follows or self.feeds) and all(
            one.unreadable for one in self.skipped
        )

    @property
    def damaged(self) -> bool:
        """True where something could not be read."""
        return any(one.unreadable for one in self.skipped)

    def resolved(self, known: dict[str, str]) -> Imported:
        """With the titles that `known` ({weak id: canonical id}) tells the papers of."""
        met = {e: known[e.weak_id] for e in self.untold if e.weak_id in known}
        works = tuple(replace(entry, ids=(id_,)) for entry, id_ in met.items())
        rest = tuple(entry for entry in self.untold if entry not in met)
        return replace(self, works=self.works + works, untold=rest)


def gathered(kind: str, entries: Iterable[Entry], skipped: Iterable[Skipped]) -> Imported:
    """What a list of papers gives: with an id, with a title only, with neither."""
    found = list(entries)
    nameless = [
        Skipped(e.where, "no id and no title", True) for e in found if not (e.ids or e.title)
    ]
    return Imported(
        kind,
        tuple(entry for entry in found if entry.ids),
        tuple(entry for entry in found if entry.title and not entry.ids),
        skipped=(*skipped, *nameless),
    )


def entry(
    where: str,
    ids: Iterable[str],
    title: object,
    author: object,
    when: object,
) -> Entry:
    """An entry, cleaned. Title and author are looked at only where there is no id."""
    known = tuple(ids)
    if known:
        return Entry(where, known, when=_when(when))
    plain = clean_title(title[:_MAX_TITLE]) if isinstance(title, str) else ""
    by = clean_author(author) if plain and isinstance(author, str) else ""
    return Entry(where, (), plain, by, _when(when))


def ids_of(sure: Iterable[object], loose: Iterable[object] = ()) -> tuple[str, ...]:
    """The canonical ids, best first: what fields for ids hold, and what other text says beside the
    words arXiv, DOI or PMID. What is no text is passed over."""
    found = [identity.parse(text) for text in sure if isinstance(text, str)]
    for text in (text[:_MAX_TITLE] for text in loose if isinstance(text, str)):
        found += [identity.parse(f"arxiv:{said}") for said in _ARXIV.findall(text)]
        found += [identity.parse(said) for said in _DOI.findall(text)]
        found += [f"pubmed:{said}" for said in _PUBMED.findall(text)]
    known = (id_ for id_ in found if id_ and identity.scheme(id_) in SCHEMES)
    return identity.canonical_first(id_ for id_ in known if not wrong_string(id_))


def _when(text: object) -> tuple[int, int]:
    found = _WHEN.search(text[:100]) if isinstance(text, str) else None
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _age(work: Entry) -> tuple[int, int]:
    """When it came out; an arXiv number tells it too."""
    number = work.ids[0].partition(":")[2] if work.ids[0].startswith("arxiv:") else ""
    if work.when != (0, 0) or not number:
        return work.when
    digits = number.partition("/")[2] or number
    year = int(digits[:2])
    return (1900 + year if "/" in number and year > 90 else 2000 + year), int(digits[2:4])
