"""Papers: one row for each work, its texts by revision, its other ids, its signals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, insert, select, update

from digest.model import Announce, Listing, Paper, Window
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.history import history as history
from digest.store.merge import merge
from digest.store.rows import WEAK, dialect_insert
from digest.store.rows import chunks as chunks
from digest.store.rows import insert_new as insert_new
from digest.store.turns import close_until as close_until
from digest.store.turns import not_in_a_closed_window, one_at_a_time

REPLACED = {Announce.REPLACE, Announce.REPLACE_CROSS}
NEVER = datetime.min.replace(tzinfo=UTC)  # where a paper that nobody announced stands


@dataclass(frozen=True, slots=True)
class Remembered:
    """What `remember` did. `new_ids` are the canonical ids that were not announced before."""

    new: int = 0
    revised: int = 0
    merged: int = 0
    new_ids: tuple[str, ...] = ()


# ------------------------------------------------------------------ reading


def known(tx: Tx, ids: Collection[str]) -> frozenset[str]:
    """Which of these ids belong to a stored paper."""
    return frozenset(keys_of(tx, ids))


def announced(tx: Tx, ids: Collection[str]) -> frozenset[str]:
    """Which of these ids belong to a paper that a source has announced: not those that are kept
    for a profile's seeds alone."""
    shown = t.paper_ids.join(t.papers, t.papers.c.key == t.paper_ids.c.paper)
    asked = select(t.paper_ids.c.id).select_from(shown).where(t.papers.c.first_seen.is_not(None))
    found = (tx.execute(asked.where(t.paper_ids.c.id.in_(part))).scalars() for part in chunks(ids))
    return frozenset(id_ for some in found for id_ in some)


def find(tx: Tx, ids: Collection[str]) -> dict[str, Paper]:
    """{id as asked: paper} for each id that is known, by any of a paper's ids."""
    keys = keys_of(tx, ids)
    papers = {paper.key: paper for paper in by_keys(tx, set(keys.values()))}
    return {id_: papers[key] for id_, key in keys.items() if key in papers}


def by_keys(tx: Tx, keys: Collection[int]) -> list[Paper]:
    """The papers of these rows, current texts, in order of first sight."""
    rows = [
        row
        for part in chunks(keys)
        for row in tx.execute(_current().where(t.papers.c.key.in_(part)))
    ]
    return sorted(_papers(tx, rows), key=_order)


def pinned(tx: Tx, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Paper]:
    """{(id, revision): paper as of that revision}; the current text where that one is gone."""
    keys = keys_of(tx, {id_ for id_, _ in wanted})
    rows = {}
    for part in chunks(set(keys.values())):
        for row in tx.execute(_every_revision().where(t.papers.c.key.in_(part))):
            rows[row.key, row.revision] = row
            if row.revision == row.current:
                rows[row.key, 0] = row
    found = {
        (id_, rev): rows.get((keys[id_], rev)) or rows.get((keys[id_], 0))
        for id_, rev in wanted
        if id_ in keys
    }
    distinct = {(row.key, row.revision): row for row in found.values() if row is not None}
    papers = {(p.key, p.revision): p for p in _papers(tx, list(distinct.values()))}
    return {pin: papers[row.key, row.revision] for pin, row in found.items() if row is not None}


def first_seen_in(tx: Tx, window: Window) -> list[Paper]:
    """The papers of a window, by our first sight, oldest first."""
    seen = t.papers.c.first_seen
    rows = tx.execute(_current().where(seen >= window.since, seen < window.until)).all()
    return sorted(_papers(tx, rows), key=_order)


def count_seen_in(tx: Tx, window: Window) -> int:
    seen = t.papers.c.first_seen
    question = select(func.count()).where(seen >= window.since, seen < window.until)
    return tx.execute(question).scalar_one()


def before(tx: Tx, until: datetime, limit: int) -> list[Paper]:
    """The latest `limit` papers first seen before `until`, newest first; no signals."""
    order = t.papers.c.first_seen.desc(), t.papers.c.key.desc()
    newest = select(t.papers.c.key).where(t.papers.c.first_seen < until).order_by(*order)
    rows = tx.execute(_current().where(t.papers.c.key.in_(newest.limit(limit or None))))
    return sorted((_paper(row, {}, ()) for row in rows), key=_order, reverse=True)


def trending(tx: Tx, window: Window, limit: int) -> list[Paper]:
    """Papers whose votes were counted in the window, most votes first (latest count)."""
    s = t.signals.c
    counted = and_(s.name == "upvotes", s.at >= window.since, s.at < window.until)
    best = select(s.paper, func.max(s.value).label("votes")).where(counted).group_by(s.paper)
    order = best.order_by(func.max(s.value).desc(), s.paper).limit(limit or None)
    votes = {row.paper: row.votes for row in tx.execute(order) if row.votes > 0}
    return sorted(by_keys(tx, votes), key=lambda p: (-votes[p.key], p.id))


def listed(tx: Tx, limit: int, offset: int = 0) -> list[Paper]:
    """Papers newest first, as `paper list` shows them; limit 0 is all."""
    order = t.papers.c.first_seen.desc().nulls_last(), t.papers.c.key.desc()
    rows = tx.execute(_current().order_by(*order).limit(limit or None).offset(offset)).all()
    return _papers(tx, rows)


def walk(tx: Tx, batch: int = 1000) -> Iterator[Paper]:
    """Every paper, oldest row first, in bounded memory."""
    after = 0
    while rows := tx.execute(
        _current().where(t.papers.c.key > after).order_by(t.papers.c.key).limit(batch)
    ).all():
        yield from _papers(tx, rows)
        after = rows[-1].key


def count(tx: Tx) -> int:
    return tx.execute(select(func.count()).select_from(t.papers)).scalar_one()


# ------------------------------------------------------------------ remembering


def remember(tx: Tx, source: str, listings: Sequence[Listing], now: datetime) -> Remembered:
    """Store what a source showed. One work is one row however often and under whatever id it
    comes; `listings` hold one entry for each work (see `identity.fold`). Idempotent. A work that
    was only kept (see `keep`) is new now, unless it is shown as a replacement."""
    one_at_a_time(tx)
    seen = not_in_a_closed_window(tx, now)
    homes, merged = _homes(tx, listings)
    fresh = [item for item, key in zip(listings, homes, strict=True) if key is None]
    stored = [(item, key) for item, key in zip(listings, homes, strict=True) if key is not None]
    keys = _insert(tx, source, fresh, now, seen)
    at_last = _announce(tx, [key for item, key in stored if item.announce not in REPLACED], seen)
    revised = _revise(tx, source, stored, now)
    everything = [*zip(fresh, keys, strict=True), *stored]
    _note_ids(tx, everything, now)
    _note_listed(tx, source, everything, now)
    _note_signals(tx, everything, now)
    new = (*(item.ids[0] for item in fresh), *at_last)
    return Remembered(len(new), revised, merged, new)


def keep(tx: Tx, source: str, listings: Sequence[Listing], now: datetime) -> int:
    """Store the texts of works that no source announced, for those who learn from them. They are
    in no window and so in no letter until `remember` is told of them. How many were not known."""
    one_at_a_time(tx)
    homes, _ = _homes(tx, listings)
    fresh = [item for item, key in zip(listings, homes, strict=True) if key is None]
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


def _homes(tx: Tx, listings: Sequence[Listing]) -> tuple[list[int | None], int]:
    """The row each listing belongs to, None where it is new; merges rows found to be one work."""
    keys = keys_of(tx, {id_ for item in listings for id_ in item.ids})
    schemes = _schemes(tx, set(keys.values()))
    homes: list[int | None] = []
    merged = 0
    for item in listings:
        found = _found(item, keys, schemes)
        for loser in found[1:]:
            merge(tx, found[0], loser)
            schemes[found[0]] |= schemes[loser]
            keys = {id_: found[0] if key == loser else key for id_, key in keys.items()}
            homes = [found[0] if home == loser else home for home in homes]
            merged += 1
        homes.append(found[0] if found else None)
    return homes, merged


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


# ------------------------------------------------------------------ shared by the store's files


def keys_of(tx: Tx, ids: Collection[str]) -> dict[str, int]:
    return {
        row.id: row.paper
        for part in chunks(ids)
        for row in tx.execute(
            select(t.paper_ids.c.id, t.paper_ids.c.paper).where(t.paper_ids.c.id.in_(part))
        )
    }


def key_of(tx: Tx, id_: str) -> int | None:
    """The row of the paper with this id, by any of its ids."""
    return keys_of(tx, [id_]).get(id_)


def _every_revision() -> Select[Any]:
    p, r = t.papers.c, t.revisions.c
    texts = (r.revision, r.title, r.abstract, r.authors, r.categories, r.published, r.links)
    joined = t.papers.join(t.revisions, r.paper == p.key)
    return select(p.key, p.id, p.first_seen, p.revision.label("current"), *texts).select_from(
        joined
    )


def _current() -> Select[Any]:
    return _every_revision().where(t.revisions.c.revision == t.papers.c.revision)


def _papers(tx: Tx, rows: Sequence[Any]) -> list[Paper]:
    keys = {row.key for row in rows}
    signals, others = _signals(tx, keys), _other_ids(tx, keys)
    return [_paper(row, signals.get(row.key, {}), others.get(row.key, ())) for row in rows]


def _paper(row: Any, signals: dict[str, float], ids: Sequence[str]) -> Paper:
    return Paper(
        id=row.id,
        title=row.title,
        abstract=row.abstract,
        authors=tuple(row.authors),
        categories=tuple(row.categories),
        published=row.published,
        links=row.links,
        signals=signals,
        other_ids=tuple(id_ for id_ in ids if id_ != row.id and not id_.startswith(WEAK)),
        first_seen=row.first_seen,
        revision=row.revision,
        key=row.key,
    )


def _order(paper: Paper) -> tuple[Any, str]:
    return (paper.first_seen or NEVER, paper.id)


def _signals(tx: Tx, keys: Collection[int]) -> dict[int, dict[str, float]]:
    s = t.signals.c
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for part in chunks(keys):
        question = select(s.paper, s.name, s.value).where(s.paper.in_(part)).order_by(s.day)
        for row in tx.execute(question):
            found[row.paper][row.name] = row.value
    return found


def _other_ids(tx: Tx, keys: Collection[int]) -> dict[int, list[str]]:
    ids = t.paper_ids.c
    found: dict[int, list[str]] = defaultdict(list)
    for part in chunks(keys):
        for row in tx.execute(
            select(ids.paper, ids.id).where(ids.paper.in_(part)).order_by(ids.id)
        ):
            found[row.paper].append(row.id)
    return found
