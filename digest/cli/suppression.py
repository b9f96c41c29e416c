"""`digest suppression ...`: addresses that take no mail."""

from __future__ import annotations

from typing import Annotated

import typer

from digest.cli.globals import open_app
from digest.cli.options import AsJson, Limit, example, noun
from digest.cli.output import print_json, say, table
from digest.errors import Refused

app = noun("Addresses that take no mail.", "digest suppression list")
Address = Annotated[str, typer.Argument(metavar="EMAIL")]


@app.command("list", epilog=example("digest suppression list"))
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """Who takes no mail, since when and why."""
    from digest.store import people

    with open_app().db.reading() as tx:
        rows = people.suppressions(tx, limit)
    if as_json:
        return print_json(rows)
    shown = ([row.address, row.reason, row.at] for row in rows)
    return table(("address", "reason", "since"), shown, "every address takes mail")


@app.command(epilog=example("digest suppression add ada@example.org --reason 'asked by phone'"))
def add(
    address: Address,
    reason: Annotated[str, typer.Option(help="Why, for the list.")] = "by the operator",
) -> None:
    """Send nothing to an address any more."""
    from digest.store import people
    from digest.subscribe import normalised

    site, exact = open_app(), normalised(address)
    with site.db.writing() as tx:
        people.suppress(tx, exact, " ".join(reason.split())[:200], site.clock())
    say(f"{exact} takes no mail")


@app.command(epilog=example("digest suppression remove ada@example.org"))
def remove(address: Address) -> None:
    """Let an address take mail again."""
    from digest.store import people
    from digest.subscribe import normalised

    exact = normalised(address)
    with open_app().db.writing() as tx:
        gone = people.unsuppress(tx, exact)
    if not gone:
        raise Refused(f"{exact} is not suppressed; see `digest suppression list`")
    say(f"{exact} takes mail again")
