"""A delivering process for the tests to kill: `worker.py DATABASE PORT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from delivering import Policy, to, work

from digest.store import Database


async def main(url: str, port: int) -> None:
    policy = Policy(batch=20, ambiguous="hold")
    counts = await work(Database(url), to(port, lanes=4), policy=policy)
    print(counts)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
