"""A crowd for benchmarks: as many people with one letter each as anybody could have, in seconds.

Written by the database itself, since a million rows by way of the program take longer than what is
to be measured. What a letter holds is one of a few hundred contents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from digest.model import Content
from digest.store import Database
from digest.store.editions import pack
from digest.store.prepared import stamp

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT :people)"
PEOPLE = f"""
INSERT INTO subscribers (key, email, mailbox, state, created_at, confirmed_at, next_due,
                         frequency, day, hour, zone)
{NUMBERS}
SELECT i, 'reader' || i || '@example.org', 'reader' || i || '@example.org', 'active', :since,
       :since, :next, 'weekly', 0, 8, 'UTC' FROM n"""
EDITIONS = f"""
INSERT INTO editions (key, subscriber, since, until, state, made_at, next_due, content)
{NUMBERS}
SELECT i, i, :since, :until, 'queued', :until, :next,
       json_extract(:contents, '$[' || (i % :kinds) || ']') FROM n"""
DELIVERIES = f"""
INSERT INTO deliveries (key, kind, subscriber, edition, recipient, message_id, state, reason,
                        attempts, created_at, not_before, expires_at, code, text, changed_at)
{NUMBERS}
SELECT i, 'digest', i, i, 'reader' || i || '@example.org', '<d.' || i || '@example.org>',
       coalesce(:state, 'queued'), NULL, 0, :until, :until, :next, NULL, NULL, :until FROM n"""
ENDED = """
UPDATE deliveries SET state = :state, reason = :reason, attempts = 1, code = :code, text = :text
WHERE key % :every = :rest"""
TRIES = """
INSERT INTO attempts (delivery, at, outcome, phase, code, enhanced, text)
SELECT key, changed_at, state, 'rcpt', code, NULL, coalesce(text, '') FROM deliveries"""


def gather(
    db: Database,
    people: int,
    contents: Sequence[Content],
    now: datetime,
    state: str | None = None,
) -> None:
    """So many people on SQLite, each with an edition and its letter in this state (default:
    due now). The database must be empty."""
    week = timedelta(days=7)
    values = {
        "people": people,
        "since": stamp(now - week),
        "until": stamp(now),
        "next": stamp(now + week),
        "contents": json.dumps([json.dumps(pack(content)) for content in contents]),
        "kinds": len(contents),
        "state": state,
    }
    with db.writing() as tx:
        for statement in (PEOPLE, EDITIONS, DELIVERIES):
            names = {name: value for name, value in values.items() if f":{name}" in statement}
            tx.exec_driver_sql(statement, names)


def gather_at(url: str, people: int, contents: Sequence[Content], now: datetime) -> None:
    """`gather` as a job for another process."""
    gather(Database(url), people, contents, now)


def end(db: Database, ends: Sequence[Mapping[str, Any]]) -> None:
    """Of every so many letters one ended so; each letter was tried once."""
    with db.writing() as tx:
        for one in ends:
            tx.exec_driver_sql(ENDED, one)
        tx.exec_driver_sql(TRIES)
