"""People come, confirm, change their minds, pause, leave and are forgotten."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import profiles, subscribe
from digest.errors import ProfileError, Refused
from digest.links import Links
from digest.model import (
    Act,
    Content,
    DeliveryState,
    Edition,
    EditionPaper,
    EditionState,
    EndReason,
    LetterKind,
    Listing,
    Outcome,
    OutcomeKind,
    Phase,
    Settlement,
    Subscriber,
    SubscriberState,
    Window,
)
from digest.store import Database, deliveries, editions, papers, people
from digest.subscribe import MOST_IN_A_DAY, Answer, Post, normalised

NOW = datetime(2025, 9, 3, 12, tzinfo=UTC)  # a Wednesday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2025, 9, 8, 8, tzinfo=UTC)
ADA = "ada@example.org"
POST = Post(Links("secret", "https://digest.example.org"), "example.org")
WEEKLY = 'cadence = "weekly"\nzone = "UTC"  # where I live\n'
DAILY = {"cadence": "daily", "hour": 8, "zone": "UTC"}


def ask(db: Database, email: str = ADA, now: datetime = NOW, profile: object = WEEKLY):
    return subscribe.request(db, POST, email, profile, now, "web", "192.0.2.7")


def active(db: Database, email: str = ADA, profile: object = WEEKLY) -> Subscriber:
    return subscribe.add_confirmed(db, email, profile, NOW)


def acts(db: Database, key: int) -> list[Act]:
    with db.reading() as tx:
        return [line.act for line in people.consents(tx, key)]


def confirmations(db: Database) -> list[str]:
    with db.reading() as tx:
        found = deliveries.listed(tx)
    return [d.recipient for d in found if d.kind is LetterKind.CONFIRMATION]


def profile_of(db: Database, key: int) -> tuple[dict, str | None]:
    with db.reading() as tx:
        return people.profile(tx, key)


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ada@example.org", "ada@example.org"),
        (" Ada.L+papers@EXAMPLE.Org\t", "Ada.L+papers@example.org"),
        ("ada@Bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("иван@example.org", "иван@example.org"),
        ('"ada l"@example.org', '"ada l"@example.org'),
        ("ada@localhost", "ada@localhost"),
        ("ada@digest.test", "ada@digest.test"),
        ("ada@nowhere.invalid", "ada@nowhere.invalid"),
        ("ada@host.local", "ada@host.local"),
        ("o'hara@example.org", "o'hara@example.org"),
    ],
)
def test_an_address_has_one_spelling(given: str, expected: str) -> None:
    assert expected == normalised(given)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example",
        "ada@example.org\n",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada\n@example.org",
        "ada\0@example.org",
        "ada@exam\0ple.org",
        "ada@example.org, eve@example.org",
        "Ada <ada@example.org>",
        "ada@[127.0.0.1]",
        "ada@-example.org",
        "ada@example..org",
        "a" * 65 + "@example.org",
        "a" * 310 + "@example.org",
        "ada@" + "a." * 200 + "org",
        "a" * 5_000_000,
        "ada@example.org\u202e",
        "\ud800@example.org",
        "ada@exa mple.org",
    ],
)
def test_what_is_no_address_is_refused_with_the_mend(given: str) -> None:
    with pytest.raises(Refused, match=r"is no address: .*; write one as in ada@example\.org"):
        normalised(given)


@given(st.text() | st.emails())
def test_whatever_is_typed_becomes_an_address_of_one_line_or_a_refusal(given: str) -> None:
    try:
        address = normalised(given)
    except Refused as refused:
        assert "\n" not in str(refused)
    else:
        assert address == normalised(address)
        assert address.isprintable()


# ---------------------------------------------------------------- coming


def test_somebody_new_is_pending_and_asked_to_confirm(db: Database) -> None:
    asked = ask(db)
    assert (asked.answer, asked.subscriber.state) == (Answer.NEW, SubscriberState.PENDING)
    assert confirmations(db) == [ADA]
    assert acts(db, asked.subscriber.key) == [Act.REQUESTED]


def test_a_pending_person_is_owed_nothing(sqlite: Database) -> None:
    person = ask(sqlite).subscriber
    assert (person.window_since, person.next_due) == (None, None)


def test_a_profile_is_kept_as_it_was_written_and_as_data(sqlite: Database) -> None:
    document, text = profile_of(sqlite, ask(sqlite).subscriber.key)
    assert text == WEEKLY
    assert profiles.parse(WEEKLY) == profiles.from_mapping(document)
    assert {"day", "budget", "floor"} <= document.keys()


def test_a_wrong_profile_leaves_no_trace(sqlite: Database) -> None:
    with pytest.raises(ProfileError, match="did you mean cadence"):
        ask(sqlite, profile="cadense = 'weekly'")
    with sqlite.reading() as tx:
        assert people.listed(tx) == []


def test_asking_again_within_ten_minutes_sends_no_second_confirmation(sqlite: Database) -> None:
    ask(sqlite)
    again = ask(sqlite, now=NOW + 9 * MINUTE)
    assert (again.answer, again.confirmation) == (Answer.AGAIN, None)
    assert confirmations(sqlite) == [ADA]


def test_asking_again_later_sends_another_confirmation(sqlite: Database) -> None:
    ask(sqlite)
    again = ask(sqlite, now=NOW + 10 * MINUTE)
    assert again.confirmation is not None
    assert confirmations(sqlite) == [ADA, ADA]


def test_an_address_gets_three_confirmations_in_a_day_at_most(db: Database) -> None:
    """Whoever asks: people who never asked must not be bothered by those who type addresses."""
    asked = [ask(db, now=NOW + n * HOUR) for n in range(24)]
    assert MOST_IN_A_DAY == 3
    assert [one.confirmation is not None for one in asked] == [True] * 3 + [False] * 21
    assert {Answer.AGAIN} == {one.answer for one in asked[1:]}
    assert acts(db, asked[0].subscriber.key) == [Act.REQUESTED] * 3


def test_a_day_after_the_first_confirmation_there_may_be_another(sqlite: Database) -> None:
    for n in range(3):
        ask(sqlite, now=NOW + n * HOUR)
    assert ask(sqlite, now=NOW + DAY - MINUTE).confirmation is None
    assert ask(sqlite, now=NOW + DAY).confirmation is not None
    assert ask(sqlite, now=NOW + DAY + 20 * MINUTE).confirmation is None


def test_leaving_and_asking_again_brings_no_more_confirmations(sqlite: Database) -> None:
    for n in range(5):
        key = ask(sqlite, now=NOW + n * HOUR).subscriber.key
        subscribe.end(sqlite, key, EndReason.UNSUBSCRIBED, NOW + n * HOUR, "web")
    assert confirmations(sqlite) == [ADA] * MOST_IN_A_DAY


def test_one_addresss_confirmations_count_for_no_other(sqlite: Database) -> None:
    for n in range(5):
        ask(sqlite, now=NOW + n * HOUR)
    assert ask(sqlite, "grace@example.org", NOW + 5 * HOUR).confirmation is not None


def test_of_a_pending_person_the_last_profile_counts(sqlite: Database) -> None:
    ask(sqlite)
    person = ask(sqlite, now=NOW + MINUTE, profile=DAILY).subscriber
    assert person.cadence.frequency == "daily"
    assert profile_of(sqlite, person.key)[0]["cadence"] == "daily"


def test_a_stranger_cannot_change_what_an_active_person_gets(sqlite: Database) -> None:
    key = active(sqlite).key
    before = profile_of(sqlite, key)
    asked = ask(sqlite, now=NOW + DAY, profile=DAILY)
    assert (asked.answer, asked.confirmation) == (Answer.ALREADY_ACTIVE, None)
    assert before == profile_of(sqlite, key)
    assert confirmations(sqlite) == []


def test_two_spellings_of_a_domain_are_one_person(sqlite: Database) -> None:
    first, second = ask(sqlite), ask(sqlite, "ada@EXAMPLE.ORG", NOW + HOUR)
    assert first.subscriber.key == second.subscriber.key


def test_an_address_in_capitals_is_the_same_person_and_is_written_to_as_first_typed(
    db: Database,
) -> None:
    first = ask(db, "Ada@example.org").subscriber
    second = ask(db, "ADA@example.org", NOW + HOUR)
    assert (first.key, Answer.AGAIN) == (second.subscriber.key, second.answer)
    assert confirmations(db) == ["Ada@example.org"] * 2
    subscribe.confirm(db, first.key, NOW + HOUR, "web")
    with pytest.raises(Refused, match="active already"):
        active(db, "ada@example.org")
    assert ask(db, "aDA@example.org", NOW + DAY).answer is Answer.ALREADY_ACTIVE
    assert subscribe.find(db, "ADA@EXAMPLE.ORG").email == "Ada@example.org"


def test_who_left_is_met_again_in_whatever_case_they_come(sqlite: Database, tmp_path: Path) -> None:
    key = active(sqlite, "Ada@example.org").key
    subscribe.end(sqlite, key, EndReason.UNSUBSCRIBED, NOW, "one_click")
    rows = '{"email": "grace@example.org"}\n{"email": "ADA@example.org"}\n'
    report = bring(sqlite, tmp_path / "people.jsonl", rows)
    assert [(bad.line, bad.reason.partition(";")[0]) for bad in report.bad] == [
        (2, "has left (unsubscribed)")
    ]
    assert active(sqlite, "ada@example.org").key == key


def test_an_import_meets_those_who_are_there_in_whatever_case(
    sqlite: Database, tmp_path: Path
) -> None:
    active(sqlite, "Ada@example.org")
    rows = "email\nada@example.org\ngrace@example.org\nGRACE@example.org\n"
    report = bring(sqlite, tmp_path / "people.csv", rows)
    assert (report.known, report.pending) == (1, 1)
    assert [(bad.line, bad.reason) for bad in report.bad] == [(4, "the same address as in line 3")]


def test_asking_at_the_same_instant_twice_makes_one_person(db: Database) -> None:
    answers: list[Answer] = []
    spellings = (ADA, ADA.upper(), ADA.capitalize(), ADA)
    threads = [
        threading.Thread(target=lambda at=one: answers.append(ask(db, at).answer), daemon=True)
        for one in spellings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [Answer.AGAIN] * 3 + [Answer.NEW]
    assert [one.lower() for one in confirmations(db)] == [ADA]


def test_the_first_window_opens_when_the_person_confirms(db: Database) -> None:
    key = ask(db).subscriber.key
    person = subscribe.confirm(db, key, NOW + HOUR, "web")
    assert person.state == SubscriberState.ACTIVE
    assert (
        person.confirmed_at,
        person.window_since,
        person.next_due,
    ) == (NOW + HOUR, NOW + HOUR, MONDAY)


def test_confirming_twice_is_confirming_once(sqlite: Database) -> None:
    key = ask(sqlite).subscriber.key
    first = subscribe.confirm(sqlite, key, NOW + HOUR, "web")
    assert first == subscribe.confirm(sqlite, key, NOW + DAY, "web")
    assert acts(sqlite, key) == [Act.REQUESTED, Act.CONFIRMED]


def test_an_old_confirmation_brings_nobody_back_who_left(sqlite: Database) -> None:
    key = ask(sqlite).subscriber.key
    subscribe.confirm(sqlite, key, NOW, "web")
    subscribe.end(sqlite, key, EndReason.UNSUBSCRIBED, NOW, "one_click")
    with pytest.raises(Refused, match="has left; subscribe again"):
        subscribe.confirm(sqlite, key, NOW + HOUR, "web")


def test_nobody_is_confirmed_by_a_key_that_nobody_has(sqlite: Database) -> None:
    with pytest.raises(Refused, match="no subscriber with key 7"):
        subscribe.confirm(sqlite, 7, NOW, "web")


def test_an_operator_can_vouch_for_somebody(sqlite: Database) -> None:
    person = subscribe.add_confirmed(sqlite, ADA, WEEKLY, NOW, evidence="signed list")
    assert (
        person.state,
        person.window_since,
        person.next_due,
    ) == (SubscriberState.ACTIVE, NOW, MONDAY)
    assert confirmations(sqlite) == []
    assert acts(sqlite, person.key) == [Act.IMPORTED]


def test_an_operator_can_vouch_for_somebody_who_is_pending(sqlite: Database) -> None:
    key = ask(sqlite).subscriber.key
    person = subscribe.add_confirmed(sqlite, ADA, DAILY, NOW + HOUR)
    assert (key, SubscriberState.ACTIVE, "daily") == (
        person.key,
        person.state,
        person.cadence.frequency,
    )


def test_somebody_active_is_not_added_again(sqlite: Database) -> None:
    active(sqlite)
    with pytest.raises(Refused, match="active already"):
        active(sqlite)


def test_windows_of_somebody_who_comes_back_do_not_overlap(sqlite: Database) -> None:
    key = active(sqlite).key
    subscribe.end(sqlite, key, EndReason.ADMIN, NOW + 30 * DAY, "cli")
    person = subscribe.add_confirmed(sqlite, ADA, WEEKLY, NOW, now=NOW + 31 * DAY)
    assert person.window_since == NOW + 31 * DAY


# ---------------------------------------------------------------- staying


def test_a_new_profile_leaves_the_open_window_where_it_was(sqlite: Database) -> None:
    key = active(sqlite).key
    person = subscribe.change(sqlite, key, DAILY, NOW + HOUR, "web")
    assert (person.window_since, person.cadence.frequency) == (NOW, "daily")
    assert acts(sqlite, key) == [Act.IMPORTED, Act.CHANGED]


def test_a_new_cadence_takes_effect_at_its_next_slot(sqlite: Database) -> None:
    key = active(sqlite, profile={"cadence": "monthly", "day": 1, "zone": "UTC"}).key
    later = NOW + 3 * DAY
    person = subscribe.change(sqlite, key, DAILY, later, "web")
    assert datetime(2025, 9, 7, 8, tzinfo=UTC) == person.next_due


def test_a_letter_that_is_overdue_stays_due_under_a_new_cadence(sqlite: Database) -> None:
    key = active(sqlite).key
    later = MONDAY + HOUR
    person = subscribe.change(sqlite, key, DAILY, later, "web")
    assert person.next_due is not None
    assert person.next_due <= later


def test_a_new_profile_with_the_same_cadence_moves_no_date(sqlite: Database) -> None:
    before = active(sqlite)
    person = subscribe.change(sqlite, before.key, WEEKLY + "budget = 5\n", NOW + DAY, "web")
    assert before.next_due == person.next_due


def test_a_wrong_profile_changes_nothing(sqlite: Database) -> None:
    before = active(sqlite)
    with pytest.raises(ProfileError):
        subscribe.change(sqlite, before.key, {"zone": "Mars/Olympus"}, NOW, "web")
    assert before == subscribe.find(sqlite, ADA)


def test_a_pause_moves_the_next_letter_and_keeps_the_window_open(sqlite: Database) -> None:
    key = active(sqlite).key
    until = NOW + 30 * DAY
    person = subscribe.pause(sqlite, key, until, NOW + HOUR, "web")
    assert (SubscriberState.PAUSED, until, NOW, datetime(2025, 10, 6, 8, tzinfo=UTC)) == (
        person.state,
        person.paused_until,
        person.window_since,
        person.next_due,
    )


def test_a_new_cadence_during_a_pause_waits_for_its_end(sqlite: Database) -> None:
    key = active(sqlite).key
    until = NOW + 30 * DAY
    subscribe.pause(sqlite, key, until, NOW, "web")
    person = subscribe.change(sqlite, key, DAILY, NOW + HOUR, "web")
    assert person.next_due is not None
    assert person.next_due >= until


@pytest.mark.parametrize("until", [NOW, NOW - DAY, NOW + 10_000 * DAY])
def test_a_pause_must_end_in_time(sqlite: Database, until: datetime) -> None:
    key = active(sqlite).key
    with pytest.raises(Refused, match="a pause must end between now and in five years"):
        subscribe.pause(sqlite, key, until, NOW, "web")


def test_only_who_gets_letters_can_pause(sqlite: Database) -> None:
    key = ask(sqlite).subscriber.key
    with pytest.raises(Refused, match="is pending; only who gets letters can pause"):
        subscribe.pause(sqlite, key, NOW + DAY, NOW, "web")


def test_pausing_twice_is_pausing_once(sqlite: Database) -> None:
    key = active(sqlite).key
    first = subscribe.pause(sqlite, key, NOW + DAY, NOW, "web")
    assert first == subscribe.pause(sqlite, key, NOW + DAY, NOW, "web")
    assert acts(sqlite, key) == [Act.IMPORTED, Act.PAUSED]


def test_after_resuming_the_next_letter_comes_at_the_next_slot(sqlite: Database) -> None:
    key = active(sqlite).key
    subscribe.pause(sqlite, key, NOW + 60 * DAY, NOW, "web")
    person = subscribe.resume(sqlite, key, MONDAY + DAY, "web")
    assert (
        person.state,
        person.paused_until,
        person.window_since,
        person.next_due,
    ) == (SubscriberState.ACTIVE, None, NOW, MONDAY + 7 * DAY)


def test_resuming_what_is_not_paused_changes_nothing(sqlite: Database) -> None:
    before = active(sqlite)
    assert before == subscribe.resume(sqlite, before.key, NOW + DAY, "web")


def test_who_left_can_neither_pause_nor_resume_nor_change(sqlite: Database) -> None:
    key = active(sqlite).key
    subscribe.end(sqlite, key, EndReason.UNSUBSCRIBED, NOW, "one_click")
    for act in (
        lambda: subscribe.pause(sqlite, key, NOW + DAY, NOW, "web"),
        lambda: subscribe.resume(sqlite, key, NOW, "web"),
        lambda: subscribe.change(sqlite, key, DAILY, NOW, "web"),
    ):
        with pytest.raises(Refused):
            act()


# ---------------------------------------------------------------- leaving


def test_who_leaves_is_owed_nothing_and_the_first_reason_stays(db: Database) -> None:
    key = active(db).key
    subscribe.end(db, key, EndReason.UNSUBSCRIBED, NOW, "one_click", "mail client")
    person = subscribe.end(db, key, EndReason.ADMIN, NOW + DAY, "cli")
    assert (
        person.state,
        person.reason,
        person.next_due,
    ) == (SubscriberState.ENDED, "unsubscribed", None)
    assert acts(db, key) == [Act.IMPORTED, Act.ENDED]


def test_an_unsubscribe_wins_against_a_pause_at_the_same_time(db: Database) -> None:
    key = active(db).key
    leave = threading.Thread(
        target=subscribe.end, args=(db, key, EndReason.UNSUBSCRIBED, NOW, "one_click")
    )
    leave.start()
    with suppress(Refused):
        subscribe.pause(db, key, NOW + DAY, NOW, "web")
    leave.join(30)
    assert subscribe.find(db, ADA).state == SubscriberState.ENDED


def test_a_letter_queued_for_somebody_who_leaves_does_not_go_out(sqlite: Database) -> None:
    key = ask(sqlite).subscriber.key
    subscribe.end(sqlite, key, EndReason.UNSUBSCRIBED, NOW, "web")
    with sqlite.writing() as tx:
        assert deliveries.claim(tx, "me", "t", NOW, NOW + HOUR, 10) == []
    with sqlite.reading() as tx:
        assert [d.state for d in deliveries.listed(tx)] == [DeliveryState.CANCELLED]


def test_somebody_who_left_may_come_back_but_must_confirm_again(sqlite: Database) -> None:
    key = active(sqlite).key
    subscribe.end(sqlite, key, EndReason.UNSUBSCRIBED, NOW, "one_click")
    asked = ask(sqlite, now=NOW + DAY, profile=DAILY)
    assert (key, Answer.NEW, SubscriberState.PENDING, None) == (
        asked.subscriber.key,
        asked.answer,
        asked.subscriber.state,
        asked.subscriber.window_since,
    )
    assert acts(sqlite, key) == [Act.IMPORTED, Act.ENDED, Act.REQUESTED]
    back = subscribe.confirm(sqlite, key, NOW + 2 * DAY, "web")
    assert (back.window_since, back.reason) == (NOW + 2 * DAY, None)


def test_a_confirmation_does_not_lift_a_suppression_only_an_operator_does(
    sqlite: Database,
) -> None:
    with sqlite.writing() as tx:
        people.suppress(tx, ADA, "5.1.1", NOW)
    key = ask(sqlite).subscriber.key
    with sqlite.writing() as tx:
        assert deliveries.claim(tx, "me", "t", NOW, NOW + HOUR, 10) == []
    subscribe.confirm(sqlite, key, NOW, "web")
    with sqlite.reading() as tx:
        assert [d.state for d in deliveries.listed(tx)] == [DeliveryState.SUPPRESSED]
        assert {ADA} == set(people.suppressed(tx, [ADA]))
    with sqlite.writing() as tx:
        assert people.unsuppress(tx, ADA)


# ---------------------------------------------------------------- being forgotten


def a_life(db: Database) -> Subscriber:
    """Somebody who asked, confirmed, got an edition that bounced, rated it, and is suppressed."""
    person = ask(db).subscriber
    subscribe.confirm(db, person.key, NOW, "web", f"clicked as {ADA}")
    with db.writing() as tx:
        papers.remember(tx, "a", [Listing(("arxiv:2509.00001",), "A title")], NOW)
        people.rate(tx, person.key, "arxiv:2509.00001", 1, NOW)
        content = Content((EditionPaper("arxiv:2509.00001", 1, "Flow", 0.5, ()),), 1)
        window = Window(NOW, MONDAY)
        edition = Edition(
            ADA, window, EditionState.QUEUED, MONDAY, None, content, subscriber_key=person.key
        )
        editions.write(tx, [editions.NewEdition(edition, "<d.1@example.org>")])
    with db.writing() as tx:
        claimed = deliveries.claim(tx, "me", "t", MONDAY, MONDAY + HOUR, 10)
        said = f"<{ADA}>: no such user"
        outcome = Outcome(OutcomeKind.REFUSED, Phase.RCPT, 550, "5.1.1", said)
        refused = [
            Settlement(d.key, "t", DeliveryState.FAILED, outcome, "5.1.1", suppress="5.1.1")
            for d in claimed
        ]
        assert len(deliveries.settle(tx, refused, MONDAY)) == 1
    return subscribe.find(db, ADA)


def everything(db: Database) -> str:
    """The whole database as text."""
    from sqlalchemy import select

    from digest.store.tables import metadata

    with db.reading() as tx:
        return "\n".join(
            str(tuple(row)) for table in metadata.sorted_tables for row in tx.execute(select(table))
        )


def test_after_erasing_the_address_is_nowhere(db: Database) -> None:
    person = a_life(db)
    assert ADA in everything(db)
    subscribe.erase(db, person.key, MONDAY + DAY, "cli")
    assert ADA not in everything(db)
    assert "192.0.2.7" not in everything(db)


def test_after_erasing_counts_still_add_up(sqlite: Database) -> None:
    person = a_life(sqlite)
    with sqlite.reading() as tx:
        before = (deliveries.counts(tx), editions.counts(tx), sum(people.count(tx).values()))
    subscribe.erase(sqlite, person.key, MONDAY + DAY, "cli")
    with sqlite.reading() as tx:
        after = (deliveries.counts(tx), editions.counts(tx), sum(people.count(tx).values()))
    assert before == after


def test_erasing_twice_is_erasing_once(sqlite: Database) -> None:
    key = a_life(sqlite).key
    first = subscribe.erase(sqlite, key, MONDAY, "cli")
    assert first == subscribe.erase(sqlite, key, MONDAY + DAY, "cli")
    assert acts(sqlite, key) == [Act.REQUESTED, Act.CONFIRMED, Act.ERASED]


def test_somebody_forgotten_comes_back_as_somebody_new(sqlite: Database) -> None:
    key = a_life(sqlite).key
    subscribe.erase(sqlite, key, MONDAY, "cli")
    assert key != ask(sqlite, now=MONDAY + DAY).subscriber.key


# ---------------------------------------------------------------- export


def test_an_export_tells_everything_as_plain_data(sqlite: Database) -> None:
    a_life(sqlite)
    told = json.loads(json.dumps(subscribe.export(sqlite, ADA)))
    assert told["subscriber"]["email"] == ADA
    assert told["profile_text"] == WEEKLY
    assert [line["act"] for line in told["consent"]] == ["requested", "confirmed"]
    assert told["feedback"]["likes"] == ["arxiv:2509.00001"]
    assert len(told["feedback"]["liked_at"]) == 1
    assert [paper["id"] for paper in told["editions"][0]["papers"]] == ["arxiv:2509.00001"]
    assert [letter["state"] for letter in told["deliveries"]] == ["failed", "cancelled"]
    assert [f"<{ADA}>: no such user"] == [t["text"] for t in told["deliveries"][0]["tries"]]
    assert [one["reason"] for one in told["suppressed"]] == ["5.1.1"]


def test_nobody_is_exported_who_is_not_there(sqlite: Database) -> None:
    with pytest.raises(Refused, match=r"no subscriber eve@example\.org; see `digest subscriber"):
        subscribe.export(sqlite, "eve@example.org")


# ---------------------------------------------------------------- import


def bring(db: Database, path: Path, text: str | bytes, now: datetime = NOW) -> subscribe.Imported:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return subscribe.import_people(db, POST, path, now)


def test_a_json_row_with_consent_is_active_from_when_they_confirmed(
    db: Database, tmp_path: Path
) -> None:
    row = {
        "email": "Ada@EXAMPLE.org",
        "profile": {"cadence": "daily", "hour": 7, "zone": "Europe/Berlin", "budget": 3},
        "confirmed_at": "2025-09-01T00:00:00Z",
        "consent": "sign-up sheet of 2025",
    }
    report = bring(db, tmp_path / "people.jsonl", json.dumps(row))
    person = subscribe.find(db, "Ada@example.org")
    assert (report.added, report.pending, report.bad) == (1, 0, ())
    assert (datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 9, 1, 5, tzinfo=UTC)) == (
        person.window_since,
        person.next_due,
    )
    with db.reading() as tx:
        (line,) = people.consents(tx, person.key)
    assert (line.act, line.evidence) == (Act.IMPORTED, "sign-up sheet of 2025")


def test_a_row_without_consent_is_asked_to_confirm(sqlite: Database, tmp_path: Path) -> None:
    report = bring(sqlite, tmp_path / "people.jsonl", '{"email": "ada@example.org"}\n')
    assert (report.added, report.pending) == (0, 1)
    assert confirmations(sqlite) == [ADA]


def test_a_csv_row_becomes_a_profile(sqlite: Database, tmp_path: Path) -> None:
    text = (
        "email,confirmed_at,cadence,zone,terms,categories,authors,seeds,consent\n"
        'ada@example.org,2025-09-01,daily,Asia/Tokyo,"graphs, wide; distillation^2",'
        'cs.LG;stat.ML,"Song, Yang; Wei Wang (with: A B; cat: cs); O\'Hara, Ada",'
        "arxiv:2410.16794,by letter\n"
    )
    report = bring(sqlite, tmp_path / "people.csv", text)
    document, _ = profile_of(sqlite, subscribe.find(sqlite, ADA).key)
    assert (report.added, report.bad) == (1, ())
    assert document["interest"] == [
        {
            "name": "Your interests",
            "query": "cat:cs.LG OR cat:stat.ML",
            "terms": ["graphs, wide", "distillation^2"],
            "seeds": ["arxiv:2410.16794"],
        }
    ]
    followed = ["Song, Yang", "Wei Wang (with: A B; cat: cs)", "O'Hara, Ada"]
    assert document["follow"] == {"authors": followed}
    assert (document["cadence"], document["zone"]) == ("daily", "Asia/Tokyo")


def test_csv_columns_may_come_in_any_order_and_most_may_be_missing(
    sqlite: Database, tmp_path: Path
) -> None:
    text = "\ufeffTerms,Email\r\ngraphs,ada@example.org\r\n\r\n,eve@example.org\r\n"
    report = bring(sqlite, tmp_path / "people.csv", text)
    assert (report.pending, report.bad) == (2, ())


def test_bad_json_rows_are_listed_with_their_line_and_the_rest_goes_in(
    sqlite: Database, tmp_path: Path
) -> None:
    rows = [
        b'{"email": "ada@example.org"}',
        b"",
        b"not json",
        b'["ada@example.org"]',
        b'{"mail": "x@example.org"}',
        b'{"email": "nobody"}',
        b'{"email": "x@example.org", "profile": {"cadence": "hourly"}}',
        b'{"email": "x@example.org", "profile": []}',
        b'{"email": "x@example.org", "profile": "weekly"}',
        b'{"email": "x@example.org", "confirmed_at": "yesterday"}',
        b'{"email": "x@example.org", "consent": 7}',
        b'{"email": "ada@EXAMPLE.org"}',
        b'{"email": "\xff@example.org"}',
        b'{"email": "x@example.org\\nBcc: y@example.org"}',
        b'{"email": 7}',
        b"[" * 100_000,
        b'{"email": "eve@example.org"}',
    ]
    report = bring(sqlite, tmp_path / "people.jsonl", b"\n".join(rows))
    assert report.pending == 2
    told = {bad.line: bad.reason for bad in report.bad}
    assert list(told) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    assert told[5].startswith("unknown key mail; known: confirmed_at, consent, email, profile")
    assert told[12] == "the same address as in line 1"
    assert told[13] == "not UTF-8"
    assert told[10] == "confirmed_at 'yesterday': must be a time as in 2025-09-01T08:00:00Z"


def test_bad_csv_rows_are_listed_with_their_line_and_the_rest_goes_in(
    sqlite: Database, tmp_path: Path
) -> None:
    rows = [
        b"email,cadence,zone,terms,categories",
        b"ada@example.org,weekly,,,",
        b"x@example.org,hourly,,,",
        b"x@example.org,weekly,Mars/Olympus,,",
        b'x@example.org,weekly,,,"cs.LG) OR (cat:*"',
        b"x@example.org,weekly,,,,,,",
        b"\xff@example.org,weekly,,,",
        b"nobody,weekly,,,",
        b'x@example.org,"weekly"x,,,',
        b"eve@example.org,,,,",
    ]
    report = bring(sqlite, tmp_path / "people.csv", b"\n".join(rows))
    assert report.pending == 2
    assert [bad.line for bad in report.bad] == [3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("people.csv", "name,terms\nAda,x\n", "no column email in line 1; known: email,"),
        ("people.csv", "email,termz\na@example.org,x\n", "unknown column 'termz' in line 1"),
        ("people.csv", "", "no column email in line 1"),
        ("people.xlsx", "", "must end in .csv or .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_refused(
    sqlite: Database, tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        bring(sqlite, tmp_path / name, text)


def test_importing_a_file_twice_does_nothing_the_second_time(
    sqlite: Database, tmp_path: Path
) -> None:
    text = "email,confirmed_at\nada@example.org,2025-09-01\neve@example.org,\n"
    bring(sqlite, tmp_path / "people.csv", text)
    before = everything(sqlite)
    report = bring(sqlite, tmp_path / "people.csv", text, NOW + DAY)
    assert (report.added, report.pending, report.known, report.bad) == (0, 0, 2, ())
    assert before == everything(sqlite)


def test_an_import_does_not_bring_back_who_left(sqlite: Database, tmp_path: Path) -> None:
    key = active(sqlite).key
    subscribe.end(sqlite, key, EndReason.UNSUBSCRIBED, NOW, "one_click")
    report = bring(sqlite, tmp_path / "p.csv", "email,confirmed_at\nada@example.org,2025-09-01\n")
    assert [b.reason for b in report.bad] == ["has left (unsubscribed); must ask again themselves"]
    assert subscribe.find(sqlite, ADA).state == SubscriberState.ENDED


def test_a_long_file_goes_in_by_batches_and_tells_how_far_it_is(
    sqlite: Database, tmp_path: Path
) -> None:
    path, done = tmp_path / "people.csv", []
    lines = [f"p{n}@example.org,2025-09-01,graphs {n}" for n in range(1200)]
    path.write_text("\n".join(["email,confirmed_at,terms", *lines]))
    report = subscribe.import_people(sqlite, POST, path, NOW, lambda n, _: done.append(n))
    assert (report.added, done) == (1200, [500, 1000, 1200])
