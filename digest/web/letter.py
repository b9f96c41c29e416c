"""A letter as a page: the papers and reasons that were sent, and nothing of whom they went to.
Readers pass the address of this page on."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from digest.errors import RenderError, TokenError
from digest.links import Purpose
from digest.model import EditionState, EndReason
from digest.store import editions, papers, people
from digest.web.parts import House
from digest.web.shell import LETTER_CSP, log


def show(house: House, request: Request) -> Response:
    """GET /l/{token}"""
    value = house.parts.links.read(Purpose.LETTER, request.path_params["token"])
    if not value.isdigit():
        raise TokenError("this link names no letter")
    headers = {"content-security-policy": LETTER_CSP, "x-robots-tag": "noindex"}
    return HTMLResponse(_html(house, int(value)), headers=headers)


def _html(house: House, key: int) -> str:
    with house.parts.db.reading() as tx:
        edition = editions.get(tx, key)
        person = people.by_key(tx, edition.subscriber_key) if edition else None
        if edition is None or person is None or person.reason == EndReason.ERASED:
            raise HTTPException(410)
        if edition.state is not EditionState.QUEUED:
            raise HTTPException(404)
        texts = papers.pinned(tx, edition.content.pins)
    try:
        return house.parts.renderer.page(edition, person.cadence.zone, texts)
    except RenderError:
        log.error("edition %s cannot be shown; see `digest edition preview`", key)
        raise HTTPException(500) from None
