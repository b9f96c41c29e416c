"""`digest ...`: one file for each noun. Everything heavy is imported inside a command, so that
`digest --help` answers at once.

`--config`, `--now` and `--debug` may stand before or after any command: they are taken out of the
arguments before the rest is parsed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from digest.cli.globals import GLOBALS, take_globals
from digest.errors import ConfigError, DigestError, ProfileError


def main(argv: Sequence[str] | None = None) -> None:
    """The command. Ends the process with 0 done, 1 listed failures, 2 refused, 3 broken."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """What `main` does, as a function: the exit code."""
    try:
        rest = take_globals(argv)
        from digest.cli.commands import app

        return _ended(app(args=rest, prog_name="digest", standalone_mode=False))
    except DigestError as error:
        return _fail(_lines(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(["interrupted; what was done is kept"], 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as `head` does
        return 0
    except OSError as error:
        return _fail([f"{error.filename or 'system'}: {error.strerror or error}"], 3)
    except Exception as error:
        return _other(error)


def _ended(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _other(error: Exception) -> int:
    """A fault of usage that Typer found (2), or a defect of ours (1)."""
    show = getattr(error, "show", None)
    if show is not None:
        show()
        return int(getattr(error, "exit_code", 2))
    if type(error).__name__ in {"Exit", "Abort"}:
        return int(getattr(error, "exit_code", 1))
    return _fail([f"{type(error).__name__}: {error}; --debug shows where, please report it"], 1)


def _lines(error: DigestError) -> list[str]:
    return error.faults if isinstance(error, ConfigError | ProfileError) else [str(error)]


def _fail(lines: Sequence[str], code: int) -> int:
    if GLOBALS.debug:
        import traceback

        traceback.print_exc()
    for line in lines:
        print(f"digest: {line}", file=sys.stderr)
    return code
