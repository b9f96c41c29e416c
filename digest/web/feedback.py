"""More or less like this, follow, mute: the letter's links open a page, and its buttons act.

Ratings are kept beside the profile; whom to follow and what to mute stand in it, and so does all
else that its author wrote there.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest import profiles
from digest import subscribe as verbs
from digest.errors import ProfileError, Refused
from digest.links import Purpose
from digest.model import Paper, Profile, Subscriber, SubscriberState
from digest.store import papers, people
from digest.web import confirm, tuning
from digest.web.forms import Form, read_form
from digest.web.front import seen
from digest.web.parts import WEB, House, evidence

VALUES = {"more": 1, "less": -1, "neither": 0}
LONGEST_ID = 300


def show(house: House, request: Request) -> Response:
    """GET /f/{token}?paper=ID&more: asks, and changes nothing."""
    token, query = request.path_params["token"], request.query_params
    person = house.person(Purpose.FEEDBACK, token)
    asked = next((word for word in VALUES if word in query), "")
    return _page(house, token, person, _paper(house, query.get("paper", "")), asked=asked)


async def act(house: House, request: Request) -> Response:
    """POST /f/{token}: `paper`, and one of `say` (more, less, neither), `follow`, `unfollow` (an
    author of it), `mute`, `unmute` (words of it). Twice is as once."""
    form, token = await read_form(request), request.path_params["token"]
    if tuning.ACTS.keys() & form.keys():
        house.not_too_often(request)
        return await run_in_threadpool(_tune, house, token, form, evidence(request))
    return await run_in_threadpool(_rate, house, token, form.get("paper", ""), form.get("say", ""))


def _rate(house: House, token: str, id_: str, say: str) -> Response:
    person = house.person(Purpose.FEEDBACK, token)
    if say not in VALUES:
        raise HTTPException(400)
    paper = _paper(house, id_)
    with house.parts.db.writing() as tx:
        people.rate(tx, person.key, paper.id, VALUES[say], house.parts.clock())
    return _page(house, token, person, paper, said=say)


def _tune(house: House, token: str, form: Mapping[str, str], proof: str) -> Response:
    person = house.person(Purpose.FEEDBACK, token)
    if person.state is SubscriberState.ENDED:
        heading, *lines = confirm.GONE
        return house.pages.show("message", 410, heading=heading, lines=lines)
    paper, name = _paper(house, form.get("paper", "")), min(tuning.ACTS.keys() & form.keys())
    what, parts = tuning.tidy(form[name]), house.parts

    def amended(document: verbs.Document, text: str | None) -> verbs.Document | str | None:
        before = profiles.from_mapping(document)
        after = tuning.ACTS[name](paper, before, what)
        return None if after == before else _written(text, before, after)

    try:
        verbs.amend(parts.db, person.key, amended, parts.clock(), WEB, proof)
    except ProfileError:
        raise Refused(
            "A line of your profile needs mending first: your preferences say which."
        ) from None
    except Refused as error:
        typed = Form({"mute": form.get("mute", "")}, {"mute": str(error)})
        return _page(house, token, person, paper, form=typed)
    return _page(house, token, person, paper, said=name, what=what)


def _written(text: str | None, before: Profile, after: Profile) -> verbs.Document | str:
    """The profile after it, as its author wrote it where they wrote one."""
    return profiles.amend(text, before, after) if text else profiles.to_mapping(after)


def _paper(house: House, id_: str) -> Paper:
    with house.parts.db.reading() as tx:
        found = papers.find(tx, [id_]) if 0 < len(id_) <= LONGEST_ID else {}
    if id_ not in found:
        raise HTTPException(404)
    return found[id_]


def _page(
    house: House,
    token: str,
    person: Subscriber,
    paper: Paper,
    *,
    asked: str = "",
    said: str = "",
    what: str = "",
    form: Form | None = None,
) -> Response:
    form = form or Form()
    return house.pages.show(
        "feedback",
        422 if form.errors else 200,
        token=token,
        id=paper.id,
        paper=seen(paper),
        asked=asked,
        said=said,
        what=what,
        form=form,
        offer=_offer(house, person, paper),
    )


def _offer(house: House, person: Subscriber, paper: Paper) -> tuning.Offer | None:
    """What else can be said of the paper; None to somebody who left, or whose profile cannot be
    read."""
    if person.state is SubscriberState.ENDED:
        return None
    with house.parts.db.reading() as tx:
        document, _ = people.profile(tx, person.key)
    try:
        return tuning.offer(paper, profiles.from_mapping(document))
    except ProfileError:
        return None
