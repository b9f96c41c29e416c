"""What a reader of yesterday could not read, today's reads from what was kept: for each kind, and
for each of the services that a kind asks."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import date
from pathlib import Path

import httpx
import pytest
from replaying import noon, nothing_known, run, spec, web_of

from digest.model import BadEntry, Fetched, Listing
from digest.sources import Backfills, Rereads, Source
from digest.sources.arxiv import ArxivSource
from digest.sources.biorxiv import BiorxivSource
from digest.sources.entries import MAX_RAW
from digest.sources.feed import FeedSource
from digest.sources.file import FileSource
from digest.sources.huggingface import HuggingFaceSource
from digest.sources.openreview import OpenReviewSource
from digest.sources.pubmed import PubmedSource

NOW = noon("2025-09-15")
MIRROR = "https://mirror.example"
AT = {"base_url": MIRROR}
GAP = {"through": "2025-09-12"}
RSS = """<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel><title>t</title><pubDate>Mon, 15 Sep 2025 00:00:00 -0400</pubDate>
<item><title>Größe of &lt;i&gt;x&lt;/i&gt;</title>
<link>https://arxiv.org/abs/2509.00001</link><guid>oai:arXiv.org:2509.00001v1</guid>
<description>arXiv:2509.00001v1 Announce Type: new \nAbstract: What it is.</description>
<dc:creator>Ada Lovelace, Ch. Babbage</dc:creator><category>cs.LG</category>
<pubDate>Mon, 15 Sep 2025 00:00:00 -0400</pubDate></item></channel></rss>"""
BARE = """<rss version="2.0"><channel><title>t</title><item><title>Größe</title>
<description>An item without address, of some length.</description></item></channel></rss>"""
API = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">
<opensearch:totalResults>1</opensearch:totalResults><entry><id>http://arxiv.org/abs/2509.00002v3</id>
<title>Größe of $x^2$</title><published>2025-09-10T09:00:00Z</published><summary>What.</summary>
<author><name>Ada Lovelace</name></author><category term="cs.LG"/></entry></feed>"""
OAI = """<OAI-PMH xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><ListRecords><record><header>
<identifier>oai:arXiv.org:2509.00003</identifier></header><metadata>
<arXivRaw xsi:schemaLocation="a b"><id>2509.00003</id>
<version version="v1"><date>Wed, 10 Sep 2025 09:00:00 GMT</date></version>
<version version="v2"><date>Thu, 11 Sep 2025 09:00:00 GMT</date></version>
<title>Größe of A &amp; B &lt; C</title>
<authors>Ada Lovelace and Ch. Babbage</authors><categories>cs.LG math.GT</categories>
<doi>10.1000/x</doi>
<abstract>What it is.</abstract></arXivRaw></metadata></record></ListRecords></OAI-PMH>"""
ARTICLE = """<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID Version="1">7</PMID><Article>
<ArticleTitle>Größe of <i>E. coli</i> &amp; CO<sub>2</sub></ArticleTitle>
<ELocationID EIdType="doi">10.1000/y</ELocationID>
<Abstract><AbstractText Label="AIM">To &lt;see&gt;.</AbstractText></Abstract>
<AuthorList><Author><LastName>Lovelace</LastName>
<ForeName>Ada</ForeName></Author></AuthorList></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"""
POST = {
    "doi": "10.1101/2025.09.13.600001",
    "title": "Größe of cells",
    "authors": "Lovelace, A.; Babbage, C.",
    "date": "2025-9-13",
    "version": "1",
    "category": "cell biology",
    "abstract": "What.",
    "published": "NA",
}
PRINTED = {
    "preprint_doi": "10.1101/2025.09.13.600002",
    "published_doi": "10.1000/z",
    "preprint_title": "Größe of livers",
    "preprint_authors": "Lovelace, A.",
    "preprint_date": "2025-09-01",
}
PAGE = {"paper": {"id": "2509.00004", "title": "Größe", "upvotes": 7, "authors": [{"name": "A"}]}}
ITEM = {"id": "9", "url": "https://x.example/9", "title": "Größe", "content_text": "What."}
NOTE = {
    "id": "Ab1-x_9",
    "tmdate": 9,
    "content": {"title": {"value": "Größe"}, "authors": {"value": ["Ada Lovelace"]}},
}


def rows(*found: dict[str, str]) -> str:
    return json.dumps({"messages": [{"status": "ok", "total": len(found)}], "collection": found})


SAID = {
    "/bare": BARE,
    "/feed.json": json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [ITEM]}),
    "/api/query": API,
    "/api/daily_papers": json.dumps([PAGE]),
    "/oai": OAI,
    "/details/": rows(POST),
    "/pubs/": rows(PRINTED),
    "/notes": json.dumps({"notes": [NOTE]}),
    "/esearch": json.dumps({"esearchresult": {"count": "1", "idlist": ["7"]}}),
    "/efetch": ARTICLE,
}
WEB = web_of(
    lambda request: httpx.Response(
        200, text=next((v for k, v in SAID.items() if request.url.path.startswith(k)), RSS)
    )
)


def fetched(source: Source) -> list[Fetched]:
    return [run(source.fetch(GAP, nothing_known, NOW))]


def past(days: int) -> Callable[[Source], list[Fetched]]:
    def told(source: Source) -> list[Fetched]:
        assert isinstance(source, Backfills)
        since = date.fromordinal(date(2025, 9, 13).toordinal() - days)

        async def all_of(parts: AsyncIterator[Fetched]) -> list[Fetched]:
            return [part async for part in parts]

        return run(all_of(source.backfill(since, date(2025, 9, 13), NOW)))

    return told


ARXIV = ArxivSource(spec("arxiv", categories=["cs.LG"], **AT), WEB)
PUBMED = PubmedSource(spec("pubmed", term="x", **AT), WEB)
CASES: dict[str, tuple[Source, Callable[[Source], list[Fetched]]]] = {
    "feed": (FeedSource(spec("feed", url=f"{MIRROR}/rss"), WEB), fetched),
    "item without address": (FeedSource(spec("feed", url=f"{MIRROR}/bare"), WEB), fetched),
    "JSON Feed": (FeedSource(spec("feed", url=f"{MIRROR}/feed.json"), WEB), fetched),
    "arXiv's feed": (ARXIV, fetched),
    "arXiv's API": (ARXIV, past(5)),
    "arXiv by OAI-PMH": (ARXIV, past(40)),
    "huggingface": (HuggingFaceSource(spec("huggingface", **AT), WEB), fetched),
    "biorxiv": (BiorxivSource(spec("biorxiv", **AT), WEB), fetched),
    "medrxiv's API": (BiorxivSource(spec("medrxiv", **AT), WEB), past(0)),
    "pubmed's feed": (PubmedSource(spec("pubmed", url=f"{MIRROR}/rss", **AT), WEB), fetched),
    "E-utilities": (PUBMED, past(0)),
    "openreview": (OpenReviewSource(spec("openreview", venue="X", **AT), WEB), fetched),
}
each = pytest.mark.parametrize("name", CASES)


def papers_of(parts: list[Fetched]) -> dict[str, Listing]:
    found = [paper for part in parts for paper in (*part.listings, *part.backfill)]
    return {paper.ids[0]: paper for paper in found}


def no_titles(patch: pytest.MonkeyPatch) -> None:
    """Readers to whom every title is unreadable."""
    for name, module in list(sys.modules.items()):
        if name.startswith("digest.sources.") and hasattr(module, "clean_title"):
            patch.setattr(module, "clean_title", lambda _: "")


@each
def test_todays_reader_makes_of_what_was_kept_what_it_would_have_made_then(name: str) -> None:
    source, told = CASES[name]
    assert isinstance(source, Rereads)
    with pytest.MonkeyPatch.context() as patch:
        no_titles(patch)
        parts = told(source)
        assert papers_of(parts) == {}
    kept = {entry.raw for part in parts for entry in part.bad}
    again = [source.read_entry(raw) for raw in kept]
    read = {paper.ids[0]: paper for paper in again if isinstance(paper, Listing)}
    assert len(read) == len(kept) > 0
    wanted = papers_of(told(source))
    assert {id_: read.get(id_) for id_ in wanted} == wanted


def test_a_line_of_a_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "papers.jsonl"
    path.write_text(json.dumps({"id": "2509.00001", "title": "Größe"}))
    source = FileSource(spec("file", path=str(path)), WEB)
    with pytest.MonkeyPatch.context() as patch:
        no_titles(patch)
        (bad,) = fetched(source)[0].bad
    assert source.read_entry(bad.raw) == fetched(source)[0].listings[0]


@each
@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b"7", b"\xff", b'{"title": null}', b"<", b"<a/>", b"<!DOCTYPE a>"]
)
def test_what_is_still_unreadable_stays_with_its_reason(name: str, raw: bytes) -> None:
    source, _ = CASES[name]
    assert isinstance(source, Rereads)
    found = source.read_entry(raw)
    assert isinstance(found, BadEntry)
    assert found.raw == raw
    assert found.reason


@each
def test_what_was_too_long_to_be_kept_whole_says_so(name: str) -> None:
    source, _ = CASES[name]
    assert isinstance(source, Rereads)
    for begin in (b'{"title": "', b"<record>"):
        found = source.read_entry((begin + b"x" * MAX_RAW)[:MAX_RAW])
        assert isinstance(found, BadEntry)
        assert found.reason == "only its first 65,536 bytes were kept"
