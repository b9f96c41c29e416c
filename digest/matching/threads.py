"""How many threads a product of matrices may take.

BLAS wakes a thread a core for every product and lets them wait for each other in a loop. The
products of a batch of readers take a millisecond: where another program wants a core, or another
process publishes on it, they then cost twenty times as much (`bench/taste.py`). The long ones of
training, and of placing a window's papers, keep all cores.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """While it is open, BLAS takes no more than the thread that asks."""
    limited: AbstractContextManager[Any] = _pools().limit(limits=1, user_api="blas")
    return limited


@cache
def _pools() -> ThreadpoolController:
    """Those of the libraries that are loaded: numpy is, wherever there is something to rank."""
    return ThreadpoolController()
