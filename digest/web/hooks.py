"""Webhooks: what mail providers report of letters they took.

200 means recorded (or known already): then a provider forgets it. 401, 403: not from whom it
should be. 404: this site has set no key for that provider. 503: later, please.
"""

from __future__ import annotations

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from digest.bounces.hooks import Closed, NotAllowed
from digest.bounces.providers import NotUnderstood
from digest.errors import DigestError, Refused, SourceError
from digest.web.parts import House

PATIENCE = 20.0  # seconds for a body to arrive
ASK = {"www-authenticate": 'Basic realm="webhook"'}


async def take(house: House, request: Request) -> Response:
    """POST /hooks/{provider}."""
    hooks, provider = house.parts.hooks, request.path_params["provider"]
    if hooks is None:
        raise HTTPException(404)
    try:
        most = hooks.knock(provider, request.headers, request.query_params)
        body = await _body(request, most)
        posted = await hooks.check(provider, request.headers, request.query_params, body)
    except Closed:
        raise HTTPException(404) from None
    except NotAllowed:
        asked = provider == "postmark" and "authorization" not in request.headers
        raise HTTPException(401 if asked else 403, headers=ASK if asked else None) from None
    except NotUnderstood:
        raise HTTPException(400) from None
    except SourceError as error:  # Amazon's certificate: it posts again
        raise HTTPException(503, headers={"retry-after": "60"}) from error
    except Refused as error:  # our own key, or a library that is not there: no word to strangers
        raise DigestError(str(error)) from None
    new = await run_in_threadpool(hooks.record, provider, posted)
    return PlainTextResponse(f"{new} recorded\n")


async def _body(request: Request, most: int) -> bytes:
    """Raises HTTPException: 413 over so many bytes, 408 over PATIENCE."""
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    except ClientDisconnect:
        raise HTTPException(400) from None
    return bytes(body)
