"""CSL-JSON, as Zotero exports it: a list of items. Zotero's own and Better BibTeX's JSON too."""

from __future__ import annotations

from collections.abc import Iterator

from digest.profiles.imports.entry import Entry, Imported, Skipped, entry, gathered, ids_of
from digest.profiles.imports.plain import at, rows, text

KIND = "CSL-JSON"
_LISTS = ("items", "data")
_SURE = ("DOI", "URL", "url", "number", "archive_location", "archiveID", "archiveLocation")
_LOOSE = ("note", "extra", "number", "container-title", "publisher", "archiveID", "report-number")
_LEFT_OUT = {"attachment", "note", "annotation"}  # of Zotero's own types


def read(value: object) -> Imported:
    """Every item of a list; what is no item is skipped by its number."""
    found: list[Entry] = []
    skipped: list[Skipped] = []
    for number, item in enumerate(_items(value), 1):
        if not isinstance(item, dict):
            skipped.append(Skipped(f"entry {number}", "not an object", True))
        elif at(item, "itemType") not in _LEFT_OUT:
            found.append(_paper(number, item))
    return gathered(KIND, found, skipped)


def _items(value: object) -> list[object]:
    lists = (rows(at(value, key)) for key in _LISTS)
    listed = rows(value) or next(filter(None, lists), [value])
    return [at(item, "data") or item for item in listed]  # Zotero's web API wraps each item


def _paper(number: int, item: dict[str, object]) -> Entry:
    key = " ".join(text(item.get("id") or item.get("citationKey") or item.get("key")).split())[:60]
    where = f"entry {number} ({key})" if key else f"entry {number}"
    sure = [*(item.get(name) for name in _SURE), f"pubmed:{pm}" if (pm := _pubmed(item)) else None]
    ids = ids_of(sure, (item.get(name) for name in _LOOSE))
    return entry(where, ids, item.get("title"), next(_authors(item), ""), _when(item))


def _pubmed(item: dict[str, object]) -> str:
    said = text(item.get("PMID"))
    return said if said.isdecimal() and len(said) < 10 else ""


def _authors(item: dict[str, object]) -> Iterator[str]:
    for person in rows(item.get("author")) or rows(item.get("creators")):
        family = text(at(person, "family") or at(person, "lastName"))
        given = text(at(person, "given") or at(person, "firstName"))
        whole = text(at(person, "literal") or at(person, "name"))
        if name := f"{family}, {given}" if family and given else family or whole:
            yield name


def _when(item: dict[str, object]) -> str:
    parts = rows(at(item, "issued", "date-parts", 0))
    said = text(at(item, "issued", "raw")) or text(at(item, "issued", "literal"))
    return "-".join(map(text, parts[:2])) or said or text(item.get("date"))
