"""Where the keys and values of a TOML text stand, so that a fault can be pointed at.

The standard parser gives values without places. This scans a text that it has already taken, and
needs to know only brackets, strings and `=`; what it does not understand has no place of its own
and is pointed at by what encloses it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""Keys and indices from the top: `("interest", 0, "terms", 3)`."""

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
      | (?P<mark>[\[\]{},=\n])
      | (?P<bare>[^\s\[\]{},="'\#]+)""",
    re.X | re.S,
)
_ESCAPES = {"u": 6, "U": 10}  # characters of \uXXXX and \UXXXXXXXX; other escapes have 2
_OPEN, _CLOSE = frozenset("[{"), frozenset("]}")

Token = tuple[str, int]  # its text and where it starts


class Places:
    """Positions in one TOML text, as (line, column), both from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._keys: dict[Path, int] = {}
        self._values: dict[Path, int] = {}
        self._tables: Counter[str] = Counter()
        self._scan()

    def of_key(self, path: Path) -> tuple[int, int]:
        """Where the last key of `path` is written; else what encloses it."""
        return self._line_and_column(self._nearest(self._keys, path))

    def of_value(self, path: Path, at: int = 0) -> tuple[int, int]:
        """Where the value at `path` is written; `at` characters into it if it is a string."""
        start = self._values.get(path)
        if start is None:
            return self.of_key(path)
        return self._line_and_column(start + self._inside_string(start, at) if at else start)

    def _nearest(self, known: dict[Path, int], path: Path) -> int:
        while path and path not in known:
            path = path[:-1]
        return known.get(path, 0)

    def _line_and_column(self, index: int) -> tuple[int, int]:
        before = self._text[:index]
        return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1

    def _inside_string(self, start: int, at: int) -> int:
        """How far into the written string the `at`-th of its characters stands."""
        quote = self._text[start]
        index = start + (3 if self._text.startswith(quote * 3, start) else 1)
        if index - start == 3 and self._text.startswith("\n", index):
            index += 1  # a line break right after the opening quotes is not part of the string
        for _ in range(at):
            escaped = quote == '"' and self._text.startswith("\\", index)
            index += _ESCAPES.get(self._text[index + 1 : index + 2], 2) if escaped else 1
        return index - start

    # -------------------------------------------------------------- scanning

    def _scan(self) -> None:
        table: Path = ()
        for statement in _statements(self._text):
            if statement[0][0] == "[":
                table = self._header(statement)
            else:
                self._assignment(table, statement)

    def _header(self, statement: list[Token]) -> Path:
        names = _key([token for token in statement if token[0] not in "[]"])
        path: Path = names
        if len(statement) > 1 and statement[1][0] == "[":  # an array of tables
            name = ".".join(map(str, names))
            path = (*names, self._tables[name])
            self._tables[name] += 1
        self._keys[path] = statement[0][1]
        return path

    def _assignment(self, table: Path, statement: list[Token]) -> None:
        equals = next((i for i, (sign, _) in enumerate(statement) if sign == "="), None)
        if equals is None or equals + 1 >= len(statement):
            return
        path = table + _key(statement[:equals])
        self._keys[path] = statement[0][1]
        self._values[path] = statement[equals + 1][1]
        self._elements(path, statement[equals + 1 :])

    def _elements(self, path: Path, value: list[Token]) -> None:
        """The elements of an array, by index."""
        depth, index, wanted = 0, 0, value[0][0] == "["
        for sign, start in value[1:] if wanted else []:
            if wanted and depth == 0 and sign not in ("]", ","):
                self._values[*path, index] = start
                wanted = False
            depth += (sign in _OPEN) - (sign in _CLOSE)
            if depth == 0 and sign == ",":
                index, wanted = index + 1, True


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """The signs of a text from there on: strings with their quotes, marks, line ends, bare words;
    comments are left out."""
    found = _TOKEN.finditer(text, start)
    return ((one.group(), one.start()) for one in found if one.lastgroup != "comment")


def _statements(text: str) -> Iterator[list[Token]]:
    """The tokens of each header or assignment; brackets join lines."""
    statement: list[Token] = []
    depth = 0
    for sign, at in tokens(text):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if sign != "\n":
            statement.append((sign, at))
        elif depth <= 0 and statement:
            yield statement
            statement, depth = [], 0
    if statement:
        yield statement


def _key(tokens: list[Token]) -> Path:
    """A key's parts: dotted, bare or quoted."""
    parts: list[str | int] = []
    for token, _ in tokens:
        parts += [token[1:-1]] if token[0] in "\"'" else [p for p in token.split(".") if p]
    return tuple(parts)
