"""Around every page: its headers, and an end for errors that tells visitors and logs no secret."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digest.links import Purpose

log = logging.getLogger("digest.web")

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
LETTER_CSP = (  # a letter's styles stand in its lines, and it runs nothing
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",  # an address that holds a token goes nowhere else
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


PURPOSES = {str(purpose) for purpose in Purpose}
ROOMS = {"", "subscribe", "hooks", "healthz", "readyz", "metrics", "site.css", "site.js"}


class Shell:
    """Adds HEADERS where a page has not its own, takes the site's path off the address, and
    ends what no other handler caught with `oops`."""

    def __init__(
        self, app: ASGIApp, *, root: str, more: Mapping[str, str], oops: Callable[[], Response]
    ) -> None:
        self.app, self._root, self._oops = app, root, oops
        self._headers = {**HEADERS, **more}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope["root_path"] = self._root
        began = False

        async def with_headers(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                self._add(MutableHeaders(scope=message))
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except ClientDisconnect:
            pass
        except Exception as error:
            log.error("%s", told(scope, error))
            if not began:
                await self._oops()(scope, receive, with_headers)

    def _add(self, headers: MutableHeaders) -> None:
        for name, value in self._headers.items():
            headers.setdefault(name, value)


def told(scope: Scope, error: Exception) -> str:
    """What went wrong and where in the code: neither the error's own words, which may quote
    what somebody typed, nor the address, which may hold a token."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames[:-1] if f"{os.sep}digest{os.sep}" in frame.filename]
    stack = [f"{f.filename}:{f.lineno} in {f.name}" for f in (*ours, *frames[-1:])]
    return " < ".join(
        (f"{scope['method']} {place(scope['path'])}: {type(error).__name__}", *stack[::-1])
    )


def place(path: str) -> str:
    """Which room of the site, without what follows: `/u/…`."""
    first, slash, _ = path.strip("/").partition("/")
    return f"/{first}/…" if slash and first in PURPOSES else f"/{first}" if first in ROOMS else "/…"
