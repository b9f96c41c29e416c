"""How far it is: on stderr while a terminal watches, and nowhere else."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from commanding import Site, with_ada, with_papers

from digest.cli import run
from digest.cli.output import progress
from digest.store import Database

pty = pytest.importorskip("pty")


@contextmanager
def terminal() -> Iterator[list[str]]:
    """A terminal that watches stderr; when it is left, what was shown on it."""
    master, slave = pty.openpty()
    parts: list[bytes] = []

    def watch() -> None:
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:
                return
            if not part:
                return
            parts.append(part)

    watching, shown = threading.Thread(target=watch), []
    watching.start()
    environment = {"TERM": "xterm", "COLUMNS": "100"}
    with open(slave, "w") as screen, redirect_stderr(screen), patch.dict(os.environ, environment):
        yield shown
    watching.join(10)
    os.close(master)
    text = b"".join(parts).decode()
    shown += [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines() if line]


def test_a_bar_tells_how_many_of_how_many_how_fast_and_how_long_still() -> None:
    with terminal() as shown, progress("letters") as tell:
        for done in range(0, 1001, 10):
            tell(done, 2000)
    assert re.search(r"letters \S+ 1000/2000 [\d,]+/s \d:\d\d:\d\d", shown[-1])


def test_without_a_terminal_nothing_is_shown() -> None:
    with redirect_stderr(StringIO()) as shown, progress("letters") as tell:
        tell(5, 10)
    assert shown.getvalue() == ""


@pytest.mark.parametrize("command", ["run", "deliver"])
def test_whoever_watches_sees_letters_go_out(
    sqlite: Database, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite.dispose()
    site = with_ada(with_papers(Site(tmp_path)))
    if command == "deliver":
        site("publish")
    with patch.dict(os.environ, site._environment(None, {})), terminal() as shown:
        assert run([command, "--json"]) == 0
    assert [line for line in shown if re.search(r"letters \S+ 1/1 ", line)]
    assert "letters" not in capsys.readouterr().out
