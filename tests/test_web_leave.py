"""Unsubscribing as RFC 8058 wants it, and by a person at a page."""

from __future__ import annotations

import email
from email import policy

import pytest
from visiting import (
    HOUR,
    LINKS,
    NOW,
    RENDERER,
    URL,
    Visitor,
    again,
    dump,
    link,
    parts,
    pending,
    reader,
    remember,
    state,
    text_of,
    visitor,
)

from digest.links import Purpose
from digest.model import (
    Act,
    Content,
    Delivery,
    DeliveryState,
    Edition,
    EditionState,
    EndReason,
    LetterKind,
    Subscriber,
    SubscriberState,
    Window,
)
from digest.store import Database, deliveries, people
from digest.web import create_site

ENDED = SubscriberState.ENDED
CLICK = {"List-Unsubscribe": "One-Click"}


def way(person: Subscriber) -> str:
    return link(Purpose.UNSUBSCRIBE, person.key)


def last_act(db: Database, person: Subscriber) -> tuple[Act, str]:
    with db.reading() as tx:
        line = people.consents(tx, person.key)[-1]
    return line.act, line.door


# ------------------------------------------------------------------ RFC 8058


def test_one_click_urlencoded_unsubscribes(sqlite: Database) -> None:
    ada = reader(sqlite)
    page = visitor(sqlite).post(way(ada), CLICK)
    assert page.status_code == 200
    assert (state(sqlite, ada), again(sqlite, ada).reason) == (ENDED, EndReason.UNSUBSCRIBED)
    assert last_act(sqlite, ada) == (Act.ENDED, "one_click")


def test_one_click_multipart_unsubscribes(sqlite: Database) -> None:
    ada = reader(sqlite)
    body = (
        b'--frontier\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
        b"One-Click\r\n--frontier--\r\n"
    )
    kind = {"content-type": "multipart/form-data; boundary=frontier"}
    page = visitor(sqlite).ask("POST", way(ada), content=body, headers=kind)
    assert page.status_code == 200
    assert last_act(sqlite, ada) == (Act.ENDED, "one_click")


def test_it_needs_no_cookie_login_or_redirect_and_sets_none(sqlite: Database) -> None:
    page = visitor(sqlite).post(way(reader(sqlite)), CLICK)
    assert "location" not in page.headers
    assert "set-cookie" not in page.headers
    assert "www-authenticate" not in page.headers
    assert "<script" not in page.text


def test_twice_is_once(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    site.post(way(ada), CLICK)
    before = dump(sqlite)
    assert site.post(way(ada), CLICK).status_code == 200
    assert before == dump(sqlite)


BODIES = {
    "nothing": (b"", ""),
    "json": (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
    "no boundary": (b"--x", "multipart/form-data"),
    "cut short": (b"--x\r\nContent-Dispo", "multipart/form-data; boundary=x"),
    "an odd charset": (b"--x--", "multipart/form-data; boundary=x; charset=unicode_escape"),
    "bytes": (bytes(range(256)), "application/x-www-form-urlencoded"),
    "too long": (b"x" * 100_000, "application/x-www-form-urlencoded"),
    "text": (b"List-Unsubscribe=One-Click", "text/plain"),
}


@pytest.mark.parametrize("what", BODIES)
def test_no_body_is_too_odd_to_leave_with(sqlite: Database, what: str) -> None:
    ada, (body, kind) = reader(sqlite), BODIES[what]
    headers = {"content-type": kind} if kind else {}
    page = visitor(sqlite).ask("POST", way(ada), content=body, headers=headers)
    assert (page.status_code, state(sqlite, ada)) == (200, ENDED)


def test_a_provider_may_post_for_many_people_at_once(sqlite: Database) -> None:
    site = visitor(sqlite)
    people_ = [reader(sqlite, f"p{number}@example.org") for number in range(40)]
    assert {site.post(way(person), CLICK).status_code for person in people_} == {200}


def test_it_works_while_a_client_may_not_post_elsewhere(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    answers = [site.post("/subscribe", {"email": "x"}).status_code for _ in range(21)]
    assert answers[-1] == 429
    assert site.post(way(ada), CLICK).status_code == 200


@pytest.mark.parametrize("life", ["pending", "paused", "ended"])
def test_it_works_at_every_stage_of_a_life(sqlite: Database, life: str) -> None:
    ada = pending(sqlite) if life == "pending" else reader(sqlite)
    with sqlite.writing() as tx:
        if life == "paused":
            people.pause(tx, ada.key, NOW + HOUR, NOW + HOUR)
        if life == "ended":
            people.end(tx, ada.key, EndReason.BOUNCED)
    assert visitor(sqlite).post(way(ada), CLICK).status_code == 200
    assert state(sqlite, ada) is ENDED


def test_who_was_erased_has_left_already(sqlite: Database) -> None:
    ada = reader(sqlite)
    with sqlite.writing() as tx:
        people.erase(tx, ada.key)
    before = dump(sqlite)
    assert visitor(sqlite).post(way(ada), CLICK).status_code == 200
    assert before == dump(sqlite)


def test_a_forged_link_is_refused_with_the_mend(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    for bad in (way(ada)[:-1], way(ada) + "x", "/u/1.forged", "/u/"):
        page = site.post(bad, CLICK)
        assert page.status_code == 404
        assert "Copy the whole" in text_of(page)
    assert state(sqlite, ada) is SubscriberState.ACTIVE


def test_no_link_of_another_purpose_unsubscribes(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    for purpose in set(Purpose) - {Purpose.UNSUBSCRIBE}:
        wrong = link(purpose, ada.key).replace(f"/{purpose}/", "/u/")
        assert site.post(wrong, CLICK).status_code == 404
    assert state(sqlite, ada) is SubscriberState.ACTIVE


def test_a_database_that_cannot_write_is_no_success(sqlite: Database) -> None:
    ada = reader(sqlite)
    with sqlite.writing() as tx:
        tx.exec_driver_sql("DROP TABLE consents")
    page = visitor(sqlite).post(way(ada), CLICK)
    assert page.status_code == 503  # the provider tries again
    assert state(sqlite, ada) is SubscriberState.ACTIVE


def test_the_header_of_a_letter_that_was_sent_works_as_it_stands(sqlite: Database) -> None:
    ada = reader(sqlite)
    remember(sqlite, "Graphs")
    window = Window(NOW - 24 * HOUR, NOW)
    edition = Edition(
        ada.email,
        window,
        EditionState.QUEUED,
        NOW,
        content=Content(),
        key=7,
        subscriber_key=ada.key,
    )
    delivery = Delivery(
        9, LetterKind.DIGEST, ada.email, "<d.9@example.org>", DeliveryState.QUEUED, NOW, ada.key, 7
    )
    raw = RENDERER.digest(edition, delivery, ada, {}).raw
    letter = email.message_from_bytes(raw, policy=policy.SMTP)
    address = letter["List-Unsubscribe"].split(",")[0].strip("<> ")
    name, _, value = letter["List-Unsubscribe-Post"].partition("=")
    assert address.startswith(URL)
    page = visitor(sqlite).post(address.removeprefix(URL), {name: value})
    assert (page.status_code, state(sqlite, ada)) == (200, ENDED)


# ------------------------------------------------------------------ a person at a page


def test_looking_changes_nothing_however_often(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    before = dump(sqlite)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        site.ask(method, way(ada))
        site.ask(method, f"{way(ada)}?List-Unsubscribe=One-Click")
        site.ask(method, f"{way(ada)}/again")
    assert before == dump(sqlite)


def test_the_page_has_a_real_button(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    page = site.get(way(ada))
    assert "Stop these letters?" in text_of(page)
    assert f'method="post" action="{way(ada)}"' in page.text
    page = site.post(way(ada))
    assert "You are unsubscribed" in text_of(page)
    assert last_act(sqlite, ada) == (Act.ENDED, "web")


def test_the_page_gives_away_no_other_link_of_the_person(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    for page in (site.get(way(ada)), site.post(way(ada)), site.get(way(ada))):
        for purpose in set(Purpose) - {Purpose.UNSUBSCRIBE}:
            assert LINKS.token(purpose, ada.key) not in page.text


def test_who_left_by_mistake_is_asked_again_by_letter(sqlite: Database) -> None:
    ada, site = reader(sqlite, follow_authors=("Noether, Emmy",)), visitor(sqlite)
    page = site.post(way(ada))
    assert f'action="{way(ada)}/again"' in page.text
    page = site.post(f"{way(ada)}/again")
    assert "Now look into your inbox" in text_of(page)
    assert state(sqlite, ada) is SubscriberState.PENDING
    with sqlite.reading() as tx:
        assert [d.recipient for d in deliveries.listed(tx, 0)] == [ada.email]
        assert people.profile(tx, ada.key)[0]["follow"] == {"authors": ["Noether, Emmy"]}


def test_asking_again_without_having_left_changes_nothing(sqlite: Database) -> None:
    ada = reader(sqlite)
    before = dump(sqlite)
    visitor(sqlite).post(f"{way(ada)}/again")
    assert before == dump(sqlite)


def test_two_posts_at_once_both_succeed(sqlite: Database) -> None:
    import asyncio

    ada, site = reader(sqlite), Visitor(create_site(parts(sqlite)))

    async def both() -> list[int]:
        answers = await asyncio.gather(*(site._ask("POST", way(ada), data=CLICK) for _ in range(8)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(both()) == [200] * 8
    with sqlite.reading() as tx:
        acts = [line.act for line in people.consents(tx, ada.key)]
    assert acts.count(Act.ENDED) == 1
