"""Pure: libraries of other programs become seeds, follows and hints at feeds.

entry.py              one paper of a library; what a file gives
bibtex.py ris.py csl.py orcid.py semantic_scholar.py opml.py   one kind of file each
merging.py            what was read goes into a profile, twice no more than once
plain.py              plain data of unknown make, looked into without trust

A file's kind is told by its content. Reading never raises: what is damaged is `Skipped`, with its
place, and the rest comes in. Bounds: MAX_BYTES of a file, MOST seeds of it in a profile.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable

from digest.profiles.imports import bibtex, csl, opml, orcid, ris, semantic_scholar
from digest.profiles.imports.entry import Entry, Feed, Imported, Skipped
from digest.profiles.imports.merging import MOST, appended, called, merge

__all__ = [
    "MAX_BYTES",
    "MOST",
    "Entry",
    "Feed",
    "Imported",
    "Skipped",
    "appended",
    "called",
    "merge",
    "read",
]

MAX_BYTES = 20_000_000
_KINDS = "BibTeX, RIS, CSL-JSON, OPML, ORCID works or a list of Semantic Scholar"
_BOMS = (  # the longer first: UTF-32 begins as UTF-16 does
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_JSON_AT = re.compile(r": line (\d+) column (\d+).*$")


def read(raw: bytes) -> Imported:
    """What the bytes of a file give. Raises nothing; a file of no known kind has all skipped."""
    if len(raw) > MAX_BYTES:
        return _not_read(f"more than {MAX_BYTES:,} bytes; export a part of the library")
    text = decoded(raw).replace("\0", "")
    try:
        return _reader(text.lstrip())(text)
    except Exception as error:  # a defect of a reader is no reason to fail
        return _not_read(f"{type(error).__name__} while reading it: please report it")


def decoded(raw: bytes) -> str:
    """The text of bytes in UTF-8, UTF-16, UTF-32 or else Latin-1 (as Windows has it)."""
    for mark, name in _BOMS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(name, "replace")
    try:
        return raw.decode(_without_mark(raw[:1000]))
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _without_mark(head: bytes) -> str:
    """UTF-16 without its mark has a NUL in every other place of a text in Latin letters."""
    for name, zeros, others in (
        ("utf-16-le", head[1::2], head[::2]),
        ("utf-16-be", head[::2], head[1::2]),
    ):
        if len(head) > 3 and zeros.count(0) > 0.7 * len(zeros) and not others.count(0):
            return name
    return "utf-8"


def _reader(text: str) -> Callable[[str], Imported]:
    """How a text is read, by what it looks like."""
    if not text:
        return lambda _: _not_read("it is empty")
    if text.startswith("<"):
        return opml.read
    if ris.LOOKS.search(text):
        return ris.read
    if text.startswith(("{", "[")) and not bibtex.LOOKS.match(text[1:].lstrip()):
        return _json
    return bibtex.read if bibtex.LOOKS.search(text) else _unknown


def _json(text: str) -> Imported:
    try:
        value = json.loads(text)
    except RecursionError:
        return _not_read("it nests deeper than any library does")
    except ValueError as error:
        found = _JSON_AT.search(str(error))
        said = f"broken JSON: {_JSON_AT.sub('', str(error))[:200]}"
        return _not_read(said, f"line {found[1]}, column {found[2]}" if found else "the file")
    if orcid.looks(value):
        return orcid.read(value)
    return semantic_scholar.read(value) if semantic_scholar.looks(value) else csl.read(value)


def _unknown(_: str) -> Imported:
    return _not_read(f"neither {_KINDS}")


def _not_read(why: str, where: str = "the file") -> Imported:
    return Imported(skipped=(Skipped(where, why, True),))
