"""A site as whoever runs it meets it: `site("paper", "list", "--json")` is `digest paper list
--json`, in this process, in a folder of its own."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from digest import cli

SAMPLE = Path(cli.__file__).parent / "sample"
PAPERS = SAMPLE / "papers.jsonl"
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 9, 8, tzinfo=UTC)  # ada's week, as in mira.toml, ended an hour ago
ADA = "ada@example.org"


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout; anything else there is an error."""
        return json.loads(self.out)

    @property
    def fault(self) -> str:
        """The one line of an error; more lines, or anything on stdout, are an error."""
        [line] = self.err.splitlines()
        assert self.out == ""
        return line


@dataclass
class Site:
    """A folder with a database, letters that go into a Maildir, and a clock in the hand."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    now: datetime = MONDAY

    def __call__(
        self, *words: object, now: datetime | None = None, stdin: str = "", **more: str
    ) -> Said:
        out, err = io.StringIO(), io.StringIO()
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        with (
            patch.dict(os.environ, self._environment(now, more), clear=True),
            patch("sys.stdin", given),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = cli.run([str(word) for word in words])
        return Said(code, out.getvalue(), err.getvalue())

    def _environment(self, now: datetime | None, more: Mapping[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")}
        usual = {
            "DIGEST_NOW": (now or self.now).isoformat(),
            "DIGEST_DATABASE__URL": f"sqlite:///{self.folder / 'digest.db'}",
            "DIGEST_SECRET_KEY": "k" * 40,
            "DIGEST_SMTP__MAILDIR": str(self.folder / "letters"),
            "DIGEST_MAIL__FROM": "Paper Digest <digest@example.org>",
        }
        return {**kept, **usual, **self.environment, **more}

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def letters(self) -> list[Path]:
        return sorted((self.folder / "letters" / "new").glob("*"))


def with_papers(site: Site) -> Site:
    """The sixty sample papers, first seen a week ago."""
    assert site("paper", "import", PAPERS, now=MONDAY - 7 * 24 * HOUR + HOUR).code == 0
    return site


def with_ada(site: Site) -> Site:
    """And one reader, whose first window opened a day before them."""
    add = ("subscriber", "add", ADA, "--profile", SAMPLE / "mira.toml", "--confirmed")
    assert site(*add, now=MONDAY - 7 * 24 * HOUR).code == 0
    return site
