"""Randomness, and the secret that an embedded site keeps beside its database."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from digest.config import Settings
from digest.errors import Broken


def new_token() -> str:
    """An unguessable word: a lease's token, a new secret."""
    return secrets.token_urlsafe(24)


def secret_file(settings: Settings) -> Path | None:
    """Where an embedded site keeps its secret: beside the database; None for a server."""
    path = embedded_database(settings)
    return path and path.with_name("digest.secret")


def embedded_database(settings: Settings) -> Path | None:
    """The file of an embedded database; None for a server."""
    url = settings.database.url
    name = url.removeprefix("sqlite:///")
    return Path(name) if name != url else None


def kept_secret(path: Path) -> str:
    """The secret in this file, made now if need be, readable by its owner only.

    Made whole under another name and then linked, so that of two processes that begin at once
    both read the same one, and a crash leaves none that is empty.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{new_token()[:8]}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
                new.write(new_token() + "\n")
            with suppress(FileExistsError):
                os.link(draft, path)
        except OSError as error:
            mend = "set $DIGEST_SECRET_KEY instead"
            raise Broken(f"secret {path}: {error.strerror}; {mend}") from None
        finally:
            draft.unlink(missing_ok=True)
    if not (secret := path.read_text(encoding="utf-8").strip()):
        raise Broken(f"secret {path} is empty; restore it from a backup, or remove it")
    return secret
