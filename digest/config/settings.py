"""Every setting: its default, what it may be, and what it may not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import getaddresses
from ipaddress import ip_address
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

LOOPBACK_NAMES = {"localhost", "ip6-localhost"}
SECRETS = {
    "DIGEST_SECRET_KEY": "secret_key",
    "DIGEST_SMTP_PASSWORD": "smtp_password",
    "DIGEST_IMAP_PASSWORD": "imap_password",
    "DIGEST_POSTMARK_SECRET": "postmark_secret",
    "DIGEST_MAILGUN_SIGNING_KEY": "mailgun_signing_key",
    "DIGEST_DKIM_KEY": "dkim_key",
    "DIGEST_TRANSPORT_SECRET": "transport_secret",
}
OF_RELAYS = "DIGEST_SMTP_PASSWORD_"  # and the relay's name: a password of its own


def is_loopback(host: str) -> bool:
    """True where `host` can only be this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("*")
    @classmethod
    def _no_control_characters(cls, value: object) -> object:
        """Names and addresses end up in headers."""
        if isinstance(value, str) and re.search(r"[\x00-\x09\x0b-\x1f\x7f]", value):
            raise ValueError("must not hold control characters")
        return value


class SiteSettings(_Section):
    name: str = "Paper Digest"
    url: str = "http://127.0.0.1:8080"
    postal_address: str = ""  # may have lines
    operator: str = ""
    templates: str = ""  # a folder of the site's own, looked in before ours

    @field_validator("name", "operator", "templates")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if "\n" in value:
            raise ValueError("must be one line")
        return value

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value):
            raise ValueError("must begin with http:// or https:// and name a host")
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
    dkim_selector: str = Field(default="digest", pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$")

    @field_validator("from_", "reply_to")
    @classmethod
    def _one_address(cls, value: str) -> str:
        found = getaddresses([value]) if value else []
        if value and not (len(found) == 1 and re.fullmatch(r"[^@\s]+@[^@\s]+", found[0][1])):
            raise ValueError("must be one address, as in Paper Digest <digest@example.org>")
        if "\n" in value:
            raise ValueError("must not hold control characters")
        return value

    @field_validator("from_")
    @classmethod
    def _not_nobody(cls, value: str) -> str:
        if not value:
            raise ValueError("must not be empty: letters come from somebody")
        return value

    @field_validator("bounce_domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        if value and not re.fullmatch(r"[\w-]+(\.[\w-]+)*", value):
            raise ValueError("must be a domain, as in bounces.example.org")
        return value


Security = Literal["tls", "starttls", "opportunistic", "none"]
Pipelining = Literal["letters", "envelope", "off"]
IN_THE_CLEAR = (
    'security = "none" is only for a relay on loopback; use "starttls" or "tls", '
    "or say allow_plaintext = true"
)


def _from_json(value: object) -> object:
    """A list as the environment has it: JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("must be a JSON list of tables") from None


class RelaySettings(_Section):
    """One `[[smtp.relays]]`: what it leaves out is that of `[smtp]`."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
    host: str | None = Field(default=None, min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Security | None = None
    username: str | None = None
    lanes: int | None = Field(default=None, ge=1, le=500)
    per_minute: int | None = Field(default=None, ge=0)
    per_connection: int | None = Field(default=None, ge=1)
    pipelining: Pipelining | None = None
    allow_plaintext: bool | None = None
    ca_file: str | None = None
    weight: int = Field(default=1, ge=0, le=1000)

    @field_validator("name")
    @classmethod
    def _no_file(cls, value: str) -> str:
        if value.endswith("file"):  # $DIGEST_SMTP_PASSWORD_FILE names a file
            raise ValueError('must not end with "file"')
        return value


class SmtpSettings(_Section):
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=25, ge=1, le=65535)
    security: Security | None = None
    username: str = ""
    lanes: int = Field(default=10, ge=1, le=500)
    per_minute: int = Field(default=0, ge=0)  # letters to one relay; 0: no limit
    per_connection: int = Field(default=1000, ge=1)  # letters
    pipelining: Pipelining = "envelope"  # what goes out in one write where it is offered
    allow_plaintext: bool = False
    ca_file: str = ""  # certificates to trust besides the system's
    hello: str = Field(default="", pattern=r"^[A-Za-z0-9.:\[\]-]*$")  # our name in EHLO
    maildir: str = ""  # rehearsal: write letters here instead of sending them
    relays: tuple[RelaySettings, ...] = ()

    _json = field_validator("relays", mode="before")(_from_json)

    @property
    def effective_security(self) -> str:
        """As given; else `none` to loopback and `starttls` (required) to everything else."""
        return self.security or ("none" if is_loopback(self.host) else "starttls")

    @property
    def effective_relays(self) -> tuple[tuple[RelaySettings, SmtpSettings], ...]:
        """Each relay with what is in force for it; without `[[smtp.relays]]` the one of `[smtp]`
        itself, named by host and port."""
        return tuple((relay, self._for(relay)) for relay in self.relays) or (
            (RelaySettings.model_construct(name=f"{self.host}:{self.port}", weight=1), self),
        )

    def _for(self, relay: RelaySettings) -> SmtpSettings:
        own = relay.model_dump(exclude={"name", "weight"}, exclude_none=True)
        return self.model_copy(update=own | {"relays": ()})

    @field_validator("relays")
    @classmethod
    def _names_once(cls, relays: tuple[RelaySettings, ...]) -> tuple[RelaySettings, ...]:
        names = [relay.name for relay in relays]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two relays are named {', '.join(twice)}")
        return relays

    @model_validator(mode="after")
    def _never_in_the_clear(self) -> SmtpSettings:
        for relay, smtp in self.effective_relays:
            plain = smtp.effective_security == "none"
            if plain and not is_loopback(smtp.host) and not smtp.allow_plaintext:
                named = f"relay {relay.name}: " if self.relays else ""
                raise ValueError(f"{named}{IN_THE_CLEAR}")
        return self


class DomainSettings(_Section):
    """One `[[delivery.domains]]`: what one recipient domain gets."""

    name: str = Field(pattern=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$")
    lanes: int = Field(default=0, ge=0, le=500)
    per_minute: int = Field(default=0, ge=0)


class DeliverySettings(_Section):
    ambiguous: Literal["resend", "hold"] = "resend"
    transport: str = ""  # a plug-in's name; empty: SMTP, or the Maildir of [smtp]
    options: Mapping[str, object] = Field(default_factory=dict)  # its own keys
    domain_lanes: int = Field(default=0, ge=0, le=500)  # letters at once; 0: as many as fit
    domain_per_minute: int = Field(default=0, ge=0)  # letters; 0: no limit
    domains: tuple[DomainSettings, ...] = ()

    _json = field_validator("domains", mode="before")(_from_json)

    @field_validator("options", mode="before")
    @classmethod
    def _table(cls, value: object) -> object:
        return _from_json(value)

    @model_validator(mode="after")
    def _options_of_somebody(self) -> DeliverySettings:
        if self.options and not self.transport:
            raise ValueError("options are those of a transport; set transport, too")
        return self


class MatchingSettings(_Section):
    embeddings: str = ""  # a folder that holds a sentence-transformers model

    @field_validator("embeddings")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if "\n" in value:
            raise ValueError("must be one line")
        return value


class WebSettings(_Section):
    listen: str = "127.0.0.1:8080"

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            raise ValueError("must be HOST:PORT, as in 127.0.0.1:8080")
        return value

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class BouncesSettings(_Section):
    maildir: str = ""
    imap_host: str = ""
    imap_port: int = Field(default=0, ge=0, le=65535)  # 0: the usual one
    imap_security: Literal["tls", "starttls", "none"] = "tls"
    imap_username: str = ""
    imap_folder: str = "INBOX"

    @model_validator(mode="after")
    def _never_in_the_clear(self) -> BouncesSettings:
        if self.imap_host and self.imap_security == "none" and not is_loopback(self.imap_host):
            raise ValueError('imap_security = "none" is only for a server on loopback; use "tls"')
        return self


class WebhooksSettings(_Section):
    ses_topic: str = ""
    sendgrid_public_key: str = ""


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


class Settings(_Section):
    """Everything that is in force. Secrets come only from the environment or files."""

    site: SiteSettings = SiteSettings()
    database: DatabaseSettings = DatabaseSettings()
    mail: MailSettings = MailSettings()
    smtp: SmtpSettings = SmtpSettings()
    delivery: DeliverySettings = DeliverySettings()
    matching: MatchingSettings = MatchingSettings()
    web: WebSettings = WebSettings()
    bounces: BouncesSettings = BouncesSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    sources: tuple[SourceSettings, ...] = ()
    secret_key: SecretStr | None = None
    smtp_password: SecretStr | None = None
    imap_password: SecretStr | None = None
    postmark_secret: SecretStr | None = None
    mailgun_signing_key: SecretStr | None = None
    dkim_key: SecretStr | None = None
    transport_secret: SecretStr | None = None
    relay_passwords: Mapping[str, SecretStr] = Field(default_factory=dict)  # by relay's name

    @field_validator("sources")
    @classmethod
    def _names_once(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        names = [source.name for source in sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sources are named {', '.join(twice)}")
        return sources
