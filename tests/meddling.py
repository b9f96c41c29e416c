"""Somebody between a client and an IMAP server, who cuts, refuses or keeps silent at a word."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

WORDS = ("LOGIN", "SELECT", "SEARCH", "FETCH", "STORE", "EXPUNGE")


@contextmanager
def meddler(port: int, word: str, way: str, time: int = 1) -> Iterator[int]:
    """The port of one who passes on all that is said to `port`, but for the `time`-th command with
    this `word`: `cut` before the server hears it, `cut after` it has answered, `refuse` in its
    name, or keep `silent`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_meddle, args=(listening, port, word, way, time))
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def _meddle(listening: socket.socket, port: int, word: str, way: str, time: int) -> None:
    client, _ = listening.accept()
    server = socket.create_connection(("127.0.0.1", port))
    with client, server, suppress(OSError):
        heard, said = client.makefile("rb"), server.makefile("rb")
        client.sendall(said.readline())  # the greeting
        left = time
        for line in heard:
            left -= word.encode() in line
            odd = left == 0 and word.encode() in line
            if odd and way == "cut":
                return
            if odd and way == "silent":
                continue
            if odd and way == "refuse":
                client.sendall(line.split()[0] + b" NO [SERVERBUG] not this one\r\n")
                continue
            server.sendall(line)
            answer = _answer(said, line.split()[0])
            if odd and way == "cut after":
                return
            client.sendall(answer)


def _answer(said: object, tag: bytes) -> bytes:
    """All that a server says up to the end of a command, literals included."""
    lines: list[bytes] = []
    while not lines or not lines[-1].startswith(tag):
        line = said.readline()  # type: ignore[attr-defined]
        if not line:
            break
        lines.append(line)
        if line.endswith(b"}\r\n"):
            number = int(line.rpartition(b"{")[2][:-3])
            lines.append(said.read(number))  # type: ignore[attr-defined]
            lines.append(said.readline())  # type: ignore[attr-defined]
    return b"".join(lines)
