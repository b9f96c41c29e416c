"""TeX, HTML and MathML to plain text on one line, never longer than its bound."""

from __future__ import annotations

import html
import re
import unicodedata

import nh3

from digest.text.mathml import flattened
from digest.text.script import scripted
from digest.text.tex import from_tex, has_tex

MAX_TITLE = 500
MAX_ABSTRACT = 10_000
MAX_AUTHOR = 200

_ROOM = 10  # markup may be this many times as long as what it says; the rest is not read
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_HTML = (
    "a abbr article b big blockquote body br center cite code dd del div dl dt em figcaption figure"
    " font footer h1 h2 h3 h4 h5 h6 head header hr html i iframe img inf ins kbd li link main mark"
    " meta nav object ol p pre q s samp script section small span strike strong style sub sup"
    " table tbody td tfoot th thead title tr tt u ul var"
)
_MATHML = (
    "math svg annotation annotation-xml maction menclose merror mfenced mfrac mglyph mi"
    " mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt mstyle msub"
    " msubsup msup mtable mtd mtext mtr munder munderover none semantics"
)


def _one_of(names: str) -> str:
    return "(?:" + "|".join(map(re.escape, names.split())) + r")(?![\w:-])"


_NAME = rf"(?:(?:jats|mml):\w[\w-]*|{_one_of(_HTML)}|{_one_of(_MATHML)})"
_TAG = re.compile(rf"</?{_NAME}[^<>]*>|<!--|<!\[CDATA\[", re.I)
_NOT_A_TAG = re.compile(rf"<(?!/?{_NAME}[^<>]*>|!--)", re.I)
_HEADING = re.compile(r"<((?:jats:)?title|h[1-6]|b|strong)>\s*abstract\s*</\1>", re.I)
_BLOCK = re.compile(r"</?(?:jats:)?(?:p|br|div|li|h[1-6]|tr|td|title|sec|section)\b[^<>]*>", re.I)
_SCRIPT = re.compile(r"<(?:jats:)?(sup|sub)(?:\s[^<>]*)?>([^<>]{0,40})</(?:jats:)?\1\s*>", re.I)
# nh3 would drop these whole; of a formula what it shows is kept, not its source.
_FORMULA = re.compile(rf"</?(?:mml:)?{_one_of(_MATHML)}[^<>]*>", re.I)
_SOURCE = re.compile(r"<((?:mml:)?annotation)\b[^<>]*>[^<>]*</\1\s*>", re.I)
_WITH_CONTENT = {"script", "style", "iframe"}
# Controls, marks that turn the direction of writing, unpaired surrogates, private and no letters.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc"
    "\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]+"
)
_HALVES = re.compile("[\ud800-\udfff]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_OPENING = re.compile(r"^abstract\s*(?:[:.–—-]+\s*|$)", re.I)
_SENTENCE = re.compile(r"[.!?…][)\]”\"']*(?=\s)")


def clean_title(raw: str) -> str:
    """A title: plain Unicode on one line, at most 500 characters."""
    return clean_line(raw, MAX_TITLE)


def clean_abstract(raw: str) -> str:
    """An abstract: plain Unicode on one line, at most 10,000 characters. The word "Abstract" at
    its head goes; where there is nothing else, nothing is left."""
    return _OPENING.sub("", clean_line(raw, MAX_ABSTRACT))


def clean_line(raw: str, bound: int) -> str:
    """Any text of a source as plain Unicode on one line of at most `bound` characters."""
    text = raw[: max(4000, min(bound * _ROOM, bound + 90_000))]
    if "&" in text:
        text = _unescape(text)
    if "<" in text:
        text = _without_tags(text)
    if has_tex(text):
        text = from_tex(text)
    return excerpt(_one_line(text), bound)


def excerpt(text: str, limit: int) -> str:
    """The beginning of `text`, at most `limit` characters: whole sentences where they fill more
    than half of it, else whole words and an ellipsis."""
    if len(text) <= limit:
        return text
    if limit < 1:
        return ""
    ends = [m.end() for m in _SENTENCE.finditer(text, 0, limit + 1) if m.end() <= limit]
    if ends and ends[-1] > limit // 2:
        return text[: ends[-1]]
    head = text[: limit - 1]
    if not text[limit - 1].isspace() and (space := head.rfind(" ")) > limit // 2:
        head = head[:space]
    return head.rstrip(" ,;:-–—(") + "…"


def _unescape(text: str) -> str:
    """Entities that end in a semicolon; twice, since feeds often escape what was escaped."""
    for _ in range(2):
        text = _ENTITY.sub(_meant, text)
    return text


def _meant(entity: re.Match[str]) -> str:
    return html.unescape(entity[0])


def _without_tags(text: str) -> str:
    """What a browser would show. `<` before anything that is no tag stays a less-than sign."""
    if not _TAG.search(text):
        return text
    text = _HALVES.sub("", text)  # which the parser of HTML cannot take
    text = _HEADING.sub(" ", text.replace("<![CDATA[", "").replace("]]>", ""))
    text = _SCRIPT.sub(lambda m: scripted(m[2].strip(), up=m[1].lower() == "sup"), text)
    text = _BLOCK.sub(lambda m: " " + m[0], text)
    text = _FORMULA.sub("", flattened(_SOURCE.sub("", text)))
    text = _NOT_A_TAG.sub("&lt;", text.replace("&", "&amp;"))
    closed, end, rest = text.rpartition("-->")
    text = closed + end + rest.replace("<!--", "&lt;!--")  # one never closed swallows nothing
    shown = nh3.clean(text, tags=set(), clean_content_tags=_WITH_CONTENT)
    return _ENTITY.sub(_meant, shown)


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    if not text.isprintable():
        text = " ".join(_UNSEEN.sub("", _CONTROL.sub(" ", text)).split())
    return text if text.isascii() else unicodedata.normalize("NFC", text)
