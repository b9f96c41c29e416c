"""Everything that is known of one person, for them to take along."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from digest.model import Edition, Feedback
from digest.store import Database, Tx, deliveries, editions, people
from digest.subscribe.life import find


def export(db: Database, email: str) -> dict[str, Any]:
    """Plain data for JSON, times in ISO. Raises Refused for an address that is not known."""
    person = find(db, email)
    with db.reading() as tx:
        document, text = people.profile(tx, person.key)
        known = {
            "subscriber": asdict(person),
            "profile": document,
            "profile_text": text,
            "feedback": asdict(people.feedback(tx, [person.key]).get(person.key, Feedback())),
            "consent": [asdict(line) for line in people.consents(tx, person.key)],
            "suppressed": [asdict(s) for s in people.suppressed(tx, [person.email]).values()],
            "editions": [_edition(e) for e in editions.listed(tx, subscriber=person.key)],
            "deliveries": _deliveries(tx, person.key),
        }
    plain: dict[str, Any] = _plain(known)
    return plain


def _edition(edition: Edition) -> dict[str, Any]:
    return {
        "since": edition.window.since,
        "until": edition.window.until,
        "state": edition.state,
        "reason": edition.reason,
        "papers": [asdict(paper) for paper in edition.content.papers],
    }


def _deliveries(tx: Tx, key: int) -> list[dict[str, Any]]:
    return [
        {
            **asdict(delivery),
            "tries": [asdict(attempt) for attempt in deliveries.attempts(tx, delivery.key)],
        }
        for delivery in deliveries.listed(tx, subscriber=key)
    ]


def _plain(value: Any) -> Any:
    """Lists, dicts, texts and numbers only; keys of rows mean nothing outside and are left out."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not k.endswith("key")}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
