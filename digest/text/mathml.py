"""MathML as a line of Unicode: x², H₂O, a/b, √(x + y). What is not understood is left to be
stripped of its tags."""

from __future__ import annotations

import re

from digest.text.script import bracketed, scripted

ROUNDS = 12  # formulas inside formulas; deeper ones are shown flat

_OPEN, _CLOSE = "\x02", "\x03"  # around what has been read
_READ = f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}\\s*"


def _element(names: str, inside: str) -> re.Pattern[str]:
    tag = rf"(?:mml:)?({names})"
    return re.compile(rf"<{tag}(?:\s[^<>]*)?>\s*{inside}</(?:mml:)?\1\s*>", re.I)


_ATOM = _element("mi|mn|mo|mtext|ms", r"([^<>]*)")
_EMPTY = re.compile(r"<(?:mml:)?(?:none|mprescripts|mspace)(?:\s[^<>]*)?/>", re.I)
_ROW = _element("mrow|mstyle|mpadded|semantics|menclose", rf"((?:{_READ})*)")
_ROOT = _element("msqrt", rf"((?:{_READ})*)")
_TWO = _element("msup|msub|mfrac|munder|mover", _READ * 2)
_THREE = _element("msubsup|munderover", _READ * 3)


def flattened(text: str) -> str:
    """`text` with its formulas written in a line. Never raises."""
    if "<" not in text or not _ATOM.search(text):
        return text
    text = text.replace(_OPEN, "").replace(_CLOSE, "")
    text = _ATOM.sub(lambda m: _told(m[2]), _EMPTY.sub("", text))
    for _ in range(ROUNDS):
        before = text
        text = _ROW.sub(lambda m: _told(_bare(m[2])), text)
        text = _ROOT.sub(lambda m: _told("√" + bracketed(_bare(m[2]))), text)
        text = _TWO.sub(lambda m: _told(_pair(m[1].lower(), m[2], m[3])), text)
        text = _THREE.sub(lambda m: _told(m[2] + _low(m[3]) + _high(m[4])), text)
        if text == before:
            break
    return _bare(text)


def _told(text: str) -> str:
    return f"{_OPEN}{' '.join(text.split())}{_CLOSE}"


def _bare(text: str) -> str:
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def _pair(name: str, first: str, second: str) -> str:
    if name == "mfrac":
        return f"{bracketed(first)}/{bracketed(second)}"
    return first + (_high(second) if name in {"msup", "mover"} else _low(second))


def _high(text: str) -> str:
    return scripted(text, up=True) if text else ""


def _low(text: str) -> str:
    return scripted(text, up=False) if text else ""
