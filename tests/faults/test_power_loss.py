"""The power fails: SQLite's file comes back with whatever part of its log had reached the disk.

With `synchronous=FULL` that is at least everything up to the last commit that returned. A body goes
out only after such a commit, so the question is: does each log that holds the mark's commit, and
breaks off or turns to garbage anywhere after it, still tell that the body went out?
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from delivering import HOUR, NOW, readers
from sqlalchemy import text

from digest.model import DeliveryState, EndReason, Outcome, OutcomeKind, Phase, Settlement
from digest.store import Database, deliveries, people

FULL = 2
ACCEPTED = Outcome(OutcomeKind.ACCEPTED, Phase.DOT, 250, "2.0.0", "queued")


def synchronous(tx) -> int:
    return tx.execute(text("PRAGMA synchronous")).scalar_one()


def test_every_commit_waits_for_the_disk(sqlite):
    with sqlite.writing() as tx:
        assert synchronous(tx) == FULL


def told(db: Database) -> tuple:
    """All that must survive: how each letter stands, and who has left."""
    with db.reading() as tx:
        letters = sorted((row.key, str(row.state)) for row in deliveries.listed(tx))
        gone = [person.email for person in people.listed(tx) if person.state == "ended"]
    return letters, gone


def log_of(db: Database) -> Path:
    return Path(f"{db.engine.url.database}-wal")


def after_the_cut(db: Database, folder: Path, log: bytes) -> Database:
    """The database as it comes back with this much of its log."""
    folder.mkdir()
    path = folder / "digest.db"
    path.write_bytes(Path(db.engine.url.database).read_bytes())
    Path(f"{path}-wal").write_bytes(log)
    return Database(f"sqlite:///{path}")


def history(db: Database) -> list[tuple[int, tuple]]:
    """Letters go out one by one, and a person leaves: (length of the log, what is told) after
    each commit."""
    found = readers(db, *(f"r{n}@example.org" for n in range(5)))
    seen = [(log_of(db).stat().st_size, told(db))]

    def note() -> None:
        seen.append((log_of(db).stat().st_size, told(db)))

    with db.writing() as tx:
        rows = deliveries.claim(tx, "me", "t", NOW, NOW + HOUR, 9)
    note()
    for row in rows:
        with db.writing() as tx:
            assert deliveries.mark_body(tx, [(row.key, "t")], NOW) == {row.key}
        note()  # from here on the body may be on the wire
        with db.writing() as tx:
            done = Settlement(row.key, "t", DeliveryState.ACCEPTED, ACCEPTED)
            deliveries.settle(tx, [done], NOW)
        note()
    with db.writing() as tx:
        people.end(tx, found[0].key, EndReason.UNSUBSCRIBED)
    note()
    return seen


@pytest.mark.parametrize("tail", ["nothing", "zeros", "garbage"])
def test_what_was_committed_is_told_however_the_log_ends_after_it(sqlite, tmp_path, tail):
    seen, chance = history(sqlite), random.Random(tail)
    log = log_of(sqlite).read_bytes()
    ends = [size for size, _ in seen]
    cuts = [*ends, *(chance.randrange(ends[0], len(log)) for _ in range(20))]
    for number, cut in enumerate(cuts):
        rest = {"nothing": b"", "zeros": bytes(len(log) - cut)}.get(tail, os.urandom(9000))
        back = after_the_cut(sqlite, tmp_path / str(number), log[:cut] + rest)
        with back.reading() as tx:
            sound = tx.execute(text("PRAGMA integrity_check")).scalar_one()
        expected = [said for size, said in seen if size <= cut][-1]
        found = told(back)
        back.dispose()
        assert (sound, found) == ("ok", expected)


def test_a_body_that_went_out_before_the_cut_is_unknown_afterwards(sqlite, tmp_path):
    seen = history(sqlite)
    log = log_of(sqlite).read_bytes()
    marked = next(size for size, (letters, _) in seen if "sending" in dict(letters).values())
    back = after_the_cut(sqlite, tmp_path / "back", log[:marked])
    with back.writing() as tx:
        swept = deliveries.sweep(tx, NOW, None, gone=["me"])
    back.dispose()
    assert swept == deliveries.Swept(given_back=4, unknown=1)
