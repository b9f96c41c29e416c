"""The options that every command takes, and the App they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from digest.errors import Refused

if TYPE_CHECKING:
    from digest.app import App


@dataclass(slots=True)
class Globals:
    """What stood before or after the command."""

    config: str | None = None
    now: str | None = None
    debug: bool = False


GLOBALS = Globals()


def take_globals(argv: Sequence[str]) -> list[str]:
    """Take --config, --now and --debug out of the arguments, wherever they stand (before `--`)."""
    GLOBALS.config, GLOBALS.now, GLOBALS.debug = None, None, False
    return list(_rest(iter(argv)))


def _rest(words: Iterator[str]) -> Iterator[str]:
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            yield word
            yield from words
        elif word == "--debug":
            GLOBALS.debug = True
        elif name in {"--config", "--now"}:
            value = value if equals else next(words, "")
            if not value:
                raise Refused(f"{name} wants a value, as in {name} {_EXAMPLES[name]}")
            setattr(GLOBALS, name[2:], value)
        else:
            yield word


_EXAMPLES = {"--config": "digest.toml", "--now": "2026-03-02T08:00:00Z"}


def held_time() -> datetime | None:
    """The moment of --now or $DIGEST_NOW; None where the wall's clock is in force."""
    import os

    given = GLOBALS.now or os.environ.get("DIGEST_NOW")
    if not given:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        example = _EXAMPLES["--now"]
        raise Refused(f"--now {given!r} is no ISO time, as in {example}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def open_app() -> App:
    """The App of the configuration in force."""
    from digest.app import App, held_clock, wall_clock
    from digest.config import load

    at = held_time()
    return App(load(GLOBALS.config), held_clock(at) if at else wall_clock)


def moment(text: str, name: str) -> datetime:
    """A day or a time as a person types it: aware, UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{name} {text!r} is no ISO date or time, as in 2026-03-02") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
