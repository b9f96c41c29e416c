"""Plug-ins by entry point, and sources built from what the settings or a command say."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from digest.config import SourceSettings
from digest.errors import ConfigError
from digest.sources import Source, SourceSpec

SOURCES, TRANSPORTS = "digest.sources", "digest.transports"


def source_spec(name: str, kind: str, options: Mapping[str, Any]) -> SourceSpec:
    """A source as a command gives it: what every source takes, and the kind's own keys. Raises
    ConfigError with every fault."""
    try:
        given = SourceSettings.model_validate({**options, "name": name, "kind": kind})
    except ValueError as error:
        faults = error.errors() if isinstance(error, ValidationError) else []
        said = [f"source {name!r}: {fault['loc'][0]}: {fault['msg']}" for fault in faults]
        raise ConfigError(said or [f"source {name!r}: {error}"]) from None
    return spec_of(given)


def spec_of(source: SourceSettings) -> SourceSpec:
    return SourceSpec(source.name, source.kind, source.options, source.timeout, source.max_bytes)


def build_source(spec: SourceSpec, web: Any) -> Source:
    """A source of the kind that the spec names. Raises ConfigError for what it cannot take."""
    kinds = plugins(SOURCES)
    if spec.kind not in kinds:
        known = ", ".join(sorted(kinds))
        raise ConfigError([f"source {spec.name}: no kind {spec.kind!r}; there are: {known}"])
    made: Source = kinds[spec.kind].load()(spec, web)
    return made


def plugins(group: str) -> dict[str, EntryPoint]:
    """{name: entry point} of one socket."""
    return {point.name: point for point in entry_points(group=group)}
