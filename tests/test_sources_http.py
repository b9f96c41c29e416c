"""The door to the network: polite, bounded, and it answers instead of raising."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import httpx
import pytest
from replaying import run, spec, web_of

from digest import __version__
from digest.model import Verdict
from digest.sources.answers import Answer
from digest.sources.http import ANY, JITTER, Web, is_public

URL = "https://feeds.example/rss"


def get(
    web: Web, url: str = URL, validators: dict[str, str] | None = None, **bounds: object
) -> Answer:
    async def asked() -> Answer:
        async with web:
            return await web.get(url, spec(**bounds), validators)

    return run(asked())


def answering(*responses: httpx.Response) -> tuple[Web, list[httpx.Request]]:
    """A Web that gives these responses in turn, the last one for ever, and what it was asked."""
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return responses[min(len(asked), len(responses)) - 1]

    return web_of(handler), asked


class Stream(httpx.AsyncByteStream):
    """A body that comes in pieces and counts how many were taken."""

    def __init__(self, pieces: Sequence[bytes], pause: float = 0.0) -> None:
        self.pieces, self.pause, self.taken = pieces, pause, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(self.pause)
            self.taken += 1
            yield piece


def test_we_say_who_we_are_and_where_to_complain() -> None:
    web, asked = answering(httpx.Response(200, content=b"x"))
    assert get(web).body == b"x"
    assert asked[0].headers["user-agent"] == f"PaperDigest/{__version__} (+https://digest.example)"


def test_what_did_not_change_is_not_sent_again() -> None:
    web, asked = answering(httpx.Response(200, headers={"ETag": '"1"', "Last-Modified": "then"}))
    validators = get(web).validators
    assert validators == {"etag": '"1"', "modified": "then"}
    web, asked = answering(httpx.Response(304))
    assert get(web, validators=validators).verdict is Verdict.NOT_MODIFIED
    assert asked[0].headers["if-none-match"] == '"1"'
    assert asked[0].headers["if-modified-since"] == "then"


def test_redirects_are_followed_and_the_last_address_is_told() -> None:
    web, _ = answering(httpx.Response(301, headers={"location": "/new"}), httpx.Response(200))
    answer = get(web)
    assert (answer.verdict, answer.url) == (Verdict.OK, "https://feeds.example/new")


def test_redirects_without_end_are_given_up() -> None:
    web, asked = answering(httpx.Response(302, headers={"location": URL}))
    answer = get(web)
    assert answer.verdict is Verdict.HTTP_ERROR
    assert "feeds.example redirected more than 5 times" in answer.message
    assert len(asked) == 6


def test_a_redirect_to_another_protocol_is_refused() -> None:
    web, _ = answering(httpx.Response(302, headers={"location": "file:///etc/passwd"}))
    assert get(web).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    "url", ["ftp://x.org/a", "file:///etc/passwd", "nonsense", "http://", "http://x:y/"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    web, asked = answering(httpx.Response(200))
    assert get(web, url).verdict is Verdict.REFUSED
    assert asked == []


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        (410, "the address is gone"),
        (403, "it does not let us in"),
        (500, "asked again next time"),
        (400, "correct the source's address"),
        (999, "asked again next time"),
    ],
)
def test_an_error_names_host_status_and_mend(status: int, mend: str) -> None:
    page = b"<html><head><title>Feed error for\n query</title>"
    web, _ = answering(httpx.Response(status, content=page))
    answer = get(web)
    assert answer.verdict is Verdict.HTTP_ERROR
    assert answer.message.startswith(f"feeds.example answered {status}")
    assert "(Feed error for query)" in answer.message
    assert mend in answer.message


def test_a_short_wait_that_is_asked_for_is_kept_and_then_we_ask_once_more() -> None:
    web, asked = answering(
        httpx.Response(429, headers={"Retry-After": "1"}), httpx.Response(200, content=b"now")
    )
    assert get(web, timeout=10).body == b"now"
    assert len(asked) == 2


def test_a_long_wait_that_is_asked_for_is_kept_without_asking() -> None:
    web, asked = answering(httpx.Response(503, headers={"Retry-After": "3600"}))

    async def twice() -> tuple[Answer, Answer]:
        async with web:
            return await web.get(URL, spec()), await web.get(URL, spec())

    first, second = run(twice())
    assert first.retry_after == 3600
    assert (second.verdict, len(asked)) == (Verdict.HTTP_ERROR, 1)
    assert "asked us to wait" in second.message


def test_a_wait_until_a_date_counts_from_the_servers_own_clock() -> None:
    headers = {
        "Date": "Mon, 15 Sep 2025 12:00:00 GMT",
        "Retry-After": "Mon, 15 Sep 2025 12:10:00 GMT",
    }
    web, _ = answering(httpx.Response(429, headers=headers))
    assert get(web).retry_after == 600


def test_nobody_answers_within_the_time_for_the_whole() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    answer = get(web_of(hang), timeout=0.05)
    assert answer.verdict is Verdict.TIMEOUT
    assert "feeds.example did not answer within 0.05 s" in answer.message


def test_a_server_that_drips_is_cut_off_too() -> None:
    drip = Stream([b"x"] * 1000, pause=0.02)
    web, _ = answering(httpx.Response(200, stream=drip))
    assert get(web, timeout=0.1).verdict is Verdict.TIMEOUT
    assert drip.taken < 50


def test_no_more_is_read_than_may_come() -> None:
    flood = Stream([b"x" * 1000] * 1000)
    web, _ = answering(httpx.Response(200, stream=flood))
    answer = get(web, max_bytes=5000)
    assert answer.verdict is Verdict.TOO_LARGE
    assert "raise max_bytes" in answer.message
    assert flood.taken < 100


def test_a_length_that_is_announced_as_too_much_is_not_read_at_all() -> None:
    flood = Stream([b"x" * 1000] * 1000)
    web, _ = answering(httpx.Response(200, headers={"content-length": "1000000"}, stream=flood))
    assert get(web, max_bytes=5000).verdict is Verdict.TOO_LARGE
    assert flood.taken == 0


def gzipped(body: bytes) -> httpx.Response:
    return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Stream([body]))


def test_a_compressed_answer_is_unpacked() -> None:
    web, _ = answering(gzipped(gzip.compress(b"feed" * 1000, mtime=0)))
    assert get(web).body == b"feed" * 1000


def test_a_bomb_is_unpacked_no_further_than_its_bound() -> None:
    web, _ = answering(gzipped(gzip.compress(bytes(50_000_000))))
    assert get(web, max_bytes=100_000).verdict is Verdict.TOO_LARGE


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"feed" * 1000, mtime=0)[:-20]], ids=["none", "cut"]
)
def test_a_damaged_compressed_answer_is_an_error(body: bytes) -> None:
    web, _ = answering(gzipped(body))
    assert get(web).verdict is Verdict.HTTP_ERROR


def test_an_encoding_nobody_asked_for_is_an_error() -> None:
    web, _ = answering(
        httpx.Response(200, headers={"content-encoding": "br"}, stream=Stream([b"x"]))
    )
    assert "not asked for" in get(web).message


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_broken_connection_is_an_error_with_the_host(error: type[httpx.RequestError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("no route")

    answer = get(web_of(fail))
    assert answer.verdict is Verdict.HTTP_ERROR
    assert answer.message.startswith("feeds.example: ")
    assert "no route" in answer.message


def resolving(*addresses: str) -> tuple[Web, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return web_of(handler, resolve=resolve), asked


PRIVATE = """127.0.0.1 10.0.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 0.0.0.0 ::1 fd00::1
fe80::1%eth0 ::ffff:127.0.0.1 2002:7f00:1:: not-an-address"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_private_addresses_are_refused_for_urls_of_strangers(address: str) -> None:
    web, asked = resolving("8.8.8.8", address)
    answer = get(web, trusted=False)
    assert (answer.verdict, asked) == (Verdict.REFUSED, [])
    assert "only the operator may name it" in answer.message
    assert not is_public(address)


def test_the_address_that_was_checked_is_the_one_that_is_asked() -> None:
    web, asked = resolving("93.184.215.14")
    assert get(web, trusted=False).verdict is Verdict.OK
    assert asked[0].url.host == "93.184.215.14"
    assert asked[0].headers["host"] == "feeds.example"
    assert asked[0].extensions["sni_hostname"] == "feeds.example"


def test_the_operators_own_urls_may_be_private() -> None:
    web, asked = resolving("127.0.0.1")
    assert get(web).verdict is Verdict.OK
    assert asked[0].url.host == "feeds.example"


@pytest.mark.parametrize(
    ("named", "target", "verdict"),
    [
        ("8.8.8.8", "169.254.169.254", "refused"),
        ("8.8.8.8", "127.0.0.1", "refused"),
        ("8.8.8.8", "9.9.9.9", "ok"),
        ("10.0.0.1", "10.0.0.2", "ok"),  # a mirror in the operator's own network
        ("8.8.8.8", "", "ok"),  # whose name only the proxy can look up
    ],
)
def test_a_server_out_there_cannot_send_us_into_the_private_network(
    named: str, target: str, verdict: str
) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        address = named if host == "feeds.example" else target
        if not address:
            raise OSError("no such name")
        return [address]

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "feeds.example":
            return httpx.Response(302, headers={"location": "http://other.example/latest"})
        return httpx.Response(200)

    assert get(web_of(handler, resolve=resolve)).verdict == verdict


def test_requests_to_any_other_host_begin_one_after_the_other_and_run_beside_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests: list[float] = []
    under_way = asyncio.Barrier(3)

    async def rest(seconds: float) -> None:
        if seconds > 0:  # the first need not wait
            rests.append(seconds)

    async def handler(request: httpx.Request) -> httpx.Response:
        await under_way.wait()  # all three are asked before one is answered
        return httpx.Response(200)

    async def thrice() -> list[Answer]:
        async with web_of(handler, intervals={ANY: 6000.0}) as web:
            return await asyncio.gather(*(web.get(URL, spec()) for _ in range(3)))

    monkeypatch.setattr("digest.sources.http.asyncio.sleep", rest)
    assert [answer.verdict for answer in run(thrice())] == [Verdict.OK] * 3
    assert [round(seconds, -3) for seconds in rests] == [6000, 12_000]


def test_this_machine_is_asked_without_a_rest() -> None:
    web = Web(intervals={ANY: 60.0})
    assert [web._rest(host) for host in ("127.0.0.1", "localhost", "::1")] == [0.0] * 3
    assert web._rest("feeds.example") == 60.0


def test_a_host_with_an_interval_is_asked_one_at_a_time() -> None:
    begun: list[float] = []
    under_way = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)
        under_way -= 1
        return httpx.Response(200)

    async def thrice() -> list[Answer]:
        async with web_of(handler, intervals={"feeds.example": 0.1}) as web:
            return await asyncio.gather(*(web.get(URL, spec()) for _ in range(3)))

    assert [answer.verdict for answer in run(thrice())] == [Verdict.OK] * 3
    assert all(after - before >= 0.1 for before, after in pairwise(begun))


def test_other_hosts_do_not_wait_for_it() -> None:
    gate = asyncio.Event()

    async def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "slow.example":
            await gate.wait()
        else:
            gate.set()
        return httpx.Response(200)

    async def both() -> list[Answer]:
        async with web_of(handler, intervals={"slow.example": 5.0}) as web:
            urls = ["https://slow.example/", "https://fast.example/"]
            return await asyncio.gather(*(web.get(url, spec(timeout=5)) for url in urls))

    assert [answer.verdict for answer in run(both())] == [Verdict.OK, Verdict.OK]


def test_jitter_makes_the_rest_between_two_requests_longer() -> None:
    asked: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        return httpx.Response(200)

    async def twice() -> None:
        async with web_of(answer, intervals={"x.example": 0.05}, jitter=lambda: 1.0) as web:
            for _ in range(2):
                await web.get("https://x.example/", spec())

    run(twice())
    assert asked[1] - asked[0] >= 0.05 * (1 + JITTER)
