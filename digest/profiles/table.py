"""One table of a profile as plain data: gives its values, checked, and notes every fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from digest.profiles.places import Path

MAX_STRING = 300  # characters of a term, a name, an id
MAX_LIST = 1_000  # terms, authors, categories in one list
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, at which path; `at` characters into the value, or at the key itself."""

    path: Path
    message: str
    at: int = 0
    of_key: bool = False

    def __str__(self) -> str:
        return f"{spell(self.path)}: {self.message}" if self.path else self.message


def spell(path: Path) -> str:
    """`("interest", 0, "query")` as people say it: `interest 1, query`."""
    return "".join(f" {p + 1}" if isinstance(p, int) else f", {p}" for p in path)[2:]


class Table:
    """One table of the document: gives its values, checked, and notes what is wrong."""

    __slots__ = ("_faults", "_path", "_values")

    def __init__(
        self, values: object, path: Path, known: tuple[str, ...], faults: list[Fault]
    ) -> None:
        self._path, self._faults = path, faults
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        if not isinstance(values, Mapping):
            self.fault((), f"must be a table, not {kind(values)}")
        for key in self._values:
            if key not in known:
                self.fault((key,), f"unknown key{meant(str(key), known)}", of_key=True)

    def fault(self, tail: Path, message: str, at: int = 0, of_key: bool = False) -> None:
        self._faults.append(Fault((*self._path, *tail), message, at, of_key))

    def value(self, key: str) -> Any:
        return self._values.get(key)

    def table(self, key: str, known: tuple[str, ...]) -> Table:
        return Table(self._values.get(key, {}), (*self._path, key), known, self._faults)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self._values.get(key, default)
        if type(value) is int and low <= value <= high:
            return value
        self.fault((key,), f"must be a whole number from {low} to {high}, not {shown(value)}")
        return default

    def switch(self, key: str) -> bool:
        value = self._values.get(key, False)
        if isinstance(value, bool):
            return value
        self.fault((key,), f"must be true or false, not {shown(value)}")
        return False

    def choice(self, key: str, kind: type[E], default: E) -> E:
        value = self._values.get(key, default)
        try:
            return kind(value)
        except ValueError:
            known = tuple(str(one) for one in kind)
            hint = meant(str(value), known)
            self.fault((key,), f"must be {one_of(known)}, not {shown(value)}{hint}")
            return default

    def strings(
        self, key: str, most: int = MAX_LIST, wrong: Callable[[str], str] = lambda _: ""
    ) -> tuple[str, ...]:
        """A list of strings, trimmed; without those that have a fault (`wrong` says which)."""
        values = self._values.get(key, ())
        if not isinstance(values, Sequence) or isinstance(values, str):
            self.fault((key,), f"must be a list of strings, not {kind(values)}")
            return ()
        if len(values) > most:
            self.fault((key,), f"{len(values):,} entries, at most {most:,}")
            return ()
        return tuple(self._sound(values, key, wrong))

    def _sound(self, values: Sequence[Any], key: str, wrong: Callable[[str], str]) -> list[str]:
        kept = []
        for index, value in enumerate(values):
            if fault := wrong_string(value) or wrong(value.strip()):
                self.fault((key, index), fault)
            else:
                kept.append(value.strip())
        return kept


def wrong_string(value: object, most: int = MAX_STRING) -> str:
    if not isinstance(value, str):
        return f"must be a string, not {kind(value)}"
    if not value.strip():
        return "must not be empty"
    if len(value) > most:
        return f"{len(value):,} characters, at most {most:,}"
    return "must not hold control characters" if CONTROL.search(value) else ""


# ------------------------------------------------------------------ words for people


def kind(value: object) -> str:
    names: dict[type, str] = {str: "a string", bool: "true or false", int: "a number"}
    names |= {float: "a number", list: "a list", dict: "a table", type(None): "nothing"}
    return names.get(type(value), "a date")


def shown(value: object) -> str:
    shown = repr(value) if isinstance(value, str | int | float) else kind(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def one_of(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]


def meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name[:80].lower(), known, 1)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"
