"""Which stored work a listing is, and which stored works turn out to be one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from digest.model import Listing
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.papers.merge import merge
from digest.store.papers.read import keys_of
from digest.store.rows import WEAK, chunks


def homes(tx: Tx, listings: Sequence[Listing]) -> tuple[list[int | None], int]:
    """The row each listing belongs to, None where it is new; merges rows found to be one work."""
    keys = keys_of(tx, {id_ for item in listings for id_ in item.ids})
    schemes = _schemes(tx, set(keys.values()))
    found_at: list[int | None] = []
    merged = 0
    for item in listings:
        found = _found(item, keys, schemes)
        for loser in found[1:]:
            merge(tx, found[0], loser)
            schemes[found[0]] |= schemes[loser]
            keys = {id_: found[0] if key == loser else key for id_, key in keys.items()}
            found_at = [found[0] if home == loser else home for home in found_at]
            merged += 1
        found_at.append(found[0] if found else None)
    return found_at, merged


def _found(item: Listing, keys: dict[str, int], schemes: dict[int, set[str]]) -> list[int]:
    """The rows that are this work, the one seen first at the head: those with one of its strong
    ids, and one with its weak id where no scheme says that it is another work."""
    strong = {keys[id_] for id_ in item.ids if id_ in keys and not id_.startswith(WEAK)}
    weak = {keys[id_] for id_ in item.ids if id_ in keys and id_.startswith(WEAK)} - strong
    taken = _strong_schemes(item).union(*(schemes[key] for key in strong)) - {_scheme(WEAK)}
    same = [key for key in sorted(weak) if not schemes[key] & taken]
    return sorted([*strong, *same[:1]])


def _scheme(id_: str) -> str:
    return id_.partition(":")[0]


def _schemes(tx: Tx, keys: Collection[int]) -> dict[int, set[str]]:
    """Which schemes of strong ids each of these papers has."""
    found: dict[int, set[str]] = {key: set() for key in keys}
    for part in chunks(keys):
        ids = select(t.paper_ids.c.paper, t.paper_ids.c.id).where(t.paper_ids.c.paper.in_(part))
        for row in tx.execute(ids):
            found[row.paper].add(_scheme(row.id))
    return found


def _strong_schemes(item: Listing) -> set[str]:
    """Two different ids of one scheme (two arXiv numbers) are two works, whatever the title."""
    return {_scheme(id_) for id_ in item.ids if not id_.startswith(WEAK)}
