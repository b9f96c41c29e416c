"""Read the file, the environment and the secrets; say every fault at once."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from digest.config.faults import MISPLACED, not_here, say
from digest.config.settings import OF_RELAYS, SECRETS, Settings
from digest.errors import ConfigError

SEARCHED = ("./digest.toml", "/etc/digest/digest.toml")
SECRETS_FOLDER = "secrets"  # beside the configuration file; made by `digest init`
SECTIONS = Settings.model_fields.keys() - SECRETS.values() - {"sources", "relay_passwords"}
FILES_OF_ALL = ("DIGEST_SMTP_PASSWORD_FILE",)  # looks like a relay's, and is [smtp]'s
FREE_NAMES = {"DIGEST_CONFIG", "DIGEST_NOW"}  # ours, but not settings
FREE_NAMES |= {"DIGEST_SHARED", "DIGEST_NO_SKIPS", "DIGEST_TEST_POSTGRES"}  # of the tests


def find_config(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file in force: as given, `$DIGEST_CONFIG`, ./digest.toml, /etc/digest/digest.toml."""
    if wanted := given or environ.get("DIGEST_CONFIG"):
        path = Path(wanted)
        if not os.path.isfile(path):
            raise ConfigError([f"no configuration file at {path}; make one with `digest init`"])
        return path
    return next((Path(p) for p in SEARCHED if os.path.isfile(p)), None)


def load(given: str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file and the environment. Raises ConfigError with every fault at once."""
    environ = os.environ if environ is None else environ
    path = find_config(given, environ)
    faults: list[str] = []
    file = _read_toml(path, faults) if path else {}
    overrides = _read_environment(environ, faults)
    secrets: dict[str, Any] = dict(_read_secrets(SECRETS, environ, path, faults))
    of_relays = _relay_passwords(_merge(file, overrides), environ, faults)
    secrets["relay_passwords"] = _read_secrets(of_relays, environ, path, faults)
    try:
        settings = Settings.model_validate(_merge(file, overrides, secrets))
    except ValidationError as error:
        faults += (say(fault, path, overrides) for fault in error.errors())
    if faults:
        raise ConfigError(faults, subject=str(path or "environment"))
    return settings


def _read_toml(path: Path, faults: list[str]) -> dict[str, Any]:
    """The file as plain data, without misplaced secrets, which are faults."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{path}: not TOML: {error}")
        return {}
    except OSError as error:
        faults.append(f"{path}: {error.strerror}")
        return {}
    for name in MISPLACED.keys() & values.keys():
        del values[name]
        faults.append(f"{path}: {name}: {not_here(name)}")
    return values


def _read_environment(environ: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """`DIGEST_SMTP__PORT=25` as {"smtp": {"port": "25"}}; what is no setting is a fault."""
    known = FREE_NAMES | set(SECRETS) | {f"{name}_FILE" for name in SECRETS}
    values: dict[str, Any] = {}
    ours = (name for name in environ if name.startswith("DIGEST_") and name not in known)
    for name in sorted(name for name in ours if not name.startswith(OF_RELAYS)):
        section, _, key = name.removeprefix("DIGEST_").lower().partition("__")
        if name == "DIGEST_SOURCES":
            values["sources"] = _json_list(environ[name], faults)
        elif key and section in SECTIONS:
            values.setdefault(section, {})[key] = environ[name]
        else:
            faults.append(f"${name}: unknown; a setting is written DIGEST_SECTION__KEY")
    return values


def _json_list(text: str, faults: list[str]) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list):
        return value
    faults.append('$DIGEST_SOURCES: must be a JSON list, as in [{"name": "hf", "kind": "..."}]')
    return []


def _relay_passwords(
    values: Mapping[str, Any], environ: Mapping[str, str], faults: list[str]
) -> dict[str, str]:
    """{variable: relay} of the relays with a name that can be read; variables for no relay are
    faults."""
    relays = (
        values.get("smtp", {}).get("relays", ()) if isinstance(values.get("smtp"), dict) else ()
    )
    try:
        relays = json.loads(relays) if isinstance(relays, str) else relays
        names = [str(relay["name"]) for relay in relays]
    except (ValueError, LookupError, TypeError):
        return {}  # the settings say what is wrong
    found = {OF_RELAYS + name.upper().replace("-", "_"): name for name in names}
    known = found.keys() | {f"{variable}_FILE" for variable in found} | set(FILES_OF_ALL)
    for variable in sorted(environ):
        if variable.startswith(OF_RELAYS) and variable not in known:
            there = ", ".join(names) or "none in [[smtp.relays]]"
            faults.append(f"${variable}: no relay has that name; there are: {there}")
    return found


def _read_secrets(
    secrets: Mapping[str, str],
    environ: Mapping[str, str],
    config: Path | None,
    faults: list[str],
) -> dict[str, str]:
    """{name: secret} of {variable: name}."""
    found = {}
    for variable, name in secrets.items():
        file = _secret_path(variable, environ, config)
        value = environ.get(variable) or (_secret_file(*file, faults) if file else None)
        if value:
            found[name] = value
    return found


def _secret_path(
    variable: str, environ: Mapping[str, str], config: Path | None
) -> tuple[Path, str] | None:
    """The file that holds a secret, and what named it: _FILE, systemd, or our own folder."""
    if given := environ.get(f"{variable}_FILE"):
        return Path(given), f"${variable}_FILE"
    folders = [Path(given) for given in (environ.get("CREDENTIALS_DIRECTORY"),) if given]
    folders += [config.parent / SECRETS_FOLDER] if config else []
    paths = (folder / variable.lower() for folder in folders)
    return next(((path, "secret") for path in paths if os.path.exists(path)), None)


def _secret_file(path: Path, told: str, faults: list[str]) -> str | None:
    try:
        if value := path.read_text(encoding="utf-8").strip():
            return value
        faults.append(f"{told}: {path}: is empty")
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "is not text"
        faults.append(f"{told}: {path}: {said}")
    return None


def _merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = _merge(merged[key], value) if both else value
    return merged
