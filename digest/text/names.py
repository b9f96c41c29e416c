"""Author strings, in the four shapes that sources send, to one name each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from digest.text.clean import MAX_AUTHOR, clean_line, excerpt
from digest.text.words import fold

MAX_AUTHORS = 6000  # the longest lists of particle physics stay whole
_MAX_LIST = 200_000  # characters of one author string that are read

_INITIALS = re.compile(r"(?:[^\W\d_]{1,2}\.[\s-]*)+[^\W\d_]?|[^\W\d_](?:-?[^\W\d_]){0,2}")
_SUFFIX = re.compile(r"(?:jr|sr|ii|iii|iv|phd|md)\.?", re.I)
_PLAIN = re.compile(r"[^\W\d_]+\.?(?:[ -][^\W\d_]+\.?)*")
_AND = re.compile(r"\s*(?:,|;)?\s+(?:and|&)\s+|\s*[,;]\s*(?:et al\.?)?\s*$|\s+et al\.?\s*$", re.I)
_TRAILING = re.compile(r"(?:(?<=[a-z])\d+(?:\s*,\s*\d+)*|[\s,;*†‡§¶⁰¹²³⁴-⁹])+$")


def split_authors(raw: str | Iterable[str]) -> tuple[str, ...]:
    """The authors, each as `Given Family`, in order, each once.

    Takes a list of names, or one string: `A B, C D (Inst X, Inst Y)` as arXiv's RSS,
    `Surname, I., Surname, I.` as bioRxiv's RSS, `Last, F.; Last, F.` as bioRxiv's API;
    affiliations in brackets go. In a list, a string of several names is split too.
    """
    parts = [raw] if isinstance(raw, str) else list(islice(raw, MAX_AUTHORS))
    names: list[str] = []
    for part in parts:
        text = clean_line(part, _MAX_LIST)
        names += [text] if len(parts) > 1 and _is_one(text) else _split(text)
    cleaned = (_one_name(name) for name in names[:MAX_AUTHORS])
    return tuple(dict.fromkeys(name for name in cleaned if name))


def clean_author(raw: str) -> str:
    """One name as `Given Family`: Unicode, no affiliation, at most 200 characters. A name with
    one comma is taken as inverted (`Song, Yang`)."""
    return _one_name(clean_line(raw, MAX_AUTHOR))


def _one_name(text: str) -> str:
    if len(text) <= MAX_AUTHOR and _PLAIN.fullmatch(text):  # most are, and need no more
        return text
    name = excerpt(_outside_brackets(text), MAX_AUTHOR)
    name = " ".join(_TRAILING.sub("", name).lstrip(" ,;*").split())
    parts = [part.strip() for part in name.split(",") if part.strip()]
    suffix = " " + parts.pop() if len(parts) > 1 and _SUFFIX.fullmatch(parts[-1]) else ""
    if len(parts) == 2:
        return f"{parts[1]} {parts[0]}{suffix}"
    return ", ".join(parts) + suffix


def surname(name: str) -> str:
    """The last part of a name, folded, for comparing: `Aapo Hyvärinen` and `Hyvärinen, A.` are
    both `hyvarinen`; particles and suffixes are left out."""
    parts = clean_author(name).replace("-", " ").split()
    while len(parts) > 1 and re.fullmatch(rf"{_SUFFIX.pattern}|.|\S*\.", parts[-1], re.I):
        parts.pop()  # `Jr.`, `J`, `J.A.`
    return re.sub(r"[\W_]+", "", fold(parts[-1])) if parts else ""


def _is_one(text: str) -> bool:
    """In a list of names: one name, inverted perhaps."""
    return text.count(",") <= 1 and ";" not in text and " and " not in text


def _split(text: str) -> list[str]:
    text = _outside_brackets(text)
    if " and " in text or "&" in text or "et al" in text or text.endswith((",", ";")):
        text = _AND.sub(lambda m: ", " if m.end() < len(text) else "", text)
    if ";" in text:
        return text.split(";")
    parts = [part.strip() for part in text.split(",") if re.search(r"[^\W\d_]", part)]
    parts = [part for part in parts if not _SUFFIX.fullmatch(part)]  # lists differ in giving it
    if len(parts) == 2 and " " not in parts[1]:  # hardly an author of one word: a given name
        return [", ".join(parts)]
    return _paired(parts)


def _paired(parts: list[str]) -> list[str]:
    """`Surname`, `I.` become one inverted name; initials without dots only where all are so."""
    plain = bool(parts) and all(map(_is_initials, parts[1::2])) and len(parts) % 2 == 0
    plain = plain and not any(map(_is_initials, parts[::2]))
    names: list[str] = []
    for part in parts:
        family = names[-1] if names and "," not in names[-1] else ""
        if family and _is_initials(part) and (plain or "." in part):
            names[-1] = f"{family}, {part}"
        else:
            names.append(part)
    return names


def _is_initials(part: str) -> bool:
    """`D.`, `J. A.`, `K.-L.`, `JA`; not `Wei` nor `Li`."""
    return _INITIALS.fullmatch(part) is not None and ("." in part or part.isupper())


def _outside_brackets(text: str) -> str:
    """`text` without what stands in round brackets, nested ones too."""
    if "(" not in text:
        return text
    kept, depth = [], 0
    for piece in re.split(r"([()])", text):
        if piece in "()" and piece:
            depth = max(0, depth + (1 if piece == "(" else -1))
        elif depth == 0:
            kept.append(piece)
    if depth:  # a bracket that never closes must not swallow every name after it
        return re.sub(r"\([^()]*\)", "", text).replace("(", " ").replace(")", " ")
    return "".join(kept)
