"""Each way in which a service can fail ends in its verdict, in bounded time, and alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replaying import CATEGORIES, TARGET, ingest_from, noon, replay_on

from digest.store import Database, papers, sources

DAY, NEXT, AFTER = "2025-09-15", "2025-09-16", "2025-09-17"

ARXIV = {
    "stale": "stale",
    "short": "short",
    "empty": "empty",
    "http500": "http_error",
    "http429": "http_error",
    "truncated": "parse_failed",
    "html": "parse_failed",
    "slow": "timeout",
    "hang": "timeout",
    "huge": "too_large",
    "bomb": "parse_failed",
    "error_feed": "http_error",
    "gone": "http_error",
    "redirect_loop": "http_error",
    "latin1": "ok",  # wrong bytes for its declaration, and still readable
    "reset": "timeout",  # the replay closes its side without saying so
}
HARMLESS = {"stale", "short", "empty", "latin1"}  # to the API: it has no such faults but the last
API = {fault: verdict for fault, verdict in ARXIV.items() if fault not in HARMLESS}
HF = {**ARXIV, "stale": "ok", "short": "ok", "empty": "ok"}  # faults that its replay does not have


def hasty(source: str, fault: str) -> str:
    """The source that must not wait long, since its server never ends; "" where it does."""
    return source if fault in {"slow", "hang", "reset"} else ""


def known_of(db: Database, replay: Any, *days: str) -> tuple[set[str], set[str]]:
    """(the papers announced on these days, those of them that are stored)."""
    wanted = {
        f"arxiv:{p['id']}"
        for day in days
        for p in replay.by_day[day]
        if set(p["cats"]) & set(CATEGORIES)
    }
    with db.reading() as tx:
        return wanted, set(papers.known(tx, wanted))


@pytest.fixture(scope="module")
def after_monday(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database that has seen Monday, and knows how many papers a Tuesday has."""
    path = tmp_path_factory.mktemp("monday") / "digest.db"
    db = Database(f"sqlite:///{path}")
    db.upgrade()
    replay = replay_on(shared, DAY)
    ingest_from(db, replay.url, noon(DAY))
    usual = len(known_of(db, replay, NEXT)[0])
    with db.writing() as tx:
        cursor = sources.cursor(tx, "arxiv")
        sources.set_cursor(tx, "arxiv", {**cursor, "counts": json.dumps({"1": [usual] * 4})})
    db.dispose()
    return path.read_bytes()


@pytest.fixture
def db(after_monday: bytes, tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "digest.db").write_bytes(after_monday)
    db = Database(f"sqlite:///{tmp_path}/digest.db")
    yield db
    db.dispose()


@pytest.mark.parametrize(("fault", "verdict"), ARXIV.items())
def test_a_fault_of_arxivs_feed_has_its_verdict_and_costs_no_paper(
    db: Database, shared: Path, caplog: pytest.LogCaptureFixture, fault: str, verdict: str
) -> None:
    replay = replay_on(shared, NEXT)
    replay.fault[TARGET] = fault
    with caplog.at_level(logging.WARNING):
        reports = ingest_from(db, replay.url, noon(NEXT), hasty("arxiv", fault))
    assert reports["arxiv"].verdict == verdict
    assert verdict == "ok" or reports["arxiv"].message
    assert reports["huggingface"].verdict == "ok"
    assert [line for line in caplog.records if line.levelno > logging.WARNING] == []
    wanted, known = known_of(db, replay, NEXT)
    assert known == wanted


@pytest.mark.parametrize(("fault", "verdict"), HF.items())
def test_a_fault_of_the_daily_page_has_its_verdict_and_harms_no_other(
    db: Database, shared: Path, caplog: pytest.LogCaptureFixture, fault: str, verdict: str
) -> None:
    replay = replay_on(shared, NEXT)
    replay.fault["hf"] = fault
    with caplog.at_level(logging.WARNING):
        reports = ingest_from(db, replay.url, noon(NEXT), hasty("huggingface", fault))
    assert reports["huggingface"].verdict == verdict
    assert reports["arxiv"].verdict == "ok"
    assert [line for line in caplog.records if line.levelno > logging.WARNING] == []


@pytest.mark.parametrize(("fault", "verdict"), API.items())
def test_a_fault_of_the_api_has_its_verdict_and_leaves_the_gap_open_until_it_is_well(
    db: Database, shared: Path, fault: str, verdict: str
) -> None:
    replay = replay_on(shared, AFTER)
    replay.fault["api"] = fault
    reports = ingest_from(db, replay.url, noon(AFTER), hasty("arxiv", fault))
    failed = reports["arxiv"]
    assert (failed.verdict, reports["huggingface"].verdict) == (verdict, "ok")
    assert f"{NEXT} asked through the API" in failed.message
    assert "unfinished" in failed.message
    replay.fault.clear()
    healed = ingest_from(db, replay.url, noon(AFTER))["arxiv"]
    wanted, known = known_of(db, replay, DAY, NEXT, AFTER)
    assert healed.backfilled > 0
    assert known == wanted


@pytest.mark.parametrize("fault", sorted(HARMLESS))
def test_what_is_no_fault_of_the_api_fills_the_gap(db: Database, shared: Path, fault: str) -> None:
    replay = replay_on(shared, AFTER)
    replay.fault["api"] = fault
    report = ingest_from(db, replay.url, noon(AFTER))["arxiv"]
    wanted, known = known_of(db, replay, DAY, NEXT, AFTER)
    assert (report.verdict, known) == ("ok", wanted)


def test_every_fault_of_the_replay_is_tried_on_each_kind_that_it_serves(shared: Path) -> None:
    from replay import FAULTS

    assert FAULTS == ARXIV.keys() == HF.keys() == API.keys() | HARMLESS
