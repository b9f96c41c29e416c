"""Pure: which addresses are one mailbox, and so one person."""

from __future__ import annotations

from unicodedata import normalize


def mailbox(address: str) -> str:
    """What a (normalised) address is known by here: itself in lower case. Letters never go to it.

    RFC 5321 leaves the case of a local part to its receiver; hardly one has two mailboxes that
    differ in nothing else. Lower case and not `casefold`, which makes one of ß and ss: those are
    two mailboxes. See docs/decisions/0008.
    """
    return address.lower() if address.isascii() else normalize("NFC", address.lower())
