"""`digest run`, `publish`, `deliver`, `edition`, `delivery`: what goes out, and what does not."""

from __future__ import annotations

import sqlite3
from email import message_from_string, policy
from functools import partial
from pathlib import Path

import pytest
from commanding import ADA, HOUR, MONDAY, Site, with_ada, with_papers

from digest.deliver import Policy
from digest.store import Database

DAY = 24 * HOUR


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return with_ada(with_papers(Site(tmp_path)))


def settle(site: Site, state: str, reason: str = "") -> None:
    """The one letter there is ended like this."""
    with sqlite3.connect(site.folder / "digest.db") as tx:
        tx.execute("UPDATE deliveries SET state = ?, reason = ?", (state, reason or None))
    tx.close()


# ---------------------------------------------------------------- passes


def test_a_pass_makes_and_sends_what_is_due_and_the_next_finds_nothing(site: Site) -> None:
    first, second = site("run"), site("run")
    assert first.out.splitlines()[-2:] == ["1 edition queued", "1 letter accepted"]
    assert second.out.splitlines()[-2:] == ["0 editions queued", "nothing was due"]
    assert (first.code, second.code, len(site.letters())) == (0, 0, 1)


def test_the_verbs_one_by_one_do_what_a_pass_does(site: Site) -> None:
    assert site("publish").out == "1 edition queued\n"
    assert site("deliver", "--json").json == {"accepted": 1}


def test_nothing_is_due_before_the_window_closes(site: Site) -> None:
    assert site("publish", now=MONDAY - 2 * HOUR).out == "0 editions queued\n"


def test_a_skipped_edition_is_counted_with_its_reason(site: Site) -> None:
    site("publish")
    said = site("publish", "--json", now=MONDAY + 7 * DAY).json
    assert said == {"queued": 0, "skipped": {"no_new_papers": 1}}


def test_a_source_that_is_not_well_ends_ingest_with_1(site: Site) -> None:
    sources = '[{"name": "lab", "kind": "file", "path": "/nowhere/papers.jsonl"}]'
    said = site("ingest", "--json", DIGEST_SOURCES=sources)
    assert (said.code, said.json[0]["verdict"]) == (1, "refused")
    assert site("run", DIGEST_SOURCES=sources).code == 1


def test_a_letter_that_cannot_be_put_anywhere_waits_and_ends_with_1(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digest.app.way_out.Policy", partial(Policy, backoff_first=0.01))
    site("publish")
    blocked = site.write("blocked", "no folder")
    said = site("deliver", DIGEST_SMTP__MAILDIR=str(blocked / "letters"))
    assert said.code == 1
    assert "1 waits: " in said.out
    assert site("deliver").out == "1 letter accepted\n"


# ---------------------------------------------------------------- editions


def test_an_edition_is_listed_with_its_papers_and_reasons(site: Site) -> None:
    site("publish")
    [edition] = site("edition", "list", "--subscriber", ADA, "--json").json
    assert (edition["since"], edition["until"]) == ("2026-03-02T08:00:00Z", "2026-03-09T07:00:00Z")
    assert len(edition["papers"]) == 10
    assert edition["papers"][0]["reasons"][0]["words"] == "by Ilse Vandermolen, whom you follow"


@pytest.mark.parametrize(
    ("state", "delivered"),
    [("queued", "open"), ("accepted", "done"), ("failed", "done_with_errors")],
)
def test_an_edition_and_its_pass_say_whether_the_letter_has_ended(
    site: Site, state: str, delivered: str
) -> None:
    site("publish")
    settle(site, state)
    [edition], [pass_] = (
        site("edition", "list", "--json").json,
        site("edition", "passes", "--json").json,
    )
    assert (edition["state"], edition["delivered"]) == ("queued", delivered)
    assert (pass_["delivered"], pass_["letters"]) == (delivered, {state: 1})
    assert f" {delivered} " in site("edition", "passes").out


def test_an_edition_is_shown_with_titles_and_why(site: Site) -> None:
    site("publish")
    said = site("edition", "show", 1).out
    assert "  1. Message Passing That Knows When to Stop\n" in said
    assert "whom you follow" in said
    assert site("edition", "show", 1, "--json").json == site("edition", "list", "--json").json[0]


@pytest.mark.parametrize(
    ("format_", "begins"),
    [("text", " 10 papers "), ("html", "<!doctype html>"), ("eml", "From: "), ("json", "{")],
)
def test_a_preview_shows_the_letter_and_stores_nothing(
    site: Site, format_: str, begins: str
) -> None:
    said = site("edition", "preview", ADA, "--format", format_)
    assert said.code == 0
    assert said.out.lower().lstrip().startswith(begins.lower().strip())
    assert "Message Passing That Knows When to Stop" in said.out or format_ == "json"
    assert (site("edition", "list", "--json").json, site.letters()) == ([], [])


def test_a_preview_as_eml_is_the_letter_that_is_sent(site: Site) -> None:
    sent = message_from_string(site("edition", "preview", ADA, "--format", "eml").out)
    site("run")
    [letter] = site.letters()
    came = message_from_string(letter.read_text())
    assert [sent[name] for name in ("Subject", "To", "From")] == [
        came[name] for name in ("Subject", "To", "From")
    ]


def test_a_preview_without_papers_says_so_and_where_to_look(site: Site) -> None:
    site("publish")
    said = site("edition", "preview", ADA)
    assert (said.code, said.out.startswith("no letter: no_new_papers (0 papers since ")) == (
        0,
        True,
    )


def test_a_preview_in_an_unknown_format_is_refused(site: Site) -> None:
    assert (
        "there are html, text, eml and json"
        in site("edition", "preview", ADA, "--format", "pdf").fault
    )


def test_a_preview_counts_papers_that_came_this_very_moment(site: Site) -> None:
    site("publish")
    site("paper", "import", site.write("p.jsonl", '{"title": "Message passing once more"}\n'))
    assert len(site("edition", "preview", ADA, "--json").json["papers"]) == 1


# ---------------------------------------------------------------- deliveries


def test_a_letter_is_shown_with_every_attempt(site: Site) -> None:
    site("run")
    said = site("delivery", "show", 1)
    assert f"Delivery 1: digest to {ADA}\naccepted\n" in said.out
    [attempt] = site("delivery", "show", 1, "--json").json["attempt_list"]
    assert (attempt["outcome"], attempt["phase"], attempt["code"]) == ("accepted", "dot", 250)


def test_letters_are_listed_by_state(site: Site) -> None:
    site("publish")
    assert len(site("delivery", "list", "--not-accepted", "--json").json) == 1
    assert site("delivery", "list", "--state", "accepted", "--json").json == []
    site("deliver")
    assert site("delivery", "list", "--not-accepted").out == "no letters like that\n"
    assert len(site("delivery", "list", "--state", "accepted", "--json").json) == 1


def test_a_letter_that_failed_can_be_tried_again(site: Site) -> None:
    site("publish")
    settle(site, "failed", "refused")
    said = site("delivery", "retry", 1, 7)
    assert (said.code, said.out) == (1, "1 queued again\n")
    assert said.err == "delivery 7 is not waiting, or a later edition carries its papers\n"
    assert site("deliver", "--json").json == {"accepted": 1}


@pytest.mark.parametrize(
    ("as_", "state", "letters"),
    [("sent", "accepted", 0), ("resend", "queued", 1), ("drop", "cancelled", 0)],
)
def test_a_letter_nobody_knows_about_is_resolved_by_whoever_does(
    site: Site, as_: str, state: str, letters: int
) -> None:
    site("publish")
    settle(site, "unknown", "no_reply")
    assert site("delivery", "resolve", 1, "--as", as_).out == f"1 resolved as {as_}\n"
    assert site("delivery", "show", 1, "--json").json["state"] == state
    site("deliver")
    assert len(site.letters()) == letters


def test_only_letters_nobody_knows_about_are_resolved(site: Site) -> None:
    site("run")
    said = site("delivery", "resolve", 1, "--as", "drop")
    assert (said.code, said.err) == (1, "delivery 1 is not in state unknown\n")


# ---------------------------------------------------------------- numbers


def test_stats_count_what_went_out_and_what_did_not(site: Site) -> None:
    site("run")
    site("publish", now=MONDAY + 7 * DAY)
    said = site("stats", "--json", now=MONDAY + 7 * DAY).json
    assert said["subscribers"] == {"active": 1}
    assert said["editions"] == {"queued": 1, "no_new_papers": 1}
    assert said["letters"] == {"accepted": 1}
    assert "█" in site("stats").out


def test_the_letter_names_the_reader_and_the_subject_the_first_paper(site: Site) -> None:
    site("run")
    [letter] = site.letters()
    message = message_from_string(letter.read_text(), policy=policy.default)
    assert (message["To"], message["Subject"]) == (
        ADA,
        "Message Passing That Knows When to Stop and 9 more papers",
    )
