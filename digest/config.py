"""Settings: one TOML file and the environment, read once, all faults reported at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from digest.errors import ConfigError

LOOPBACK_NAMES = {"localhost", "ip6-localhost"}
SEARCHED = ("./digest.toml", "/etc/digest/digest.toml")
FREE_NAMES = {"DIGEST_CONFIG", "DIGEST_NOW", "DIGEST_SHARED"}  # ours, but not settings
SECRETS = {"DIGEST_SECRET_KEY": "secret_key", "DIGEST_SMTP_PASSWORD": "smtp_password"}


def is_loopback(host: str) -> bool:
    """True where `host` can only be this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SiteSettings(_Section):
    name: str = "Paper Digest"
    url: str = "http://127.0.0.1:8080"
    postal_address: str = ""
    operator: str = ""

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")


class DatabaseSettings(_Section):
    url: str = "sqlite:///digest.db"

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value.startswith("postgresql://"):
            return "postgresql+psycopg://" + value.removeprefix("postgresql://")
        if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
        return value


class MailSettings(_Section):
    from_: str = Field(default="Paper Digest <digest@localhost.localdomain>", alias="from")
    reply_to: str = ""
    bounce_domain: str = ""

    @field_validator("from_", "reply_to")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if value and "@" not in parseaddr(value)[1]:
            raise ValueError("must be one address, as in Paper Digest <digest@example.org>")
        if any(ord(c) < 32 for c in value):
            raise ValueError("must not hold control characters")
        return value


class SmtpSettings(_Section):
    host: str = "127.0.0.1"
    port: int = Field(default=25, ge=1, le=65535)
    security: Literal["tls", "starttls", "opportunistic", "none"] | None = None
    username: str = ""
    lanes: int = Field(default=10, ge=1, le=500)
    allow_plaintext: bool = False
    maildir: str = ""  # rehearsal: write letters here instead of sending them

    @property
    def effective_security(self) -> str:
        """As given; else `none` to loopback and `starttls` (required) to everything else."""
        return self.security or ("none" if is_loopback(self.host) else "starttls")

    @model_validator(mode="after")
    def _never_in_the_clear(self) -> SmtpSettings:
        plain = self.effective_security == "none"
        if plain and not is_loopback(self.host) and not self.allow_plaintext:
            raise ValueError(
                'security = "none" is only for a relay on loopback; use "starttls" or "tls", '
                "or say allow_plaintext = true"
            )
        return self


class DeliverySettings(_Section):
    ambiguous: Literal["resend", "hold"] = "resend"


class WebSettings(_Section):
    listen: str = "127.0.0.1:8080"

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be HOST:PORT, as in 127.0.0.1:8080")
        return value

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class SourceSettings(BaseModel):
    """One `[[sources]]` entry; the kind's own keys are kept in `options` and checked by it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    kind: str
    timeout: float = Field(default=60.0, gt=0, le=3600)
    max_bytes: int = Field(default=50_000_000, gt=0)

    @property
    def options(self) -> Mapping[str, object]:
        return dict(self.model_extra or {})


class Settings(BaseSettings):
    """Everything that is in force. Secrets come only from the environment or files."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="DIGEST_", env_nested_delimiter="__"
    )
    site: SiteSettings = SiteSettings()
    database: DatabaseSettings = DatabaseSettings()
    mail: MailSettings = MailSettings()
    smtp: SmtpSettings = SmtpSettings()
    delivery: DeliverySettings = DeliverySettings()
    web: WebSettings = WebSettings()
    sources: tuple[SourceSettings, ...] = ()
    secret_key: SecretStr | None = None
    smtp_password: SecretStr | None = None

    @model_validator(mode="after")
    def _names_once(self) -> Settings:
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sources are named {', '.join(twice)}")
        return self

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, settings_cls: Any, init_settings: Any, **_: Any
    ) -> Any:
        return (init_settings,)  # the environment and the file are read by load()


def find_config(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file in force: as given, `$DIGEST_CONFIG`, ./digest.toml, /etc/digest/digest.toml."""
    if wanted := given or environ.get("DIGEST_CONFIG"):
        path = Path(wanted)
        if not path.is_file():
            raise ConfigError([f"no configuration file at {path}; make one with `digest init`"])
        return path
    return next((Path(p) for p in SEARCHED if Path(p).is_file()), None)


def load(given: str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file and the environment. Raises ConfigError with every fault at once."""
    environ = os.environ if environ is None else environ
    path = find_config(given, environ)
    values = _read_toml(path) if path else {}
    faults = [
        f"{path}: {name}: secrets come only from the environment or from files; set "
        f"${variable} or ${variable}_FILE"
        for variable, name in SECRETS.items()
        if name in values
    ]
    faults += _unknown_variables(environ)
    if faults:
        raise ConfigError(faults, subject=str(path))
    try:
        return Settings(**_merge(values, _from_environment(environ), _secrets(environ)))
    except ValidationError as error:
        raise ConfigError(_faults(error, path), subject=str(path)) from None


def masked(settings: Settings) -> dict[str, Any]:
    """What is in force, as plain data, secrets shown only as set or not set."""
    shown = settings.model_dump(mode="json", by_alias=True)
    for name in SECRETS.values():
        shown[name] = "********" if getattr(settings, name) else None
    shown["database"]["url"] = _without_password(settings.database.url)
    return shown


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.split(':')[0]}:********@{tail}" if at and ":" in user else url


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not TOML: {error}"], subject=str(path)) from None
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"], subject=str(path)) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    class Reader(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            nested = {k.lower(): v for k, v in environ.items() if k.upper().startswith("DIGEST_")}
            return {k: v for k, v in nested.items() if "__" in k}

    try:
        return Reader(Settings)()
    except Exception as error:  # a value that is no JSON where a list is wanted
        raise ConfigError([f"environment: {error}"], subject="environment") from None


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = FREE_NAMES | set(SECRETS) | {f"{name}_FILE" for name in SECRETS}
    ours = [name for name in environ if name.startswith("DIGEST_") and name not in known]
    return [
        f"${name}: unknown; a setting is written DIGEST_SECTION__KEY"
        for name in ours
        if "__" not in name
    ]


def _secrets(environ: Mapping[str, str]) -> dict[str, Any]:
    found = {name: _secret(variable, environ) for variable, name in SECRETS.items()}
    return {name: value for name, value in found.items() if value}


def _secret(variable: str, environ: Mapping[str, str]) -> str | None:
    """From the variable, else the file it names with _FILE, else systemd's credentials."""
    if value := environ.get(variable):
        return value
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    path = environ.get(f"{variable}_FILE") or (credentials and f"{credentials}/{variable.lower()}")
    if not path or (not environ.get(f"{variable}_FILE") and not Path(path).is_file()):
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError([f"${variable}_FILE: {path}: {error.strerror}"]) from None


def _merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = _merge(merged[key], value) if both else value
    return merged


def _faults(error: ValidationError, path: Path | None) -> list[str]:
    where = str(path or "configuration")
    lines = []
    for fault in error.errors():
        name = ".".join(str(part) for part in fault["loc"] if part != "from_")
        said = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"]
        lines.append(f"{where}: {name or 'settings'}: {said.removeprefix('Value error, ')}")
    return lines
