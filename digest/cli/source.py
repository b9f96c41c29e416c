"""`digest source ...`: the places papers are announced, and how well they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from digest.cli.globals import moment, open_app
from digest.cli.options import AsJson, Limit, example, noun
from digest.cli.output import note, print_json, progress, say, table
from digest.errors import Refused

app = noun(
    "Where papers are announced.",
    "digest source list",
    "digest source check arxiv-ml",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The source's name.")]


FETCHES = 60  # in a source's history
DAYS = timedelta(days=62)  # of which the bad ones are listed
LISTS = {"categories", "subjects"}  # options that hold several values, commas between


@app.command("list", epilog=example("digest source list", "digest source list --json"))
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """Every source, its last verdict, and how many days were bad."""
    from digest.store import sources

    site = open_app()
    with site.db.reading() as tx:
        known = sources.health(tx)
        fetches = {name: sources.history(tx, name, FETCHES) for name in known}
        bad = {name: sources.bad_days(tx, name, site.clock() - DAYS) for name in known}
    rows = [
        _row(spec, known.get(spec.name), fetches.get(spec.name, []), bad.get(spec.name, []))
        for spec in site.specs()[: limit or None]
    ]
    if as_json:
        return print_json(rows)
    shown = ("name", "kind", "verdict", "checked_at", "healthy_at", "bad_days", "message")
    counted = ({**row, "bad_days": len(row["bad_days"])} for row in rows)
    return table(shown, ([row[key] for key in shown] for row in counted), _NO_SOURCES)


_NO_SOURCES = "no sources yet; add one with `digest source add NAME --kind feed --option url=...`"


def _row(spec: Any, health: Any, fetches: Sequence[Any], bad_days: Sequence[Any]) -> dict[str, Any]:
    return {
        "name": spec.name,
        "kind": spec.kind,
        "verdict": health and health.verdict,
        "message": health.message if health else "",
        "checked_at": health and health.checked_at,
        "healthy_at": health and health.healthy_at,
        "options": dict(spec.options),
        "bad_days": bad_days,
        "history": [
            {
                "at": fetch.at,
                "verdict": fetch.report.verdict,
                "fetched": fetch.report.fetched,
                "new": fetch.report.new,
                "backfilled": fetch.report.backfilled,
                "message": fetch.report.message,
            }
            for fetch in fetches
        ],
    }


@app.command(epilog=example("digest source check arxiv-ml"))
def check(name: Name, as_json: AsJson = False) -> int:
    """Ask a source now and say what came. Nothing is stored."""
    import asyncio

    report = asyncio.run(_ask(name))
    if as_json:
        print_json(report)
    else:
        say(f"{name}: {report['verdict']}: {report['fetched']} papers, {report['unknown']} unknown")
        if report["message"]:
            say(report["message"])
        for title in report["sample"]:
            say(f"  {title}")
    return 0 if report["healthy"] else 1


async def _ask(name: str) -> dict[str, Any]:
    from digest.ingest import known_in
    from digest.sources.health import of_what_was_read
    from digest.store import sources

    site = open_app()
    async with site.web() as web:
        [source] = site.sources(web, [name])
        with site.db.reading() as tx:
            cursor = sources.cursor(tx, name)
        fresh = {key: value for key, value in cursor.items() if key not in {"etag", "modified"}}
        told = await source.fetch(fresh, known_in(site.db), site.clock())
    said = of_what_was_read(told, fresh)
    ids = [item.ids[0] for item in said.listings]
    return {
        "source": name,
        "verdict": said.verdict,
        "healthy": said.verdict.healthy,
        "fetched": len(said.listings),
        "unknown": len(set(ids) - known_in(site.db)(ids)),
        "quarantined": len(said.bad),
        "message": said.message,
        "sample": [item.title for item in said.listings[:5]],
    }


@app.command(
    epilog=example(
        "digest source add nature --kind feed --option url=https://www.nature.com/nature.rss",
        "digest source add arxiv-cv --kind arxiv --option categories=cs.CV,cs.GR",
    )
)
def add(
    name: Name,
    kind: Annotated[str, typer.Option(help="feed, arxiv, huggingface, file, or a plug-in's.")],
    option: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE", help="The kind's own keys; repeat.")
    ] = [],  # noqa: B006 - Typer reads the default
) -> None:
    """Add a source beside those of the configuration."""
    from digest.app import build_source, source_spec
    from digest.store import sources

    site = open_app()
    options = dict(_option(text) for text in option)
    if any(spec.name == name for spec in site.specs()):
        raise Refused(f"there is a source {name} already; remove it first")
    build_source(source_spec(name, kind, options), site.web())
    with site.db.writing() as tx:
        sources.add(tx, name, kind, options)
    say(f"added {name}; try it with `digest source check {name}`")


def _option(text: str) -> tuple[str, Any]:
    """(key, value) of `key=value`; whole numbers and lists become what a file would give."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Refused(f"--option {text!r} must be KEY=VALUE, as in url=https://example.org/feed")
    if key in LISTS:
        return key, [part.strip() for part in value.split(",")]
    return key, int(value) if value.isascii() and value.isdigit() else value


@app.command(epilog=example("digest source remove nature"))
def remove(name: Name) -> None:
    """Forget a source that was added by command; its papers stay."""
    from digest.store import sources

    site = open_app()
    with site.db.writing() as tx:
        gone = sources.remove(tx, name)
    if not gone:
        inside = any(spec.name == name for spec in site.specs())
        where = "it stands in the configuration; take it out there" if inside else "no such source"
        raise Refused(f"{name}: {where}")
    say(f"removed {name}")


@app.command(epilog=example("digest source backfill arxiv-ml --since 2026-02-01"))
def backfill(
    name: Name,
    since: Annotated[str, typer.Option(metavar="DATE", help="The first day to fetch.")],
    until: Annotated[str, typer.Option(metavar="DATE", help="The last day; today.")] = "",
    as_json: AsJson = False,
) -> int:
    """Fetch everything announced since a day. What is known stays as it is."""
    import asyncio

    report = asyncio.run(_fetch_past(name, since, until))
    if as_json:
        print_json(report)
    else:
        say(f"{name}: {report.verdict}: {report.backfilled} papers, {report.new} new")
        if report.message:
            note(report.message)
    return 0 if report.verdict.healthy else 1


async def _fetch_past(name: str, since: str, until: str) -> Any:
    from digest import ingest

    site = open_app()
    last = moment(until, "--until").date() if until else site.clock().date()
    first = moment(since, "--since").date()
    if first > last:
        raise Refused(f"--since {first} lies after {last}")
    async with site.web() as web, ingest.patient(site.db, web, site.clock()):
        [source] = site.sources(web, [name])
        with progress(f"{name}: {first} to {last}") as tell:
            return await ingest.backfill(
                site.db, source, first, last, site.clock(), lambda so_far: tell(so_far.fetched, 0)
            )


@app.command(epilog=example("digest source quarantine", "digest source quarantine --retry"))
def quarantine(
    source: Annotated[str, typer.Option(help="Only this source's.")] = "",
    retry: Annotated[
        bool, typer.Option("--retry", help="Read them again; store what can be read now.")
    ] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> int | None:
    """Entries that could not be read, with their reasons and bytes."""
    from digest.store import sources

    if retry:
        return _retry(source, as_json)
    with open_app().db.reading() as tx:
        rows = sources.quarantined(tx, source or None, limit)
    if as_json:
        print_json(rows)
    else:
        shown = ([row.key, row.source, row.at, row.reason] for row in rows)
        table(("id", "source", "at", "reason"), shown, "nothing in quarantine")
    return None


def _orphans(site: Any) -> list[tuple[int, str, str]]:
    """Entries of sources that are gone: nobody is left to read them."""
    from digest.store import sources

    names = {spec.name for spec in site.specs()}
    with site.db.reading() as tx:
        kept = sources.quarantined(tx)
    why = "no source has this name any more; add it again to have it read"
    return [(entry.key, entry.source, why) for entry in kept if entry.source not in names]


def _retry(name: str, as_json: bool) -> int:
    """0 where nothing is left in quarantine, else 1."""
    from digest import ingest

    site = open_app()
    asked = site.sources(site.web(), [name] if name else ())
    done = [ingest.retry(site.db, source, site.clock()) for source in asked]
    titles = [title for each in done for title in each.read]
    still = [row for each in done for row in each.still]
    if not name:
        still += _orphans(site)
    if as_json:
        rows = [{"id": key, "source": of, "reason": why} for key, of, why in still]
        print_json({"read": titles, "new": sum(each.new for each in done), "still": rows})
    else:
        say(f"{len(titles)} read now, {sum(each.new for each in done)} new papers")
        table(("id", "source", "reason"), still, "nothing is left in quarantine")
    return 1 if still else 0
