"""`digest edition ...`: what each person was owed for each window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.globals import open_app
from digest.cli.options import LARGEST, AsJson, Limit, example, noun
from digest.cli.output import as_data, cell, print_json, say, table
from digest.errors import Refused
from digest.model import EditionState

if TYPE_CHECKING:
    from digest.app import App
    from digest.model import Delivery, Edition, EditionPaper

app = noun(
    "What each person was owed for each window.",
    "digest edition list --subscriber ada@example.org",
    "digest edition preview ada@example.org",
)


def row(edition: Edition, delivery: Delivery | None = None) -> dict[str, Any]:
    """An edition in the shape that scripts rely on; `delivery`: its letter's."""
    from digest.store import passes

    return {
        "id": edition.key,
        "subscriber": edition.subscriber,
        "since": edition.window.since,
        "until": edition.window.until,
        "state": edition.state,
        "reason": edition.reason,
        "delivered": passes.of(delivery),
        "papers": [_paper_row(paper) for paper in edition.content.papers],
        "considered": edition.content.considered,
        "near": edition.content.near,
        "over_budget": edition.content.over_budget,
        "unfitted": edition.content.unfitted,
    }


def _paper_row(paper: EditionPaper) -> dict[str, Any]:
    from digest.render import reason_words

    return {
        "id": paper.id,
        "section": paper.section,
        "score": paper.score,
        "reasons": [
            {
                "kind": r.kind,
                "what": r.what,
                "where": r.where,
                "value": r.value,
                "words": reason_words(r),
            }
            for r in paper.reasons
        ],
        "similar": [id_ for id_, _ in paper.similar],
    }


@app.command(
    "list",
    epilog=example("digest edition list", "digest edition list --subscriber ada@example.org"),
)
def list_(
    subscriber: Annotated[str, typer.Option(metavar="EMAIL", help="Only this person's.")] = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Editions, newest first: queued, or skipped and why. And how it stands with their letters."""
    from digest.cli.subscriber import person
    from digest.store import deliveries, editions, passes

    with open_app().db.reading() as tx:
        key = person(tx, subscriber).key if subscriber else None
        found = editions.listed(tx, limit, key)
        letters = deliveries.of_editions(tx, [edition.key for edition in found])
    if as_json:
        return print_json([row(edition, letters.get(edition.key)) for edition in found])
    rows = (
        [
            e.key,
            e.subscriber,
            e.window.since,
            e.window.until,
            e.reason or e.state,
            passes.of(letters.get(e.key)),
            len(e.content.papers),
        ]
        for e in found
    )
    columns = ("id", "subscriber", "since", "until", "state", "letter", "papers")
    return table(columns, rows, "no editions yet; `digest publish` makes those that are due")


@app.command(epilog=example("digest edition show 12"))
def show(
    edition: Annotated[int, typer.Argument(metavar="ID", max=LARGEST, help="The edition's id.")],
    as_json: AsJson = False,
) -> None:
    """One edition: its window, its papers, and why each is there."""
    from digest.store import deliveries, editions, papers

    with open_app().db.reading() as tx:
        found = editions.get(tx, edition)
        if found is None:
            raise Refused(f"no edition {edition}; see `digest edition list`")
        texts = papers.pinned(tx, found.content.pins)
        letter = deliveries.of_editions(tx, [edition]).get(edition)
    if as_json:
        return print_json(row(found, letter))
    _print(found, letter, texts)
    return None


def _print(found: Edition, letter: Delivery | None, texts: Any) -> None:
    from digest.render import why_words

    window = found.window
    say(
        f"Edition {found.key} for {found.subscriber}, {cell(window.since)} to "
        f"{cell(window.until)}: {found.reason or found.state}"
    )
    if letter is not None:
        say(f"Its letter is delivery {letter.key}: {letter.state}")
    for number, paper in enumerate(found.content.papers, 1):
        text = texts.get((paper.id, paper.revision))
        say(f"{number:3}. {text.title if text else paper.id}")
        say(f"     {paper.id} · {paper.section} · {why_words(paper.reasons)}")
        for pin in paper.similar:
            say(f"     + {texts[pin].title if pin in texts else pin[0]} ({pin[0]})")


@app.command("passes", epilog=example("digest edition passes", "digest edition passes --json"))
def passes_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """Passes of publishing, newest first. What each made, and whether its letters have ended."""
    from digest.store import passes

    with open_app().db.reading() as tx:
        found = passes.passes(tx, limit)
    if as_json:
        return print_json(as_data(found))
    rows = (
        [p.made_at, p.editions, p.skipped, p.delivered, ", ".join(_counted(p.letters))]
        for p in found
    )
    return table(("made", "editions", "skipped", "delivered", "letters"), rows, "no editions yet")


def _counted(letters: Mapping[str, int]) -> list[str]:
    return [f"{n} {state}" for state, n in sorted(letters.items())]


@app.command(
    epilog=example(
        "digest edition preview ada@example.org",
        "digest edition preview ada@example.org --format eml",
    )
)
def preview(
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    format_: Annotated[str, typer.Option("--format", help="html, text, eml or json.")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
) -> None:
    """The letter for a window that closed now. Nothing is stored or sent."""
    format_ = "json" if as_json else format_
    if format_ not in {"html", "text", "eml", "json"}:
        raise Refused(f"--format {format_!r}: there are html, text, eml and json")
    app = open_app()
    made = app.preview(email).edition
    if format_ == "json":
        return print_json(row(made))
    if made.state is EditionState.SKIPPED:
        since = f"{made.content.considered} papers since {cell(made.window.since)}"
        return say(f"no letter: {made.reason} ({since}); `digest profile simulate` looks back")
    return say(_letter(app, made, format_))


def _letter(app: App, made: Edition, format_: str) -> str:
    """The letter of an edition that was never stored, in this format."""
    from digest.store import papers

    person = app.subscriber(made.subscriber)
    with app.db.reading() as tx:
        texts = papers.pinned(tx, made.content.pins)
    if format_ == "eml":
        letter = app.renderer.digest(made, _rehearsed(made, app), person, texts)
        return letter.raw.decode("utf-8", "replace")
    parts = app.renderer.digest_parts(made, person, texts)
    return {"text": parts.text, "html": parts.html}[format_]


def _rehearsed(made: Edition, app: App) -> Delivery:
    from digest.model import Delivery, DeliveryState, LetterKind
    from digest.publish import message_id

    return Delivery(
        key=0,
        kind=LetterKind.DIGEST,
        recipient=made.subscriber,
        message_id=message_id(app.press, made),
        state=DeliveryState.QUEUED,
        created_at=made.made_at,
        subscriber_key=made.subscriber_key,
    )
