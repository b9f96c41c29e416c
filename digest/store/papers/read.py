"""Reading papers: by any id, by pin, by window, newest first, all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, and_, func, select

from digest.model import Paper, Window
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.rows import WEAK, chunks

NEVER = datetime.min.replace(tzinfo=UTC)  # where a paper that nobody announced stands


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


def vote_counts(tx: Tx, keys: Collection[int]) -> dict[int, list[tuple[datetime, float]]]:
    """{row of a paper: (when its upvotes were counted, how many), oldest first}; one a day."""
    s = t.signals.c
    found: dict[int, list[tuple[datetime, float]]] = defaultdict(list)
    question = select(s.paper, s.at, s.value).where(s.name == "upvotes").order_by(s.day)
    for part in chunks(keys):
        for row in tx.execute(question.where(s.paper.in_(part))):
            found[row.paper].append((row.at, row.value))
    return found


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
