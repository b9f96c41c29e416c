"""OPML: outlines of feeds and of people.

An outline with an address of a feed is a feed. One of type author or person, or one that stands
below a heading such as "Authors", is somebody to follow. Entities cannot be declared, so that a
small file cannot become a large one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from digest.profiles.imports.entry import Entry, Feed, Imported, Skipped, gathered, ids_of
from digest.profiles.table import wrong_string
from digest.text import clean_author, clean_title, words

KIND = "OPML"
_PEOPLE = {"author", "authors", "people", "person", "persons", "researchers", "follow", "following"}
_PERSON = {"author", "person"}
_ADDRESS = re.compile(r"https?://[^\s<>\"\x00-\x1f\x7f-\x9f\ud800-\udfff]{3,1000}", re.I)


class _Refused(Exception):
    """Why the file is read no further."""


@dataclass(slots=True)
class _Open:
    """An outline that is not closed yet. `said` is empty once it is known to be no leaf."""

    said: str
    where: str
    person: bool
    people_below: bool


@dataclass(slots=True)
class _Outlines:
    """What the outlines read so far give."""

    parser: expat.XMLParserType
    begun: bool = False
    open: list[_Open] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    follows: dict[str, None] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def start(self, name: str, given: dict[str, str]) -> None:
        if not self.begun and name.lower() != "opml":
            raise _Refused(f"XML, but <{name[:40]}> and not OPML")
        self.begun = True
        if name.lower() == "outline":
            self._outline({key.lower(): value.strip() for key, value in given.items()})

    def end(self, name: str) -> None:
        """An outline with none below is a person, or nothing that is known."""
        if name.lower() != "outline" or not self.open:
            return
        leaf = self.open.pop()
        if not leaf.said:
            return
        if leaf.person:
            self._follow(clean_author(leaf.said))
        else:
            why = "neither a feed nor a paper, and not below a heading such as Authors"
            self.skipped.append(Skipped(leaf.where, f"{leaf.said!r}: {why}"))

    def _outline(self, given: dict[str, str]) -> None:
        above = self.open[-1] if self.open else None
        if above:
            above.said = ""  # a heading
        where = f"line {self.parser.CurrentLineNumber}"
        said = clean_title(given.get("title") or given.get("text", ""))
        people = bool(above and above.people_below)
        person = people or given.get("type", "").lower() in _PERSON
        below = people or bool(_PEOPLE & set(words(said)))
        known = self._known(given, said, where)
        self.open.append(_Open("" if known else said, where, person, below))

    def _known(self, given: dict[str, str], said: str, where: str) -> bool:
        """True where the outline is a feed or a paper."""
        url = given.get("xmlurl", "")
        if url and _ADDRESS.fullmatch(url):
            self.feeds.setdefault(url, Feed(where, said, url))
        elif url:
            self.skipped.append(Skipped(where, f"{url[:80]!r} is no web address"))
        elif ids := ids_of((given.get("htmlurl"), given.get("url"))):
            self.entries.append(Entry(where, ids))
        else:
            return False
        return True

    def _follow(self, name: str) -> None:
        if words(name) and not wrong_string(name):
            self.follows[name] = None


def read(text: str) -> Imported:
    """Feeds and people of an OPML text; what stands before a fault of its XML is kept."""
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    found = _Outlines(parser)
    parser.StartElementHandler, parser.EndElementHandler = found.start, found.end
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text.lstrip().encode("utf-8", "replace"), True)
    except _Refused as error:
        found.skipped.append(Skipped("the file", str(error), True))
    except expat.ExpatError as error:
        said = expat.ErrorString(error.code)
        found.skipped.append(Skipped(f"line {error.lineno}", f"broken XML: {said}", True))
    papers = gathered(KIND, found.entries, found.skipped)
    return Imported(
        KIND,
        papers.works,
        follows=tuple(found.follows),
        feeds=tuple(found.feeds.values()),
        skipped=papers.skipped,
    )


def _refuse_doctype(*_: object) -> None:
    raise _Refused("it declares a document type, which OPML has none of; take the DOCTYPE out")
