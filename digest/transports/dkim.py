"""DKIM signatures (RFC 6376, RFC 8463), for sites whose relay does not sign.

Pure but for the reading of the key: the same letter gets the same signature, since neither RSA
(PKCS #1 v1.5) nor Ed25519 uses chance here and no time is stated. Needs `cryptography`: the extra
`dkim`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import Any

from digest.errors import ConfigError
from digest.model import Letter

SIGNED = (
    *("from", "reply-to", "to", "subject", "date", "message-id", "mime-version", "content-type"),
    *("content-transfer-encoding", "list-id", "list-help", "list-owner", "list-post"),
    *("list-unsubscribe", "list-unsubscribe-post", "auto-submitted", "feedback-id"),
)
"""What is signed where it is there. RFC 8058 asks for both List-Unsubscribe headers."""
ONCE = frozenset({"from", "to", "subject", "date", "message-id"})
ONCE |= {"list-unsubscribe", "list-unsubscribe-post"}
"""Signed once more than they are there: a second one, added on the way, breaks the signature."""
SHORTEST_RSA = 1024  # RFC 8301; 2048 is what to make
_SPACE = re.compile(rb"[ \t]+")
_LINE_ENDS_IN_SPACE = re.compile(rb" \r\n")
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class Signer:
    """Signs for `domain` under `selector`. `pem`: a private key, RSA or Ed25519. Raises
    ConfigError for a key that cannot be used."""

    def __init__(self, domain: str, selector: str, pem: str) -> None:
        self._key = _read(pem)
        self._rsa = hasattr(self._key, "key_size")
        self._names = (domain, selector)

    def sign(self, letter: Letter) -> Letter:
        """The letter with a DKIM-Signature before its other headers."""
        head, _, body = letter.raw.partition(b"\r\n\r\n")
        fields = _fields(head)
        chosen = [name for name in SIGNED if name in fields]
        over = [name for name in SIGNED if name in ONCE]
        tags = self._tags(":".join((*chosen, *over)), body)
        lines = [_relaxed(name.encode(), fields[name]) for name in chosen]
        lines.append(_relaxed(b"dkim-signature", tags).removesuffix(b"\r\n"))
        seal = base64.b64encode(self._seal(b"".join(lines))).decode()
        folded = "".join(f"\r\n\t{seal[at : at + 72]}" for at in range(0, len(seal), 72))
        signature = b"DKIM-Signature:" + tags + folded.encode() + b"\r\n"
        return replace(letter, raw=signature + letter.raw)

    def _tags(self, names: str, body: bytes) -> bytes:
        """The signature's value up to its empty `b=`."""
        algorithm = "rsa-sha256" if self._rsa else "ed25519-sha256"
        domain, selector = self._names
        digest = base64.b64encode(hashlib.sha256(relaxed_body(body)).digest()).decode()
        listed = names.replace(":list-", ":\r\n\tlist-", 1).replace(":from:", ":\r\n\tfrom:", 1)
        return (
            f" v=1; a={algorithm}; c=relaxed/relaxed; d={domain}; s={selector};\r\n"
            f"\th={listed};\r\n\tbh={digest};\r\n\tb="
        ).encode()

    def _seal(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        sealed: bytes
        if self._rsa:
            sealed = self._key.sign(data, PKCS1v15(), SHA256())
        else:  # RFC 8463 3: Ed25519 signs the hash, not the text
            sealed = self._key.sign(hashlib.sha256(data).digest())
        return sealed


def relaxed_body(body: bytes) -> bytes:
    """RFC 6376 3.4.4: white space reduced, none at the ends of lines, no empty lines at the end."""
    reduced = _LINE_ENDS_IN_SPACE.sub(b"\r\n", _SPACE.sub(b" ", body)).rstrip(b" ")
    while reduced.endswith(b"\r\n"):
        reduced = reduced[:-2]
    return reduced + b"\r\n" if reduced else b""


def _relaxed(name: bytes, value: bytes) -> bytes:
    """RFC 6376 3.4.2."""
    return name + b":" + _SPACE.sub(b" ", _FOLD.sub(b"", value)).strip(b" ") + b"\r\n"


def _fields(head: bytes) -> dict[str, bytes]:
    """{name in lower case: value}; our letters have each header once."""
    pairs = (line.partition(b":") for line in re.split(rb"\r\n(?![ \t])", head))
    return {name.decode("ascii", "replace").lower().strip(): value for name, _, value in pairs}


def _read(pem: str) -> Any:
    """The private key."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError:
        raise _unusable("signing needs `pip install 'paper-digest[dkim]'`") from None
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:
        said = str(error).split("\n")[0][:100]
        raise _unusable(f"no private key in PEM without a password: {said}") from None
    if isinstance(key, RSAPrivateKey) and key.key_size < SHORTEST_RSA:
        raise _unusable(f"{key.key_size} bits are too few; make one of 2048")
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise _unusable("must be an RSA or an Ed25519 key")
    return key


def _unusable(why: str) -> ConfigError:
    return ConfigError([f"DIGEST_DKIM_KEY: {why}"], subject="DIGEST_DKIM_KEY")
