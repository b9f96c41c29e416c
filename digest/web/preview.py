"""What somebody would have got, before they subscribe. Nothing is kept of who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest.model import Edition, EditionPaper, Paper, Pin
from digest.render.paper import named
from digest.render.words import counted, cut, near_words, period_words, plain, span_word, why_words
from digest.store import papers
from digest.web import front, wishes
from digest.web.forms import Form, read_form
from digest.web.parts import House

LONGEST_HEADING = 80
ZONE = "UTC"  # rehearsed windows are the same for everybody
Texts = Mapping[Pin, Paper]


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that was never sent. `sections`: (heading, papers); `why_none`: "" where there
    are papers."""

    period: str
    count: int
    why_none: str
    sections: Sequence[tuple[str, Sequence[front.Seen]]]
    near: str
    notices: Sequence[str]


async def preview(house: House, request: Request) -> Response:
    """POST /preview: the form of the front page, looked at and not kept."""
    values = await read_form(request)
    house.not_too_often(request)
    return await run_in_threadpool(_preview, house, values)


def _preview(house: House, values: Mapping[str, str]) -> Response:
    form, rehearse = Form({**wishes.fresh(), **values}), house.parts.rehearse
    if rehearse is None:
        raise HTTPException(404)
    profile = front.wanted(form)
    if form.errors:
        return front.page(house, form, 422)
    made = rehearse(profile, house.parts.clock())
    with house.parts.db.reading() as tx:
        texts = papers.pinned(tx, {pin for edition in made for pin in edition.content.pins})
    return house.pages.show(
        "preview",
        form=form,
        previews=True,
        open=True,
        guess=False,
        choices=wishes.choices(),
        span=span_word(made[-1].window),
        letters=[_letter(edition, texts) for edition in reversed(made)],
    )


def _letter(edition: Edition, texts: Texts) -> Letter:
    content = edition.content
    shown: dict[str, list[front.Seen]] = {}
    for entry in content.papers:
        if (paper := texts.get((entry.id, entry.revision))) is not None:
            heading = cut(plain(entry.section), LONGEST_HEADING)
            shown.setdefault(heading, []).append(_seen(entry, paper, texts))
    return Letter(
        period=period_words(edition.window, ZONE),
        count=len(content.papers),
        why_none="" if shown else _why_none(edition),
        sections=list(shown.items()),
        near=near_words(content),
        notices=content.notices,
    )


def _seen(entry: EditionPaper, paper: Paper, texts: Texts) -> front.Seen:
    """As on the front page, with the reasons in place of the votes."""
    similar = tuple(named(texts[pin]) for pin in entry.similar if pin in texts)
    return replace(front.seen(paper), votes=0, why=why_words(entry.reasons), similar=similar)


def _why_none(edition: Edition) -> str:
    considered = edition.content.considered
    if not considered:
        return "No papers are known here from that time."
    return f"None of {counted(considered, 'new paper')} came close enough, so no letter."
