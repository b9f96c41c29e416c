"""What commands print: JSON for scripts, tables for people, progress for a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any, Protocol


def as_data(value: Any) -> Any:
    """A value of ours as plain data: dataclasses as objects, times as ISO strings."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_data(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple | set | frozenset):
        return [as_data(item) for item in value]
    return value


def print_json(value: Any) -> None:
    """One JSON document on stdout, nothing else."""
    print(json.dumps(as_data(value), ensure_ascii=False, indent=2))


def say(text: str) -> None:
    """One plain line on stdout."""
    print(text)


def note(text: str) -> None:
    """One line on stderr: never in a script's way."""
    print(text, file=sys.stderr)


def agreed(question: str) -> bool:
    """True where whoever sits there says yes; no answer is no."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline() if sys.stdin else ""
    if not answer.endswith("\n"):
        note("")
    return answer.strip().lower() in {"y", "yes"}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """A table for a person; `empty` says what it means that there is none. Where no terminal
    watches, each row is one line, for grep and cut."""
    shown = [[cell(value) for value in row] for row in rows]
    if not shown:
        return say(empty) if empty else None
    return (_framed if sys.stdout and sys.stdout.isatty() else _lined)(columns, shown)


def _framed(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As wide as the terminal: long cells are folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*map(Text, row))  # Text: no markup from outside
    Console(highlight=False).print(shown)


def _lined(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len

    lines = [columns, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (t + " " * (w - cell_len(t)) for t, w in zip(line, widths, strict=True))
        say("  ".join(padded).rstrip())


def cell(value: Any) -> str:
    """A value in a table's cell."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}Z"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "".join(c if c.isprintable() else " " for c in str(value))  # no commands to terminals


class Progress(Protocol):
    def __call__(self, done: int, total: int) -> None: ...


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A bar with rate and time left on stderr while a terminal watches; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    class Rate(bars.ProgressColumn):
        def render(self, task: bars.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "-/s")

    columns = [
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Rate(),
        bars.TimeRemainingColumn(),
    ]
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
