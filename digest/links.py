"""Pure: signed addresses, one salt per purpose, so that a link for one act opens no other.

Tokens do not expire: an unsubscribe link in an old letter must still work (RFC 8058).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from enum import StrEnum

from itsdangerous import BadSignature, Signer

from digest.errors import TokenError


class Purpose(StrEnum):
    """What a link is for; the first part of its path."""

    CONFIRM = "c"
    UNSUBSCRIBE = "u"
    PREFERENCES = "p"
    FEEDBACK = "f"  # value: subscriber key
    LETTER = "l"  # value: edition key: the letter as a page
    BOUNCE = "b"  # value: delivery key, in the envelope sender (VERP)


class Links:
    """Makes and reads the site's signed addresses. `base_url` has no slash at its end."""

    def __init__(self, secret: str, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._secret = secret.encode()
        self._signers = {purpose: self._signer(purpose) for purpose in Purpose}

    def _signer(self, purpose: Purpose) -> Signer:
        return Signer(
            self._secret,
            salt=f"digest.{purpose}",
            sep=".",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )

    def token(self, purpose: Purpose, value: str | int) -> str:
        """`value` and its signature, safe in a URL and in the local part of an address."""
        return self._signers[purpose].sign(str(value)).decode()

    def read(self, purpose: Purpose, token: str) -> str:
        """The value of a token made for this purpose. Raises TokenError for any other.

        Only the very token that `token` makes: base64 would also let other spellings through.
        """
        value, _, _ = token.rpartition(".")
        try:
            self._signers[purpose].unsign(token)
        except (BadSignature, UnicodeError):
            value = ""
        if not value or token != self.token(purpose, value):
            raise TokenError("this link is damaged or was made for another purpose")
        return value

    def url(self, purpose: Purpose, value: str | int, tail: str = "") -> str:
        """`{site}/{purpose}/{token}{tail}`."""
        return f"{self.base_url}/{purpose}/{self.token(purpose, value)}{tail}"

    def message_id(self, kind: str, value: str, domain: str) -> str:
        """A Message-ID that stays the same over attempts and differs for each recipient."""
        mac = hmac.new(self._secret, f"message-id\0{kind}\0{value}".encode(), hashlib.sha256)
        local = urlsafe_b64encode(mac.digest()[:18]).decode()
        return f"<{kind[0]}.{local}@{domain}>"
