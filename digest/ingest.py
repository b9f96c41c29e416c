"""VERB 1: ask every source, judge its health, remember new papers.

Sources are asked at the same time and none costs another: what goes wrong with one is its own
report. The network is asked with no transaction open; what a source brought is stored in one
short transaction together with its report and its cursor, so that a crash leaves either all of
it or nothing. Doing it again finds the same works under the same ids and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice

from digest import identity
from digest.errors import DigestError, Refused
from digest.model import Announce, BadEntry, Fetched, LetterKind, Listing, SourceReport, Verdict
from digest.sources import Backfills, Known, Rereads, Source, alarm
from digest.sources.file import read_papers
from digest.sources.health import of_what_was_read
from digest.sources.http import Web
from digest.store import Database, Tx, deliveries, papers, sources

log = logging.getLogger(__name__)

Progress = Callable[[SourceReport], None]
"""Called with the report of a source that is done, or of a backfill as it goes on."""

NOTICE_LIVES = timedelta(days=3)  # in the queue; what it tells is old by then
_REPLACED = {Announce.REPLACE, Announce.REPLACE_CROSS}
IMPORTED = "import"  # the source name of papers that came by `digest paper import`
BATCH = 500  # works in one transaction of an import


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How an import ended. `bad` lists (line number from 1, reason)."""

    new: int = 0
    revised: int = 0
    known: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is told when a source turns bad and when it is well again; no address: the log alone.
    `message_id`: makes a Message-ID out of a kind and what names the letter."""

    address: str
    message_id: Callable[[str, str], str]


async def ingest(
    db: Database,
    asked: Sequence[Source],
    now: datetime,
    on_progress: Progress | None = None,
    operator: Operator | None = None,
) -> list[SourceReport]:
    """Ask all these sources; one report each, in their order. Raises only where the database
    fails, and then after every source has ended."""
    turn = asyncio.Lock()  # of writing: the store has one writer at a time anyway

    async def one(source: Source) -> SourceReport:
        report = await _ask(db, source, now, turn, operator)
        if on_progress:
            on_progress(report)
        return report

    ended = await asyncio.gather(*map(one, asked), return_exceptions=True)
    for failure in ended:
        if isinstance(failure, BaseException):
            raise failure
    return [report for report in ended if isinstance(report, SourceReport)]


async def backfill(
    db: Database,
    source: Source,
    since: date,
    until: date,
    now: datetime,
    on_progress: Progress | None = None,
) -> SourceReport:
    """Fetch what `source` announced on the days [since, until], oldest first. Each slice is
    stored as it comes; what was stored stays when a later one fails, and where a backfill from
    the same day on was broken off, this one goes on from there. Raises Refused where the source
    has no past to ask for."""
    name = source.spec.name
    if not isinstance(source, Backfills):
        raise Refused(f"source {name}: kind {source.spec.kind} cannot backfill", subject=name)
    total = SourceReport(name, Verdict.OK)
    first = await asyncio.to_thread(_goes_on, db, name, since)
    if first > since:
        log.info("source %s: the backfill since %s goes on from %s", name, since, first)
    async for part in source.backfill(min(first, until), until, now):
        report = await asyncio.to_thread(_store, db, name, part, now, of_its_own=False)
        if "through" in part.cursor and part.verdict is Verdict.OK:
            through = date.fromisoformat(part.cursor["through"])
            await asyncio.to_thread(_came_to, db, name, since, through)
        total = _sum(total, report)
        if on_progress:
            on_progress(total)
    if total.verdict is Verdict.OK:
        await asyncio.to_thread(_came_to, db, name, since, None)
    return total


def _goes_on(db: Database, name: str, since: date) -> date:
    with db.reading() as tx:
        return max(since, sources.backfilled(tx, name, since) or since)


def _came_to(db: Database, name: str, since: date, through: date | None) -> None:
    with db.writing() as tx:
        sources.set_backfilled(tx, name, since, through)


@asynccontextmanager
async def patient(db: Database, web: Web, now: datetime) -> AsyncIterator[None]:
    """What servers asked of processes before this one holds for `web`, and what they ask of it
    now holds for the next: runs by cron do not knock again before the time."""
    with db.reading() as tx:
        before = sources.waits(tx, now)
    web.wait({url: (until - now).total_seconds() for url, until in before.items()})
    try:
        yield
    finally:
        after = {url: now + timedelta(seconds=wait) for url, wait in web.waits().items()}
        if after or before:
            with db.writing() as tx:
                sources.set_waits(tx, after)


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of quarantined entries: `read` are the titles of those that are papers now,
    `still` lists (key, source, reason) of the others."""

    read: list[str] = field(default_factory=list)
    new: int = 0
    still: list[tuple[int, str, str]] = field(default_factory=list)


def retry(db: Database, source: Source, now: datetime) -> Retried:
    """Read the source's quarantined entries again, as they were kept, with today's reader. What
    can be read now is stored and leaves the quarantine."""
    name = source.spec.name
    with db.reading() as tx:
        kept = sources.quarantined(tx, name)
    if not isinstance(source, Rereads):
        why = f"kind {source.spec.kind} cannot read entries again"
        return Retried(still=[(entry.key, name, why) for entry in kept])
    found = [(entry, source.read_entry(entry.raw)) for entry in reversed(kept)]
    good = [(entry.key, item) for entry, item in found if isinstance(item, Listing)]
    still = [(e.key, name, item.reason) for e, item in found if isinstance(item, BadEntry)]
    with db.writing() as tx:
        ours = papers.known(tx, {id_ for _, item in good for id_ in item.ids})
        wanted = [i for _, i in good if i.announce not in _REPLACED or not ours.isdisjoint(i.ids)]
        done = papers.remember(tx, name, identity.fold(wanted), now)
        sources.release(tx, [key for key, _ in good])
    log.info("source %s: %d entries read again, %d not", name, len(good), len(still))
    return Retried([item.title for _, item in good], done.new, still)


def import_papers(db: Database, lines: Iterable[str], now: datetime) -> ImportReport:
    """Store papers from JSON lines; bad lines are listed and the rest goes in. Idempotent."""
    report = ImportReport()
    first, remaining = 1, iter(lines)
    while batch := list(islice(remaining, BATCH)):
        found, bad = read_papers(batch, first)
        first += len(batch)
        works = identity.fold(found)
        with db.writing() as tx:
            done = papers.remember(tx, IMPORTED, works, now)
        report = ImportReport(
            new=report.new + done.new,
            revised=report.revised + done.revised,
            known=report.known + len(works) - done.new - done.revised,
            bad=[*report.bad, *((line.line, line.entry.reason) for line in bad)],
        )
    log.info(
        "import: %d new, %d revised, %d bad lines", report.new, report.revised, len(report.bad)
    )
    return report


async def _ask(
    db: Database,
    source: Source,
    now: datetime,
    turn: asyncio.Lock,
    operator: Operator | None,
) -> SourceReport:
    name = source.spec.name
    cursor = await asyncio.to_thread(_cursor, db, name)
    fetched = await _fetch(source, cursor, known_in(db), now)
    async with turn:
        report = await asyncio.to_thread(
            _store, db, name, fetched, now, of_its_own=True, operator=operator
        )
    log.info(
        "source %s: %s, %d fetched, %d new, %d revised, %d backfilled, %d quarantined: %s",
        name,
        report.verdict,
        report.fetched,
        report.new,
        report.revised,
        report.backfilled,
        report.quarantined,
        report.message,
    )
    return report


async def _fetch(source: Source, cursor: dict[str, str], known: Known, now: datetime) -> Fetched:
    """What the source says. A kind that breaks its promise not to raise is its own report."""
    try:
        return of_what_was_read(await source.fetch(cursor, known, now), cursor)
    except DigestError as error:
        if error.exit_code == 3:  # the database: nobody can go on
            raise
        return Fetched(Verdict.PARSE_FAILED, str(error), cursor=cursor)
    except Exception as error:
        log.exception("source %s raised", source.spec.name)
        said = f"{type(error).__name__}: {error}: a fault of kind {source.spec.kind}, see the log"
        return Fetched(Verdict.PARSE_FAILED, " ".join(said.split())[:500], cursor=cursor)


def _cursor(db: Database, name: str) -> dict[str, str]:
    with db.reading() as tx:
        return sources.cursor(tx, name)


def known_in(db: Database) -> Known:
    """A function that says which ids are papers that were announced here. What is stored only
    because a profile names it is not: it would be taken for old when it comes."""

    def known(ids: Collection[str]) -> frozenset[str]:
        with db.reading() as tx:
            return papers.announced(tx, ids)

    return known


def _store(
    db: Database,
    name: str,
    fetched: Fetched,
    now: datetime,
    *,
    of_its_own: bool,
    operator: Operator | None = None,
) -> SourceReport:
    """One source's catch, its report and its cursor: all or nothing. A slice of a backfill is
    not `of_its_own`: it says nothing of the source's health and leaves the cursor."""
    shown, filled = _one_per_work(fetched)
    with db.writing() as tx:
        filled_in = papers.remember(tx, name, filled, now)
        done = papers.remember(tx, name, shown, now)
        fresh = _not_yet_kept(tx, name, fetched.bad)
        sources.put_in_quarantine(tx, name, fresh, now)
        report = SourceReport(
            source=name,
            verdict=fetched.verdict,
            fetched=len(fetched.listings) + len(fetched.backfill),
            new=done.new + filled_in.new,
            revised=done.revised + filled_in.revised,
            backfilled=filled_in.new,
            quarantined=len(fresh),
            message=" ".join(fetched.message.split()),
        )
        if of_its_own:
            _tell(tx, report, now, operator)
            sources.record(tx, report, fetched.cursor, now)
    return report


def _tell(tx: Tx, report: SourceReport, now: datetime, operator: Operator | None) -> None:
    """The operator hears of it where a source turned bad or is well again: in the log, and by a
    letter where there is an address."""
    before = sources.health(tx).get(report.source)
    last = sources.last_notice(tx, report.source)
    notice = alarm.due(report, before.healthy_at if before else None, last, now)
    if notice is None:
        return
    how = "is well again" if notice.well else "turned bad"
    log.warning("source %s %s: %s: %s", notice.source, how, notice.verdict, notice.message)
    letter = None
    if operator is not None and operator.address:
        id_ = operator.message_id(str(LetterKind.NOTICE), f"{notice.source}\0{now.isoformat()}")
        expires = now + NOTICE_LIVES
        kind = LetterKind.NOTICE
        letter = deliveries.enqueue(tx, kind, None, operator.address, id_, now, expires)
    sources.note(tx, notice, letter)


def _one_per_work(fetched: Fetched) -> tuple[list[Listing], list[Listing]]:
    """(what was shown, what only the backfill brought), one listing for each work."""
    shown = identity.fold(fetched.listings)
    ids = {id_ for listing in shown for id_ in listing.ids if not identity.is_weak(id_)}
    filled = identity.fold(fetched.backfill)
    return shown, [item for item in filled if ids.isdisjoint(item.ids)]


def _not_yet_kept(tx: Tx, name: str, bad: Sequence[BadEntry]) -> list[BadEntry]:
    """The bad entries that are not in quarantine yet: a feed shows the same ones for days."""
    if not bad:
        return []
    have = sources.marks_in_quarantine(tx, name)
    distinct = {sources.mark(entry.raw, entry.reason): entry for entry in bad}
    return [entry for mark, entry in distinct.items() if mark not in have]


def _sum(total: SourceReport, part: SourceReport) -> SourceReport:
    return replace(
        total,
        verdict=part.verdict,
        fetched=total.fetched + part.fetched,
        new=total.new + part.new,
        revised=total.revised + part.revised,
        backfilled=total.backfilled + part.backfilled,
        quarantined=total.quarantined + part.quarantined,
        message=part.message,
    )
