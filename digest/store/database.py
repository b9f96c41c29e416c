"""The engine: SQLite (WAL, one writer) or PostgreSQL behind two doors, reading and writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from digest.errors import Broken, ConfigError
from digest.store import migrate

Tx = Connection
"""A transaction that is open. Every function of the store takes one and never commits."""

BUSY_SECONDS = 10.0


class Database:
    """One database. `busy`: seconds to wait for SQLite's one writer before giving up."""

    def __init__(self, url: str, *, busy: float = BUSY_SECONDS) -> None:
        self.url = url
        try:
            self.engine = _engine(url, busy)
        except (ArgumentError, ModuleNotFoundError) as error:
            raise ConfigError([f"database.url: {error}"], subject=url) from None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def label(self) -> str:
        """What to call it in an error: the file, or the URL without its password."""
        url = self.engine.url
        return str(url.database) if self.is_sqlite else url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A consistent view; nothing may be written."""
        with self._spoken_clearly(), self.engine.connect() as tx:
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """One short transaction: committed at the end, or not at all."""
        with (
            self._spoken_clearly(),
            self.engine.connect().execution_options(digest_write=True) as tx,
            tx.begin(),
        ):
            yield tx

    def upgrade(self, revision: str = "head") -> None:
        """Migrate to `revision`; from nothing too. Raises Broken for a newer program's schema."""
        with self._spoken_clearly():
            self.refuse_unknown(migrate.current(self.engine))
            migrate.upgrade(self.engine, revision)

    def downgrade(self, revision: str) -> None:
        with self._spoken_clearly():
            migrate.downgrade(self.engine, revision)

    def current(self) -> tuple[str | None, str | None]:
        """(revision in force, newest revision known)."""
        with self._spoken_clearly():
            return migrate.current(self.engine), migrate.head()

    def refuse_unknown(self, revision: str | None) -> None:
        """Raise Broken for a revision that only a newer version of this program knows."""
        if revision is not None and not migrate.knows(revision):
            raise Broken(
                f"database {self.label} is at revision {revision}, which this version does not "
                "know; install the newer version, or restore an older backup",
                subject=self.label,
            )

    def dispose(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _spoken_clearly(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            raise Broken(f"database {self.label}: {_mend(error)}", subject=self.label) from error


def _mend(error: SQLAlchemyError) -> str:
    """What went wrong in the database's own words, and what to do about it."""
    said = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    for sign, mend in (
        ("locked", "another process holds it for too long; end it or try again"),
        ("readonly", "the file or its folder cannot be written; mend its owner or mode"),
        ("read-only", "it is read-only; mend its mode or connect to the primary"),
        ("unable to open", "no such folder, or no right to write there"),
        ("disk is full", "make room on its disk"),
        ("No space left", "make room on its disk"),
        ("no such table", "it is not set up; run `digest db upgrade`"),
        ("does not exist", "it is not set up; run `digest db upgrade`"),
        ("malformed", "restore a backup with `digest db restore`"),
        ("not a database", "database.url names a file of another kind"),
        ("connection", "is the server up, and are address and password right?"),
    ):
        if sign in said:
            return f"{said}: {mend}"
    return said


def _engine(url: str, busy: float) -> Engine:
    made = make_url(url)
    if made.get_backend_name() != "sqlite":
        return create_engine(made, pool_pre_ping=True, pool_size=10, json_serializer=to_json)
    if not made.database or made.database == ":memory:":
        raise ConfigError(["database.url: SQLite needs a file, as in sqlite:///digest.db"])
    if not (folder := Path(made.database).absolute().parent).is_dir():
        raise Broken(f"database {made.database}: no folder {folder}; make it", subject=url)
    engine = create_engine(
        made,
        connect_args={"timeout": busy, "isolation_level": None},
        json_serializer=to_json,
        pool_size=10,
    )
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def to_json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.execute("PRAGMA cache_size=-65536")  # 64 MB
    if not cursor.execute("PRAGMA query_only").fetchone()[0]:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
    cursor.execute("PRAGMA synchronous=FULL")  # nor does a power cut; see docs/decisions/0004
    cursor.close()


def _begin(tx: Connection) -> None:
    # BEGIN IMMEDIATE takes the one writer's place at once: no upgrade from reader to writer can
    # fail half way (SQLITE_BUSY), a writer waits its turn instead.
    write = tx.get_execution_options().get("digest_write")
    tx.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
