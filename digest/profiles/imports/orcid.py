"""ORCID: the works of a record as its API gives them (a record, its works, or works in bulk)."""

from __future__ import annotations

from collections.abc import Iterator

from digest.profiles.imports.entry import Entry, Imported, Skipped, entry, gathered, ids_of
from digest.profiles.imports.plain import at, rows, text

KIND = "ORCID works"
_SCHEMES = {"arxiv": "arxiv:", "doi": "", "pmid": "pubmed:", "uri": ""}
_SAME = {"", "self", "version-of"}  # not part-of: that is the book around it


def looks(value: object) -> bool:
    """True for an object that holds works as ORCID does."""
    keys = ("group", "activities-summary", "bulk", "works")
    return isinstance(value, dict) and any(key in value for key in keys)


def read(value: object) -> Imported:
    """Every work, each once. The record's owner is nobody to follow: they know what they write."""
    found: list[Entry] = []
    skipped: list[Skipped] = []
    for number, work in enumerate(_works(value), 1):
        if isinstance(work, dict):
            found.append(_paper(f"work {number}", work))
        else:
            skipped.append(Skipped(f"work {number}", "not an object", True))
    return gathered(KIND, found, skipped)


def _works(value: object) -> Iterator[object]:
    inner = at(value, "activities-summary", "works") or at(value, "works") or value
    for group in rows(at(inner, "group")) or rows(inner):
        summaries = rows(at(group, "work-summary"))
        ids = at(group, "external-ids")
        best = summaries[0] if summaries else group
        yield {"external-ids": ids, **best} if isinstance(best, dict) else best
    for one in rows(at(value, "bulk")):
        yield at(one, "work") or one


def _paper(where: str, work: dict[str, object]) -> Entry:
    given = rows(at(work, "external-ids", "external-id"))
    same = (one for one in given if text(at(one, "external-id-relationship")).lower() in _SAME)
    sure = [said for one in same if (said := _id(one))]
    year, month = (text(at(work, "publication-date", part, "value")) for part in ("year", "month"))
    author = at(work, "contributors", "contributor", 0, "credit-name", "value")
    ids = ids_of([*sure, at(work, "url", "value")])
    return entry(where, ids, at(work, "title", "title", "value"), author, f"{year}-{month}")


def _id(one: object) -> str:
    kind = text(at(one, "external-id-type")).lower()
    said = text(at(one, "external-id-value")).strip()
    if kind not in _SCHEMES or not said:
        return ""
    return said if said.lower().startswith(("http", "arxiv")) else f"{_SCHEMES[kind]}{said}"
