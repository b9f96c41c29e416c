"""The options that every command takes, and the App they lead to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
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
KEEP_IT = 75  # EX_TEMPFAIL: the mail server keeps the mail and tries again


def is_pipe(argv: Sequence[str]) -> bool:
    """Whether a mail server calls, `bounce process -`: any other fault than KEEP_IT would have it
    send the mail back, or throw it away."""
    return {"bounce", "process", "-"} <= set(argv)


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
    given, name = GLOBALS.now, "--now"
    if not given:
        given, name = os.environ.get("DIGEST_NOW"), "$DIGEST_NOW"
    return moment(given, name) if given else None


def open_app(*, looking: bool = False) -> App:
    """The App of the configuration in force. `looking`: no database will be made."""
    from digest.app import App, calm_gc, held_clock, wall_clock
    from digest.config import load

    at = held_time()
    calm_gc()
    app = App(load(GLOBALS.config), held_clock(at) if at else wall_clock)
    if not looking and not app.has_database() and _nowhere():
        print(
            "no configuration here: defaults are in force, and a new database begins in this "
            "folder (`digest init` makes both)",
            file=sys.stderr,
        )
    _opened.append(app)
    return app


def _nowhere() -> bool:
    """True where nobody said which site is meant: perhaps this is the wrong folder."""
    from digest.config import find_config

    named = "DIGEST_DATABASE__URL" in os.environ
    return not named and find_config(GLOBALS.config, os.environ) is None


_opened: list[App] = []


def close_apps() -> None:
    """A command has ended: nothing stays open."""
    while _opened:
        _opened.pop().close()


YEARS = range(1970, 2200)  # sums of dates stay far from the ends of what datetime can hold


def moment(text: str, name: str, zone: tzinfo = UTC) -> datetime:
    """A day or a time as a person in `zone` types it: aware, UTC. Raises Refused."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-03-02 or 2026-03-02T08:00:00Z"
        raise Refused(f"{name} {text!r} is no ISO date or time, as in {example}") from None
    if at.year not in YEARS:
        raise Refused(f"{name} {text!r} lies outside of {YEARS[0]} to {YEARS[-1]}")
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
