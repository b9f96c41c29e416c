"""`digest ...`: one file for each noun. Everything heavy is imported inside a command, so that
`digest --help` answers at once.

`--config`, `--now` and `--debug` may stand before or after any command: they are taken out of the
arguments before the rest is parsed.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from digest.cli.globals import GLOBALS, KEEP_IT, close_apps, is_pipe, take_globals
from digest.cli.logs import Discreet
from digest.errors import ConfigError, DigestError, ProfileError, Refused

LONGEST_LINE = 500  # characters of an error: an argument that it names may be megabytes long
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """The command. Ends the process with 0 done, 1 listed failures, 2 refused, 3 broken."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a letter is no error
            stream.reconfigure(errors="backslashreplace")
    warn = logging.StreamHandler()
    warn.setFormatter(_OneLine("digest: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[warn])
    sys.exit(run(sys.argv[1:] if argv is None else argv))


class _OneLine(Discreet):
    """Warnings of what works below, without a traceback unless it is asked for."""

    def formatException(self, ei: Any) -> str:
        return super().formatException(ei) if GLOBALS.debug else ""


def run(argv: Sequence[str]) -> int:
    """What `main` does, as a function: the exit code."""
    if not is_pipe(argv):
        return _code(argv)
    try:
        code = _code(argv)
    except OSError:  # there is nobody to tell it to, either
        code = KEEP_IT
    _drop_what_is_buffered()
    return KEEP_IT if code else 0


def _code(argv: Sequence[str]) -> int:
    try:
        return _run(argv)
    except DigestError as error:
        return _fail(_lines(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(["interrupted; what was done is kept"], INTERRUPTED)
    except (BrokenPipeError, SystemExit) as error:
        return _nobody_listens(error)
    except OSError as error:
        _drop_what_is_buffered()  # or Python tries once more at its end, and fails with 120
        return _fail([f"{error.filename or 'system'}: {error.strerror or error}"], 3)
    except Exception as error:
        return _other(error)


def _run(argv: Sequence[str]) -> int:
    if any("\0" in word for word in argv):
        raise Refused("an argument holds a NUL character; leave it out")
    if odd := [word for word in argv if re.search("[\ud800-\udfff]", word)]:
        raise Refused(f"the argument {odd[0]!r} is not UTF-8; write it so")
    rest = take_globals(argv)
    from digest.cli.commands import command

    try:
        code = _ended(command()(args=rest, prog_name="digest", standalone_mode=False))
    finally:
        close_apps()
    if code == INTERRUPTED:  # Typer has caught it
        raise KeyboardInterrupt
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def _ended(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _nobody_listens(error: BaseException) -> int:
    """The reader of our output went away, as `head` does: no reason to complain. Typer and Rich
    make a SystemExit of it."""
    if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
        raise error
    _drop_what_is_buffered()
    return 0


def _drop_what_is_buffered() -> None:
    """What stdout or stderr still holds has nowhere to go, where it is itself what failed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _other(error: Exception) -> int:
    """A fault of usage that Typer found (2), or a defect of ours (3)."""
    name = type(error).__name__
    if name == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return 2
    if hasattr(error, "format_message"):
        return _fail([_usage(error)], 2)
    return _fail([f"{name}: {error}; --debug shows where, please report it"], 3)


def _usage(error: Exception) -> str:
    """`No such option: --jsn; see `digest paper list --help``."""
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "digest"
    said = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    return f"{said.rstrip('.')}; see `{where} --help`"


def _lines(error: DigestError) -> list[str]:
    return error.faults if isinstance(error, ConfigError | ProfileError) else [str(error)]


def _fail(lines: Sequence[str], code: int) -> int:
    if GLOBALS.debug:
        import traceback

        traceback.print_exc()
    for line in lines:
        print(f"digest: {_bounded(line)}", file=sys.stderr)
    return code


def _bounded(line: str) -> str:
    """One line that does nothing to a terminal, and whose end, the mend, is still to be seen."""
    clean = "".join(c if c.isprintable() else "\ufffd" for c in line[: LONGEST_LINE * 10])
    if len(line) <= LONGEST_LINE:
        return clean
    return f"{clean[: LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 2 :]}"
