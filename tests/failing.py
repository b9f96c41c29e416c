"""A small server on loopback that answers as it is told, or fails in one of the usual ways."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "AAAAAAAA"><!ENTITY b "&a;&a;&a;&a;">'
    b"]><rss version='2.0'><channel><title>&b;</title></channel></rss>"
)
ERROR_FEED = b"<rss version='2.0'><channel><title>Feed error for query</title></channel></rss>"
PAGE = b"<!doctype html><title>Just a moment...</title><p>Checking"


class Failing:
    """`answer` maps a path to the body; `fault` names how a request fails, and only those whose
    path has `where` in it."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer, self.fault, self.where = answer, "", ""
        failing = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                fault = failing.fault if failing.where in self.path else ""
                if not failing._fails(self, fault):
                    failing._send(self, 200, failing._body(self.path, fault))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _fails(self, handler: BaseHTTPRequestHandler, fault: str) -> bool:
        """True where that is all there is."""
        if fault == "hang":
            time.sleep(2)
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)  # close with a RST
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            handler.close_connection = True
            handler.wfile = handler.rfile  # nothing is flushed into the closed connection
        elif fault == "redirect_loop":
            self._send(handler, 302, b"", Location=handler.path)
        elif fault == "error_feed":
            self._send(handler, 400, ERROR_FEED)
        elif fault in {"http500", "http429", "gone"}:
            status = {"http500": 500, "http429": 429, "gone": 410}[fault]
            waits = {"Retry-After": "2"} if status == 429 else {}
            self._send(handler, status, b"no", **waits)
        elif fault == "slow":
            self._drip(handler, self.answer(handler.path).encode())
        else:
            return False
        return True

    def _body(self, path: str, fault: str) -> bytes:
        body = self.answer(path).encode("latin-1" if fault == "latin1" else "utf-8")
        changed = {
            "html": PAGE,
            "bomb": BOMB,
            "truncated": body[: len(body) * 2 // 3],
            "huge": body + b" " * 5_000_000,
        }
        return changed.get(fault, body)

    def _drip(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for at in range(20):
            handler.wfile.write(body[at : at + 1])
            handler.wfile.flush()
            time.sleep(0.1)

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str
    ) -> None:
        try:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:  # it went away; that is what some faults are for
            handler.close_connection = True
