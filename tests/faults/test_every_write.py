"""The disk is full, or the database locked, at each write of a run in turn: the run says so and
ends; the next one finishes; nothing is lost, nothing doubled, and little is unknown."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter

import pytest
from conftest import _fresh_sqlite
from delivering import HOUR, NOW, Policy, readers, rows, to, work
from scripted_relay import ScriptedRelay
from sqlalchemy import event

from digest.errors import Broken
from digest.model import DeliveryState
from digest.store import Database

PEOPLE = [f"r{n}@example.org" for n in range(3)]
LANES = 2
HOLD = Policy(ambiguous="hold", batch=2, grace=0.02)
WRITE = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|REPLACE|BEGIN IMMEDIATE)", re.IGNORECASE)


class Disk:
    """Counts what is written; from the nth write on (0: never) there is no more room."""

    def __init__(self, said: str) -> None:
        self.said, self.fails_at, self.writes = said, 0, 0

    def write(self) -> None:
        self.writes += 1
        if self.fails_at and self.writes >= self.fails_at:
            raise sqlite3.OperationalError(self.said)


def on(disk: Disk, path) -> Database:
    """A database whose every write goes by this disk."""

    class Cursor(sqlite3.Cursor):
        def execute(self, sql, *given):
            if WRITE.match(sql):
                disk.write()
            return super().execute(sql, *given)

        def executemany(self, sql, *given):
            disk.write()
            return super().executemany(sql, *given)

    class Connection(sqlite3.Connection):
        def cursor(self, factory=Cursor):
            return super().cursor(factory)

        def commit(self):
            if self.in_transaction:
                disk.write()
            super().commit()

    db = Database(f"sqlite:///{path}")

    @event.listens_for(db.engine, "do_connect")
    def connect(_dialect, _record, args, options):
        return sqlite3.connect(*args, **options, factory=Connection)

    return db


def through(db: Database, disk: Disk, fails_at: int):
    """A run that breaks at this write, and one after the fault is mended: (what the first said,
    letters by Message-ID as the relay has them)."""

    async def go():
        async with ScriptedRelay() as relay:
            disk.writes, disk.fails_at, said = 0, fails_at, ""
            try:
                await work(db, to(relay.port, lanes=LANES), policy=HOLD)
            except Broken as error:
                said = str(error)
            disk.fails_at = 0
            await work(db, to(relay.port, lanes=LANES), policy=HOLD, now=NOW + HOUR)
            return said, Counter(
                line
                for body in relay.bodies
                for line in body.split(b"\r\n")
                if b"Message-ID" in line
            )

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("word", "mend", "step"),
    [("database or disk is full", "make room", 1), ("database is locked", "another process", 4)],
)
def test_whichever_write_fails_nothing_is_lost_or_doubled(tmp_path, word, mend, step):
    disk, number, ends = Disk(word), 0, Counter()
    while True:
        number += step
        folder = tmp_path / f"{number}"
        folder.mkdir()
        db = on(disk, _fresh_sqlite(folder))
        readers(db, *PEOPLE)
        said, had = through(db, disk, number)
        found = rows(db).values()
        db.dispose()
        if not said:
            break
        assert f"{word}: {mend}" in said, said
        unknown = {r.message_id for r in found if r.state is DeliveryState.UNKNOWN}
        assert {r.state for r in found} <= {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}
        assert max(had.values()) == 1
        assert len({id_.decode().split()[1] for id_ in had} | unknown) == len(PEOPLE)
        assert len(unknown) <= LANES
        ends["unknown" if unknown else "known"] += 1
    assert number > 12, number  # claims, marks, outcomes, each with its commit
    assert ends["known"] and ends["unknown"]
