"""One line for each fault: where the value was set, which key it is, and how to mend it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from digest.config.settings import SECRETS, Settings

MISPLACED = {  # where people put secrets in the file: the variable that takes them
    "secret_key": "DIGEST_SECRET_KEY",
    "site.secret_key": "DIGEST_SECRET_KEY",
    "smtp_password": "DIGEST_SMTP_PASSWORD",
    "smtp.password": "DIGEST_SMTP_PASSWORD",
    "smtp.relays.password": "DIGEST_SMTP_PASSWORD_NAME",
    "delivery.secret": "DIGEST_TRANSPORT_SECRET",
    "imap_password": "DIGEST_IMAP_PASSWORD",
    "bounces.imap_password": "DIGEST_IMAP_PASSWORD",
    "postmark_secret": "DIGEST_POSTMARK_SECRET",
    "webhooks.postmark_secret": "DIGEST_POSTMARK_SECRET",
    "mailgun_signing_key": "DIGEST_MAILGUN_SIGNING_KEY",
    "webhooks.mailgun_signing_key": "DIGEST_MAILGUN_SIGNING_KEY",
}


def not_here(name: str) -> str:
    variable = MISPLACED[name]
    return (
        f"secrets come only from the environment or from files; set ${variable} or ${variable}_FILE"
    )


def say(fault: Any, path: Path | None, overrides: Mapping[str, Any]) -> str:
    """`digest.toml: smtp.port: Input should be ...`, or `$DIGEST_SMTP__PORT: ...`."""
    loc = tuple("from" if part == "from_" else part for part in fault["loc"])
    name = ".".join(f"#{part + 1}" if isinstance(part, int) else part for part in loc)
    said = _said(fault, loc, name)
    if loc[0] == "sources" and "sources" in overrides:
        return f"$DIGEST_SOURCES: {name}: {said}"
    if len(loc) > 1 and loc[1] in overrides.get(loc[0], ()):
        return f"$DIGEST_{loc[0].upper()}__{loc[1].upper()}: {said}"
    return f"{path or 'configuration'}: {name}: {said}"


def _said(fault: Any, loc: tuple[str | int, ...], name: str) -> str:
    if fault["type"] != "extra_forbidden":
        return str(fault["msg"]).removeprefix("Value error, ")
    plain = ".".join(str(part) for part in loc if not isinstance(part, int))
    if plain in MISPLACED:
        return not_here(plain)
    section = Settings.model_fields[str(loc[0])].annotation if len(loc) > 1 else Settings
    fields = getattr(section, "model_fields", {})
    known = [field.alias or key for key, field in fields.items() if key not in SECRETS.values()]
    return _unknown_key(str(loc[-1]), known)


def _unknown_key(key: str, known: Collection[str]) -> str:
    close = get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {close[0]}?" if close else "unknown key"
