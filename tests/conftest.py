"""Fixtures that every test may use.

`pytest --hypothesis-profile=nightly` looks much longer for a counterexample.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from postgres import fresh_database, running_postgres

from digest.store import Database

FORBIDDEN = "skipped, which $DIGEST_NO_SKIPS forbids"
BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine's
settings.register_profile("usual", **BUSY)
settings.register_profile("nightly", max_examples=10_000, **BUSY)
settings.load_profile("usual")

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Where skips are forbidden, a skipped test is a failed one that says what it lacked."""
    report = yield
    return _unless_allowed(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    return _unless_allowed(report)


def _unless_allowed(report: Any) -> Any:
    expected = hasattr(report, "wasxfail")
    if report.skipped and not expected and os.environ.get("DIGEST_NO_SKIPS"):
        report.outcome = "failed"
        where = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{FORBIDDEN}: {where}"
    return report


def _shared() -> Path | None:
    given = os.environ.get("DIGEST_SHARED")
    path = Path(given) if given else HERE.parent.parent / "shared"
    return path if (path / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real papers, feeds and replay tools; skipped where there is none."""
    if (path := _shared()) is None:
        pytest.skip("no shared data: put it beside the checkout as ../shared or set $DIGEST_SHARED")
    tools = str(path / "tools")
    if tools not in sys.path:
        sys.path.insert(0, tools)
    return path


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A throw-away PostgreSQL server; its binaries refuse to run as root, so `postgres` runs it."""
    if given := os.environ.get("DIGEST_TEST_POSTGRES"):
        yield given
        return
    with running_postgres(tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{_fresh_sqlite(tmp_path)}"
    else:
        url = fresh_database(request.getfixturevalue("postgres_url"))
    made = Database(url)
    yield made
    made.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty SQLite database."""
    made = Database(f"sqlite:///{_fresh_sqlite(tmp_path)}")
    yield made
    made.dispose()


@cache
def _migrated() -> bytes:
    """One migrated SQLite file, copied for each test: migrating takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        made = Database(f"sqlite:///{path}")
        made.upgrade()
        with made.engine.connect() as tx:
            tx.exec_driver_sql("COMMIT")
            tx.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        made.dispose()
        return path.read_bytes()


def _fresh_sqlite(folder: Path) -> Path:
    path = folder / "digest.db"
    path.write_bytes(_migrated())
    return path
