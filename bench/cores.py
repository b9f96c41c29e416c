"""What a second core gains where readers meet papers, on a machine that others use, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from digest.matching import meeting

TIMES = 5
CLOCKS = time.perf_counter, time.process_time, time.thread_time


def both_cores(act: Callable[[], Any]) -> dict[str, float]:
    """`act`: some call of `meeting.meet` by machine code. What all cores gain over one: as seen,
    which hangs on what else runs; what they cost more; and what they gain with nothing else
    running: by the CPU of the slowest share and of what is not shared."""
    one, every = (
        np.median([_spent(act, allowed) for _ in range(TIMES)], axis=0)
        for allowed in (1, meeting.cores())
    )
    return {
        "wall": round(one[0] / every[0], 2),
        "CPU of all threads": round(every[1] / one[1], 2),
        "with nothing else running": round(one[2] / every[2], 2),
    }


def _spent(act: Callable[[], Any], allowed: int) -> tuple[float, float, float]:
    """(wall, CPU of all threads, CPU of the longest way through them) on so many cores."""
    shares, between = list[float](), meeting._Work.between

    def timed(self: Any, first: int, past: int) -> Any:
        began = time.thread_time()
        found = between(self, first, past)
        shares.append(time.thread_time() - began)
        return found

    fewer = mock.patch.object(meeting, "cores", lambda: allowed)
    with mock.patch.object(meeting._Work, "between", timed), fewer:
        begun = [clock() for clock in CLOCKS]
        act()
        wall, cpu, alone = (clock() - at for clock, at in zip(CLOCKS, begun, strict=True))
    return wall, cpu, alone + max(shares)
