"""Real SMTP servers on loopback, beside tests that are not asynchronous themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any


@contextmanager
def in_a_thread(server: Any) -> Iterator[Any]:
    """An asynchronous server (one to enter with `async with`) that runs beside the test."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with server:
            ready.set()
            await done.wait()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:  # a reply that somebody still waits for
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()


def relay(**options: Any) -> AbstractContextManager[Any]:
    """A Sink: `.port`, `.accepted`. `options` are its own. Needs the fixture `shared`, which puts
    the tools on the path."""
    from sink import Sink

    return in_a_thread(Sink(**options))


def letters_in(maildir: Path) -> list[EmailMessage]:
    """What a Sink kept, in the order it came."""
    files = sorted((maildir / "new").iterdir(), key=lambda path: path.name)
    return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
