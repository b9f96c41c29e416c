"""`digest subscriber ...`: people and their lives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.globals import moment, open_app
from digest.cli.options import AsJson, Limit, example, noun
from digest.cli.output import agreed, cell, note, print_json, progress, say, table
from digest.errors import Refused

if TYPE_CHECKING:
    from digest.model import Subscriber

app = noun(
    "People who get letters, or want to.",
    "digest subscriber list",
    "digest subscriber why ada@example.org",
)
Email = Annotated[str, typer.Argument(metavar="EMAIL")]
DOOR = "cli"


def person(tx: Any, email: str) -> Subscriber:
    """The person with this address. Raises Refused for an unknown one."""
    from digest.store import people
    from digest.subscribe import normalised

    found = people.get(tx, normalised(email))
    if found is None:
        raise Refused(f"no subscriber {email}; see `digest subscriber list`")
    return found


def row(subscriber: Subscriber) -> dict[str, Any]:
    """A subscriber in the shape that scripts rely on."""
    from digest.cadence import describe

    return {
        "id": subscriber.key,
        "email": subscriber.email,
        "state": subscriber.state,
        "reason": subscriber.reason,
        "cadence": describe(subscriber.cadence),
        "created_at": subscriber.created_at,
        "confirmed_at": subscriber.confirmed_at,
        "paused_until": subscriber.paused_until,
        "window_since": subscriber.window_since,
        "next_due": subscriber.next_due,
    }


@app.command(
    epilog=example(
        "digest subscriber add ada@example.org",
        "digest subscriber add ada@example.org --profile ada.toml --confirmed",
    )
)
def add(
    email: Email,
    profile: Annotated[Path | None, typer.Option(metavar="FILE", help="A profile file.")] = None,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="They agreed already; no confirmation is sent.")
    ] = False,
    consent: Annotated[str, typer.Option(help="Where their consent is from.")] = "told the admin",
) -> None:
    """Add a person. Without --confirmed a letter asks them to confirm first."""
    from digest import subscribe

    site = open_app()
    now = site.clock()
    with _wish(profile) as wanted:
        if confirmed:
            made = subscribe.add_confirmed(site.db, email, wanted, now, door=DOOR, evidence=consent)
            said = f" is active; the first letter is due {cell(made.next_due)}"
        else:
            asked = subscribe.request(site.db, site.post, email, wanted, now, DOOR, consent)
            made, said = asked.subscriber, f": {subscribe.said(asked)}"
    say(made.email + said)


@contextmanager
def _wish(file: Path | None) -> Iterator[str]:
    """The text of a profile file, whose faults name it; all defaults where there is none."""
    from digest.cli.files import named, profile_text

    if file is None:
        yield ""
        return
    with named(file):
        yield profile_text(file)


@app.command("list", epilog=example("digest subscriber list --json"))
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """Everybody, in order of arrival."""
    from digest.store import people

    with open_app().db.reading() as tx:
        found = people.listed(tx, limit)
    if as_json:
        return print_json([row(one) for one in found])
    rows = ([s.key, s.email, s.reason or s.state, row(s)["cadence"], s.next_due] for s in found)
    columns = ("id", "email", "state", "cadence", "next letter")
    return table(columns, rows, "nobody yet; add people with `digest subscriber add EMAIL`")


@app.command(epilog=example("digest subscriber show ada@example.org"))
def show(email: Email, as_json: AsJson = False) -> None:
    """One person: state, cadence, consent record, latest editions."""
    from digest.store import editions, people

    with open_app().db.reading() as tx:
        found = person(tx, email)
        record = people.consents(tx, found.key)
        latest = editions.listed(tx, 5, found.key)
    if as_json:
        return print_json(row(found) | {"consents": record, "editions": [e.key for e in latest]})
    for key, value in row(found).items():
        say(f"{key:14} {cell(value)}")
    table(("at", "what", "by", "evidence"), ([c.at, c.act, c.door, c.evidence] for c in record), "")
    return None


@app.command(epilog=example("digest subscriber why ada@example.org"))
def why(email: Email, limit: Limit = 10, as_json: AsJson = False) -> None:
    """What this person got lately and did not get, and why."""
    from digest.store import deliveries, editions, people

    site = open_app()
    with site.db.reading() as tx:
        found = person(tx, email)
        made = editions.listed(tx, limit, found.key)
        letters = deliveries.of_editions(tx, [edition.key for edition in made])
        silent = people.suppressed(tx, [found.email]).get(found.email)
    rows = [_because(edition, letters.get(edition.key)) for edition in made]
    if as_json:
        return print_json(row(found) | {"suppressed": silent, "editions": rows})
    say(_standing(found, silent, site.clock()))
    columns = ("edition", "until", "what", "why")
    return table(columns, ([r[key] for key in columns] for r in rows), "no window has closed yet")


def _because(edition: Any, letter: Any) -> dict[str, Any]:
    what = letter.state if letter else edition.state
    return {
        "edition": edition.key,
        "until": edition.window.until,
        "what": what,
        "why": (letter.reason or letter.text) if letter else edition.reason,
        "papers": len(edition.content.papers),
    }


def _standing(person: Subscriber, silent: Any, now: Any) -> str:
    """Where a person stands, in a sentence."""
    if silent:
        return f"{person.email} takes no mail since {silent.at:%Y-%m-%d}: {silent.reason}"
    if person.paused_until and person.paused_until > now:
        return f"{person.email} is paused until {cell(person.paused_until)}"
    if person.next_due is None:
        return f"{person.email} is {person.state}: {person.reason or 'not confirmed yet'}"
    return f"{person.email} is {person.state}; the next letter is due {cell(person.next_due)}"


@app.command(epilog=example("digest subscriber pause ada@example.org --until 2026-09-01"))
def pause(
    email: Email,
    until: Annotated[str, typer.Option(metavar="DATE", help="A day where they live, or a time.")],
) -> None:
    """No letter before a day. What was announced meanwhile comes in one letter after it."""
    from digest import subscribe
    from digest.cadence import zone

    site = open_app()
    person = site.subscriber(email)
    there = moment(until, "--until", zone(person.cadence.zone))
    paused = subscribe.pause(site.db, person.key, there, site.clock(), door=DOOR)
    say(f"{paused.email} gets no letter before {cell(there)}, then again as ever")


@app.command(epilog=example("digest subscriber resume ada@example.org"))
def resume(email: Email) -> None:
    """End a pause now."""
    from digest import subscribe

    site = open_app()
    subscribe.resume(site.db, site.subscriber(email).key, site.clock(), door=DOOR)
    say(f"{email} is active")


@app.command(epilog=example("digest subscriber end ada@example.org"))
def end(email: Email) -> None:
    """Send nothing any more, from now on."""
    from digest import subscribe
    from digest.model import EndReason

    site = open_app()
    subscribe.end(site.db, site.subscriber(email).key, EndReason.ADMIN, site.clock(), door=DOOR)
    say(f"{email} gets nothing any more")


@app.command(epilog=example("digest subscriber export ada@example.org > ada.json"))
def export(
    email: Email,
    as_json: Annotated[bool, typer.Option("--json", help="As it is anyway.")] = True,
) -> None:
    """Everything that is known of a person, as JSON."""
    from digest import subscribe

    print_json(subscribe.export(open_app().db, email))


@app.command(epilog=example("digest subscriber erase ada@example.org --yes"))
def erase(
    email: Email, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Forget a person: address, profile, ratings. Counts stay."""
    from digest import subscribe

    site = open_app()
    key = site.subscriber(email).key
    if not yes and not agreed(f"Forget {email} for good?"):
        raise Refused("nothing was changed; --yes says yes beforehand")
    subscribe.erase(site.db, key, site.clock(), door=DOOR)
    say(f"{email} is forgotten")


@app.command("import", epilog=example("digest subscriber import people.csv"))
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="csv or jsonl.")],
    as_json: AsJson = False,
) -> int:
    """Add people from a file. Bad rows are listed with their line, the rest goes in."""
    from digest import subscribe

    if not file.is_file():
        raise Refused(f"no file {file}")
    site = open_app()
    with progress("people") as tell:
        report = subscribe.import_people(site.db, site.post, file, site.clock(), tell)
    if as_json:
        print_json(report)
    else:
        say(
            f"{report.added} added, {report.pending} asked to confirm, "
            f"{report.known} known already, {len(report.bad)} bad rows"
        )
    for bad in report.bad:
        note(f"{file}:{bad.line}: {bad.email or '-'}: {bad.reason}")
    return 1 if report.bad else 0
