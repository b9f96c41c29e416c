"""Signed links: made for one purpose, safe where they stand, and useless for anything else."""

from __future__ import annotations

import base64
import hmac
import re
from hashlib import sha256
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

from digest.errors import TokenError
from digest.links import BY_MAIL, Links, Purpose

SITE = "https://digest.example.org"
LINKS = Links("a secret", SITE)
keys = st.integers(0, 2**63 - 1)


@given(st.sampled_from(Purpose), keys)
def test_a_token_gives_back_the_value_it_was_made_for(purpose: Purpose, key: int) -> None:
    token = LINKS.token(purpose, key)
    assert str(key) == LINKS.read(purpose, token)


@given(st.sampled_from([purpose for purpose in Purpose if purpose not in BY_MAIL]), keys)
def test_a_token_is_what_itsdangerous_would_have_made(purpose: Purpose, key: int) -> None:
    signer = Signer("a secret", f"digest.{purpose}", ".", "hmac", sha256)
    assert signer.sign(str(key)).decode() == LINKS.token(purpose, key)


@given(st.sampled_from(sorted(BY_MAIL)), keys)
def test_a_token_that_takes_mail_is_base32_of_an_hmac(purpose: Purpose, key: int) -> None:
    mac = hmac.digest(b"a secret", f"mail\0{purpose}\0{key}".encode(), "sha256")
    signature = base64.b32encode(mac[:20]).decode().lower()
    assert f"{key}.{signature}" == LINKS.token(purpose, key)


@pytest.mark.parametrize(("made_for", "used_for"), list(permutations(Purpose, 2)))
def test_a_link_for_one_act_opens_no_other(made_for: Purpose, used_for: Purpose) -> None:
    with pytest.raises(TokenError, match="made for another purpose"):
        LINKS.read(used_for, LINKS.token(made_for, 7))


@given(st.sampled_from(Purpose), keys, st.data())
def test_a_token_changed_in_one_character_is_refused(
    purpose: Purpose, key: int, data: st.DataObject
) -> None:
    token = LINKS.token(purpose, key)
    spot = data.draw(st.integers(0, len(token) - 1))
    same = {token[spot], token[spot].upper()} if purpose in BY_MAIL else {token[spot]}
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c not in same))
    with pytest.raises(TokenError):
        LINKS.read(purpose, token[:spot] + other + token[spot + 1 :])


@pytest.mark.parametrize("tail", ["!", "=", " ", "\n", "."])
def test_a_token_with_something_behind_it_is_refused(tail: str) -> None:
    with pytest.raises(TokenError):
        LINKS.read(Purpose.UNSUBSCRIBE, LINKS.token(Purpose.UNSUBSCRIBE, 7) + tail)


def test_another_spelling_of_the_same_signature_is_refused() -> None:
    token = LINKS.token(Purpose.UNSUBSCRIBE, 7)  # base64 of 32 bytes leaves two bits unused
    respelled = [token[:-1] + chr(ord(token[-1]) + n) for n in (1, -1)]
    for other in respelled:
        with pytest.raises(TokenError):
            LINKS.read(Purpose.UNSUBSCRIBE, other)


@given(st.sampled_from(Purpose), st.text() | st.text(st.characters(categories=["Cs"])))
def test_whatever_else_arrives_is_refused_in_one_way(purpose: Purpose, text: str) -> None:
    with pytest.raises(TokenError):
        LINKS.read(purpose, text)


def test_another_secret_opens_nothing() -> None:
    with pytest.raises(TokenError):
        Links("another", SITE).read(Purpose.UNSUBSCRIBE, LINKS.token(Purpose.UNSUBSCRIBE, 7))


def test_a_token_is_the_same_for_ever() -> None:
    """An unsubscribe link of an old letter must work (RFC 8058); changing this breaks them all."""
    expected = "7.B2xwW8kVcN3iO2E4FvdxtV46L9qLAHnzC70CpR5HQbc"
    assert expected == LINKS.token(Purpose.UNSUBSCRIBE, 7)
    expected = "7.depydx6ndarwrprkqkwmvlx6ptdqiha2"
    assert expected == LINKS.token(Purpose.LEAVE_BY_MAIL, 7)


@given(st.sampled_from(Purpose), keys)
def test_a_token_is_safe_in_a_url_and_in_the_local_part_of_an_address(
    purpose: Purpose, key: int
) -> None:
    token = LINKS.token(purpose, key)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", token)


@pytest.mark.parametrize("purpose", sorted(BY_MAIL))
def test_an_address_with_a_token_keeps_to_the_64_octets_of_a_local_part(purpose: Purpose) -> None:
    token = LINKS.token(purpose, 2**63 - 1)  # RFC 5321 4.5.3.1.1
    assert len(f"{purpose}+{token}") <= 64


@given(st.sampled_from(sorted(BY_MAIL)), keys, st.data())
def test_a_token_of_an_address_is_read_whatever_became_of_its_capitals(
    purpose: Purpose, key: int, data: st.DataObject
) -> None:
    token = LINKS.token(purpose, key)
    shouted = data.draw(st.lists(st.booleans(), min_size=len(token), max_size=len(token)))
    arrived = "".join(c.upper() if up else c for c, up in zip(token, shouted, strict=True))
    assert token == token.lower()
    assert str(key) == LINKS.read(purpose, arrived)


@pytest.mark.parametrize("purpose", sorted(set(Purpose) - BY_MAIL))
def test_a_token_of_a_page_is_read_as_it_was_made_only(purpose: Purpose) -> None:
    with pytest.raises(TokenError):
        LINKS.read(purpose, LINKS.token(purpose, 7).lower())


def test_a_url_names_site_purpose_and_token() -> None:
    token = LINKS.token(Purpose.FEEDBACK, 7)
    expected = f"{SITE}/f/{token}/more"
    assert expected == LINKS.url(Purpose.FEEDBACK, 7, "/more")


def test_a_slash_at_the_end_of_the_site_is_not_doubled() -> None:
    expected = LINKS.url(Purpose.CONFIRM, 7)
    assert expected == Links("a secret", SITE + "/").url(Purpose.CONFIRM, 7)


def test_a_message_id_is_the_same_at_every_attempt() -> None:
    first = LINKS.message_id("digest", "12:2025-09-08", "example.org")
    assert first == Links("a secret", SITE).message_id("digest", "12:2025-09-08", "example.org")


@given(st.lists(st.tuples(st.sampled_from(["digest", "confirmation"]), keys), unique=True))
def test_message_ids_differ_for_each_letter(letters: list[tuple[str, int]]) -> None:
    made = {LINKS.message_id(kind, str(key), "example.org") for kind, key in letters}
    assert len(letters) == len(made)


def test_a_message_id_has_the_form_of_rfc_5322() -> None:
    made = LINKS.message_id("digest", "12", "example.org")
    assert re.fullmatch(r"<d\.[A-Za-z0-9_-]{24}@example\.org>", made)
