"""A letter goes out over SMTP, and what comes back for it is taken from its very bytes."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from commanding import ADA, Site, with_ada, with_papers
from returning import complaint_about, report_about

from digest.transports.catcher import Catcher, Caught


@contextmanager
def catching() -> Iterator[Catcher]:
    """A server in a thread of its own: commands want the main one for their signals."""
    loop, catcher = asyncio.new_event_loop(), Catcher()
    worker = threading.Thread(target=loop.run_forever)
    worker.start()

    def do(coroutine: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    do(catcher.__aenter__())
    try:
        yield catcher
    finally:
        do(catcher.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        worker.join()
        loop.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return with_ada(with_papers(Site(tmp_path)))


@pytest.fixture
def letter(site: Site) -> Caught:
    """The one letter that a run sends."""
    with catching() as catcher:
        site.environment |= {
            "DIGEST_SMTP__MAILDIR": "",
            "DIGEST_SMTP__PORT": str(catcher.port),
            "DIGEST_MAIL__BOUNCE_DOMAIN": "bounces.example.org",
        }
        done = site("run")
    assert done.code == 0, done.err
    [caught] = catcher.caught
    return caught


def test_a_bounce_to_the_envelopes_sender_stops_the_address(site: Site, letter: Caught) -> None:
    site.write("back.eml", report_about(letter.sender, letter.recipients[0], letter.raw))
    told = site("bounce", "process", site.folder / "back.eml", "--json").json
    assert [(one["weight"], one["effect"]) for one in told["reports"]] == [("hard", "suppressed")]
    [stopped] = site("suppression", "list", "--json").json
    assert (stopped["address"], stopped["reason"]) == (ADA, "bounced")
    [row] = site("delivery", "list", "--json").json
    assert (row["state"], row["reason"]) == ("bounced", "hard")


def test_the_headers_that_come_back_are_enough(site: Site, letter: Caught) -> None:
    raw = report_about("digest@example.org", letter.recipients[0], letter.raw)
    site.write("back.eml", raw)
    site("bounce", "process", site.folder / "back.eml")
    assert len(site("suppression", "list", "--json").json) == 1


def test_the_letters_own_address_for_goodbyes_unsubscribes(site: Site, letter: Caught) -> None:
    header = message_from_bytes(letter.raw)["List-Unsubscribe"]
    [to] = re.findall(r"<mailto:([^?>]+)", header)
    site.write("bye.eml", f"From: {ADA}\nTo: {to}\nSubject: unsubscribe\n\n".encode())
    site("bounce", "process", site.folder / "bye.eml")
    [person] = site("subscriber", "list", "--json").json
    assert (person["state"], person["reason"]) == ("ended", "unsubscribed")


def test_a_complaint_with_the_letter_ends_the_subscription(site: Site, letter: Caught) -> None:
    site.write("spam.eml", complaint_about(letter.raw))
    site("bounce", "process", site.folder / "spam.eml")
    [person] = site("subscriber", "list", "--json").json
    assert (person["state"], person["reason"]) == ("ended", "complained")
