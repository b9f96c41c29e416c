"""How soon an operator has an answer, among a million letters.

    python bench/answers.py [--letters 1000000]

Makes so many letters on SQLite, of which one in a thousand was not accepted, and types what an
operator would, in a process of its own each time. Prints JSON: seconds and CPU seconds of each
command, the medians of five; then the same where no letter at all was accepted; and, to compare,
of a list of nothing (`empty`): what a process takes to start. The mark is one second for each of
`delivery`; `over_empty_cpu_s` is what the slowest of them takes beyond the start.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import crowd

from digest.model import Content
from digest.store import Database

COMMANDS = (
    ("delivery", "list", "--not-accepted", "--json"),
    ("delivery", "list", "--not-accepted"),
    ("delivery", "list", "--state", "failed", "--json"),
    ("delivery", "list", "--state", "accepted", "--json"),
    ("delivery", "show", "1000", "--json"),
    ("edition", "passes", "--json"),
    ("edition", "list", "--json"),
)
REFUSED = {"reason": "bad_address", "code": 550, "text": "5.1.1 no such user"}
LATER = {"reason": "deferred", "code": 450, "text": "4.2.0 try later"}
TIMES = 5


def asked(config: Path, words: tuple[str, ...]) -> dict[str, Any]:
    """One command, typed five times."""
    begin = [str(Path(sys.executable).parent / "digest"), "--config", str(config)]
    rows, seconds, cpu = 0, [], []
    for _ in range(TIMES):
        begun, before = time.monotonic(), _cpu()
        done = subprocess.run([*begin, *words], capture_output=True, check=True)
        seconds.append(time.monotonic() - begun)
        cpu.append(_cpu() - before)
        rows = len(json.loads(done.stdout)) if "--json" in words else done.stdout.count(b"\n")
    found = {"rows": rows, "seconds": round(median(seconds), 3), "cpu_s": round(median(cpu), 3)}
    return {"command": " ".join(words), **found}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--letters", type=int, default=1_000_000)
    letters = parser.parse_args().letters
    from pipeline import NOW

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["DIGEST_SECRET_KEY"] = "benchmark"
        config = folder / "digest.toml"
        config.write_text(f'[database]\nurl = "sqlite:///{folder / "digest.db"}"\n')
        db = Database(f"sqlite:///{folder / 'digest.db'}")
        db.upgrade()
        empty = asked(config, COMMANDS[0])
        begun = time.monotonic()
        crowd.gather(db, letters, [Content(considered=5)], NOW, "accepted")
        ends = [{"state": "failed", "rest": 0, **REFUSED}, {"state": "queued", "rest": 7, **LATER}]
        crowd.end(db, [{"every": 2000, **end} for end in ends])
        made = round(time.monotonic() - begun, 1)
        few = [asked(config, words) for words in COMMANDS]
        crowd.end(db, [{"every": 1, "state": "queued", "rest": 0, **LATER}])
        all_ = [asked(config, words) for words in COMMANDS[:4]]
    slowest = max(row["cpu_s"] for row in (*few, *all_) if row["command"].startswith("delivery"))
    report = {
        "letters": letters,
        "made_in_s": made,
        "empty": empty,
        "few_not_accepted": few,
        "none_accepted": all_,
        "slowest_cpu_s": slowest,
        "over_empty_cpu_s": round(slowest - empty["cpu_s"], 3),
        "mark_s": 1.0,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
