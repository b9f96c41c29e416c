"""Deliveries: outbox and queue at once.

queue.py     claim, mark, settle, sweep: every write of a worker carries its lease's token
answers.py   lists, counts, attempts; retry and resolve
"""

from digest.store.deliveries.answers import (
    Attempt,
    attempts,
    counts,
    due_count,
    get,
    listed,
    next_due,
    of_editions,
    queued_since,
    resolve,
    retry,
)
from digest.store.deliveries.queue import (
    HELD,
    SOFT_LIMIT,
    Swept,
    claim,
    enqueue,
    extend,
    mark_body,
    owners,
    put_off,
    record,
    release,
    settle,
    sweep,
)

__all__ = [
    "HELD",
    "SOFT_LIMIT",
    "Attempt",
    "Swept",
    "attempts",
    "claim",
    "counts",
    "due_count",
    "enqueue",
    "extend",
    "get",
    "listed",
    "mark_body",
    "next_due",
    "of_editions",
    "owners",
    "put_off",
    "queued_since",
    "record",
    "release",
    "resolve",
    "retry",
    "settle",
    "sweep",
]
