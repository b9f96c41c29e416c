"""What may stand in a log: words without whom they are about, and without what acts for them."""

from __future__ import annotations

import re

ADDRESS, TOKEN = "‹address›", "‹token›"

_LOCAL = r"\w.!#$%&'*+/=?^`{|}~\\-"  # RFC 5322, 3.2.3, in any script; \ as errors quote it
_APART = r"\s<>\"'(),;:\[\]"  # what may follow an address
_ANY = re.compile(
    r"(?P<url>(?<![\w+])[a-z][a-z0-9+]*+://\S+)"
    rf"|(?:\"[^\"\r\n]{{0,64}}\"|(?<![{_LOCAL}])[{_LOCAL}]++)@"
    rf"(?:\[[^\]\s]*\]|[^{_APART}]*[^{_APART}.])",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"\b\d+\.[\w-]{32,}")  # as digest.links makes them


def discreet(text: str) -> str:
    """`text` with every mail address and every signed token replaced. Other people's words, such
    as a relay's reply or an error's own text, may quote either; a user in a URL is no address."""
    if "@" in text:
        text = _ANY.sub(lambda found: found["url"] or ADDRESS, text)
    return _SIGNED.sub(TOKEN, text)
