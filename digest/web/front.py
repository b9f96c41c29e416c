"""The front page: what is trending today, and the box to ask for letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from digest import profiles
from digest import subscribe as verbs
from digest.errors import ProfileError, Refused
from digest.model import WEEKDAYS, Paper, Profile, Window
from digest.render.paper import Named, page_url
from digest.render.words import day_words, direction, excerpt, listed, plain
from digest.store import papers
from digest.web import wishes
from digest.web.forms import Form, read_form
from digest.web.parts import WEB, House, evidence

SHOWN = 10
TRENDING = timedelta(days=3)  # votes counted within this time make a paper trending
ABSTRACT = 360  # characters
AUTHORS = 4
FRESH = {"cache-control": "public, max-age=60"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A paper as the page shows it: cleaned text and a safe link."""

    title: str
    url: str
    by: str
    excerpt: str
    categories: str
    votes: int
    title_dir: str
    excerpt_dir: str
    why: str = ""
    similar: Sequence[Named] = ()


def show(house: House, request: Request) -> Response:
    """GET /"""
    return page(house, Form(wishes.fresh()), headers=FRESH)


def page(
    house: House, form: Form, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The front page around this form; an opened one where something was typed into it."""
    now = house.parts.clock()
    found, are_trending = _papers(house, now)
    typed = status != 200
    return house.pages.show(
        "front",
        status,
        headers,
        form=form,
        previews=house.parts.rehearse is not None,
        choices=wishes.choices(),
        open=typed,
        guess=not typed,
        papers=[seen(paper) for paper in found],
        trending=are_trending,
        today=f"{WEEKDAYS[now.weekday()].capitalize()} {day_words(now.date())}",
    )


def _papers(house: House, now: datetime) -> tuple[list[Paper], bool]:
    """(what to show, whether it is trending): by votes, else the newest."""
    with house.parts.db.reading() as tx:
        if found := papers.trending(tx, Window(now - TRENDING, now), SHOWN):
            return found, True
        return papers.before(tx, now, SHOWN), False


def seen(paper: Paper) -> Seen:
    title = plain(paper.title) or paper.id
    text = excerpt(plain(paper.abstract), ABSTRACT)
    return Seen(
        title=title,
        url=page_url(paper),
        by=listed([plain(name) for name in paper.authors], AUTHORS),
        excerpt=text,
        categories=listed([plain(name) for name in paper.categories], 3),
        votes=round(paper.signals.get("upvotes", 0)),
        title_dir=direction(title),
        excerpt_dir=direction(text),
    )


# ------------------------------------------------------------------ asking for letters


async def subscribe(house: House, request: Request) -> Response:
    """POST /subscribe: the same answer whether or not the address is known here."""
    values = await read_form(request)
    house.not_too_often(request)
    return await run_in_threadpool(_subscribe, house, values, evidence(request))


def _subscribe(house: House, values: Mapping[str, str], proof: str) -> Response:
    form, parts = Form({**wishes.fresh(), **values}), house.parts
    email, profile = _address(form), wanted(form)
    if form.errors:
        return page(house, form, 422)
    if not values.get("website"):  # what only a machine fills in
        text = profiles.dump(profile)
        verbs.request(parts.db, parts.post, email, text, parts.clock(), WEB, proof)
    return house.pages.show("asked", email=email)


def _address(form: Form) -> str:
    """The address as it is written; its fault is noted at its field."""
    try:
        return verbs.normalised(form.values.get("email", ""))
    except Refused as error:
        form.errors["email"] = str(error)
        return ""


def wanted(form: Form) -> Profile:
    """What the form asks for; its faults are noted at their fields."""
    document = wishes.apply(form.values, profiles.to_mapping(Profile()))
    try:
        profile = profiles.from_mapping(document)
    except ProfileError as error:
        form.errors.update(wishes.faults_by_field(error.faults, form.values))
        return Profile()
    if not (profile.interests or profile.follow_authors):
        return replace(profile, trending=profile.budget)  # all that a letter can then hold
    return profile
