"""Signatures that another program's verifier believes, over the bytes that a server receives."""

from __future__ import annotations

import asyncio
import base64

import pytest
from conftest import _fresh_sqlite
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from delivering import HOUR, NOW, letter, readers, rows, to
from hypothesis import given
from hypothesis import strategies as st

from digest.app import App, held_clock
from digest.config import Settings
from digest.deliver import Due
from digest.errors import ConfigError
from digest.model import (
    Cadence,
    Delivery,
    DeliveryState,
    Edition,
    EditionState,
    Letter,
    LetterKind,
    Window,
)
from digest.store import people
from digest.transports.catcher import Catcher
from digest.transports.dkim import Signer

HEAD = (
    b"From: Paper Digest <d@example.org>\r\nTo: ada@example.org\r\n"
    b"Subject: =?utf-8?q?Two_papers?=\r\n  in  one week\r\n"
    b"Date: Mon, 02 Mar 2026 08:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\nList-Id: <digest.example.org>\r\n"
    b"List-Unsubscribe: <https://example.org/u/x>,\r\n <mailto:u@example.org>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nX-Other: not signed\r\n\r\n"
)


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


dkim = pytest.importorskip("dkim", reason="needs dkimpy: pip install -e '.[dev]'")

KEYS = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
SIGNERS = {kind: Signer("example.org", "k1", pem(key)) for kind, key in KEYS.items()}
kinds = pytest.mark.parametrize("kind", KEYS)


def record(kind: str) -> bytes:
    """What the site's DNS says at k1._domainkey.example.org."""
    shape = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if kind == "ed25519":
        shape = Encoding.Raw, PublicFormat.Raw
    public = base64.b64encode(KEYS[kind].public_key().public_bytes(*shape))
    return b"v=DKIM1; k=" + kind.encode() + b"; p=" + public


def holds(raw: bytes, kind: str) -> bool:
    """What a receiver says of the signature."""
    names = {b"k1._domainkey.example.org.": record(kind)}
    return dkim.verify(raw, dnsfunc=lambda name, timeout=5: names.get(name))


def signed(kind: str, body: bytes = b"Hello.\r\n") -> bytes:
    made = Letter("ada@example.org", "", "<1@example.org>", "Papers", HEAD + body)
    return SIGNERS[kind].sign(made).raw


@kinds
def test_a_receiver_believes_it(kind):
    assert holds(signed(kind), kind)


@kinds
def test_it_is_the_same_each_time(kind):
    assert signed(kind) == signed(kind)


@kinds
@given(body=st.text(" \t\r\n.aß=", max_size=40))
def test_it_holds_for_any_body(kind, body):
    lines = "\r\n".join(body.replace("\r", "\n").split("\n")) + "\r\n"
    assert holds(signed(kind, lines.encode()), kind)


@kinds
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"Buy this"),
        (b"Two_papers", b"No_papers"),
        (b"https://example.org/u/x", b"https://example.com/u/x"),
        (b"=One-Click", b"=Two-Clicks"),
        (b"X-Other:", b"Subject: another one\r\nX-Other:"),
        (b"X-Other:", b"List-Unsubscribe: <https://example.com>\r\nX-Other:"),
    ],
)
def test_it_breaks_where_a_letter_is_changed(kind, old, new):
    raw = signed(kind)
    assert raw.count(old) == 1
    assert not holds(raw.replace(old, new), kind)


@kinds
def test_it_holds_where_a_relay_adds_its_own_headers_and_folds_ours(kind):
    raw = signed(kind).replace(b"To: ada", b"To:\r\n  ada")
    assert holds(b"Received: from here\r\n by there\r\n" + raw + b"\r\n\r\n", kind)


@kinds
def test_no_line_is_too_long(kind):
    assert max(map(len, signed(kind).split(b"\r\n"))) < 200


def test_it_holds_for_the_bytes_that_a_server_receives():
    async def go():
        async with Catcher() as catcher:
            lane = to(catcher.port).lane()
            made = letter(body=b".dots\r\n..and more\r\n\r\n\r\n")
            await lane.send(SIGNERS["ed25519"].sign(made), yes)
            await lane.close()
            return catcher.caught[0].raw

    async def yes() -> bool:
        return True

    assert holds(asyncio.run(go()), "ed25519")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "no private key"),
        ("MIIB...", "no private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "RSA or an Ed25519"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(key, said):
    with pytest.raises(ConfigError, match=f"DIGEST_DKIM_KEY: .*{said}"):
        Signer("example.org", "k1", key)


def site(tmp_path, key: str) -> App:
    settings = Settings(
        site={"postal_address": "1 Example Street"},
        mail={"from": "Paper Digest <d@example.org>", "dkim_selector": "k1"},
        database={"url": f"sqlite:///{_fresh_sqlite(tmp_path)}"},
        secret_key="s" * 40,
        dkim_key=key,
    )
    return App(settings, held_clock(NOW))


def test_a_key_that_cannot_be_used_ends_the_run_and_not_its_letters(tmp_path):
    app = site(tmp_path, "no key")
    readers(app.db, "ada@example.org")
    with pytest.raises(ConfigError, match="DIGEST_DKIM_KEY"):
        asyncio.run(app.deliver())
    left = rows(app.db)["ada@example.org"].state
    app.db.dispose()
    assert left is DeliveryState.QUEUED


def test_a_site_with_a_key_signs_what_it_renders(tmp_path):
    """From the settings to the bytes, one-click headers and all."""
    app = site(tmp_path, pem(KEYS["rsa"]))
    with app.db.writing() as tx:
        ada = people.add(tx, "ada@example.org", {}, None, Cadence(), NOW, "test", confirmed_at=NOW)
    window = Window(NOW - HOUR, NOW)
    edition = Edition(ada.email, window, EditionState.QUEUED, NOW, subscriber_key=ada.key, key=1)
    row = Delivery(
        1, LetterKind.DIGEST, ada.email, "<1@example.org>", DeliveryState.LEASED, NOW, ada.key
    )
    raw = app.letter(Due(row, ada, edition)).raw
    app.db.dispose()
    named = raw.partition(b"h=")[2].partition(b";")[0].replace(b"\r\n\t", b"").split(b":")
    assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= set(named)
    assert holds(raw, "rsa")
