"""Queries as SQLite's FTS5 puts them, where both languages can say it: an oracle, and a peer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from digest.model import Paper
from digest.profiles.query import And, Not, Or, Phrase, Query
from digest.text import words

SCHEMA = (
    "CREATE VIRTUAL TABLE p USING fts5(ti, ab, "
    "tokenize=\"unicode61 remove_diacritics 0 tokenchars '.+#'\")"
)


def index(papers: Sequence[Paper]) -> sqlite3.Connection:
    """The words of titles and abstracts, as matching folds them; rowid is the paper's place."""
    db = sqlite3.connect(":memory:")
    db.execute(SCHEMA)
    rows = ((i, _row(paper.title), _row(paper.abstract)) for i, paper in enumerate(papers))
    db.executemany("INSERT INTO p(rowid, ti, ab) VALUES (?, ?, ?)", rows)
    db.execute("INSERT INTO p(p) VALUES ('optimize')")
    return db


def meeting(db: sqlite3.Connection, asked: str) -> list[int]:
    """The papers that a query of FTS5 finds, rising."""
    found = db.execute("SELECT rowid FROM p WHERE p MATCH ? ORDER BY rowid", (asked,))
    return [place for (place,) in found]


def spell(query: Query) -> str:
    """The query for FTS5. Raises ValueError for what it cannot say: categories, authors, NOT
    without anything beside it, a prefix before a phrase's last word."""
    match query:
        case Phrase() if not any(word.endswith("*") for word in query.words[:-1]):
            text = " ".join(query.words)
            quoted = f'"{text.removesuffix("*")}"' + " *" * text.endswith("*")
            return f"{query.field} : {quoted}" if query.field else quoted
        case Or():
            return f"({' OR '.join(map(spell, query.of))})"
        case And() if not all(isinstance(part, Not) for part in query.of):
            wanted = [spell(part) for part in query.of if not isinstance(part, Not)]
            asked = f"({' AND '.join(wanted)})"
            for part in query.of:
                if isinstance(part, Not):
                    asked = f"({asked} NOT {spell(part.of)})"
            return asked
    raise ValueError(f"FTS5 cannot say {query}")


def _row(text: str) -> str:
    return " ".join(words(text))
