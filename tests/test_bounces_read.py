"""What a message to our bounce address says: every server's shape, and every hostile one."""

from __future__ import annotations

import time

import pytest
import returning
from hypothesis import given, settings
from hypothesis import strategies as st
from returning import Sent, bounce, complaint, dsn, failed, sent

from digest.bounces.dsn import address, status, statuses_in
from digest.bounces.mime import LARGEST, message, walk
from digest.bounces.policy import Weight, code_of, weigh
from digest.bounces.read import fingerprint, read
from digest.bounces.report import Failure, Kind
from digest.store import Database

SERVERS = ("postfix", "exim", "exchange", "gmail", "qmail", "ses", "sendmail")


@pytest.fixture
def letter(sqlite: Database) -> Sent:
    return sent(sqlite)


def token(letter: Sent) -> str:
    return letter.verp.removeprefix("b+").partition("@")[0]


# ------------------------------------------------------------------ servers


@pytest.mark.parametrize("server", SERVERS)
def test_every_servers_report_is_read(letter: Sent, server: str) -> None:
    report = read(getattr(returning, server)(letter))
    [failure] = report.failures
    assert report.kind is Kind.BOUNCE
    assert (failure.recipient, weigh(failure)) == ("ada@example.com", Weight.HARD)
    assert code_of(failure).startswith("5.1.1")


@pytest.mark.parametrize("server", SERVERS)
def test_every_servers_report_leads_to_its_letter(letter: Sent, server: str) -> None:
    report = read(getattr(returning, server)(letter))
    assert report.tokens == (token(letter),)


@pytest.mark.parametrize("server", ["postfix", "exim", "exchange", "gmail", "qmail", "sendmail"])
def test_without_a_return_address_of_its_own_a_letter_is_known_by_its_id(
    letter: Sent, server: str
) -> None:
    raw = getattr(returning, server)(letter).replace(letter.verp.encode(), b"digest@example.org")
    report = read(raw)
    assert (report.tokens, report.traces) == ((), ())
    assert letter.letter.message_id in report.message_ids


def test_the_envelopes_recipient_counts_where_the_headers_hide_it(letter: Sent) -> None:
    raw = bounce(letter).replace(f"To: {letter.verp}".encode(), b"To: undisclosed:;", 1)
    assert read(raw, [letter.verp]).tokens == (token(letter),)


def test_the_envelopes_id_is_enough(letter: Sent) -> None:
    """We give ours with the letter (RFC 3461); servers keep it where they keep nothing else."""
    id_ = letter.letter.message_id.strip("<>").replace("+", "+2B").replace("=", "+3D")
    fields = f"Original-Envelope-Id: {id_}\n" + failed(letter.to, "5.1.1", "550 no")
    assert read(dsn("us", fields)).message_ids == (letter.letter.message_id,)


@pytest.mark.parametrize("name", ["Delivered-To", "X-Original-To", "Envelope-To", "Cc"])
def test_servers_note_the_envelopes_recipient_in_headers_of_their_own(
    letter: Sent, name: str
) -> None:
    raw = bounce(letter).replace(f"To: {letter.verp}".encode(), b"To: us", 1)
    raw = f"{name}: <{letter.verp.upper()}>\n".encode() + raw
    assert read(raw).tokens == (token(letter).upper(),)


def test_a_report_in_base64_is_read(letter: Sent) -> None:
    from base64 import encodebytes

    fields = failed(letter.to, "5.1.1", "550 gone")
    raw = bounce(letter, text="550 gone").replace(
        f"message/delivery-status\n\n{fields}".encode(),
        b"message/delivery-status\nContent-Transfer-Encoding: base64\n\n"
        + encodebytes(fields.encode()),
    )
    assert b"Final-Recipient" not in raw
    assert [failure.recipient for failure in read(raw).failures] == [letter.to]


def test_an_international_report_is_read(letter: Sent) -> None:
    fields = (
        "Reporting-MTA: dns; mx.example.net\n\n"
        r"Final-Recipient: utf-8; \x{C5}sa@example.com"
        "\nAction: failed\nStatus: 5.1.1\n"
    )
    raw = dsn(letter.verp, fields).replace(b"message/delivery", b"message/global-delivery")
    assert [failure.recipient for failure in read(raw).failures] == ["Åsa@example.com"]


def test_a_report_about_several_recipients_tells_of_each(letter: Sent) -> None:
    fields = failed("a@example.com", "5.1.1", "550 no") + (
        "\nFinal-Recipient: rfc822; b@example.com\nAction: delayed\nStatus: 4.4.1\n"
        "Final-Recipient: rfc822; c@example.com\nAction: failed\nStatus: 5.2.2\n"
    )
    report = read(dsn(letter.verp, fields))
    told = [(one.recipient, one.action, one.status) for one in report.failures]
    assert told == [
        ("a@example.com", "failed", "5.1.1"),
        ("b@example.com", "delayed", "4.4.1"),
        ("c@example.com", "failed", "5.2.2"),
    ]


def test_no_status_of_several_is_forgotten(letter: Sent) -> None:
    bob = failed("bob@example.com", "5.1.1", "550 no")
    second = f"\n--=_report\nContent-Type: message/delivery-status\n\n{bob}"
    fields = failed(letter.to, "2.0.0", "250 ok", "delivered") + second
    report = read(dsn(letter.verp, fields))
    told = (report.kind, [one.action for one in report.failures])
    assert told == (Kind.BOUNCE, ["delivered", "failed"])


def test_a_report_that_forgets_the_empty_line_is_read(letter: Sent) -> None:
    fields = failed(letter.to, "5.1.1", "550 no").replace("\n\n", "\n")
    assert [one.status for one in read(dsn(letter.verp, fields)).failures] == ["5.1.1"]


def test_a_delayed_letter_is_no_bounce(letter: Sent) -> None:
    assert read(bounce(letter, "4.4.1", action="delayed")).kind is Kind.DELAY


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_good_news_is_no_bounce(letter: Sent, action: str) -> None:
    assert read(bounce(letter, "2.0.0", action=action)).kind is Kind.NOTICE


@pytest.mark.parametrize("action", ["Action: deliverable\n", "Action: success\n", ""])
def test_a_good_code_is_good_news_whatever_the_action_is_called(letter: Sent, action: str) -> None:
    raw = bounce(letter, "2.1.5").replace(b"Action: failed\n", action.encode())
    assert read(raw).kind is Kind.NOTICE


def test_a_receipt_is_no_bounce(letter: Sent) -> None:
    raw = bounce(letter).replace(b"message/delivery-status", b"message/disposition-notification")
    assert read(raw).kind is Kind.NOTICE


# ------------------------------------------------------------------ no report at all


@pytest.mark.parametrize("answer", ["away", "challenge"])
def test_what_answers_by_itself_is_no_bounce(letter: Sent, answer: str) -> None:
    assert read(getattr(returning, answer)(letter)).kind is Kind.REPLY


@pytest.mark.parametrize(
    "mark",
    [
        "X-Autoreply: yes",
        "Precedence: auto_reply",
        "Auto-Submitted: auto-generated",
        "X-Auto-Reply: true",
        "X-Precedence: auto-reply",
        "X-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent",
        "X-Delivery-Agent: TMDA/1.0",
        "Subject: Out of Office: Papers",
        "Subject: Abwesenheitsnotiz",
        "Subject: =?utf-8?B?QWJ3ZXNlbmhlaXRzbm90aXo6IFBhcGVycw==?=",
        "Subject: =?iso-8859-1?Q?R=E9ponse_auto?=\n =?iso-8859-1?q?matique?=",
        "Subject: 自動応答: Papers",
        "Subject: Auto: Papers",
    ],
)
def test_every_mark_of_an_answering_machine_is_known(letter: Sent, mark: str) -> None:
    raw = f"From: {letter.to}\nTo: {letter.verp}\n{mark}\n\nI am away. 550 5.1.1\n".encode()
    assert read(raw).kind is Kind.REPLY


@pytest.mark.parametrize("mark", ["Subject: Out of Office: Papers", "X-Autoreply: yes"])
def test_a_postmaster_who_is_away_is_no_daemon(letter: Sent, mark: str) -> None:
    raw = f"From: postmaster@example.com\nTo: {letter.verp}\n{mark}\n\nSee 5.1.1.\n".encode()
    assert read(raw).kind is Kind.REPLY


@pytest.mark.parametrize(
    ("path", "kind"), [("<>", Kind.BOUNCE), ("<postmaster@example.com>", Kind.UNRECOGNISED)]
)
def test_a_postmaster_who_writes_in_person_is_no_daemon(
    letter: Sent, path: str, kind: Kind
) -> None:
    raw = f"Return-Path: {path}\nFrom: postmaster@example.com\nTo: {letter.verp}\n\nHeld.\n"
    assert read(raw.encode()).kind is kind


@pytest.mark.parametrize("name", ["Mail Delivery System <MAILER-DAEMON>", "MAILER-DAEMON (Mail)"])
def test_a_daemon_needs_no_domain(letter: Sent, name: str) -> None:
    raw = f"From: {name}\nTo: {letter.verp}\n\n550 5.1.1 nobody\n".encode()
    assert read(raw).kind is Kind.BOUNCE


def test_what_a_person_writes_is_left_for_a_person(letter: Sent) -> None:
    raw = f"From: {letter.to}\nTo: {letter.verp}\nSubject: Thanks\n\nDelivery failed once, no?\n"
    report = read(raw.encode())
    assert (report.kind, report.note) == (Kind.UNRECOGNISED, "Thanks")


# ------------------------------------------------------------------ heuristics


def test_a_warning_in_plain_words_is_a_delay(letter: Sent) -> None:
    raw = (
        f"Return-Path: <>\nFrom: Mailer-Daemon@exim.example.net\nTo: {letter.verp}\n"
        "Subject: Warning: message delayed 24 hours\n\n"
        "A message that you sent has not yet been delivered to one or more of its recipients\n"
        f"after more than 24 hours on the queue. The address is {letter.to}\n"
    )
    assert read(raw.encode()).kind is Kind.DELAY


def test_a_daemon_that_speaks_in_no_form_we_know_is_believed_softly(letter: Sent) -> None:
    raw = f"From: postmaster@mx.example.net\nTo: {letter.verp}\nSubject: Error\n\nNo luck.\n"
    [failure] = read(raw.encode()).failures
    assert weigh(failure) is Weight.SOFT


def test_codes_of_the_returned_letter_are_not_the_servers(letter: Sent) -> None:
    raw = (
        f"From: MAILER-DAEMON@mx.example.net\nTo: {letter.verp}\nSubject: failure notice\n\n"
        "Hi. This is the mail program at mx.example.net.\nI could not deliver your message.\n\n"
        f"<{letter.to}>:\nIt went wrong.\n\n--- Below this line is a copy of the message.\n\n"
        "Subject: What 5.1.1 means\n\nIn RFC 3463 5.1.1 is a bad mailbox.\n"
    )
    [failure] = read(raw.encode()).failures
    assert (failure.recipient, failure.status) == (letter.to, "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("550 5.1.1 no", ["5.1.1"]),
        ("(#5.2.2)", ["5.2.2"]),
        ("from 5.1.1.2 and 10.5.1.1", []),
        ("version 5.1", []),
        ("550-5.7.26 4.7.0", ["5.7.26", "4.7.0"]),
    ],
)
def test_codes_are_told_from_addresses_of_machines(text: str, found: list[str]) -> None:
    assert found == statuses_in(text)


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("rfc822; ada@example.com", "ada@example.com"),
        ("RFC822;<Ada.L@Example.com>", "Ada.L@Example.com"),
        ("rfc822; Ada Lovelace <ada@example.com> (gone)", "ada@example.com"),
        ("ada@example.com", "ada@example.com"),
        ('rfc822; "ada l"@example.com', '"ada l"@example.com'),
        ('"ada@example.com"', "ada@example.com"),
        ("utf-8; ada@b\\x{FC}cher.example", "ada@xn--bcher-kva.example"),
        ("utf-8; ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("utf-8; ada@\u2603.example", "ada@\u2603.example"),
        ("LOCAL; ada", ""),
        ("x400; /G=Ada/", ""),
        ("rfc822; " + "a" * 400 + "@example.com", ""),
    ],
)
def test_addresses_are_found_in_their_fields(field: str, found: str) -> None:
    assert found == address(field)


def test_a_status_may_be_followed_by_words() -> None:
    assert [status("5.1.1 (no mailbox)"), status("5.1"), status("")] == ["5.1.1", "", ""]


# ------------------------------------------------------------------ complaints


def test_a_complaint_leads_to_its_letter(letter: Sent) -> None:
    report = read(complaint(letter))
    assert (report.kind, report.traces) == (Kind.COMPLAINT, (token(letter),))
    assert letter.letter.message_id in report.message_ids


def test_a_complaint_that_hides_the_reader_leads_to_its_letter(letter: Sent) -> None:
    raw = complaint(letter, told="Original-Rcpt-To: <redacted>\n")
    report = read(raw.replace(letter.to.encode(), b"redacted"))
    assert (report.failures[0].recipient, report.traces) == ("", (token(letter),))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        *(("abuse", Kind.COMPLAINT), ("fraud", Kind.COMPLAINT), ("other", Kind.COMPLAINT)),
        *(("not-spam", Kind.NOTICE), ("auth-failure", Kind.NOTICE)),
        ("opt-out", Kind.UNSUBSCRIBE),
    ],
)
def test_not_all_feedback_is_a_complaint(letter: Sent, said: str, kind: Kind) -> None:
    assert read(complaint(letter, said)).kind is kind


# ------------------------------------------------------------------ hostile


@pytest.mark.parametrize("raw", [b"", b"\n\n", b" \r\n", b"\0\0\0", b"hello"])
def test_what_is_no_message_has_a_name(raw: bytes) -> None:
    assert read(raw).kind is Kind.UNREADABLE


def test_nul_bytes_and_wrong_charsets_reach_nobody(letter: Sent) -> None:
    raw = bounce(letter, text="550 5.1.1 gone\0\x01 \udcff".encode("utf-8", "replace").decode())
    raw = raw.replace(b"charset=us-ascii", b"charset=x-nonsense").replace(b"rejected", b"\xff\xfe")
    [failure] = read(raw).failures
    assert failure.text.isprintable()
    assert failure.status == "5.1.1"


def nested(kind: str, depth: int) -> bytes:
    lines = []
    for level in range(depth):
        lines += [f'Content-Type: {kind}; boundary="b{level}"', "", f"--b{level}"]
    return ("From: MAILER-DAEMON@x\nTo: us\n" + "\n".join(lines) + "\n\ntext\n").encode()


@pytest.mark.parametrize("kind", ["multipart/mixed", "multipart/report", "message/rfc822"])
def test_a_message_nested_a_thousand_times_is_read_as_far_as_it_goes(kind: str) -> None:
    report = read(nested(kind, 1000))
    assert report.note == "in no form that we know"


def test_a_message_of_ten_thousand_parts_is_read_as_far_as_it_goes() -> None:
    raw = b'From: a@b\nContent-Type: multipart/mixed; boundary="b"\n' + b"\n--b\n\nx" * 10_000
    assert len(walk(message(raw))) == 60


def test_a_message_of_many_levels_is_not_kept_once_for_each() -> None:
    raw = nested("multipart/mixed", 1000) + b"x" * 1_000_000
    assert sum(len(part.body) for part in walk(message(raw))) < 12 * len(raw)


def test_a_huge_message_is_read_from_its_beginning(letter: Sent) -> None:
    raw = bounce(letter) + b"x" * (2 * LARGEST)
    assert read(raw).failures[0].status == "5.1.1"


@pytest.mark.parametrize(
    "raw",
    [
        b"From: MAILER-DAEMON@x\n\n" + b"<" * 200_000,
        b"From: MAILER-DAEMON@x\nReturn-Path: <>\n\n" + b"a@" * 100_000,
        b"From: MAILER-DAEMON@x\n\n" + b"5.1.1." * 50_000,
        b"From: MAILER-DAEMON@x\nTo: " + b"b+" * 100_000 + b"\n\nx",
        b"From: MAILER-DAEMON@x\nX-Failed-Recipients: " + b"a@b," * 100_000 + b"\n\nx",
        b"From: MAILER-DAEMON@x\n" + b"X: y\n" * 100_000 + b"\nx",
        b"From: MAILER-DAEMON@x\n\n" + b"\n".join([b"<a@b.c>:", b" "] * 30_000),
        b"From: MAILER-DAEMON@x\nContent-Type: text/plain\n\n" + b"Message-ID: <" * 50_000,
    ],
    ids=range(8),
)
def test_no_report_keeps_the_others_waiting(raw: bytes) -> None:
    began = time.process_time()
    assert read(raw).kind in Kind
    assert time.process_time() - began < 3.0  # it takes some hundredths; a trap takes minutes


PIECES = st.sampled_from(
    [
        *(b"\n", b"\n\n", b"\r\n", b" ", b"\0", b"\xff", b"--b", b"--b--", b":", b";", b"<", b">"),
        *(b"From: MAILER-DAEMON@x", b"Return-Path: <>", b"To: b+1.x@y", b"To: unsub+2.y@z"),
        b'Content-Type: multipart/report; boundary="b"',
        *(b"Content-Type: message/delivery-status", b"Content-Type: message/feedback-report"),
        *(b"Content-Transfer-Encoding: base64", b"Content-Type: message/rfc822"),
        *(b"Final-Recipient: rfc822; a@b.c", b"Action: failed", b"Status: 5.1.1", b"Status: 9"),
        *(b"Feedback-Type: abuse", b"Diagnostic-Code: smtp; 550", b"Original-Envelope-Id: +4"),
        *(b"Message-ID: <a@b>", b"X-Failed-Recipients: a@b.c", b"Hi. This is the "),
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=40))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_it_is_read_without_a_sound(pieces: list[bytes]) -> None:
    report = read(b"".join(pieces))
    assert not report.note.endswith("while reading"), report.note
    assert all("\0" not in one.text + one.recipient for one in report.failures)
    assert all(weigh(one) in Weight for one in report.failures)


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_whatever_a_failure_says_it_has_a_weight(action: str, code: str, text: str) -> None:
    failure = Failure("", "", action, status(code), text)
    assert weigh(failure) in Weight


def test_a_report_has_one_hash_over_every_door(letter: Sent) -> None:
    raw = bounce(letter)
    assert fingerprint(raw) == fingerprint(raw.replace(b"\n", b"\r\n"))
