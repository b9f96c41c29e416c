"""The site as a process: a real socket, a real end."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import pytest
from starlette.types import Receive, Scope, Send

from digest.errors import Refused
from digest.web import listen, serve_site

PATIENCE = 20.0


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(scope["client"][0]).encode()})


@contextmanager
def serving(site: Any, **more: Any) -> Iterator[tuple[int, threading.Event, threading.Thread]]:
    """(port, stop event, the thread that serves)."""
    stop, listening = threading.Event(), listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    thread = threading.Thread(target=serve_site, args=(site, listening, stop), kwargs=more)
    thread.start()
    try:
        yield port, stop, thread
    finally:
        stop.set()
        thread.join(PATIENCE)


class Answer(NamedTuple):
    status: int
    server: str | None
    body: bytes


def ask(port: int, **headers: str) -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheader("server"), answer.read())


def test_it_answers_and_names_no_server() -> None:
    with serving(hello) as (port, _, _):
        answer = ask(port)
        assert (answer.status, answer.server) == (200, None)


def test_it_ends_when_the_event_is_set_and_frees_the_port() -> None:
    with serving(hello) as (port, stop, thread):
        assert ask(port).status == 200
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        listen("127.0.0.1", port).close()


def test_an_answer_that_was_begun_is_finished_before_the_end() -> None:
    asked, go = threading.Event(), threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        asked.set()
        await asyncio.to_thread(go.wait, PATIENCE)
        await hello(scope, receive, send)

    with serving(slow, grace=PATIENCE) as (port, stop, thread):
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(ask(port).status))
        asking.start()
        assert asked.wait(PATIENCE)
        stop.set()
        go.set()
        asking.join(PATIENCE)
        thread.join(PATIENCE)
        assert answers == [200]


def test_an_answer_that_never_comes_does_not_keep_it_from_ending() -> None:
    asked = threading.Event()

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        asked.set()
        await asyncio.Event().wait()

    with serving(never, grace=0.1) as (port, stop, thread):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert asked.wait(PATIENCE)
            stop.set()
            thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_visitor_who_says_nothing_does_not_keep_it_from_ending() -> None:
    with serving(hello, grace=0.1) as (port, stop, thread):
        with socket.create_connection(("127.0.0.1", port)):
            assert ask(port).status == 200
            stop.set()
            thread.join(PATIENCE)
        assert not thread.is_alive()


def test_it_leaves_the_signals_to_whoever_began_the_process() -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    stop = threading.Event()
    stop.set()
    serve_site(hello, listen("127.0.0.1", 0), stop)  # in this, the main thread
    assert before == signal.getsignal(signal.SIGTERM)


def test_a_proxy_on_this_machine_is_believed_about_its_client() -> None:
    with serving(hello) as (port, _, _):
        assert ask(port, **{"X-Forwarded-For": "203.0.113.9"}).body == b"203.0.113.9"


def test_a_proxy_that_is_not_named_is_not_believed() -> None:
    with serving(hello, forwarded_by="198.51.100.1") as (port, _, _):
        assert ask(port, **{"X-Forwarded-For": "203.0.113.9"}).body == b"127.0.0.1"


def test_a_port_in_use_is_named_with_the_mend() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"127.0.0.1:{port}: another program listens there"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("192.0.2.77", 8080, "192.0.2.77:8080: this machine has no such address"),
        ("no host at all", 8080, "no such host name"),
        ("a" * 300, 8080, "mend web.listen"),
    ],
)
def test_an_address_that_cannot_be_is_named(host: str, port: int, said: str) -> None:
    with pytest.raises(Refused, match=said):
        listen(host, port)


def test_it_listens_on_version_6_too() -> None:
    try:
        with listen("::1", 0) as listening:
            assert listening.family == socket.AF_INET6
    except Refused:
        with pytest.raises(OSError):
            socket.create_server(("::1", 0), family=socket.AF_INET6)
