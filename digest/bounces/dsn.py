"""Pure: the machine's parts of reports: delivery status (RFC 3464, 6533), feedback (RFC 5965)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

import idna

from digest.bounces.mime import Fields, Part, fields
from digest.bounces.report import Failure, Kind

STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")
RETURNED_PARTS = (
    *("message/rfc822", "message/global", "text/rfc822-headers", "text/rfc822"),
    *("message/rfc822-headers", "message/global-headers"),
)
NOT_FAILED = frozenset(("delayed", "delivered", "relayed", "expanded"))
FEEDBACK_PART = "message/feedback-report"
MOST_FAILURES = 50
MOST_TEXT = 500
LONGEST_ADDRESS = 320
MARKS = ",;.'\""  # around addresses within words

_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\d)")
_ADDRESS = re.compile(r'("(?:[^"\\]|\\.){1,64}"|[^\s<>]+)@([^\s<>@]+)')
_XTEXT = re.compile(r"\+([2-7][0-9A-F])")  # controls are never decoded
_UTF8_XTEXT = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_RECIPIENT_FIELDS = ("final-recipient", "original-recipient", "x-actual-recipient")

KINDS_OF_FEEDBACK = {
    "not-spam": Kind.NOTICE,
    "opt-out": Kind.UNSUBSCRIBE,
    "opt-out-list": Kind.UNSUBSCRIBE,
    "auth-failure": Kind.NOTICE,  # RFC 6591: about our signatures, not a reader's wish
}
"""Everything else is a complaint: abuse, fraud, virus, other."""


def groups(data: bytes) -> list[Fields]:
    """The blocks of fields of a delivery status."""
    blocks = re.split(rb"\n[ \t]*\n", data.strip(b"\n"), maxsplit=4 * MOST_FAILURES)
    return [found for block in blocks if (found := fields(block.strip(b"\n")))]


def failures(data: bytes) -> tuple[Failure, ...]:
    """What a delivery status says of each recipient; some senders put several into one block."""
    told = (
        _failure(group, number)
        for group in groups(data)
        for number in range(max(len(group.get(name, ())) for name in _RECIPIENT_FIELDS))
    )
    return tuple(islice(told, MOST_FAILURES))


def _failure(group: Fields, number: int) -> Failure:
    def nth(name: str) -> str:
        values = group.get(name) or ("",)
        return values[min(number, len(values) - 1)]

    code = status(nth("status"))
    return Failure(
        recipient=address(nth("final-recipient") or nth("x-actual-recipient")),
        original=address(nth("original-recipient")),
        action=_action(nth("action"), code),
        status=code,
        text=bounded(nth("diagnostic-code")),
    )


def _action(said: str, code: str) -> str:
    """What was done, in the words of RFC 3464; some servers have others, or none."""
    word = said.lower().partition("(")[0].strip(" ;.")
    if word == "failed" or word in NOT_FAILED:
        return word
    return "delivered" if code.startswith("2") else "failed"


def envelope_ids(data: bytes) -> Iterator[str]:
    """Message-IDs that a delivery status names: we give ours as ENVID (RFC 3461 4.4)."""
    for group in groups(data)[:2]:
        for value in group.get("original-envelope-id", ()):
            yield f"<{unxtext(value).strip('<> ')}>"
        yield from group.get("x-original-message-id", ())


def status(text: str) -> str:
    """`5.1.1` at the head of a Status field, "" where there is none."""
    found = _STATUS.match(text.strip())
    return found[0] if found else ""


def statuses_in(text: str) -> list[str]:
    """Every 4.x.x and 5.x.x within a server's words; addresses such as 5.1.1.2 are none."""
    return re.findall(r"(?<![\d.])([45]\.\d{1,3}\.\d{1,3})(?!\.?\d)", text[:10_000])


def address(value: str) -> str:
    """The address of `rfc822; <ada@example.org>`, its domain as we keep them: in ASCII. "" where
    there is none."""
    kind, semicolon, rest = value.partition(";")
    text = (rest if semicolon else kind).strip()
    if kind.strip().lower() == "utf-8":  # RFC 6533 3: \x{HEX}
        text = _UTF8_XTEXT.sub(lambda found: _character(found[1]), text)
    found = _ADDRESS.search(text[: 2 * LONGEST_ADDRESS])
    if found is None or len(found[0]) > LONGEST_ADDRESS:
        return ""
    local = found[1] if found[1].endswith('"') else found[1].lstrip(MARKS)
    return f"{local}@{_in_ascii(found[2].rstrip(MARKS))}"


def _in_ascii(domain: str) -> str:
    try:
        return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain


def _character(digits: str) -> str:
    number = int(digits, 16)
    printable = 32 < number < 0x110000 and not 0xD800 <= number < 0xE000
    return chr(number) if printable else ""


def unxtext(text: str) -> str:
    """RFC 3461 4: +HH back to a printable character."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


def bounded(text: str) -> str:
    """One line of at most MOST_TEXT characters."""
    return " ".join(text[: 4 * MOST_TEXT].split())[:MOST_TEXT]


# ------------------------------------------------------------------ complaints


def feedback(part: Part) -> tuple[Kind, Failure, tuple[str, ...]]:
    """(what a feedback report is, whom it is about, envelope senders of the letter)."""
    [found] = groups(part.data())[:1] or [{}]
    said = (found.get("feedback-type") or ("abuse",))[0].strip().lower()
    named = found.get("original-rcpt-to") or found.get("removal-recipient") or ("",)
    agent = (found.get("user-agent") or ("",))[0]
    text = bounded(f"{said} {agent}")
    kind = KINDS_OF_FEEDBACK.get(said, Kind.COMPLAINT)
    return (
        kind,
        Failure(recipient=address(named[0]), text=text),
        found.get("original-mail-from", ()),
    )


def kind_of(found: Sequence[Failure]) -> Kind:
    """What a delivery status with these failures amounts to."""
    actions = {failure.action for failure in found}
    if actions - NOT_FAILED:
        return Kind.BOUNCE
    return Kind.DELAY if "delayed" in actions else Kind.NOTICE
