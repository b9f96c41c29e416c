"""Ten readers over September 2025: what they get of real days is what was read and judged.

By default the first ten days, in which nine of them have a letter; the whole month in the nightly
profile. `python tests/september.py --write` makes the golden files anew: read the letters first.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import september
from hypothesis import settings

from digest.store import Database

NIGHTLY = settings().max_examples > 1000
LAST = september.LAST if NIGHTLY else date(2025, 9, 11)
END = LAST + september.DAY if NIGHTLY else LAST  # before it every window has been published


@pytest.fixture(scope="module")
def made(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """{reader: their editions, as they are kept}."""
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('september') / 'digest.db'}")
    db.upgrade()
    september.join(db)
    september.live(db, september.press_of(db), september.replay(), LAST)
    found = september.letters(db)
    db.dispose()
    return {name: json.loads(september.written(editions)) for name, editions in found.items()}


@pytest.mark.parametrize("name", september.names())
def test_a_reader_gets_what_was_read_and_judged(made: dict[str, list[Any]], name: str) -> None:
    golden = json.loads(september.golden(name).read_text(encoding="utf-8"))
    assert _over(golden) == _over(made.get(name, []))


def _over(editions: list[Any]) -> list[Any]:
    return [edition for edition in editions if edition["until"] < END.isoformat()]


def test_no_reader_gets_a_paper_twice() -> None:
    for name in september.names():
        golden = json.loads(september.golden(name).read_text(encoding="utf-8"))
        rows = [row for edition in golden for row in edition.get("papers", ())]
        shown = [id_ for row in rows for id_ in (row[0], *row[3:])]
        assert len(shown) == len(set(shown)), name


def test_ten_readers_have_letters_all_month() -> None:
    counts = {
        name: sum(bool(e.get("papers")) for e in json.loads(september.golden(name).read_text()))
        for name in september.names()
    }
    assert len(counts) == 10
    assert all(counts.values()), counts
