"""What somebody would have got, shown before they subscribe: true, escaped, and kept nowhere."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from visiting import HOUR, LINKS, NOW, Visitor, dump, remember, text_of, visitor

from digest.matching.lexical import LexicalMatcher
from digest.model import Cadence, Frequency, Listing, Profile
from digest.publish import Press, Rehearsals, publish
from digest.publish import group as thinking
from digest.store import Database, editions, papers
from digest.subscribe import add_confirmed

WEEK = timedelta(weeks=1)


def rehearsals(db: Database) -> Rehearsals:
    return Rehearsals(Press(db, LexicalMatcher(), LINKS, "example.org"))


def anybody(db: Database) -> Visitor:
    return visitor(db, rehearse=rehearsals(db).letters)


def test_the_front_page_offers_to_show_what_one_would_have_got(sqlite: Database) -> None:
    page = anybody(sqlite).get("/")
    assert 'formaction="/preview"' in page.text


def test_a_site_that_cannot_rehearse_offers_nothing(sqlite: Database) -> None:
    nowhere = visitor(sqlite)
    assert "/preview" not in nowhere.get("/").text
    assert nowhere.post("/preview", {"interests": "ants"}).status_code == 404


def test_it_shows_the_papers_and_why(sqlite: Database) -> None:
    remember(sqlite, "Ant colonies", "Bread", at=NOW - 5 * HOUR)
    said = text_of(anybody(sqlite).post("/preview", {"interests": "ant colonies, bees"}))
    assert "What you would have got" in said
    assert "Why: matches “Ant colonies” in the title" in said
    assert "Bread" not in said


def test_each_of_the_last_weeks_has_its_letter_and_no_paper_comes_twice(sqlite: Database) -> None:
    remember(sqlite, "Ants of now", at=NOW - HOUR)
    older = anybody(sqlite)
    with sqlite.writing() as tx:
        old = [Listing(("doi:10.1/old",), "Ants of old")]
        papers.remember(tx, "rss", old, NOW - 2 * WEEK)
    page = text_of(older.post("/preview", {"interests": "ants"}))
    assert "In the last 4 letters, one a week: 0, 1, 0 and 1 papers" in page
    assert (page.count("Ants of now"), page.count("Ants of old")) == (2, 1)  # one in an abstract


def test_it_changes_nothing(sqlite: Database) -> None:
    remember(sqlite, "Ant colonies", at=NOW - HOUR)
    before = dump(sqlite)
    anybody(sqlite).post("/preview", {"interests": "ants", "email": "new@example.org"})
    assert before == dump(sqlite)


def test_asking_by_get_shows_the_front_page(sqlite: Database) -> None:
    assert "Get trending papers" in text_of(anybody(sqlite).get("/preview"))


def test_it_needs_no_address_and_keeps_what_was_typed(sqlite: Database) -> None:
    page = anybody(sqlite).post("/preview", {"interests": "ants", "email": "new@exam"})
    assert page.status_code == 200
    assert 'value="new@exam"' in page.text
    assert ">\nants</textarea>" in page.text


def test_a_fault_is_told_at_its_field(sqlite: Database) -> None:
    page = anybody(sqlite).post("/preview", {"interests": "++"})
    assert page.status_code == 422
    assert "interests-error" in page.text


def test_it_says_so_where_nothing_came_close_or_nothing_is_known(sqlite: Database) -> None:
    remember(sqlite, "Bread", at=NOW - HOUR)
    said = text_of(anybody(sqlite).post("/preview", {"interests": "ants"}))
    assert "Nothing in the last 4 weeks" in said
    assert "None of 1 new paper came close enough, so no letter." in said
    assert "No papers are known here from that time." in said


def test_who_names_no_interest_is_shown_what_is_most_upvoted(sqlite: Database) -> None:
    remember(sqlite, "Bread", at=NOW - HOUR, votes=9)
    said = text_of(anybody(sqlite).post("/preview", {}))
    assert "You have named no interest and no author yet" in said
    assert "Why: 9 upvotes" in said


def test_a_hostile_title_or_wish_stays_text(sqlite: Database) -> None:
    evil = "<script>alert(1)</script> ants"
    remember(sqlite, evil, at=NOW - HOUR)
    page = anybody(sqlite).post("/preview", {"interests": evil, "authors": evil})
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; ants" in page.text


def test_asking_very_often_is_slowed_down(sqlite: Database) -> None:
    somebody = anybody(sqlite)
    codes = [somebody.post("/preview", {"interests": "++"}).status_code for _ in range(21)]
    assert codes == [422] * 20 + [429]


def test_what_is_shown_is_what_publishing_makes(sqlite: Database) -> None:
    remember(sqlite, "Ant colonies", "Ants and bees", "Bread", at=NOW - 5 * HOUR, votes=9)
    wish = Profile(interests=(), trending=2)
    shown = rehearsals(sqlite).letters(wish, NOW)[-1]
    add_confirmed(sqlite, "ada@example.org", {"trending": 2}, NOW - WEEK)
    publish(Press(sqlite, LexicalMatcher(), LINKS, "example.org"), NOW + WEEK)
    with sqlite.reading() as tx:
        [made] = editions.listed(tx)
    assert made.content.papers == shown.content.papers


def test_what_was_indexed_serves_all_who_ask_within_the_hour(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked = []
    stock = thinking.stock

    def counting(*given: object) -> thinking.Shelf:
        stocked.append(given)
        return stock(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("digest.publish.rehearsal.stock", counting)
    kept = rehearsals(sqlite)
    threads = [
        threading.Thread(target=kept.letters, args=(Profile(), NOW + n * HOUR / 9))
        for n in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(stocked) == 4
    assert len(kept.letters(Profile(), NOW + HOUR)) == 4
    assert len(stocked) == 8


@pytest.mark.parametrize(
    ("often", "letters"), [(f, n) for f, n in zip(Frequency, (5, 4, 1), strict=True)]
)
def test_windows_follow_each_other_and_end_with_the_hour(
    sqlite: Database, often: Frequency, letters: int
) -> None:
    made = rehearsals(sqlite).letters(replace(Profile(), cadence=Cadence(often, 1)), NOW)
    windows = [edition.window for edition in made]
    assert letters == len(windows)
    assert all(a.until == b.since for a, b in pairwise(windows))
    assert NOW < windows[-1].until <= NOW + HOUR
