"""A feed's bytes, read with care: what is no feed, cut off, or set to explode says so.

feedparser is forgiving: it takes a web page for a quiet feed, half a feed for a whole one, bytes
for a file name, and expands entities. So the bytes are looked at before it sees them, and what it
says of them is checked after.
"""

from __future__ import annotations

import codecs
import html
import io
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import urljoin
from xml.parsers import expat

import feedparser

from digest.model import Verdict

MAX_ENTRIES = 20_000  # ten times as many as arXiv shows at once
MAX_MARKS = 1_500_000  # elements' begins and ends
_ENTRY = re.compile(r"<(?:\w{1,20}:)?(?:item|entry)\b", re.I)
LENIENT = 5_000_000  # characters; what is longer must be well-formed, for that is read quickly
_ROOTS = ("rss", "feed", "rdf:rdf", "rdf", "channel")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]+")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})", re.I)
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]{1,40})", re.I)
_CODECS = re.compile(r"(utf|iso8859|cp\d|latin|ascii|koi8|gb|big5|euc|shift_jis|mac)", re.I)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00?\x00", "utf-16-le"),
    (b"\x00<\x00?", "utf-16-be"),
)
_MIXED = "digest-mixed"  # how bytes that are no UTF-8 are read
_WILD = re.compile(r"&(?!(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|\w{1,40});)")
_PAGE_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})", re.I)


@dataclass(frozen=True, slots=True)
class Document:
    """A feed that was read. `verdict` is OK, PARSE_FAILED or HTTP_ERROR (an error in the shape of
    a feed). Where it was cut off, `entries` holds those that came whole."""

    verdict: Verdict
    message: str = ""
    entries: tuple[dict[str, Any], ...] = ()
    feed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OK


def read(body: bytes, content_type: str = "", url: str = "") -> Document:
    """Parse `body`. Takes CPU time, never raises, never expands an entity, asks no network."""
    text, encoding = decoded(body, content_type)
    text = _NOT_XML.sub("", text)
    if refused := _refusal(text):
        return Document(Verdict.PARSE_FAILED, refused)
    try:
        found = feedparser.parse(
            io.BytesIO(_tamed(text).encode()),  # bare bytes could be taken for a file's name
            response_headers={"content-type": "application/xml; charset=utf-8"},
            sanitize_html=False,  # digest.text does that, and more
            resolve_relative_uris=False,
        )
    except Exception as error:  # whatever it stumbles over, it is the feed's fault
        return Document(Verdict.PARSE_FAILED, f"cannot be parsed ({type(error).__name__}: {error})")
    _resolve_links(found.get("entries", ()), url)
    return _checked(text, found, encoding)


def _tamed(text: str) -> str:
    """`text` with `&` for `R&D` as XML wants it: the lenient parser makes `Q&A;` of `Q&A`. What
    stands in CDATA is left."""
    if not _WILD.search(text):
        return text
    pieces, at = [], 0
    while (start := text.find("<![CDATA[", at)) >= 0:
        end = text.find("]]>", start)
        end = end if end >= 0 else len(text)
        pieces += [_WILD.sub("&amp;", text[at:start]), text[start:end]]
        at = end
    return "".join([*pieces, _WILD.sub("&amp;", text[at:])])


def decoded(body: bytes, content_type: str = "") -> tuple[str, str]:
    """(`body` as text, the encoding it turned out to have). RFC 7303 says: mark, then header, then
    declaration; servers that contradict their own valid UTF-8 are not believed."""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body.decode(encoding, "replace"), encoding
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        if encoding := _said(body, content_type):
            return body.decode(encoding, "replace"), encoding
        return body.decode("utf-8", _MIXED), "cp1252 where it is not utf-8"


def _western(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8, as Windows writes them: feeds are put together from many hands."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_MIXED, _western)


def _said(body: bytes, content_type: str) -> str:
    """The encoding that header or declaration name, where it is one of text and not UTF-8; else
    nothing."""
    header, declared = _CHARSET.search(content_type), _DECLARED.match(body[:400])
    names = [header[1]] if header else []
    names += [declared[1].decode("ascii", "replace")] if declared else []
    for name in names:
        try:
            known = codecs.lookup(name).name
        except (LookupError, ValueError):
            continue
        if _CODECS.match(known) and known != "utf-8":
            return known
    return ""


def _refusal(text: str) -> str:
    """Why this is not given to the parser; empty where it may be."""
    if not text.strip():
        return "an empty answer"
    if crowded := _crowded(text):
        return crowded
    start = _after_prolog(text)
    opening = text[start : start + 200].lower()
    if opening.startswith("<!doctype") and not opening.startswith("<!doctype html"):
        if "<!entity" in text.lower():
            return "declares entities, which can blow up: refused"
        start = _after_prolog(text, text.find(">", start) + 1)
        opening = text[start : start + 200].lower()
    root = re.match(r"<([a-z][\w:.-]*)", opening)
    if root and root[1] in _ROOTS:
        wrong = _ill_formed(text) if len(text) > LENIENT else ""
        return wrong and f"not well-formed ({wrong}), and too long to be read leniently"
    if opening.startswith("<!doctype html") or (root and root[1] in {"html", "head", "body"}):
        title = _PAGE_TITLE.search(text[:20_000])
        named = f' "{html.unescape(" ".join(title[1].split()))}"' if title else ""
        return f"a web page{named}, not a feed: correct the address, or ask its operator"
    return f"not a feed: it begins with {' '.join(opening[:40].split())!r}"


def _crowded(text: str) -> str:
    """Why it has too much in it to be held in memory, if it has: a few bytes make an entry, and an
    entry takes thousands."""
    if text.count("<") > MAX_MARKS:
        return f"more than {MAX_MARKS:,} elements: that is no feed"
    if sum(1 for _ in islice(_ENTRY.finditer(text), MAX_ENTRIES + 1)) > MAX_ENTRIES:
        return f"more than {MAX_ENTRIES:,} entries: that is no feed"
    return ""


def _ill_formed(text: str) -> str:
    """What is wrong with it as XML; entities are not declared here, so none expands."""
    try:
        expat.ParserCreate().Parse(text.encode(), True)
    except expat.ExpatError as error:
        return str(error)
    return ""


def _after_prolog(text: str, start: int = 0) -> int:
    """Where the first thing stands that is no declaration and no comment."""
    at = start + (1 if text.startswith("\ufeff", start) else 0)
    while True:
        at += len(text[at : at + 10_000]) - len(text[at : at + 10_000].lstrip())
        close = {"<?": "?>", "<!--": "-->"}.get(
            "<!--" if text.startswith("<!--", at) else text[at : at + 2]
        )
        end = text.find(close, at) if close else -1
        if close is None or end < 0:
            return at
        at = end + len(close)


def _checked(text: str, found: Any, encoding: str) -> Document:
    feed, entries = found.get("feed", {}), tuple(found.get("entries", ()))
    title = str(feed.get("title", ""))
    if title.startswith("Feed error"):  # how arXiv's feeds say that a query is wrong
        said = feed.get("subtitle") or feed.get("description") or ""
        return Document(Verdict.HTTP_ERROR, f"{title}: {said}".rstrip(": ")[:500])
    broken = found.get("bozo") and found.get("bozo_exception")
    if broken and not _closed(text):
        message = f"cut off after {max(0, len(entries) - 1)} whole entries"
        return Document(Verdict.PARSE_FAILED, message, entries[:-1], feed)
    if not found.get("version"):
        return Document(Verdict.PARSE_FAILED, "not a feed that is known (RSS, Atom, RDF)")
    notes = [f"read as {encoding}"] if encoding not in {"utf-8", "utf-8-sig"} else []
    notes += [f"not well-formed ({_reason(broken)}), read leniently"] if broken else []
    return Document(Verdict.OK, "; ".join(notes), entries, feed)


def _resolve_links(entries: Iterable[dict[str, Any]], url: str) -> None:
    """Each entry's link as an absolute address. feedparser would do it for every element, which
    takes a quarter of its time; what the feed's own `xml:base` resolves, it has resolved."""
    for entry in entries:
        link = dict.get(entry, "link")
        if isinstance(link, str) and link and not link.startswith(("http://", "https://")):
            with suppress(ValueError):
                entry["link"] = urljoin(url, link)


def _closed(text: str) -> bool:
    """True where the document's end came with it."""
    tail = re.sub(r"(?:<!--[^<]*-->|<\?[^<]*\?>|\s)+$", "", text[-2000:]).lower()
    return tail.endswith(("</rss>", "</feed>", "</rdf:rdf>", "</rdf>", "</channel>"))


def _reason(error: object) -> str:
    return " ".join(str(error).split())[:120]
