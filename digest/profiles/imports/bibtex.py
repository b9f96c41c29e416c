"""BibTeX: `@article{key, title = {...}, ...}`, with strings, comments, and broken entries.

The library splits the text into blocks and finds its way back after a broken one; values are read
here, since only ids, titles and first authors matter.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping

from bibtexparser import model as blocks
from bibtexparser.splitter import Splitter

from digest.profiles.imports.entry import Entry, Imported, Skipped, entry, gathered, ids_of

KIND = "BibTeX"
LOOKS = re.compile(r"@\s*[A-Za-z]+\s*[{(]")
_VOLUMES = {"proceedings", "collection", "mvproceedings", "mvcollection", "periodical", "xdata"}
_LOOSE = ("journal", "journaltitle", "note", "number", "howpublished", "series", "annote")
_MAX_VALUE = 20_000  # characters of one field that are read
_MARKUP = re.compile(r"\\url|[{}\\<>]")
_PIECE = re.compile(r"[{\"]|[^\s#{\"]+")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_SPACES = re.compile(r"\s+")
_AND = re.compile(r"\s+and\s+", re.I)

logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # what it says comes as `Skipped`

Fields = Mapping[str, str]


def read(text: str) -> Imported:
    """Every entry of a BibTeX text. Raises nothing."""
    found = Splitter(text).split().blocks
    strings = {name: f"{number:02}" for number, name in enumerate(_MONTHS, 1)}
    for block in found:
        if isinstance(block, blocks.String):
            strings[block.key.lower()] = value(str(block.value), strings)
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    parsed = [(block, _entry_of(block)) for block in found]
    known = [(one, _fields(one, strings)) for _, one in parsed if one]
    volumes = {fields["crossref"].lower(): "" for _, fields in known if "crossref" in fields}
    volumes |= {
        one.key.lower(): f.get("year", "") for one, f in known if one.key.lower() in volumes
    }
    for one, fields in known:
        if one.entry_type.lower() in _VOLUMES or one.key.lower() in volumes:
            skipped.append(Skipped(_where(one), "a volume or its data, not a paper"))
        else:
            entries.append(_paper(_where(one), fields, volumes))
    skipped += [_failed(block) for block, one in parsed if one is None and _is_failed(block)]
    return gathered(KIND, entries, skipped)


def _entry_of(block: blocks.Block) -> blocks.Entry | None:
    """The entry in a block; one whose key or field comes twice is as good as any."""
    if isinstance(block, blocks.DuplicateBlockKeyBlock | blocks.DuplicateFieldKeyBlock):
        inner = block.ignore_error_block
        return inner if isinstance(inner, blocks.Entry) else None
    return block if isinstance(block, blocks.Entry) else None


def _is_failed(block: blocks.Block) -> bool:
    twice = isinstance(block, blocks.DuplicateBlockKeyBlock)  # of a string: the first one counts
    return isinstance(block, blocks.ParsingFailedBlock) and not twice


def _failed(block: blocks.Block) -> Skipped:
    said = str(getattr(getattr(block, "error", None), "abort_reason", "") or "cannot be read")
    return Skipped(f"line {(block.start_line or 0) + 1}", " ".join(said.split())[:200], True)


def _where(one: blocks.Entry) -> str:
    key = " ".join(one.key.split())[:60]
    return f"line {(one.start_line or 0) + 1}{f' ({key})' if key else ''}"


def _fields(one: blocks.Entry, strings: Fields) -> dict[str, str]:
    """{name in small letters: value}; of a field that comes twice the first counts."""
    pairs = ((f.key.strip().lower(), str(f.value)) for f in reversed(one.fields))
    return {name: value(raw, strings).strip() for name, raw in pairs}


def _paper(where: str, fields: Fields, volumes: Fields) -> Entry:
    def plain(name: str) -> str:
        return _MARKUP.sub("", fields.get(name, "")).strip()

    sure = [plain(name) for name in ("doi", "url", "ee", "howpublished", "pmid")]
    sure += _eprint(plain("eprint"), plain("archiveprefix") or plain("eprinttype"), plain)
    if plain("volume").startswith("abs/"):  # as DBLP writes them
        sure.append(plain("volume").removeprefix("abs/"))
    year = plain("year") or plain("date") or volumes.get(plain("crossref").lower(), "")
    when = f"{year}-{plain('month')}" if "-" not in year else year
    ids = ids_of(sure, (plain(name) for name in _LOOSE))
    return entry(where, ids, fields.get("title", ""), _first_author(fields.get("author", "")), when)


def _eprint(number: str, archive: str, plain: object) -> Iterator[str]:
    """`eprint = {2401.00001}`, or `{0309136}` with its class beside it."""
    group = plain("primaryclass") if callable(plain) else ""
    if archive.lower() in {"", "arxiv"}:
        yield number
        yield f"{group}/{number}" if group and number.isdigit() else ""
    elif archive.lower() in {"pubmed", "pmid"} and number.isdigit():
        yield f"pubmed:{number}"


def _first_author(authors: str) -> str:
    """`von Last, Jr, First` is written without its Jr."""
    first = _AND.split(authors[:1000], maxsplit=1)[0]
    parts = first.split(",")
    return f"{parts[0]},{parts[2]}" if len(parts) == 3 else first


def value(raw: str, strings: Fields) -> str:
    """What `{...}`, `"..."`, a number, the name of a string, or several joined by # stand for."""
    raw = raw.strip()[:_MAX_VALUE]
    if raw.startswith("{") and raw.endswith("}") and "#" not in raw:
        return _SPACES.sub(" ", raw[1:-1])
    said, at = [], 0
    while piece := _PIECE.search(raw, at):
        at = piece.end()
        if piece[0] in '{"':
            end = _end(raw, at, "}" if piece[0] == "{" else '"')
            said.append(raw[at:end])
            at = end + 1
        else:
            said.append(strings.get(piece[0].lower(), piece[0]))
    return _SPACES.sub(" ", "".join(said))


def _end(raw: str, at: int, closing: str) -> int:
    """Where the value that opened before `at` ends."""
    depth = 0
    for found in re.compile(r"(?<!\\)[{}\"]").finditer(raw, at):
        if depth == 0 and found[0] == closing:
            return found.start()
        depth += {"{": 1, "}": -1}.get(found[0], 0)
    return len(raw)
