"""Every setting: its default, what it may be, and what it may not."""

from __future__ import annotations

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
}


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


class SmtpSettings(_Section):
    host: str = Field(default="127.0.0.1", min_length=1)
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

    @field_validator("sources")
    @classmethod
    def _names_once(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        names = [source.name for source in sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sources are named {', '.join(twice)}")
        return sources
