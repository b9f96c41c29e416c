"""The operator is told once when a source turns bad, and once when it is well again."""

from __future__ import annotations

import asyncio
import email
import itertools
from collections.abc import Sequence
from datetime import timedelta
from email import policy
from pathlib import Path

import pytest
from replaying import noon, run
from test_ingest import Scripted

from digest import ingest
from digest.app import App, held_clock
from digest.config import load
from digest.model import DeliveryState, Fetched, LetterKind, Notice, SourceReport, Verdict
from digest.sources import alarm
from digest.store import Database, deliveries, people, sources

NOW = noon("2025-09-15")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OK, STALE, ERROR = Verdict.OK, Verdict.STALE, Verdict.HTTP_ERROR
WHO = ingest.Operator("ops@example.org", lambda kind, value: f"<{abs(hash(value))}@example.org>")


def told(verdicts: Sequence[Verdict], step: timedelta) -> list[tuple[int, bool]]:
    """[(after which of these fetches, well?)] for fetches every `step`."""
    healthy_at, last, heard = None, None, []
    for number, verdict in enumerate(verdicts):
        now = NOW + number * step
        notice = alarm.due(SourceReport("a", verdict), healthy_at, last, now)
        if notice is not None:
            last = notice
            heard.append((number, notice.well))
        healthy_at = now if verdict.healthy else healthy_at
    return heard


def test_bad_is_told_once_and_well_is_told_once() -> None:
    assert told([OK, STALE, STALE, STALE, OK, OK], DAY) == [(1, False), (4, True)]


def test_a_source_that_never_was_bad_is_not_called_well() -> None:
    assert told([OK, OK, Verdict.QUIET, Verdict.HOLIDAY], DAY) == []


def test_a_source_that_fails_at_its_first_fetch_is_told_at_once() -> None:
    assert told([ERROR, ERROR], HOUR) == [(0, False)]


def test_what_often_mends_itself_has_three_hours() -> None:
    assert told([OK, ERROR, ERROR, ERROR, ERROR], HOUR) == [(3, False)]
    assert told([OK, ERROR, OK, ERROR, OK], HOUR) == []
    assert told([OK, ERROR], DAY) == [(1, False)]


def test_a_source_that_comes_and_goes_writes_one_letter_a_day_at_most() -> None:
    heard = told([STALE, OK] * 48, HOUR)
    assert [well for _, well in heard] == [False, True, False, True, False]
    assert all(b - a >= 20 for (a, _), (b, _) in itertools.pairwise(heard))


def test_the_letter_is_queued_for_the_operator_who_is_no_subscriber(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Scripted("a", Fetched(STALE, "repeats 5 of 5 papers"), Fetched(OK))
    for day in range(3):
        run(ingest.ingest(db, [bad], NOW + day * DAY, operator=WHO))
    with db.reading() as tx:
        queued = deliveries.listed(tx)
        notices = sources.notices_of(tx, [letter.key for letter in queued])
        assert people.listed(tx) == []
    assert [(q.kind, q.recipient) for q in queued] == [(LetterKind.NOTICE, WHO.address)] * 2
    assert [notices[q.key].well for q in queued] == [True, False]
    assert "source a turned bad: stale: repeats 5 of 5 papers" in caplog.text
    assert "source a is well again" in caplog.text


def test_without_an_address_the_log_is_told_alone(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = ingest.Operator("", WHO.message_id)
    run(ingest.ingest(sqlite, [Scripted("a", Fetched(STALE))], NOW, operator=nobody))
    with sqlite.reading() as tx:
        assert deliveries.listed(tx) == []
        assert sources.last_notice(tx, "a") == Notice("a", NOW, False, STALE)
    assert "source a turned bad" in caplog.text


def test_a_letter_that_waited_for_days_is_not_sent(db: Database) -> None:
    run(ingest.ingest(db, [Scripted("a", Fetched(STALE))], NOW, operator=WHO))
    later = NOW + 4 * DAY
    with db.writing() as tx:
        assert deliveries.claim(tx, "me", "t", later, later + HOUR, 9) == []
        assert deliveries.listed(tx)[0].state is DeliveryState.EXPIRED


def test_an_operator_who_takes_no_mail_gets_none(db: Database) -> None:
    run(ingest.ingest(db, [Scripted("a", Fetched(STALE))], NOW, operator=WHO))
    with db.writing() as tx:
        people.suppress(tx, "Ops@example.org", "bounced", NOW)
        assert deliveries.claim(tx, "me", "t", NOW, NOW + HOUR, 9) == []
        assert deliveries.listed(tx)[0].state is DeliveryState.SUPPRESSED


def test_a_broken_source_becomes_a_letter_that_names_it_and_the_mend(tmp_path: Path) -> None:
    config = tmp_path / "digest.toml"
    config.write_text(f"""
[site]
operator = "Ops <ops@example.org>"
[database]
url = "sqlite:///{tmp_path}/digest.db"
[smtp]
maildir = "{tmp_path}/letters"
[[sources]]
name = "lab"
kind = "file"
path = "{tmp_path}/none.jsonl"
""")
    for step in (0 * HOUR, HOUR, DAY):
        if step == DAY:
            (tmp_path / "none.jsonl").write_text('{"title": "A paper"}\n')
        app = App(load(config), held_clock(NOW + step))
        asyncio.run(app.run())
        app.db.dispose()
    found = sorted((tmp_path / "letters" / "new").iterdir())
    letters = [email.message_from_bytes(f.read_bytes(), policy=policy.default) for f in found]
    subjects = sorted(str(letter["subject"]) for letter in letters)
    assert subjects == [
        "lab has a problem: refused (Paper Digest)",
        "lab is well again (Paper Digest)",
    ]
    assert {str(letter["to"]) for letter in letters} == {"ops@example.org"}
    bad = next(one for one in letters if "problem" in str(one["subject"]))
    text = bad.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "correct path or rights" in " ".join(text.split())
    assert "digest source check lab" in text
    assert bad["list-unsubscribe"] is None
