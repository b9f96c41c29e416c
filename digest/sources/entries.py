"""One entry of a feed becomes one Listing, whatever its kind of feed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import date
from itertools import islice
from time import struct_time
from typing import Any

from digest import identity
from digest.model import Announce, BadEntry, Listing
from digest.sources.document import MAX_ENTRIES
from digest.text import clean_abstract, clean_line, clean_title, split_authors

MAX_RAW = 65_536
MAX_CATEGORIES = 30
_ANNOUNCED = re.compile(r"\s*arXiv:(\S+)\s+Announce Type:\s*(\S+)\s+Abstract:\s*", re.I)
_ARXIV_CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)*(?:\.[A-Za-z-]+)?")
_VERSION = re.compile(r"/\d{6,8}v(\d{1,3})\b")  # of a bioRxiv address
_ID_FIELDS = ("id", "link", "dc_identifier", "prism_doi", "arxiv_doi", "prism_url")

_TIMES = ("published_parsed", "updated_parsed")

Entry = dict[str, Any]


def listings(
    entries: Iterable[Entry], read: Callable[[Entry], Listing]
) -> tuple[tuple[Listing, ...], tuple[BadEntry, ...]]:
    """(one listing for each work, the entries that could not be read)."""
    good, bad = [], []
    remaining = iter(entries)
    for entry in islice(remaining, MAX_ENTRIES):
        try:
            good.append(read(entry))
        except Exception as error:  # one bad entry never costs the others
            reason = (
                str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
            )
            bad.append(BadEntry(raw(entry), reason[:500]))
    if more := sum(1 for _ in remaining):
        bad.append(BadEntry(b"", f"{more:,} more than {MAX_ENTRIES:,} entries were not looked at"))
    return tuple(identity.fold(good)), tuple(bad)


class Unreadable(Exception):
    """Why an entry cannot be a paper, in words for the operator."""


def raw(entry: object) -> bytes:
    """What was there, as far as it can be kept."""
    return json.dumps(entry, default=str, ensure_ascii=False).encode("utf-8", "replace")[:MAX_RAW]


def again(
    kept: bytes, read: Callable[[Any], Listing], opened: Callable[[bytes], Any] | None = None
) -> Listing | BadEntry:
    """What was kept of an entry, read once more with today's reader: the paper, or why not.
    `opened` undoes what made bytes of it, as `raw` did unless another is given."""
    try:
        return read((opened or _unraw)(kept))
    except Unreadable as error:
        why = str(error)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    if len(kept) >= MAX_RAW:
        why = f"only its first {MAX_RAW:,} bytes were kept"
    return BadEntry(kept, why[:500])


def _unraw(kept: bytes) -> Any:
    entry = json.loads(kept)
    if isinstance(entry, dict):
        times = (name for name in _TIMES if isinstance(entry.get(name), list))
        entry |= {name: struct_time(entry[name]) for name in times}
    return entry


def listing(entry: Entry) -> Listing:
    """Any feed's entry. Raises Unreadable where it has no title or is an error message."""
    if "/api/errors" in str(entry.get("id", "")):
        raise Unreadable(f"an error of the service: {entry.get('summary', '')}")
    title = clean_title(_text(entry, "title"))
    if not title:
        raise Unreadable("has no title")
    prefix = _ANNOUNCED.match(_text(entry, "summary"))
    authors = split_authors(str(a.get("name", "")) for a in entry.get("authors", ()))
    ids, version = _ids(entry, prefix)
    links = _links(entry, ids)
    return Listing(
        ids=identity.complete(ids, title, authors, _text(entry, "id") or _text(entry, "link")),
        title=title,
        abstract=_abstract(entry, prefix, title),
        authors=authors,
        categories=_categories(entry, arxiv=any(id_.startswith("arxiv:") for id_ in ids)),
        published=_day(entry),
        version=version,
        announce=_announce(_text(entry, "arxiv_announce_type") or (prefix[2] if prefix else "")),
        links=links,
    )


def _text(entry: Entry, name: str) -> str:
    value = dict.get(entry, name)  # feedparser's own `get` tries old names too, and is slow
    return value if isinstance(value, str) else ""


def _ids(entry: Entry, prefix: re.Match[str] | None) -> tuple[list[str], int]:
    """(canonical ids the entry names, its version). Only what is surely an id of this work."""
    said = [prefix[1]] if prefix else []
    said += [_text(entry, name) for name in _ID_FIELDS]
    found = [identity.versioned(text) for text in said if text]
    versions = [version for _, version in found if version]
    if numbered := _VERSION.search(_text(entry, "link")):
        versions.append(int(numbered[1]))
    ids = [id_ for id_, _ in found if id_ and identity.scheme(id_) in {"arxiv", "doi", "pubmed"}]
    return list(dict.fromkeys(ids)), max(versions, default=1)


def _abstract(entry: Entry, prefix: re.Match[str] | None, title: str) -> str:
    """The longer of summary and content; nothing where it only says the title again."""
    summary = _text(entry, "summary")
    if prefix:
        return clean_abstract(summary[prefix.end() :])
    bodies = [summary, *(str(part.get("value", "")) for part in entry.get("content", ()))]
    longest = max((clean_abstract(body) for body in bodies), key=len)
    return "" if longest == title else longest


def _categories(entry: Entry, *, arxiv: bool) -> tuple[str, ...]:
    """The subjects; of an arXiv paper its categories without MSC and ACM classes."""
    terms = (clean_line(str(tag.get("term") or ""), 100) for tag in entry.get("tags", ()))
    kept = [term for term in terms if term and (not arxiv or _ARXIV_CATEGORY.fullmatch(term))]
    return tuple(dict.fromkeys(kept))[:MAX_CATEGORIES]


def _day(entry: Entry) -> date | None:
    """The date it claims: published, else updated."""
    for name in ("published_parsed", "updated_parsed"):
        parsed = entry.get(name)
        if isinstance(parsed, struct_time) and 1900 <= parsed.tm_year <= 2200:
            return date(parsed.tm_year, parsed.tm_mon, parsed.tm_mday)
    return None


def _announce(said: str) -> Announce:
    try:
        return Announce(said.strip().lower())
    except ValueError:
        return Announce.NEW


def _links(entry: Entry, ids: list[str]) -> dict[str, str]:
    """{"abs": where it can be read, "pdf": ...}; only web addresses."""
    arxiv = next((id_.partition(":")[2] for id_ in ids if id_.startswith("arxiv:")), "")
    if arxiv:
        return arxiv_links(arxiv)
    page = _text(entry, "link").strip()
    known = next(filter(None, map(identity.link, ids)), "")
    address = page if web_address(page) else known
    return {"abs": address} if address else {}


def arxiv_links(number: str) -> dict[str, str]:
    """Where an arXiv paper can be read."""
    return {"abs": f"https://arxiv.org/abs/{number}", "pdf": f"https://arxiv.org/pdf/{number}"}


def web_address(text: str) -> bool:
    """True for what a reader may follow: http or https, without spaces, not endless."""
    return re.fullmatch(r"https?://[^\s<>\"\x00-\x1f]{3,1000}", text) is not None
