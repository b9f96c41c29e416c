"""`digest bounce ...`: what comes back for letters that a relay had taken."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.files import opened
from digest.cli.globals import KEEP_IT, open_app
from digest.cli.options import LARGEST, AsJson, Limit, example, noun
from digest.cli.output import Progress, note, print_json, progress, say, table
from digest.errors import DigestError, Refused

if TYPE_CHECKING:
    from digest.app import App
    from digest.bounces import Taken, Watch
    from digest.store.reports import Kept, Told

MOST_SHOWN = 50  # reports that one call shows in full
app = noun("What comes back: bounces, complaints, goodbyes.", "digest bounce list")


@dataclass(slots=True)
class Catch:
    """What one call took, and what it could not take."""

    taken: list[Taken] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    waiting: int = 0
    shown: Progress = lambda done, total: None

    def take(self, one: Taken) -> None:
        self.taken.append(one)
        self.shown(len(self.taken), self.waiting)

    def watch(self) -> Watch:
        from digest.bounces import Watch

        return Watch(waiting=self._wait)

    def _wait(self, number: int) -> None:
        self.waiting += number
        self.shown(len(self.taken), self.waiting)

    @property
    def parts(self) -> list[Told]:
        return [part for one in self.taken for part in one.parts]

    @property
    def known(self) -> int:
        return sum(not one.parts for one in self.taken)


# ------------------------------------------------------------------ process


@app.command(
    epilog=example(
        "digest bounce process",
        "digest bounce process --maildir /var/mail/bounces",
        "digest bounce process - --to '${original_recipient}'  # as a pipe of the mail server",
    )
)
def process(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="One message, or an mbox; - reads one from stdin."),
    ] = None,
    maildir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take all that waits in this Maildir.")
    ] = None,
    imap: Annotated[bool, typer.Option("--imap", help="Take all of the mailbox set up.")] = False,
    to: Annotated[
        list[str] | None, typer.Option(metavar="EMAIL", help="Whom the envelope named.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take what came back. Each report is recorded, then removed from where it was."""
    if (file is not None) + (maildir is not None) + imap > 1:
        raise Refused("one of FILE, --maildir and --imap at a time; none: what is set up")
    if str(file) == "-":
        return _pipe(to or (), as_json)
    catch = Catch()
    try:
        with progress("reports") as shown, _one_voice():
            catch.shown = shown
            _take(_site(), catch, file, maildir, imap, to or ())
    except DigestError:
        if catch.taken or catch.faults:  # what was done till then is done
            _show(catch, as_json)
        raise
    _show(catch, as_json)
    return 1 if catch.faults else 0


def _take(
    site: App, catch: Catch, file: Path | None, maildir: Path | None, imap: bool, to: Sequence[str]
) -> None:
    from digest.bounces import doors, take_imap, take_maildir
    from digest.bounces.mime import messages

    hear = (catch.take, catch.faults.append, catch.watch())
    if file is not None:
        if file.is_dir():
            raise Refused(f"{file} is a folder; for a Maildir --maildir {file}")
        with opened(file) as opened_file:
            for message in messages(opened_file):
                catch.take(site.desk.take(message, "file", to))
    elif maildir is not None:
        take_maildir(site.desk, maildir, *hear)
    elif imap:
        take_imap(site.desk, doors.mailbox(site.settings), *hear)
    elif doors.has_mailboxes(site.settings):
        doors.take_all(site.desk, site.settings, *hear)
    else:
        raise Refused("nothing to take: name a FILE, --maildir DIR, or set bounces.maildir")


def _site() -> App:
    """The site that there is. One made here and now would know no letter: what comes back would be
    taken for forged."""
    site = open_app(looking=True)
    if not site.has_database():
        raise Refused("no database here; name the site's configuration by --config")
    return site


@contextmanager
def _one_voice() -> Iterator[None]:
    """What the log would warn of stands in the table: twenty thousand reports are told of once."""
    told = logging.getLogger("digest.bounces")
    before = told.level
    told.setLevel(logging.ERROR)
    try:
        yield
    finally:
        told.setLevel(before)


def _pipe(to: Sequence[str], as_json: bool) -> int:
    """One message from the mail server. Whatever goes wrong, it must keep the mail: any other
    exit code would send a report about a report, and nobody would ever see this one."""
    catch = Catch()
    try:
        from digest.bounces.mime import from_stream

        if sys.stdin is None:
            raise Refused("no message: stdin is closed")
        raw = from_stream(sys.stdin.buffer)
        catch.taken.append(_site().desk.take(raw, "pipe", to, keep_raw=True))
    except Exception as error:
        note(f"digest: {error}; the mail server keeps the mail")
        return KEEP_IT
    if as_json:
        _show(catch, as_json)
    return 0


def _show(catch: Catch, as_json: bool) -> None:
    for fault in catch.faults:
        note(f"digest: {fault}")
    if as_json:
        told = {"read": len(catch.taken), "known": catch.known}
        return print_json({**told, "reports": catch.parts, "faults": catch.faults})
    columns = ("kind", "weight", "effect", "address", "status")
    table(columns, map(_row, catch.parts[:MOST_SHOWN]), "")
    if (more := len(catch.parts) - MOST_SHOWN) > 0:
        say(f"and {more:,} more; see `digest bounce list --limit 0`")
    return say(_words(catch))


def _row(told: Told) -> list[Any]:
    return [told.kind, told.weight, told.effect, told.address, told.status]


def _words(catch: Catch) -> str:
    if not catch.taken:
        return "nothing came back"
    kinds = Counter(str(one.kind) for one in catch.taken if one.parts)
    said = [f"{n} {kind}" for kind, n in sorted(kinds.items())]
    said += [f"{catch.known} known already"] if catch.known else []
    return ", ".join(said)


# ------------------------------------------------------------------ list, show


@app.command(
    "list", epilog=example("digest bounce list --effect listed", "digest bounce list --kind bounce")
)
def list_(
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="bounce, complaint, forged, unrecognised, ...")
    ] = "",
    weight: Annotated[
        str, typer.Option(metavar="WEIGHT", help="hard, soft, policy, content.")
    ] = "",
    effect: Annotated[
        str, typer.Option(metavar="EFFECT", help="suppressed, bounced, counted, ended, listed.")
    ] = "",
    address: Annotated[
        str, typer.Option(metavar="EMAIL", help="Whom they are about, in whatever case.")
    ] = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Reports, newest first, and what was done about each."""
    from digest.bounces import Effect, Kind, Weight
    from digest.store import reports

    _known(kind, [str(one) for one in Kind], "--kind")
    _known(weight, [str(one) for one in Weight], "--weight")
    _known(effect, [str(one) for one in Effect], "--effect")
    wanted = [word or None for word in (kind, weight, effect, address)]
    with open_app().db.reading() as tx:
        found = reports.listed(tx, limit, *wanted)
    if as_json:
        return print_json([_as_row(kept) for kept in found])
    columns = ("id", "at", "kind", "weight", "effect", "address", "status", "text")
    rows = ([kept.key, kept.at, *_row(kept.told), kept.told.text] for kept in found)
    return table(columns, rows, "nothing came back")


def _known(word: str, words: list[str], name: str) -> None:
    if word and word not in words:
        raise Refused(f"{name} {word!r}: one of {', '.join(words)}")


def _as_row(kept: Kept) -> dict[str, Any]:
    told = kept.told
    return {
        "id": kept.key,
        "at": kept.at,
        "door": kept.door,
        "kind": told.kind,
        "weight": told.weight,
        "effect": told.effect,
        "delivery": told.delivery,
        "address": told.address,
        "status": told.status,
        "text": told.text,
        "hash": kept.hash,
    }


@app.command(epilog=example("digest bounce show 1"))
def show(
    id_: Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST)],
    as_json: AsJson = False,
) -> None:
    """One report. With its bytes, where nobody understood it and no mailbox keeps it."""
    from digest.store import reports

    with open_app().db.reading() as tx:
        found = reports.get(tx, id_)
    if found is None:
        raise Refused(f"no report {id_}; see `digest bounce list`")
    kept, raw = found
    row = {**_as_row(kept), "raw": raw}
    if as_json:
        return print_json(row)
    for name, value in row.items():
        if value is not None and name != "raw":
            say(f"{name:9} {value}")
    if raw:
        say(
            "\n"
            + "".join(
                c if c.isprintable() or c == "\n" else " " for c in raw.decode("utf-8", "replace")
            )
        )
    return None


# ------------------------------------------------------------------ lmtp


@app.command(epilog=example("digest bounce lmtp --listen 127.0.0.1:8024"))
def lmtp(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT")] = "127.0.0.1:8024",
) -> None:
    """Take mail from the mail server by LMTP, until SIGTERM. It keeps what is not recorded."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port[:6]) > 65535:
        raise Refused(f"--listen {listen!r}: HOST:PORT, as in 127.0.0.1:8024")
    asyncio.run(_lmtp(_site(), host.strip("[]"), int(port)))


async def _lmtp(site: App, host: str, port: int) -> None:
    from digest.bounces.lmtp import serve
    from digest.cli.logs import log_to_stderr
    from digest.cli.passes import stoppable

    log_to_stderr()
    server = await serve(site.desk, host, port)
    with stoppable() as stop:
        note(f"listening for LMTP on {host}:{port}")
        async with server:
            await stop.wait()
