"""The words of a text, as matching compares them."""

from __future__ import annotations

import re
import unicodedata

# Letters that do not decompose, and how people type them without their stroke.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ß": "ss", "ı": "i"}
)
_MARKS = re.compile("[\u0300-\u036f\u200b-\u200f\u00ad]+")
_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+(?:['’][^\W_]+)*(?:\+\+|#)?")
# "pre-training" and "pretraining" are one word; so are "multi-modal" and "multimodal".
_PREFIX = re.compile(
    r"\b(pre|non|multi|re|un|semi|sub|anti|inter|intra|bi|uni|co|hyper|micro|nano|over|under|meta)"
    r"[-‐‑](?=[^\W\d_]{3})"
)


def fold(text: str) -> str:
    """`text` in lower case without diacritics or ligatures: `Schrödinger` is `schrodinger`."""
    text = text.lower()
    if text.isascii():
        return text
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.translate(_PLAIN)).lower())


def words(text: str) -> list[str]:
    """The words of `text` in order, folded. Hyphens part words (`few-step` is two), except after
    a prefix that is written both ways (`pre-training` is `pretraining`); a possessive `'s` goes;
    `c++`, `c#` and decimals stay whole."""
    text = fold(text)
    if "-" in text or "‐" in text or "‑" in text:
        text = _PREFIX.sub(r"\1", text)
    found = _WORD.findall(text)
    if "'" in text or "’" in text:
        return [_without_apostrophe(word) for word in found]
    return found


def _without_apostrophe(word: str) -> str:
    word = word.replace("’", "'")
    return word.removesuffix("'s").replace("'", "")
