"""How many threads a product of matrices may take.

BLAS wakes a thread a core for every product and lets them wait for each other in a loop. The
products of a batch of readers take a millisecond: where another program wants a core, or another
process publishes on it, they then cost twenty times as much (`bench/taste.py`). The long ones of
training, and of placing a window's papers, keep all cores.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_change = threading.Lock()
_open: list[Any] = []  # the limit that the first of those who ask at once has set, for each of them


@contextmanager
def one_thread() -> Iterator[None]:
    """While it is open, BLAS takes no more than the thread that asks. The limit is the whole
    process's: where several ask at once, whoever ends last takes it away."""
    with _change:
        _open.append(_open[0] if _open else _pools().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _change:
            limit = _open.pop()
            if not _open:
                limit.restore_original_limits()


@cache
def _pools() -> ThreadpoolController:
    """Those of the libraries that are loaded: numpy is, wherever there is something to rank."""
    return ThreadpoolController()
