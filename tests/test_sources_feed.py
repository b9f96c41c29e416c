"""Kind `feed`: any RSS, Atom or RDF, field by field."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from replaying import fetch, no_web, noon, spec, web_of

from digest.errors import ConfigError
from digest.model import Announce, Fetched, Listing, Verdict
from digest.sources.feed import FeedSource

URL = "https://feeds.example/rss"
NOW = noon("2025-09-15")


def feed_of(body: bytes, content_type: str = "application/xml", **headers: str) -> FeedSource:
    def handler(request: httpx.Request) -> httpx.Response:
        if headers.get("etag") and request.headers.get("if-none-match") == headers["etag"]:
            return httpx.Response(304)
        return httpx.Response(200, content=body, headers={"content-type": content_type, **headers})

    return FeedSource(spec(url=URL), web_of(handler))


def shown(body: bytes) -> tuple[Listing, ...]:
    return fetch(feed_of(body), NOW).listings


def rss(*items: str) -> bytes:
    inside = "".join(f"<item>{item}</item>" for item in items)
    names = (
        'xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:prism="http://prismstandard.org/namespaces/basic/2.0/" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    )
    return f"<rss version='2.0' {names}><channel><title>t</title>{inside}</channel></rss>".encode()


def test_arxivs_atom_feed_is_read_field_by_field(shared: Path) -> None:
    papers = shown((shared / "data/feeds/arxiv_atom.xml").read_bytes())
    first, last = papers[0], papers[-1]
    assert len(papers) == 7
    assert first.ids[0] == "arxiv:2508.13426"
    assert first.title == (
        "ALIGN: Word Association Learning for Cross-Cultural Generalization "
        "in Large Language Models"
    )
    assert first.abstract.startswith("As large language models (LLMs) increasingly mediate")
    assert first.authors == ("Chunhua Liu", "Kabir Manandhar Shrestha", "Sukai Huang")
    assert first.categories == ("cs.CL", "cs.AI")
    assert first.published == date(2025, 8, 20)
    assert (first.version, first.announce) == (1, Announce.CROSS)
    assert dict(first.links) == {
        "abs": "https://arxiv.org/abs/2508.13426",
        "pdf": "https://arxiv.org/pdf/2508.13426",
    }
    assert last.abstract == (
        "We study reward shaping techniques in cooperative multi-agent settings."
    )
    assert last.authors == ("Carol White", "Dave Brown")
    assert last.announce is Announce.NEW


def test_arxivs_api_is_read_field_by_field(shared: Path) -> None:
    papers = shown((shared / "data/feeds/arxiv_api.xml").read_bytes())
    first = papers[0]
    assert len(papers) == 5
    assert first.ids[0] == "arxiv:2606.13677"
    assert first.title == "Mana: Dexterous Manipulation of Articulated Tools"
    assert first.abstract.startswith("Articulated tool manipulation remains a major challenge")
    assert "(<1 minute per tool)" in first.abstract
    assert first.authors == ("Zhao-Heng Yin", "Guanya Shi", "Pieter Abbeel", "C. Karen Liu")
    assert first.categories == ("cs.RO", "cs.AI", "cs.CV", "cs.LG")
    assert (first.published, first.version) == (date(2026, 6, 11), 1)


def test_biorxivs_rdf_is_read_field_by_field(shared: Path) -> None:
    (paper,) = shown((shared / "data/feeds/biorxiv_rdf.xml").read_bytes())
    assert paper.ids[0] == "doi:10.1101/857789"
    assert paper.title == (
        "Microscale Collagen and Fibroblast Interactions Enhance Primary Human Hepatocyte "
        "Functions in 3-Dimensional Models"
    )
    assert paper.abstract.startswith("Human liver models that are 3-dimensional (3D) in arch")
    assert paper.authors == ("D. Kukla", "A. Crampton", "D. Wood", "S. Khetani")
    assert (paper.published, paper.version) == (date(2019, 11, 29), 1)
    assert paper.links["abs"] == "http://biorxiv.org/cgi/content/short/857789v1?rss=1"


def test_a_journals_doi_is_found_where_publishers_put_it() -> None:
    (paper,) = shown(
        rss(
            "<title>A study of things at length</title><link>https://journal.example/1</link>"
            "<prism:doi>10.1038/S41586-024-0001-1</prism:doi><dc:creator>Jane Doe</dc:creator>"
            "<dc:creator>Bo Xu</dc:creator><description>Abstract</description>"
        )
    )
    assert paper.ids[0] == "doi:10.1038/s41586-024-0001-1"
    assert paper.authors == ("Jane Doe", "Bo Xu")
    assert paper.abstract == ""
    assert paper.links == {"abs": "https://journal.example/1"}


def test_a_paper_without_any_id_gets_one_that_stays_the_same() -> None:
    item = "<title>A study of things at length</title><dc:creator>Doe, J.</dc:creator>"
    other = "<title>A Study of Things, at Length.</title><dc:creator>Jane Doe</dc:creator>"
    (paper,) = shown(rss(item))
    assert paper.ids[0].startswith("sha:")
    assert paper.ids == shown(rss(other))[0].ids


def test_one_guid_for_every_entry_does_not_make_them_one_work() -> None:
    guid = "<guid>https://journal.example/</guid>"
    papers = shown(rss(f"<title>First of two papers</title>{guid}", f"<title>Other</title>{guid}"))
    assert [paper.title for paper in papers] == ["First of two papers", "Other"]


def test_an_entry_that_cannot_be_read_costs_no_other() -> None:
    fetched = fetch(feed_of(rss("<title>Good</title>", "<link>https://x.org/2</link>")), NOW)
    (bad,) = fetched.bad
    assert [paper.title for paper in fetched.listings] == ["Good"]
    assert (fetched.verdict, bad.reason) == (Verdict.OK, "has no title")
    assert b"https://x.org/2" in bad.raw


def test_hostile_links_are_not_kept() -> None:
    (paper,) = shown(rss("<title>Bad</title><link>javascript:alert(1)</link>"))
    assert paper.links == {}


def test_the_longer_of_summary_and_content_is_the_abstract() -> None:
    (paper,) = shown(
        rss(
            "<title>T</title><description>Short.</description>"
            "<content:encoded>&lt;p&gt;The whole abstract.&lt;/p&gt;</content:encoded>"
        )
    )
    assert paper.abstract == "The whole abstract."


# ------------------------------------------------------------------ verdicts

ONE = rss("<title>One paper of this feed</title><link>https://x.org/1</link>")
TWO = rss(
    "<title>Another paper of this feed</title><link>https://x.org/2</link>",
    "<title>One paper of this feed</title><link>https://x.org/1</link>",
)


def twice(first: bytes, second: bytes, later: timedelta = timedelta(hours=1)) -> Fetched:
    cursor = fetch(feed_of(first), NOW).cursor
    return fetch(feed_of(second), NOW + later, cursor)


def test_new_papers_are_ok_and_the_same_again_is_quiet() -> None:
    assert fetch(feed_of(ONE), NOW).verdict is Verdict.OK
    assert twice(ONE, ONE).verdict is Verdict.QUIET
    assert twice(ONE, TWO).verdict is Verdict.OK


def test_what_did_not_change_is_not_modified() -> None:
    source = feed_of(ONE, etag='"1"')
    cursor = fetch(source, NOW).cursor
    again = fetch(source, NOW, cursor)
    assert (again.verdict, again.cursor) == (Verdict.NOT_MODIFIED, cursor)


def test_nothing_new_for_two_months_is_stale() -> None:
    assert twice(ONE, ONE, timedelta(days=59)).verdict is Verdict.QUIET
    stale = twice(ONE, ONE, timedelta(days=61))
    assert stale.verdict is Verdict.STALE
    assert "61 days" in stale.message


def test_a_feed_without_entries_is_empty() -> None:
    assert fetch(feed_of(rss()), NOW).verdict is Verdict.EMPTY


def test_a_failure_leaves_the_cursor_as_it_was() -> None:
    cursor = {"etag": '"1"', "seen": "doi:10.1/x", "changed": "2025-09-01"}
    failed = fetch(feed_of(b"<html>"), NOW, cursor)
    assert (failed.verdict, failed.cursor) == (Verdict.PARSE_FAILED, cursor)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, "source feed: url: is missing"),
        ({"url": "x.org/feed"}, "source feed: url: must begin with http"),
        ({"url": URL, "urll": 1}, "source feed: urll: unknown key; feed takes url"),
    ],
)
def test_wrong_options_name_source_and_key(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        FeedSource(spec(**options), no_web())


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        FeedSource(spec(uri="x", kategory="y"), no_web())
    assert len(error.value.faults) == 3


def test_dates_that_are_none_are_left_out() -> None:
    (paper,) = shown(rss("<title>T</title><pubDate>soon</pubDate>"))
    assert paper.published is None
