"""A feed's bytes are read with care: what is no feed, cut off, or set to explode says so."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.model import Verdict
from digest.sources import document, rows
from digest.sources.entries import listing, listings

HEAD = "<?xml version='1.0' encoding='UTF-8'?>\n"


def rss(*items: str, head: str = HEAD) -> bytes:
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f"{head}<rss version='2.0'><channel><title>t</title>{inside}</channel></rss>".encode()


def test_a_feed_is_read() -> None:
    found = document.read(rss("<title>One</title>", "<title>Two</title>"))
    assert (found.verdict, found.message) == (Verdict.OK, "")
    assert [entry["title"] for entry in found.entries] == ["One", "Two"]


BILLION = rss(
    "<title>&c;</title>",
    head=HEAD
    + '<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>\n',
)


@pytest.mark.parametrize(
    "body",
    [
        BILLION,
        BILLION.decode().encode("utf-16"),
        BILLION.decode().encode("utf-16-le"),
        BILLION.replace(b"ENTITY", b"eNtItY").replace(b"DOCTYPE", b"doctype"),
        BILLION.replace(b"<!DOCTYPE", b"<!-- <rss> --><?x y?>\n<!DOCTYPE"),
    ],
)
def test_entities_are_refused_before_anything_expands_them(body: bytes) -> None:
    found = document.read(body)
    assert (found.verdict, found.entries) == (Verdict.PARSE_FAILED, ())
    assert "entities" in found.message


def test_a_feed_that_mixes_utf8_with_bytes_of_windows_is_read_as_both() -> None:
    body = rss("<title>Größe</title>", "<title>Caf@ – 3</title>").replace(b"@", b"\xe9")
    found = document.read(body, "application/xml")
    assert [entry["title"] for entry in found.entries] == ["Größe", "Café – 3"]
    assert found.message == "read as cp1252 where it is not utf-8"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("R & D in Q&A & more", "R & D in Q&A & more"),
        ("Q&amp;A, A&#38;B &eacute;", "Q&A, A&B é"),
        ("<![CDATA[R&D; Q&A]]> & <![CDATA[x&y]]>", "R&D; Q&A & x&y"),
    ],
)
def test_ampersands_that_nobody_escaped_are_ampersands(written: str, shown: str) -> None:
    (paper,), _ = listings(document.read(rss(f"<title>{written}</title>")).entries, listing)
    assert paper.title == shown


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<item/>" * 20_001, "more than 20,000 entries"),
        ("<atom:entry/>" * 20_001, "more than 20,000 entries"),
        ("<item>" + "<a/>" * 1_500_000 + "</item>", "more than 1,500,000 elements"),
    ],
)
def test_a_feed_with_too_much_in_it_to_be_held_is_refused_before_it_is_parsed(
    inside: str, said: str
) -> None:
    found = document.read(f"<rss version='2.0'><channel>{inside}</channel></rss>".encode())
    assert (found.verdict, found.entries) == (Verdict.PARSE_FAILED, ())
    assert found.message.startswith(said)


def test_json_with_too_much_in_it_to_be_held_is_refused_before_it_is_parsed() -> None:
    for crowd in ("[" + "{}," * 1_500_001 + "{}]", "[" * 1_500_001, '{"a":' * 1_000_000):
        with pytest.raises(ValueError, match="more than 1,500,000 values"):
            rows.loaded(crowd)


def test_entries_beyond_the_bound_are_counted_and_not_looked_at() -> None:
    good, bad = listings([{"title": f"Paper {n}"} for n in range(20_005)], listing)
    assert len(good) == 20_000
    assert [entry.reason for entry in bad] == ["5 more than 20,000 entries were not looked at"]


def test_a_plain_doctype_is_harmless() -> None:
    old = '<!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "http://x.org/rss.dtd">\n'
    assert document.read(rss("<title>One</title>", head=HEAD + old)).ok


def test_a_paper_about_entities_is_harmless() -> None:
    found = document.read(rss("<title><![CDATA[How <!ENTITY x> works]]></title>"))
    assert found.ok


NO_FEEDS = {
    b"": "an empty answer",
    b" \n\t": "an empty answer",
    b"<!doctype html><title>Wait\n a bit...</title>": 'a web page "Wait a bit...", not a feed',
    b"<html><body>hi": "a web page, not a feed",
    b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>": "a web page, not a feed",
    b"\xef\xbb\xbf <!-- c --> <!DOCTYPE HTML>": "a web page, not a feed",
    b'{"error": "no"}': "not a feed: it begins with",
    b"<opml><body/></opml>": "not a feed: it begins with",
    b"\x89PNG\r\n\x1a\n": "not a feed: it begins with",
    b"/etc/passwd": "not a feed: it begins with",
}


@pytest.mark.parametrize(("body", "reason"), NO_FEEDS.items())
def test_what_is_no_feed_says_what_it_is(body: bytes, reason: str) -> None:
    found = document.read(body, "application/rss+xml")
    assert found.verdict is Verdict.PARSE_FAILED
    assert reason in found.message


def test_an_error_in_the_shape_of_a_feed_is_an_error() -> None:
    said = b"<title>Feed error for query: cs.XX</title><description>Bad archive</description>"
    body = b"<rss version='2.0'><channel>" + said + b"</channel></rss>"
    found = document.read(body)
    assert (found.verdict, found.message) == (
        Verdict.HTTP_ERROR,
        "Feed error for query: cs.XX: Bad archive",
    )


def test_of_a_feed_that_was_cut_off_the_whole_entries_count() -> None:
    whole = rss("<title>One</title>", "<title>Two</title><description>long</description>")
    found = document.read(whole[: whole.index(b"long") + 2])
    assert found.verdict is Verdict.PARSE_FAILED
    assert "cut off after 1 whole" in found.message
    assert [entry["title"] for entry in found.entries] == ["One"]


def test_a_feed_that_is_not_well_formed_but_whole_is_read_leniently() -> None:
    found = document.read(rss("<title>One &nbsp; & two</title>"))
    assert found.ok
    assert "not well-formed" in found.message
    assert len(found.entries) == 1


def test_nul_and_controls_do_not_cost_the_feed() -> None:
    found = document.read(rss("<title>O\x00n\x08e</title>"))
    assert (found.message, found.entries[0]["title"]) == ("", "One")


ENCODINGS = [
    ("utf-8", "", "text/xml", "Schrödinger"),
    ("utf-8", "", "text/xml; charset=iso-8859-1", "Schrödinger"),
    ("latin-1", "UTF-8", "application/rss+xml", "Schrödinger"),
    ("latin-1", "iso-8859-1", "", "Schrödinger"),
    ("cp1251", "windows-1251", "", "Шрёдингер"),
    ("cp1251", "UTF-8", "text/xml; charset=windows-1251", "Шрёдингер"),
    ("utf-16", "utf-16", "", "Schrödinger 字"),
    ("utf-8-sig", "utf-8", "", "Schrödinger 字"),
    ("shift_jis", "Shift_JIS", "", "シュレディンガー"),
    ("latin-1", "idna", "text/xml; charset=zip", "Schrödinger"),
]


@pytest.mark.parametrize(("real", "declared", "content_type", "title"), ENCODINGS)
def test_the_encoding_is_found_whatever_is_declared(
    real: str, declared: str, content_type: str, title: str
) -> None:
    said = f' encoding="{declared}"' if declared else ""
    text = rss(f"<title>{title}</title>", head=f"<?xml version='1.0'{said}?>\n").decode()
    found = document.read(text.encode(real), content_type)
    assert found.verdict is Verdict.OK
    assert found.entries[0]["title"] == title


def test_relative_links_are_resolved() -> None:
    body = rss("<title>One</title><link>/papers/1</link>")
    found = document.read(body, "", "https://journal.example/feed.xml")
    assert found.entries[0]["link"] == "https://journal.example/papers/1"


OWN = rss(
    "<title>A &lt;i&gt;b&lt;/i&gt;</title><link>https://x.org/1</link><guid>a</guid>"
    "<description>arXiv:2410.16794v2 Announce Type: new\nAbstract: $x$</description>"
    "<pubDate>Mon, 15 Sep 2025 00:00:00 -0400</pubDate>"
)
changes = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=6000),
        st.integers(min_value=0, max_value=60),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from([b"<!ENTITY", b"]]>", b"<![CDATA[", b"&#x0;", b"&", b"<", b"\xff\xfe"]),
        ),
    ),
    max_size=6,
)


def survives(body: bytes, damage: list[tuple[int, int, bytes]], content_type: str) -> None:
    for at, gone, put in damage:
        body = body[:at] + put + body[at + gone :]
    found = document.read(body, content_type)
    papers, bad = listings(found.entries, listing)
    assert len(papers) + len(bad) <= len(found.entries)
    assert found.ok or found.message


@given(changes, st.sampled_from(["", "text/xml; charset=utf-16"]))
@settings(deadline=None)
def test_a_damaged_feed_is_read_or_refused_and_never_raises(
    damage: list[tuple[int, int, bytes]], content_type: str
) -> None:
    survives(OWN, damage, content_type)


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_real_feeds_are_read_or_refused_and_never_raise(
    shared: Path, data: st.DataObject
) -> None:
    feeds = sorted((shared / "data/feeds").glob("*.xml"))
    body = data.draw(st.sampled_from(feeds)).read_bytes()[:6000]
    survives(body, data.draw(changes), "")


def test_what_is_long_must_be_well_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LENIENT", 100)
    assert document.read(rss("<title>One</title>")).ok
    found = document.read(rss("<title>One & two</title>"))
    assert found.verdict is Verdict.PARSE_FAILED
    assert "too long to be read leniently" in found.message


def test_a_long_feed_is_read_in_linear_time(shared: Path) -> None:
    with gzip.open(shared / "data/arxiv/2025-09.jsonl.gz", "rt", encoding="utf-8") as lines:
        text = next(lines)[:1500].replace("&", "").replace("<", "")
    found = document.read(rss(*[f"<title>{n} {text}</title>" for n in range(500)]))
    assert len(found.entries) == 500
