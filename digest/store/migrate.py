"""Migrations by alembic, run in the process, against SQLite and PostgreSQL alike.

Every command asks whether the schema is this version's. To answer that, alembic would take a fifth
of a second to come in and to load every migration; so it is asked to migrate, and for nothing else.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

_ROOT = Path(__file__).resolve().parent.parent
LOCK = 7_365_201  # of PostgreSQL's advisory locks: one migration at a time


def scripts() -> Path:
    """Where the migrations are: in the wheel beside the code, in a checkout at the top level."""
    packaged = _ROOT / "_alembic"
    return packaged if packaged.is_dir() else _ROOT.parent / "alembic"


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _revisions() -> tuple[str, ...]:
    """All there are, oldest first: each is the number with which its file's name begins."""
    files = (scripts() / "versions").glob("[0-9]*_*.py")
    return tuple(sorted(file.name.partition("_")[0] for file in files))


def head() -> str | None:
    """The newest revision there is."""
    return _revisions()[-1] if _revisions() else None


def knows(revision: str) -> bool:
    """False for a revision of a newer version of this program."""
    return revision in _revisions()


def current(engine: Engine) -> str | None:
    """The revision the database is at; None where it was never set up."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        asked = text("SELECT version_num FROM alembic_version")
        found: str | None = connection.execute(asked).scalar_one_or_none()
        return found


def upgrade(engine: Engine, revision: str) -> None:
    """Migrate up. Two processes that start at once take turns."""
    _run(engine, revision, up=True)


def downgrade(engine: Engine, revision: str) -> None:
    _run(engine, revision, up=False)


def _run(engine: Engine, revision: str, *, up: bool) -> None:
    from alembic import command

    config = _config()
    options = {"digest_write": True}  # SQLite: the write lock from the first statement on
    with engine.connect().execution_options(**options) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK})
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)
