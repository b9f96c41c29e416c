"""Webhooks of providers: believed when signed, recorded once, closed where no key is set."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from returning import NOW, Sent, desk, now, reader, sent, suppressed
from visiting import Visitor, visitor

from digest.bounces import Hooks, providers
from digest.bounces import record as recording
from digest.bounces.signatures import from_sns
from digest.errors import SourceError
from digest.model import DeliveryState, EndReason, SubscriberState
from digest.store import Database, people, reports
from digest.web import hooks as pages

TOPIC = "arn:aws:sns:eu-west-1:123456789012:digest"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"
SECRET = "a webhook's secret"
Ask = Callable[..., httpx.Response]


class Network:
    """Stands in for the network: what was asked for, and what stands there."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages, self.asked = pages, []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise SourceError("nothing there")
        return self.pages[url]


def site(db: Database, network: Network | None = None, **keys: str) -> Visitor:
    network = network or Network({})
    return visitor(db, hooks=Hooks(desk(db), network.fetch, **keys), clock=lambda: NOW)


def recorded(db: Database) -> list[tuple[str, str, str]]:
    """(door, kind, effect) of each report, the oldest first."""
    with db.reading() as tx:
        found = reversed(reports.listed(tx))
    return [(one.door, one.told.kind, one.told.effect) for one in found]


def state(db: Database, letter: Sent) -> tuple[SubscriberState, str | None]:
    with db.reading() as tx:
        person = people.by_key(tx, letter.person.key)
    assert person is not None
    return person.state, person.reason


COMPLAINED = (SubscriberState.ENDED, EndReason.COMPLAINED)
ACTIVE = (SubscriberState.ACTIVE, None)


# ------------------------------------------------------------------ closed doors


@pytest.mark.parametrize("provider", ["ses", "postmark", "mailgun", "sendgrid", "nobody"])
def test_a_webhook_without_its_key_is_closed(sqlite: Database, provider: str) -> None:
    assert site(sqlite).post(f"/hooks/{provider}", content=b"{}").status_code == 404


def test_a_site_without_webhooks_has_none(sqlite: Database) -> None:
    assert visitor(sqlite).post("/hooks/ses", content=b"{}").status_code == 404


def test_a_webhook_only_takes_posts(sqlite: Database) -> None:
    assert site(sqlite, postmark_secret=SECRET).get("/hooks/postmark").status_code == 405


def test_a_body_of_any_size_is_not_read(sqlite: Database) -> None:
    assert as_postmark(sqlite)(b"x" * 5_000_000).status_code == 413
    visit = site(sqlite, mailgun_signing_key=SECRET)
    assert visit.post("/hooks/mailgun", content=b"x" * 1_100_000).status_code == 413


@pytest.mark.parametrize(
    ("provider", "status"), [("ses", 404), ("nobody", 404), ("postmark", 401), ("sendgrid", 403)]
)
def test_for_a_closed_door_and_a_stranger_no_body_is_read(
    sqlite: Database, provider: str, status: int
) -> None:
    visit = site(sqlite, postmark_secret=SECRET, sendgrid_public_key=public(curve()))
    answer = visit.post(f"/hooks/{provider}", content=b"x" * 5_000_000)
    assert answer.status_code == status


def test_a_body_that_drips_is_not_waited_for(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(400):  # or it would go on for ever where nobody ends it
            yield b"x"
            await asyncio.sleep(0.005)

    monkeypatch.setattr(pages, "PATIENCE", 0.05)
    visit = site(sqlite, mailgun_signing_key=SECRET)
    assert visit.ask("POST", "/hooks/mailgun", content=drip()).status_code == 408


# ------------------------------------------------------------------ Postmark


def postmark(letter: Sent, kind: str = "HardBounce", **other: Any) -> bytes:
    event = {
        "RecordType": "Bounce",
        "ID": 42,
        "Type": kind,
        "MessageID": "00000000-0000-0000-0000-000000000000",
        "Email": letter.to,
        "From": "digest@example.org",
        "Details": "smtp;550 nobody of that name",
        "Description": "The server could not deliver it.",
    }
    return json.dumps({**event, **other}).encode()


def as_postmark(db: Database) -> Ask:
    visit = site(db, postmark_secret=SECRET)
    word = base64.b64encode(f"digest:{SECRET}".encode()).decode()
    headers = {"authorization": f"Basic {word}"}
    return lambda body: visit.ask("POST", "/hooks/postmark", content=body, headers=headers)


def test_postmark_reports_a_hard_bounce(sqlite: Database) -> None:
    letter = sent(sqlite)
    answer = as_postmark(sqlite)(postmark(letter))
    assert (answer.status_code, answer.text) == (200, "1 recorded\n")
    assert (suppressed(sqlite), now(sqlite, letter).state) == ("bounced", DeliveryState.BOUNCED)


@pytest.mark.parametrize("state", ["sending", "unknown"])
def test_a_provider_may_be_quicker_than_our_own_record(sqlite: Database, state: str) -> None:
    letter = sent(sqlite, state=DeliveryState(state))
    as_postmark(sqlite)(postmark(letter))
    assert (suppressed(sqlite), now(sqlite, letter).state) == ("bounced", DeliveryState.BOUNCED)


@pytest.mark.parametrize(
    ("kind", "effect"),
    [
        ("SoftBounce", [("postmark", "bounce", "bounced")]),
        ("Blocked", [("postmark", "bounce", "bounced")]),
        ("Transient", [("postmark", "delay", "none")]),
        ("AutoResponder", []),
        ("ChallengeVerification", []),
        ("Unsubscribe", [("postmark", "unsubscribe", "ended")]),
        ("SomethingNew", []),
    ],
)
def test_postmarks_other_kinds_stop_nobody(
    sqlite: Database, kind: str, effect: list[tuple[str, str, str]]
) -> None:
    letter = sent(sqlite)
    as_postmark(sqlite)(postmark(letter, kind))
    assert (recorded(sqlite), suppressed(sqlite)) == (effect, None)


def test_postmark_reports_a_complaint(sqlite: Database) -> None:
    letter = sent(sqlite)
    as_postmark(sqlite)(postmark(letter, "SpamComplaint", RecordType="SpamComplaint"))
    assert state(sqlite, letter) == COMPLAINED


@pytest.mark.parametrize(
    ("stop", "reason", "left"),
    [(True, "ManualSuppression", True), (False, None, False), (True, "HardBounce", False)],
)
def test_postmarks_own_unsubscribe_link_unsubscribes(
    sqlite: Database, stop: bool, reason: str | None, left: bool
) -> None:
    letter = sent(sqlite)
    event = {"RecordType": "SubscriptionChange", "Recipient": letter.to, "SuppressSending": stop}
    as_postmark(sqlite)(json.dumps({**event, "SuppressionReason": reason}).encode())
    assert (state(sqlite, letter)[0] is SubscriberState.ENDED) is left


def test_postmark_may_know_the_secret_by_its_address(sqlite: Database) -> None:
    visit = site(sqlite, postmark_secret="s3cret")
    answer = visit.post("/hooks/postmark?secret=s3cret", content=postmark(sent(sqlite)))
    assert answer.status_code == 200


def test_whoever_shows_nothing_is_asked(sqlite: Database) -> None:
    visit = site(sqlite, postmark_secret=SECRET)
    answer = visit.post("/hooks/postmark", content=postmark(sent(sqlite)))
    assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
    assert recorded(sqlite) == []


@pytest.mark.parametrize("word", ["digest:wrong", ":", "no colon", "digest:" + SECRET + "x"])
def test_a_wrong_secret_is_refused(sqlite: Database, word: str) -> None:
    visit = site(sqlite, postmark_secret=SECRET)
    headers = {"authorization": f"Basic {base64.b64encode(word.encode()).decode()}"}
    body = postmark(sent(sqlite))
    assert visit.ask("POST", "/hooks/postmark", content=body, headers=headers).status_code == 403


def test_the_same_event_twice_does_nothing(sqlite: Database) -> None:
    ask, body = as_postmark(sqlite), postmark(sent(sqlite))
    assert [ask(body).text for _ in range(2)] == ["1 recorded\n", "0 recorded\n"]


def test_two_events_without_a_number_are_two(sqlite: Database) -> None:
    ada, bob = sent(sqlite), sent(sqlite, reader(sqlite, "bob@example.com"))
    ask = as_postmark(sqlite)
    bodies = [postmark(letter, ID=None, MessageID=None) for letter in (ada, bob, bob)]
    assert [ask(body).text[:1] for body in bodies] == ["1", "1", "0"]


def test_a_bounce_of_another_address_is_not_ours(sqlite: Database) -> None:
    letter = sent(sqlite)
    as_postmark(sqlite)(postmark(letter, Email="eve@example.net"))
    assert (recorded(sqlite), suppressed(sqlite, "eve@example.net")) == (
        *([("postmark", "bounce", "listed")], None),
    )


# ------------------------------------------------------------------ Mailgun


def mailgun(letter: Sent, event: str = "failed", key: str = SECRET, **other: Any) -> bytes:
    stamp, token = str(int(NOW.timestamp())), other.pop("token", "t" * 50)
    stamp = other.pop("stamp", stamp)
    mac = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    data = {
        "event": event,
        "severity": "permanent",
        "recipient": letter.to,
        "reason": "bounce",
        "envelope": {"sender": letter.verp, "targets": letter.to},
        "message": {"headers": {"message-id": letter.letter.message_id.strip("<>")}},
        "delivery-status": {"code": 550, "message": "5.1.1 nobody of that name"},
    }
    signature = {"timestamp": stamp, "token": token, "signature": mac}
    return json.dumps({"signature": signature, "event-data": {**data, **other}}).encode()


def as_mailgun(db: Database) -> Ask:
    visit = site(db, mailgun_signing_key=SECRET)
    return lambda body: visit.post("/hooks/mailgun", content=body)


def test_mailgun_reports_a_hard_bounce(sqlite: Database) -> None:
    letter = sent(sqlite)
    assert as_mailgun(sqlite)(mailgun(letter)).status_code == 200
    assert (suppressed(sqlite), now(sqlite, letter).state) == ("bounced", DeliveryState.BOUNCED)


@pytest.mark.parametrize(
    ("event", "other", "found"),
    [
        ("failed", {"severity": "temporary"}, [("mailgun", "delay", "none")]),
        ("complained", {}, [("mailgun", "complaint", "ended")]),
        ("unsubscribed", {}, [("mailgun", "unsubscribe", "ended")]),
        ("failed", {"reason": "suppress-unsubscribe"}, [("mailgun", "unsubscribe", "ended")]),
        ("failed", {"reason": "suppress-complaint"}, [("mailgun", "complaint", "ended")]),
        ("delivered", {}, []),
        ("opened", {}, []),
    ],
)
def test_mailguns_other_events(
    sqlite: Database, event: str, other: dict[str, Any], found: list[tuple[str, str, str]]
) -> None:
    as_mailgun(sqlite)(mailgun(sent(sqlite), event, **other))
    assert found == recorded(sqlite)


def test_mailgun_with_another_key_is_refused(sqlite: Database) -> None:
    assert as_mailgun(sqlite)(mailgun(sent(sqlite), key="another")).status_code == 403
    assert recorded(sqlite) == []


@pytest.mark.parametrize("odd", ["signature", "token"])
def test_half_a_character_in_a_signature_is_refused_as_any_other(
    sqlite: Database, odd: str
) -> None:
    signature = {"timestamp": str(int(NOW.timestamp())), "token": "t", "signature": "s"}
    body = json.dumps({"signature": {**signature, odd: "\ud800"}, "event-data": {}}).encode()
    visit = site(sqlite, mailgun_signing_key=SECRET)
    assert visit.post("/hooks/mailgun", content=body).status_code == 403


def test_mailguns_parent_account_may_sign(sqlite: Database) -> None:
    body = json.loads(mailgun(sent(sqlite)))
    signature = body["signature"]
    signature["parent-signature"], signature["signature"] = signature["signature"], "0" * 64
    assert as_mailgun(sqlite)(json.dumps(body).encode()).text == "1 recorded\n"


@pytest.mark.parametrize("stamp", ["0", "", "9" * 11, "-1773306000", "1e9", "١٧٧٣٣٠٦٠٠٠"])
def test_a_signature_of_another_time_is_refused(sqlite: Database, stamp: str) -> None:
    assert as_mailgun(sqlite)(mailgun(sent(sqlite), stamp=stamp)).status_code == 403


def test_a_signature_that_was_overheard_signs_nothing_else(sqlite: Database) -> None:
    """It covers a time and a token, and nothing of the event."""
    ada, bob = sent(sqlite), sent(sqlite, reader(sqlite, "bob@example.com"))
    ask = as_mailgun(sqlite)
    ask(mailgun(ada))
    assert ask(mailgun(bob)).text == "0 recorded\n"
    assert suppressed(sqlite, bob.to) is None


def test_a_complaint_about_somebody_elses_letter_is_not_ours(sqlite: Database) -> None:
    letter = sent(sqlite)
    message = {"headers": {"message-id": "another@shop.example"}}
    envelope = {"sender": "news@shop.example"}
    as_mailgun(sqlite)(mailgun(letter, "complained", message=message, envelope=envelope))
    assert (state(sqlite, letter), recorded(sqlite)) == (
        *(ACTIVE, [("mailgun", "complaint", "listed")]),
    )


# ------------------------------------------------------------------ SendGrid


@cache
def curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def edwards() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def public(key: Any) -> str:
    der, way = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(der, way)).decode()


def sendgrid(letter: Sent, **other: Any) -> dict[str, Any]:
    event = {
        "email": letter.to,
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 nobody of that name",
        "smtp-id": letter.letter.message_id,
        "sg_event_id": f"e{letter.letter.key}",
        "timestamp": 1773306000,
    }
    return {**event, **other}


def as_sendgrid(db: Database, key: Any = None, public_key: str = "") -> Ask:
    key = key or curve()
    visit = site(db, sendgrid_public_key=public_key or public(key))

    def ask(body: bytes, stamp: str = "1773306000", damage: bytes = b"") -> httpx.Response:
        signed = stamp.encode() + body
        way = (ec.ECDSA(hashes.SHA256()),) if key is curve() else ()
        headers = {
            "x-twilio-email-event-webhook-signature": base64.b64encode(
                key.sign(signed, *way)
            ).decode(),
            "x-twilio-email-event-webhook-timestamp": stamp,
        }
        return visit.ask("POST", "/hooks/sendgrid", content=body + damage, headers=headers)

    return ask


@pytest.mark.parametrize("key", [curve, edwards], ids=["ecdsa", "ed25519"])
def test_sendgrid_reports_many_events_at_once(sqlite: Database, key: Callable[[], Any]) -> None:
    ada, bob = sent(sqlite), sent(sqlite, reader(sqlite, "bob@example.com"))
    events = [
        sendgrid(ada),
        sendgrid(bob, event="spamreport"),
        sendgrid(bob, event="open", sg_event_id="x"),
    ]
    answer = as_sendgrid(sqlite, key())(json.dumps(events).encode())
    assert (answer.status_code, answer.text) == (200, "2 recorded\n")
    assert (suppressed(sqlite, ada.to), state(sqlite, bob)) == ("bounced", COMPLAINED)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"type": "blocked", "status": ""}, [("bounce", "policy")]),
        ({"event": "deferred", "status": "4.4.1"}, [("delay", "none")]),
        ({"event": "dropped", "reason": "Bounced Address"}, [("bounce", "hard")]),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, [("unsubscribe", None)]),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, [("complaint", None)]),
        ({"event": "dropped", "reason": "Over Quota"}, [("bounce", "policy")]),
        ({"event": "group_unsubscribe"}, [("unsubscribe", None)]),
        ({"event": "delivered"}, []),
    ],
)
def test_sendgrids_other_events(
    sqlite: Database, other: dict[str, Any], found: list[tuple[str, str | None]]
) -> None:
    as_sendgrid(sqlite)(json.dumps([sendgrid(sent(sqlite), **other)]).encode())
    with sqlite.reading() as tx:
        assert found == [(one.told.kind, one.told.weight) for one in reports.listed(tx)]


def test_no_event_of_a_long_list_is_forgotten(sqlite: Database) -> None:
    events = [{"event": "open", "sg_event_id": str(n)} for n in range(3000)]
    answer = as_sendgrid(sqlite)(json.dumps([*events, sendgrid(sent(sqlite))]).encode())
    assert (answer.text, suppressed(sqlite)) == ("1 recorded\n", "bounced")


def test_an_event_that_cannot_be_recorded_comes_again_and_keeps_no_other_waiting(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, calls = recording.reports.finish, iter(range(9))

    def odd(*given: Any) -> None:
        if next(calls) == 0:
            raise ValueError("a defect")
        finish(*given)

    ada, bob = sent(sqlite), sent(sqlite, reader(sqlite, "bob@example.com"))
    ask, body = as_sendgrid(sqlite), json.dumps([sendgrid(ada), sendgrid(bob)]).encode()
    monkeypatch.setattr(recording.reports, "finish", odd)
    assert (ask(body).status_code, suppressed(sqlite, bob.to)) == (500, "bounced")
    assert (ask(body).text, suppressed(sqlite, ada.to)) == ("1 recorded\n", "bounced")


def test_a_body_that_was_changed_on_its_way_is_refused(sqlite: Database) -> None:
    body = json.dumps([sendgrid(sent(sqlite))]).encode()
    assert as_sendgrid(sqlite)(body, damage=b" ").status_code == 403
    assert recorded(sqlite) == []


def test_a_body_without_a_signature_is_refused(sqlite: Database) -> None:
    visit = site(sqlite, sendgrid_public_key=public(curve()))
    assert visit.post("/hooks/sendgrid", content=b"[]").status_code == 403


def test_a_signature_by_another_key_is_refused(sqlite: Database) -> None:
    other = public(ec.generate_private_key(ec.SECP256R1()))
    assert as_sendgrid(sqlite, public_key=other)(b"[]").status_code == 403


@pytest.mark.parametrize("key", ["nonsense", "AAAA", "-----BEGIN PUBLIC KEY-----\nx"])
def test_a_key_of_ours_that_is_none_is_our_fault(sqlite: Database, key: str) -> None:
    answer = as_sendgrid(sqlite, public_key=key)(b"[]")
    assert (answer.status_code, key in answer.text) == (500, False)


# ------------------------------------------------------------------ Amazon SES


@cache
def amazon() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate(days: int = 1) -> bytes:
    """Amazon's, as far as these tests go; good until so many days from now."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    until = NOW + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(amazon().public_key())
        .serial_number(1)
        .not_valid_before(until - timedelta(days=30))
        .not_valid_after(until)
        .sign(amazon(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


NAMES = {
    "UnsubscribeConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}


def sns(message: Any, version: str = "2", key: Any = None, **other: str) -> bytes:
    """A message as Amazon signs it: names and values, each on a line of its own."""
    text = message if isinstance(message, str) else json.dumps(message)
    told = {
        "Type": "Notification",
        "MessageId": "00000000-0000-0000-0000-000000000001",
        "TopicArn": TOPIC,
        "Message": text,
        "Timestamp": "2026-03-12T09:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE,
        **other,
    }
    names = NAMES.get(told["Type"], NAMES["Notification"])
    signed = "".join(f"{name}\n{told[name]}\n" for name in names if name in told).encode()
    way = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = (key or amazon()).sign(signed, padding.PKCS1v15(), way)
    return json.dumps({**told, "Signature": base64.b64encode(signature).decode()}).encode()


def ses(letter: Sent, kind: str = "Bounce", **other: Any) -> dict[str, Any]:
    bounce = {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "feedbackId": f"f{letter.letter.key}",
        "bouncedRecipients": [
            {
                "emailAddress": letter.to,
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 nobody of that name",
            }
        ],
    }
    complaint = {
        "complainedRecipients": [{"emailAddress": letter.to}],
        "complaintFeedbackType": "abuse",
        "feedbackId": f"c{letter.letter.key}",
    }
    mail = {
        "messageId": "0102019a",
        "source": letter.verp,
        "commonHeaders": {"messageId": letter.letter.message_id},
    }
    body = {"Bounce": ("bounce", bounce), "Complaint": ("complaint", complaint)}
    name, told = body.get(kind, ("delivery", {}))
    return {"notificationType": kind, "mail": mail, name: {**told, **other}}


def as_ses(db: Database, network: Network | None = None, topic: str = TOPIC) -> Ask:
    visit = site(db, network or Network({CERTIFICATE: certificate()}), ses_topic=topic)
    return lambda body: visit.post("/hooks/ses", content=body)


@pytest.mark.parametrize("version", ["1", "2"])
def test_ses_reports_a_hard_bounce(sqlite: Database, version: str) -> None:
    letter = sent(sqlite)
    assert as_ses(sqlite)(sns(ses(letter), version)).status_code == 200
    assert (suppressed(sqlite), now(sqlite, letter).state) == ("bounced", DeliveryState.BOUNCED)


def test_ses_events_are_read_as_its_notifications(sqlite: Database) -> None:
    letter = sent(sqlite)
    event = ses(letter)
    event["eventType"] = event.pop("notificationType")
    as_ses(sqlite)(sns(event))
    assert suppressed(sqlite) == "bounced"


def test_ses_reports_a_complaint(sqlite: Database) -> None:
    letter = sent(sqlite)
    as_ses(sqlite)(sns(ses(letter, "Complaint"), Subject="Amazon SES"))
    assert state(sqlite, letter) == COMPLAINED


@pytest.mark.parametrize(
    ("told", "weight"),
    [
        ({"bounceType": "Transient", "bounceSubType": "MailboxFull"}, "soft"),
        ({"bounceType": "Transient", "bounceSubType": "ContentRejected"}, "content"),
        ({"bounceType": "Permanent", "bounceSubType": "Suppressed"}, "hard"),
        ({"bounceType": "Undetermined", "bounceSubType": "Undetermined"}, "soft"),
    ],
)
def test_ses_without_a_code_is_weighed_by_its_kind(
    sqlite: Database, told: dict[str, str], weight: str
) -> None:
    letter = sent(sqlite)
    nameless = [{"emailAddress": letter.to}]
    as_ses(sqlite)(sns(ses(letter, bouncedRecipients=nameless, **told)))
    with sqlite.reading() as tx:
        assert [weight] == [one.told.weight for one in reports.listed(tx)]


@pytest.mark.parametrize(
    "message", ["Successfully validated SNS topic for Amazon SES event publishing.", "[]", "null"]
)
def test_what_is_no_report_is_taken_without_a_word(sqlite: Database, message: str) -> None:
    answer = as_ses(sqlite)(sns(message))
    assert (answer.status_code, answer.text, recorded(sqlite)) == (200, "0 recorded\n", [])


def test_ses_calls_an_out_of_office_a_bounce_and_it_counts_nothing(sqlite: Database) -> None:
    letter = sent(sqlite)
    told = {"bounceType": "Transient", "bounceSubType": "General"}
    as_ses(sqlite)(sns(ses(letter, bouncedRecipients=[{"emailAddress": letter.to}], **told)))
    assert recorded(sqlite) == [("ses", "reply", "none")]
    assert now(sqlite, letter).state is DeliveryState.ACCEPTED


def test_what_ses_takes_and_never_sends_is_a_bounce_about_us(sqlite: Database) -> None:
    letter = sent(sqlite)
    mail = {**ses(letter)["mail"], "destination": [letter.to]}
    event = {"eventType": "Reject", "mail": mail, "reject": {"reason": "Bad content"}}
    as_ses(sqlite)(sns(event))
    assert (now(sqlite, letter).state, suppressed(sqlite)) == (DeliveryState.BOUNCED, None)


@pytest.mark.parametrize(("all_", "left"), [(True, True), (False, False)])
def test_who_leaves_by_a_link_of_ses_has_left(sqlite: Database, all_: bool, left: bool) -> None:
    letter = sent(sqlite)
    mail = {**ses(letter)["mail"], "destination": [letter.to]}
    told = {"newTopicPreferences": {"unsubscribeAll": all_}}
    as_ses(sqlite)(sns({"eventType": "Subscription", "mail": mail, "subscription": told}))
    assert (state(sqlite, letter)[0] is SubscriberState.ENDED) is left


def test_ses_reports_a_delay(sqlite: Database) -> None:
    letter = sent(sqlite)
    event = {
        "eventType": "DeliveryDelay",
        "mail": ses(letter)["mail"],
        "deliveryDelay": {"delayedRecipients": [{"emailAddress": letter.to, "status": "4.4.1"}]},
    }
    as_ses(sqlite)(sns(event))
    assert recorded(sqlite) == [("ses", "delay", "none")]


def test_a_delivery_is_no_report(sqlite: Database) -> None:
    answer = as_ses(sqlite)(sns(ses(sent(sqlite), "Delivery")))
    assert (answer.text, recorded(sqlite)) == ("0 recorded\n", [])


def test_amazons_certificate_is_asked_for_once(sqlite: Database) -> None:
    network = Network({CERTIFICATE: certificate()})
    ask = as_ses(sqlite, network)
    for body in (sns(ses(sent(sqlite))), sns({}), sns("x")):
        ask(body)
    assert network.asked == [CERTIFICATE]


@pytest.mark.parametrize(
    "other",
    [
        {"SigningCertURL": "https://evil.example/SimpleNotificationService-1.pem"},
        {"SigningCertURL": CERTIFICATE.replace("https", "http")},
        {"SigningCertURL": CERTIFICATE.replace(".com/", ".com.evil.example/")},
        {"SigningCertURL": CERTIFICATE.replace("https://", "https://evil.example\\@")},
        {"SigningCertURL": CERTIFICATE.replace("sns.", "evil-sns.")},
        {"SigningCertURL": CERTIFICATE + "?x=.txt"},
        {"TopicArn": "arn:aws:sns:eu-west-1:666666666666:evil"},
        {"Type": "Surprise"},
        {"SignatureVersion": "3"},
    ],
)
def test_whoever_is_not_amazon_or_not_our_topic_is_refused(
    sqlite: Database, other: dict[str, str]
) -> None:
    network = Network({CERTIFICATE: certificate()})
    answer = as_ses(sqlite, network)(sns(ses(sent(sqlite)), **other))
    assert (answer.status_code, recorded(sqlite)) == (403, [])
    assert set(network.asked) <= {CERTIFICATE}


def test_a_message_signed_by_somebody_else_is_refused(sqlite: Database) -> None:
    other = rsa.generate_private_key(65537, 2048)
    assert as_ses(sqlite)(sns(ses(sent(sqlite)), key=other)).status_code == 403


def test_a_message_that_was_changed_is_refused(sqlite: Database) -> None:
    body = sns(ses(sent(sqlite))).replace(b"2026-03-12T09", b"2026-03-12T10")
    assert as_ses(sqlite)(body).status_code == 403


@pytest.mark.parametrize("page", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nx", b"over"])
def test_a_page_that_is_no_certificate_in_force_proves_nothing_and_is_not_kept(
    sqlite: Database, page: bytes
) -> None:
    """Amazon throws away what is refused by 403, and comes again after 503."""
    network = Network({CERTIFICATE: certificate(-1) if page == b"over" else page})
    ask, body = as_ses(sqlite, network), sns(ses(sent(sqlite)))
    assert (ask(body).status_code, recorded(sqlite)) == (503, [])
    network.pages[CERTIFICATE] = certificate()
    assert ask(body).text == "1 recorded\n"


def test_amazon_is_asked_to_come_again_while_its_certificate_cannot_be_had(
    sqlite: Database,
) -> None:
    answer = as_ses(sqlite, Network({}))(sns(ses(sent(sqlite))))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


SUBSCRIBE = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"


def test_our_topics_subscription_is_confirmed(sqlite: Database) -> None:
    network = Network({CERTIFICATE: certificate(), SUBSCRIBE: b"ok"})
    asked = {"Type": "SubscriptionConfirmation", "SubscribeURL": SUBSCRIBE, "Token": "t"}
    assert as_ses(sqlite, network)(sns("please", **asked)).status_code == 200
    assert network.asked == [CERTIFICATE, SUBSCRIBE]


def test_an_operator_hears_when_a_topic_posts_here_no_more(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    told = {"Type": "UnsubscribeConfirmation", "SubscribeURL": SUBSCRIBE, "Token": "t"}
    network = Network({CERTIFICATE: certificate()})
    answer = as_ses(sqlite, network)(sns("You have unsubscribed.", **told))
    assert (answer.status_code, network.asked) == (200, [CERTIFICATE])
    assert f"{TOPIC} posts here no more" in caplog.text


def test_nothing_else_is_asked_for_on_somebodys_word(sqlite: Database) -> None:
    network = Network({CERTIFICATE: certificate()})
    asked = {
        "Type": "SubscriptionConfirmation",
        "SubscribeURL": "https://internal.example/",
        "Token": "t",
    }
    assert as_ses(sqlite, network)(sns("please", **asked)).status_code == 403
    assert network.asked == [CERTIFICATE]


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://sns.us-east-1.amazonaws.com/x.pem", True),
        ("https://sns.cn-north-1.amazonaws.com.cn/x.pem", True),
        ("https://sns.us-east-1.amazonaws.com:8443/x.pem", False),
        ("https://user@sns.us-east-1.amazonaws.com/x.pem", False),
        ("https://amazonaws.com/x.pem", False),
        ("https://sns.us-east-1.amazonaws.com.evil.example/x.pem", False),
        ("//sns.us-east-1.amazonaws.com/x.pem", False),
        ("", False),
    ],
)
def test_amazons_addresses_are_told_from_all_others(url: str, ours: bool) -> None:
    assert ours is from_sns(url)


# ------------------------------------------------------------------ hostile bodies


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"1", b'"x"'])
def test_what_is_no_event_is_refused_and_nothing_breaks(sqlite: Database, body: bytes) -> None:
    answers = {as_postmark(sqlite)(body).status_code, as_mailgun(sqlite)(body).status_code}
    answers |= {as_ses(sqlite)(body).status_code, as_sendgrid(sqlite)(body).status_code}
    assert answers <= {200, 400, 403}
    assert recorded(sqlite) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
KEYS = (
    *("event", "event-data", "signature", "severity", "recipient", "email", "status", "reason"),
    *("RecordType", "Type", "Email", "Message", "bounce", "mail", "notificationType", "smtp-id"),
    *("bouncedRecipients", "complaint", "complainedRecipients", "message", "headers", "envelope"),
)
VALUES = st.sampled_from(
    [
        *("Bounce", "Complaint", "failed", "complained", "bounce", "dropped", "spamreport"),
        *("HardBounce", "SpamComplaint", "a@b\0c", "\ud800@x", "5.1.1", "<\0@x>"),
    ]
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON | VALUES, max_size=8))
@settings(max_examples=200, deadline=None)
def test_whatever_a_signed_event_holds_reading_it_breaks_nothing(event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    found = [
        *providers.postmark(body),
        *providers.mailgun(body)[1],
        *providers.sendgrid(b"[" + body + b"]"),
        *providers.ses({"Message": json.dumps(event)}),
    ]
    words = "".join(f.text + f.recipient for one in found for f in one.report.failures)
    assert "\0" not in words
    assert words.encode() is not None  # no lone surrogate
