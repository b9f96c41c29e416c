"""Sources: cursor, health and its history, sources added by command, quarantined entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, insert, select, update

from digest.model import BadEntry, Notice, SourceReport, Verdict
from digest.store import tables as t
from digest.store.database import Tx
from digest.store.rows import insert_new

WAIT = "leave alone: "  # before an address, in the names of marks
KEPT = timedelta(days=400)  # of a source's history
MOST_KEPT = 5_000  # quarantined entries of one source
MAX_RAW = 65_536  # bytes kept of one quarantined entry


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one source now. `kind` and `options` are set where a command added it."""

    name: str
    verdict: Verdict | None
    message: str
    checked_at: datetime | None
    healthy_at: datetime | None
    kind: str | None = None
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """One line of a source's history."""

    at: datetime
    report: SourceReport


@dataclass(frozen=True, slots=True)
class BadDay:
    """A day (UTC) on which a source was not well: how its last bad fetch ended, how many were
    bad, and whether it was well again before the day was over."""

    day: date
    verdict: Verdict
    message: str
    fetches: int
    mended: bool


@dataclass(frozen=True, slots=True)
class Quarantined:
    key: int
    source: str
    at: datetime
    reason: str
    raw: bytes


def cursor(tx: Tx, name: str) -> dict[str, str]:
    """What the source's last fetch left; {} at first."""
    found = tx.execute(select(t.sources.c.cursor).where(t.sources.c.name == name))
    return dict(found.scalar_one_or_none() or {})


def set_cursor(tx: Tx, name: str, value: Mapping[str, str]) -> None:
    _ensure(tx, name)
    tx.execute(update(t.sources).where(t.sources.c.name == name).values(cursor=dict(value)))


def record(
    tx: Tx, report: SourceReport, cursor_after: Mapping[str, str] | None, at: datetime
) -> None:
    """One fetch has ended: its line of history, the source's state, and the new cursor."""
    _ensure(tx, report.source)
    changed: dict[str, Any] = {
        "verdict": str(report.verdict),
        "message": report.message,
        "checked_at": at,
    }
    if report.verdict.healthy:
        changed["healthy_at"] = at
    if cursor_after is not None:
        changed["cursor"] = dict(cursor_after)
    tx.execute(update(t.sources).where(t.sources.c.name == report.source).values(changed))
    tx.execute(insert(t.fetches), [_fetch_row(report, at)])
    f = t.fetches.c
    tx.execute(delete(t.fetches).where(f.source == report.source, f.at < at - KEPT))


def _fetch_row(report: SourceReport, at: datetime) -> dict[str, Any]:
    return {
        "source": report.source,
        "at": at,
        "verdict": str(report.verdict),
        "fetched": report.fetched,
        "new": report.new,
        "revised": report.revised,
        "backfilled": report.backfilled,
        "quarantined": report.quarantined,
        "message": report.message,
    }


def _ensure(tx: Tx, name: str) -> None:
    tx.execute(insert_new(tx, t.sources), [{"name": name, "cursor": {}}])


def health(tx: Tx) -> dict[str, Health]:
    """{name: health} of every source that was ever asked or added."""
    rows = tx.execute(select(t.sources).order_by(t.sources.c.name))
    return {
        row.name: Health(
            row.name,
            Verdict(row.verdict) if row.verdict else None,
            row.message or "",
            row.checked_at,
            row.healthy_at,
            row.kind,
            row.options,
        )
        for row in rows
    }


def history(tx: Tx, name: str, limit: int = 0) -> list[Fetch]:
    """The latest fetches of one source, newest first."""
    f = t.fetches.c
    order = select(t.fetches).where(f.source == name).order_by(f.key.desc())
    return [Fetch(row.at, _report(row)) for row in tx.execute(order.limit(limit or None))]


def bad_days(tx: Tx, name: str, since: datetime) -> list[BadDay]:
    """The days since then on which a fetch of the source was not well, newest first."""
    f, well = t.fetches.c, [str(verdict) for verdict in Verdict if verdict.healthy]
    of_it = (f.source == name) & (f.at >= since)
    ill = select(f.at, f.verdict, f.message).where(of_it, f.verdict.not_in(well)).order_by(f.at)
    by_day: dict[date, list[Any]] = {}
    for row in tx.execute(ill):
        by_day.setdefault(row.at.date(), []).append(row)
    if not by_day:
        return []
    fine = tx.execute(select(f.at).where(of_it, f.verdict.in_(well))).scalars()
    last_well: dict[date, datetime] = {}
    for at in fine:
        last_well[at.date()] = max(at, last_well.get(at.date(), at))
    return [
        BadDay(
            day,
            Verdict(rows[-1].verdict),
            rows[-1].message,
            len(rows),
            last_well.get(day, since) > rows[-1].at,
        )
        for day, rows in sorted(by_day.items(), reverse=True)
    ]


def _report(row: Any) -> SourceReport:
    return SourceReport(
        row.source,
        Verdict(row.verdict),
        row.fetched,
        row.new,
        row.revised,
        row.backfilled,
        row.quarantined,
        row.message,
    )


def last_notice(tx: Tx, source: str) -> Notice | None:
    """What the operator was told last of this source."""
    n = t.notices.c
    last = select(t.notices).where(n.source == source).order_by(n.key.desc()).limit(1)
    row = tx.execute(last).one_or_none()
    return _notice(row) if row else None


def note(tx: Tx, notice: Notice, delivery: int | None) -> None:
    """The operator is told this, by that letter if there is one."""
    row = {
        "source": notice.source,
        "at": notice.at,
        "well": notice.well,
        "verdict": str(notice.verdict),
        "message": notice.message,
        "since": notice.since,
        "delivery": delivery,
    }
    tx.execute(insert(t.notices), [row])


def notices_of(tx: Tx, letters: Sequence[int]) -> dict[int, Notice]:
    """{delivery: what it tells the operator}."""
    if not letters:
        return {}
    found = tx.execute(select(t.notices).where(t.notices.c.delivery.in_(list(letters))))
    return {row.delivery: _notice(row) for row in found}


def _notice(row: Any) -> Notice:
    verdict = Verdict(row.verdict)
    return Notice(row.source, row.at, row.well, verdict, row.message, row.since)


def waits(tx: Tx, now: datetime) -> dict[str, datetime]:
    """{address: until when its server wants it left alone}."""
    m = t.marks.c
    rows = tx.execute(select(t.marks).where(m.name.startswith(WAIT), m.at > now))
    return {row.name.removeprefix(WAIT): row.at for row in rows}


def set_waits(tx: Tx, until: Mapping[str, datetime]) -> None:
    """These addresses are to be left alone so long, and no others."""
    tx.execute(delete(t.marks).where(t.marks.c.name.startswith(WAIT)))
    if rows := [{"name": WAIT + url, "at": at} for url, at in until.items()]:
        tx.execute(insert(t.marks), rows)


def backfilled(tx: Tx, name: str, since: date) -> date | None:
    """The day up to which a backfill from `since` on that did not end is stored."""
    mark = select(t.marks.c.at).where(t.marks.c.name == _backfill(name, since))
    found: datetime | None = tx.execute(mark).scalar_one_or_none()
    return found.date() if found else None


def set_backfilled(tx: Tx, name: str, since: date, through: date | None) -> None:
    """How far a backfill has come; None: it ended."""
    mark = _backfill(name, since)
    tx.execute(delete(t.marks).where(t.marks.c.name == mark))
    if through is not None:
        at = datetime(through.year, through.month, through.day, tzinfo=UTC)
        tx.execute(insert(t.marks), [{"name": mark, "at": at}])


def _backfill(name: str, since: date) -> str:
    return f"backfill of {name} since {since}"


def add(tx: Tx, name: str, kind: str, options: Mapping[str, Any]) -> bool:
    """A source given by command. False where the name is taken by another such source."""
    _ensure(tx, name)
    here = t.sources.c.name == name
    if tx.execute(select(t.sources.c.kind).where(here)).scalar_one():
        return False
    tx.execute(update(t.sources).where(here).values(kind=kind, options=dict(options)))
    return True


def remove(tx: Tx, name: str) -> bool:
    """Forget a source given by command, its cursor and health; its papers stay."""
    gone = delete(t.sources).where(t.sources.c.name == name, t.sources.c.kind.is_not(None))
    return bool(tx.execute(gone).rowcount)


def put_in_quarantine(tx: Tx, source: str, bad: Sequence[BadEntry], at: datetime) -> None:
    """Keep entries that could not be read, with their bytes and reasons: of each source the latest
    MOST_KEPT, so that one that sends nonsense all day does not fill the disk."""
    rows = [
        {"source": source, "at": at, "reason": entry.reason, "raw": entry.raw[:MAX_RAW]}
        for entry in bad
    ]
    if not rows:
        return
    tx.execute(insert(t.quarantine), rows[-MOST_KEPT:])
    q = t.quarantine.c
    of_it = select(q.key).where(q.source == source).order_by(q.key.desc())
    last = tx.execute(of_it.offset(MOST_KEPT - 1).limit(1)).scalar_one_or_none()
    if last is not None:
        tx.execute(delete(t.quarantine).where(q.source == source, q.key < last))


def quarantined(tx: Tx, source: str | None = None, limit: int = 0) -> list[Quarantined]:
    """Entries in quarantine, newest first; of one source or of all."""
    q = t.quarantine.c
    question = select(t.quarantine).order_by(q.key.desc()).limit(limit or None)
    if source is not None:
        question = question.where(q.source == source)
    rows = tx.execute(question)
    return [Quarantined(row.key, row.source, row.at, row.reason, row.raw) for row in rows]


def mark(raw: bytes, reason: str) -> bytes:
    """What tells an entry of the quarantine from others."""
    return sha256(raw[:MAX_RAW] + b"\0" + reason.encode("utf-8", "replace")).digest()


def marks_in_quarantine(tx: Tx, source: str) -> set[bytes]:
    """The marks of the source's entries; their bytes are held a few at a time."""
    q = t.quarantine.c
    question = select(q.raw, q.reason).where(q.source == source)
    rows = tx.execute(question.execution_options(yield_per=50))
    return {mark(row.raw, row.reason) for row in rows}


def release(tx: Tx, keys: Sequence[int]) -> None:
    """Take entries out of quarantine."""
    tx.execute(delete(t.quarantine).where(t.quarantine.c.key.in_(list(keys))))
