"""`digest db ...`: set up, look at, save and restore the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from digest.cli.globals import open_app
from digest.cli.options import AsJson, example, noun
from digest.cli.output import print_json, say

app = noun(
    "The database: its schema, copies of it.",
    "digest db current",
    "digest db backup digest-2026-03-02.db",
)
File = Annotated[Path, typer.Argument(metavar="FILE")]


@app.command(epilog=example("digest db upgrade"))
def upgrade() -> None:
    """Bring the schema up to this version; from nothing too."""
    db = open_app().bare_db
    before = db.current()[0]
    db.upgrade()
    after = db.current()[0]
    say(f"{db.label}: {'already at' if before == after else 'now at'} revision {after}")


@app.command(epilog=example("digest db current"))
def current(as_json: AsJson = False) -> int:
    """The schema's revision, and the newest there is."""
    db = open_app().bare_db
    here, newest = db.current()
    if as_json:
        print_json({"database": db.label, "current": here, "newest": newest})
    else:
        say(
            f"{db.label}: {here or 'not set up'}"
            + ("" if here == newest else f" (newest: {newest})")
        )
    return 0 if here == newest else 1


@app.command(epilog=example("digest db backup digest-$(date +%F).db"))
def backup(file: File) -> None:
    """Save a consistent copy while everything goes on. PostgreSQL has pg_dump instead."""
    from digest.store.backup import backup as save

    db = open_app().db
    size = save(db, file)
    say(f"saved {db.label} to {file} ({size:,} bytes)")


@app.command(epilog=example("digest db restore digest-2026-03-02.db"))
def restore(
    file: File,
    yes: Annotated[bool, typer.Option("--yes", help="Replace what is there.")] = False,
) -> None:
    """Put a saved copy in the database's place. Stop the daemon first."""
    from digest.store.backup import restore as put_back

    db = open_app().bare_db
    put_back(db, file, replace=yes)
    say(f"restored {db.label} from {file}")
