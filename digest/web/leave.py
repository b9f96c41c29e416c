"""Unsubscribing: by the one click of a mail program (RFC 8058), or by the button of a page.

A mail scanner opens links and may even run scripts: only a POST acts, and it asks for no more
than the link. It is never counted against a client, for a provider posts for all its users.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest import subscribe as verbs
from digest.links import Purpose
from digest.model import EndReason, Subscriber, SubscriberState
from digest.store import people
from digest.web.forms import read_form
from digest.web.parts import ONE_CLICK, WEB, House, evidence

NOBODY = ("You are unsubscribed", "Nothing is kept of this address, and no letter will come.")


def show(house: House, request: Request) -> Response:
    """GET /u/{token}: a page with a button; changes nothing."""
    token = request.path_params["token"]
    person = house.person(Purpose.UNSUBSCRIBE, token)
    return page(house, person)


async def leave(house: House, request: Request) -> Response:
    """POST /u/{token}: no letter any more. Committed before it answers 200; twice is once."""
    door = ONE_CLICK if await _is_one_click(request) else WEB
    token, proof = request.path_params["token"], evidence(request)
    return await run_in_threadpool(_leave, house, token, door, proof)


async def again(house: House, request: Request) -> Response:
    """POST /u/{token}/again: asks the address anew whether it wants letters."""
    house.not_too_often(request)
    token, proof = request.path_params["token"], evidence(request)
    return await run_in_threadpool(_again, house, token, proof)


def page(house: House, person: Subscriber) -> Response:
    """Asks whether to leave, or says that it is done. It holds no link to anything but this:
    the address of this page stands in a header that many programs read."""
    return house.pages.show(
        "leave",
        left=person.state is SubscriberState.ENDED,
        email=person.email,
        token=house.parts.links.token(Purpose.UNSUBSCRIBE, person.key),
    )


async def _is_one_click(request: Request) -> bool:
    """Whether the body is that of RFC 8058, 3.1. A body that cannot be read is no reason to
    send more letters to somebody who wants none."""
    try:
        form = await read_form(request)
    except HTTPException:
        return False
    return form.get("List-Unsubscribe") == "One-Click"


def _leave(house: House, token: str, door: str, proof: str) -> Response:
    try:
        person = house.person(Purpose.UNSUBSCRIBE, token)
    except HTTPException:  # erased: there is nothing left to do
        heading, *lines = NOBODY
        return house.pages.show("message", heading=heading, lines=lines)
    parts, why = house.parts, EndReason.UNSUBSCRIBED
    return page(house, verbs.end(parts.db, person.key, why, parts.clock(), door, proof))


def _again(house: House, token: str, proof: str) -> Response:
    parts = house.parts
    person = house.person(Purpose.UNSUBSCRIBE, token)
    with parts.db.reading() as tx:
        document, text = people.profile(tx, person.key)
    wanted = text or document
    verbs.request(parts.db, parts.post, person.email, wanted, parts.clock(), WEB, proof)
    return house.pages.show("asked", email=person.email)
