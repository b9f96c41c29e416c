"""The faults of a service, for the kinds that no recorded service stands for: each ends in its
verdict, in bounded time, without a traceback, and harms no other source."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import httpx
import pytest
from failing import Failing
from hypothesis import given, settings
from hypothesis import strategies as st
from replaying import noon, nothing_known, run, spec, web_of

from digest.ingest import ingest
from digest.model import Fetched, SourceReport
from digest.sources import Source
from digest.sources.arxiv import ArxivSource
from digest.sources.biorxiv import BiorxivSource
from digest.sources.feed import FeedSource
from digest.sources.http import Web
from digest.sources.openreview import OpenReviewSource
from digest.sources.pubmed import PubmedSource
from digest.store import Database, papers

NOW = noon("2025-09-15")
DAY = timedelta(days=1)
FAULTS = {
    "http500": "http_error",
    "http429": "http_error",
    "gone": "http_error",
    "redirect_loop": "http_error",
    "error_feed": "http_error",
    "html": "parse_failed",
    "truncated": "parse_failed",
    "bomb": "parse_failed",
    "slow": "timeout",
    "hang": "timeout",
    "huge": "too_large",
    "reset": "http_error",
    "latin1": "ok",  # wrong bytes, and still readable
}
RSS = """<rss version="2.0"><channel><title>t</title><item><title>Größe of things</title>
<link>https://journal.example/1</link></item></channel></rss>"""
ROW = {"doi": "10.1101/2025.09.14.600001", "title": "Größe of cells", "date": "2025-9-14"}
POSTED = {"messages": [{"status": "ok", "total": "1"}], "collection": [ROW]}
NOTE = {"id": "Abc_1", "tmdate": 9, "content": {"title": {"value": "Größe of nets"}}}
ITEM = {"id": "1", "title": "Größe of feeds"}
FOUND = {"esearchresult": {"count": "1", "idlist": ["7"]}}
ARTICLES = """<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>7</PMID><Article>
<ArticleTitle>Größe of livers</ArticleTitle></Article></MedlineCitation></PubmedArticle>
</PubmedArticleSet>"""
RECORDS = """<OAI-PMH><ListRecords><record><header/><metadata><arXivRaw><id>2507.00001</id>
<title>Größe of knots</title><version version="v1"><date>Tue, 1 Jul 2025 09:00:00 GMT</date>
</version></arXivRaw></metadata></record></ListRecords></OAI-PMH>"""
SAID = {
    "/details/": json.dumps(POSTED, ensure_ascii=False),
    "/pubs/": json.dumps(POSTED | {"collection": [], "messages": [{"status": "no posts found"}]}),
    "/notes": json.dumps({"notes": [NOTE]}, ensure_ascii=False),
    "/feed.json": json.dumps(
        {"version": "https://jsonfeed.org/version/1.1", "items": [ITEM]}, ensure_ascii=False
    ),
    "/esearch": json.dumps(FOUND),
    "/efetch": ARTICLES,
    "/oai": RECORDS,
}


def answer(path: str) -> str:
    return next((said for begin, said in SAID.items() if path.startswith(begin)), RSS)


@pytest.fixture(scope="module")
def server() -> Iterator[Failing]:
    with Failing(answer) as failing:
        yield failing


def web() -> Web:
    """Without certificates, which take longer to load than most of these tests."""
    plain = httpx.AsyncHTTPTransport(verify=False)
    return Web("https://digest.example", intervals={}, transport=plain)


Make = Callable[[str, Web, float], Source]


def bounds(timeout: float) -> dict[str, object]:
    return {"timeout": timeout, "max_bytes": 1_000_000}


def biorxiv(url: str, web: Web, timeout: float) -> Source:
    return BiorxivSource(spec("biorxiv", base_url=url, **bounds(timeout)), web)


def pubmed(url: str, web: Web, timeout: float) -> Source:
    asked = {"url": f"{url}/saved", "term": "liver", "base_url": url}
    return PubmedSource(spec("pubmed", **asked, **bounds(timeout)), web)


def openreview(url: str, web: Web, timeout: float) -> Source:
    return OpenReviewSource(spec("openreview", base_url=url, venue="X", **bounds(timeout)), web)


def json_feed(url: str, web: Web, timeout: float) -> Source:
    return FeedSource(spec("feed", url=f"{url}/feed.json", **bounds(timeout)), web)


def seconds(fault: str) -> float:
    """Few where the server never ends; less than twice what it asks us to wait."""
    return 0.15 if fault in {"slow", "hang"} else 3.0


CASES = [
    (biorxiv, "_xml.php", {}),
    (biorxiv, "/details", {"through": "2025-09-12"}),
    (biorxiv, "/pubs", {"through": "2025-09-12"}),
    (pubmed, "/saved", {}),
    (pubmed, "/esearch", {"through": "2025-09-12"}),
    (pubmed, "/efetch", {"through": "2025-09-12"}),
    (openreview, "/notes", {}),
    (json_feed, "/feed.json", {}),
]


def look(server: Failing, make: Make, cursor: Mapping[str, str], timeout: float) -> Fetched:
    async def once() -> Fetched:
        async with web() as net:
            return await make(server.url, net, timeout).fetch(cursor, nothing_known, NOW)

    return run(once())


@pytest.mark.parametrize(("fault", "verdict"), FAULTS.items())
@pytest.mark.parametrize(
    ("make", "where", "cursor"), CASES, ids=[where.strip("/") for _, where, _ in CASES]
)
def test_a_fault_has_its_verdict_and_keeps_the_place(
    server: Failing, make: Make, where: str, cursor: dict[str, str], fault: str, verdict: str
) -> None:
    server.fault, server.where = fault, where
    failed = look(server, make, cursor, seconds(fault))
    assert failed.verdict == verdict
    assert verdict == "ok" or failed.message
    server.fault = ""
    healed = look(server, make, failed.cursor, 3.0)
    assert healed.verdict.healthy
    if verdict != "ok" and cursor:
        assert failed.cursor["through"] == cursor["through"]
        assert healed.cursor["through"] == "2025-09-14"
        assert any("Größe" in paper.title for paper in (*healed.listings, *healed.backfill))


@pytest.mark.parametrize("fault", ["http500", "truncated", "huge", "reset"])
def test_a_source_that_fails_harms_no_other_and_leaves_no_traceback(
    sqlite: Database, server: Failing, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    server.fault, server.where = fault, "/"
    with Failing(answer) as well, caplog.at_level(logging.WARNING):
        reports = run(_passed(sqlite, server, well))
    assert [report.verdict for report in reports] == [FAULTS[fault]] * 4 + ["ok"]
    assert [record for record in caplog.records if record.exc_info] == []
    with sqlite.reading() as tx:
        assert papers.count(tx) == 1


async def _passed(db: Database, failing: Failing, well: Failing) -> list[SourceReport]:
    """One pass over all kinds at one server, and one source at another."""
    async with web() as net:
        makes: list[Make] = [biorxiv, pubmed, openreview, json_feed]
        sources = [make(failing.url, net, 3.0) for make in makes]
        fine = FeedSource(spec("feed", url=f"{well.url}/rss"), net)
        fine.spec = spec("well")
        return await ingest(db, [*sources, fine], NOW)


@pytest.mark.parametrize(("fault", "verdict"), FAULTS.items())
def test_a_fault_of_oai_pmh_has_its_verdict(
    server: Failing, monkeypatch: pytest.MonkeyPatch, fault: str, verdict: str
) -> None:
    server.fault, server.where = fault, "/oai"
    monkeypatch.setattr("digest.sources.oai.MOST_WAITS", 0)  # it waits as long as it is asked to

    async def told() -> list[Fetched]:
        async with web() as net:
            limits = bounds(seconds(fault))
            made = spec("arxiv", base_url=server.url, categories=["cs.LG"], **limits)
            days = ((NOW - 100 * DAY).date(), NOW.date())
            return [part async for part in ArxivSource(made, net).backfill(*days, NOW)]

    (part,) = run(told())
    assert (part.verdict, len(part.backfill)) == (verdict, verdict == "ok")


# ------------------------------------------------------------------ damaged bytes


def damaged(body: bytes, at: float, how: str, noise: bytes) -> bytes:
    """`body` cut, overwritten, lengthened, repeated, with an entity, or in another encoding."""
    here = int(at * len(body))
    return {
        "cut": body[:here] + body[here + len(noise) :],
        "flip": body[:here] + noise + body[here + len(noise) :],
        "add": body[:here] + noise + body[here:],
        "twice": body[:here] + body[: here // 2] + body[here:],
        "entity": body[:here] + b"&" + noise + b";<![CDATA[" + body[here:],
        "number": re.sub(rb"\d+", b"9" * 40, body),
        "utf-16": body.decode("utf-8", "replace").encode("utf-16"),
        "null": re.sub(rb'"[^"]*"(?=[,}\]])', b"null", body),
        "lone": re.sub(rb"\w{5}", rb"\\ud800", body, count=1 + len(noise)),
    }[how]


HOW = ["cut", "flip", "add", "twice", "entity", "number", "utf-16", "null", "lone"]
harm = st.tuples(st.floats(0, 0.999), st.sampled_from(HOW), st.binary(min_size=1, max_size=5))


@pytest.mark.parametrize("make", [biorxiv, pubmed, openreview, json_feed])
@given(st.lists(harm, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_damaged_bytes_never_raise(make: Make, harms: list[tuple[float, str, bytes]]) -> None:
    fetched = run(make("https://m.example", _damaging(harms), 3.0).fetch(GAP, nothing_known, NOW))
    told = (*fetched.listings, *fetched.backfill)
    assert fetched.verdict.healthy or fetched.message
    assert all(paper.title and all(paper.ids) for paper in told)
    assert _storable([(paper.ids, paper.title, paper.authors, paper.links) for paper in told])
    assert _storable(dict(fetched.cursor))


@given(st.lists(harm, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_damaged_records_never_raise(harms: list[tuple[float, str, bytes]]) -> None:
    made = spec("arxiv", base_url="https://m.example", categories=["cs.LG"])

    async def told() -> list[Fetched]:
        days = ((NOW - 100 * DAY).date(), NOW.date())
        source = ArxivSource(made, _damaging(harms))
        return [part async for part in source.backfill(*days, NOW)]

    parts = run(told())
    assert all(part.verdict.healthy or part.message for part in parts)
    assert _storable([(p.ids, p.title, p.authors) for part in parts for p in part.backfill])


GAP = {"through": "2025-09-13", "seen": "x:1", "mark": "3"}


def _damaging(harms: list[tuple[float, str, bytes]]) -> Web:
    """A network on which each answer has come to this harm."""

    def handler(request: httpx.Request) -> httpx.Response:
        body = answer(request.url.path).encode()
        for at, how, noise in harms:
            body = damaged(body, at, how, noise)
        return httpx.Response(200, content=body)

    return web_of(handler)


def _storable(value: object) -> bool:
    """True for what a database takes: UTF-8 without NUL."""
    text = json.dumps(value, ensure_ascii=False, default=dict)
    return bool(text.encode()) and "\\u0000" not in text
