"""What the tests of bounces share: letters that were sent, and what mail servers write about them.

The texts are our own; their shapes are those of the servers they are named after.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from digest.bounces import Desk
from digest.links import Links, Purpose
from digest.model import (
    Cadence,
    Content,
    Delivery,
    DeliveryState,
    Edition,
    EditionPaper,
    EditionState,
    Listing,
    Subscriber,
    Window,
)
from digest.store import Database, deliveries, editions, papers, people
from digest.store import tables as t

NOW = datetime(2026, 3, 12, 9, tzinfo=UTC)
DAY = timedelta(days=1)
LINKS = Links("a secret for tests that is long enough", "https://digest.example.org")
DOMAIN = "bounces.example.org"
PAPER = "arxiv:2603.10001"


@dataclass(frozen=True)
class Sent:
    """A letter that the relay took."""

    person: Subscriber
    letter: Delivery

    @property
    def to(self) -> str:
        return self.letter.recipient

    @property
    def verp(self) -> str:
        return f"b+{LINKS.token(Purpose.BOUNCE, self.letter.key)}@{DOMAIN}"

    @property
    def unsub(self) -> str:
        return f"unsub+{LINKS.token(Purpose.LEAVE_BY_MAIL, self.person.key)}@{DOMAIN}"

    @property
    def headers(self) -> str:
        return (
            f"Return-Path: <{self.verp}>\n"
            f"From: Paper Digest <digest@example.org>\nTo: {self.to}\n"
            f"Subject: Papers of the week\nMessage-ID: {self.letter.message_id}\n"
            f"List-Id: <papers.digest.example.org>\n"
        )


def desk(db: Database) -> Desk:
    return Desk(db, LINKS, lambda: NOW)


def reader(db: Database, email: str = "ada@example.com") -> Subscriber:
    with db.writing() as tx:
        return people.add(tx, email, {}, None, Cadence(), NOW, "test", "", NOW - 90 * DAY, NOW)


def sent(
    db: Database,
    person: Subscriber | None = None,
    days_ago: int = 0,
    state: DeliveryState = DeliveryState.ACCEPTED,
) -> Sent:
    """A letter with one paper that went out some days ago."""
    person = person or reader(db)
    until = NOW - days_ago * DAY
    edition = Edition(
        person.email,
        Window(until - DAY, until),
        EditionState.QUEUED,
        until,
        content=Content((EditionPaper(PAPER, 1, "Flow", 0.5, ()),), 3),
        next_due=until + DAY,
        subscriber_key=person.key,
    )
    with db.writing() as tx:
        papers.remember(tx, "test", [Listing((PAPER,), "On Beavers")], until)
        id_ = LINKS.message_id("digest", f"{person.key}/{days_ago}", "example.org")
        [key] = editions.write(tx, [editions.NewEdition(edition, id_)])
        here = t.deliveries.c.edition == key
        tx.execute(update(t.deliveries).where(here).values(state=str(state)))
        return Sent(person, deliveries.of_editions(tx, [key])[key])


def now(db: Database, letter: Sent) -> Delivery:
    """The letter as the database knows it."""
    with db.reading() as tx:
        found = deliveries.get(tx, letter.letter.key)
    assert found is not None
    return found


def suppressed(db: Database, address: str = "ada@example.com") -> str | None:
    """Why an address takes no mail."""
    with db.reading() as tx:
        found = people.suppressed(tx, [address])
    return found[address].reason if found else None


# ------------------------------------------------------------------ what servers write


def dsn(
    to: str,
    fields: str,
    returned: str = "",
    *,
    head: str = "",
    words: str = "Your message could not be delivered.",
    mark: str = "=_report",
    sender: str = "MAILER-DAEMON@mx.example.net (Mail Delivery System)",
) -> bytes:
    """A report as RFC 3464 has it. `fields`: its machine-readable part."""
    attached = f"--{mark}\nContent-Type: text/rfc822-headers\n\n{returned}\n" if returned else ""
    return (
        f"Return-Path: <>\n{head}From: {sender}\nTo: {to}\n"
        "Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\n"
        "MIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{mark}"\n\n'
        "This is a MIME-encapsulated message.\n\n"
        f"--{mark}\nContent-Type: text/plain; charset=us-ascii\n\n{words}\n\n"
        f"--{mark}\nContent-Description: Delivery report\n"
        f"Content-Type: message/delivery-status\n\n{fields}\n"
        f"{attached}--{mark}--\n"
    ).encode()


def failed(to: str, status: str, text: str, action: str = "failed") -> str:
    """The machine-readable part for one recipient."""
    return (
        "Reporting-MTA: dns; mx.example.net\nArrival-Date: Thu, 12 Mar 2026 08:00:00 +0000\n\n"
        f"Final-Recipient: rfc822; {to}\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {text}\n"
    )


def bounce(letter: Sent, status: str = "5.1.1", text: str = "", action: str = "failed") -> bytes:
    """A plain report about a letter."""
    text = text or f"550 {status} <{letter.to}>: Recipient address rejected"
    return dsn(letter.verp, failed(letter.to, status, text, action), letter.headers)


def report_about(sender: str, to: str, raw: bytes) -> bytes:
    """A report that returns the headers of a letter as it was on the wire."""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode()
    return dsn(sender, failed(to, "5.1.1", "550 5.1.1 nobody of that name"), head + "\n")


def complaint_about(raw: bytes) -> bytes:
    """A complaint that says nothing but the letter."""
    return (
        b"From: fbl@isp.example\nTo: abuse@digest.example.org\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/report; report-type=feedback-report; boundary="arf"\n\n'
        b"--arf\nContent-Type: message/feedback-report\n\n"
        b"Feedback-Type: abuse\nUser-Agent: Isp/1.0\nVersion: 1\n\n"
        b"--arf\nContent-Type: message/rfc822\n\n" + raw.replace(b"\r\n", b"\n") + b"\n--arf--\n"
    )


def postfix(letter: Sent) -> bytes:
    fields = (
        "Reporting-MTA: dns; relay.example.org\n"
        f"Original-Envelope-Id: {letter.letter.message_id.strip('<>').replace('=', '+3D')}\n"
        "X-Postfix-Queue-ID: 4XkP2c0Zq1z1B\n"
        f"X-Postfix-Sender: rfc822; {letter.verp}\n"
        "Arrival-Date: Thu, 12 Mar 2026 08:00:00 +0000 (UTC)\n\n"
        f"Final-Recipient: rfc822; {letter.to}\nOriginal-Recipient: rfc822;{letter.to}\n"
        "Action: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.example.com\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 <{letter.to}>: Recipient address rejected:\n"
        "    User unknown in virtual mailbox table\n"
    )
    words = f"<{letter.to}>: host mx.example.com said: 550 5.1.1 User unknown (in reply to RCPT TO)"
    return dsn(letter.verp, fields, letter.headers, words=words)


def exim(letter: Sent) -> bytes:
    """Exim always says 5.0.0; the server's words say more."""
    fields = (
        "Reporting-MTA: dns; exim.example.net\n\n"
        f"Action: failed\nFinal-Recipient: rfc822;{letter.to}\nStatus: 5.0.0\n"
        "Remote-MTA: dns; mx.example.com\n"
        "Diagnostic-Code: smtp; 550-5.1.1 There is nobody of that name here.\n"
        " 550 5.1.1 Check the spelling.\n"
    )
    words = (
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its\n"
        f"recipients. This is a permanent error. The following address(es) failed:\n\n  {letter.to}"
    )
    head = f"X-Failed-Recipients: {letter.to}\n"
    sender = "Mail Delivery System <Mailer-Daemon@exim.example.net>"
    return dsn(letter.verp, fields, letter.headers, head=head, words=words, sender=sender)


def exchange(letter: Sent) -> bytes:
    """Exchange puts its pages about everything into HTML, and the letter's id into References."""
    fields = (
        "Reporting-MTA: dns;EX01.contoso.example\nReceived-From-MTA: dns;relay.example.org\n"
        "Arrival-Date: Thu, 12 Mar 2026 08:00:00 +0000\n\n"
        f"Original-Recipient: rfc822;{letter.to}\nFinal-Recipient: rfc822;{letter.to}\n"
        "Action: failed\nStatus: 5.1.10\n"
        "Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found\n"
        f"X-Display-Name: {letter.to}\n"
    )
    head = f"References: {letter.letter.message_id}\nX-MS-Exchange-Message-Is-Ndr:\n"
    sender = "Microsoft Outlook <MicrosoftExchange329e71ec@contoso.example>"
    return dsn(letter.verp, fields, head=head, sender=sender).replace(b"\n", b"\r\n")


def gmail(letter: Sent) -> bytes:
    """Google wraps pictures and HTML around the report, and names the letter in three places."""
    return (
        "Delivered-To: digest@example.org\nReturn-Path: <>\n"
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.example>\n"
        f"To: {letter.verp}\nAuto-Submitted: auto-replied\n"
        "Subject: Delivery Status Notification (Failure)\n"
        f"References: {letter.letter.message_id}\nIn-Reply-To: {letter.letter.message_id}\n"
        f"X-Failed-Recipients: {letter.to}\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; boundary="00r"; report-type=delivery-status\n\n'
        '--00r\nContent-Type: multipart/related; boundary="00s"\n\n'
        '--00s\nContent-Type: multipart/alternative; boundary="00t"\n\n'
        '--00t\nContent-Type: text/plain; charset="UTF-8"\n\n** Address not found **\n\n'
        '--00t\nContent-Type: text/html; charset="UTF-8"\n\n<p>Address not found</p>\n\n--00t--\n'
        "--00s\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n"
        "--00s--\n--00r\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; googlemail.example\nArrival-Date: Thu, 12 Mar 2026 00:00:00 -0800\n"
        f"X-Original-Message-ID: {letter.letter.message_id}\n\n"
        f"Final-Recipient: rfc822; {letter.to}\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550-5.1.1 The account that you tried to reach does not exist.\n\n"
        f"--00r\nContent-Type: message/rfc822\n\n{letter.headers}\nPapers.\n\n--00r--\n"
    ).encode()


def qmail(letter: Sent) -> bytes:
    """The qmail-send bounce message format is older than all RFCs about it."""
    return (
        f"Return-Path: <>\nFrom: MAILER-DAEMON@qmail.example.net\nTo: {letter.verp}\n"
        "Subject: failure notice\n\n"
        "Hi. This is the qmail-send program at qmail.example.net.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        f"<{letter.to}>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        f"--- Below this line is a copy of the message.\n\n{letter.headers}\nPapers.\n"
    ).encode()


def ses(letter: Sent) -> bytes:
    """SES forwards a report and rewrites ids; the secret address of the letter is all we have."""
    fields = (
        "Reporting-MTA: dns; a9-70.smtp-out.ses.example\n\n"
        f"Action: failed\nFinal-Recipient: rfc822; {letter.to}\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 <{letter.to}>... User unknown\nStatus: 5.1.1\n"
    )
    sender = "MAILER-DAEMON@eu-west-1.ses.example"
    return dsn(letter.verp, fields, "Message-ID: <0102019a-0000@ses.example>\n", sender=sender)


def sendmail(letter: Sent) -> bytes:
    fields = (
        "Reporting-MTA: dns; sm.example.net\nReceived-From-MTA: DNS; relay.example.org\n\n"
        f"Final-Recipient: RFC822; {letter.to}\nAction: failed (user unknown)\n"
        "Status: 5.1.1 (bad destination mailbox address)\n"
        f"Diagnostic-Code: SMTP; 550 5.1.1 <{letter.to}>... User unknown\n"
    )
    sender = "Mail Delivery Subsystem <MAILER-DAEMON@sm.example.net>"
    return dsn(letter.verp, fields, letter.headers, sender=sender)


def complaint(letter: Sent, kind: str = "abuse", told: str = "") -> bytes:
    """A complaint as RFC 5965 has it; the address that it came to says nothing."""
    told = told or f"Original-Mail-From: <{letter.verp}>\nOriginal-Rcpt-To: <{letter.to}>\n"
    return (
        "From: Feedback <fbl@isp.example>\nTo: abuse@digest.example.org\nSubject: FW: Papers\n"
        "MIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="arf"\n\n'
        "--arf\nContent-Type: text/plain\n\nThis is an email abuse report.\n\n"
        "--arf\nContent-Type: message/feedback-report\n\n"
        f"Feedback-Type: {kind}\nUser-Agent: Isp-Feedback/1.0\nVersion: 1\n{told}\n"
        f"--arf\nContent-Type: message/rfc822\n\n{letter.headers}\nPapers.\n\n--arf--\n"
    ).encode()


def away(letter: Sent) -> bytes:
    """Somebody is on holiday (RFC 3834)."""
    return (
        f"Return-Path: <>\nFrom: Ada <{letter.to}>\nTo: {letter.verp}\n"
        "Subject: Automatic reply: Papers of the week\nAuto-Submitted: auto-replied\n"
        f"In-Reply-To: {letter.letter.message_id}\n\n"
        "I am away until Monday. Undeliverable is only my good mood: 550 5.1.1.\n"
    ).encode()


def challenge(letter: Sent) -> bytes:
    """A robot wants to know whether we are one, too."""
    return (
        f"Return-Path: <>\nFrom: {letter.to}\nTo: {letter.verp}\n"
        "Subject: Please confirm your message\nAuto-Submitted: auto-replied (challenge)\n\n"
        "Your message has been held. Answer this letter and it will be delivered.\n"
    ).encode()
