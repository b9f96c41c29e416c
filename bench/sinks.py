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
from collections.abc import Iterator
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


class Late(asyncio.Protocol):
    """A relay at a distance: whatever comes in one go is answered in one go, `delay` seconds
    later. It costs as little CPU as it can, and keeps nothing."""

    def __init__(self, delay: float, pipelining: bool) -> None:
        self._delay, self._offer = delay, b"\r\n250-PIPELINING" if pipelining else b""
        self._body, self._tail = False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._answer(b"220 late ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        if self._body:
            self._tail, self._body = data[-4:], not data.endswith(END)
            if not self._body:
                self._tail = b""
                self._answer(b"250 2.0.0 queued\r\n")
            return
        lines = data.split(b"\r\n")
        self._tail = lines.pop()
        self._answer(b"".join(map(self._reply, lines)))

    def _reply(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        self._body = verb == b"DATA"
        reply = REPLIES.get(verb, b"250 2.1.0 ok\r\n")
        return reply % self._offer if verb == b"EHLO" else reply

    def _answer(self, replies: bytes) -> None:
        asyncio.get_running_loop().call_later(self._delay, self._transport.write, replies)


def serve(port: int, delay: float, pipelining: bool) -> None:
    """Be late, for ever."""

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Late(delay, pipelining), "127.0.0.1", port, backlog=512)
        await asyncio.Event().wait()

    asyncio.run(forever())
