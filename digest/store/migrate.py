"""Migrations by alembic, run in the process, against SQLite and PostgreSQL alike."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, text

_ROOT = Path(__file__).resolve().parent.parent
LOCK = 7_365_201  # of PostgreSQL's advisory locks: one migration at a time


def scripts() -> Path:
    """Where the migrations are: in the wheel beside the code, in a checkout at the top level."""
    packaged = _ROOT / "_alembic"
    return packaged if packaged.is_dir() else _ROOT.parent / "alembic"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def head() -> str | None:
    """The newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def knows(revision: str) -> bool:
    """False for a revision of a newer version of this program."""
    try:
        return ScriptDirectory.from_config(_config()).get_revision(revision) is not None
    except CommandError:
        return False


def current(engine: Engine) -> str | None:
    """The revision the database is at; None where it was never set up."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, revision: str) -> None:
    """Migrate up. Two processes that start at once take turns."""
    _run(engine, revision, up=True)


def downgrade(engine: Engine, revision: str) -> None:
    _run(engine, revision, up=False)


def _run(engine: Engine, revision: str, *, up: bool) -> None:
    config = _config()
    options = {"digest_write": True}  # SQLite: the write lock from the first statement on
    with engine.connect().execution_options(**options) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK})
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)
