"""What the tests of delivery share: people with letters that are due, and a worker to send them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from digest.deliver import Due, Policy, deliver
from digest.deliver.owner import me
from digest.model import (
    Cadence,
    Content,
    Delivery,
    Edition,
    EditionState,
    Letter,
    Subscriber,
    Window,
)
from digest.store import Database, deliveries, editions, people
from digest.transports.smtp import Relay, SmtpTransport, Timeouts

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUICK = Policy(backoff_first=0.01, backoff_most=0.02, grace=0.5, rest_first=0.01, rest_most=0.02)
SHORT = Timeouts(connect=2.0, command=2.0, data=2.0, dot=2.0, quit=0.5)

_marks = itertools.count()


def readers(db: Database, *emails: str) -> list[Subscriber]:
    """People, each with one digest letter that is due at NOW and good for a day."""
    with db.writing() as tx:
        added = people.add_many(
            tx,
            [
                people.NewSubscriber(email, {}, Cadence(), confirmed_at=NOW - HOUR, next_due=NOW)
                for email in emails
            ],
            NOW - HOUR,
            "test",
        )
        owe(tx, added)
    return added


def owe(tx, people_: Sequence[Subscriber], until: datetime = NOW) -> None:
    """One more edition for each of these people."""
    made = [
        editions.NewEdition(
            Edition(
                person.email,
                Window(until - HOUR, until),
                EditionState.QUEUED,
                until,
                content=Content(considered=3),
                next_due=until + 24 * HOUR,
                subscriber_key=person.key,
            ),
            f"<d.{person.key}.{until:%H%M}@example.org>",
        )
        for person in people_
    ]
    editions.write(tx, made)


def letter(
    recipient: str = "ada@example.org",
    message_id: str = "<1@example.org>",
    body: bytes = b"Hello.\r\n",
    mail_from: str = "b+1@bounces.example.org",
) -> Letter:
    head = f"From: d@example.org\r\nTo: {recipient}\r\nMessage-ID: {message_id}\r\n\r\n"
    return Letter(
        recipient, mail_from, message_id, "Papers", head.encode("ascii", "replace") + body
    )


def plain(due: Due) -> Letter:
    """A small letter; a recipient called `bad...` cannot be rendered."""
    if due.delivery.recipient.startswith("bad"):
        raise ZeroDivisionError("no template can do this")
    return letter(due.delivery.recipient, due.delivery.message_id)


def to(port: int, **options) -> SmtpTransport:
    given = {"lanes": 3, "timeouts": SHORT} | options
    return SmtpTransport(Relay("127.0.0.1", port, "none", hello="test", **given))


async def work(
    db: Database,
    transport,
    *,
    now: datetime | Callable[[], datetime] = NOW,
    policy: Policy = QUICK,
    letters=plain,
    jitter=lambda: 0.5,
    **options,
) -> Mapping[str, int]:
    """One run of a worker."""
    clock = now if callable(now) else lambda: now
    mark = f"run{next(_marks)}"
    tokens = (f"{mark}-{n}" for n in itertools.count())
    return await deliver(
        db,
        transport,
        letters,
        clock,
        me(mark),
        lambda: next(tokens),
        jitter,
        policy=policy,
        **options,
    )


def rows(db: Database) -> dict[str, Delivery]:
    """{recipient: its latest delivery}."""
    with db.reading() as tx:
        return {row.recipient: row for row in reversed(deliveries.listed(tx))}


def row(db: Database, recipient: str) -> Delivery:
    return rows(db)[recipient]


def run(coroutine):
    return asyncio.run(coroutine)


@contextmanager
def held(db: Database):
    """Somebody else holds the database."""
    with db.writing() as tx:
        yield tx
