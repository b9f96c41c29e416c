"""The bytes of a letter, built and as a real server received them."""

from __future__ import annotations

import asyncio
import smtplib
from dataclasses import replace
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from hypothesis import given
from hypothesis import strategies as st
from letters import (
    DELIVERY,
    PAPERS,
    READER,
    a_renderer,
    arxiv_papers,
    body,
    confirmation_letter,
    digest_letter,
    edition_of,
    parsed,
    pins,
    sample,
)

from digest.links import Purpose
from digest.model import Letter
from digest.render import Renderer, mime
from digest.transports.wire import stuffed

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x02"))


# ------------------------------------------------------------------ quoted-printable


@given(st.lists(TEXT))
def test_pieces_of_quoted_printable_join_to_the_whole(texts: list[str]) -> None:
    data = b"".join(map(mime.qp, texts))
    assert "".join(texts) == mime.unqp(data)
    assert len("".join(texts).replace("\n", "\r\n").encode()) == mime.raw_size(data)


@given(st.lists(TEXT))
def test_no_line_is_longer_than_76_and_none_ends_with_a_bare_newline(texts: list[str]) -> None:
    lines = b"".join(map(mime.qp, texts)).split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not [line for line in lines if b"\n" in line or b"\r" in line]
    assert not [line for line in lines if line.endswith((b" ", b"\t"))]


@given(st.lists(st.text(st.sampled_from(".=aé \n"), max_size=200)))
def test_no_line_begins_with_a_dot(texts: list[str]) -> None:
    data = b"".join(map(mime.qp, texts))
    assert b"\n." not in b"\n" + data
    assert max(map(len, data.split(b"\r\n"))) <= 76
    assert "".join(texts) == mime.unqp(data)
    assert stuffed(data or b"\r\n").removesuffix(b".\r\n") in {data, data + b"\r\n", b"\r\n"}


@given(st.lists(TEXT.filter(lambda text: not text.endswith("\n"))))
def test_many_texts_in_one_go_are_each_as_alone(texts: list[str]) -> None:
    found = mime.qp_lines(texts)
    assert texts == [mime.unqp(data) for data in found]
    assert "".join(texts) == mime.unqp(b"".join(found))


# ------------------------------------------------------------------ headers


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip))
def test_encoded_words_are_short_and_come_back(text: str) -> None:
    written = mime.encoded_words(text)
    assert max(map(len, written.split("\r\n "))) <= 75
    assert text == str(make_header(decode_header(written.replace("\r\n ", " "))))


@pytest.mark.parametrize("value", ["a\nBcc: x@y.z", "a\r\n\r\nb", "a\x00b", "", "x" * 1000])
def test_a_header_that_would_be_more_than_one_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        mime.header("Subject", value)


def test_a_subject_that_looks_encoded_is_encoded() -> None:
    assert mime.unstructured("=?utf-8?q?=41?=") == "=?utf-8?b?PT91dGYtOD9xPz00MT89?="


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("jane@example.org", "jane@example.org"),
        ("jane+papers@example.org", "jane+papers@example.org"),
        ('"odd @ local"@example.org', '"odd @ local"@example.org'),
        ("jane@[127.0.0.1]", "jane@[127.0.0.1]"),
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("jörg@example.org", "jörg@example.org"),
        ("jörg@bücher.example", "jörg@xn--bcher-kva.example"),
    ],
)
def test_a_legal_address_goes_out_however_odd(address: str, wire: str) -> None:
    assert wire == mime.wire_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "jane",
        "a@b@example.org",
        "a@example.org, b@example.org",
        "a@example.org\r\nBcc: b@example.org",
        "a b@example.org",
        "<a@example.org>",
        "a\x00@example.org",
        "x" * 320 + "@example.org",
        "a@..example",
        "a@bü..cher",
    ],
)
def test_what_is_not_one_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"not one mail address|not the name of a domain"):
        mime.wire_address(address)


@pytest.mark.parametrize(
    ("given_value", "name"),
    [
        ("Paper Digest <d@example.org>", "Paper Digest"),
        ('"Papers, Ltd." <d@example.org>', "Papers, Ltd."),
        ('"Papers, \\"new\\"" <d@example.org>', 'Papers, "new"'),
        ("Bücher für Jörg <d@example.org>", "Bücher für Jörg"),
        ("d@example.org", ""),
    ],
)
def test_the_senders_name_comes_back(given_value: str, name: str) -> None:
    raw = mime.header("From", mime.mailbox(given_value)) + b"\r\n"
    found = message_from_bytes(raw, policy=policy.default)["From"].addresses
    assert [(name, "d@example.org")] == [(a.display_name, a.addr_spec) for a in found]


# ------------------------------------------------------------------ as received


class Kept:
    """A server's handler that keeps what came, byte for byte."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 kept"


def received(letter: Letter) -> Envelope:
    kept = Kept()

    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as client:
            client.sendmail(letter.mail_from, [letter.recipient], letter.raw)

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(kept, hostname="sink"), "127.0.0.1", 0)
        async with server:
            await asyncio.to_thread(send, server.sockets[0].getsockname()[1])

    asyncio.run(talk())
    return kept.envelopes[0]


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return a_renderer()


@pytest.fixture(scope="module")
def arrived(renderer: Renderer) -> Envelope:
    return received(digest_letter(renderer))


def fields(envelope: Envelope) -> list[tuple[str, str]]:
    """Header lines as they stand in the bytes, a folded one unfolded."""
    assert isinstance(envelope.content, bytes)
    head = envelope.content.partition(b"\r\n\r\n")[0].decode("ascii")
    pairs = [line.partition(": ") for line in head.replace("\r\n ", " ").split("\r\n")]
    return [(name, value) for name, _, value in pairs]


def test_the_headers_a_server_received_are_these(arrived: Envelope) -> None:
    token = sample.LINKS.token(Purpose.UNSUBSCRIBE, READER.key)
    by_mail = sample.LINKS.token(Purpose.LEAVE_BY_MAIL, READER.key)
    ways = (
        f"<https://digest.example.org/u/{token}>, "
        f"<mailto:unsub+{by_mail}@bounces.example.org?subject=unsubscribe>"
    )
    expected = {
        "From": "Paper Digest <digest@example.org>",
        "To": "jane@example.org",
        "Reply-To": "help@example.org",
        "Subject": "One Step Is Enough and 8 more papers",
        "Date": "Mon, 08 Sep 2025 06:01:00 +0000",
        "Message-ID": DELIVERY.message_id,
        "MIME-Version": "1.0",
        "List-Id": "<digest.digest.example.org>",
        "List-Unsubscribe": ways,
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Help": "<https://digest.example.org/>",
        "List-Owner": "<mailto:ops@example.org>",
        "List-Post": "NO",
        "Auto-Submitted": "auto-generated",
        "Precedence": "bulk",
        "Feedback-ID": "digest:digest.example.org:edition:paperdigest",
        "X-Auto-Response-Suppress": "OOF, AutoReply, RN, NRN",
    }
    found = [(n, v) for n, v in fields(arrived) if n not in {"Content-Type", "X-Peer"}]
    found = [(n, v) for n, v in found if not n.startswith("X-MailFrom")]
    assert sorted(expected.items()) == sorted(found)


def test_the_unsubscribe_header_is_on_one_line(arrived: Envelope) -> None:
    assert isinstance(arrived.content, bytes)
    lines = arrived.content.split(b"\r\n")
    found = [line for line in lines if line.startswith(b"List-Unsubscribe: ")]
    assert found[0].endswith(b"?subject=unsubscribe>")


def test_the_bytes_that_arrive_are_the_bytes_of_the_letter(
    renderer: Renderer, arrived: Envelope
) -> None:
    assert digest_letter(renderer).raw == arrived.content


def test_the_envelope_names_the_delivery(arrived: Envelope) -> None:
    token = sample.LINKS.token(Purpose.BOUNCE, DELIVERY.key)
    assert f"b+{token}@bounces.example.org" == arrived.mail_from
    assert arrived.rcpt_tos == ["jane@example.org"]


def test_a_letter_says_truly_that_data_may_take_it_as_it_is(renderer: Renderer) -> None:
    dots = [replace(p, title=".. ...", abstract="." * 300) for p in arxiv_papers(6)]
    for letter in (
        digest_letter(renderer),
        confirmation_letter(renderer),
        renderer.digest(edition_of(dots), DELIVERY, READER, pins(dots)),
    ):
        assert letter.stuffed
        assert letter.raw + b".\r\n" == stuffed(letter.raw)


def test_the_parts_are_text_then_html(renderer: Renderer) -> None:
    message = parsed(digest_letter(renderer))
    kinds = [part.get_content_type() for part in message.walk()]
    ways = {part["Content-Transfer-Encoding"] for part in message.iter_parts()}
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert {"quoted-printable"} == ways


def test_every_header_stands_once(renderer: Renderer) -> None:
    for letter in (digest_letter(renderer), confirmation_letter(renderer)):
        names = [name.lower() for name in parsed(letter)]
        assert len(set(names)) == len(names)


def test_no_address_of_the_reader_is_in_a_link(renderer: Renderer) -> None:
    html = body(digest_letter(renderer), "html")
    assert "jane" not in "".join(part.split('"')[0] for part in html.split('href="')[1:])


def test_without_a_bounce_domain_there_is_no_mail_to_leave_by() -> None:
    site = replace(sample.SITE, bounce_domain="")
    letter = digest_letter(Renderer(site, sample.LINKS))
    assert "mailto" not in parsed(letter)["List-Unsubscribe"]
    assert letter.mail_from == "digest@example.org"


def test_an_internationalised_reader_is_written_to(renderer: Renderer) -> None:
    delivery = replace(DELIVERY, recipient="jörg@bücher.example")
    letter = renderer.digest(sample.sample_edition(), delivery, READER, PAPERS)
    to = message_from_bytes(letter.raw, policy=policy.SMTPUTF8)["To"]
    assert letter.recipient == "jörg@xn--bcher-kva.example"
    assert [("", letter.recipient)] == getaddresses([str(to)])
    assert "To: jörg@xn--bcher-kva.example\r\n".encode() in letter.raw


def test_a_long_letter_in_chinese_is_sent_in_base64(renderer: Renderer) -> None:
    papers = arxiv_papers(40, title="少样本扩散模型" * 30, abstract="采样速度很慢。" * 200)
    letter = renderer.digest(edition_of(papers), DELIVERY, READER, pins(papers))
    html = parsed(letter).get_body(("html",))
    assert html is not None
    assert html["Content-Transfer-Encoding"] == "base64"
    assert body(letter, "html").count("<h2 ") == 40
