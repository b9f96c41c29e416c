"""Relays on loopback for benchmarks: Postfix's smtp-sink where it is installed, else sink.py."""

from __future__ import annotations

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
def relay(delay: float = 0.0) -> Iterator[tuple[str, int]]:
    """(which relay, its port) of a server that takes everything and keeps nothing; with a delay
    (seconds) before each reply it is sink.py."""
    port = free_port()
    postfix = not delay and shutil.which(
        "smtp-sink", path=os.environ.get("PATH", "") + ":/usr/sbin"
    )
    if postfix:
        who = ["-u", "nobody"] if os.geteuid() == 0 else []
        words = [postfix, *who, f"127.0.0.1:{port}", "1000"]
    else:
        words = [sys.executable, str(shared() / "tools" / "sink.py"), "--port", str(port)]
        words += ["--reply-delay", str(delay)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        _until_open(port, process)
        yield ("smtp-sink" if postfix else "sink.py", port)
    finally:
        process.terminate()
        process.wait()


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
