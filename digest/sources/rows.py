"""An answer in JSON, read with care: what is no JSON says what it is, and texts are clean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from digest.model import Verdict
from digest.sources.answers import Answer
from digest.sources.document import decoded

MAX_VALUES = 1_500_000  # objects, lists and members of one answer
_UNFIT = re.compile("[\x00\ud800-\udfff]")
_DATE = re.compile(r"\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)")


@dataclass(frozen=True, slots=True)
class Told:
    """What a service said: `value` where the verdict is OK, else why there is none."""

    value: Any = None
    verdict: Verdict = Verdict.OK
    message: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OK


def told(answer: Answer) -> Told:
    """The JSON object of `answer`. Takes CPU time, never raises."""
    if not answer.ok:
        return Told(None, answer.verdict, answer.message)
    try:
        value = loaded(decoded(answer.body, answer.headers.get("content-type", ""))[0])
    except (ValueError, RecursionError) as error:
        return _failed("a web page" if answer.body.lstrip()[:1] == b"<" else f"no JSON ({error})")
    return Told(value) if isinstance(value, dict) else _failed(f"a {type(value).__name__}")


def loaded(text: str) -> Any:
    """The value of a JSON document. Raises ValueError, also for more than can be held in memory,
    and RecursionError."""
    if text.count("{") + text.count("[") + text.count('":') > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values")
    return json.loads(text)


def _failed(what: str) -> Told:
    said = " ".join(what.split())[:200]
    return Told(None, Verdict.PARSE_FAILED, f"{said} where a JSON object was expected")


def text(row: Mapping[str, Any], key: str) -> str:
    """A text or number of `row` as text; empty where there is neither."""
    value = row.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _UNFIT.sub("", value) if isinstance(value, str) else ""


def texts(row: Mapping[str, Any], key: str) -> list[str]:
    """The texts of a list of `row`."""
    value = row.get(key)
    items = value if isinstance(value, list) else []
    return [_UNFIT.sub("", item) for item in items if isinstance(item, str)]


def number(row: Mapping[str, Any], key: str) -> int | None:
    """A count, whether it comes as a number or as text."""
    said = text(row, key).strip()
    return int(said) if re.fullmatch(r"\d{1,9}", said) else None


def day(said: str) -> date | None:
    """The date a text begins with, its parts padded or not: `2026-6-30`, `2026/06/30 04:00`."""
    found = _DATE.match(said)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None
