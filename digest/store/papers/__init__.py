"""Papers: one row for each work, its texts by revision, its other ids, its signals.

read.py      by any id, by pin, by window; newest first; all of them
remember.py  what a source showed becomes rows, new texts, ids and signals
homes.py     which stored work a listing is
merge.py     two rows found to be one work become one
history.py   what `paper show` tells besides the text
turns.py     what writers agree on: turns, and which windows are closed
"""

from digest.store.papers.history import History, history
from digest.store.papers.read import (
    announced,
    before,
    by_keys,
    count,
    count_seen_in,
    find,
    first_seen_in,
    key_of,
    keys_of,
    known,
    listed,
    pinned,
    trending,
    vote_counts,
    walk,
)
from digest.store.papers.remember import Remembered, keep, remember
from digest.store.papers.turns import close_until

__all__ = [
    "History",
    "Remembered",
    "announced",
    "before",
    "by_keys",
    "close_until",
    "count",
    "count_seen_in",
    "find",
    "first_seen_in",
    "history",
    "keep",
    "key_of",
    "keys_of",
    "known",
    "listed",
    "pinned",
    "remember",
    "trending",
    "vote_counts",
    "walk",
]
