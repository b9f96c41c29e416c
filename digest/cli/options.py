"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
LARGEST = 2**31 - 1  # of a row's key, on every database
Limit = Annotated[int, typer.Option(min=0, max=LARGEST, help="At most so many rows; 0 is all.")]


def noun(help_text: str, *examples: str) -> typer.Typer:
    """A group of commands about one noun."""
    return typer.Typer(
        help=help_text, no_args_is_help=True, rich_markup_mode=None, epilog=example(*examples)
    )


def example(*lines: str) -> str:
    """The end of a command's help: how to type it."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class Command(NamedTuple):
    """A command at the top of the tree."""

    name: str
    function: Callable[..., object]
    epilog: str
