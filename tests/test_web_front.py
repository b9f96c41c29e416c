"""The front page, errors, headers and health: what anyone may see."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from letters import sample
from visiting import HOUR, NOW, SITE, URL, dump, parts, remember, text_of, visitor

from digest.errors import RenderError
from digest.store import Database
from digest.web import create_site

DAY = timedelta(days=1)


def test_the_front_page_asks_to_subscribe(sqlite: Database) -> None:
    page = visitor(sqlite).get("/")
    assert page.status_code == 200
    assert "Get trending papers in your email inbox!" in text_of(page)
    assert 'action="/subscribe"' in page.text


def test_the_front_page_shows_what_is_trending_most_voted_first(sqlite: Database) -> None:
    remember(sqlite, "Best", "Second", votes=20)
    said = text_of(visitor(sqlite).get("/"))
    assert "Trending today" in said
    assert said.index("Best") < said.index("Second")
    assert "20 upvotes" in said


def test_votes_of_last_week_are_not_trending_today(sqlite: Database) -> None:
    remember(sqlite, "Old", at=NOW - 7 * DAY, votes=20)
    assert "Newest papers" in text_of(visitor(sqlite).get("/"))


def test_without_votes_the_newest_papers_are_shown_newest_first(sqlite: Database) -> None:
    remember(sqlite, "Earlier", at=NOW - 5 * HOUR)
    with sqlite.writing() as tx:
        from digest.model import Listing
        from digest.store import papers

        papers.remember(tx, "rss", [Listing(ids=("doi:10.1/x",), title="Later")], NOW - HOUR)
    said = text_of(visitor(sqlite).get("/"))
    assert "Newest papers" in said
    assert said.index("Later") < said.index("Earlier")


def test_before_the_first_paper_the_front_page_says_so(sqlite: Database) -> None:
    assert "No papers have come in yet" in text_of(visitor(sqlite).get("/"))


HOSTILE = (
    "<script>alert(1)</script>",
    "quotes \" and ' and & here",
    "שלום עולם, a title from right to left",
    "x" * 400,
    "NUL \x00 and bell \x07",
    "{{ 7 * 7 }}",
)


def test_hostile_titles_are_only_text(sqlite: Database) -> None:
    remember(sqlite, *HOSTILE, votes=50)
    page = visitor(sqlite).get("/")
    assert "<script>alert" not in page.text
    assert "{{ 7 * 7 }}" in text_of(page)
    assert "\x00" not in page.text


def test_a_link_that_is_no_web_address_is_not_a_link(sqlite: Database) -> None:
    from digest.model import Listing
    from digest.store import papers

    bad = Listing(ids=("x:1",), title="Bait", links={"page": "javascript:alert(1)"})
    with sqlite.writing() as tx:
        papers.remember(tx, "feed", [bad], NOW - HOUR)
    assert "javascript:" not in visitor(sqlite).get("/").text


# ------------------------------------------------------------------ headers

PATHS = ("/", "/nowhere", "/healthz", "/readyz", "/site.css", "/u/forged", "/subscribe")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_guarded(sqlite: Database, path: str) -> None:
    headers = visitor(sqlite).get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in headers


def test_a_secure_site_stays_secure(sqlite: Database) -> None:
    assert "strict-transport-security" in visitor(sqlite).get("/").headers


def test_a_plain_site_asks_for_no_tls(sqlite: Database) -> None:
    from dataclasses import replace

    plain = replace(SITE, url="http://127.0.0.1:8080")
    page = visitor(sqlite, site=plain).get("/")
    assert "strict-transport-security" not in page.headers


def test_the_front_page_may_be_kept_for_a_minute_and_its_sheet_for_ever(sqlite: Database) -> None:
    site = visitor(sqlite)
    assert "max-age=60" in site.get("/").headers["cache-control"]
    assert "immutable" in site.get("/site.css").headers["cache-control"]
    assert site.get("/nowhere").headers["cache-control"] == "no-store"


def test_a_page_has_no_script_or_style_in_its_text(sqlite: Database) -> None:
    page = visitor(sqlite).get("/").text
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick" not in page


def test_a_site_below_a_path_links_below_it(sqlite: Database) -> None:
    from dataclasses import replace

    site = visitor(sqlite, site=replace(SITE, url=f"{URL}/digest"))
    stripped, whole = site.get("/"), site.get("/digest/")
    assert 'action="/digest/subscribe"' in stripped.text
    assert stripped.text == whole.text
    assert site.get("/digest/site.css").status_code == 200


# ------------------------------------------------------------------ errors


def test_an_unknown_page_is_a_page_of_ours(sqlite: Database) -> None:
    page = visitor(sqlite).get("/nowhere")
    assert page.status_code == 404
    assert "There is no such page" in text_of(page)


def test_a_wrong_method_is_refused_by_name(sqlite: Database) -> None:
    page = visitor(sqlite).ask("DELETE", "/")
    assert page.status_code == 405
    assert "GET" in page.headers["allow"]
    assert "That does not work here" in text_of(page)


def test_no_address_is_redirected(sqlite: Database) -> None:
    assert visitor(sqlite).get("/healthz/").status_code == 404


def test_a_database_that_is_gone_is_a_short_rest(sqlite: Database) -> None:
    with sqlite.writing() as tx:
        tx.exec_driver_sql("DROP TABLE revisions")
    page = visitor(sqlite).get("/")
    assert (page.status_code, page.headers["retry-after"]) == (503, "60")
    assert "Nothing was half done" in text_of(page)


def test_a_bug_shows_neither_traceback_nor_what_was_typed(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def broken_clock() -> None:
        raise RuntimeError("token=SECRET address=ada@example.org")

    page = visitor(sqlite, clock=broken_clock).get("/?who=ada@example.org")
    assert page.status_code == 500
    assert "It is our fault" in text_of(page)
    assert "RuntimeError" not in page.text
    assert "RuntimeError" in caplog.text
    assert "front.py" in caplog.text
    assert "SECRET" not in caplog.text
    assert "ada@" not in caplog.text


# ------------------------------------------------------------------ health


def test_healthz_answers_without_a_database(sqlite: Database) -> None:
    site = visitor(sqlite)
    with sqlite.writing() as tx:
        tx.exec_driver_sql("DROP TABLE alembic_version")
    assert (site.get("/healthz").status_code, site.get("/healthz").text) == (200, "ok\n")


def test_readyz_names_each_check(sqlite: Database) -> None:
    answer = visitor(sqlite).get("/readyz")
    checks = {"database": "ok", "templates": "ok", "secret": "ok"}
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "checks": checks})


def test_a_database_behind_its_migrations_is_not_ready(sqlite: Database) -> None:
    sqlite.downgrade("base")
    answer = visitor(sqlite).get("/readyz")
    assert answer.status_code == 503
    assert "digest db upgrade" in answer.json()["checks"]["database"]


def test_a_database_that_cannot_be_reached_is_not_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.db").write_bytes(b"this is no database" * 100)
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    answer = visitor(db).get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert str(tmp_path) not in answer.text
    assert "x.db" in caplog.text
    db.dispose()


def test_a_check_of_the_house_can_say_not_ready(sqlite: Database) -> None:
    answer = visitor(sqlite, checks={"disk": lambda: "full"}).get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["disk"]) == (503, "full")


def test_a_check_that_fails_says_not_ready(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    answer = visitor(sqlite, checks={"disk": lambda: 1 / 0}).get("/readyz")
    assert answer.json()["checks"]["disk"] == "failed; see the log"
    assert "ZeroDivisionError" in caplog.text


# ------------------------------------------------------------------ templates


def test_a_site_may_bring_its_own_pages(sqlite: Database, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "message.html").write_text("<p>Ours: {{ heading }}</p>")
    page = visitor(sqlite, templates=tmp_path).get("/nowhere")
    assert page.text == "<p>Ours: There is no such page</p>"


def test_a_page_that_cannot_be_read_ends_the_start(sqlite: Database, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "front.html").write_text("{% if %}")
    with pytest.raises(RenderError, match=r"web/front\.html"):
        create_site(parts(sqlite, templates=tmp_path))


def test_looking_at_public_pages_changes_nothing(sqlite: Database) -> None:
    remember(sqlite, "One", votes=3)
    before, site = dump(sqlite), visitor(sqlite)
    for method in ("GET", "HEAD"):
        for path in PATHS:
            site.ask(method, path)
    assert before == dump(sqlite)


def test_the_picture_of_the_front_page_shows_what_is_trending_in_our_sample(tmp_path: Path) -> None:
    page = sample.front_page(tmp_path)
    assert "Trending today" in page
    assert page.count('class="paper"') == 10
    assert "stylesheet" not in page  # one file, to be opened anywhere
