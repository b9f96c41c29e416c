"""Pure: what providers post about letters they took becomes Reports.

They vouch for what they say, once their signature is checked, so an address alone is believed.
What is no bounce and no complaint (opens, clicks, deliveries) makes no report.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from digest.bounces.dsn import address, bounded, status
from digest.bounces.read import tokens_in
from digest.bounces.report import Failure, Kind, Report

MOST_RECIPIENTS = 2000  # of one event; how many events there are is bounded by the body
_ID = re.compile(r"<?([^<>\s]{3,250}@[^<>\s]{1,250})>?")
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Posted:
    """One event: its report, and the hash it is known by, however often it is posted."""

    hash: str
    report: Report


class NotUnderstood(Exception):
    """What was posted is not what this provider posts."""


def parsed(body: bytes) -> Any:
    """The JSON of a body. Raises NotUnderstood."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise NotUnderstood("no JSON") from None


def _dict(value: Any) -> Event:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value[:MOST_RECIPIENTS] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _known_by(provider: str, *names: Any) -> str:
    text = json.dumps([provider, *names], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _report(
    kind: Kind, failures: list[Failure], message_id: Any = "", sender: Any = "", note: str = ""
) -> Report:
    found = _ID.fullmatch(clean_text(_text(message_id)).strip())
    return Report(
        kind,
        tuple(failures),
        traces=tokens_in("b", [_text(sender)]),
        message_ids=(f"<{found[1]}>",) if found else (),
        note=bounded(clean_text(note)),
        vouched=True,
    )


def clean_text(text: str) -> str:
    """Without what no database takes."""
    return "".join(c if c.isprintable() else " " for c in text[:4000])


def _failure(to: Any, action: str, code: Any, text: Any) -> Failure:
    said = bounded(clean_text(_text(text)))
    return Failure(address(clean_text(_text(to))), "", action, status(_text(code)), said)


# ------------------------------------------------------------------ Amazon SES


def ses(message: Event) -> list[Posted]:
    """An SNS notification, its signature checked: notifications and event publishing alike. Words
    in place of an event are a greeting."""
    try:
        event = _dict(parsed(_text(message.get("Message")).encode("utf-8", "replace")))
    except NotUnderstood:
        return []
    kind, failures = _ses_failures(event)
    if kind is None:
        return []
    mail, told = _dict(event.get("mail")), _ses_told(event)
    message_id = _dict(mail.get("commonHeaders")).get("messageId")
    report = _report(kind, failures, message_id, mail.get("source"))
    return [Posted(_known_by("ses", told.get("feedbackId"), message.get("MessageId")), report)]


def _ses_name(event: Event) -> str:
    return _text(event.get("notificationType") or event.get("eventType"))


def _ses_told(event: Event) -> Event:
    """What stands under the event's own name: `DeliveryDelay` under `deliveryDelay`."""
    name = _ses_name(event)
    return _dict(event.get(name[:1].lower() + name[1:]))


def _ses_failures(event: Event) -> tuple[Kind | None, list[Failure]]:
    """(what an event is, whom it is about); None for what is no report."""
    told = _ses_told(event)
    match _ses_name(event):
        case "Bounce":
            kind, failures = Kind.BOUNCE, [_ses_bounce(told, one) for one in _ses_bounced(told)]
            if not failures and told.get("bouncedRecipients"):
                return Kind.REPLY, []
        case "Complaint" if told.get("complaintFeedbackType") != "not-spam":
            words = told.get("complaintFeedbackType") or "complaint"
            named = map(_dict, _list(told.get("complainedRecipients")))
            kind = Kind.COMPLAINT
            failures = [_failure(one.get("emailAddress"), "failed", "", words) for one in named]
        case "Reject":  # SES had taken it, and found a virus
            to = _list(_dict(event.get("mail")).get("destination"))
            words = f"rejected: {_text(told.get('reason'))}"
            kind, failures = Kind.BOUNCE, [_failure(one, "failed", "5.6.0", words) for one in to]
        case "DeliveryDelay":
            kind, failures = Kind.DELAY, list(map(_ses_delay, _list(told.get("delayedRecipients"))))
        case "Subscription" if _dict(told.get("newTopicPreferences")).get("unsubscribeAll") is True:
            to = _list(_dict(event.get("mail")).get("destination"))[:1]
            words = "asked the provider"
            kind, failures = Kind.UNSUBSCRIBE, [_failure(one, "failed", "", words) for one in to]
        case _:
            return None, []
    return (kind if failures else None), failures


def _ses_bounced(bounce: Event) -> list[Event]:
    """Those who did not get it. SES calls an answer by itself, such as one out of office, a
    `Transient` bounce of kind `General` and has no code for it."""
    named = [_dict(one) for one in _list(bounce.get("bouncedRecipients"))]
    if (bounce.get("bounceType"), bounce.get("bounceSubType")) != ("Transient", "General"):
        return named
    return [one for one in named if one.get("status") or one.get("diagnosticCode")]


def _ses_delay(one: Any) -> Failure:
    late = _dict(one)
    code, words = late.get("status"), late.get("diagnosticCode")
    return _failure(late.get("emailAddress"), "delayed", code, words)


def _ses_bounce(bounce: Event, one: Event) -> Failure:
    """`Transient` is a failure, too: SES has given up. Without a code, a kind of bounce is one."""
    kinds = {("Permanent", "General"): "5.1.1", ("Permanent", "NoEmail"): "5.1.1"}
    kinds |= {("Permanent", "Suppressed"): "5.1.1", ("Transient", "MailboxFull"): "5.2.2"}
    kinds |= {("Transient", "ContentRejected"): "5.6.0", ("Transient", "MessageTooLarge"): "5.3.4"}
    name = (_text(bounce.get("bounceType")), _text(bounce.get("bounceSubType")))
    words = one.get("diagnosticCode") or " ".join(name)
    code = one.get("status") or kinds.get(name, "")
    return _failure(one.get("emailAddress"), "failed", code, words)


# ------------------------------------------------------------------ Postmark

_POSTMARK = {
    "HardBounce": "5.1.1",
    "BadEmailAddress": "5.1.3",
    "ManuallyDeactivated": "5.2.1",
    "SoftBounce": "5.2.0",
    "DnsError": "5.4.4",
    "Unknown": "5.0.0",
    "AddressChange": "5.1.6",
    "Blocked": "5.7.1",
    "SpamNotification": "5.7.1",
    "DMARCPolicy": "5.7.1",
    "VirusNotification": "5.6.0",
    "SMTPApiError": "5.5.0",
}


def postmark(body: bytes) -> list[Posted]:
    """A bounce or a spam complaint. Postmark's MessageID is its own, so the address decides."""
    event = _dict(parsed(body))
    record, kind = _text(event.get("RecordType")), _text(event.get("Type"))
    words = event.get("Details") or event.get("Description")
    named = event.get("ID") or event.get("MessageID")
    known_by = _known_by("postmark", event.get("ID"), record, event.get("MessageID"))
    known_by = known_by if named else _known_by("postmark", dict(event))
    if record == "SpamComplaint" or kind == "SpamComplaint":
        failure = _failure(event.get("Email"), "failed", "", words)
        return [Posted(known_by, _report(Kind.COMPLAINT, [failure]))]
    if record == "SubscriptionChange" and event.get("SuppressionReason") == "ManualSuppression":
        failure = _failure(event.get("Recipient"), "failed", "", "asked the provider")
        known_by = _known_by("postmark", record, event.get("ChangedAt"), failure.recipient)
        wanted = event.get("SuppressSending") is True
        return [Posted(known_by, _report(Kind.UNSUBSCRIBE, [failure]))] if wanted else []
    if record != "Bounce":
        return []
    if kind == "Transient":
        failure = _failure(event.get("Email"), "delayed", "4.0.0", words)
        return [Posted(known_by, _report(Kind.DELAY, [failure]))]
    if kind == "Unsubscribe":  # written to the return address, which is Postmark's
        failure = _failure(event.get("Email"), "failed", "", "wrote to the provider")
        return [Posted(known_by, _report(Kind.UNSUBSCRIBE, [failure]))]
    if kind not in _POSTMARK:
        return []  # out of office, challenges, tests of open relays
    failure = _failure(event.get("Email"), "failed", _POSTMARK[kind], words)
    return [Posted(known_by, _report(Kind.BOUNCE, [failure]))]


# ------------------------------------------------------------------ Mailgun


def mailgun(body: bytes) -> tuple[Event, list[Posted]]:
    """(the signature to check, the event). An event is known by the signature's token: it covers
    nothing of the event itself, so each token counts once, whatever comes with it."""
    posted = _dict(parsed(body))
    signature, event = _dict(posted.get("signature")), _dict(posted.get("event-data"))
    known_by = _known_by("mailgun", _text(signature.get("token")))
    return signature, [Posted(known_by, report) for report in _mailgun_reports(event)]


def _mailgun_reports(event: Event) -> Iterator[Report]:
    answer, reason = _dict(event.get("delivery-status")), _text(event.get("reason"))
    name = _ASKED_BEFORE.get(reason) or _text(event.get("event"))
    headers = _dict(_dict(event.get("message")).get("headers"))
    sender = _dict(event.get("envelope")).get("sender")
    words = answer.get("message") or answer.get("description") or event.get("reason")
    code = answer.get("enhanced-code") or _BY_REASON.get(reason, "")
    if name == "failed" and event.get("severity") == "temporary":
        failure = _failure(event.get("recipient"), "delayed", code, words)
        yield _report(Kind.DELAY, [failure], headers.get("message-id"), sender)
    elif name == "failed":
        text = f"{_text(answer.get('code'))} {_text(words)}"
        failure = _failure(event.get("recipient"), "failed", code, text)
        yield _report(Kind.BOUNCE, [failure], headers.get("message-id"), sender)
    elif name in {"complained", "unsubscribed"}:
        kind = Kind.COMPLAINT if name == "complained" else Kind.UNSUBSCRIBE
        failure = _failure(event.get("recipient"), "failed", "", name)
        yield _report(kind, [failure], headers.get("message-id"), sender)


_BY_REASON = {"suppress-bounce": "5.1.1"}  # it bounced there before; now it is not even tried
_ASKED_BEFORE = {"suppress-unsubscribe": "unsubscribed", "suppress-complaint": "complained"}
"""What somebody told the provider before is why it is not even tried."""


# ------------------------------------------------------------------ SendGrid


def sendgrid(body: bytes) -> list[Posted]:
    """A list of events."""
    events = parsed(body)
    if not isinstance(events, list):
        raise NotUnderstood("no list of events")
    found = ((event, _sendgrid_report(event)) for event in map(_dict, events))
    return [
        Posted(_known_by("sendgrid", event.get("sg_event_id") or dict(event)), report)
        for event, report in found
        if report is not None
    ]


def _sendgrid_report(event: Event) -> Report | None:
    name, to, id_ = _text(event.get("event")), event.get("email"), event.get("smtp-id")
    words = event.get("reason") or event.get("response") or name
    if name == "bounce":
        blocked = event.get("type") == "blocked"  # by policy or for a while, says the provider
        code = event.get("status") or ("5.7.0" if blocked else "")
        return _report(Kind.BOUNCE, [_failure(to, "failed", code, words)], id_)
    if name == "dropped":  # not even tried
        return _sendgrid_dropped(event)
    if name == "deferred":
        return _report(Kind.DELAY, [_failure(to, "delayed", event.get("status"), words)], id_)
    if name == "spamreport":
        return _report(Kind.COMPLAINT, [_failure(to, "failed", "", name)], id_)
    if name in {"unsubscribe", "group_unsubscribe"}:
        return _report(Kind.UNSUBSCRIBE, [_failure(to, "failed", "", name)], id_)
    return None


def _sendgrid_dropped(event: Event) -> Report:
    """For what somebody told the provider before, or for something between it and us."""
    reason, to = _text(event.get("reason")), event.get("email")
    asked = {"Unsubscribed Address": Kind.UNSUBSCRIBE, "Spam Reporting Address": Kind.COMPLAINT}
    code = {"Bounced Address": "5.1.1", "Invalid": "5.1.3"}.get(reason, "5.7.0")
    kind = asked.get(reason, Kind.BOUNCE)
    code = code if kind is Kind.BOUNCE else ""
    return _report(kind, [_failure(to, "failed", code, reason)], event.get("smtp-id"))
