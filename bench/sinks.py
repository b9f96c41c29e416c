"""Relays on loopback for benchmarks: Postfix's smtp-sink where it is installed, else sink.py; and
`Late`, which answers as a relay far away does."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    return "late", [sys.executable, "-c", f"{begin}; sinks.serve({port}, {delay}, {pipelining})"]


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


class Delay:
    """Calls back after so many seconds, on average: a loop wakes up late, by half a millisecond
    and more, and would seem to be a relay that is farther away."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._late = seconds, 0.0

    def then(self, write: Callable[[bytes], object], data: bytes) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._seconds

        def call() -> None:
            write(data)
            self._late += (loop.time() - due) / 20

        loop.call_at(due - self._late, call)


class Late(asyncio.Protocol):
    """A relay at a distance: whatever comes in one go is answered in one go, after `delay`. It
    costs as little CPU as it can, and keeps nothing."""

    def __init__(self, delay: Delay, pipelining: bool) -> None:
        self._delay, self._offer = delay, b"\r\n250-PIPELINING" if pipelining else b""
        self._body, self._tail = False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._answer(b"220 late ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        data, self._tail = self._tail + data, b""
        replies = []
        while data:
            mark = END if self._body else END[:2]
            if (end := data.find(mark)) < 0:
                self._tail = data[-4:] if self._body else data
                break
            replies.append(self._done() if self._body else self._reply(data[:end]))
            data = data[end + len(mark) :]
        if replies:
            self._answer(b"".join(replies))

    def _done(self) -> bytes:
        self._body = False
        return b"250 2.0.0 queued\r\n"

    def _reply(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        self._body = verb == b"DATA"
        reply = REPLIES.get(verb, b"250 2.1.0 ok\r\n")
        return reply % self._offer if verb == b"EHLO" else reply

    def _answer(self, replies: bytes) -> None:
        self._delay.then(self._transport.write, replies)


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


def serve(port: int, delay: float, pipelining: bool) -> None:
    """Be late, for ever."""

    async def forever() -> None:
        loop, late = asyncio.get_running_loop(), Delay(delay)
        await loop.create_server(lambda: Late(late, pipelining), "127.0.0.1", port, backlog=512)
        await asyncio.Event().wait()

    asyncio.run(forever())
