"""How often one client may ask. Kept in memory: a restart forgives."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

CLIENTS = 10_000  # remembered at most; the one not heard of for longest goes first


class Limiter:
    """A bucket for each client: `burst` at once, then one more every `seconds`."""

    def __init__(
        self, burst: int, seconds: float, tick: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._seconds, self._tick = burst, seconds, tick
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (tokens, since)
        self._lock = threading.Lock()

    def wait(self, client: str) -> int:
        """0: go on, and it counts; else whole seconds until the next try is taken."""
        now = self._tick()
        with self._lock:
            tokens, since = self._buckets.get(client, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - since) / self._seconds)
            allowed = tokens >= 1
            self._remember(client, tokens - allowed, now)
        return 0 if allowed else int((1 - tokens) * self._seconds) + 1

    def _remember(self, client: str, tokens: float, now: float) -> None:
        self._buckets[client] = (tokens, now)
        self._buckets.move_to_end(client)
        while len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)


def client_of(host: str | None) -> str:
    """Whom to count: an IPv4 address, or an IPv6 network of 64 bits (one household, one line)."""
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return address.exploded[:19]
