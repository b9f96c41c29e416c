"""A PostgreSQL server of the tests' own: started once, on a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

HOW = "install it with `apt-get install postgresql` or set $DIGEST_TEST_POSTGRES to a server's URL"


def _binaries() -> Path | None:
    """The folder of initdb: the PATH's own, else Debian's newest."""
    if found := shutil.which("initdb"):
        folder = Path(os.path.realpath(found)).parent
        if (folder / "pg_ctl").exists():
            return folder
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def _as_postgres() -> list[str]:
    """The server refuses to run as root; become `postgres` where that is who we are."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip(f"PostgreSQL does not run as root and there is no user postgres: {HOW}")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """The URL of a server that ends with the block; skipped where there is none to start."""
    with restartable_postgres() as (url, _):
        yield url


@contextmanager
def restartable_postgres() -> Iterator[tuple[str, Callable[[], None]]]:
    """(URL, a function that ends the server at once, as kill -9 would, and starts it again)."""
    if (binaries := _binaries()) is None:
        pytest.skip(f"no PostgreSQL: {HOW}")
    who = _as_postgres()
    home = Path(f"/tmp/digest-pg-{uuid.uuid4().hex[:8]}")  # a short path: sockets allow 107 bytes
    home.mkdir(mode=0o755)
    if who:
        shutil.chown(home, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = home / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": home}
    initdb = ["initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*who, str(binaries / initdb[0]), *initdb[1:], "--no-sync"], **quiet)
    options = f"-p {port} -k {home} -h 127.0.0.1 -c fsync=off -c max_connections=60"
    control = [*who, str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    start = [*control, "-l", str(home / "log"), "-o", options, "start"]
    stop = [*control, "-m", "immediate", "stop"]

    def restart() -> None:
        subprocess.run(stop, **quiet)
        subprocess.run(start, **quiet)

    subprocess.run(start, **quiet)
    try:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", restart
    finally:
        subprocess.run(stop, **quiet)
        shutil.rmtree(home, ignore_errors=True)


@cache
def _template(server_url: str) -> str:
    """The name of a migrated database, copied for each test."""
    from digest.store import Database

    url = fresh_database(server_url, migrated=False)
    made = Database(url)
    made.upgrade()
    made.dispose()
    return url.rpartition("/")[2]


def fresh_database(server_url: str, *, migrated: bool = True) -> str:
    """A new database on the server without rows: its URL."""
    import psycopg

    like = f" TEMPLATE {_template(server_url)}" if migrated else ""
    name = f"t{uuid.uuid4().hex[:12]}"
    plain = server_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}{like}")
    return server_url.rpartition("/")[0] + f"/{name}"
