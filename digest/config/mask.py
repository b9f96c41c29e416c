"""What is in force, fit to be shown: secrets stay behind a mask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from digest.config.settings import SECRETS, Settings

MASK = "********"
TELLING = r"(?:password|token|secret|api_?key)"  # names of keys whose values are not shown


def masked(settings: Settings) -> dict[str, Any]:
    """What is in force, as plain data; secrets, also those within URLs, are only hinted at."""
    shown = settings.model_dump(mode="json", by_alias=True)
    for name in SECRETS.values():
        shown[name] = MASK if getattr(settings, name) else None
    shown["relay_passwords"] = dict.fromkeys(settings.relay_passwords, MASK)
    shown["smtp"]["security"] = settings.smtp.effective_security
    covered: dict[str, Any] = _cover(shown)
    return covered


def _cover(value: Any, key: str = "") -> Any:
    """Passwords of URLs, and values whose key says that they are secret, behind a mask."""
    if isinstance(value, Mapping):
        return {k: _cover(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_cover(v, key) for v in value]
    if not isinstance(value, str) or not value:
        return value
    if re.search(TELLING, key, re.IGNORECASE):
        return MASK
    value = re.sub(r"(?<=://)([^/?#@:]*):.*@", rf"\1:{MASK}@", value)
    named = rf"([?&][^=&#]*{TELLING}[^=&#]*=)[^&#]*"
    return re.sub(named, rf"\1{MASK}", value, flags=re.IGNORECASE)
