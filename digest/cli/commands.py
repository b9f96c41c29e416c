"""The tree of commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer
from typer.main import get_command

from digest import __version__
from digest.cli import (
    answers,
    bounce,
    database,
    delivery,
    demo,
    doctor,
    edition,
    passes,
    profile,
    setup,
    source,
    subscriber,
    suppression,
)
from digest.cli import paper as papers
from digest.cli.options import example

app = typer.Typer(
    name="digest",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "digest init site && cd site && digest check",
        "digest subscriber add ada@example.org --profile ada.toml --confirmed",
        "digest run",
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"paper-digest {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    config: Annotated[str, typer.Option(metavar="FILE", help="The configuration.")] = "",
    now: Annotated[str, typer.Option(metavar="ISO", help="Hold the clock, to rehearse.")] = "",
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="And exit.")
    ] = False,
) -> None:
    """Watch where papers appear; mail each person a digest of what they asked for, and why.

    The options --config, --now and --debug may stand before or after any command.
    """


for one in (
    *setup.COMMANDS,
    *doctor.COMMANDS,
    *passes.COMMANDS,
    *demo.COMMANDS,
    *answers.COMMANDS,
):
    app.command(one.name, epilog=one.epilog)(one.function)
for name, group in (
    ("source", source.app),
    ("paper", papers.app),
    ("subscriber", subscriber.app),
    ("profile", profile.app),
    ("edition", edition.app),
    ("delivery", delivery.app),
    ("suppression", suppression.app),
    ("bounce", bounce.app),
    ("db", database.app),
):
    app.add_typer(group, name=name)


@cache
def command() -> Callable[..., object]:
    """The tree, ready to parse arguments; to grow it takes longer than most commands."""
    return get_command(app)
