"""The daemon as a process: a visitor becomes a reader, and no end is a bad end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commanding import ADA, HOUR, MONDAY, PAPERS, SAMPLE, Site, with_ada, with_papers
from relays import in_a_thread, letters_in, relay
from scripted_relay import ScriptedRelay

from digest.store import Database

DIGEST = (sys.executable, "-c", "from digest.cli import main; main()")
PATIENCE = 30.0  # seconds until a test gives up waiting
PROMISED = 15  # seconds in which SIGTERM ends the daemon
LANES = 2
WEEK = 7 * 24 * HOUR


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    """A site whose letters go to a relay, once there is one."""
    sqlite.dispose()
    made = Site(tmp_path)
    made.environment["DIGEST_SMTP__MAILDIR"] = ""
    return made


def configure(site: Site, port: int) -> Path:
    site.environment["DIGEST_SMTP__PORT"] = str(port)
    return site.write(
        "digest.toml",
        f'[site]\nurl = "http://digest.test"\n[database]\nurl = "sqlite:///{site.folder}/digest.db"\n'
        '[mail]\nfrom = "Paper Digest <digest@example.org>"\n'
        f"[smtp]\nport = {port}\nlanes = {LANES}\n"
        '[web]\nlisten = "127.0.0.1:0"\n',
    )


class Daemon:
    """`digest serve` in a process of its own, with its log in a file."""

    def __init__(self, site: Site, *words: str, now: datetime = MONDAY) -> None:
        self.log = site.folder / f"{len(list(site.folder.glob('*.log')))}.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")}
        held = {"DIGEST_NOW": now.isoformat(), "DIGEST_SECRET_KEY": "k" * 40}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*DIGEST, "serve", *words, "--config", str(site.folder / "digest.toml")],
                stderr=log,
                env={**kept, **held},
            )

    def says(self, pattern: str) -> re.Match[str]:
        """The first line of the log that this is found in, once there is one."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, self.log.read_text()
            return re.search(pattern, self.log.read_text())

        match = until(found)
        assert match, self.log.read_text()
        return match

    def ask(self, path: str, **form: str) -> tuple[int, str]:
        """(status, page): POST where there is a form."""
        port = self.says(r"the site answers at .*?(\d+)\)")[1]
        data = urllib.parse.urlencode(form).encode() if form else None
        if path.startswith("/c/") and not form:
            data = None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, PATIENCE) as answer:
            return answer.status, answer.read().decode()

    def ends(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PROMISED)


def until(look: Callable[[], Any]) -> Any:
    """What `look` sees as soon as it sees something; None where patience ends."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if seen := look():
            return seen
        pause.wait(0.05)
    return None


@contextmanager
def serving(site: Site, *words: str, now: datetime = MONDAY) -> Iterator[Daemon]:
    daemon = Daemon(site, *words, now=now)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait(PATIENCE)


def letters(site: Site) -> dict[str, str]:
    """{recipient: state} of every letter, as the command tells."""
    return {row["subscriber"]: row["state"] for row in site("delivery", "list", "--json").json}


# ---------------------------------------------------------------- from a visit to a letter


def test_a_visitor_confirms_by_mail_and_gets_a_letter(site: Site, shared: Path) -> None:
    box = site.folder / "box"
    with relay(maildir=box) as sink:
        configure(site, sink.port)
        with serving(site) as daemon:
            assert "trending" in daemon.ask("/")[1].lower()
            interests = "message passing, graph neural networks"
            asked, _ = daemon.ask("/subscribe", email=ADA, interests=interests, website="")
            assert until(lambda: sink.accepted)
            [letter] = letters_in(box)
            link = re.search(r"http://digest\.test(/c/\S+)", str(letter.get_body(("plain",))))
            assert link is not None
            assert site("subscriber", "show", ADA, "--json").json["state"] == "pending"
            pressed, page = daemon.ask(link[1], yes="yes")
            assert (asked, pressed, "You are in" in page) == (200, 200, True)
            assert daemon.ends() == 0
        site("paper", "import", PAPERS, now=MONDAY + HOUR)
        with serving(site, now=MONDAY + 2 * WEEK) as daemon:
            assert until(lambda: len(sink.accepted) == 2)
            assert daemon.ends() == 0
    subject = letters_in(box)[1]["Subject"]
    assert "Message Passing That Knows When to Stop" in subject


# ---------------------------------------------------------------- ends


def test_the_end_waits_for_letters_on_the_wire_and_begins_no_other(site: Site) -> None:
    for name in ("ines", "mira", "yusuf"):
        add = ("subscriber", "add", f"{name}@{name}.example", "--confirmed", "--profile")
        site(*add, SAMPLE / "mira.toml", now=MONDAY - WEEK)
    with_papers(site)
    had, go = threading.Semaphore(0), threading.Event()

    async def dot() -> str:
        had.release()
        await asyncio.to_thread(go.wait, PATIENCE)
        return "250 2.0.0 at last"

    with in_a_thread(ScriptedRelay({"dot": dot})) as hanging:
        configure(site, hanging.port)
        with serving(site, "--no-web") as daemon:
            for _ in range(LANES):
                assert had.acquire(timeout=PATIENCE), daemon.log.read_text()
            daemon.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                daemon.process.wait(0.5)
            go.set()
            assert daemon.process.wait(PROMISED) == 0
    assert sorted(letters(site).values()) == ["accepted", "accepted", "queued"]


def test_after_a_kill_it_starts_again_and_knows_what_it_cannot_know(site: Site) -> None:
    with_ada(with_papers(site))
    had = threading.Event()

    async def dot() -> str:
        had.set()
        await asyncio.sleep(PATIENCE)
        return ""

    with in_a_thread(ScriptedRelay({"dot": [dot]})) as hanging:
        configure(site, hanging.port)
        with serving(site, "--no-web") as daemon:
            assert had.wait(PATIENCE), daemon.log.read_text()
            assert daemon.ends(signal.SIGKILL) == -signal.SIGKILL
        with serving(site) as daemon:
            assert daemon.ask("/readyz")[0] == 200
            assert until(lambda: letters(site) == {ADA: "unknown"})
            assert daemon.ends() == 0
        assert len(hanging.bodies) == 1


def test_two_daemons_on_one_database_send_every_letter_once(site: Site, shared: Path) -> None:
    with_papers(site)
    readers = [f"reader{number}@example.org" for number in range(20)]
    wish = {"cadence": "weekly", "interest": [{"name": "All", "query": "*"}]}
    rows = [
        {"email": email, "profile": wish, "confirmed_at": "2026-03-02T08:00:00Z"}
        for email in readers
    ]
    people = site.write("people.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert site("subscriber", "import", people).code == 0
    with relay(reply_delay=0.005) as sink, ExitStack() as stack:
        configure(site, sink.port)
        both = [stack.enter_context(serving(site, *words)) for words in ((), ("--no-web",))]
        assert until(lambda: len(sink.accepted) >= len(readers))
        assert [daemon.ends() for daemon in both] == [0, 0]
        accepted = Counter(row["rcpt"] for row in sink.accepted)
    assert accepted == Counter(readers)
    editions = site("edition", "list", "--limit", 0, "--json").json
    assert sorted(edition["subscriber"] for edition in editions) == sorted(readers)
    assert set(letters(site).values()) == {"accepted"}
