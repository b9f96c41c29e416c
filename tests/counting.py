"""A relay that counts, and a worker to kill: for what must neither be lost nor doubled."""

from __future__ import annotations

import asyncio
from collections import Counter
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from delivering import Policy, to, work
from scripted_relay import ScriptedRelay

from digest.store import Database

LANES = 4
FORKS = get_context("forkserver")  # imports once, so that a worker starts at once
FORKS.set_forkserver_preload(["digest.deliver", "digest.store", "digest.transports.smtp"])


def worker(db: Database, port: int, pipelining: str = "envelope") -> BaseProcess:
    """A process that sends what is due."""
    url = db.engine.url.render_as_string(hide_password=False)
    started = FORKS.Process(target=_send, args=(url, port, pipelining), daemon=True)
    started.start()
    return started


def _send(url: str, port: int, pipelining: str) -> None:
    policy = Policy(batch=20, ambiguous="hold")
    way = to(port, lanes=LANES, pipelining=pipelining)
    asyncio.run(work(Database(url), way, policy=policy))


def kill(started: BaseProcess) -> None:
    started.kill()
    started.join()


class Counting(ScriptedRelay):
    """Keeps the Message-ID of every letter whose final dot it has read."""

    async def _act(self, step, writer):
        if step in {"RCPT", "dot"}:
            await asyncio.sleep(0.002)
        await super()._act(step, writer)

    def accepted(self) -> Counter[bytes]:
        return Counter(
            line
            for body in self.bodies
            for line in body.split(b"\r\n")
            if line.startswith(b"Message-ID")
        )
