"""What a lane of the worker does: one letter after another, each until a relay has answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from digest.deliver.backlog import Backlog
from digest.deliver.decide import raised, unheard
from digest.deliver.desk import Due
from digest.deliver.hand import Hand
from digest.deliver.recorder import Recorder
from digest.deliver.routes import Route, Routes
from digest.errors import DigestError
from digest.model import Letter, Outcome, OutcomeKind
from digest.text.discreet import discreet

log = logging.getLogger("digest.deliver")

Letters = Callable[[Due], Letter]
"""Writes a letter out; the same bytes for the same Due. What it raises costs only that letter."""


class Lanes:
    """All lanes of a run share one. `over`: the run ends early."""

    def __init__(
        self,
        routes: Routes,
        backlog: Backlog,
        hand: Hand,
        recorder: Recorder,
        letters: Letters,
        over: Callable[[], bool],
    ) -> None:
        self._routes, self._backlog, self._hand = routes, backlog, hand
        self._recorder, self._letters, self._over = recorder, letters, over

    async def lane(self) -> None:
        """Letters, until the backlog is closed."""
        while (found := await self._backlog.take()) is not None:
            domain, due = found
            try:
                await self._one(domain, due)
            finally:
                self._backlog.done(domain)

    async def _one(self, domain: str, due: Due) -> None:
        """One letter, until it has an outcome or the run is over. A relay that could not even be
        asked leaves it to the others."""
        if self._over() or (letter := self._write(due)) is None:
            return
        while (route := await self._route()) is not None:
            outcome = await self._send(route, domain, letter, due)
            if outcome is not None and not unheard(outcome):
                self._decided(due, outcome, route)
                return

    async def _route(self) -> Route | None:
        """The relay for this letter, as soon as one may have it. None: the run is over, the
        letter stays in hand."""
        while not self._over():
            at = time.monotonic()
            if (route := self._routes.choose(at)) is not None:
                return route
            await asyncio.sleep(min(self._routes.wait(at), 1.0))
        return None

    def _write(self, due: Due) -> Letter | None:
        """The letter, or None where it cannot be rendered: that one fails, named."""
        try:
            return self._letters(due)
        except Exception as error:
            outcome = self._hand.failed(due, error)
            log.error("letter %d cannot be written: %s", due.key, discreet(outcome.text))
            return None

    async def _send(self, route: Route, domain: str, letter: Letter, due: Due) -> Outcome | None:
        """What the relay says; None where the database broke before the body."""
        began = time.monotonic()
        era, lane = route.state.begin(began), route.lane()

        async def before_body() -> bool:
            if self._over():
                return False
            if await self._recorder.may_go(due.key, due.token, route.name):
                self._hand.bodies[due.key, due.token] = route.name
                return True
            return False

        outcome = None
        try:
            outcome = await lane.send(letter, before_body)
        except DigestError:
            pass  # the database, in before_body: the run ends, the lease decides
        except Exception as error:  # a transport's own fault must not stop the queue for ever
            log.exception("transport %s", route.name)
            outcome = raised(error, (due.key, due.token) in self._hand.bodies)
        finally:
            route.state.left()
            route.idle.append(lane)
        if outcome is not None:
            self._heard(route, domain, outcome, began, era)
        if (spare := route.surplus()) is not None:
            await spare.close()
        return outcome

    def _heard(self, route: Route, domain: str, outcome: Outcome, began: float, era: int) -> None:
        at = time.monotonic()
        route.state.heard(outcome, at, era)
        if rest := self._routes.domains.heard(domain, outcome, began, at):
            said = "%s says that letters come too fast, it rests for %.0f s: %s"
            log.warning(said, domain, rest, discreet(f"{outcome.code} {outcome.text}"))
        if (news := self._routes.news_of(route)) is not None:
            log.warning("relay %s: %s", route.name, discreet(news))

    def _decided(self, due: Due, outcome: Outcome, route: Route) -> None:
        if outcome.kind is OutcomeKind.WITHDRAWN and self._over():
            return  # ours to withhold, not the person's wish: given back
        self._hand.decided(due, outcome, route.name)
