"""Is the process alive, and could it do its work? For load balancers, systemd and people."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from digest.errors import DigestError
from digest.web.parts import House

log = logging.getLogger("digest.web")


async def healthz(_request: Request) -> Response:
    """The process answers; nothing else is asked."""
    return PlainTextResponse("ok\n")


def readyz(house: House, _request: Request) -> Response:
    """200 where every check is well, else 503; `{"ready": bool, "checks": {name: "ok" | what}}`."""
    checks: dict[str, Callable[[], str]] = {
        "database": lambda: _database(house),
        "templates": house.pages.fault,
        "secret": lambda: _secret(house),
        **house.parts.checks,
    }
    found = {name: _asked(name, check) for name, check in checks.items()}
    ready = all(said == "ok" for said in found.values())
    return JSONResponse({"ready": ready, "checks": found}, 200 if ready else 503)


def _asked(name: str, check: Callable[[], str]) -> str:
    """ "ok", or what is wrong; the details are for the log, since anyone may read the page."""
    try:
        wrong = check()
    except DigestError as error:
        log.error("not ready: %s: %s", name, error)
        return "failed; see the log"
    except Exception as error:
        log.error("not ready: %s: %s", name, type(error).__name__)
        return "failed; see the log"
    return wrong or "ok"


def _database(house: House) -> str:
    in_force, newest = house.parts.db.current()
    return "" if in_force == newest else "not up to date: run `digest db upgrade`"


def _secret(house: House) -> str:
    from digest.links import Purpose

    token = house.parts.links.token(Purpose.UNSUBSCRIBE, 0)
    return "" if house.parts.links.read(Purpose.UNSUBSCRIBE, token) == "0" else "cannot sign links"
