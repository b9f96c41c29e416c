"""What every file of the store does with rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from digest.store.database import Tx

WEAK = "ta:"  # title-and-author ids: used only where no strong id is known
CHUNK = 400  # ids in one question: below every database's limit of parameters


def chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """`items` in lists of at most `size`."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def insert_new(tx: Tx, table: Any) -> Any:
    """An INSERT that leaves rows that are already there as they are."""
    return dialect_insert(tx)(table).on_conflict_do_nothing()


def dialect_insert(tx: Tx) -> Any:
    """The INSERT of this database, which can say what to do where a row is there already."""
    return pg_insert if tx.dialect.name == "postgresql" else sqlite_insert
