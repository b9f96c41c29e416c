"""The site put together: routes, pages for errors, the shell around all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from digest.errors import Broken, DigestError, Refused, TokenError
from digest.web import (
    confirm,
    feedback,
    front,
    health,
    hooks,
    leave,
    letter,
    metrics,
    preferences,
    preview,
)
from digest.web.pages import ASSETS, Pages
from digest.web.parts import House, SiteParts
from digest.web.shell import Shell, log, told

FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}  # its address has its hash
HSTS = {"strict-transport-security": "max-age=15552000"}
"""What each error says: a heading, and lines of which the first is the most important."""
ERRORS = {
    400: ("That could not be read", "What your browser sent was damaged on its way. Try again."),
    401: ("Who are you?", "This address is for a mail provider that knows our secret."),
    403: ("That is not allowed", "What was sent is not signed by whom it should be."),
    404: ("There is no such page", "The address may have been cut short. Copy the whole of it."),
    405: ("That does not work here", "This page cannot be asked in that way."),
    408: ("That took too long", "What your browser sent did not arrive in time. Try again."),
    410: (
        "Nothing is kept here any more",
        "All that was known of this address has been erased. No letter will come.",
    ),
    413: ("That is too much at once", "A form here takes at most 64 kilobytes."),
    429: ("That was very often", "Wait a few minutes, then try again."),
    500: (
        "Something broke here",
        "It is our fault and it has been noted. Nothing was half done; try again in a while.",
    ),
    503: (
        "The site is resting",
        "Its database cannot be reached just now. Nothing was half done; try again in a minute.",
    ),
}
TOKEN = (
    "This link is damaged",
    "It may have been broken in two by a mail program. Copy the whole address from the letter, "
    "up to its last character, and open that.",
)


def create_site(parts: SiteParts, pages: Pages | None = None) -> Starlette:
    """The site as an ASGI application. Raises RenderError for a template that cannot be read.

    `pages`: made already for the same site, to save the time that compiling takes.
    """
    house = House(parts, pages or Pages(parts.site, parts.templates))
    secure = parts.site.url.startswith("https://")
    shell = Middleware(
        Shell,
        root=house.pages.root,
        more=HSTS if secure else {},
        oops=lambda: _error(house, 500),
    )
    site = Starlette(
        routes=_routes(house),
        middleware=[shell],
        exception_handlers={
            HTTPException: partial(_http_error, house),
            DigestError: partial(_digest_error, house),
        },
    )
    site.router.redirect_slashes = False  # a one-click post must never be answered by a redirect
    return site


def _routes(house: House) -> list[Route]:
    def get(path: str, answer: Callable[[House, Request], Response]) -> Route:
        return Route(path, partial(answer, house), methods=["GET"])

    def post(path: str, answer: Callable[[House, Request], Awaitable[Response]]) -> Route:
        return Route(path, partial(answer, house), methods=["POST"])

    return [
        get("/", front.show),
        get("/subscribe", front.show),  # where the answer of the form stands, asked again
        post("/subscribe", front.subscribe),
        get("/preview", front.show),
        post("/preview", preview.preview),
        get("/c/{token}", confirm.show),
        post("/c/{token}", confirm.confirm),
        get("/p/{token}", preferences.show),
        post("/p/{token}", preferences.act),
        get("/u/{token}", leave.show),
        post("/u/{token}", leave.leave),
        post("/u/{token}/again", leave.again),
        get("/f/{token}", feedback.show),
        post("/f/{token}", feedback.act),
        get("/l/{token}", letter.show),
        post("/hooks/{provider}", hooks.take),
        Route("/healthz", health.healthz, methods=["GET"]),
        get("/readyz", health.readyz),
        get("/metrics", metrics.show),
        *(get(f"/{name}", partial(_asset, name)) for name in ASSETS),
    ]


def _asset(name: str, house: House, _request: Request) -> Response:
    return Response(house.pages.assets[name], headers=FOR_EVER, media_type=ASSETS[name])


def _error(house: House, status: int, **more: str) -> Response:
    heading, *lines = ERRORS.get(status, ERRORS[400])
    return house.pages.show("message", status, more or None, heading=heading, lines=lines)


def _http_error(house: House, _request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(house, error.status_code, **dict(error.headers or {}))


def _digest_error(house: House, request: Request, error: Exception) -> Response:
    if isinstance(error, TokenError):
        heading, *lines = TOKEN
        return house.pages.show("message", 404, heading=heading, lines=lines)
    if isinstance(error, Refused):
        heading, *_ = ERRORS[400]
        return house.pages.show("message", 400, heading=heading, lines=[str(error)])
    if isinstance(error, Broken):
        log.error("%s", error)
        return _error(house, 503, **{"retry-after": "60"})
    log.error("%s", told(request.scope, error))
    return _error(house, 500)
