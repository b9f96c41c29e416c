"""`/metrics`: how the site is, as numbers, for whoever asks from this machine."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from visiting import NOW, Visitor, pending, reader, visitor

from digest.model import Listing, SourceReport, Verdict
from digest.store import Database, papers, sources

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? -?[0-9.e+]+')


def at_home(db: Database) -> Visitor:
    return replace(visitor(db), address="127.0.0.1")


def filled(db: Database) -> None:
    reader(db)
    pending(db, "bob@example.org")
    day = timedelta(days=1)
    with db.writing() as tx:
        sources.record(tx, SourceReport("arxiv", Verdict.OK), {}, NOW - day)
        sources.record(tx, SourceReport("arxiv", Verdict.STALE, message="a\nb"), {}, NOW)
        papers.remember(tx, "arxiv", [Listing(("arxiv:2509.00001",), "A paper")], NOW)


def test_it_counts_sources_papers_people_editions_and_letters(sqlite: Database) -> None:
    filled(sqlite)
    answer = at_home(sqlite).get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = set(answer.text.splitlines())
    assert lines >= {
        'digest_source_verdict{source="arxiv",verdict="stale"} 1',
        'digest_source_verdict{source="arxiv",verdict="ok"} 0',
        'digest_source_healthy_age_seconds{source="arxiv"} 86400',
        "digest_papers 1",
        'digest_subscribers{state="active"} 1',
        'digest_subscribers{state="pending"} 1',
        'digest_subscribers{state="ended"} 0',
        'digest_editions{state="queued",reason=""} 0',
        'digest_reports{effect="listed"} 0',
        'digest_reports{effect="suppressed"} 0',
    }


def test_every_line_is_in_the_text_format_and_named_once(sqlite: Database) -> None:
    filled(sqlite)
    lines = at_home(sqlite).get("/metrics").text.splitlines()
    values = [line for line in lines if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in values)
    series = [line.rpartition(" ")[0] for line in values]
    assert len(series) == len(set(series))


def test_it_names_nobody(sqlite: Database) -> None:
    filled(sqlite)
    assert "@" not in at_home(sqlite).get("/metrics").text


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.1", {}, 404),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 404),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, 404),
        ("unknown", {}, 404),
    ],
)
def test_it_answers_only_those_who_ask_from_this_machine(
    sqlite: Database, address: str, headers: dict[str, str], status: int
) -> None:
    asking = replace(visitor(sqlite), address=address, headers=headers)
    assert asking.get("/metrics").status_code == status
