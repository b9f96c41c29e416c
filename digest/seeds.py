"""Seeds that are not stored are looked up by id, so that profiles can learn from them.

Of the profiles that changed since the last time, those seeds are put down that no paper here has;
a source that can look up ids is asked for some of them in each run. What it does not have is
asked for again after days, later each time, and at last no more. A paper that comes this way is
kept and not announced: it is in nobody's window until a source shows it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from digest import identity
from digest.model import Verdict
from digest.sources import LookedUp, LooksUp, Source
from digest.store import Database, papers
from digest.store import seeds as sought

log = logging.getLogger(__name__)

MOST_ASKED = 100  # ids in one run of one source
MOST_OF_ONE = 2_000  # of one profile's seeds
OVERLAP = timedelta(hours=1)  # of two looks at profiles: a slow writer's time is before its commit
BATCH = 1_000  # people whose profiles are looked at in one transaction
KEPT = "seed"  # the source name of papers that came this way


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one run did."""

    asked: int = 0
    found: int = 0
    missing: int = 0  # the source does not have them
    verdict: Verdict = Verdict.OK
    message: str = ""


async def fetch_seeds(db: Database, sources: Sequence[Source], now: datetime) -> list[Lookup]:
    """Ask each source that can look up ids, one of each scheme, for seeds that are due. A source
    that fails is left alone until the next run; raises only where the database fails."""
    able = {one.scheme: one for one in reversed(sources) if isinstance(one, LooksUp)}
    return [await _fetch_from(db, source, now) for source in able.values()]


async def _fetch_from(db: Database, source: LooksUp, now: datetime) -> Lookup:
    await asyncio.to_thread(note_wanted, db, source.scheme, now)
    ids = await asyncio.to_thread(_due, db, source.scheme, now)
    if not ids:
        return Lookup()
    try:
        answer = await source.look_up(ids)
    except Exception as error:  # a kind that breaks its promise
        log.exception("seeds: looking up %s ids raised", source.scheme)
        answer = LookedUp(Verdict.PARSE_FAILED, f"{type(error).__name__}: {error}")
    done = await asyncio.to_thread(_store, db, ids, answer, now)
    log.info(
        "seeds: %s, %d asked, %d found, %d not to be had: %s",
        done.verdict,
        done.asked,
        done.found,
        done.missing,
        done.message,
    )
    return done


def note_wanted(db: Database, scheme: str, now: datetime) -> int:
    """Put down the seeds of profiles that changed; how many are not stored. The mark moves last,
    so that a run that was cut is done again."""
    with db.reading() as tx:
        since = sought.looked_until(tx, scheme)
        people = iter(sought.changed_people(tx, since and since - OVERLAP))
    total = 0
    while batch := list(islice(people, BATCH)):
        with db.reading() as tx:
            ids = {id_ for doc in sought.documents(tx, batch) for id_ in seeds_of(doc, scheme)}
        with db.writing() as tx:
            total += sought.want(tx, sorted(ids), now)
    with db.writing() as tx:
        sought.look_until(tx, scheme, now)
    return total


def seeds_of(document: Mapping[str, Any], scheme: str) -> list[str]:
    """The canonical ids of this scheme that a stored profile has for seeds, each once."""
    named = (
        seed for interest in document.get("interest", ()) for seed in interest.get("seeds", ())
    )
    ids = (identity.parse(seed) for seed in islice(named, MOST_OF_ONE))
    return list(dict.fromkeys(id_ for id_ in ids if id_ and identity.scheme(id_) == scheme))


def _due(db: Database, scheme: str, now: datetime) -> list[str]:
    """What to ask for; what a source announced meanwhile is struck out."""
    with db.writing() as tx:
        ids = sought.due(tx, scheme, now, MOST_ASKED)
        here = papers.known(tx, ids)
        sought.found(tx, here)
    return [id_ for id_ in ids if id_ not in here]


def _store(db: Database, ids: Sequence[str], answer: LookedUp, now: datetime) -> Lookup:
    """Keep what came, and note what did not: all or nothing. An id without an answer stays due."""
    asked = set(ids)
    works = [work for work in identity.fold(answer.papers) if not asked.isdisjoint(work.ids)]
    came = asked.intersection(id_ for work in works for id_ in work.ids)
    missing = (answer.missing & asked) - came
    with db.writing() as tx:
        papers.keep(tx, KEPT, works, now)
        sought.found(tx, came)
        sought.missed(tx, missing, now)
    said = " ".join(answer.message.split())
    return Lookup(len(asked), len(came), len(missing), answer.verdict, said)
