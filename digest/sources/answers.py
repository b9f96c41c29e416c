"""What a server answered: read within its bounds, and told in one line where it is no good."""

from __future__ import annotations

import email.utils
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

import httpx

from digest.model import Verdict

_CHUNK = 65_536
_ERROR_BYTES = 65_536  # of an error page, read for its title


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request ended: OK with `body`, NOT_MODIFIED, or a verdict with its reason.

    `message` names host, cause and mend; `headers` have lower-case names; `retry_after` is what
    the server asked for, in seconds.
    """

    verdict: Verdict
    message: str = ""
    url: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    retry_after: float = 0.0

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OK

    @property
    def validators(self) -> dict[str, str]:
        """What makes the next request conditional: `etag`, `modified`."""
        found = {"etag": self.headers.get("etag"), "modified": self.headers.get("last-modified")}
        return {name: value[:500] for name, value in found.items() if value}


async def read(response: httpx.Response, url: str, max_bytes: int) -> Answer:
    """The answer with its body, or what is wrong with it."""
    status, host = response.status_code, httpx.URL(url).host
    headers = {name.lower(): value for name, value in response.headers.items()}
    if status == HTTPStatus.NOT_MODIFIED:
        return Answer(Verdict.NOT_MODIFIED, "", url, status, headers)
    if 300 <= status < 400:
        return Answer(Verdict.HTTP_ERROR, f"{host} redirects nowhere", url, status, headers)
    if not 200 <= status < 300:
        page, _ = await _body(response, _ERROR_BYTES)
        message = f"{host} answered {status} {_phrase(status)}{_title(page)}: {_mend(status)}"
        wait = _retry_after(headers)
        return Answer(Verdict.HTTP_ERROR, message, url, status, headers, retry_after=wait)
    declared = headers.get("content-length", "")
    body, whole = b"", False
    if not (declared.isdigit() and int(declared) > max_bytes):
        body, whole = await _body(response, max_bytes)
    if not whole:
        large = f"{host} sent more than {max_bytes:,} bytes: raise max_bytes if that is right"
        return Answer(Verdict.TOO_LARGE, large, url, status, headers)
    return Answer(Verdict.OK, "", url, status, headers, body)


async def _body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """(the body, decompressed; whether that is all of it). Never holds more than `limit` bytes:
    what is compressed a thousandfold is unpacked in small steps."""
    if response.is_stream_consumed:  # a transport that answers from memory
        return response.content[:limit], len(response.content) <= limit
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise httpx.DecodingError(f"answered in {encoding}, which was not asked for")
    unpack = zlib.decompressobj(31) if "gzip" in encoding else None
    body = bytearray()
    async for chunk in response.aiter_raw(_CHUNK):
        body += _unpacked(unpack, chunk, limit + 1 - len(body)) if unpack else chunk
        if len(body) > limit:
            return bytes(body[:limit]), False
    if unpack and not unpack.eof:
        raise httpx.DecodingError("the compressed answer is cut off")
    return bytes(body), True


def _unpacked(unpack: zlib._Decompress, chunk: bytes, room: int) -> bytes:
    try:
        return unpack.decompress(chunk, max(1, room))
    except zlib.error as error:
        raise httpx.DecodingError(f"the compressed answer is damaged ({error})") from None


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait (RFC 9110, 10.2.3): a number, or a date against the answer's own date."""
    said = headers.get("retry-after", "").strip()
    if said.isdigit():
        return min(float(said[:9]), 7 * 86400.0)
    until, sent = _http_date(said), _http_date(headers.get("date", ""))
    if until is None or sent is None:
        return 0.0
    return min(max(0.0, (until - sent).total_seconds()), 7 * 86400.0)


def _http_date(said: str) -> datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(said)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(no such status)"


def _title(page: bytes) -> str:
    """What an error page calls itself."""
    found = re.search(rb"<title[^>]*>([^<]{1,200})", page, re.I)
    return f" ({' '.join(found[1].decode('utf-8', 'replace').split())})" if found else ""


def _mend(status: int) -> str:
    if status in {404, 410}:
        return "the address is gone, correct or remove the source"
    if status in {401, 403, 407, 451}:
        return "it does not let us in, ask its operator"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "it wants fewer requests, asked again later"
    if status >= 500:
        return "its trouble, asked again next time"
    return "it does not take our request, correct the source's address or options"


def cause(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, httpx.ConnectError):
        return f"cannot be reached ({said}): check the address and the network"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return f"broke off ({said}): is asked again next time"
    return f"{said}: is asked again next time"
