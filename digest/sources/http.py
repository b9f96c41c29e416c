"""The one door to the network for sources: polite, bounded, and it answers instead of raising.

Manners: conditional GET, Retry-After, a minimal interval for each host shared by all sources, a
User-Agent that names the site. Bounds: seconds in all (a server that drips is cut off too), bytes
after decompression, five redirects. Private addresses are refused for URLs that did not come from
the operator, those of a redirect too, and the address that was checked is the one that is asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx

from digest import __version__
from digest.model import Verdict
from digest.sources import SourceSpec
from digest.sources.answers import Answer, cause, read

ANY = "*"  # a host that has no interval of its own: requests may run beside each other
INTERVALS: Mapping[str, float] = {
    "export.arxiv.org": 3.0,  # one request every three seconds, says the API's manual
    "oaipmh.arxiv.org": 3.0,
    "rss.arxiv.org": 1.0,
    "connect.biorxiv.org": 1.0,
    "connect.medrxiv.org": 1.0,
    "api.biorxiv.org": 1.0,
    "eutils.ncbi.nlm.nih.gov": 0.4,  # three requests a second without a key
    "api2.openreview.net": 1.0,
    "huggingface.co": 0.5,
    ANY: 0.5,
}
MAX_REDIRECTS = 5
JITTER = 0.3  # of an interval that it may be longer, so that many sites do not ask in step
_LOOPBACK = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}

PRIVATE = "{host} is an address of a private network: only the operator may name it"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to the IP addresses they stand for."""


class Web:
    """`async with Web(site_url=...) as web: answer = await web.get(url, spec)`.

    `intervals`: seconds between two requests to a host, or to ANY other but this machine;
    `transport` and `resolve` replace the network and DNS; `jitter` gives numbers in [0, 1).
    """

    def __init__(
        self,
        site_url: str = "",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        intervals: Mapping[str, float] = INTERVALS,
        resolve: Resolve | None = None,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> None:
        where = f" (+{site_url})" if site_url else ""
        self.user_agent = f"PaperDigest/{__version__}{where}"
        self._transport = transport
        self._intervals = intervals
        self._resolve = resolve or _resolve
        self._jitter = jitter
        self._client: httpx.AsyncClient | None = None
        self._turns: dict[str, asyncio.Lock] = {}
        self._free_at: dict[str, float] = {}
        self._patient_until: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._client is not None:
            await self._client.aclose()
        self._client = None
        self._turns.clear()

    async def get(
        self, url: str, spec: SourceSpec, validators: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask once, within `spec.timeout` seconds and `spec.max_bytes`. Never raises for what a
        server does. `validators`: a cursor with `etag` or `modified`."""
        try:
            host = httpx.URL(url).host
        except (httpx.InvalidURL, TypeError, ValueError) as error:
            return Answer(Verdict.REFUSED, f"{url[:200]}: no web address: {error}", url)
        async with self._turn(host):
            wait = self._patience(url)
            if wait > spec.timeout:
                asked = f"{host} asked us to wait; {wait:.0f} s are left: asked again after that"
                return Answer(Verdict.HTTP_ERROR, asked, url, retry_after=wait)
            await asyncio.sleep(wait)
            try:
                async with asyncio.timeout(spec.timeout):
                    return await self._patiently(url, spec, _conditions(validators or {}))
            except (TimeoutError, httpx.TimeoutException):
                slow = f"{host} did not answer within {spec.timeout:g} s: is asked again next time"
                return Answer(Verdict.TIMEOUT, slow, url)
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
                return Answer(Verdict.HTTP_ERROR, f"{host}: {cause(error)}", url)

    @asynccontextmanager
    async def _turn(self, host: str) -> AsyncIterator[None]:
        """Our turn at a host that has an interval: one request at a time, and rests between."""
        loop = asyncio.get_running_loop()
        if host not in self._intervals:
            start = max(loop.time(), self._free_at.get(host, 0.0))
            self._free_at[host] = start + self._rest(host)
            await asyncio.sleep(max(0.0, start - loop.time()))
            yield
            return
        async with self._turns.setdefault(host, asyncio.Lock()):
            await asyncio.sleep(max(0.0, self._free_at.get(host, 0.0) - loop.time()))
            try:
                yield
            finally:
                self._free_at[host] = loop.time() + self._rest(host)

    def _rest(self, host: str) -> float:
        """Seconds until the next request to this host may begin."""
        any_other = 0.0 if _is_loopback(host) else self._intervals.get(ANY, 0.0)
        return self._intervals.get(host, any_other) * (1 + JITTER * self._jitter())

    def waits(self) -> dict[str, float]:
        """{address: seconds for which its server wants it left alone}, for the next process."""
        now = asyncio.get_running_loop().time()
        return {url: at - now for url, at in self._patient_until.items() if at > now}

    def wait(self, waits: Mapping[str, float]) -> None:
        """Leave these addresses alone for so many seconds: a server asked a process before us."""
        now = asyncio.get_running_loop().time()
        self._patient_until.update({url: now + seconds for url, seconds in waits.items()})

    def _patience(self, url: str) -> float:
        """Seconds for which the server wants this address (whatever its query) left alone."""
        until = self._patient_until.get(url.partition("?")[0], 0.0)
        return max(0.0, until - asyncio.get_running_loop().time())

    async def _patiently(self, url: str, spec: SourceSpec, headers: dict[str, str]) -> Answer:
        """Ask; where the server wants us to wait a little, wait and ask once more."""
        answer = await self._follow(url, spec, headers)
        if answer.retry_after and answer.retry_after < spec.timeout / 2:
            await asyncio.sleep(answer.retry_after)
            answer = await self._follow(url, spec, headers)
        if answer.retry_after:
            until = asyncio.get_running_loop().time() + answer.retry_after
            self._patient_until[url.partition("?")[0]] = until
        return answer

    async def _follow(self, url: str, spec: SourceSpec, headers: dict[str, str]) -> Answer:
        named = url
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask(url, spec, headers, named)
            if not (300 <= answer.status < 400 and "location" in answer.headers):
                return answer
            url = urljoin(url, answer.headers["location"])
        host = httpx.URL(url).host
        lost = f"{host} redirected more than {MAX_REDIRECTS} times: correct the source's address"
        return Answer(Verdict.HTTP_ERROR, lost, url)

    async def _ask(self, url: str, spec: SourceSpec, headers: dict[str, str], named: str) -> Answer:
        """`named`: the address that the source has, from which a redirect may lead elsewhere."""
        target = httpx.URL(url)
        if target.scheme not in {"http", "https"} or not target.host:
            return Answer(Verdict.REFUSED, f"{url[:200]}: only http and https are asked", url)
        request = self._opened().build_request("GET", target, headers=headers)
        if not spec.trusted:
            refused = await self._pin(request)
        else:
            refused = await self._strays(target, httpx.URL(named))
        if refused:
            return Answer(Verdict.REFUSED, refused, url)
        response = await self._opened().send(request, stream=True)
        try:
            return await read(response, url, spec.max_bytes)
        finally:
            await response.aclose()

    async def _pin(self, request: httpx.Request) -> str:
        """Send `request` to an address that was checked; why it is refused, if it is. The name
        is not looked up again, so that it cannot come to mean another machine in between."""
        url = request.url
        addresses = await self._addresses(url)
        if not _are_public(addresses):
            return PRIVATE.format(host=url.host)
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=addresses[0])  # the Host header is set already
        return ""

    async def _strays(self, target: httpx.URL, named: httpx.URL) -> str:
        """Why a redirect from the operator's address is not followed, if it is not: a server out
        there must not send us into the private network. One that is in there itself may."""
        if target.host == named.host:
            return ""
        try:
            inside = not _are_public(await self._addresses(target))
            strays = inside and _are_public(await self._addresses(named))
        except OSError:  # the name is a proxy's to look up
            return ""
        return PRIVATE.format(host=target.host) if strays else ""

    async def _addresses(self, url: httpx.URL) -> Sequence[str]:
        return await self._resolve(url.host, url.port or (443 if url.scheme == "https" else 80))

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport,
                mounts={} if self._transport else _LOOPBACK,  # never through a proxy
                headers={"User-Agent": self.user_agent, "Accept-Encoding": "gzip"},
                timeout=httpx.Timeout(None, connect=30.0),
                follow_redirects=False,
            )
        return self._client


def _is_loopback(host: str) -> bool:
    return f"all://{host}" in _LOOPBACK or f"all://[{host}]" in _LOOPBACK


def _are_public(addresses: Sequence[str]) -> bool:
    return bool(addresses) and all(map(is_public, addresses))


def is_public(address: str) -> bool:
    """True where `address` is a machine of the open internet."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


async def _resolve(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


def _conditions(validators: Mapping[str, str]) -> dict[str, str]:
    names = {"etag": "If-None-Match", "modified": "If-Modified-Since"}
    return {header: validators[name] for name, header in names.items() if validators.get(name)}
