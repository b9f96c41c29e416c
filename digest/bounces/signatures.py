"""Pure: is a webhook from whom it says? Everything here answers yes or no and never raises.

RSA and elliptic curves need `cryptography`: the extra `webhooks`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from digest.errors import Refused

OLDEST = timedelta(days=1)  # a stamp older than this was kept to be played again
COPY_IT = "copy it from the provider's settings"
_SNS = re.compile(r"sns\.[a-z0-9-]{3,40}\.amazonaws\.com(?:\.cn)?")
_SIGNED_BY_SNS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_SIGNED_BY_SNS["UnsubscribeConfirmation"] = _SIGNED_BY_SNS["SubscriptionConfirmation"]


def same_secret(given: str, expected: str) -> bool:
    """In constant time."""
    return bool(expected) and hmac.compare_digest(_octets(given), _octets(expected))


def _octets(text: str) -> bytes:
    """Whatever JSON lets through, half a character included."""
    return text.encode("utf-8", "surrogatepass")


def basic(authorization: str) -> str:
    """The password of an Authorization header (RFC 7617), "" where there is none."""
    kind, _, rest = authorization.partition(" ")
    found = decoded(rest) if kind.lower() == "basic" else b""
    return found.decode("utf-8", "replace").partition(":")[2]


def decoded(text: str) -> bytes:
    """The bytes of a base64 text, b"" where it is none."""
    try:
        return b64decode(text.strip(), validate=True)
    except (NotBase64, ValueError):
        return b""


# ------------------------------------------------------------------ Mailgun


def mailgun(signature: Mapping[str, Any], key: str, now: datetime) -> bool:
    """HMAC-SHA256 of timestamp and token, by the account's key or its parent's. It does not cover
    the event: providers.py says why that is enough."""
    stamp, token = str(signature.get("timestamp", "")), str(signature.get("token", ""))
    if not re.fullmatch(r"[0-9]{9,11}", stamp) or not token:
        return False
    fresh = abs(now - datetime.fromtimestamp(int(stamp), UTC)) <= OLDEST
    mac = hmac.new(key.encode(), _octets(f"{stamp}{token}"), hashlib.sha256).hexdigest()
    given = (str(signature.get(name, "")) for name in ("signature", "parent-signature"))
    return fresh and bool(key) and any(same_secret(one, mac) for one in given)


# ------------------------------------------------------------------ SendGrid


def sendgrid(body: bytes, stamp: str, signature: str, public_key: str) -> bool:
    """ECDSA (P-256, SHA-256) or Ed25519 over timestamp and body. `public_key`: base64 or PEM, as
    the provider's settings show it. Raises Refused where that is no such key."""
    _cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key, signed = _public_key(public_key), stamp.encode() + body
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(decoded(signature), signed, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(decoded(signature), signed)
        else:
            raise Refused(f"webhooks.sendgrid_public_key: neither ECDSA nor Ed25519; {COPY_IT}")
    except InvalidSignature:
        return False
    return True


def _public_key(text: str) -> Any:
    from cryptography.hazmat.primitives.serialization import (
        load_der_public_key,
        load_pem_public_key,
    )

    try:
        if "-----BEGIN" in text:
            return load_pem_public_key(text.encode())
        return load_der_public_key(decoded("".join(text.split())))
    except ValueError:
        said = "webhooks.sendgrid_public_key: no public key in base64 or PEM"
        raise Refused(f"{said}; {COPY_IT}") from None


# ------------------------------------------------------------------ Amazon SNS


def from_sns(url: str) -> bool:
    """Whether an address is Amazon SNS's own, by https; whoever signs could name any other."""
    found = re.fullmatch(r"https://([^/?#@:\\]+)(/[^\s\\]*)", url)
    return bool(found and _SNS.fullmatch(found[1].lower()))


def sns_certificate_url(message: Mapping[str, Any]) -> str:
    """Where the certificate is, "" where that is not Amazon's to say."""
    url = str(message.get("SigningCertURL", ""))
    return url if from_sns(url) and url.endswith(".pem") else ""


def is_in_force(certificate: bytes, now: datetime) -> bool:
    """Whether this is a certificate (PEM) whose time has begun and is not over."""
    _cryptography()
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        return False
    return found.not_valid_before_utc <= now <= found.not_valid_after_utc


def sns(message: Mapping[str, Any], certificate: bytes) -> bool:
    """Whether the holder of this certificate (PEM, fetched from Amazon) signed this message.
    SignatureVersion 2 is SHA-256, 1 is SHA-1."""
    _cryptography()
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    names = _SIGNED_BY_SNS.get(str(message.get("Type")))
    version = str(message.get("SignatureVersion"))
    way = {"1": hashes.SHA1(), "2": hashes.SHA256()}.get(version)  # noqa: S303
    if names is None or way is None:
        return False
    signed = "".join(
        f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None
    )
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            return False
        key.verify(decoded(str(message.get("Signature"))), signed.encode(), padding.PKCS1v15(), way)
    except (ValueError, InvalidSignature):
        return False
    return True


def _cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError:
        raise Refused("this webhook needs: pip install 'paper-digest[webhooks]'") from None
