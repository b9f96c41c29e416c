"""Asking for letters, and saying yes: double opt-in that tells nobody who is known here."""

from __future__ import annotations

import logging

import pytest
from visiting import (
    HOUR,
    NOW,
    Visitor,
    again,
    dump,
    link,
    parts,
    pending,
    reader,
    state,
    text_of,
    visitor,
)

from digest import profiles
from digest.links import Purpose
from digest.model import (
    Act,
    Cadence,
    Delivery,
    EndReason,
    Frequency,
    LetterKind,
    Profile,
    Subscriber,
    SubscriberState,
)
from digest.store import Database, deliveries, people
from digest.subscribe import MOST_IN_A_DAY
from digest.web import create_site

EMAIL = "grace@example.org"


def person(db: Database, email: str = EMAIL) -> Subscriber | None:
    with db.reading() as tx:
        return people.get(tx, email)


def wanted(db: Database, email: str = EMAIL) -> Profile:
    with db.reading() as tx:
        found = people.get(tx, email)
        assert found is not None
        return profiles.from_mapping(people.profile(tx, found.key)[0])


def queued(db: Database) -> list[Delivery]:
    with db.reading() as tx:
        return list(deliveries.listed(tx, 0))


# ------------------------------------------------------------------ asking


def test_asking_makes_a_pending_person_and_queues_one_letter(sqlite: Database) -> None:
    page = visitor(sqlite).post("/subscribe", {"email": EMAIL})
    assert page.status_code == 200
    assert "Now look into your inbox" in text_of(page)
    found = person(sqlite)
    assert found is not None
    assert found.state is SubscriberState.PENDING
    assert [(d.kind, d.recipient) for d in queued(sqlite)] == [(LetterKind.CONFIRMATION, EMAIL)]


def test_the_fields_become_the_profile(sqlite: Database) -> None:
    visitor(sqlite).post(
        "/subscribe",
        {
            "email": EMAIL,
            "interests": "diffusion models, score matching\r\nprotein folding",
            "authors": "Yang Song",
            "frequency": "monthly",
            "weekday": "monday",
            "monthday": "last",
            "hour": "17",
            "zone": "Asia/Tokyo",
        },
    )
    profile = wanted(sqlite)
    assert [item.name for item in profile.interests] == ["diffusion models", "protein folding"]
    assert profile.follow_authors == ("Yang Song",)
    assert Cadence(Frequency.MONTHLY, -1, 17, "Asia/Tokyo") == profile.cadence


def test_who_names_nothing_gets_what_is_trending(sqlite: Database) -> None:
    visitor(sqlite).post("/subscribe", {"email": EMAIL, "interests": " ", "authors": ""})
    profile = wanted(sqlite)
    assert (profile.interests, profile.trending) == ((), profile.budget)


def test_the_consent_record_says_who_asked_when_and_by_which_door(sqlite: Database) -> None:
    visitor(sqlite).post("/subscribe", {"email": EMAIL})
    found = person(sqlite)
    assert found is not None
    with sqlite.reading() as tx:
        record = people.consents(tx, found.key)
    said = [(line.act, line.at, line.door, line.evidence) for line in record]
    assert said == [(Act.REQUESTED, NOW, "web", "from 192.0.2.1")]


@pytest.mark.parametrize("life", ["unknown", "pending", "active", "paused", "ended", "suppressed"])
def test_the_answer_is_the_same_whether_or_not_an_address_is_known(
    sqlite: Database, life: str
) -> None:
    unknown = visitor(sqlite).post("/subscribe", {"email": "nobody@example.org"})
    if life != "unknown":
        known = (pending if life == "pending" else reader)(sqlite, EMAIL)
        with sqlite.writing() as tx:
            if life == "paused":
                people.pause(tx, known.key, NOW + 9 * HOUR, NOW + 24 * HOUR)
            if life == "ended":
                people.end(tx, known.key, EndReason.UNSUBSCRIBED)
            if life == "suppressed":
                people.suppress(tx, EMAIL, "bounced", NOW)
    page = visitor(sqlite).post("/subscribe", {"email": EMAIL})
    assert page.status_code == 200
    assert unknown.text == page.text.replace(EMAIL, "nobody@example.org")
    assert unknown.headers.multi_items()[1:] == page.headers.multi_items()[1:]


def test_nobody_can_change_an_active_readers_profile_by_asking(sqlite: Database) -> None:
    ada = reader(sqlite, EMAIL, follow_authors=("Noether, Emmy",))
    visitor(sqlite).post("/subscribe", {"email": EMAIL, "authors": "Mallory"})
    assert wanted(sqlite).follow_authors == ("Noether, Emmy",)
    assert (state(sqlite, ada), queued(sqlite)) == (SubscriberState.ACTIVE, [])


def test_asking_twice_sends_one_letter(sqlite: Database) -> None:
    site = visitor(sqlite)
    for _ in range(3):
        assert site.post("/subscribe", {"email": EMAIL}).status_code == 200
    assert len(queued(sqlite)) == 1


def test_the_answer_stays_the_same_when_an_address_has_had_its_letters(sqlite: Database) -> None:
    pages = [
        visitor(sqlite, clock=lambda at=NOW + n * HOUR: at).post("/subscribe", {"email": EMAIL})
        for n in range(5)
    ]
    assert len(queued(sqlite)) == MOST_IN_A_DAY
    assert len({(page.status_code, page.text) for page in pages}) == 1


def test_a_field_that_only_a_machine_fills_in_gets_the_same_answer_and_no_letter(
    sqlite: Database,
) -> None:
    page = visitor(sqlite).post("/subscribe", {"email": EMAIL, "website": "http://spam.example"})
    assert "Now look into your inbox" in text_of(page)
    assert (person(sqlite), queued(sqlite)) == (None, [])


NO_ADDRESSES = (
    "",
    "   ",
    "ada",
    "ada@",
    "@example.org",
    "ada@example",
    "a@b@example.org",
    "ada@example.org, eve@example.org",
    "ada@example.org\r\nBcc: eve@example.org",
    "ada@example.org\x00",
    "Ada <ada@example.org>",
    "x" * 400 + "@example.org",
    "ada@" + "x" * 400 + ".org",
    "<script>@example.org",
    "\ud83d",
)


@pytest.mark.parametrize("email", NO_ADDRESSES, ids=range(len(NO_ADDRESSES)))
def test_what_is_no_address_is_said_at_its_field_and_the_form_stays_filled(
    sqlite: Database, email: str
) -> None:
    typed = email.encode("utf-8", "replace").decode()
    page = visitor(sqlite).post("/subscribe", {"email": typed, "interests": "my old topic"})
    if page.status_code == 200:  # an address once its controls are gone
        assert "ada@example.org" in page.text
        return
    assert page.status_code == 422
    assert 'aria-invalid="true"' in page.text
    assert 'id="email-error"' in page.text
    assert "my old topic" in page.text
    assert queued(sqlite) == []


def test_every_fault_is_said_at_once(sqlite: Database) -> None:
    bad = {"email": "ada", "zone": "Mars", "hour": "30", "interests": "++"}
    page = visitor(sqlite).post("/subscribe", bad)
    for name in ("zone", "hour", "interests"):
        assert f'id="{name}-error"' in page.text
    assert "<details open" in page.text


def test_a_newline_never_reaches_an_address(sqlite: Database) -> None:
    visitor(sqlite).post("/subscribe", {"email": "ada@example.org\r\nBcc: eve@example.org"})
    assert all("\n" not in d.recipient and "eve" not in d.recipient for d in queued(sqlite))


# ------------------------------------------------------------------ too much


def test_one_client_that_asks_too_often_must_wait_and_others_need_not(sqlite: Database) -> None:
    app = create_site(parts(sqlite))
    one, other = Visitor(app, "192.0.2.1"), Visitor(app, "192.0.2.2")
    for number in range(20):
        assert one.post("/subscribe", {"email": f"p{number}@example.org"}).status_code == 200
    page = one.post("/subscribe", {"email": "p21@example.org"})
    assert page.status_code == 429
    assert 0 < int(page.headers["retry-after"]) <= 31
    assert person(sqlite, "p21@example.org") is None
    assert other.post("/subscribe", {"email": "p21@example.org"}).status_code == 200


def test_a_body_over_its_bound_is_refused(sqlite: Database) -> None:
    site = visitor(sqlite)
    page = site.post("/subscribe", {"email": EMAIL, "interests": "x" * 70_000})
    assert page.status_code == 413
    assert "64 kilobytes" in text_of(page)
    assert "content-security-policy" in page.headers


def test_a_body_that_does_not_say_its_length_is_bounded_too(sqlite: Database) -> None:
    sent = 0

    async def endless():  # type: ignore[no-untyped-def]
        nonlocal sent
        while sent < 10_000_000:
            sent += 8192
            yield b"x" * 8192

    form = {"content-type": "application/x-www-form-urlencoded"}
    page = visitor(sqlite).ask("POST", "/subscribe", content=endless(), headers=form)
    assert page.status_code == 413
    assert sent < 100_000


# ------------------------------------------------------------------ saying yes


def test_the_letters_link_asks_and_the_button_says_yes(sqlite: Database) -> None:
    ada, site = pending(sqlite), visitor(sqlite)
    page = site.get(link(Purpose.CONFIRM, ada.key))
    assert "Yes, send them to me" in text_of(page)
    assert state(sqlite, ada) is SubscriberState.PENDING
    page = site.post(link(Purpose.CONFIRM, ada.key))
    assert page.status_code == 200
    assert "You are in" in text_of(page)
    assert state(sqlite, ada) is SubscriberState.ACTIVE
    assert again(sqlite, ada).confirmed_at == NOW


def test_saying_yes_twice_is_once(sqlite: Database) -> None:
    ada, site = pending(sqlite), visitor(sqlite)
    site.post(link(Purpose.CONFIRM, ada.key))
    before = dump(sqlite)
    later = visitor(sqlite, clock=lambda: NOW + HOUR)
    assert "You are in" in text_of(later.post(link(Purpose.CONFIRM, ada.key)))
    assert before == dump(sqlite)


def test_the_way_to_the_preferences_is_for_who_pressed_the_button(sqlite: Database) -> None:
    ada, site = pending(sqlite), visitor(sqlite)
    way = link(Purpose.PREFERENCES, ada.key)
    assert way not in site.get(link(Purpose.CONFIRM, ada.key)).text
    assert way in site.post(link(Purpose.CONFIRM, ada.key)).text
    assert way not in site.get(link(Purpose.CONFIRM, ada.key)).text


def test_an_old_link_brings_nobody_back(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    with sqlite.writing() as tx:
        people.end(tx, ada.key, EndReason.UNSUBSCRIBED)
    for method in ("GET", "POST"):
        page = site.ask(method, link(Purpose.CONFIRM, ada.key))
        assert (page.status_code, "You have left" in text_of(page)) == (410, True)
    assert state(sqlite, ada) is SubscriberState.ENDED


def test_a_forged_link_names_the_mend_and_does_nothing(sqlite: Database) -> None:
    ada, site = pending(sqlite), visitor(sqlite)
    good = link(Purpose.CONFIRM, ada.key)
    for bad in (good[:-1], good[:-1] + "x", good.replace("/c/1.", "/c/2."), "/c/1", "/c/%00"):
        page = site.post(bad)
        assert page.status_code == 404
        assert "Copy the whole address from the letter" in text_of(page)
    assert state(sqlite, ada) is SubscriberState.PENDING


def test_no_link_of_another_purpose_confirms(sqlite: Database) -> None:
    ada, site = pending(sqlite), visitor(sqlite)
    for purpose in set(Purpose) - {Purpose.CONFIRM}:
        wrong = link(purpose, ada.key).replace(f"/{purpose}/", "/c/")
        assert site.post(wrong).status_code == 404
    assert state(sqlite, ada) is SubscriberState.PENDING


def test_an_erased_person_is_gone(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    with sqlite.writing() as tx:
        people.erase(tx, ada.key)
    for purpose in (Purpose.CONFIRM, Purpose.PREFERENCES, Purpose.UNSUBSCRIBE, Purpose.FEEDBACK):
        assert site.get(link(purpose, ada.key)).status_code == 410


def test_logs_hold_neither_tokens_nor_addresses(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ada, site = pending(sqlite, EMAIL), visitor(sqlite)
    with sqlite.writing() as tx:
        tx.exec_driver_sql("DROP TABLE consents")
    way = link(Purpose.CONFIRM, ada.key)
    assert site.post(way).status_code == 503
    assert site.post("/subscribe", {"email": "eve@example.org"}).status_code == 503
    assert caplog.text
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("digest"))
    assert way.rpartition(".")[2] not in ours
    assert "@example.org" not in ours
