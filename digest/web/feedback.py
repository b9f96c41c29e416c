"""More like this, less like this: the letter's links open a page, and its button acts."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest.links import Purpose
from digest.model import Paper
from digest.store import papers, people
from digest.web.forms import read_form
from digest.web.front import seen
from digest.web.parts import House

VALUES = {"more": 1, "less": -1, "neither": 0}
LONGEST_ID = 300


def show(house: House, request: Request) -> Response:
    """GET /f/{token}?paper=ID&more: asks, and changes nothing."""
    token, query = request.path_params["token"], request.query_params
    house.person(Purpose.FEEDBACK, token)
    asked = next((word for word in VALUES if word in query), "")
    return _page(house, token, _paper(house, query.get("paper", "")), asked=asked)


async def rate(house: House, request: Request) -> Response:
    """POST /f/{token}: `paper` and `say` (more, less, neither). Twice is as once."""
    form = await read_form(request)
    token = request.path_params["token"]
    return await run_in_threadpool(_rate, house, token, form.get("paper", ""), form.get("say", ""))


def _rate(house: House, token: str, id_: str, say: str) -> Response:
    person = house.person(Purpose.FEEDBACK, token)
    if say not in VALUES:
        raise HTTPException(400)
    paper = _paper(house, id_)
    with house.parts.db.writing() as tx:
        people.rate(tx, person.key, paper.id, VALUES[say], house.parts.clock())
    return _page(house, token, paper, said=say)


def _paper(house: House, id_: str) -> Paper:
    with house.parts.db.reading() as tx:
        found = papers.find(tx, [id_]) if 0 < len(id_) <= LONGEST_ID else {}
    if id_ not in found:
        raise HTTPException(404)
    return found[id_]


def _page(house: House, token: str, paper: Paper, *, asked: str = "", said: str = "") -> Response:
    return house.pages.show(
        "feedback", token=token, id=paper.id, paper=seen(paper), asked=asked, said=said
    )
