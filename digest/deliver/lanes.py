"""What a lane of the worker does: one letter after another, each until a relay has answered.

While a relay thinks about a body, a letter is written for whichever lane is free first: the wait
is used, and the relay does not wait for us.

Where a transport's lane can make use of it, its next letter is chosen and written while the one
before it waits for its body mark, so that its envelope can go out with that body. It is a letter
in hand like any other: its own body waits for its own mark, after the outcome of the one before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from digest.deliver.backlog import Backlog
from digest.deliver.decide import raised, unheard
from digest.deliver.desk import Due
from digest.deliver.hand import Hand
from digest.deliver.recorder import Recorder
from digest.deliver.routes import Route, Routes
from digest.errors import DigestError
from digest.model import Letter, Outcome, OutcomeKind
from digest.text.discreet import discreet
from digest.transports import Lane

log = logging.getLogger("digest.deliver")

Letters = Callable[[Due], Letter]
"""Writes a letter out; the same bytes for the same Due. What it raises costs only that letter."""


@dataclass(slots=True)
class Turn:
    """A letter whose turn with its domain has begun. `route` and `lane`: where its envelope may
    be already."""

    domain: str
    due: Due
    letter: Letter | None = None
    route: Route | None = None
    lane: Lane | None = None


class Sender:
    """One lane. `over`: the run ends early."""

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
        self._next: Turn | None = None

    async def run(self) -> None:
        """Letters, until the backlog is closed."""
        try:
            while (turn := await self._take()) is not None:
                try:
                    await self._one(turn)
                finally:
                    if self._next is None or self._next.domain != turn.domain:
                        self._backlog.done(turn.domain)  # else its turn goes on
        finally:
            if self._next is not None:
                self._backlog.done(self._next.domain)

    async def _take(self) -> Turn | None:
        if (turn := self._next) is not None:
            self._next = None
            return turn
        found = await self._backlog.take()
        return None if found is None else Turn(*found)

    async def _one(self, turn: Turn) -> None:
        """One letter, until it has an outcome or the run is over. A relay that could not even be
        asked leaves it to the others."""
        if self._over() or not self._written(turn):
            return
        while (route := await self._route(turn)) is not None:
            outcome = await self._send(route, turn)
            if outcome is not None and not unheard(outcome):
                self._decided(turn.due, outcome, route)
                return

    async def _route(self, turn: Turn) -> Route | None:
        """The relay for this letter, as soon as one may have it. None: the run is over, the
        letter stays in hand."""
        bound, turn.route = turn.route, None
        while not self._over():
            at = time.monotonic()
            if bound is not None and bound.usable(at):
                bound.served += 1
                return bound
            bound = None
            if (route := self._routes.choose(at)) is not None:
                return route
            await asyncio.sleep(min(self._routes.wait(at), 1.0))
        return None

    def _written(self, turn: Turn) -> bool:
        """False where the letter cannot be rendered: that one fails, named."""
        if turn.letter is None:
            due = turn.due
            try:
                turn.letter = self._hand.drafts.pop((due.key, due.token), None)
                turn.letter = turn.letter or self._letters(due)
            except Exception as error:
                outcome = self._hand.failed(due, error)
                log.error("letter %d cannot be written: %s", due.key, discreet(outcome.text))
        return turn.letter is not None

    async def _send(self, route: Route, turn: Turn) -> Outcome | None:
        """What the relay says; None where the database broke before the body."""
        assert turn.letter is not None
        began, due = time.monotonic(), turn.due
        era, lane = route.state.begin(began), route.lane(turn.lane)

        async def before_body() -> bool | Letter:
            if self._over():
                return False
            following = self._follow(route, lane, turn.domain)
            if not await self._may_go(route, due):
                return False
            asyncio.get_running_loop().call_soon(self._draft)  # when the body is out
            return following or True

        outcome = None
        try:
            outcome = await lane.send(turn.letter, before_body)
        except DigestError:
            pass  # the database, in before_body: the run ends, the lease decides
        except Exception as error:  # a transport's own fault must not stop the queue for ever
            log.exception("transport %s", route.name)
            outcome = raised(error, (due.key, due.token) in self._hand.bodies)
        finally:
            route.state.left()
            route.idle.append(lane)
        if outcome is not None:
            self._heard(route, turn.domain, outcome, began, era)
        if (spare := route.surplus()) is not None:
            await spare.close()
        return outcome

    def _draft(self) -> None:
        """Write a letter that will be wanted soon; not more of them than there are lanes. One that
        cannot be written fails in its own turn."""
        if len(self._hand.drafts) < self._routes.lanes and (due := self._backlog.soon()):
            with suppress(Exception):
                self._hand.drafts[due.key, due.token] = self._letters(due)

    async def _may_go(self, route: Route, due: Due) -> bool:
        """Mark the body, if it still may go."""
        go = await self._recorder.may_go(due.key, due.token, route.name)
        if go:
            self._hand.bodies[due.key, due.token] = route.name
        return go

    def _follow(self, route: Route, lane: Lane, domain: str) -> Letter | None:
        """The letter that this lane has next, where one is ready that may go this way."""
        if not getattr(lane, "ahead", False) or not self._routes.again(route, time.monotonic()):
            return None
        if (found := self._backlog.after(domain)) is None:
            return None
        turn = Turn(*found, route=route, lane=lane)
        if self._written(turn):
            self._next = turn
        elif turn.domain != domain:
            self._backlog.done(turn.domain)
        return turn.letter

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
