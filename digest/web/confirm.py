"""Double opt-in: the letter's link opens a page, and its button says yes."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from digest import profiles
from digest import subscribe as verbs
from digest.cadence import next_slot
from digest.errors import ProfileError
from digest.links import Purpose
from digest.model import Subscriber, SubscriberState
from digest.render.words import moment_words, profile_words
from digest.store import people
from digest.web.parts import WEB, House, evidence

GONE = (
    "You have left",
    "This link is of a time before you unsubscribed, and brings nobody back. "
    "If you want letters again, subscribe on the front page.",
)


def show(house: House, request: Request) -> Response:
    """GET /c/{token}: asks, and changes nothing."""
    token = request.path_params["token"]
    person = house.person(Purpose.CONFIRM, token)
    return _page(house, token, person, asked=person.state is SubscriberState.PENDING)


async def confirm(house: House, request: Request) -> Response:
    """POST /c/{token}: yes. Twice is once."""
    token, proof = request.path_params["token"], evidence(request)
    return await run_in_threadpool(_confirm, house, token, proof)


def _confirm(house: House, token: str, proof: str) -> Response:
    person = house.person(Purpose.CONFIRM, token)
    if person.state is not SubscriberState.ENDED:
        parts = house.parts
        person = verbs.confirm(parts.db, person.key, parts.clock(), door=WEB, evidence=proof)
    return _page(house, token, person, pressed=True)


def _page(
    house: House, token: str, person: Subscriber, *, asked: bool = False, pressed: bool = False
) -> Response:
    """`pressed`: whoever pressed the button gets the way to their preferences; a program that
    only looks does not."""
    if person.state is SubscriberState.ENDED:
        heading, *lines = GONE
        return house.pages.show("message", 410, heading=heading, lines=lines)
    due = person.next_due or next_slot(person.cadence, house.parts.clock())
    return house.pages.show(
        "confirm",
        token=token,
        asking=asked,
        email=person.email,
        summary=summary(house, person),
        first=moment_words(due, person.cadence.zone),
        preferences=house.parts.links.token(Purpose.PREFERENCES, person.key) if pressed else "",
    )


def summary(house: House, person: Subscriber) -> str:
    """What a person asked for, in one line."""
    with house.parts.db.reading() as tx:
        document, _ = people.profile(tx, person.key)
    try:
        words = profile_words(profiles.from_mapping(document))
    except ProfileError:
        return "what your profile says; a line of it needs mending"
    return words[:1].upper() + words[1:]
