"""Relays on loopback for benchmarks: Postfix's smtp-sink where it is installed, else sink.py; and
`Late`, which answers as a relay far away does."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPLIES = {b"EHLO": b"250-late\r\n250-8BITMIME%b\r\n250 SIZE 52428800\r\n", b"DATA": b"354 go\r\n"}
END = b"\r\n.\r\n"


def shared() -> Path:
    """The folder of real papers and tools; ends the program with a word where there is none."""
    path = Path(os.environ.get("DIGEST_SHARED") or HERE.parent.parent / "shared")
    if not (path / "data").is_dir():
        sys.exit("no shared data: put it beside the checkout as ../shared or set $DIGEST_SHARED")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def relay(delay: float = 0.0, *, pipelining: bool = True) -> Iterator[tuple[str, int]]:
    """(which relay, its port) of a server that takes everything and keeps nothing; with a delay
    (seconds) it is `Late`."""
    port = free_port()
    name, words = _late(port, delay, pipelining) if delay else _fast(port)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        _until_open(port, process)
        yield name, port
    finally:
        process.terminate()
        process.wait()


def _late(port: int, delay: float, pipelining: bool) -> tuple[str, list[str]]:
    begin = f"import sys; sys.path.insert(0, {str(HERE)!r}); import sinks"
    late = f"sinks.Late({port}, {delay}, {pipelining}).serve()"
    return "late", [sys.executable, "-c", f"{begin}; {late}"]


def _fast(port: int) -> tuple[str, list[str]]:
    where = os.environ.get("PATH", "") + ":/usr/sbin"
    if (postfix := shutil.which("smtp-sink", path=where)) is None:
        tool = str(shared() / "tools" / "sink.py")
        return "sink.py", [sys.executable, tool, "--port", str(port)]
    who = ["-u", "nobody"] if os.geteuid() == 0 else []
    return "smtp-sink", [postfix, *who, f"127.0.0.1:{port}", "1000"]


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    sys.exit(f"no relay came up on port {port}")


class Late:
    """A relay at a distance: whatever comes in one go is answered in one go, `delay` seconds after
    it was there. It keeps nothing, and never sleeps: a process that is woken is late by up to a
    millisecond, and would seem to be farther away than it says."""

    def __init__(self, port: int, delay: float, pipelining: bool) -> None:
        self._delay, self._offer = delay, b"\r\n250-PIPELINING" if pipelining else b""
        self._server = socket.create_server(("127.0.0.1", port), backlog=512)
        self._server.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._server, select.EPOLLIN)
        self._owed: deque[tuple[float, Client, bytes]] = deque()
        self._clients: dict[int, Client] = {}

    def serve(self) -> None:
        """For ever."""
        while True:
            ready, now = self._poll.poll(0), time.monotonic()
            for number, _ in ready:
                if client := self._clients.get(number):
                    self._hear(client, now)
                else:
                    self._greet(now)
            while self._owed and self._owed[0][0] <= time.monotonic():
                _, client, said = self._owed.popleft()
                with suppress(OSError):
                    client.socket.sendall(said)

    def _greet(self, now: float) -> None:
        connection, _ = self._server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[connection.fileno()] = client = Client(connection)
        self._poll.register(connection, select.EPOLLIN)
        self._owed.append((now + self._delay, client, b"220 late ESMTP\r\n"))

    def _hear(self, client: Client, now: float) -> None:
        try:
            data = client.socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(client.socket)
            del self._clients[client.socket.fileno()]
            client.socket.close()
        elif said := client.answers(data, self._offer):
            self._owed.append((now + self._delay, client, said))


class Client:
    """One conversation that a `Late` relay has."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket, self._body, self._rest = connection, False, b""

    def answers(self, data: bytes, offer: bytes) -> bytes:
        """The replies to what has come."""
        data, self._rest = self._rest + data, b""
        replies = []
        while data:
            mark = END if self._body else END[:2]
            if (end := data.find(mark)) < 0:
                self._rest = data[-4:] if self._body else data
                break
            replies.append(self._done() if self._body else self._reply(data[:end], offer))
            data = data[end + len(mark) :]
        return b"".join(replies)

    def _done(self) -> bytes:
        self._body = False
        return b"250 2.0.0 queued\r\n"

    def _reply(self, line: bytes, offer: bytes) -> bytes:
        verb = line[:4].upper()
        self._body = verb == b"DATA"
        reply = REPLIES.get(verb, b"250 2.1.0 ok\r\n")
        return reply % offer if verb == b"EHLO" else reply


async def bare(port: int, letters: int, size: int, lanes: int, pipelining: str) -> float:
    """Letters a second of a client that does nothing but what the protocol asks for: the same
    bytes again and again, nothing written or remembered. `pipelining` as in the settings."""
    body = b"x" * 78 + b"\r\n"
    data = body * (size // len(body)) + END[2:]
    commands = [b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n", b"DATA\r\n"]
    group = b"".join(commands)
    first = [(line, 1) for line in commands] if pipelining == "off" else [(group, 3)]
    each = [(data + group, 4)] if pipelining == "letters" else [(data, 1), *first]

    async def lane(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b"EHLO bare\r\n")
        while (await reader.readline())[3:4] == b"-":
            pass
        for said, replies in [*first, *each * (count - 1), (data, 1)]:
            writer.write(said)
            for _ in range(replies):
                await reader.readline()
        writer.close()

    begun = time.monotonic()
    await asyncio.gather(*(lane(letters // lanes) for _ in range(lanes)))
    return letters // lanes * lanes / (time.monotonic() - begun)
