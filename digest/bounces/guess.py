"""Pure: reports in no standard form: their words, and what flufl.bounce makes of them.

Nothing here is ever enough to stop an address at once: that takes a code, and proof.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from digest.bounces.dsn import address, bounded, statuses_in
from digest.bounces.mime import Part, clean
from digest.bounces.report import Failure

MOST_RAW = 48 * 1024  # bytes that the heuristics get to see
MOST_WORDS = 20_000  # characters of text
MOST_FOUND = 10
MOST_MULTIPARTS = 10  # flufl.bounce walks messages by the email package, see mime.py

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)  # it logs every letter it meets

_COPY = re.compile(  # where the returned letter begins
    r"^(?:--- ?Below this line|-+ ?(?:This is a copy|The following is a copy|Original message|"
    r"Returned message|Message header|Undelivered message)|Return-Path:|Received:)",
    re.MULTILINE | re.IGNORECASE,
)
_LATER = re.compile(
    r"not yet been delivered|will be retried|still being retried|(?:keep|continue) trying|"
    r"will try again|delivery (?:is|has been) delayed|delayed mail|message delayed|"
    r"(?:do not|don.t|no) need to re-?send",
    re.IGNORECASE,
)
_MESSAGE_ID = re.compile(r"^[ \t>]*Message-ID:[ \t]*(<[^<>\s]{3,250}>)", re.MULTILINE | re.I)


def words(parts: list[Part]) -> str:
    """The text of a message, bounded."""
    texts = (part.text() for part in parts if part.kind in {"text/plain", "text/html"})
    return "\n".join(texts)[:MOST_WORDS]


def message_ids(text: str) -> Iterator[str]:
    """Message-IDs of letters copied into a text."""
    return (found[1] for found in _MESSAGE_ID.finditer(text))


def failures(raw: bytes, whole: Part, text: str) -> tuple[Failure, ...]:
    """Whom a report in no standard form names, and the first code in its words."""
    copy = _COPY.search(text)
    said = text[: copy.start()] if copy else text
    code = next(iter(statuses_in(said)), "")
    later, never = _recipients(raw)
    never |= {found for v in whole.fields.get("x-failed-recipients", ()) for found in _all(v)}
    if not never and (later or _LATER.search(said)):
        return tuple(Failure(one, action="delayed", status=code) for one in sorted(later) or [""])
    line = _line_with(said, code)
    return tuple(Failure(one, "", "failed", code, line) for one in sorted(never)[:MOST_FOUND])


def unnamed(text: str) -> Failure:
    """A failure of whomever the letter was for: nobody is named."""
    code = next(iter(statuses_in(text)), "")
    return Failure(status=code, text=_line_with(text, code) or bounded(text[:200]))


def _line_with(text: str, code: str) -> str:
    return next((bounded(line) for line in text.split("\n") if code and code in line), "")


def _all(value: str) -> list[str]:
    return [found for part in value[:5000].split(",") if (found := address(part))]


def _recipients(raw: bytes) -> tuple[set[str], set[str]]:
    """(those who get it later, those who never will), as flufl.bounce sees it."""
    seen = raw[:MOST_RAW]
    if seen.lower().count(b"multipart/") > MOST_MULTIPARTS:
        return set(), set()
    import email  # both only where they are needed: every command reads this file

    from flufl.bounce import all_failures

    try:
        later, never = all_failures(email.message_from_bytes(seen))
    except Exception:  # whatever its detectors make of hostile bytes
        return set(), set()
    return _addresses(later), _addresses(never)


def _addresses(found: frozenset[bytes]) -> set[str]:
    texts = (clean(one) for one in sorted(found)[:MOST_FOUND])
    return {named for text in texts if (named := address(text))}
