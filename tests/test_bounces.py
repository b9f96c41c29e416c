"""A report is recorded once, under its hash, and what follows from it is done with it."""

from __future__ import annotations

import logging

import pytest
import returning
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from returning import (
    LINKS,
    NOW,
    PAPER,
    Sent,
    away,
    bounce,
    complaint,
    desk,
    dsn,
    failed,
    now,
    reader,
    sent,
    suppressed,
)

from digest.bounces import Effect, Kind, Taken, Weight
from digest.bounces import record as recording
from digest.errors import Broken
from digest.links import Purpose
from digest.model import (
    Act,
    DeliveryState,
    EndReason,
    LetterKind,
    Outcome,
    OutcomeKind,
    Phase,
    Settlement,
    SubscriberState,
)
from digest.store import Database, deliveries, editions, people, reports
from digest.store.reports import Kept

ACCEPTED, BOUNCED, COMPLAINED = (
    *(DeliveryState.ACCEPTED, DeliveryState.BOUNCED, DeliveryState.COMPLAINED),
)


def take(db: Database, raw: bytes) -> Taken:
    return desk(db).take(raw, "test")


def effects(taken: Taken) -> list[str]:
    return [part.effect for part in taken.parts]


def kept(db: Database) -> list[Kept]:
    with db.reading() as tx:
        return reports.listed(tx)


def person(db: Database, letter: Sent):
    with db.reading() as tx:
        return people.by_key(tx, letter.person.key)


def last_act(db: Database, letter: Sent) -> tuple[Act, str]:
    with db.reading() as tx:
        line = people.consents(tx, letter.person.key)[-1]
    return line.act, line.door


def received(db: Database, letter: Sent) -> frozenset[str]:
    with db.reading() as tx:
        return editions.received(tx, [letter.person.key]).get(letter.person.key, frozenset())


def many(db: Database, number: int) -> list[Sent]:
    """So many letters to one person, the oldest first."""
    ada = reader(db)
    return [sent(db, ada, days_ago=number - n) for n in range(number)]


# ------------------------------------------------------------------ hard


def test_one_hard_bounce_stops_the_address_and_marks_the_letter(db: Database) -> None:
    letter = sent(db)
    taken = take(db, bounce(letter))
    assert effects(taken) == [Effect.SUPPRESSED]
    assert suppressed(db) == "bounced"
    assert (now(db, letter).state, now(db, letter).reason) == (BOUNCED, "hard")


def test_somebody_whose_letters_bounce_is_still_a_subscriber(sqlite: Database) -> None:
    letter = sent(sqlite)
    take(sqlite, bounce(letter))
    assert person(sqlite, letter).state is SubscriberState.ACTIVE


def test_papers_of_a_letter_that_bounced_may_come_again(sqlite: Database) -> None:
    letter = sent(sqlite)
    before = received(sqlite, letter)
    take(sqlite, bounce(letter, "5.2.2"))
    assert (before, received(sqlite, letter)) == (frozenset({PAPER}), frozenset())


@pytest.mark.parametrize("server", ["postfix", "exim", "exchange", "gmail", "qmail", "ses"])
def test_every_servers_report_stops_the_address(sqlite: Database, server: str) -> None:
    letter = sent(sqlite)
    take(sqlite, getattr(returning, server)(letter))
    assert (suppressed(sqlite), now(sqlite, letter).state) == ("bounced", BOUNCED)


def test_a_letters_id_is_proof_enough(sqlite: Database) -> None:
    letter = sent(sqlite)
    raw = bounce(letter).replace(letter.verp.encode(), b"digest@example.org")
    assert effects(take(sqlite, raw)) == [Effect.SUPPRESSED]


def test_a_return_address_in_capitals_leads_to_its_letter(sqlite: Database) -> None:
    letter = sent(sqlite)
    raw = dsn(letter.verp.upper(), failed(letter.to, "5.1.1", "550 no"))
    assert effects(take(sqlite, raw)) == [Effect.SUPPRESSED]


def test_a_letter_that_was_never_sent_to_the_end_may_bounce(db: Database) -> None:
    """The report may be quicker than our own record of the relay's answer."""
    letter = sent(db, state=DeliveryState.SENDING)
    take(db, bounce(letter))
    outcome = Outcome(OutcomeKind.ACCEPTED, Phase.DOT, 250, None, "ok")
    with db.writing() as tx:
        settlement = Settlement(letter.letter.key, "t", ACCEPTED, outcome)
        assert deliveries.settle(tx, [settlement], NOW) == frozenset()
    assert now(db, letter).state is BOUNCED


@pytest.mark.parametrize("state", ["failed", "expired", "cancelled", "suppressed", "complained"])
def test_a_letter_that_ended_otherwise_keeps_its_end(sqlite: Database, state: str) -> None:
    letter = sent(sqlite, state=DeliveryState(state))
    take(sqlite, bounce(letter))
    assert now(sqlite, letter).state == state


def test_a_confirmation_may_bounce(sqlite: Database) -> None:
    ada = reader(sqlite)
    with sqlite.writing() as tx:
        id_ = LINKS.message_id("confirmation", "1", "example.org")
        key = deliveries.enqueue(tx, LetterKind.CONFIRMATION, ada.key, ada.email, id_, NOW)
        letter = Sent(ada, deliveries.get(tx, key))
    assert effects(take(sqlite, bounce(letter))) == [Effect.SUPPRESSED]


# ------------------------------------------------------------------ soft


def test_three_of_the_last_five_sends_stop_an_address(db: Database) -> None:
    letters = many(db, 5)
    found = [effects(take(db, bounce(letters[n], "5.2.2")))[0] for n in (0, 2, 4)]
    assert found == [Effect.BOUNCED, Effect.BOUNCED, Effect.SUPPRESSED]
    assert suppressed(db) == "soft_bounces"


def test_sends_are_counted_and_not_days(sqlite: Database) -> None:
    ada = reader(sqlite)
    letters = [sent(sqlite, ada, days_ago=days) for days in (900, 400, 0)]
    for letter in letters:
        take(sqlite, bounce(letter, "5.2.2"))
    assert suppressed(sqlite) == "soft_bounces"


def test_what_bounced_before_the_last_five_sends_is_forgiven(sqlite: Database) -> None:
    letters = many(sqlite, 8)
    for n in (0, 1, 2, 7):
        if n == 2:
            continue
        take(sqlite, bounce(letters[n], "5.2.2"))
    take(sqlite, bounce(letters[5], "5.2.2"))
    assert suppressed(sqlite) is None


def test_the_same_letter_counts_once_however_often_it_is_reported(sqlite: Database) -> None:
    letter = many(sqlite, 5)[-1]
    for text in ("552 full", "552 still full", "552 full again", "552 and again"):
        take(sqlite, bounce(letter, "5.2.2", text))
    assert (suppressed(sqlite), len(kept(sqlite))) == (None, 4)


def test_an_address_that_an_operator_trusts_again_begins_anew(sqlite: Database) -> None:
    letters = many(sqlite, 5)
    for letter in letters[:3]:
        take(sqlite, bounce(letter, "5.2.2"))
    with sqlite.writing() as tx:
        assert people.unsuppress(tx, "ada@example.com")
    take(sqlite, bounce(letters[3], "5.2.2"))
    assert suppressed(sqlite) is None
    assert [one.told.weight for one in kept(sqlite)] == [Weight.SOFT, *[Weight.FORGIVEN] * 3]


@pytest.mark.parametrize("status", ["5.1.1", "5.2.2"])
def test_what_was_forgiven_is_not_held_against_an_address_by_a_second_report(
    db: Database, status: str
) -> None:
    letter = sent(db)
    take(db, bounce(letter))
    with db.writing() as tx:
        people.unsuppress(tx, letter.to)
    [told] = take(db, bounce(letter, status, "550 once more, by another door")).parts
    assert (told.weight, suppressed(db)) == (Weight.FORGIVEN, None)


def test_a_failure_where_a_letter_was_forwarded_counts_and_marks_nothing(sqlite: Database) -> None:
    letter = sent(sqlite)
    raw = dsn(letter.verp, failed("ada@elsewhere.example", "5.1.1", "550 no"), letter.headers)
    assert effects(take(sqlite, raw)) == [Effect.COUNTED]
    assert (now(sqlite, letter).state, received(sqlite, letter)) == (ACCEPTED, {PAPER})


def test_an_alias_for_our_address_is_our_address(sqlite: Database) -> None:
    letter = sent(sqlite)
    fields = failed("ada.l@internal.example", "5.1.1", "550 no").replace(
        "Action:", f"Original-Recipient: rfc822;{letter.to}\nAction:"
    )
    assert effects(take(sqlite, dsn(letter.verp, fields))) == [Effect.SUPPRESSED]


# ------------------------------------------------------------------ neither


def test_a_delay_is_recorded_and_nothing_else(db: Database) -> None:
    letter = sent(db)
    taken = take(db, bounce(letter, "4.4.1", action="delayed"))
    assert (effects(taken), now(db, letter).state) == ([Effect.NONE], ACCEPTED)
    assert [(one.told.kind, one.told.weight) for one in kept(db)] == [(Kind.DELAY, Weight.NONE)]


@pytest.mark.parametrize("status", ["5.7.1", "5.7.26", "4.7.1", "5.6.0", "5.3.4"])
def test_what_is_our_fault_never_stops_an_address_however_often(
    sqlite: Database, status: str
) -> None:
    letters = many(sqlite, 5)
    for letter in letters:
        take(sqlite, bounce(letter, status, "550 go away"))
    assert suppressed(sqlite) is None
    assert {now(sqlite, letter).state for letter in letters} == {BOUNCED}


def test_an_operator_is_told_of_a_policy_bounce_without_whom_it_was_about(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    letter = sent(sqlite)
    with caplog.at_level(logging.WARNING, "digest.bounces"):
        take(sqlite, bounce(letter, "5.7.1", "550 5.7.1 ada@example.com: we do not like you"))
    [line] = caplog.messages
    assert line == "bounce policy 5.7.1 by test, letter 1; see `digest bounce list`"


@pytest.mark.parametrize("answer", ["away", "challenge"])
def test_who_is_away_is_not_gone(sqlite: Database, answer: str) -> None:
    letter = sent(sqlite)
    taken = take(sqlite, getattr(returning, answer)(letter))
    assert (effects(taken), suppressed(sqlite)) == ([Effect.NONE], None)
    assert now(sqlite, letter).state is ACCEPTED


# ------------------------------------------------------------------ proof


def test_a_forged_return_address_is_listed_and_nothing_follows(db: Database) -> None:
    letter = sent(db)
    forged = f"b+{letter.letter.key}.{'a' * 32}@bounces.example.org"
    raw = dsn(forged, failed(letter.to, "5.1.1", "550 no"), letter.headers)
    taken = take(db, raw)
    assert (taken.kind, effects(taken)) == (Kind.FORGED, [Effect.LISTED])
    assert (suppressed(db), now(db, letter).state) == (None, ACCEPTED)
    assert [one.told.kind for one in kept(db)] == [Kind.FORGED]


def test_another_letters_signature_does_not_fit(sqlite: Database) -> None:
    ada, bob = sent(sqlite), sent(sqlite, reader(sqlite, "bob@example.com"))
    signature = ada.verp.partition(".")[2]
    raw = dsn(f"b+{bob.letter.key}.{signature}", failed(bob.to, "5.1.1", "550 no"))
    assert take(sqlite, raw).kind is Kind.FORGED


def test_a_token_for_another_purpose_does_not_fit(sqlite: Database) -> None:
    letter = sent(sqlite)
    token = LINKS.token(Purpose.LEAVE_BY_MAIL, letter.letter.key)
    raw = dsn(f"b+{token}@bounces.example.org", failed(letter.to, "5.1.1", "550 no"))
    assert take(sqlite, raw).kind is Kind.FORGED


def test_who_merely_names_an_address_is_hardly_believed(db: Database) -> None:
    letter = sent(db)
    stranger = dsn("digest@example.org", failed(letter.to, "5.1.1", "550 no such user"))
    assert effects(take(db, stranger)) == [Effect.COUNTED]
    assert (suppressed(db), now(db, letter).state) == (None, ACCEPTED)


def test_three_reports_that_merely_name_an_address_about_three_letters_are_believed(
    sqlite: Database,
) -> None:
    ada = reader(sqlite)
    for days_ago in (2, 1, 0):
        letter = sent(sqlite, ada, days_ago)
        text = f"550 no such user, {days_ago}"
        take(sqlite, dsn("digest@example.org", failed(letter.to, "5.1.1", text)))
    assert suppressed(sqlite) == "soft_bounces"


def test_any_number_of_forged_reports_about_one_letter_count_once(sqlite: Database) -> None:
    letter = sent(sqlite)
    for number in range(10):
        text = f"550 no such user, {number}"
        take(sqlite, dsn("digest@example.org", failed(letter.to, "5.1.1", text)))
    assert suppressed(sqlite) is None


def test_a_report_about_nobody_we_know_is_listed(sqlite: Database) -> None:
    raw = dsn("digest@example.org", failed("eve@example.net", "5.1.1", "550 no"))
    assert effects(take(sqlite, raw)) == [Effect.LISTED]
    assert suppressed(sqlite, "eve@example.net") is None


# ------------------------------------------------------------------ complaints and goodbyes


def test_a_complaint_ends_the_subscription(db: Database) -> None:
    letter = sent(db)
    assert effects(take(db, complaint(letter))) == [Effect.ENDED]
    ada = person(db, letter)
    assert (ada.state, ada.reason) == (SubscriberState.ENDED, EndReason.COMPLAINED)
    assert (suppressed(db), now(db, letter).state) == ("complained", COMPLAINED)
    assert last_act(db, letter) == (Act.ENDED, "mail")


def test_a_stranger_cannot_complain_for_somebody(sqlite: Database) -> None:
    letter = sent(sqlite)
    told = f"Original-Rcpt-To: {letter.to}\n"
    raw = complaint(letter, told=told).replace(letter.headers.encode(), b"Subject: x\n")
    assert effects(take(sqlite, raw)) == [Effect.LISTED]
    assert person(sqlite, letter).state is SubscriberState.ACTIVE


def test_who_says_that_it_is_no_spam_stays(sqlite: Database) -> None:
    letter = sent(sqlite)
    take(sqlite, complaint(letter, "not-spam"))
    assert person(sqlite, letter).state is SubscriberState.ACTIVE


def test_a_second_complaint_about_one_letter_ends_no_new_subscription(db: Database) -> None:
    letter = sent(db)
    take(db, complaint(letter))
    with db.writing() as tx:
        people.unsuppress(tx, letter.to)
        people.request_again(tx, letter.person.key, NOW)
        people.confirm(tx, letter.person.key, NOW, NOW)
    again = complaint(letter).replace(b"Feedback-Type: abuse", b"Feedback-Type: fraud")
    assert effects(take(db, again)) == [Effect.NONE]
    assert (person(db, letter).state, suppressed(db)) == (SubscriberState.ACTIVE, None)


def test_who_left_before_complaining_keeps_the_first_reason(sqlite: Database) -> None:
    letter = sent(sqlite)
    with sqlite.writing() as tx:
        people.end(tx, letter.person.key, EndReason.UNSUBSCRIBED)
    take(sqlite, complaint(letter))
    assert person(sqlite, letter).reason == EndReason.UNSUBSCRIBED


def goodbye(letter: Sent, to: str = "") -> bytes:
    to = to or letter.unsub
    return f"From: {letter.to}\nTo: <{to}>\nSubject: unsubscribe\n\n".encode()


def test_mail_to_the_lists_own_address_unsubscribes(db: Database) -> None:
    letter = sent(db)
    assert effects(take(db, goodbye(letter))) == [Effect.ENDED]
    ada = person(db, letter)
    assert (ada.state, ada.reason) == (SubscriberState.ENDED, EndReason.UNSUBSCRIBED)
    assert last_act(db, letter) == (Act.ENDED, "mail")


def test_one_mail_to_two_addresses_unsubscribes_both(sqlite: Database) -> None:
    ada, bob = sent(sqlite), sent(sqlite, reader(sqlite, "bob@example.com"))
    raw = f"From: a@b.example\nTo: {ada.unsub}, {bob.unsub}, {ada.unsub}\n\nstop\n".encode()
    assert effects(take(sqlite, raw)) == [Effect.ENDED, Effect.ENDED]
    assert {person(sqlite, one).state for one in (ada, bob)} == {SubscriberState.ENDED}


def test_mail_programs_that_unsubscribe_by_themselves_are_believed(sqlite: Database) -> None:
    letter = sent(sqlite)
    take(sqlite, b"Auto-Submitted: auto-generated\n" + goodbye(letter))
    assert person(sqlite, letter).state is SubscriberState.ENDED


def test_a_forged_goodbye_is_listed(sqlite: Database) -> None:
    letter = sent(sqlite)
    taken = take(sqlite, goodbye(letter, f"unsub+{letter.person.key}.{'a' * 32}@x"))
    assert taken.kind is Kind.FORGED
    assert person(sqlite, letter).state is SubscriberState.ACTIVE


def test_a_return_address_unsubscribes_nobody(sqlite: Database) -> None:
    letter = sent(sqlite)
    take(sqlite, goodbye(letter, letter.verp))
    assert person(sqlite, letter).state is SubscriberState.ACTIVE


def test_an_opt_out_by_a_provider_unsubscribes(sqlite: Database) -> None:
    letter = sent(sqlite)
    take(sqlite, complaint(letter, "opt-out"))
    assert person(sqlite, letter).reason == EndReason.UNSUBSCRIBED


def test_a_goodbye_is_the_first_and_last_reason(sqlite: Database) -> None:
    letter = sent(sqlite)
    take(sqlite, goodbye(letter))
    with sqlite.reading() as tx:
        lines = len(people.consents(tx, letter.person.key))
    take(sqlite, goodbye(letter) + b"please!\n")
    with sqlite.reading() as tx:
        assert lines == len(people.consents(tx, letter.person.key))


# ------------------------------------------------------------------ once, and whole or not at all


def everything(db: Database) -> list[str]:
    names = ("subscribers", "consents", "suppressions", "deliveries", "received", "reports")
    with db.reading() as tx:
        return [str(tx.exec_driver_sql(f"SELECT * FROM {name}").all()) for name in names]


@pytest.mark.parametrize("make", [bounce, complaint, away, goodbye])
def test_the_same_report_twice_does_nothing(db: Database, make) -> None:
    raw = make(sent(db))
    take(db, raw)
    before = everything(db)
    again = desk(db).take(raw.replace(b"\n", b"\r\n"), "elsewhere")
    assert (list(again.parts), everything(db)) == ([], before)


def test_a_failure_in_the_midst_leaves_nothing_behind(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = bounce(sent(db))
    before = everything(db)

    def pulled(*_: object) -> None:
        raise Broken("somebody pulled the plug")

    monkeypatch.setattr(recording.reports, "finish", pulled)
    with pytest.raises(Broken):
        take(db, raw)
    monkeypatch.undo()
    assert everything(db) == before
    assert effects(take(db, raw)) == [Effect.SUPPRESSED]


@pytest.mark.postgres
def test_a_report_that_two_take_at_once_is_done_once(postgres_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from postgres import fresh_database

    db = Database(fresh_database(postgres_url))
    try:
        letters = many(db, 5)
        raws = [bounce(letter, "5.2.2") for letter in letters] * 4
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda raw: take(db, raw), raws))
        assert (len(kept(db)), sum(bool(one.parts) for one in taken)) == (5, 5)
        assert suppressed(db) == "soft_bounces"
    finally:
        db.dispose()


def test_what_several_recipients_are_told_of_is_kept_in_parts(sqlite: Database) -> None:
    letter = sent(sqlite)
    fields = failed(letter.to, "5.2.2", "full") + (
        "\nFinal-Recipient: rfc822; ada@elsewhere.example\nAction: delayed\nStatus: 4.4.1\n"
    )
    taken = take(sqlite, dsn(letter.verp, fields))
    assert [(part.weight, part.effect) for part in taken.parts] == [
        (Weight.SOFT, Effect.BOUNCED),
        (Weight.NONE, Effect.NONE),
    ]
    assert len(kept(sqlite)) == 2


PIECES = st.sampled_from(
    [
        *(b"\n", b"\n\n", b"\0", b"\xff", b"\xed\xa0\x80", b"--b", b"--b--", b"+00", b"\\x{0}"),
        b'Content-Type: multipart/report; boundary="b"',
        *(b"Content-Type: message/delivery-status", b"Content-Type: message/feedback-report"),
        *(b"From: MAILER-DAEMON@x", b"Final-Recipient: utf-8; a\\x{0}@b.c", b"Status: 5.1.1"),
        *(b"Original-Envelope-Id: a+00b@c", b"Message-ID: <a\0@b>", b"Feedback-Type: \0"),
        *(b"To: ada@example.com", b"Final-Recipient: rfc822; ada@example.com", b"Subject: \0\xff"),
        *(b"Diagnostic-Code: smtp; \0 550 5.2.2", b"Original-Rcpt-To: ada@example.com"),
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=12)), min_size=1, max_size=30))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_comes_every_database_takes_it(db: Database, pieces: list[bytes]) -> None:
    """Also bytes that PostgreSQL would refuse."""
    taken = desk(db).take(b"\n".join(pieces), "pipe", keep_raw=True)
    assert taken.kind in Kind


# ------------------------------------------------------------------ what is kept, and forgotten


def test_a_control_in_an_address_that_heuristics_find_reaches_no_database(db: Database) -> None:
    raw = (
        b"Return-Path: <>\nFrom: MAILER-DAEMON@mx\nTo: x@example.org\nSubject: failure notice\n\n"
        b"Hi. This is the qmail-send program at mx.\n\n"
        b"<ada@exam\0ple.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        b"--- Below this line is a copy of the message.\n"
    )
    [told] = desk(db).take(raw, "maildir").parts
    assert (told.kind, told.effect) == (Kind.BOUNCE, Effect.LISTED)


def test_what_nobody_understands_is_kept_only_where_no_mailbox_keeps_it(sqlite: Database) -> None:
    raw = b"From: bob@example.net\nSubject: Hello\n\nDear daemon\n"
    desk(sqlite).take(raw, "pipe", keep_raw=True)
    desk(sqlite).take(raw + b".\n", "maildir")
    with sqlite.reading() as tx:
        assert [reports.get(tx, key)[1] for key in (1, 2)] == [raw, None]


def test_what_is_taken_out_of_a_mailbox_and_wants_to_be_looked_at_is_kept(
    sqlite: Database,
) -> None:
    raw = dsn("x@example.org", failed("nobody@example.com", "5.1.1", "550 who?"))
    [told] = desk(sqlite).take(raw, "maildir").parts
    with sqlite.reading() as tx:
        assert (told.effect, reports.get(tx, 1)[1]) == (Effect.LISTED, raw)


def test_a_flood_of_rubbish_does_not_fill_the_disk(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_KEPT", 3)
    for number in range(10):
        raw = f"From: x@example.net\nSubject: {number}\n\nbuy\n".encode()
        desk(db).take(raw, "pipe", keep_raw=True)
    with db.reading() as tx:
        found = reports.listed(tx)
        assert [reports.get(tx, one.key)[1] is not None for one in found] == [
            *(*[True] * 3, *[False] * 7),
        ]


def test_a_report_about_somebody_forgotten_is_not_kept(sqlite: Database) -> None:
    letter = sent(sqlite, state=COMPLAINED)
    with sqlite.writing() as tx:
        people.erase(tx, letter.person.key)
    [told] = desk(sqlite).take(bounce(letter, "5.7.1"), "pipe", keep_raw=True).parts
    with sqlite.reading() as tx:
        assert (told.effect, reports.get(tx, 1)[1]) == (Effect.LISTED, None)


def test_what_is_understood_is_not_kept(sqlite: Database) -> None:
    desk(sqlite).take(bounce(sent(sqlite)), "pipe", keep_raw=True)
    with sqlite.reading() as tx:
        assert reports.get(tx, 1)[1] is None


def test_being_forgotten_includes_what_came_back(db: Database) -> None:
    letter = sent(db)
    take(db, bounce(letter, text="550 5.1.1 ada@example.com is unknown"))
    desk(db).take(b"From: ADA@example.com\nSubject: hm\n\nx\n", "pipe", keep_raw=True)
    with db.writing() as tx:
        people.erase(tx, letter.person.key)
    assert "ada" not in str([one.told for one in kept(db)])
    with db.reading() as tx:
        assert [reports.get(tx, one.key)[1] for one in kept(db)] == [None, None]


def test_a_report_about_somebody_forgotten_brings_nothing_back(db: Database) -> None:
    letter = sent(db)
    raw = bounce(letter, text="550 5.1.1 ada@example.com is unknown")
    with db.writing() as tx:
        people.erase(tx, letter.person.key)
    take(db, raw)
    take(db, raw.replace(b"rfc822; ada@example.com", b"LOCAL; ada"))
    assert "ada" not in str([one.told for one in kept(db)])
    with db.reading() as tx:
        assert people.suppressions(tx) == []


def test_counts_tell_what_came_back(sqlite: Database) -> None:
    letters = many(sqlite, 3)
    for letter, status in zip(letters, ("5.2.2", "5.7.1", "5.7.1"), strict=True):
        take(sqlite, bounce(letter, status))
    take(sqlite, away(letters[0]))
    with sqlite.reading() as tx:
        found = reports.counts(tx, NOW)
    assert found == {"bounce policy": 2, "bounce soft": 1, "reply": 1}
