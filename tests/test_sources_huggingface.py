"""Kind `huggingface`: the daily page, and its votes once they have matured."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from replaying import fetch, hf, no_web, noon, nothing_known, replay_on, run, spec, web_of

from digest.errors import ConfigError
from digest.model import Announce, Fetched, Verdict
from digest.sources.http import Web
from digest.sources.huggingface import HuggingFaceSource, due

MIRROR = "https://mirror.example"
MONDAY = noon("2025-09-15")


def row(number: str, votes: object = 3, **paper: object) -> dict[str, Any]:
    return {"paper": {"id": number, "title": f"Paper {number}", "upvotes": votes, **paper}}


def pages_of(pages: dict[str, object], default: object = ()) -> tuple[HuggingFaceSource, list[str]]:
    """A source whose pages are given by date, and the dates that were asked for."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        query = parse_qs(urlsplit(str(request.url)).query)
        asked.append(query["date"][0])
        page = pages.get(query["date"][0], default)
        if isinstance(page, httpx.Response):
            return page
        return httpx.Response(200, json=list(page) if query["p"] == ["0"] else [])  # type: ignore[call-overload]

    return hf(web_of(handler), MIRROR), asked


def test_the_captured_page_is_read_field_by_field(shared: Path) -> None:
    rows = json.loads((shared / "data/feeds/hf_daily_papers.json").read_text(encoding="utf-8"))
    source, _ = pages_of({"2026-06-12": rows})
    fetched = fetch(source, noon("2026-06-12"))
    first = fetched.listings[0]
    assert (fetched.verdict, len(fetched.listings), fetched.bad) == (Verdict.OK, 30, ())
    assert first.ids[0] == "arxiv:2606.00467"
    assert first.title.startswith("On the Limits of LLM Adaptability: Impact of Model-Internal")
    assert first.abstract.startswith("Large Language Models (LLMs) are increasingly used")
    assert first.authors == ("Etienne Casanova", "Rafal Kocielnik", "R. Michael Alvarez")
    assert first.published == date(2026, 5, 30)  # not the row's own date, four hours before
    assert first.announce is Announce.LISTED
    assert [paper.signals["upvotes"] for paper in fetched.listings[:5]] == [0, 5, 3, 2, 2]
    assert first.links["hf"] == "https://huggingface.co/papers/2606.00467"
    assert first.links["abs"] == "https://arxiv.org/abs/2606.00467"
    assert any(
        paper.links.get("code", "").startswith("https://github") for paper in fetched.listings
    )


def test_pages_are_asked_for_today_and_again_while_votes_grow() -> None:
    source, asked = pages_of({})
    fetch(source, MONDAY)
    assert asked == ["2025-09-15", "2025-09-14", "2025-09-12", "2025-09-08", "2025-09-01"]


def test_each_page_is_read_again_at_each_age_once() -> None:
    cursor: dict[str, str] = {}
    source, asked = pages_of({}, default=[row("2509.00001")])
    for day in range(20):
        for hour in (0, 6):
            cursor = dict(fetch(source, MONDAY + timedelta(days=day, hours=hour), cursor).cursor)
    assert asked.count("2025-09-16") == 2 + 4  # twice on its day, then at 1, 3, 7 and 14 days


def test_pages_of_days_on_which_we_did_not_look_are_caught_up() -> None:
    asked = {"2025-09-10": [0, 9], "2025-09-09": [1, 9]}
    days = [day.isoformat() for day in due(asked, date(2025, 9, 15))]
    missed = ["2025-09-14", "2025-09-13", "2025-09-12", "2025-09-11"]
    assert days[:5] == ["2025-09-15", *missed]
    assert "2025-09-10" in days  # its votes of the first and third day are due
    assert len(due({"2024-01-01": [0, 9]}, date(2025, 9, 15))) == 61


def test_a_vote_that_grew_is_the_value_that_counts(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")

    def votes(day: str) -> dict[str, float]:
        async def asked() -> Fetched:
            async with Web() as web:
                return await hf(web, replay.url).fetch({}, nothing_known, noon(day))

        replay.day = day
        return {p.ids[0]: p.signals["upvotes"] for p in run(asked()).listings}

    first, later = votes("2025-09-15"), votes("2025-09-22")
    best = max(first.keys() & later.keys(), key=first.__getitem__)
    assert later[best] > first[best] > 0


def verdict_on(now: datetime, today: object, before: object = ()) -> Verdict:
    """Of a page where all earlier pages show `before`."""
    source, _ = pages_of({now.date().isoformat(): today}, default=before)
    return fetch(source, now).verdict


def test_a_page_that_is_not_filled_yet_is_quiet() -> None:
    cursor = fetch(pages_of({}, default=[row("2509.00001")])[0], MONDAY).cursor
    source, _ = pages_of({"2025-09-16": []}, default=[row("2509.00001")])
    assert fetch(source, MONDAY + timedelta(days=1), cursor).verdict is Verdict.QUIET


def test_two_working_days_without_papers_are_empty() -> None:
    cursor = fetch(pages_of({})[0], MONDAY).cursor
    fetched = fetch(pages_of({})[0], MONDAY + timedelta(days=1), cursor)
    assert (fetched.verdict, fetched.message) == (
        Verdict.EMPTY,
        "no papers since before 2025-09-15",
    )


def test_an_empty_page_at_the_weekend_is_a_holiday() -> None:
    assert verdict_on(noon("2025-09-13"), []) is Verdict.HOLIDAY


def test_the_same_papers_again_are_quiet_and_an_unchanged_page_not_modified() -> None:
    page = httpx.Response(200, json=[row("2509.00001")], headers={"etag": '"1"'})

    def handler(request: httpx.Request) -> httpx.Response:
        if request.headers.get("if-none-match") == '"1"':
            return httpx.Response(304)
        return page if "2025-09-15" in str(request.url) else httpx.Response(200, json=[])

    source = hf(web_of(handler), MIRROR)
    cursor = fetch(source, MONDAY).cursor
    again = fetch(source, MONDAY, cursor)
    assert (again.verdict, again.cursor) == (Verdict.NOT_MODIFIED, cursor)
    without = {name: value for name, value in cursor.items() if name != "etag"}
    assert fetch(source, MONDAY, without).verdict is Verdict.QUIET


def test_a_page_that_failed_is_named_and_asked_again_and_the_others_count() -> None:
    source, asked = pages_of({"2025-09-12": httpx.Response(500)}, default=[row("2509.00001")])
    failed = fetch(source, MONDAY)
    assert failed.verdict is Verdict.HTTP_ERROR
    assert failed.message.startswith("page of 2025-09-12: mirror.example answered 500")
    assert len(failed.listings) == 1
    asked.clear()
    fetch(source, MONDAY, failed.cursor)
    assert asked == ["2025-09-15", "2025-09-12"]


def test_a_service_that_wants_to_be_left_alone_is_not_asked_for_more_pages() -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(429, headers={"retry-after": "900"})

    assert fetch(hf(web_of(handler), MIRROR), MONDAY).verdict is Verdict.HTTP_ERROR
    assert len(asked) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"error": "x"}', b"[1, 2", b"[" * 100_000, b"9" * 10_000, b"\xff"]
)
def test_what_is_no_list_of_papers_is_a_parse_failure(body: bytes) -> None:
    source, _ = pages_of({"2025-09-15": httpx.Response(200, content=body)})
    assert fetch(source, MONDAY).verdict is Verdict.PARSE_FAILED


def test_a_row_that_cannot_be_read_costs_no_other() -> None:
    rows = [
        row("2509.00001"),
        7,
        {},
        {"paper": {"id": "x", "title": "t"}},
        row("2509.00002", title=""),
    ]
    fetched = fetch(pages_of({"2025-09-15": rows})[0], MONDAY)
    assert [paper.ids[0] for paper in fetched.listings] == ["arxiv:2509.00001"]
    assert [bad.reason for bad in fetched.bad] == [
        "has no paper",
        "has no paper",
        "has no id of a paper: 'x'",
        "has no title",
    ]


@pytest.mark.parametrize("votes", [None, "many", True, -1, 1e300, [3]])
def test_votes_that_are_no_number_are_left_out(votes: object) -> None:
    fetched = fetch(pages_of({"2025-09-15": [row("2509.00001", votes)]})[0], MONDAY)
    assert fetched.listings[0].signals == {}


def test_a_day_with_more_papers_than_a_page_holds_is_read_whole() -> None:
    rows = [row(f"2509.{n:05}") for n in range(5)]

    def handler(request: httpx.Request) -> httpx.Response:
        query = parse_qs(urlsplit(str(request.url)).query)
        at = 2 * int(query["p"][0])
        return httpx.Response(
            200, json=rows[at : at + 2] if query["date"] == ["2025-09-15"] else []
        )

    assert len(fetch(hf(web_of(handler), MIRROR, limit=2), MONDAY).listings) == 5


def test_wrong_options_name_source_and_key() -> None:
    with pytest.raises(ConfigError, match="source huggingface: limit: must be a whole number"):
        HuggingFaceSource(spec("huggingface", limit="many"), no_web())
