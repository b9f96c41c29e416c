"""Writing papers: what a source showed becomes rows, new texts, ids and signals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from digest.model import Announce, Listing, Paper
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.papers.homes import homes
from digest.store.papers.read import by_keys
from digest.store.papers.turns import not_in_a_closed_window, one_at_a_time
from digest.store.rows import chunks, dialect_insert, insert_new

REPLACED = {Announce.REPLACE, Announce.REPLACE_CROSS}


@dataclass(frozen=True, slots=True)
class Remembered:
    """What `remember` did. `new_ids` are the canonical ids that were not announced before."""

    new: int = 0
    revised: int = 0
    merged: int = 0
    new_ids: tuple[str, ...] = ()


def remember(tx: Tx, source: str, listings: Sequence[Listing], now: datetime) -> Remembered:
    """Store what a source showed. One work is one row however often and under whatever id it
    comes; `listings` hold one entry for each work (see `identity.fold`). Idempotent. A work that
    was only kept (see `keep`) is new now, unless it is shown as a replacement."""
    one_at_a_time(tx)
    seen = not_in_a_closed_window(tx, now)
    found, merged = homes(tx, listings)
    fresh = [item for item, key in zip(listings, found, strict=True) if key is None]
    stored = [(item, key) for item, key in zip(listings, found, strict=True) if key is not None]
    keys = _insert(tx, source, fresh, now, seen)
    at_last = _announce(tx, [key for item, key in stored if item.announce not in REPLACED], seen)
    revised = _revise(tx, source, stored, seen)
    everything = [*zip(fresh, keys, strict=True), *stored]
    _note_ids(tx, everything, seen)
    _note_listed(tx, source, everything, now)
    _note_signals(tx, everything, now)
    new = (*(item.ids[0] for item in fresh), *at_last)
    return Remembered(len(new), revised, merged, new)


def keep(tx: Tx, source: str, listings: Sequence[Listing], now: datetime) -> int:
    """Store the texts of works that no source announced, for those who learn from them. They are
    in no window and so in no letter until `remember` is told of them. How many were not known."""
    one_at_a_time(tx)
    found, _ = homes(tx, listings)
    fresh = [item for item, key in zip(listings, found, strict=True) if key is None]
    keys = _insert(tx, source, fresh, now, None)
    _note_ids(tx, list(zip(fresh, keys, strict=True)), now)
    return len(fresh)


def _announce(tx: Tx, keys: Collection[int], seen: datetime) -> list[str]:
    """The canonical ids of those that were only kept; they are seen for the first time now."""
    p = t.papers.c
    quiet = select(p.key, p.id).where(p.first_seen.is_(None))
    found = [row for part in chunks(keys) for row in tx.execute(quiet.where(p.key.in_(part)))]
    for part in chunks(row.key for row in found):
        tx.execute(update(t.papers).where(p.key.in_(part)).values(first_seen=seen))
    return [row.id for row in found]


def _insert(
    tx: Tx, source: str, fresh: Sequence[Listing], now: datetime, seen: datetime | None
) -> list[int]:
    if not fresh:
        return []
    rows = [
        {"id": item.ids[0], "revision": 1, "version": item.version, "first_seen": seen}
        for item in fresh
    ]
    made = insert(t.papers).returning(t.papers.c.key, sort_by_parameter_order=True)
    keys = list(tx.execute(made, rows).scalars())
    texts = [_text(source, i, k, 1, seen or now) for i, k in zip(fresh, keys, strict=True)]
    tx.execute(insert(t.revisions), texts)
    return keys


def _text(source: str, item: Listing, key: int, revision: int, now: datetime) -> dict[str, Any]:
    return {
        "paper": key,
        "revision": revision,
        "version": item.version,
        "announce": str(item.announce),
        "source": source,
        "seen_at": now,
        "title": item.title,
        "abstract": item.abstract,
        "authors": list(item.authors),
        "categories": list(item.categories),
        "published": item.published,
        "links": dict(item.links),
    }


def _revise(tx: Tx, source: str, stored: Sequence[tuple[Listing, int]], now: datetime) -> int:
    """A newer version becomes the current text; what an older text lacked is filled in."""
    have = {paper.key: paper for paper in by_keys(tx, {key for _, key in stored})}
    versions = _versions(tx, have)
    last = _last_revisions(tx, have)
    written: set[int] = set()
    texts, newer = [], 0
    for item, key in stored:
        is_newer = item.version > versions[key]
        better = item if is_newer else _filled(have[key], item)
        if better is None or (not is_newer and key in written):
            continue
        newer += is_newer
        last[key] += 1
        written.add(key)
        texts.append(_text(source, better, key, last[key], now))
        versions[key] = max(versions[key], item.version)
    if texts:
        tx.execute(insert(t.revisions), texts)
        _point_to(tx, written, last, versions)
    return newer


def _last_revisions(tx: Tx, keys: Collection[int]) -> dict[int, int]:
    """The highest number of each paper's texts: above the current one where works were merged."""
    r = t.revisions.c
    return {
        row.paper: row.last
        for part in chunks(keys)
        for row in tx.execute(
            select(r.paper, func.max(r.revision).label("last"))
            .where(r.paper.in_(part))
            .group_by(r.paper)
        )
    }


def _point_to(
    tx: Tx, keys: Collection[int], revisions: dict[int, int], versions: dict[int, int]
) -> None:
    rows = [{"k": key, "r": revisions[key], "v": versions[key]} for key in sorted(keys)]
    here = t.papers.c.key == bindparam("k")
    changed: dict[str, Any] = {"revision": bindparam("r"), "version": bindparam("v")}
    tx.execute(update(t.papers).where(here).values(changed), rows)


def _filled(paper: Paper, item: Listing) -> Listing | None:
    """The stored text with what this listing adds to it; None where it adds nothing."""
    abstract = paper.abstract or item.abstract
    authors = paper.authors or item.authors
    categories = paper.categories or item.categories
    if (abstract, authors, categories) == (paper.abstract, paper.authors, paper.categories):
        return None
    return Listing(
        ids=item.ids,
        title=paper.title,
        abstract=abstract,
        authors=authors,
        categories=categories,
        published=paper.published or item.published,
        version=item.version,
        announce=item.announce,
        links={**item.links, **paper.links},
    )


def _versions(tx: Tx, keys: Collection[int]) -> dict[int, int]:
    return {
        row.key: row.version
        for part in chunks(keys)
        for row in tx.execute(
            select(t.papers.c.key, t.papers.c.version).where(t.papers.c.key.in_(part))
        )
    }


def _note_ids(tx: Tx, pairs: Sequence[tuple[Listing, int]], now: datetime) -> None:
    rows = [
        {"id": id_, "paper": key, "at": now}
        for item, key in pairs
        for id_ in dict.fromkeys(item.ids)
    ]
    if rows:
        tx.execute(insert_new(tx, t.paper_ids), rows)


def _note_listed(tx: Tx, source: str, pairs: Sequence[tuple[Listing, int]], now: datetime) -> None:
    rows = [{"paper": key, "source": source, "first_at": now} for _, key in pairs]
    if rows:
        tx.execute(insert_new(tx, t.listings), rows)


def _note_signals(tx: Tx, pairs: Sequence[tuple[Listing, int]], now: datetime) -> None:
    rows = [
        {"paper": key, "name": name, "day": now.date(), "value": float(value), "at": now}
        for item, key in pairs
        for name, value in item.signals.items()
    ]
    if not rows:
        return
    made = dialect_insert(tx)(t.signals)
    same_day = [t.signals.c.paper, t.signals.c.name, t.signals.c.day]
    latest = {"value": made.excluded.value, "at": made.excluded.at}
    tx.execute(made.on_conflict_do_update(index_elements=same_day, set_=latest), rows)
