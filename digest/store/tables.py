"""The schema on one page. Times are UTC; JSON is small data; every natural key is unique."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """An aware UTC datetime in Python; timestamptz on PostgreSQL, ISO text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone reached the store")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """SQLite's text is read here, in a seventh of the time of three steps: a letter has a
        dozen times, most of them those of the letter before."""
        return _read if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _read(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


@lru_cache(maxsize=1 << 12)
def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _key() -> Column[int]:
    return Column("key", Integer, primary_key=True, autoincrement=True)


def _ref(name: str, target: str, *, nullable: bool = False, **more: Any) -> Column[int]:
    return Column(name, ForeignKey(target, ondelete="CASCADE"), nullable=nullable, **more)


# ------------------------------------------------------------------ papers

papers = Table(
    "papers",
    metadata,
    _key(),
    Column("id", String, nullable=False, unique=True),  # canonical
    Column("revision", Integer, nullable=False),  # the current one
    Column("version", Integer, nullable=False),  # the source's own count (arXiv v1, v2)
    Column("first_seen", Utc, index=True),  # none: kept for seeds, announced by no source
    sqlite_autoincrement=True,
)
paper_ids = Table(  # every id of every paper, the canonical one among them
    "paper_ids",
    metadata,
    Column("id", String, primary_key=True),
    _ref("paper", "papers.key", index=True),
    Column("at", Utc),  # since when it is known: a DOI that came later is a publication
    sqlite_with_rowid=False,  # one tree to look through for an id, not two
)
revisions = Table(  # the texts; an edition pins one, so that a letter never changes
    "revisions",
    metadata,
    _ref("paper", "papers.key"),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("announce", String, nullable=False),
    Column("source", String, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("title", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("authors", JSON, nullable=False),
    Column("categories", JSON, nullable=False),
    Column("published", Date),
    Column("links", JSON, nullable=False),
    PrimaryKeyConstraint("paper", "revision"),
)
signals = Table(  # e.g. upvotes, one value a day, the latest of that day
    "signals",
    metadata,
    _ref("paper", "papers.key"),
    Column("name", String, nullable=False),
    Column("day", Date, nullable=False),
    Column("value", Float, nullable=False),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("paper", "name", "day"),
    Index(None, "name", "at"),
    sqlite_with_rowid=False,
)
listings = Table(  # which source showed it, since when
    "listings",
    metadata,
    _ref("paper", "papers.key"),
    Column("source", String, nullable=False),
    Column("first_at", Utc, nullable=False),
    PrimaryKeyConstraint("paper", "source"),
    Index(None, "source", "first_at"),
    sqlite_with_rowid=False,
)

sought = Table(  # papers that profiles name as seeds and that are not stored
    "sought",
    metadata,
    Column("id", String, primary_key=True),
    Column("next_at", Utc, nullable=False, index=True),  # when to ask for it
    Column("tries", Integer, nullable=False),  # times that it was not to be had
)
marks = Table(  # moments that writers agree on, e.g. up to where windows have been closed
    "marks",
    metadata,
    Column("name", String, primary_key=True),
    Column("at", Utc, nullable=False),
)

# ------------------------------------------------------------------ people

subscribers = Table(
    "subscribers",
    metadata,
    _key(),
    Column("email", String, nullable=False),  # as they first typed it; letters go there
    Column("mailbox", String, nullable=False, unique=True),  # what they are known by: mailbox.py
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("created_at", Utc, nullable=False),
    Column("confirmed_at", Utc),
    Column("paused_until", Utc),
    Column("window_since", Utc),  # the next edition's window opens here
    Column("next_due", Utc),  # and closes here at the earliest
    Column("frequency", String, nullable=False),
    Column("day", Integer, nullable=False),
    Column("hour", Integer, nullable=False),
    Column("zone", String, nullable=False),
    Column("soft_failures", Integer, nullable=False, server_default="0"),
    Index(None, "next_due", "key"),
    sqlite_autoincrement=True,
)
consents = Table(
    "consents",
    metadata,
    _key(),
    _ref("subscriber", "subscribers.key", index=True),
    Column("at", Utc, nullable=False),
    Column("act", String, nullable=False),
    Column("door", String, nullable=False),
    Column("evidence", Text, nullable=False),
)
profiles = Table(
    "profiles",
    metadata,
    _ref("subscriber", "subscribers.key", primary_key=True),
    Column("document", JSON, nullable=False),  # the profile file as plain data
    Column("text", Text),  # as the person wrote it, comments and all
    Column("changed_at", Utc, nullable=False, index=True),
    Column("compact", LargeBinary),  # the same, checked and stemmed; made again where it is missing
)
ratings = Table(
    "ratings",
    metadata,
    _ref("subscriber", "subscribers.key"),
    _ref("paper", "papers.key"),
    Column("value", SmallInteger, nullable=False),  # +1 more like this, -1 less
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("subscriber", "paper"),
)
suppressions = Table(
    "suppressions",
    metadata,
    Column("mailbox", String, primary_key=True),  # see mailbox.py
    Column("address", String, nullable=False),  # as given
    Column("reason", String, nullable=False),
    Column("at", Utc, nullable=False),
)

models = Table(  # what was learnt from all readers; none of it is anybody's
    "models",
    metadata,
    Column("name", String, primary_key=True),
    Column("made_at", Utc, nullable=False),
    Column("checked", JSON, nullable=False),  # what the held-out check found
    Column("data", LargeBinary),  # none: it would not help
)

# ------------------------------------------------------------------ editions and deliveries

editions = Table(
    "editions",
    metadata,
    _key(),
    _ref("subscriber", "subscribers.key"),
    Column("since", Utc, nullable=False),
    Column("until", Utc, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("made_at", Utc, nullable=False, index=True),
    Column("next_due", Utc),
    Column("content", JSON, nullable=False),
    UniqueConstraint("subscriber", "until"),
    sqlite_autoincrement=True,
)
received = Table(  # a work reaches a reader at most once, ever
    "received",
    metadata,
    _ref("subscriber", "subscribers.key"),
    _ref("paper", "papers.key"),
    _ref("edition", "editions.key", index=True),
    PrimaryKeyConstraint("subscriber", "paper"),
)
NOT_ACCEPTED = text("state <> 'accepted'")  # as a question must say it, to be answered by its index
deliveries = Table(  # outbox and queue at once
    "deliveries",
    metadata,
    _key(),
    Column("kind", String, nullable=False),
    _ref("subscriber", "subscribers.key", nullable=True, index=True),  # None: to the operator
    _ref("edition", "editions.key", nullable=True, unique=True),
    Column("recipient", String, nullable=False),
    Column("message_id", String, nullable=False, unique=True),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("resends", Integer, nullable=False, server_default="0"),
    Column("created_at", Utc, nullable=False),
    Column("not_before", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("lease_owner", String),
    Column("lease_token", String),
    Column("lease_until", Utc),
    Column("relay", String),  # where its body went last, committed before; or who answered last
    Column("code", Integer),
    Column("text", Text),
    Column("changed_at", Utc, nullable=False),
    Index(None, "state", "not_before"),
    Index(
        "ix_deliveries_not_accepted",
        "key",
        sqlite_where=NOT_ACCEPTED,
        postgresql_where=NOT_ACCEPTED,
    ),
    sqlite_autoincrement=True,
)
attempts = Table(
    "attempts",
    metadata,
    _key(),
    _ref("delivery", "deliveries.key", index=True),
    Column("at", Utc, nullable=False),
    Column("outcome", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("relay", String),
    Column("code", Integer),
    Column("enhanced", String),
    Column("text", Text, nullable=False),
)

reports = Table(  # what came back later, each under its own hash: bounces, complaints, goodbyes
    "reports",
    metadata,
    _key(),
    Column("hash", String, nullable=False),  # SHA-256, or what its sender identifies it by
    Column("part", Integer, nullable=False),  # one report may tell of several recipients
    Column("at", Utc, nullable=False),
    Column("door", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("weight", String),  # of a bounce
    _ref("delivery", "deliveries.key", nullable=True, index=True),
    Column("address", String),
    Column("status", String),  # RFC 3463
    Column("text", Text, nullable=False),
    Column("effect", String, nullable=False),
    Column("raw", LargeBinary),  # bounded; where a person should look and no mailbox has it
    UniqueConstraint("hash", "part"),
    sqlite_autoincrement=True,
)

# ------------------------------------------------------------------ sources

sources = Table(
    "sources",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String),  # set where the source was added by command, not by configuration
    Column("options", JSON),
    Column("cursor", JSON, nullable=False),
    Column("verdict", String),
    Column("message", Text),
    Column("checked_at", Utc),
    Column("healthy_at", Utc),
)
fetches = Table(
    "fetches",
    metadata,
    _key(),
    Column("source", String, nullable=False),
    Column("at", Utc, nullable=False),
    Column("verdict", String, nullable=False),
    Column("fetched", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("revised", Integer, nullable=False),
    Column("backfilled", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "source", "at"),
)
notices = Table(  # what the operator was told, and by which letter, if there is one
    "notices",
    metadata,
    _key(),
    Column("source", String, nullable=False),
    Column("at", Utc, nullable=False),
    Column("well", Boolean, nullable=False),
    Column("verdict", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("since", Utc),
    _ref("delivery", "deliveries.key", nullable=True, unique=True),
    Index(None, "source", "at"),
)
quarantine = Table(
    "quarantine",
    metadata,
    _key(),
    Column("source", String, nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
)
