"""Pure: what an SMTP reply says (RFC 5321 4.2, RFC 3463)."""

from __future__ import annotations

import re

from digest.model import OutcomeKind, Phase

MOST_TEXT = 500  # characters kept of a reply
CLOSING = 421
CONFIGURATION = frozenset({530, 534, 535, 538})  # log in first, or otherwise (RFC 4954)
_ENHANCED = re.compile(r"[#(\[]?([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")


def judge(code: int, phase: Phase) -> OutcomeKind:
    """The kind of outcome of a reply that is not the one wanted, or that is 250 to the dot."""
    if code == CLOSING or code in CONFIGURATION:
        return OutcomeKind.RETURNED  # about the connection or about us, not about the letter
    if phase is Phase.DOT and 200 <= code < 300:
        return OutcomeKind.ACCEPTED
    if 400 <= code < 500:
        return OutcomeKind.DEFERRED
    if 500 <= code < 600:
        return OutcomeKind.REFUSED
    return OutcomeKind.UNKNOWN if phase is Phase.DOT else OutcomeKind.RETURNED


def enhanced(code: int | None, text: str) -> str | None:
    """The enhanced status code at the head of a reply's text, if it fits the reply's class."""
    found = _ENHANCED.match(text)
    if found is None or code is None or not found[1].startswith(str(code)[0]):
        return None
    return found[1]


def bounded(text: str) -> str:
    """One line without control characters, at most MOST_TEXT long."""
    if len(text) <= MOST_TEXT and text.isprintable():
        return text
    clean = "".join(c if c.isprintable() else " " for c in text[: 4 * MOST_TEXT])
    return " ".join(clean.split())[:MOST_TEXT]
