"""Kind `arxiv`: the day's announcement, and the API for what the feed did not bring."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from replaying import (
    CATEGORIES,
    TARGET,
    arxiv,
    fetch,
    no_web,
    noon,
    nothing_known,
    replay_on,
    run,
    spec,
    web_of,
)

from digest.errors import ConfigError
from digest.model import Announce, Fetched, Verdict
from digest.sources import eastern, gaps
from digest.sources.arxiv import ArxivSource
from digest.sources.gaps import Gap
from digest.sources.http import Web


def ask(
    replay: Any,
    now: datetime,
    cursor: dict[str, str] | None = None,
    known: Any = nothing_known,
    **options: object,
) -> Fetched:
    """One fetch of the replay."""

    async def asked() -> Fetched:
        async with Web(intervals={}) as web:
            return await arxiv(web, replay.url, **options).fetch(cursor or {}, known, now)

    return run(asked())


def after(replay: Any, *days: str) -> dict[str, str]:
    """The cursor after looking at noon (UTC) on these days."""
    cursor: dict[str, str] = {}
    for day in days:
        replay.day = day
        cursor = dict(ask(replay, noon(day), cursor).cursor)
    return cursor


def paths(replay: Any) -> list[str]:
    return [row[1] for row in replay.log]


def test_an_announcement_is_read_field_by_field(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")
    fetched = ask(replay, noon("2025-09-15"))
    real = {f"arxiv:{p['id']}": p for p in replay.by_day["2025-09-15"]}
    shown = {paper.ids[0]: paper for paper in fetched.listings}
    wanted = {id_ for id_, p in real.items() if set(p["cats"]) & set(CATEGORIES)}
    assert (fetched.verdict, set(shown), fetched.bad) == (Verdict.OK, wanted, ())
    for id_, paper in shown.items():
        assert paper.categories[0] == real[id_]["cats"][0]
        assert paper.published == date(2025, 9, 15)
        assert paper.announce is (
            Announce.NEW if paper.categories[0] in CATEGORIES else Announce.CROSS
        )
        assert not paper.abstract.startswith("arXiv:")
        assert len(paper.authors) == len(set(real[id_]["authors"]))


@pytest.mark.parametrize("fault", ["", "stale", "short", "empty", "truncated", "error_feed"])
def test_atom_tells_the_same_as_rss(shared: Path, fault: str) -> None:
    replay = replay_on(shared, "2025-10-06")
    told = []
    for form in ("rss", "atom"):
        cursor = after(replay, "2025-10-02", "2025-10-03")
        replay.day = "2025-10-06"
        replay.fault.update({TARGET: fault} if fault else {})
        told.append(ask(replay, noon("2025-10-06"), cursor, frozenset, format=form))
        replay.fault.clear()
    rss, atom = told
    assert (atom.verdict, atom.listings) == (rss.verdict, rss.listings)
    assert {p.ids for p in atom.backfill} == {p.ids for p in rss.backfill}
    assert (atom.cursor["day"], atom.cursor.get("seen")) == (rss.cursor["day"], rss.cursor["seen"])


def test_replacements_count_only_for_works_we_have(shared: Path) -> None:
    replay = replay_on(shared, "2025-10-06")
    strangers = ask(replay, noon("2025-10-06"))
    ours = ask(replay, noon("2025-10-06"), known=frozenset)
    replaced = [
        p for p in ours.listings if p.announce in {Announce.REPLACE, Announce.REPLACE_CROSS}
    ]
    assert replaced
    assert all(paper.version == 2 for paper in replaced)
    assert len(strangers.listings) == len(ours.listings) - len(replaced)


def test_the_same_announcement_is_not_sent_twice(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")
    cursor = after(replay, "2025-09-15")
    again = ask(replay, noon("2025-09-15"), cursor)
    assert (again.verdict, again.cursor) == (Verdict.NOT_MODIFIED, cursor)


def test_weekends_and_the_day_after_labor_day_are_holidays(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-01")
    cursor = after(replay, "2025-09-01")
    for day in ("2025-09-02", "2025-09-06", "2025-09-07"):
        replay.day = day
        assert ask(replay, noon(day), cursor).verdict is Verdict.HOLIDAY


def test_a_working_day_without_new_papers_is_empty_and_the_api_is_asked(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-22")
    cursor = after(replay, "2025-09-22")
    replay.day = "2025-09-23"
    fetched = ask(replay, noon("2025-09-23"), cursor, known=frozenset)
    assert fetched.verdict is Verdict.EMPTY
    assert "2025-09-23 asked through the API: no papers were missing" in fetched.message
    assert fetched.cursor["complete"] == "2025-09-22"


def test_it_is_empty_too_where_the_feed_says_early_that_it_is_of_today(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-22")
    cursor = after(replay, "2025-09-22")
    replay.day = "2025-09-23"
    assert ask(replay, datetime(2025, 9, 23, 5, tzinfo=UTC), cursor).verdict is Verdict.EMPTY


def test_a_feed_that_has_not_rolled_by_morning_is_late_and_by_noon_the_api_is_asked(
    shared: Path,
) -> None:
    replay = replay_on(shared, "2025-09-15")
    cursor = after(replay, "2025-09-15")
    replay.log.clear()
    early = ask(replay, datetime(2025, 9, 16, 5, tzinfo=UTC), cursor)
    morning = ask(replay, datetime(2025, 9, 16, 8, tzinfo=UTC), cursor)
    assert (early.verdict, morning.verdict) == (Verdict.NOT_MODIFIED, Verdict.LATE)
    assert not [path for path in paths(replay) if path.startswith("/api")]
    noon_there = ask(replay, datetime(2025, 9, 16, 17, tzinfo=UTC), cursor)
    assert noon_there.verdict is Verdict.LATE
    assert [path for path in paths(replay) if path.startswith("/api")]


def test_days_on_which_we_were_down_come_through_the_api(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-08")
    cursor = after(replay, "2025-09-08")
    replay.day = "2025-09-12"
    fetched = ask(replay, noon("2025-09-12"), cursor)
    missed = {
        f"arxiv:{p['id']}"
        for day in ("2025-09-09", "2025-09-10", "2025-09-11")
        for p in replay.by_day[day]
        if set(p["cats"]) & set(CATEGORIES)
    }
    assert fetched.verdict is Verdict.OK
    assert missed <= {paper.ids[0] for paper in fetched.backfill}
    assert fetched.cursor["complete"] == "2025-09-12"
    assert "2025-09-09 to 2025-09-11 asked through the API" in fetched.message


def test_a_stale_feed_is_seen_through_and_its_papers_come_through_the_api(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")
    cursor = after(replay, "2025-09-15")
    replay.day, replay.fault[TARGET] = "2025-09-16", "stale"
    fetched = ask(replay, noon("2025-09-16"), cursor)
    today = {
        f"arxiv:{p['id']}" for p in replay.by_day["2025-09-16"] if set(p["cats"]) & set(CATEGORIES)
    }
    assert fetched.verdict is Verdict.STALE
    assert today <= {paper.ids[0] for paper in fetched.backfill}


def test_once_a_day_has_settled_the_api_is_not_asked_for_it_again(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")
    cursor = after(replay, "2025-09-15")
    replay.day, replay.fault[TARGET] = "2025-09-16", "http500"
    morning = dict(ask(replay, noon("2025-09-16"), cursor).cursor)
    assert (morning["complete"], "asked" in morning) == ("2025-09-15", True)
    replay.log.clear()
    at_once = ask(replay, noon("2025-09-16") + timedelta(hours=1), morning)
    assert not [path for path in paths(replay) if path.startswith("/api")]
    evening = ask(replay, noon("2025-09-16") + timedelta(hours=8), dict(at_once.cursor))
    assert evening.cursor["complete"] == "2025-09-16"


def test_a_gap_that_the_api_could_not_fill_is_filled_later(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-08")
    cursor = after(replay, "2025-09-08")
    replay.day, replay.fault["api"] = "2025-09-10", "http500"
    failed = ask(replay, noon("2025-09-10"), cursor)
    assert (failed.verdict, failed.backfill) == (Verdict.HTTP_ERROR, ())
    assert "unfinished: API, 2025-09-05 to 2025-09-09" in failed.message
    assert failed.listings
    replay.fault.clear()
    later = ask(replay, noon("2025-09-10"), dict(failed.cursor))
    assert later.backfill
    assert later.cursor["complete"] == "2025-09-10"


def with_usual(cursor: dict[str, str], count: int) -> dict[str, str]:
    """A cursor that remembers so many papers on each of four Mondays."""
    return {**cursor, "counts": json.dumps({"0": [count] * 4})}


def test_a_short_feed_is_found_by_the_weekdays_own_median(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")
    cursor = after(replay, "2025-09-12")
    replay.day = "2025-09-15"
    whole = {paper.ids[0] for paper in ask(replay, noon("2025-09-15")).listings}
    replay.fault[TARGET] = "short"
    fetched = ask(replay, noon("2025-09-15"), with_usual(cursor, len(whole)))
    assert fetched.verdict is Verdict.SHORT
    assert whole <= {p.ids[0] for p in (*fetched.listings, *fetched.backfill)}
    assert fetched.cursor["day"] == "2025-09-12"


def test_a_day_that_is_only_small_is_ok_once_the_api_says_so(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")
    cursor = with_usual(after(replay, "2025-09-12"), 1000)
    replay.day = "2025-09-15"
    ids = {f"arxiv:{p['id']}" for p in replay.by_day["2025-09-15"]}
    small = ask(replay, noon("2025-09-15"), cursor, known=lambda asked: frozenset(asked) - ids)
    assert (small.verdict, small.backfill) == (Verdict.OK, ())
    assert small.cursor["day"] == "2025-09-15"
    replay.fault["api"] = "http500"
    assert ask(replay, noon("2025-09-15"), cursor).verdict is Verdict.SHORT


def test_counts_are_kept_for_each_weekday(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-08")
    counts = json.loads(after(replay, "2025-09-08", "2025-09-09", "2025-09-15")["counts"])
    assert {day: len(each) for day, each in counts.items()} == {"0": 2, "1": 1}


# ------------------------------------------------------------------ backfill


def slices(source: ArxivSource, since: str, until: str) -> list[Fetched]:
    async def asked() -> list[Fetched]:
        days = date.fromisoformat(since), date.fromisoformat(until)
        async with source.web:
            return [part async for part in source.backfill(*days, noon("2025-10-31"))]

    return run(asked())


def test_a_backfill_brings_everything_of_its_days_in_slices(shared: Path) -> None:
    replay = replay_on(shared, "2025-10-31")
    parts = slices(arxiv(Web(intervals={}), replay.url), "2025-09-08", "2025-09-30")
    found = {paper.ids[0] for part in parts for paper in part.backfill}
    wanted = {
        f"arxiv:{p['id']}"
        for p in replay.papers
        if "2025-09-08" <= p["date"] <= "2025-09-30" and set(p["cats"]) & set(CATEGORIES)
    }
    assert [part.verdict for part in parts] == [Verdict.OK] * len(parts)
    assert len(parts) >= 4
    assert wanted <= found


def api_of(*answers: httpx.Response) -> tuple[ArxivSource, list[dict[str, list[str]]]]:
    asked: list[dict[str, list[str]]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(parse_qs(urlsplit(str(request.url)).query))
        return answers[min(len(asked), len(answers)) - 1]

    return arxiv(web_of(handler), "https://mirror.example"), asked


def page(total: int, *numbers: str) -> httpx.Response:
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/{n}v1</id><title>Paper {n}</title></entry>"
        for n in numbers
    )
    names = 'xmlns="http://www.w3.org/2005/Atom" xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"'
    said = f"<opensearch:totalResults>{total}</opensearch:totalResults>"
    return httpx.Response(200, text=f"<feed {names}><title>q</title>{said}{entries}</feed>")


def test_the_api_is_asked_for_categories_and_dates_page_by_page() -> None:
    source, asked = api_of(page(3, "2509.00001", "2509.00002"), page(3, "2509.00003"))
    parts = slices(source, "2025-09-10", "2025-09-10")
    assert [len(part.backfill) for part in parts] == [2, 1]
    assert [query["start"] for query in asked] == [["0"], ["2"]]
    assert asked[0]["search_query"] == [
        "(cat:cs.RO OR cat:cs.GR) AND submittedDate:[202509080000 TO 202509102359]"
    ]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (page(3), Verdict.EMPTY),
        (httpx.Response(503), Verdict.HTTP_ERROR),
        (httpx.Response(200, text="<html>"), Verdict.PARSE_FAILED),
        (
            httpx.Response(200, text="<feed xmlns='http://www.w3.org/2005/Atom'></feed>"),
            Verdict.PARSE_FAILED,
        ),
    ],
)
def test_a_slice_that_fails_ends_the_backfill_with_its_verdict(
    answer: httpx.Response, verdict: Verdict
) -> None:
    source, asked = api_of(answer)
    parts = slices(source, "2025-09-10", "2025-09-30")
    assert [part.verdict for part in parts] == [verdict]
    assert "2025-09-08 to 2025-09-14" in parts[0].message
    assert len(asked) == 1


def test_an_error_entry_of_the_api_is_an_error() -> None:
    said = "<id>http://arxiv.org/api/errors#x</id><title>Error</title><summary>bad id</summary>"
    text = page(1).text.replace("</feed>", f"<entry>{said}</entry></feed>")
    source, _ = api_of(httpx.Response(200, text=text))
    (part,) = slices(source, "2025-09-10", "2025-09-10")
    assert (part.verdict, "bad id" in part.message) == (Verdict.HTTP_ERROR, True)


# ------------------------------------------------------------------ gaps, purely

WEDNESDAY = noon("2025-09-17")


@pytest.mark.parametrize(
    ("cursor", "verdict", "gap"),
    [
        ({"day": "2025-09-17"}, Verdict.OK, None),
        ({"day": "2025-09-17", "complete": "2025-09-16"}, Verdict.OK, None),
        ({"day": "2025-09-17", "complete": "2025-09-12"}, Verdict.OK, ("2025-09-15", "2025-09-16")),
        (
            {"day": "2025-09-16", "complete": "2025-09-16"},
            Verdict.STALE,
            ("2025-09-17", "2025-09-17"),
        ),
        ({"day": "2025-09-16", "complete": "2025-09-16"}, Verdict.LATE, None),
        (
            {"day": "2025-09-15", "complete": "2025-09-15"},
            Verdict.LATE,
            ("2025-09-16", "2025-09-16"),
        ),
        ({}, Verdict.TIMEOUT, ("2025-09-17", "2025-09-17")),
        ({}, Verdict.HOLIDAY, None),
    ],
)
def test_what_is_missing_is_what_was_announced_and_not_taken(
    cursor: dict[str, str], verdict: Verdict, gap: tuple[str, str] | None
) -> None:
    expected = Gap(*map(date.fromisoformat, gap)) if gap else None
    assert gaps.missing(cursor, verdict, WEDNESDAY) == expected


@given(
    st.lists(
        st.tuples(st.integers(1, 90), st.sampled_from(["ok", "down", "bad", "api"])), max_size=25
    )
)
def test_whatever_fails_in_whatever_order_no_announcement_is_forgotten(
    events: list[tuple[int, str]],
) -> None:
    """Asked at odd hours, with a feed that is right, absent or bad and an API that works or not:
    each announcement up to `complete` was taken from the feed or asked through the API."""
    now = datetime(2025, 9, 1, 12, tzinfo=UTC)
    cursor: dict[str, str] = {}
    got: set[date] = set()
    started: date | None = None
    for hours, event in events:
        now += timedelta(hours=hours)
        if event == "down":
            continue
        day = eastern.latest(now)
        verdict = Verdict.OK if event == "ok" else Verdict.STALE
        if event == "ok":
            cursor["day"] = day.isoformat()
            got.add(day)
        started = started or day
        gap = gaps.missing(cursor, verdict, now)
        reached = None if gap is None or event == "api" else gap.last
        if gap and reached:
            span = (gap.last - gap.first).days + 1
            got |= {gap.first + timedelta(days=n) for n in range(span)}
        cursor = gaps.after_slices(cursor, gap, reached, now)
        complete = date.fromisoformat(cursor["complete"])
        days = (started + timedelta(days=n) for n in range((complete - started).days + 1))
        assert [d for d in days if eastern.announces(d) and d not in got] == []


# ------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, "source arxiv: categories: is missing"),
        ({"categories": []}, "categories: must be a list of texts, and not empty"),
        ({"categories": "cs.LG"}, "categories: must be a list of texts"),
        ({"categories": ["cs.LG&x=1"]}, "categories: cs.LG&x=1: no category of arXiv"),
        ({"categories": ["cs.LG"], "base_url": "x"}, "base_url: must begin with http"),
        ({"categories": ["cs.LG"], "limit": 3}, "limit: unknown key"),
        ({"categories": ["cs.LG"], "format": "json"}, "format: must be rss or atom, not 'json'"),
    ],
)
def test_wrong_options_name_source_and_key(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        ArxivSource(spec("arxiv", **options), no_web())


def test_the_real_services_are_asked_where_no_other_address_is_given() -> None:
    source = ArxivSource(spec("arxiv", categories=["cs.LG", "stat.ML", "hep-th"]), no_web())
    assert source.feed_url == "https://rss.arxiv.org/rss/cs.LG+stat.ML+hep-th"
    assert source.api.url == "https://export.arxiv.org/api/query"
    assert source.api.query == "(cat:cs.LG OR cat:stat.ML OR cat:hep-th*)"


def test_a_feed_at_its_limit_is_called_short() -> None:
    items = "".join(
        f"<item><title>Paper {n}</title><guid>oai:arXiv.org:2509.{n:05}v1</guid></item>"
        for n in range(2000)
    )
    text = f"<rss version='2.0'><channel><title>t</title>{items}</channel></rss>"

    def handler(request: httpx.Request) -> httpx.Response:
        return page(0) if "/api/" in str(request.url) else httpx.Response(200, text=text)

    fetched = fetch(arxiv(web_of(handler), "https://mirror.example"), noon("2025-09-15"))
    assert (fetched.verdict, len(fetched.listings)) == (Verdict.SHORT, 2000)
