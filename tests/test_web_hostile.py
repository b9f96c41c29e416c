"""Whatever is posted, the site answers with a page, breaks nothing and tells no secret."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from visiting import PAGES, Visitor, dump, link, parts, reader, remember

from digest.links import Purpose
from digest.store import Database
from digest.web import create_site
from digest.web.forms import clean, lines
from digest.web.limits import Limiter
from digest.web.parts import House
from digest.web.site import _routes

MANY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = ("email", "interests", "authors", "frequency", "hour", "zone", "weekday", "monthday")
OTHERS = ("act", "text", "until", "budget", "paper", "say", "website", "List-Unsubscribe")
BAD_TEXT = st.one_of(
    st.text(max_size=80),
    st.text("\x00\r\n\t\x1f\x7f\u2028\ufeff<>&'\"{}%", max_size=40),
    st.sampled_from(
        ["x" * 30_000, "a@b.cd\r\nBcc: e@f.gh", "'; DROP TABLE papers; --", "../..", "["]
    ),
)
FORMS = st.dictionaries(st.sampled_from(NAMES + OTHERS) | st.text(max_size=9), BAD_TEXT, max_size=9)
KINDS = st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data; boundary=x; charset=unicode_escape",
        "multipart/form-data; boundary=x; charset=idna",
        "multipart/form-data",
        "application/json",
        "text/plain; charset=utf-16",
        "\x00",
        "",
    ]
)


@pytest.fixture
def town(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Visitor, list[str]]]:
    """A visitor who is never slowed down, and every address a form may be posted to."""
    monkeypatch.setattr(Limiter, "wait", lambda *_: 0)
    remember(sqlite, "Graphs", votes=3)
    ada, leaver = reader(sqlite), reader(sqlite, "leaver@example.org")
    ways = [link(purpose, ada.key) for purpose in (Purpose.CONFIRM, Purpose.PREFERENCES)]
    ways += [link(Purpose.FEEDBACK, ada.key), link(Purpose.UNSUBSCRIBE, leaver.key), "/subscribe"]
    yield Visitor(create_site(parts(sqlite), PAGES)), ways


FINE = {200, 400, 404, 405, 413, 422}


def check(site: Visitor, way: str, body: bytes, kind: str) -> None:
    page = site.ask("POST", way, content=body, headers={"content-type": kind} if kind else {})
    assert page.status_code in FINE
    assert "Traceback" not in page.text
    assert "\x00" not in page.text
    assert "content-security-policy" in page.headers


@MANY
@given(form=FORMS, which=st.integers(0, 4))
def test_any_form_gets_a_page(
    town: tuple[Visitor, list[str]], form: dict[str, str], which: int
) -> None:
    site, ways = town
    values = {
        key.encode("utf-8", "replace"): v.encode("utf-8", "replace") for key, v in form.items()
    }
    check(site, ways[which], urlencode(values).encode(), "application/x-www-form-urlencoded")


@MANY
@given(body=st.binary(max_size=200), kind=KINDS, which=st.integers(0, 4))
def test_any_bytes_get_a_page(
    town: tuple[Visitor, list[str]], body: bytes, kind: str, which: int
) -> None:
    site, ways = town
    check(site, ways[which], body, kind)


@MANY
@given(value=st.binary(max_size=60), kind=KINDS, which=st.integers(0, 4))
def test_any_part_of_a_multipart_body_gets_a_page(
    town: tuple[Visitor, list[str]], value: bytes, kind: str, which: int
) -> None:
    site, ways = town
    head = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\n'
    check(site, ways[which], head + value + b"\r\n--x--\r\n", kind)


@MANY
@given(
    path=st.text(string.printable + "é\u2028", max_size=60), method=st.sampled_from(["GET", "POST"])
)
def test_any_address_gets_a_page(town: tuple[Visitor, list[str]], path: str, method: str) -> None:
    site, _ = town
    for way in (f"/{path}", f"/u/{path}", f"/c/{path}", f"/f/x?paper={path}&more"):
        try:
            page = site.ask(method, way)
        except Exception as error:  # what no client would send either
            assert type(error).__module__.startswith(("httpx", "idna"))
            continue
        assert page.status_code in FINE


@given(st.text())
def test_cleaned_text_has_no_controls_and_is_clean_for_good(text: str) -> None:
    found = clean(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in found)
    assert found == clean(found)
    found.encode("utf-8")


@given(st.text())
def test_lines_are_trimmed_distinct_and_not_empty(text: str) -> None:
    found = lines(clean(text))
    assert all(line == line.strip() and line for line in found)
    assert len(found) == len(set(found))


def test_no_route_changes_anything_by_get_or_head(sqlite: Database, tmp_path: Path) -> None:
    ada = reader(sqlite)
    remember(sqlite, "Graphs", votes=3)
    site = create_site(parts(sqlite), PAGES)
    routes = [route for route in site.routes if isinstance(route, Route)]
    asked = 0
    before = dump(sqlite)
    for route in routes:
        path = route.path.replace("{provider}", "mailgun")
        if "{token}" in path:
            purpose = Purpose(path.split("/")[1])
            path = path.replace("{token}", parts(sqlite).links.token(purpose, ada.key))
        for method in ("GET", "HEAD"):
            for tail in (
                "",
                "?paper=arxiv:2603.10000&more&say=more&follow=Lovelace, Ada&mute=Graphs",
                "?List-Unsubscribe=One-Click",
            ):
                asked += Visitor(site).ask(method, path + tail).status_code != 500
    assert asked == len(routes) * 6
    assert before == dump(sqlite)


def test_every_route_that_acts_is_a_post(sqlite: Database) -> None:
    house = House(parts(sqlite), PAGES)
    for route in _routes(house):
        methods = route.methods or set()
        assert methods in ({"GET", "HEAD"}, {"POST"})
        acts = methods == {"POST"}
        name = getattr(route.endpoint, "func", route.endpoint).__name__
        looks = name in {"show", "healthz", "readyz", "_asset"}
        assert acts != looks, route.path
