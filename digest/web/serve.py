"""uvicorn, told when to end by an event that the workers share. It installs no signal handlers."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from digest.errors import Refused

log = logging.getLogger("digest.web")

BACKLOG = 512  # connections that may wait to be taken
CONNECTIONS = 400  # at once; more are answered 503
LOOK = 0.1  # seconds between two looks at the stop event


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there (port 0: any free one). Raises Refused that names the address
    and the mend, before anything else was begun."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        raise Refused(f"web.listen {where}: {_mend(error)}", subject=where) from None


def serve_site(
    site: ASGIApp,
    listening: socket.socket,
    stop: threading.Event,
    *,
    grace: float = 4.0,
    forwarded_by: str | None = None,
) -> None:
    """Answer requests until `stop` is set; then take no more, finish those that are being
    answered within `grace` seconds, and return. Closes the socket.

    `forwarded_by`: proxies whose X-Forwarded-For is believed, commas between (None: what
    $FORWARDED_ALLOW_IPS says, else those on loopback).
    """
    server = _Server(
        uvicorn.Config(
            site,
            access_log=False,  # an address of a page may hold a token
            log_config=None,
            log_level="warning",
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=max(1, round(grace)),
            forwarded_allow_ips=forwarded_by,
        )
    )
    with listening:
        log.info("the site answers at %s", listening.getsockname()[:2])
        asyncio.run(_until(server, listening, stop))


async def _until(server: uvicorn.Server, listening: socket.socket, stop: threading.Event) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not stop.is_set() and not serving.done():
        await asyncio.sleep(LOOK)
    server.should_exit = True
    await serving


class _Server(uvicorn.Server):
    """Leaves signals to whoever began the process: site and workers end together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _mend(error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return "another program listens there; end it, or give web.listen another port"
        case errno.EACCES | errno.EPERM:
            return "no right to listen there; give web.listen a port from 1024 up"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; 127.0.0.1 or 0.0.0.0 may be meant"
    if isinstance(error, socket.gaierror):
        return "no such host name; 127.0.0.1 or 0.0.0.0 may be meant"
    return f"{error}; mend web.listen"
