"""For what every letter needs: statements that are handed to the driver as text.

To build, compile and hand over a statement of Core takes three times as long as SQLite takes to run
it. So these are written in Core as all others are, compiled once for each database, and run with
values as the driver takes them. No result is converted: a time of SQLite comes back as text, hence
comparisons of times are made in SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Dialect,
    Executable,
    FromClause,
    Integer,
    String,
    TypeDecorator,
    bindparam,
    func,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NullType

from digest.store.database import Tx, to_json
from digest.store.tables import Utc


class Keys(TypeDecorator[Collection[int]]):
    """Any number of keys in one parameter: an array, on SQLite as JSON."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        sqlite = dialect.name == "sqlite"
        return dialect.type_descriptor(String() if sqlite else ARRAY(Integer))

    def process_bind_param(self, value: Collection[int] | None, dialect: Dialect) -> Any:
        return to_json(list(value or ())) if dialect.name == "sqlite" else list(value or ())


class Pairs(TypeDecorator[Collection[tuple[int, int]]]):
    """Any number of pairs of keys in one parameter, each as one number of 64 bits."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        sqlite = dialect.name == "sqlite"
        return dialect.type_descriptor(String() if sqlite else ARRAY(BigInteger))

    def process_bind_param(
        self, value: Collection[tuple[int, int]] | None, dialect: Dialect
    ) -> Any:
        numbers = [first << _HALF | second for first, second in value or ()]
        return to_json(numbers) if dialect.name == "sqlite" else numbers


_HALF = 32  # bits


def each_pair(tx: Tx) -> tuple[FromClause, ColumnElement[int], ColumnElement[int]]:
    """(the pairs of the parameter `pairs` as rows, the first of each, the second)."""
    given = bindparam("pairs", type_=Pairs())
    if tx.dialect.name == "sqlite":
        rows = func.json_each(given).table_valued("value")
        pair: ColumnElement[int] = type_coerce(rows.c.value, BigInteger)
    else:
        pair = func.unnest(given).column_valued("pair")
        rows = cast(Any, pair).scalar_alias
    return rows, pair.bitwise_rshift(_HALF), pair.bitwise_and((1 << _HALF) - 1)


class Among(ColumnElement[Any]):
    """True where a column of keys is among those of the parameter `name`. One text for however
    many keys: `IN` would be another one for each number of them."""

    inherit_cache = True
    type = NullType()  # a Boolean would be asked whether it `= 1`: SQLite then reads all

    def __init__(self, column: ColumnElement[int], name: str = "keys") -> None:
        self.column, self.keys = column, bindparam(name, type_=Keys())


@compiles(Among)
def _any(element: Among, compiler: SQLCompiler, **more: Any) -> str:
    column, keys = compiler.process(element.column), compiler.process(element.keys)
    return f"{column} = ANY({keys})"


@compiles(Among, "sqlite")
def _json(element: Among, compiler: SQLCompiler, **more: Any) -> str:
    column, keys = compiler.process(element.column), compiler.process(element.keys)
    return f"{column} IN (SELECT value FROM json_each({keys}))"  # noqa: S608 - names alone


class _Text(NamedTuple):
    """A statement as the driver takes it. `fixed`: what of its parameters never changes; `times`,
    `keys`: which of them are to be written as SQLAlchemy writes them to SQLite."""

    text: str
    fixed: dict[str, Any]
    times: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class Prepared:
    """A statement; its parameters are named."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._texts: dict[str, _Text] = {}

    def rows(self, tx: Tx, **values: Any) -> Sequence[Any]:
        """What it finds."""
        made = self._text(tx)
        return tx.exec_driver_sql(made.text, {**made.fixed, **self._as_taken(made, values)}).all()

    def run(self, tx: Tx, **values: Any) -> None:
        made = self._text(tx)
        tx.exec_driver_sql(made.text, {**made.fixed, **self._as_taken(made, values)})

    def run_for_each(self, tx: Tx, rows: Iterable[Mapping[str, Any]], **values: Any) -> None:
        """Once for each row (none of whose values is a list), with these values besides."""
        made = self._text(tx)
        same = {**made.fixed, **self._as_taken(made, values)}
        times = [name for name in made.times if name not in values]
        given = [{**same, **row} for row in rows]
        for name in times:
            for row in given:
                row[name] = row[name] and stamp(row[name])
        tx.exec_driver_sql(made.text, given)

    def _as_taken(self, made: _Text, values: dict[str, Any]) -> dict[str, Any]:
        for name in made.times:
            if name in values:
                values[name] = stamp(values[name])
        for name in made.keys:
            values[name] = to_json(values[name])
        return values

    def _text(self, tx: Tx) -> _Text:
        if (found := self._texts.get(tx.dialect.name)) is None:
            sqlite, statement = tx.dialect.name == "sqlite", cast(Any, self._statement)
            made = statement.compile(dialect=_named(tx.dialect) if sqlite else tx.dialect)
            fixed = {name: value for name, value in made.params.items() if value is not None}
            found = _Text(str(made), fixed)
            if sqlite:
                found = found._replace(times=_of(made, Utc), keys=_of(made, Keys))
            self._texts[tx.dialect.name] = found
        return found


def _of(made: Any, kind: type[Any]) -> tuple[str, ...]:
    """Its parameters of this type."""
    return tuple(name for name, bind in made.binds.items() if isinstance(bind.type, kind))


def _named(dialect: Dialect) -> Any:
    """The same, taking its parameters by name; psycopg does so anyway."""
    made: Any = type(dialect)
    return made(paramstyle="named")


def stamp(at: datetime) -> str:
    """A time as SQLAlchemy writes it to SQLite."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
