"""Ten readers over September 2025: what they get of real days is what was read and judged.

By default the first ten days, in which nine of them have a letter; the whole month in the nightly
profile. `python tests/september.py --write` makes the golden files anew: read the letters first.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import september
from hypothesis import settings

from digest.store import Database

NIGHTLY = settings().max_examples > 1000
LAST = september.LAST if NIGHTLY else date(2025, 9, 11)
END = LAST + september.DAY if NIGHTLY else LAST  # before it every window has been published


def test_ten_readers_get_what_was_read_and_judged(shared: Path, sqlite: Database) -> None:
    september.join(sqlite)
    september.live(sqlite, september.press_of(sqlite), september.replay(), LAST)
    made = september.letters(sqlite)
    for name in september.names():
        golden = json.loads(september.golden(name).read_text(encoding="utf-8"))
        kept = json.loads(september.written(made.get(name, [])))
        assert _over(golden) == _over(kept), name


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
