"""`digest profile ...`: what each person wants."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.files import named, profile_text
from digest.cli.globals import open_app
from digest.cli.options import AsJson, example, noun
from digest.cli.output import note, print_json, say, table
from digest.errors import Refused

if TYPE_CHECKING:
    from digest.app import App
    from digest.model import Edition, Paper, Subscriber

Document = dict[str, Any]
"""A profile file as plain data."""

app = noun(
    "What each person wants.",
    "digest profile example > ada.toml",
    "digest profile lint ada.toml",
)
Email = Annotated[str, typer.Argument(metavar="EMAIL")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A profile file.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Papers' ids or addresses.")]


@app.command(epilog=example("digest profile show ada@example.org > ada.toml"))
def show(email: Email, as_json: AsJson = False) -> None:
    """A person's profile, as a file that `set` takes back."""
    from digest import profiles
    from digest.store import people

    site = open_app()
    key = site.subscriber(email).key
    with site.db.reading() as tx:
        document, text = people.profile(tx, key)
    if as_json:
        return print_json(document)
    return say((text or profiles.dump(profiles.from_mapping(document))).rstrip("\n"))


@app.command("set", epilog=example("digest profile set ada@example.org ada.toml"))
def set_(email: Email, file: File) -> None:
    """Give a person another profile. The open window stays open where it was."""
    from digest import subscribe

    site = open_app()
    person = site.subscriber(email)
    with named(file):
        subscribe.change(site.db, person.key, profile_text(file), site.clock(), door="cli")
    say(f"{person.email} has a new profile; see `digest edition preview {person.email}`")


@app.command(epilog=example("digest profile lint ada.toml"))
def lint(file: File, as_json: AsJson = False) -> int:
    """Check a profile file. Names line and column of every fault, and terms that match too much."""
    from digest import profiles

    text = profile_text(file)
    findings = profiles.lint(text, *_here(profiles.seeds_of(text)))
    wrong = any(finding.level == "error" for finding in findings)
    if as_json:
        print_json(findings)
        return 2 if wrong else 0
    for finding in findings:
        say(f"{file}:{finding.line}:{finding.column}: {finding.level}: {finding.message}")
    if not findings:
        say(f"{file} is fine")
    return 2 if wrong else 0


def _here(seeds: Collection[str]) -> tuple[Sequence[Paper], Collection[str]]:
    """(the papers of the last four weeks, which of the seeds are not stored); nothing where there
    is no site here."""
    from digest.errors import DigestError
    from digest.model import Window
    from digest.store import papers

    try:
        site = open_app(looking=True)
        if not site.has_database():
            return (), ()
        now = site.clock()
        with site.db.reading() as tx:
            recent = papers.first_seen_in(tx, Window(now - timedelta(weeks=4), now))
            return recent, set(seeds) - papers.known(tx, seeds)
    except DigestError as error:
        note(f"not compared with papers: {error}")
        return (), ()


@app.command("example", epilog=example("digest profile example > ada.toml"))
def example_() -> None:
    """A profile file with everything in it, to begin with."""
    from digest import profiles

    say(profiles.EXAMPLE.rstrip("\n"))


@app.command(
    "import",
    epilog=example(
        "digest profile import ada@example.org library.bib",
        "digest profile import ada@example.org zotero.json --interest Thesis",
    ),
)
def import_(
    email: Email,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="BibTeX, RIS, CSL-JSON, OPML, ORCID works, Semantic Scholar; - reads stdin.",
        ),
    ],
    interest: Annotated[str, typer.Option(help="What to call it; else by the file's name.")] = "",
    as_json: AsJson = False,
) -> int:
    """Read a library as seeds, and people to follow. The same file twice changes nothing."""
    from digest.cli.library import as_row, library, take, tell
    from digest.profiles.imports import called

    found = library(file)
    taken = take(
        open_app(),
        email,
        found,
        interest.strip() or called(file.name if file.name != "-" else "stdin"),
    )
    if as_json:
        print_json(as_row(taken))
    else:
        tell(file, taken)
    return 1 if found.damaged else 0


@app.command(
    epilog=example(
        "digest profile simulate ada.toml --weeks 4",
        "digest profile simulate ada@example.org --letters | less",
        "digest profile simulate ada.toml --letters --format html > letters.html",
    )
)
def simulate(
    who: Annotated[str, typer.Argument(metavar="FILE|EMAIL")],
    weeks: Annotated[int, typer.Option(min=1, max=52, help="How far to look back.")] = 4,
    letters: Annotated[bool, typer.Option("--letters", help="The letters too, whole.")] = False,
    format_: Annotated[
        str, typer.Option("--format", help="Of the letters: text or html.")
    ] = "text",
    as_json: AsJson = False,
) -> None:
    """What a profile would have got in the last weeks. Nothing is stored or sent."""
    if format_ not in {"text", "html"}:
        raise Refused(f"--format {format_!r}: there are text and html")
    site = open_app()
    document, person = _wanted(site, who)
    made = site.simulate(document, weeks, person)
    if as_json:
        from digest.cli.edition import row

        return print_json([row(edition) for edition in made])
    if not letters:
        return _counts(made)
    if format_ == "text":
        _counts(made)
    for edition in made:
        if edition.content.papers or edition.reason is None:
            say(_letter(site, edition, document, person, format_))
    return None


def _counts(made: Sequence[Edition]) -> None:
    rows = (
        [
            e.window.since,
            e.window.until,
            e.reason or "",
            len(e.content.papers),
            e.content.considered,
        ]
        for e in made
    )
    columns = ("since", "until", "skipped", "papers", "of")
    return table(columns, rows, "no window closed in these weeks")


def _letter(
    site: App, edition: Edition, document: Document, person: Subscriber | None, format_: str
) -> str:
    """A letter that was never sent; the links of a file's go to nobody's pages."""
    from digest import profiles
    from digest.model import Subscriber, SubscriberState
    from digest.store import papers

    email, cadence = edition.subscriber, profiles.from_mapping(document).cadence
    nobody = Subscriber(0, email, SubscriberState.ACTIVE, cadence, edition.made_at)
    with site.db.reading() as tx:
        texts = papers.pinned(tx, set(edition.content.pins))
    parts = site.renderer.digest_parts(edition, person or nobody, texts)
    return parts.html if format_ == "html" else parts.text


def _wanted(site: App, who: str) -> tuple[Document, Subscriber | None]:
    """The profile of a file, or of a person."""
    from digest import profiles
    from digest.store import people

    if Path(who).is_file():
        with named(Path(who)):
            return profiles.to_mapping(profiles.parse(profile_text(Path(who)))), None
    if "@" not in who:
        raise Refused(f"no file {who}, and no address")
    person = site.subscriber(who)
    with site.db.reading() as tx:
        return people.profile(tx, person.key)[0], person


@app.command(epilog=example("digest profile like ada@example.org arxiv:2410.16794"))
def like(email: Email, papers: Ids) -> int:
    """More like these, from the next letter on."""
    return _rate(email, papers, 1)


@app.command(epilog=example("digest profile dislike ada@example.org arxiv:2410.16794"))
def dislike(email: Email, papers: Ids) -> int:
    """Less like these, from the next letter on."""
    return _rate(email, papers, -1)


def _rate(email: str, ids: list[str], value: int) -> int:
    from digest import identity
    from digest.store import people

    site = open_app()
    key = site.subscriber(email).key
    with site.db.writing() as tx:
        done = [
            people.rate(tx, key, identity.parse(text) or text, value, site.clock()) for text in ids
        ]
    say(f"{sum(done)} noted; they count from the next letter on")
    for text, ok in zip(ids, done, strict=True):
        if not ok:
            note(f"no paper {text} here; look for it with `digest paper search`")
    return 0 if all(done) else 1
