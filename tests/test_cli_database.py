"""`digest db`: set up, looked at, saved while everything goes on, and put back."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from commanding import ADA, MONDAY, Site, with_papers

from digest.store import Database, people


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return Site(tmp_path)


def rows(file: Path) -> int:
    with closing(sqlite3.connect(file)) as tx:
        [number] = tx.execute("SELECT count(*) FROM papers").fetchone()
    return int(number)


def test_an_empty_file_is_set_up_by_upgrade(site: Site) -> None:
    url = f"sqlite:///{site.write('new.db', b'')}"
    before = site("db", "current", "--json", DIGEST_DATABASE__URL=url)
    assert (before.code, before.json["current"]) == (1, None)
    assert "now at revision" in site("db", "upgrade", DIGEST_DATABASE__URL=url).out
    assert "already at revision" in site("db", "upgrade", DIGEST_DATABASE__URL=url).out
    assert site("db", "current", DIGEST_DATABASE__URL=url).code == 0


def test_a_restored_copy_works(site: Site) -> None:
    with_papers(site)
    copy = site.folder / "copy.db"
    assert site("db", "backup", copy).code == 0
    site("subscriber", "add", ADA, "--confirmed")
    assert site("db", "restore", copy, "--yes").code == 0
    assert site("subscriber", "list", "--json").json == []
    assert len(site("paper", "list", "--limit", 0, "--json").json) == 60
    assert site("subscriber", "add", ADA, "--confirmed").code == 0


def test_a_backup_is_consistent_while_somebody_writes(site: Site) -> None:
    written, done = threading.Event(), threading.Event()

    def write() -> None:
        db = Database(f"sqlite:///{site.folder / 'digest.db'}")
        numbers = count()
        while not done.is_set():
            with db.writing() as tx:
                people.suppress(tx, f"{next(numbers)}@example.org", "test", MONDAY)
            written.set()
        db.dispose()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(20)
        said = site("db", "backup", site.folder / "copy.db")
    finally:
        done.set()
        writer.join()
    assert said.code == 0, said.err
    with closing(sqlite3.connect(site.folder / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [number, last] = copy.execute(
            "SELECT count(*), max(CAST(address AS INTEGER)) FROM suppressions"
        ).fetchone()
    assert number == last + 1 >= 1


def test_a_backup_replaces_nothing(site: Site) -> None:
    copy = site.write("copy.db", "precious")
    assert "is there already; name another file" in site("db", "backup", copy).fault
    assert copy.read_text() == "precious"


def test_a_backup_that_cannot_be_written_is_exit_code_3(site: Site) -> None:
    assert site("db", "backup", "/nowhere/copy.db").code == 3


@pytest.mark.parametrize("kind", ["text", "empty", "other database", "cut short"])
def test_restore_refuses_what_is_no_copy_of_ours(site: Site, kind: str) -> None:
    with_papers(site)
    file = site.write("copy.db", b"hello" if kind == "text" else b"")
    if kind == "other database":
        with closing(sqlite3.connect(file)) as tx:
            tx.execute("CREATE TABLE cats (name)")
    if kind == "cut short":
        file.unlink()
        site("db", "backup", file)
        file.write_bytes(file.read_bytes()[:40_000])
    said = site("db", "restore", file, "--yes")
    assert (said.code, str(file) in said.fault) == (2, True)
    assert rows(site.folder / "digest.db") == 60


def test_restore_asks_for_a_yes_before_it_replaces(site: Site) -> None:
    copy = site.folder / "copy.db"
    site("db", "backup", copy)
    with_papers(site)
    assert "say --yes to replace it" in site("db", "restore", copy).fault
    assert rows(site.folder / "digest.db") == 60


def test_restore_refuses_while_somebody_has_the_database_open(site: Site) -> None:
    copy = site.folder / "copy.db"
    site("db", "backup", copy)
    with closing(sqlite3.connect(site.folder / "digest.db")) as other:
        other.execute("SELECT count(*) FROM papers").fetchone()
        assert "stop the daemon first" in site("db", "restore", copy, "--yes").fault
    assert site("db", "restore", copy, "--yes").code == 0


def test_a_damaged_database_is_replaced_by_its_copy(site: Site) -> None:
    with_papers(site)
    copy = site.folder / "copy.db"
    site("db", "backup", copy)
    site.write("digest.db", "it was a database once")
    assert site("stats").code == 3
    assert site("db", "restore", copy, "--yes").code == 0
    assert rows(site.folder / "digest.db") == 60


def test_postgresql_is_told_its_own_tools(site: Site) -> None:
    url = "postgresql://digest@127.0.0.1:1/digest"
    said = site("db", "restore", "copy.db", DIGEST_DATABASE__URL=url)
    assert (said.code, "use pg_restore" in said.fault) == (2, True)
