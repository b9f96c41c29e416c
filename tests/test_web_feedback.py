"""More like this, less like this, follow, mute; and the letter as a page."""

from __future__ import annotations

import html
import re
import threading
from dataclasses import replace

import httpx
import pytest
from visiting import HOUR, LINKS, NOW, URL, dump, link, reader, remember, text_of, visitor

from digest import profiles, subscribe
from digest.links import Purpose
from digest.model import (
    Act,
    Content,
    Edition,
    EditionPaper,
    EditionState,
    EndReason,
    Feedback,
    Profile,
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
    assert said(sqlite, ada).likes == (ONE,)


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


# ------------------------------------------------------------------ follow and mute

ADA, TITLE = "Ada Lovelace", "A Survey of Few-Step Sampling for the Graph Models of Graphs"


def profile_of(db: Database, person: Subscriber) -> tuple[Profile, str]:
    with db.reading() as tx:
        document, text = people.profile(tx, person.key)
    return profiles.from_mapping(document), text or ""


def press(db: Database, person: Subscriber, **fields: str) -> httpx.Response:
    return visitor(db).post(address(person), {"paper": ONE, **fields})


def buttons(page: httpx.Response) -> list[tuple[str, str]]:
    """(name, value) of every button of a page."""
    found = re.findall(r'<button type="submit" name="(\w+)" value="([^"]*)"', page.text)
    return [(name, html.unescape(value)) for name, value in found]


def test_the_page_offers_the_papers_authors_and_the_words_of_its_title(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    page = visitor(sqlite).get(address(reader(sqlite), f"?paper={ONE}"))
    assert buttons(page) == [
        ("say", "more"),
        ("say", "less"),
        ("follow", "Lovelace, Ada"),
        ("follow", "Babbage, Charles"),
        *(("mute", word) for word in ("Survey", "Few-Step", "Sampling", "Graph", "Models")),
    ]


def test_an_author_is_followed_and_taken_back(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite, budget=7, mute_terms=("survey",))
    page = press(sqlite, ada, follow="Lovelace, Ada")
    assert "You follow Lovelace, Ada" in text_of(page)
    assert ("unfollow", "Lovelace, Ada") in buttons(page)
    followed = Profile(budget=7, mute_terms=("survey",), follow_authors=("Lovelace, Ada",))
    assert followed == profile_of(sqlite, ada)[0]
    press(sqlite, ada, unfollow="Lovelace, Ada")
    assert replace(followed, follow_authors=()) == profile_of(sqlite, ada)[0]


def test_words_of_the_paper_are_muted_and_taken_back(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite, budget=7)
    page = press(sqlite, ada, mute="  few-step   sampling ")
    assert "Muted: few-step sampling" in text_of(page)
    assert ("unmute", "few-step sampling") in buttons(page)
    assert profile_of(sqlite, ada)[0].mute_terms == ("few-step sampling",)
    press(sqlite, ada, unmute="few-step sampling")
    assert profile_of(sqlite, ada)[0] == Profile(budget=7)


def test_a_profile_file_keeps_its_remarks(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    ada, text = reader(sqlite), "budget = 7  # seven is enough\n[mute]\nterms = ['survey'] # mine\n"
    subscribe.change(sqlite, ada.key, text, NOW, "web")
    press(sqlite, ada, follow="Lovelace, Ada")
    press(sqlite, ada, mute="Sampling")
    assert profile_of(sqlite, ada)[1] == (
        "budget = 7  # seven is enough\n[mute]\nterms = [\"Sampling\", 'survey'] # mine\n"
        '\n[follow]\nauthors = ["Lovelace, Ada"]\n'
    )


@pytest.mark.parametrize(
    "fields", [{"follow": "Lovelace, Ada"}, {"mute": "graph models"}, {"unmute": "survey"}]
)
def test_a_button_pressed_twice_is_pressed_once(sqlite: Database, fields: dict[str, str]) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite, mute_terms=("surveys",))
    assert press(sqlite, ada, **fields).status_code == 200
    before = dump(sqlite)
    assert press(sqlite, ada, **fields).status_code == 200
    assert before == dump(sqlite)


def test_somebody_followed_in_another_spelling_is_followed(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite, follow_authors=(ADA,), mute_terms=("surveys",))
    page = visitor(sqlite).get(address(ada, f"?paper={ONE}"))
    assert ("unfollow", "Lovelace, Ada") in buttons(page)
    assert ("unmute", "surveys") in buttons(page)
    assert ("mute", "Survey") not in buttons(page)
    before = dump(sqlite)
    press(sqlite, ada, follow="Lovelace, Ada")
    press(sqlite, ada, mute="survey")
    assert before == dump(sqlite)


@pytest.mark.parametrize(
    "fields",
    [
        {"mute": "attention"},
        {"mute": "graph sampling"},
        {"mute": ""},
        {"mute": "!"},
        {"mute": "graph " * 99},
        {"unmute": "attention"},
        {"follow": "Mallory"},
        {"unfollow": "Noether, Emmy"},
        {"follow": ""},
    ],
)
def test_a_link_opens_no_more_of_a_profile_than_its_paper(
    sqlite: Database, fields: dict[str, str]
) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite, follow_authors=("Noether, Emmy",), mute_terms=("attention",))
    before = dump(sqlite)
    page = press(sqlite, ada, **fields)
    assert page.status_code == 422
    assert "Not yet: something needs mending." in text_of(page)
    assert before == dump(sqlite)


def test_what_is_followed_is_a_line_of_the_consent_record(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite)
    press(sqlite, ada, follow="Lovelace, Ada")
    with sqlite.reading() as tx:
        last = people.consents(tx, ada.key)[-1]
    assert (last.act, last.door, last.evidence) == (Act.CHANGED, "web", "from 192.0.2.1")


def test_who_has_left_follows_nobody_by_an_old_link(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite)
    subscribe.end(sqlite, ada.key, EndReason.UNSUBSCRIBED, NOW, "web")
    assert [n for n, _ in buttons(visitor(sqlite).get(address(ada, f"?paper={ONE}")))] == [
        "say"
    ] * 2
    page = press(sqlite, ada, follow="Lovelace, Ada")
    assert (page.status_code, profile_of(sqlite, ada)[0].follow_authors) == (410, ())


def test_a_profile_that_cannot_be_read_is_not_overwritten(sqlite: Database) -> None:
    remember(sqlite, TITLE)
    ada = reader(sqlite)
    with sqlite.writing() as tx:
        people.change(tx, ada.key, {"nonsense": 1}, "nonsense = 1", ada.cadence, NOW, NOW)
    before = dump(sqlite)
    assert visitor(sqlite).get(address(ada, f"?paper={ONE}")).status_code == 200
    page = press(sqlite, ada, follow="Lovelace, Ada")
    assert (page.status_code, "needs mending first" in text_of(page)) == (400, True)
    assert before == dump(sqlite)


def test_of_two_buttons_pressed_at_once_both_count(db: Database) -> None:
    remember(db, TITLE)
    ada = reader(db)
    names = ("Lovelace, Ada", "Babbage, Charles")
    threads = [threading.Thread(target=press, args=(db, ada), kwargs={"follow": n}) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(profile_of(db, ada)[0].follow_authors) == set(names)


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
        for word in ("more", "less", "neither", "say=more", "mute=Graphs", "follow=Lovelace, Ada"):
            page = site.ask(method, address(ada, f"?paper={ONE}&{word}"))
            assert page.status_code == 200
    assert before == dump(sqlite)
