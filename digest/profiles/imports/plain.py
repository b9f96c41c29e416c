"""Plain data of unknown make: looked into without trust."""

from __future__ import annotations

from typing import Any


def at(value: object, *path: str | int) -> Any:
    """What stands at a path of keys and indices; None where anything on the way is missing."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def rows(value: object) -> list[Any]:
    """A list as it is; nothing for what is none."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """A text or number as text; nothing for all else."""
    if isinstance(value, str):
        return value
    return str(value)[:40] if isinstance(value, int) and abs(value) < 10**18 else ""
