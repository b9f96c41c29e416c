"""Real answers, damaged in every way that a network or a careless server can: nothing raises."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replaying import fetch, noon, spec, web_of

from digest.sources.arxiv import ArxivSource
from digest.sources.feed import FeedSource
from digest.sources.huggingface import HuggingFaceSource

NOW = noon("2025-09-15")
MIRROR = "https://mirror.example"
FILES = ("arxiv_api.xml", "arxiv_atom.xml", "biorxiv_rdf.xml", "hf_daily_papers.json")
NIGHTLY = settings().max_examples > 1000

GAMES = [
    b'<!DOCTYPE r [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
    b"<!DOCTYPE r SYSTEM 'file:///etc/passwd'>",
    b"&b;&b;&a;",
    b"&#0;&#xD800;&#x110000;&#999999999999;",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"<?xml version='1.0' encoding='utf-7'?>",
    b"<entry><entry><entry>",
    b"</entry></item>",
    b"<title>" + b"<b>" * 300,
    b"\\frac{" * 200,
    b"\x00\x01\x02",
    b"\xff\xfe",
    b"\xc3\x28",
    b'","',
    b"[[[[{{{{",
    b"null",
    b"-1e999",
    b'"\\ud800"',
    b"2025-99-99T99:99:99Z",
    b"xml:base='http://[::1'",
]
place = st.integers(0, 2**20)
damage = st.one_of(
    st.tuples(st.just("cut"), place, st.integers(1, 3000)),
    st.tuples(st.just("end"), place, st.just(0)),
    st.tuples(st.just("flip"), place, st.integers(1, 255)),
    st.tuples(st.just("twice"), place, st.integers(1, 3000)),
    st.tuples(st.just("put"), place, st.sampled_from(GAMES) | st.binary(max_size=12)),
    st.tuples(
        st.just("code"), st.just(0), st.sampled_from(["utf-16", "utf-32", "cp1252", "koi8-r"])
    ),
)


@cache
def real(shared: Path, name: str) -> bytes:
    """The first entries of a real answer: what is long is slow and no more telling."""
    body = (shared / "data" / "feeds" / name).read_bytes()
    return json.dumps(json.loads(body)[:3]).encode() if name.endswith("json") else body


def damaged(body: bytes, kind: str, at: int, how: Any) -> bytes:
    at %= len(body) or 1
    if kind == "cut":
        return body[:at] + body[at + how :]
    if kind == "end":
        return body[:at]
    if kind == "flip":
        return body[:at] + bytes([body[at] ^ how]) + body[at + 1 :] if body else body
    if kind == "twice":
        return body[: at + how] + body[at:]
    if kind == "put":
        return body[:at] + how + body[at:]
    return body.decode("utf-8", "replace").encode(how, "replace")


@given(
    st.sampled_from(FILES),
    st.lists(damage, min_size=1, max_size=5),
    st.sampled_from(["", "text/html", "application/xml; charset=utf-16", "x; charset=nonsense"]),
)
@settings(
    deadline=None,
    max_examples=10_000 if NIGHTLY else 60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_damage_to_a_real_answer_makes_a_source_raise(
    shared: Path, name: str, damages: list[tuple[str, int, Any]], content_type: str
) -> None:
    body = real(shared, name)
    for kind, at, how in damages:
        body = damaged(body, kind, at, how)
    web = web_of(
        lambda _: httpx.Response(200, content=body, headers={"content-type": content_type})
    )
    base = {"base_url": MIRROR}
    for source in (
        FeedSource(spec("feed", url=f"{MIRROR}/rss"), web),
        HuggingFaceSource(spec("huggingface", **base), web)
        if name.endswith("json")
        else ArxivSource(spec("arxiv", categories=["cs.LG"], **base), web),
    ):
        found = fetch(source, NOW)
        assert found.verdict.healthy or found.message
        assert all(paper.title and paper.ids for paper in (*found.listings, *found.backfill))
        assert all(entry.reason for entry in found.bad)
