"""Pure: signed addresses, one salt per purpose, so that a link for one act opens no other.

Tokens do not expire: an unsubscribe link in an old letter must still work (RFC 8058).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from binascii import b2a_base64
from enum import StrEnum

from itsdangerous import BadSignature, Signer

from digest.errors import TokenError


class Purpose(StrEnum):
    """What a token is for: the first part of a page's path, or of an address that takes mail."""

    CONFIRM = "c"
    UNSUBSCRIBE = "u"
    PREFERENCES = "p"
    FEEDBACK = "f"  # value: subscriber key
    LETTER = "l"  # value: edition key: the letter as a page
    BOUNCE = "b"  # value: delivery key, in the envelope sender (VERP)
    LEAVE_BY_MAIL = "unsub"  # value: subscriber key, in the mailto of List-Unsubscribe


BY_MAIL = frozenset((Purpose.BOUNCE, Purpose.LEAVE_BY_MAIL))
"""Whose tokens stand in the local part of an address. On its way its capitals may get lost, so
these tokens have none, are read in either case, and are short: 64 octets are all there is."""


class Links:
    """Makes and reads the site's signed addresses. `base_url` has no slash at its end."""

    def __init__(self, secret: str, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._secret = secret.encode()
        self._signers = {p: self._signer(p) for p in Purpose if p not in BY_MAIL}
        self._macs = {p: _mac(signer.derive_key()) for p, signer in self._signers.items()}
        self._macs |= {p: _mac(self._secret, f"mail\0{p}\0") for p in BY_MAIL}
        self._mac = _mac(self._secret, "message-id\0")

    def _signer(self, purpose: Purpose) -> Signer:
        return Signer(
            self._secret,
            salt=f"digest.{purpose}",
            sep=".",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )

    def token(self, purpose: Purpose, value: str | int) -> str:
        """`value` and its signature, safe in a URL, or for BY_MAIL in the local part of an
        address; there the value must be a number."""
        if purpose in BY_MAIL:
            return f"{value}.{self._signature_by_mail(purpose, str(value))}"
        signed = str(value)  # as the signer does it, who begins with the key each time
        return f"{signed}.{_base64(_keyed(self._macs[purpose], signed))}"

    def _signature_by_mail(self, purpose: Purpose, value: str) -> str:
        """160 bits in 32 characters of base32 (RFC 4648), all of them small."""
        return b32encode(_keyed(self._macs[purpose], value)[:20]).decode().lower()

    def read(self, purpose: Purpose, token: str) -> str:
        """The value of a token made for this purpose. Raises TokenError for any other.

        Only the very token that `token` makes, for BY_MAIL in either case: base64 would also let
        other spellings through.
        """
        by_mail = purpose in BY_MAIL
        value = self._read_by_mail(purpose, token) if by_mail else self._read(purpose, token)
        if not value:
            raise TokenError("this link is damaged or was made for another purpose")
        return value

    def _read(self, purpose: Purpose, token: str) -> str:
        value, _, _ = token.rpartition(".")
        try:
            self._signers[purpose].unsign(token)
        except (BadSignature, UnicodeError):
            return ""
        return value if token == self.token(purpose, value) else ""

    def _read_by_mail(self, purpose: Purpose, token: str) -> str:
        value, _, signature = token.rpartition(".")
        if not (token.isascii() and value.isdigit()):
            return ""
        expected = self._signature_by_mail(purpose, value)
        return value if hmac.compare_digest(expected, signature.lower()) else ""

    def url(self, purpose: Purpose, value: str | int, tail: str = "") -> str:
        """`{site}/{purpose}/{token}{tail}`."""
        return f"{self.base_url}/{purpose}/{self.token(purpose, value)}{tail}"

    def message_id(self, kind: str, value: str, domain: str) -> str:
        """A Message-ID that stays the same over attempts and differs for each recipient."""
        mac = _keyed(self._mac, f"{kind}\0{value}")
        return f"<{kind[0]}.{_base64(mac[:18])}@{domain}>"


def _mac(key: bytes, prefix: str = "") -> hmac.HMAC:
    return hmac.new(key, prefix.encode(), hashlib.sha256)


def _keyed(mac: hmac.HMAC, text: str) -> bytes:
    """The HMAC of a text by a key, and a prefix, that were taken in before."""
    mac = mac.copy()
    mac.update(text.encode())
    return mac.digest()


def _base64(data: bytes) -> str:
    """As in a URL, without padding."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=").decode()


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
