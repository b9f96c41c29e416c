"""Pure: a letter's MAIL and RCPT commands, with the parameters that the relay offers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import idna

from digest.model import Letter, Phase

LONGEST_PATH = 254  # RFC 5321 4.5.3.1.3, without the brackets
LONGEST_LOCAL = 64
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"'
_LOCAL = re.compile(rf'(?:[^\s<>"(),:;@\\\[\]\x00-\x1f\x7f]+|{_QUOTED})\Z')
_NO_XCHAR = re.compile(r"[^!-*,-<>-~]")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z|\[[A-Za-z0-9.:-]+\]\Z")


class Unsendable(Exception):
    """This letter cannot be offered to this relay. `enhanced` says why in the words of RFC 3463,
    `phase` which command could not be said."""

    def __init__(self, enhanced: str, text: str, phase: Phase = Phase.MAIL) -> None:
        super().__init__(text)
        self.enhanced = enhanced
        self.phase = phase


def envelope(letter: Letter, offered: Mapping[str, str]) -> tuple[bytes, bytes]:
    """(MAIL, RCPT) without line ends; `offered` holds EHLO's keywords in lower case.

    Raises Unsendable for an address that no command line can hold, and for what the relay's
    own words exclude: SMTPUTF8 (RFC 6531), 8-bit bodies (RFC 6152), SIZE (RFC 1870).
    """
    sender = path(letter.mail_from, "5.1.7", Phase.MAIL) if letter.mail_from else ""
    recipient = path(letter.recipient, "5.1.3", Phase.RCPT)
    options = [*_size(len(letter.raw), offered), *_eight_bit(letter.raw, offered)]
    if not (sender.isascii() and recipient.isascii()):
        if "smtputf8" not in offered:
            raise Unsendable("5.6.7", f"{recipient}: needs SMTPUTF8, which the relay lacks")
        options.append("SMTPUTF8")
    if "dsn" in offered:  # RFC 3461: the report names our Message-ID and leaves the text out
        options.append(f"RET=HDRS ENVID={xtext(letter.message_id.strip('<>'))}")
    mail = " ".join((f"MAIL FROM:<{sender}>", *options))
    return mail.encode(), f"RCPT TO:<{recipient}>".encode()


def path(address: str, enhanced: str, phase: Phase) -> str:
    """The address as a command line holds it, its domain in ASCII."""
    local, at, domain = address.rpartition("@")
    host = _host(domain)
    octets = len(local.encode("utf-8", "replace"))
    short = octets <= LONGEST_LOCAL and octets + 1 + len(host) <= LONGEST_PATH
    if not (at and host and short and _LOCAL.match(local) and _encodable(local)):
        said = f"{address[:80]!r} is not an address that SMTP can carry"
        raise Unsendable(enhanced, said, phase)
    return f"{local}@{host}"


def _encodable(text: str) -> bool:
    return text.isascii() or text.isprintable()  # a lone surrogate is not printable


@lru_cache(maxsize=4096)
def _host(domain: str) -> str:
    """The domain in ASCII; "" where it is none. Most letters go to few domains."""
    try:
        host = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return ""
    return host if _DOMAIN.match(host) else ""


def _size(octets: int, offered: Mapping[str, str]) -> list[str]:
    if "size" not in offered:
        return []
    limit = offered["size"].strip()
    if limit.isdigit() and 0 < int(limit) < octets:
        raise Unsendable("5.3.4", f"{octets} bytes are more than the {limit} the relay takes")
    return [f"SIZE={octets}"]


def _eight_bit(raw: bytes, offered: Mapping[str, str]) -> list[str]:
    if raw.isascii():
        return []
    if "8bitmime" not in offered:
        raise Unsendable("5.6.3", "the letter has 8-bit text, which the relay does not take")
    return ["BODY=8BITMIME"]


def xtext(text: str) -> str:
    """RFC 3461 4: printable ASCII but "+" and "="; the rest as +HH."""
    return _NO_XCHAR.sub(
        lambda found: f"+{ord(found[0]):02X}", text.encode("ascii", "ignore").decode()
    )
