"""Which relay the next letter takes: lanes spread by weight, relays in trouble left alone. Times
are seconds of a monotonic clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from digest.deliver.decide import Jitter, Refusal
from digest.deliver.domains import Domains
from digest.deliver.policy import Policy
from digest.deliver.relay import RelayState
from digest.transports import Lane, Transport

SOON = 0.01  # seconds
OURS = {Refusal.CONTENT, Refusal.REFUSED}  # about our letters: another relay mends nothing


@dataclass(slots=True)
class Route:
    """One relay. `weight` is its share of the lanes; 0: used only while no other one is well.
    `idle` holds lanes that are open and wait for a letter."""

    name: str
    transport: Transport
    state: RelayState
    weight: int = 1
    served: int = 0
    told: str = ""  # what the log said of it last
    idle: list[Lane] = field(default_factory=list)

    def lane(self, wanted: Lane | None = None) -> Lane:
        """The wanted lane if it is idle, else the one that was used last, or a new one."""
        if wanted in self.idle:
            self.idle.remove(wanted)
            return wanted
        return self.idle.pop() if self.idle else self.transport.lane()

    def surplus(self) -> Lane | None:
        """A lane to close, where more are open than the relay wants by now."""
        many = self.state.active + len(self.idle) > self.state.open
        return self.idle.pop(0) if self.idle and many else None

    def usable(self, at: float) -> bool:
        return self.state.wait(at) <= 0.0

    @property
    def well(self) -> bool:
        return not (self.state.tripped or self.state.doubtful)

    @property
    def load(self) -> tuple[float, float]:
        """How busy it is for its share; where two are alike, how much it had."""
        share = self.weight or 1
        return self.state.active / share, (self.served + 1) / share


class Routes:
    """All relays, and what is known of recipients' domains. May be kept from run to run (a
    daemon), or made anew for each."""

    def __init__(
        self, routes: Sequence[Route], policy: Policy, lanes: int, domains: Domains | None = None
    ) -> None:
        self.routes = tuple(routes)
        self.policy = policy
        self.lanes = max(1, min(lanes, sum(route.state.most for route in routes)))
        self.domains = domains or Domains(self.lanes, routes[0].state.jitter, policy)

    @classmethod
    def single(cls, transport: Transport, jitter: Jitter, policy: Policy) -> Routes:
        """One way out."""
        state = RelayState(transport.lanes, jitter, policy)
        return cls([Route(transport.name, transport, state)], policy, transport.lanes)

    def revive(self, at: float) -> bool:
        """Begin a run. False while every relay must still be left alone."""
        revived = [self._revive(route, at) for route in self.routes]  # each of them
        return any(revived)

    def _revive(self, route: Route, at: float) -> bool:
        """Try a relay again; what others had meanwhile is no debt to it."""
        if not route.state.revive(at):
            return False
        for one in self.routes:
            one.served = 0
        return True

    def choose(self, at: float) -> Route | None:
        """The relay for the next letter; None: nobody can take one now."""
        if len(self.routes) == 1:
            [only] = self.routes
            return only if only.usable(at) else None
        for route in self.routes:
            if route.state.tripped:
                self._revive(route, at)
        found = self._idlest(at)
        if found is not None:
            found.served += 1
        return found

    def _idlest(self, at: float) -> Route | None:
        ready = [route for route in self.routes if route.usable(at) and not route.state.tripped]
        if any(route.weight and route.well for route in self.routes):
            ready = [route for route in ready if route.weight]
        return min(ready, key=lambda route: route.load, default=None)

    def again(self, route: Route, at: float) -> bool:
        """True where the letter after one that this relay has in hand would be given to it, too.
        Not with a relay in doubt or one that is to have so many a minute: there letters start one
        by one."""
        if not route.well or route.state.per_minute:
            return False
        route.state.active -= 1  # as if that one had ended
        found = self._idlest(at) if len(self.routes) > 1 else route
        usable = found is route and route.usable(at)
        route.state.active += 1
        return usable

    def wait(self, at: float) -> float:
        """Seconds until it is worth to ask again."""
        return max(SOON, min(route.state.wait(at) for route in self.routes))

    @property
    def tripped(self) -> str:
        """Why the run must end: every relay must be left alone, or our letters are at fault."""
        if len(self.routes) == 1:
            return self.routes[0].state.tripped
        words = [route.state.tripped for route in self.routes]
        return next((word for word in words if word in OURS), "") or (
            words[-1] if all(words) else ""
        )

    def news_of(self, route: Route) -> str | None:
        """What to tell of a relay beside which there are others, once for each change."""
        if len(self.routes) == 1 or route.state.tripped == route.told:
            return None
        if not route.state.tripped and route.state.doubtful:
            return None  # not before it has proved to be well
        route.told = route.state.tripped
        if not route.told:
            return "is well again"
        return f"is left alone, {route.told}: {route.state.said}"

    async def close(self) -> None:
        """Take leave of all relays."""
        lanes = [lane for route in self.routes for lane in route.idle]
        for route in self.routes:
            route.idle = []
        await asyncio.gather(*(lane.close() for lane in lanes), return_exceptions=True)

    @property
    def said(self) -> str:
        """The words of the relays that must be left alone."""
        if len(self.routes) == 1:
            return self.routes[0].state.said
        told = [(route.name, route.state) for route in self.routes if route.state.tripped]
        return "; ".join(f"{name}: {state.tripped}, {state.said}" for name, state in told)
