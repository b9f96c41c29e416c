"""The boolean query language: text to a small tree, by the grammar in query.lark.

Nothing here is slow or deep for any text: queries are short, and nest at most MAX_DEPTH deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NoReturn

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from digest.errors import ProfileError
from digest.text import words

MAX_LENGTH = 10_000  # characters of one query
MAX_DEPTH = 50  # parentheses within parentheses
TITLE, ABSTRACT, AUTHOR, CATEGORY = "ti", "ab", "au", "cat"
FIELDS = (TITLE, ABSTRACT, AUTHOR, CATEGORY)
_CURLY = str.maketrans("“”„«»", '"' * 5)  # as word processors write quotes


class QueryError(ProfileError):
    """A query cannot be read; `at` is where, in characters from the query's start."""

    def __init__(self, message: str, at: int = 0) -> None:
        super().__init__([message])
        self.at = at


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in a row, folded; one that ends in `*` stands for all that begin so.

    `field`: `ti`, `ab`, or empty for title and abstract.
    """

    words: tuple[str, ...]
    field: str = ""


@dataclass(frozen=True, slots=True)
class Author:
    """A paper by this person, as a name or one word of a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Category:
    """A category (`cs.lg`), a whole archive (`cs`), or all that begin so (`cs.*`)."""

    name: str


@dataclass(frozen=True, slots=True)
class Everything:
    """Every paper."""


@dataclass(frozen=True, slots=True)
class Not:
    of: Query


@dataclass(frozen=True, slots=True)
class And:
    of: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    of: tuple[Query, ...]


Leaf = Phrase | Author | Category | Everything
Query = Leaf | Not | And | Or


@lru_cache(maxsize=20_000)
def parse_query(text: str) -> Query | None:
    """The tree of a query; None for an empty one. Raises QueryError, which says where."""
    if not text.strip():
        return None
    text = text.translate(_CURLY)
    _check_size(text)
    try:
        return _resolved(_parser().parse(text))  # type: ignore[arg-type]
    except UnexpectedInput as error:
        _explain(error, text)


def leaves(query: Query, wanted: bool = True) -> Iterator[Leaf]:
    """The leaves whose presence helps a paper to meet the query, in the order written."""
    match query:
        case Not():
            yield from leaves(query.of, not wanted)
        case And() | Or():
            for part in query.of:
                yield from leaves(part, wanted)
        case _:
            if wanted:
                yield query


# ------------------------------------------------------------------ from text to tree


@dataclass(frozen=True, slots=True)
class _Written:
    """A leaf as written, until the fields around it are known."""

    text: str
    at: int
    field: str = ""


_Draft = _Written | Everything | Not | And | Or


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("query.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", transformer=_Tree())


@v_args(inline=True)
class _Tree(Transformer[Token, Query]):
    """Builds the tree while the text is parsed, so that no walk is as deep as the text is long."""

    def either(self, left: Query, right: Query) -> Query:
        return Or((*_parts(left, Or), *_parts(right, Or)))

    def both(self, left: Query, right: Query) -> Query:
        return And((*_parts(left, And), *_parts(right, And)))

    def negation(self, of: Query) -> Query:
        return of.of if isinstance(of, Not) else Not(of)

    def everything(self, _: Token) -> Query:
        return Everything()

    def word(self, token: Token) -> _Written:
        if token.startswith("-") and token.strip("-"):
            raise QueryError(f"{token}: write NOT {token.strip('-')}", token.start_pos or 0)
        return _Written(str(token), token.start_pos or 0)

    def phrase(self, token: Token) -> _Written:
        return _Written(str(token)[1:-1], token.start_pos or 0)

    def scoped(self, field: Token, of: _Draft) -> _Draft:
        name, at = str(field)[:-1].lower(), field.start_pos or 0
        if name not in FIELDS:
            raise QueryError(f"unknown field {name}:, the fields are ti: ab: au: cat:", at)
        return _scoped(of, name, at)


def _parts(node: Query, kind: type[And] | type[Or]) -> tuple[Query, ...]:
    return node.of if isinstance(node, kind) else (node,)


def _scoped(node: _Draft, field: str, at: int) -> _Draft:
    """`node` with every leaf of it looked for in `field`."""
    match node:
        case _Written():
            if node.field:
                raise QueryError(f"{node.field}: stands inside {field}:, give one field", at)
            return _Written(node.text, node.at, field)
        case Not():
            return Not(_scoped(node.of, field, at))  # type: ignore[arg-type]
        case And() | Or():
            return type(node)(tuple(_scoped(part, field, at) for part in node.of))  # type: ignore[arg-type,misc]
        case _:
            return node


def _resolved(node: _Draft) -> Query:
    match node:
        case _Written():
            return _leaf(node)
        case Not():
            return Not(_resolved(node.of))  # type: ignore[arg-type]
        case And() | Or():
            return type(node)(tuple(map(_resolved, node.of)))  # type: ignore[arg-type]
        case _:
            return node


def _leaf(written: _Written) -> Leaf:
    text = written.text.strip()
    if written.field == AUTHOR and words(text):
        return Author(text)
    if written.field == CATEGORY and text.strip("*"):
        return Category(text.lower())
    if found := tuple(_pattern(text, written.at)):
        return Phrase(found, written.field)
    raise QueryError(f"there is no word in {text!r} to look for", written.at)


def _pattern(text: str, at: int) -> Iterator[str]:
    """The words of a phrase; the last word of a part that ends in `*` keeps its star."""
    for part in text.split():
        if "*" in part[:-1]:
            raise QueryError(f"{part}: a * stands only at the end of a word", at)
        found = words(part)
        if found and part.endswith("*"):
            found[-1] += "*"
        yield from found


# ------------------------------------------------------------------ what is wrong, and where


def _check_size(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise QueryError(f"{len(text):,} characters, at most {MAX_LENGTH:,}; make it two interests")
    depth, quoted = 0, False
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "()":
            depth += 1 if character == "(" else -1
            if depth > MAX_DEPTH:
                raise QueryError(f"parentheses nest more than {MAX_DEPTH} deep", at)
    if quoted:
        raise QueryError('a phrase is opened with " and never closed', text.rindex('"'))


def _explain(error: UnexpectedInput, text: str) -> NoReturn:
    at = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    if isinstance(error, UnexpectedCharacters):
        raise QueryError(f"{_odd(text, at)}", at) from None
    if not isinstance(error, UnexpectedToken) or error.token.type == "$END":
        if text.count("(") > text.count(")"):
            raise QueryError("a ( is never closed", text.rindex("(")) from None
        raise QueryError("the query ends too early, a word must follow", len(text)) from None
    if text[at] == ")" and "(" not in text[:at]:
        raise QueryError("a ) without its (", at) from None
    raise QueryError(f"{text[at:].split()[0]!r} cannot stand here, a word must", at) from None


def _odd(text: str, at: int) -> str:
    if text[at] == ":":
        return "a field is written ti:word, without spaces; fields are ti: ab: au: cat:"
    return f"{text[at]!r} cannot stand here"
