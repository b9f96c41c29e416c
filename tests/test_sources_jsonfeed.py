"""Kind `feed` reads JSON Feed 1.0 and 1.1 as it reads RSS."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replaying import fetch, noon, spec, web_of

from digest.model import Fetched, Verdict
from digest.sources.feed import FeedSource

NOW = noon("2025-09-15")
ITEM: dict[str, Any] = {
    "id": "https://journal.example/7",
    "url": "https://journal.example/7",
    "title": "On H<sub>2</sub>O &amp; light",
    "content_html": "<p>We shine light on <em>water</em>, at length.</p>",
    "summary": "We shine light.",
    "date_published": "2025-09-12T23:30:00-05:00",
    "authors": [{"name": "Ines Falk", "url": "https://x.example"}, {"name": "Xu, Bo"}, {}],
    "tags": ["optics", "water", 3],
}


def read(body: bytes | dict[str, Any]) -> Fetched:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    source = FeedSource(
        spec(url="https://journal.example/feed.json"),
        web_of(lambda request: httpx.Response(200, content=raw)),
    )
    return fetch(source, NOW)


def feed(*items: object, version: object = "https://jsonfeed.org/version/1.1") -> dict[str, Any]:
    return {"version": version, "title": "t", "items": list(items)}


def test_an_item_is_read_field_by_field() -> None:
    fetched = read(feed(ITEM))
    (paper,) = fetched.listings
    assert (fetched.verdict, fetched.message, fetched.bad) == (Verdict.OK, "", ())
    assert paper.title == "On H₂O & light"
    assert paper.abstract == "We shine light on water, at length."
    assert paper.authors == ("Ines Falk", "Bo Xu")
    assert paper.categories == ("optics", "water")
    assert paper.published == date(2025, 9, 12)
    assert paper.links == {"abs": "https://journal.example/7"}


def test_version_one_has_one_author_and_a_mark_is_no_harm() -> None:
    old = {**ITEM, "author": {"name": "Ida Roe"}}
    del old["authors"]
    body = json.dumps(feed(old, version="https://jsonfeed.org/version/1"))
    (paper,) = read(b"\xef\xbb\xbf \n" + body.encode()).listings
    assert paper.authors == ("Ida Roe",)


def test_the_work_that_a_link_blog_writes_of_is_the_work() -> None:
    (paper,) = read(feed({**ITEM, "external_url": "https://doi.org/10.5555/Light.7"})).listings
    assert paper.ids[0] == "doi:10.5555/light.7"


def test_an_item_that_cannot_be_read_costs_no_other() -> None:
    fetched = read(feed({"id": 3}, "oops", None, ITEM))
    assert len(fetched.listings) == 1
    assert [bad.reason for bad in fetched.bad] == ["has no title", *["is no JSON object"] * 2]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"items": []}', "does not say it is a JSON Feed"),
        (b'{"version": 1.1, "items": []}', "does not say it is a JSON Feed"),
        (json.dumps(feed(version="https://jsonfeed.org/version/2")).encode(), "JSON Feed 1"),
        (b'{"version": "https://jsonfeed.org/version/1.1", "items": {}}', "without items"),
        (json.dumps(feed(ITEM)).encode()[:200], "is no JSON"),
        (b'{"a":' * 100_000, "is no JSON"),
        (b"{" + b"\x00" * 20, "is no JSON"),
    ],
)
def test_what_is_no_json_feed_says_so(body: bytes, said: str) -> None:
    fetched = read(body)
    assert fetched.verdict is Verdict.PARSE_FAILED
    assert said in fetched.message


def test_bytes_that_are_not_utf_8_are_read_all_the_same() -> None:
    body = json.dumps(feed({**ITEM, "title": "Größe"}), ensure_ascii=False).encode("latin-1")
    assert read(body).listings[0].title == "Größe"


def test_a_json_feed_without_items_is_empty() -> None:
    assert read(feed()).verdict is Verdict.EMPTY


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ITEM]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*ITEM, "author", "external_url"]), anything))
@settings(deadline=None, max_examples=40)
def test_no_value_of_an_item_makes_it_raise(changed: dict[str, Any]) -> None:
    fetched = read(feed({**ITEM, **changed}))
    assert len(fetched.listings) + len(fetched.bad) == 1
