"""`digest demo`: the whole house in one go, on embedded defaults, with letters to look at."""

from __future__ import annotations

import asyncio
import shutil
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
    from digest.transports.catcher import Caught

PATIENCE = 8.0  # seconds that a real source may take before our own sample is used
MARK = ".digest-demo"  # only a folder that a demo made is ever emptied
SAMPLE = files("digest.cli") / "sample"


def demo(
    folder: Annotated[Path, typer.Option(help="Where to put everything.")] = Path("demo"),
    offline: Annotated[bool, typer.Option("--offline", help="Use our own sample.")] = False,
) -> int:
    """See what you would get: sources, people, letters by SMTP."""
    _clear(folder)
    return asyncio.run(_demo(folder, offline))


def _clear(folder: Path) -> None:
    if folder.exists() and not (folder / MARK).exists():
        raise Refused(f"{folder} is there and no demo made it; name another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


async def _demo(folder: Path, offline: bool) -> int:
    from digest.app import wall_clock
    from digest.transports.catcher import Catcher

    now = wall_clock()
    async with Catcher(folder / "letters") as catcher:
        app = _app(folder, catcher.port, now)
        say(f"1/5 set up      {folder / 'digest.db'}")
        await _papers(app, now, offline)
        _people(app, now)
        made = app.publish()
        say(f"4/5 published   {made.queued} editions" + _skips(made.skipped))
        counts = await app.deliver()
        app.close()
    sent = counts.get("accepted", 0)
    say(f"5/5 delivered   {sent} letters over SMTP to 127.0.0.1:{catcher.port}")
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
                {"name": "arxiv", "kind": "arxiv", "categories": ["cs.LG"], "timeout": PATIENCE},
                {"name": "hf", "kind": "huggingface", "timeout": PATIENCE},
            ],
            "secret_key": SecretStr(new_token()),
        }
    )
    return App(settings, held_clock(now))


async def _papers(app: App, now: datetime, offline: bool) -> None:
    """Papers of real sources where they answer, else our own sample; seen two hours ago."""
    from digest.app import held_clock
    from digest.ingest import import_papers

    app.clock = held_clock(now - timedelta(hours=2))
    reports = [] if offline else await app.ingest()
    new = sum(report.new for report in reports)
    for report in reports:
        say(f"2/5 asked       {report.source}: {report.verdict}, {report.new} new papers")
    if not new:
        lines = (SAMPLE / "papers.jsonl").read_text(encoding="utf-8").splitlines()
        new = import_papers(app.db, lines, app.clock()).new
        why = "as asked" if offline else "no source answered"
        say(f"2/5 sample      {new} papers of our own ({why})")
    app.clock = held_clock(now)


def _people(app: App, now: datetime) -> None:
    """One reader for each sample profile, whose week ends this hour."""
    from digest import profiles, subscribe
    from digest.model import WEEKDAYS

    for path in sorted(SAMPLE.iterdir(), key=lambda path: path.name):
        if not path.name.endswith(".toml"):
            continue
        name = path.name.removesuffix(".toml")
        document = profiles.to_mapping(profiles.parse(path.read_text(encoding="utf-8")))
        document |= {"day": WEEKDAYS[now.weekday()], "hour": now.hour, "zone": "UTC"}
        subscribe.add_confirmed(app.db, f"{name}@example.org", document, now - timedelta(days=8))
        say(f"3/5 subscribed  {name}@example.org")


def _tell(folder: Path, caught: list[Caught]) -> None:
    """Where to look: each letter as it was received, and as a page."""
    from email import message_from_bytes, policy

    say("")
    for letter in caught:
        message = message_from_bytes(letter.raw, policy=policy.default)
        html = message.get_body(("html",))
        page = folder / f"{letter.recipients[0].partition('@')[0]}.html"
        if html is not None:
            page.write_text(html.get_content(), encoding="utf-8")
        say(f"  {letter.recipients[0]:28} {message['subject']}")
        say(f"  {'':28} {page}")
    say(f"\nLook at the pages in a browser; the letters as received are in {folder / 'letters'}/.")


COMMANDS = (Command("demo", demo, example("digest demo", "digest demo --offline")),)
