"""Learning from all readers, off the way of publishing: what they like is read in batches, a map is
learnt and checked with no transaction open, and kept in one short one.

Nothing is kept of any person: see `matching/collaborative.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from digest import identity
from digest.matching.collaborative import CollaborativeMap
from digest.matching.heldout import Check, Library
from digest.matching.training import OTHERS, learn
from digest.model import Feedback, Paper
from digest.store import Database, models, papers, people
from digest.store.models import MAP, Kept

BATCH = 1000  # people read at once
log = logging.getLogger("digest.training")


def train(db: Database, now: datetime) -> Check:
    """Learn what readers of the same papers like; keep it if held-out papers say it helps, and
    keep in any case what the check found."""
    wanted = list(_libraries(db))
    libraries, texts = _texts(db, wanted, now)
    learnt = learn(libraries, texts)
    data = learnt.map.to_bytes() if learnt.map else None
    with db.writing() as tx:
        models.keep(tx, MAP, Kept(now, asdict(learnt.check)), data)
    return learnt.check


def checked(db: Database) -> tuple[datetime, Check] | None:
    """When the last map was learnt, and what its check found; None: never."""
    with db.reading() as tx:
        kept = models.latest(tx, MAP)
    return (kept.made_at, Check(**kept.checked)) if kept else None


def load(db: Database) -> CollaborativeMap | None:
    """The map in force; None where there is none, or none that this version can read."""
    with db.reading() as tx:
        data = models.data(tx, MAP)
    if data is None:
        return None
    try:
        return CollaborativeMap.from_bytes(data)
    except ValueError as error:
        log.warning("the collaborative map is left out: %s; `digest train` makes a new one", error)
        return None


# ------------------------------------------------------------------ what is learnt from


def _libraries(db: Database) -> Iterator[Library]:
    """What each person likes, oldest first, by any of a paper's ids."""
    after = 0
    while True:
        with db.reading() as tx:
            batch = people.libraries(tx, after, BATCH)
        if not batch:
            return
        after = batch[-1][0]
        for _, document, said in batch:
            yield library(document, said)


def library(document: Mapping[str, Any], said: Feedback) -> Library:
    """What one person likes; a profile that is broken has what can be read of it."""
    return tuple(dict.fromkeys([*_seeds(document), *said.likes]))


def _seeds(document: Mapping[str, Any]) -> Iterator[str]:
    """Ids as the store knows them."""
    interests = document.get("interest")
    for interest in interests if isinstance(interests, list) else ():
        seeds = interest.get("seeds") if isinstance(interest, dict) else ()
        for seed in seeds if isinstance(seeds, list) else ():
            if isinstance(seed, str):
                yield identity.parse(seed) or seed


def _texts(db: Database, wanted: list[Library], now: datetime) -> tuple[list[Library], list[Paper]]:
    """(the libraries by papers' own ids, the papers in them and others)."""
    with db.reading() as tx:
        found = papers.find(tx, {id_ for library in wanted for id_ in library})
        others = papers.before(tx, now, OTHERS)
    libraries = [
        tuple(dict.fromkeys(found[id_].id for id_ in library if id_ in found)) for library in wanted
    ]
    texts = {paper.id: paper for paper in (*others, *found.values())}
    return [library for library in libraries if library], list(texts.values())
