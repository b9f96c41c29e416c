"""`digest paper ...`: what has been announced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.globals import open_app
from digest.cli.options import AsJson, Limit, example, noun
from digest.cli.output import note, print_json, say, table
from digest.errors import Refused

if TYPE_CHECKING:
    from digest.model import Paper

app = noun(
    "What has been announced.",
    "digest paper list",
    "digest paper search 'ti:\"graph neural*\" AND NOT survey'",
)


def row(paper: Paper) -> dict[str, Any]:
    """A paper in the shape that scripts rely on; what is imported can be exported."""
    return {
        "id": paper.id,
        "title": paper.title,
        "abstract": paper.abstract,
        "authors": list(paper.authors),
        "categories": list(paper.categories),
        "date": paper.published,
        "links": dict(paper.links),
        "signals": dict(paper.signals),
        "other_ids": list(paper.other_ids),
        "first_seen": paper.first_seen,
        "revision": paper.revision,
    }


def _show(papers: list[Paper], as_json: bool, empty: str) -> None:
    if as_json:
        return print_json([row(paper) for paper in papers])
    rows = ([p.id, p.first_seen, p.signals.get("upvotes"), p.title] for p in papers)
    return table(("id", "first seen", "votes", "title"), rows, empty)


@app.command("list", epilog=example("digest paper list --limit 10", "digest paper list --json"))
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """Papers, newest first."""
    from digest.store import papers

    with open_app().db.reading() as tx:
        found = papers.listed(tx, limit)
    _show(found, as_json, "no papers yet; fetch some with `digest ingest`")


@app.command(epilog=example("digest paper show arxiv:2410.16794"))
def show(
    paper: Annotated[str, typer.Argument(metavar="ID", help="arXiv number, DOI or address.")],
    as_json: AsJson = False,
) -> None:
    """One paper: text, ids, revisions, where it was listed, its votes."""
    from digest.store import papers

    with open_app().db.reading() as tx:
        found = find(tx, paper)
        history = papers.history(tx, found.key)
    data = row(found) | {
        "revisions": history.revisions,
        "listings": history.listings,
        "signal_history": history.signals,
        "ids": history.ids,
    }
    if as_json:
        return print_json(data)
    for line in _card(found):
        say(line)
    table(("revision", "version", "source", "seen"), _revision_rows(history), "")
    return None


def _card(paper: Paper) -> list[str]:
    return [
        paper.title,
        ", ".join(paper.authors),
        " · ".join([paper.id, *paper.other_ids, *paper.categories]),
        *(f"{name}: {value:g}" for name, value in paper.signals.items()),
        "",
        paper.abstract,
        "",
    ]


def _revision_rows(history: Any) -> list[list[Any]]:
    return [[r["revision"], r["version"], r["source"], r["seen_at"]] for r in history.revisions]


def find(tx: Any, text: str) -> Paper:
    """The paper that a person means by an id or an address. Raises Refused for an unknown one."""
    from digest import identity
    from digest.store import papers

    id_ = identity.parse(text) or text
    found = papers.find(tx, [id_])
    if not found:
        raise Refused(f"no paper {text} here; look for it with `digest paper search`")
    return found[id_]


@app.command(
    epilog=example(
        "digest paper search 'ti:\"graph neural*\" AND NOT survey'", "digest paper search diffusion"
    )
)
def search(
    query: Annotated[str, typer.Argument(help="A query as in a profile.")],
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Papers that meet a boolean query, newest first."""
    from itertools import islice

    from digest.matching.lexical import matching_query
    from digest.profiles import QueryError
    from digest.store import papers

    try:
        with open_app().db.reading() as tx:
            hits = matching_query(query, papers.walk(tx))
            found = sorted(
                hits, key=lambda p: (p.first_seen is not None, p.first_seen, p.id), reverse=True
            )
    except QueryError as error:
        raise Refused(f"query {query!r}: {error}") from None
    _show(list(islice(found, limit or None)), as_json, "no paper meets that query")


@app.command("import", epilog=example("digest paper import papers.jsonl"))
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help="One paper a line; - reads stdin.")
    ],
    as_json: AsJson = False,
) -> int:
    """Read papers from JSON lines. Only `title` is required; bad lines are listed."""
    from digest import ingest
    from digest.cli.files import opened, text_lines

    with opened(file) as source:
        site = open_app()
        report = ingest.import_papers(site.db, text_lines(source), site.clock())
    if as_json:
        print_json(report)
    else:
        say(
            f"{report.new} new, {report.known} known, {report.revised} revised, "
            f"{len(report.bad)} bad"
        )
    for line, reason in report.bad:
        note(f"{file}:{line}: {reason}")
    return 1 if report.bad else 0


@app.command(epilog=example("digest paper trending --days 7"))
def trending(
    days: Annotated[
        int, typer.Option(min=1, max=36_500, help="Votes counted in the last so many days.")
    ] = 7,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """The papers with the most votes."""
    from datetime import timedelta

    from digest.model import Window
    from digest.store import papers

    site = open_app()
    now = site.clock()
    window = Window(now - timedelta(days=days), now + timedelta(seconds=1))
    with site.db.reading() as tx:
        found = papers.trending(tx, window, limit)
    _show(found, as_json, "no votes counted yet; a source of kind huggingface brings them")
