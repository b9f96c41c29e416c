"""What every kind of source promises, whatever its server sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replaying import noon, nothing_known, run, spec, web_of

from digest.errors import ConfigError
from digest.model import Fetched, Verdict
from digest.sources import Backfills, Source
from digest.sources.arxiv import ArxivSource
from digest.sources.biorxiv import BiorxivSource
from digest.sources.feed import FeedSource
from digest.sources.file import FileSource
from digest.sources.http import Web
from digest.sources.huggingface import HuggingFaceSource
from digest.sources.openreview import OpenReviewSource
from digest.sources.pubmed import PubmedSource

NOW = noon("2025-09-15")
MIRROR = "https://mirror.example"
Make = Callable[..., Source]


def feed(web: Web, **bounds: object) -> Source:
    return FeedSource(spec("feed", url=f"{MIRROR}/rss", **bounds), web)


def arxiv(web: Web, **bounds: object) -> Source:
    return ArxivSource(spec("arxiv", base_url=MIRROR, categories=["cs.LG"], **bounds), web)


def huggingface(web: Web, **bounds: object) -> Source:
    return HuggingFaceSource(spec("huggingface", base_url=MIRROR, **bounds), web)


def json_feed(web: Web, **bounds: object) -> Source:
    return FeedSource(spec("feed", url=f"{MIRROR}/feed.json", **bounds), web)


def biorxiv(web: Web, **bounds: object) -> Source:
    return BiorxivSource(spec("biorxiv", base_url=MIRROR, **bounds), web)


def medrxiv(web: Web, **bounds: object) -> Source:
    return BiorxivSource(spec("medrxiv", base_url=MIRROR, subjects=["oncology"], **bounds), web)


def pubmed(web: Web, **bounds: object) -> Source:
    return PubmedSource(
        spec("pubmed", url=f"{MIRROR}/rss", term="liver", base_url=MIRROR, **bounds), web
    )


def openreview(web: Web, **bounds: object) -> Source:
    return OpenReviewSource(spec("openreview", base_url=MIRROR, venue="TMLR", **bounds), web)


ONLINE: list[Make] = [
    feed,
    json_feed,
    arxiv,
    huggingface,
    biorxiv,
    medrxiv,
    pubmed,
    openreview,
]
REACH_BACK: list[Make] = [arxiv, biorxiv, medrxiv, pubmed, openreview]
online = pytest.mark.parametrize("make", ONLINE, ids=lambda make: make.__name__)

RSS = """<rss version="2.0"><channel><title>t</title>
<pubDate>Mon, 15 Sep 2025 00:00:00 -0400</pubDate>
<item><title>A paper \x00 of $x^2$</title><guid>oai:arXiv.org:2509.00001v1</guid></item>
<item><description>no title</description></item></channel></rss>"""
EMPTY_API = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:opensearch=
"http://a9.com/-/spec/opensearch/1.1/"><opensearch:totalResults>0</opensearch:totalResults></feed>"""
PAGE = json.dumps([{"paper": {"id": "2509.00001", "title": "A paper"}}, {"paper": None}])
ITEMS = [{"id": 1, "url": "https://arxiv.org/abs/2509.00001", "title": "A paper"}, {"id": 2}]
NOTE = {"id": "Ab1-x_9", "content": {"title": {"value": "A paper"}, "doi": {"value": "2509.00001"}}}
JSON_FEED = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": ITEMS})
NOTES = json.dumps({"notes": [NOTE, {"id": "x"}], "count": 2})
NO_POSTS = json.dumps({"messages": [{"status": "no posts found"}], "collection": []})
NO_ARTICLES = json.dumps({"esearchresult": {"count": "0", "idlist": []}})
NO_RECORDS = "<OAI-PMH><error code='noRecordsMatch'>none</error></OAI-PMH>"
SAID = {
    "/api/daily_papers": PAGE,
    "/api/query": EMPTY_API,
    "/oai": NO_RECORDS,
    "/feed.json": JSON_FEED,
    "/notes": NOTES,
    "/details/": NO_POSTS,
    "/pubs/": NO_POSTS,
    "/esearch.fcgi": NO_ARTICLES,
}


def healthy(request: httpx.Request) -> httpx.Response:
    path = request.url.path
    text = next((said for begin, said in SAID.items() if path.startswith(begin)), RSS)
    return httpx.Response(200, text=text, headers={"ETag": '"1"'})


def fetched(source: Source, cursor: Mapping[str, str] | None = None) -> Fetched:
    return run(source.fetch(cursor or {}, nothing_known, NOW))


@online
def test_it_shows_papers_with_ids_and_clean_titles(make: Make) -> None:
    (paper,) = fetched(make(web_of(healthy))).listings
    assert paper.ids[0] == "arxiv:2509.00001"
    assert all(paper.ids)
    assert paper.title in {"A paper", "A paper of x²"}


@online
def test_what_it_cannot_read_it_hands_over_with_bytes_and_reason(make: Make) -> None:
    bad = fetched(make(web_of(healthy))).bad[0]
    assert bad.raw
    assert bad.reason


@online
def test_its_cursor_is_small_text_and_asks_again_from_there(make: Make) -> None:
    source = make(web_of(healthy))
    cursor = fetched(source).cursor
    assert all(isinstance(text, str) for pair in cursor.items() for text in pair)
    assert json.loads(json.dumps(dict(cursor))) == cursor
    again = fetched(source, cursor)
    assert fetched(source, cursor).cursor == again.cursor
    assert again.verdict in {Verdict.QUIET, Verdict.NOT_MODIFIED}


@online
def test_it_keeps_its_place_when_it_fails(make: Make) -> None:
    cursor = dict(fetched(make(web_of(healthy))).cursor)
    failed = fetched(make(web_of(lambda request: httpx.Response(500))), cursor)
    assert failed.verdict is Verdict.HTTP_ERROR
    assert failed.cursor.items() >= {k: v for k, v in cursor.items() if k != "asked"}.items()
    assert fetched(make(web_of(healthy)), failed.cursor).verdict.healthy


@online
def test_its_message_names_the_host_that_failed(make: Make) -> None:
    failed = fetched(make(web_of(lambda request: httpx.Response(404))))
    assert "mirror.example" in failed.message


@online
def test_it_never_takes_longer_nor_more_than_it_may(make: Make) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    assert fetched(make(web_of(hang), timeout=0.05)).verdict is Verdict.TIMEOUT
    assert fetched(make(web_of(healthy), max_bytes=20)).verdict is Verdict.TOO_LARGE


answers = st.tuples(
    st.sampled_from([200, 200, 200, 204, 301, 304, 400, 404, 429, 500, 503]),
    st.one_of(
        st.binary(max_size=200),
        st.sampled_from([RSS, *SAID.values(), "[]", "{}", "null"]).map(str.encode),
        st.tuples(st.integers(0, 300), st.binary(max_size=9)).map(
            lambda cut: RSS.encode()[: cut[0]] + cut[1] + RSS.encode()[cut[0] :]
        ),
    ),
    st.sampled_from([{}, {"retry-after": "999"}, {"location": "/"}, {"etag": "x"}]),
)


@online
@given(st.lists(answers, min_size=1, max_size=3))
@settings(deadline=None, max_examples=40)
def test_it_never_raises_for_what_a_server_sends(
    make: Make, replies: list[tuple[int, bytes, dict[str, str]]]
) -> None:
    asked = 0

    def reply(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        status, body, headers = replies[asked % len(replies)]
        asked += 1
        return httpx.Response(status, content=body, headers=headers)

    source = make(web_of(reply))
    cursor: Mapping[str, str] = {}
    for _ in range(2):
        result = fetched(source, cursor)
        cursor = result.cursor
        assert result.verdict.healthy or result.message
        assert all(paper.title and paper.ids for paper in (*result.listings, *result.backfill))


@online
def test_an_unknown_option_is_an_error_of_the_configuration(make: Make) -> None:
    with pytest.raises(ConfigError, match="colour: unknown key"):
        make(web_of(healthy), colour="red")


def test_a_file_keeps_the_same_promises(tmp_path: Path) -> None:
    path = tmp_path / "papers.jsonl"
    path.write_text('{"title": "A paper"}\nbroken\n')
    source = FileSource(spec("file", path=str(path)), web_of(healthy))
    first = fetched(source)
    assert (len(first.listings), len(first.bad)) == (1, 1)
    assert fetched(source, first.cursor).verdict is Verdict.NOT_MODIFIED
    with pytest.raises(ConfigError, match="colour: unknown key"):
        FileSource(spec("file", path=str(path), colour="red"), web_of(healthy))


def past(source: Source, days: int = 0) -> list[Fetched]:
    """What it tells of a day, or of more before it."""
    assert isinstance(source, Backfills)
    last = date(2025, 9, 10)

    async def parts() -> list[Fetched]:
        found = source.backfill(last - timedelta(days=days), last, NOW)
        return [part async for part in found]

    return run(parts())


def test_only_some_kinds_reach_back() -> None:
    web = web_of(healthy)
    assert [make for make in ONLINE if isinstance(make(web), Backfills)] == REACH_BACK


@pytest.mark.parametrize("make", REACH_BACK, ids=lambda make: make.__name__)
def test_a_day_of_the_past_is_told_or_why_it_is_not(make: Make) -> None:
    assert [part.verdict for part in past(make(web_of(healthy)))] == [Verdict.OK]
    (failed,) = past(make(web_of(lambda request: httpx.Response(503))))
    assert failed.verdict is Verdict.HTTP_ERROR
    assert "mirror.example" in failed.message


@pytest.mark.parametrize("make", REACH_BACK, ids=lambda make: make.__name__)
@pytest.mark.parametrize("days", [2, 60])
@given(st.lists(answers, min_size=1, max_size=3))
@settings(deadline=None, max_examples=20)
def test_its_past_never_raises_for_what_a_server_sends(
    make: Make, days: int, replies: list[tuple[int, bytes, dict[str, str]]]
) -> None:
    asked = 0

    def reply(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        status, body, headers = replies[asked % len(replies)]
        asked += 1
        return httpx.Response(status, content=body, headers=headers)

    parts = past(make(web_of(reply), timeout=5.0), days)
    assert all(part.verdict is Verdict.OK for part in parts[:-1])
    assert all(part.verdict.healthy or part.message for part in parts)
