"""What is shared by everything in one process, and the clock."""

from __future__ import annotations

import gc
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digest.matching.embeddings import Embeddings
    from digest.matching.lexical import LexicalMatcher


@cache
def the_matcher() -> LexicalMatcher:
    """One for the process: it remembers what texts hold, whichever App asks."""
    from digest.matching.lexical import LexicalMatcher  # numpy and scipy: only where needed

    return LexicalMatcher()


@cache
def the_embeddings(folder: str) -> Embeddings:
    """One for the process: a model is large, and vectors are remembered. Raises ConfigError."""
    from digest.matching.embeddings import open_model

    return open_model(folder)


def cores() -> int:
    """Processors that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


@cache
def calm_gc() -> None:
    """Look for reference cycles less often: batches make and drop millions of small values, none
    of them in cycles, and looking took a third of publishing's time."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)
