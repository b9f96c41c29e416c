"""Which stored work a listing is, and which stored works turn out to be one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select

from digest.identity import is_weak, may_be_one, registry
from digest.model import Listing
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.papers.merge import merge
from digest.store.papers.read import keys_of
from digest.store.rows import chunks


def homes(tx: Tx, listings: Sequence[Listing]) -> tuple[list[int | None], int]:
    """The row each listing belongs to, None where it is new; merges rows found to be one work."""
    keys = keys_of(tx, {id_ for item in listings for id_ in item.ids})
    held = _registries(tx, set(keys.values()))
    authors = _authors(tx, _met_by_title(listings, keys))
    found_at: list[int | None] = []
    merged = 0
    for item in listings:
        found = _found(item, keys, held, authors)
        for loser in found[1:]:
            merge(tx, found[0], loser)
            held[found[0]] |= held[loser]
            keys = {id_: found[0] if key == loser else key for id_, key in keys.items()}
            found_at = [found[0] if home == loser else home for home in found_at]
            merged += 1
        found_at.append(found[0] if found else None)
    return found_at, merged


def _met_by_title(listings: Sequence[Listing], keys: Mapping[str, int]) -> set[int]:
    """The rows that some listing meets by its weak id alone."""
    met = set()
    for item in listings:
        strong, weak = _rows(item, keys)
        met |= weak - strong
    return met


def _rows(item: Listing, keys: Mapping[str, int]) -> tuple[set[int], set[int]]:
    """(the rows with one of its strong ids, that with its weak one)."""
    strong = {keys[id_] for id_ in item.ids if id_ in keys and not is_weak(id_)}
    return strong, {keys[id_] for id_ in item.ids if id_ in keys and is_weak(id_)}


def _found(
    item: Listing,
    keys: Mapping[str, int],
    held: Mapping[int, set[str]],
    authors: Mapping[int, Sequence[str]],
) -> list[int]:
    """The rows that are this work, the one seen first at the head: those with one of its strong
    ids, and one with its weak id where no registry and no author says that it is another work."""
    strong, weak = _rows(item, keys)
    mine = {registry(id_) for id_ in item.ids if not is_weak(id_)}
    taken = mine.union(*(held[key] for key in strong))
    same = [
        key
        for key in sorted(weak - strong)
        if not held[key] & taken and may_be_one(authors.get(key, ()), item.authors)
    ]
    return sorted([*strong, *same[:1]])


def _registries(tx: Tx, keys: Collection[int]) -> dict[int, set[str]]:
    """Which registries gave each of these papers an id."""
    found: dict[int, set[str]] = {key: set() for key in keys}
    for part in chunks(keys):
        ids = select(t.paper_ids.c.paper, t.paper_ids.c.id).where(t.paper_ids.c.paper.in_(part))
        for row in tx.execute(ids):
            if not is_weak(row.id):
                found[row.paper].add(registry(row.id))
    return found


def _authors(tx: Tx, keys: Collection[int]) -> dict[int, list[str]]:
    """The authors of each of these papers, by its current text."""
    p, r = t.papers.c, t.revisions.c
    current = t.papers.join(t.revisions, (r.paper == p.key) & (r.revision == p.revision))
    asked = select(p.key, r.authors).select_from(current)
    rows = (row for part in chunks(keys) for row in tx.execute(asked.where(p.key.in_(part))))
    return {row.key: row.authors for row in rows}
