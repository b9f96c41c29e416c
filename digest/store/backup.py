"""Consistent copies of an embedded database, checked before they are trusted."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from digest.errors import Broken, Refused
from digest.store.database import Database


def backup(db: Database, file: Path) -> int:
    """Copy a live SQLite database into `file`, which must not exist. Returns its size."""
    _only_sqlite(db, "pg_dump")
    if file.exists():
        raise Refused(f"{file} is there already; name another file")
    draft = file.with_name(file.name + ".part")
    try:
        with closing(sqlite3.connect(db.label)) as here, closing(sqlite3.connect(draft)) as there:
            here.backup(there, pages=1000, sleep=0.01)
        check(draft)
        os.replace(draft, file)
    except (sqlite3.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        raise Broken(f"backup {file}: {error}; make room there or name another file") from None
    return file.stat().st_size


def restore(db: Database, file: Path, *, replace: bool) -> None:
    """Put a copy in the database's place. Refuses what is no sound database of ours."""
    _only_sqlite(db, "pg_restore")
    if not file.is_file():
        raise Refused(f"no file {file}")
    check(file)
    target = Path(db.label)
    if target.exists() and not replace:
        raise Refused(f"{target} is there already; say --yes to replace it")
    db.dispose()
    _refuse_in_use(target)
    draft = target.with_name(target.name + ".part")
    with closing(sqlite3.connect(file)) as there, closing(sqlite3.connect(draft)) as here:
        there.backup(here)
    for beside in ("-wal", "-shm"):
        Path(f"{target}{beside}").unlink(missing_ok=True)
    os.replace(draft, target)


def _refuse_in_use(target: Path) -> None:
    """Raise Refused while another process has the database open: it would go on writing into the
    file that was put aside. Leaving WAL mode succeeds for the only one who has it open."""
    if not target.exists():
        return
    try:
        with closing(sqlite3.connect(target, timeout=0.2, isolation_level=None)) as here:
            here.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Refused(f"{target} is in use; stop the daemon first") from None
    except sqlite3.DatabaseError:
        return  # damaged: that is why it is replaced


def check(file: Path) -> None:
    """Raise Refused unless `file` is a sound database of this program."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            [sound] = copy.execute("PRAGMA quick_check").fetchone()
            copy.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise Refused(f"{file} is no copy of a digest database: {error}") from None
    if sound != "ok":
        raise Refused(f"{file} is damaged: {sound}")


def _only_sqlite(db: Database, instead: str) -> None:
    if not db.is_sqlite:
        raise Refused(f"{db.label} is PostgreSQL; use {instead}")
