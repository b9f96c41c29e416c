"""Who holds a lease: a name that tells later whether the process that took it still lives.

On Linux a process is named exactly by host, boot, PID namespace, PID and start time, so a worker
that was killed is known to be gone at once. Elsewhere, and for other machines, nobody can know,
and the lease's end decides.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

PROC = Path("/proc")


def me(mark: str) -> str:
    """This process's name as an owner of leases; `mark` tells two runs of one process apart."""
    pid = os.getpid()
    return f"{_place()}/{pid}/{_started(pid) or ''}/{mark}"


def gone(owner: str) -> bool:
    """True where this owner certainly lives no more."""
    place, _, rest = owner.partition("/")
    pid, _, rest = rest.partition("/")
    started = rest.partition("/")[0]
    if not place or place != _place() or not started.isdecimal() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass  # somebody else's process is a living one
    now = _started(int(pid))
    return now is not None and now != started


@cache
def _place() -> str:
    """Host, boot and PID namespace; "" where the system does not tell."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
        space = (PROC / "self/ns/pid").stat().st_ino
    except OSError:
        return ""
    return f"{socket.gethostname()}.{boot}.{space}".replace("/", "_")


def _started(pid: int) -> str | None:
    """When the process started, in the kernel's ticks; "" for a corpse, None where the system
    does not tell (/proc can be mounted so that it hides other users' processes)."""
    try:
        said = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = said.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[0] in {"Z", "X"} else fields[19]
