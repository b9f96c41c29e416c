"""What a browser posts: read within bounds, cleaned, shown again with its errors."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

LARGEST = 64 * 1024  # bytes of a body
FIELDS = 100
PATIENCE = 20.0  # seconds for a body to arrive

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


@dataclass(slots=True)
class Form:
    """A form as it stands: what was typed, and what is wrong with it by field."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


async def read_form(request: Request) -> dict[str, str]:
    """{field: its first value, cleaned} of a body urlencoded or multipart; empty for any other.

    Raises HTTPException: 413 over LARGEST, 408 over PATIENCE, 400 where it cannot be read.
    """
    bounded = Request(request.scope, _Bounded(request))
    try:
        async with asyncio.timeout(PATIENCE):
            form = await bounded.form(max_files=0, max_fields=FIELDS, max_part_size=LARGEST)
    except TimeoutError:
        raise HTTPException(408) from None
    except (HTTPException, ClientDisconnect):
        raise
    except Exception:  # whatever a parser makes of hostile bytes
        raise HTTPException(400) from None
    return _first_values(form)


def _first_values(form: FormData) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            found.setdefault(clean(name), clean(value))
    return found


def clean(text: str) -> str:
    """`text` with \\n as its line ends and without controls, surrogates and byte order marks."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def lines(text: str) -> list[str]:
    """The lines that hold something, trimmed, each once."""
    trimmed = (" ".join(line.split()) for line in text.splitlines())
    return list(dict.fromkeys(line for line in trimmed if line))


class _Bounded:
    """A body of at most LARGEST bytes, whether or not it says its length."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self._left = LARGEST
        said = request.headers.get("content-length", "0")
        if not said.isascii() or not said.isdigit() or int(said[:12]) > LARGEST:
            self._left = -1

    async def __call__(self) -> Message:
        if self._left >= 0:
            message = await self._receive()
            self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413)
        return message
