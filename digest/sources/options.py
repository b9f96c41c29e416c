"""A kind's own options, checked when the source is made: all faults at once, each with its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from digest.errors import ConfigError
from digest.sources import SourceSpec


def _address(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://")) and len(value) > 8


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_text, value))


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


SHAPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "address": (_address, "must begin with http:// or https://"),
    "text": (_text, "must be text"),
    "texts": (_texts, "must be a list of texts, and not empty"),
    "count": (_count, "must be a whole number above 0"),
}


def read(
    spec: SourceSpec, required: Mapping[str, str], optional: Mapping[str, str]
) -> dict[str, Any]:
    """The options of `spec`; `required` and `optional` give the shape of each key. Raises
    ConfigError that names source and key."""
    shapes = {**required, **optional}
    faults = [
        f"{key}: unknown key; {spec.kind} takes {', '.join(shapes)}"
        for key in spec.options
        if key not in shapes
    ]
    faults += [f"{key}: is missing" for key in required if key not in spec.options]
    for key, shape in shapes.items():
        fits, wanted = SHAPES[shape]
        if key in spec.options and not fits(spec.options[key]):
            faults.append(f"{key}: {wanted}, not {spec.options[key]!r}")
    if faults:
        raise ConfigError([f"source {spec.name}: {fault}" for fault in faults], subject=spec.name)
    return dict(spec.options)
