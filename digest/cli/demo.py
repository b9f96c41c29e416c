"""`digest demo`: the whole house in one go, on embedded defaults, with letters to look at."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.options import Command, example
from digest.cli.output import say
from digest.errors import Refused

if TYPE_CHECKING:
    from digest.app import App
    from digest.model import SourceReport
    from digest.transports.catcher import Caught

PATIENCE = 8.0  # seconds that real sources may take before our own sample is used
ENOUGH = 3  # letters that a demo shows at least
MARK = ".digest-demo"  # only a folder that a demo made is ever emptied
TOPICS = ["cs.LG", "cs.CL", "cs.SI", "q-bio.GN", "q-bio.BM", "q-bio.QM"]  # of the sample's readers
SAMPLE = files("digest.cli") / "sample"


def demo(
    folder: Annotated[Path, typer.Option(help="Where to put everything.")] = Path("demo"),
    offline: Annotated[bool, typer.Option("--offline", help="Use our own sample.")] = False,
) -> int:
    """See what you would get: sources, people, letters by SMTP."""
    _clear(folder)
    log = logging.getLogger("digest")
    before = log.level
    log.setLevel(logging.ERROR)  # what a source does wrong is told with its stage
    try:
        return asyncio.run(_demo(folder, offline))
    finally:
        log.setLevel(before)


def _clear(folder: Path) -> None:
    if folder.exists() and not (folder / MARK).exists():
        raise Refused(f"{folder} is there and no demo made it; name another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


async def _demo(folder: Path, offline: bool) -> int:
    from digest.app import held_clock, wall_clock
    from digest.render.words import counted
    from digest.transports.catcher import Catcher

    now = wall_clock()
    async with Catcher(folder / "letters") as catcher:
        app = _app(folder, catcher.port, now)
        say(f"1/5 set up      {folder / 'digest.db'}, a secret, an SMTP server on loopback")
        await _papers(app, _people(app, now), offline)
        app.clock = held_clock(now)
        made = app.publish()
        say(f"4/5 published   {counted(made.queued, 'edition')}{_skips(made.skipped)}")
        counts = await app.deliver()
        app.close()
    sent = counts.get("accepted", 0)
    say(f"5/5 delivered   {counted(sent, 'letter')} over SMTP to 127.0.0.1:{catcher.port}")
    _tell(folder, catcher.caught)
    return 0 if sent == made.queued and sent else 1


def _skips(skipped: Any) -> str:
    return "".join(f", {n} skipped ({why})" for why, n in skipped.items())


def _app(folder: Path, port: int, now: datetime) -> App:
    from pydantic import SecretStr

    from digest.app import App, held_clock, new_token
    from digest.config import Settings

    settings = Settings.model_validate(
        {
            "site": {"name": "Paper Digest", "postal_address": "1 Example Street, Exampleton"},
            "database": {"url": f"sqlite:///{folder / 'digest.db'}"},
            "mail": {"from": "Paper Digest <digest@example.org>"},
            "smtp": {"host": "127.0.0.1", "port": port, "lanes": 2},
            "sources": [
                {"name": "arxiv", "kind": "arxiv", "categories": TOPICS, "timeout": PATIENCE},
                {"name": "hf", "kind": "huggingface", "timeout": PATIENCE},
            ],
            "secret_key": SecretStr(new_token()),
        }
    )
    return App(settings, held_clock(now - timedelta(hours=2)))  # when papers are first seen


async def _papers(app: App, emails: Sequence[str], offline: bool) -> None:
    """Papers of real sources; and our own sample, where they give too few letters."""
    found = 0 if offline else await _ask(app)
    if offline or not found:
        _sample(app, "as asked" if offline else "nobody answered")
    elif not _enough(app, emails):
        _sample(app, "too little came")


async def _ask(app: App) -> int:
    """How many papers real sources have, as far as they answer in time."""
    from digest.render.words import counted, cut

    reports: list[SourceReport] = []
    with suppress(TimeoutError):
        await asyncio.wait_for(app.ingest(on_progress=reports.append), PATIENCE)
    for report in reports:
        why = "" if report.verdict.healthy else f" ({cut(report.message, 60)})"
        new = counted(report.new, "new paper")
        say(f"3/5 asked       {report.source}: {report.verdict}, {new}{why}")
    return sum(report.new for report in reports)


def _people(app: App, now: datetime) -> list[str]:
    """One reader for each sample profile, whose week ends this hour: their addresses."""
    from digest import profiles, subscribe
    from digest.model import WEEKDAYS
    from digest.render import profile_words

    emails = []
    for path in sorted(SAMPLE.iterdir(), key=lambda path: path.name):
        if not path.name.endswith(".toml"):
            continue
        emails.append(f"{path.name.removesuffix('.toml')}@example.org")
        profile = profiles.parse(path.read_text(encoding="utf-8"))
        document = profiles.to_mapping(profile)
        document |= {"day": WEEKDAYS[now.weekday()], "hour": now.hour, "zone": "UTC"}
        subscribe.add_confirmed(app.db, emails[-1], document, now - timedelta(days=8))
        wish = profile_words(profile).partition("; at most")[0]
        say(f"2/5 subscribed  {emails[-1]:18} {wish}")
    return emails


def _enough(app: App, emails: Sequence[str]) -> bool:
    """True where the papers that came give as many letters as a demo should show."""
    letters = [app.preview(email).edition.content.papers for email in emails]
    return sum(map(bool, letters)) >= ENOUGH


def _sample(app: App, why: str) -> None:
    from digest.ingest import import_papers

    lines = (SAMPLE / "papers.jsonl").read_text(encoding="utf-8").splitlines()
    new = import_papers(app.db, lines, app.clock()).new
    say(f"3/5 sample      {new} papers of our own invention ({why})")


def _tell(folder: Path, caught: Sequence[Caught]) -> None:
    """Where to look: each letter as it was received, and as a page."""
    from email import message_from_bytes, policy

    say("")
    for letter in sorted(caught, key=lambda letter: letter.recipients):
        message = message_from_bytes(letter.raw, policy=policy.default)
        html = message.get_body(("html",))
        page = folder / f"{letter.recipients[0].partition('@')[0]}.html"
        if html is not None:
            page.write_text(html.get_content(), encoding="utf-8")
        say(f"  {letter.recipients[0]:18} {message['subject']}\n  {'':18} {page}")
    say(f"\nLook at the pages in a browser; the letters as received are in {folder / 'letters'}/.")
    say("A site of your own begins with: digest init site")


COMMANDS = (Command("demo", demo, example("digest demo", "digest demo --offline")),)
