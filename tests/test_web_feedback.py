"""More like this, less like this; and the letter as a page."""

from __future__ import annotations

import pytest
from visiting import HOUR, LINKS, NOW, URL, dump, link, reader, remember, text_of, visitor

from digest.links import Purpose
from digest.model import (
    Content,
    Edition,
    EditionPaper,
    EditionState,
    Feedback,
    Reason,
    ReasonKind,
    SkipReason,
    Subscriber,
    Window,
)
from digest.store import Database, editions, people
from digest.store.editions import NewEdition

ONE = "arxiv:2603.10000"


def said(db: Database, person: Subscriber) -> Feedback:
    with db.reading() as tx:
        return people.feedback(tx, [person.key]).get(person.key, Feedback())


def address(person: Subscriber, tail: str = "") -> str:
    return link(Purpose.FEEDBACK, person.key, tail)


def test_the_letters_link_asks_and_its_button_acts(sqlite: Database) -> None:
    remember(sqlite, "Graphs")
    ada, site = reader(sqlite), visitor(sqlite)
    page = site.get(address(ada, f"?paper={ONE}&more"))
    assert "More like this?" in text_of(page)
    assert "Graphs" in text_of(page)
    assert said(sqlite, ada) == Feedback()
    site.post(address(ada), {"paper": ONE, "say": "more"})
    assert said(sqlite, ada) == Feedback(likes=(ONE,))


def test_the_other_link_asks_the_other_question(sqlite: Database) -> None:
    remember(sqlite, "Graphs")
    ada, site = reader(sqlite), visitor(sqlite)
    assert "Less like this?" in text_of(site.get(address(ada, f"?paper={ONE}&less")))
    site.post(address(ada), {"paper": ONE, "say": "less"})
    assert said(sqlite, ada) == Feedback(dislikes=(ONE,))


def test_a_change_of_mind_replaces_what_was_said(sqlite: Database) -> None:
    remember(sqlite, "Graphs")
    ada, site = reader(sqlite), visitor(sqlite)
    for say in ("more", "more", "less"):
        assert site.post(address(ada), {"paper": ONE, "say": say}).status_code == 200
    assert said(sqlite, ada) == Feedback(dislikes=(ONE,))
    site.post(address(ada), {"paper": ONE, "say": "neither"})
    assert said(sqlite, ada) == Feedback()


@pytest.mark.parametrize("tail", ["", "?paper=arxiv:9999.99999&more", "?paper=&more", "?more"])
def test_a_link_to_no_paper_we_know_is_no_page(sqlite: Database, tail: str) -> None:
    assert visitor(sqlite).get(address(reader(sqlite), tail)).status_code == 404


def test_an_answer_that_is_none_is_refused(sqlite: Database) -> None:
    remember(sqlite, "Graphs")
    ada, site = reader(sqlite), visitor(sqlite)
    assert site.post(address(ada), {"paper": ONE, "say": "DROP TABLE"}).status_code == 400
    assert site.post(address(ada), {"paper": ONE}).status_code == 400
    assert said(sqlite, ada) == Feedback()


def test_a_link_for_another_purpose_rates_nothing(sqlite: Database) -> None:
    remember(sqlite, "Graphs")
    ada = reader(sqlite)
    wrong = link(Purpose.PREFERENCES, ada.key).replace("/p/", "/f/")
    page = visitor(sqlite).post(wrong, {"paper": ONE, "say": "more"})
    assert page.status_code == 404
    assert "This link is damaged" in text_of(page)
    assert said(sqlite, ada) == Feedback()


# ------------------------------------------------------------------ the letter as a page


def edition(db: Database, person: Subscriber, *ids: str, skipped: bool = False) -> int:
    reasons = (Reason(ReasonKind.TERM, "Graphs", "title"),)
    made = Edition(
        subscriber=person.email,
        window=Window(NOW - 48 * HOUR, NOW),
        state=EditionState.SKIPPED if skipped else EditionState.QUEUED,
        made_at=NOW,
        reason=SkipReason.NO_NEW_PAPERS if skipped else None,
        content=Content(tuple(EditionPaper(id_, 1, "Graphs", 1.0, reasons) for id_ in ids)),
        subscriber_key=person.key,
    )
    with db.writing() as tx:
        return editions.write(tx, [NewEdition(made, "<d.1@example.org>")])[0]


def test_a_letter_can_be_read_on_the_web(sqlite: Database) -> None:
    ids = remember(sqlite, "Graphs and <b>bold</b> claims")
    key = edition(sqlite, reader(sqlite), *ids)
    page = visitor(sqlite).get(link(Purpose.LETTER, key))
    assert page.status_code == 200
    assert "Graphs and <b>bold</b> claims" in text_of(page)


def test_a_letter_on_the_web_can_be_shown_to_anybody(sqlite: Database) -> None:
    """Nothing in it tells who got it, and no link in it acts for them."""
    ada = reader(sqlite)
    key = edition(sqlite, ada, *remember(sqlite, "Graphs"))
    page = visitor(sqlite).get(link(Purpose.LETTER, key))
    tokens = [LINKS.token(purpose, n) for purpose in Purpose for n in (ada.key, key)]
    shown = page.text + str(page.headers)
    assert [token for token in tokens if token in shown] == []
    assert "ada@" not in shown
    assert f"{URL}/#subscribe" in page.text


def test_a_letter_brings_its_styles_and_runs_nothing(sqlite: Database) -> None:
    key = edition(sqlite, reader(sqlite), *remember(sqlite, "Graphs"))
    headers = visitor(sqlite).get(link(Purpose.LETTER, key)).headers
    policy = headers["content-security-policy"]
    assert headers["x-robots-tag"] == "noindex"
    assert "style-src 'unsafe-inline'" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


def test_an_edition_that_was_skipped_is_no_letter(sqlite: Database) -> None:
    key = edition(sqlite, reader(sqlite), skipped=True)
    assert visitor(sqlite).get(link(Purpose.LETTER, key)).status_code == 404


def test_the_letter_of_somebody_who_was_erased_is_gone(sqlite: Database) -> None:
    ada = reader(sqlite)
    key = edition(sqlite, ada, *remember(sqlite, "Graphs"))
    with sqlite.writing() as tx:
        people.erase(tx, ada.key)
    assert visitor(sqlite).get(link(Purpose.LETTER, key)).status_code == 410


def test_a_letter_that_cannot_be_written_names_its_edition_and_no_address(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    key = edition(sqlite, reader(sqlite), "arxiv:0000.00000")
    page = visitor(sqlite).get(link(Purpose.LETTER, key))
    assert page.status_code == 500
    assert f"edition {key}" in caplog.text
    assert "ada@" not in caplog.text + page.text


def test_looking_at_these_pages_changes_nothing(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    key = edition(sqlite, ada, *remember(sqlite, "Graphs"))
    before = dump(sqlite)
    for method in ("GET", "HEAD"):
        assert site.ask(method, link(Purpose.LETTER, key)).status_code == 200
        for word in ("more", "less", "neither", "say=more"):
            page = site.ask(method, address(ada, f"?paper={ONE}&{word}"))
            assert page.status_code == 200
    assert before == dump(sqlite)
