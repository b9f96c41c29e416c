"""The bytes of a letter: headers, quoted-printable, multipart/alternative (RFC 5322, 2045-2047).

Built by hand because the email package is ten times slower and folds a long List-Unsubscribe into
encoded words, which makes mail programs hide their button. Equal input gives equal bytes.
"""

from __future__ import annotations

import re
from base64 import b64encode, encodebytes
from binascii import a2b_qp, b2a_qp
from collections.abc import Iterable
from email.utils import parseaddr
from hashlib import sha256

import idna

LONGEST_LINE = 998  # RFC 5322 2.1.1
LONGEST_BODY = 95_000  # bytes sent: beyond it, mail programs cut
LONGEST_ADDRESS = 320  # 64 + @ + 255

_HEADER = re.compile(r"[^\x00-\x1f\x7f]+(?:\r\n [^\x00-\x1f\x7f]+)*")
_ATOM = r"[^\x00-\x20\x7f-\xa0()<>\[\]:;@\\,\"\s]+"
_QUOTED = r"\"(?:[^\x00-\x1f\x7f-\x9f\"\\]|\\[\x20-\x7e])*\""
_LABEL = _ATOM.replace("@", "@.")
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Za-z:.]+\]"
_ADDRESS = re.compile(rf"({_ATOM}|{_QUOTED})@({_DOMAIN})")
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


# ------------------------------------------------------------------ headers


def header(name: str, value: str) -> bytes:
    """One header line. Raises ValueError for a control character or a line over 998 bytes, so
    that nothing from outside can add a header."""
    line = f"{name}: {value}".encode()
    if not _HEADER.fullmatch(value) or max(map(len, line.split(b"\r\n"))) > LONGEST_LINE:
        raise ValueError(f"header {name} cannot be written: {value[:80]!r}")
    return line + b"\r\n"


def headers(*lines: tuple[str, str]) -> bytes:
    """Header lines, in this order."""
    return b"".join(header(name, value) for name, value in lines)


def unstructured(text: str) -> str:
    """The value of a Subject: as it is, or in encoded words (RFC 2047) where it must be."""
    fits = text.isascii() and "=?" not in text and len(text) < LONGEST_LINE - 20
    return text if fits else encoded_words(text)


def encoded_words(text: str) -> str:
    """`text` in encoded words of at most 75 characters, one a line, cut between characters."""
    data, words = text.encode("utf-8", "replace"), []
    while len(data) > 45:
        end = 45
        while data[end] & 0xC0 == 0x80:  # the rest of a character
            end -= 1
        words.append(data[:end])
        data = data[end:]
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in [*words, data])


def mailbox(value: str) -> str:
    """`Paper Digest <digest@example.org>` as a header may hold it. Raises ValueError."""
    name, address = parseaddr(value)
    return f"{_phrase(name)} <{wire_address(address)}>" if name else wire_address(address)


def _phrase(name: str) -> str:
    if not name.isascii() or "=?" in name:
        return encoded_words(name)
    if _PLAIN_PHRASE.fullmatch(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def wire_address(address: str) -> str:
    """The address as it goes on the wire: its domain in ASCII (IDNA), raw UTF-8 only in a local
    part that has no other form (SMTPUTF8, RFC 6531). Raises ValueError for what is not exactly
    one address."""
    found = _ADDRESS.fullmatch(address)
    if found is None or len(address.encode("utf-8", "replace")) > LONGEST_ADDRESS:
        raise ValueError(f"{address[:80]!r} is not one mail address")
    local, domain = found.groups()
    return address if domain.isascii() else f"{local}@{_ascii_domain(domain)}"


def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError(f"{domain[:80]!r} is not the name of a domain") from None


# ------------------------------------------------------------------ bodies


def qp(text: str) -> bytes:
    """Quoted-printable with CRLF, lines of at most 76, none beginning with a dot, that any other
    such piece may follow: what ends in the middle of a line ends with a soft break."""
    data = b2a_qp(text.replace("\r", "").encode("utf-8", "replace"), istext=True)
    if data and not data.endswith(b"\n"):
        data = _open_end(data)
    return _lines(data)


def _open_end(data: bytes) -> bytes:
    if len(data) - data.rfind(b"\n") - 1 < 76:  # there is room for the = of the break
        return data + b"=\n"
    last = -3 if data[-3:-2] == b"=" else -1
    return data[:last] + b"=\n" + data[last:] + b"=\n"


def qp_lines(texts: Iterable[str]) -> list[bytes]:
    """`qp` of each text, none of which ends a line, all in one go."""
    data = "".join([f"{text}\x02\n" for text in texts]).encode("utf-8", "replace")
    parts = _lines(b2a_qp(data, istext=True)).split(b"=02\r\n")
    parts.pop()
    # There was room for =02 on the last line of each, or it was broken already.
    return [p if not p or p.endswith(b"=\r\n") else p + b"=\r\n" for p in parts]


def _lines(data: bytes) -> bytes:
    """With CRLF, and dots at the beginning of lines encoded (RFC 2049 3): a relay that forgets to
    double or to halve them cannot harm the letter, and whoever sends it need not look for them."""
    if data.startswith(b".") or b"\n." in data:
        data = b"\n".join(map(_dotless, data.split(b"\n")))
    return data.replace(b"\n", b"\r\n")


def _dotless(line: bytes) -> bytes:
    if not line.startswith(b"."):
        return line
    line = b"=2E" + line[1:]
    if len(line) <= 76:
        return line
    at = line.rfind(b"=", 68, 70)  # never within =XX
    at = at if at > 0 else 70
    return line[:at] + b"=\n" + _dotless(line[at:])


def raw_size(data: bytes) -> int:
    """How many bytes quoted-printable text stands for: =XX for one, = and line end for none."""
    return len(data) - 2 * data.count(b"=") - data.count(b"=\r\n")


def unqp(data: bytes) -> str:
    """The text that `qp` was given."""
    return a2b_qp(data).replace(b"\r\n", b"\n").decode()


def base64_size(raw: int) -> int:
    """How many bytes `raw` bytes take in base64, line ends included."""
    return (raw + 2) // 3 * 4 * 78 // 76 + 2


def part(subtype: str, body: bytes) -> tuple[bytes, ...]:
    """One text part: `body` is quoted-printable. Where that is long and base64 is shorter (a long
    letter in Chinese), base64 is used."""
    way = b"quoted-printable"
    if len(body) > LONGEST_BODY and len(body) > base64_size(raw_size(body)):
        body = encodebytes(a2b_qp(body)).replace(b"\n", b"\r\n")
        way = b"base64"
    kind = f"Content-Type: text/{subtype}; charset=utf-8\r\n".encode()
    return kind, b"Content-Transfer-Encoding: ", way, b"\r\n\r\n", body, b"\r\n"


def message(head: bytes, message_id: str, parts: Iterable[Iterable[bytes]]) -> bytes:
    """The whole letter. The boundary follows from the Message-ID; it begins with `=_`, which
    neither quoted-printable nor base64 can contain."""
    boundary = b"=_" + sha256(message_id.encode()).hexdigest()[:32].encode()
    kind = b'Content-Type: multipart/alternative; boundary="%b"\r\n\r\n' % boundary
    line = b"--" + boundary
    bodies = [piece for one in parts for piece in (line, b"\r\n", *one)]
    return b"".join((head, kind, *bodies, line, b"--\r\n"))
