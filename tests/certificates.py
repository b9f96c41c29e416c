"""Certificates for relays on loopback: good, over, or for somebody else; nobody has signed them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

DAY = timedelta(days=1)


def certificate(folder: Path, days: int = 2, address: str = "127.0.0.1") -> ssl.SSLContext:
    """A server's context; `cert.pem` in the folder is to be trusted. `days` < 0: it is over."""
    pytest.importorskip("cryptography", reason="needs cryptography: pip install -e '.[dev]'")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.NameOID.COMMON_NAME
    who, now = x509.Name([x509.NameAttribute(name, "relay")]), datetime.now(UTC)
    made = x509.CertificateBuilder(
        who, who, key.public_key(), x509.random_serial_number(), now - 9 * DAY, now + days * DAY
    )
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    made = made.add_extension(alternative, False)
    signed = made.sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    shape = serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, shape, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
