"""How log lines are written: none of them holds an address or a token."""

from __future__ import annotations

import logging
import sys

LOUD = ("alembic", "httpx")  # they tell of each look at the schema, and of whole addresses


class Discreet(logging.Formatter):
    """Formats as ever, and then takes out whom the line is about, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        from digest.text.discreet import discreet  # `digest --help` has nothing to say to a log

        return discreet(super().format(record))


def log_to_stderr(level: int = logging.INFO) -> None:
    """What a daemon tells: one line for each unit of work."""
    told = logging.StreamHandler(sys.stderr)
    told.setFormatter(Discreet("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[told], force=True)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
