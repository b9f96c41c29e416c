"""`digest doctor`: every part looked at as an operator would, each finding with its fix."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from digest.cli.globals import held_time, open_app
from digest.cli.options import AsJson, Command, example
from digest.cli.output import cell, note, print_json, say
from digest.errors import DigestError

if TYPE_CHECKING:
    from digest.app import App
    from digest.transports.smtp import SmtpTransport

FINE, ODD, WRONG = "fine", "odd", "wrong"
MARKS = {FINE: "  ", ODD: "? ", WRONG: "! "}
LITTLE, HARDLY_ANY = 1_000_000_000, 100_000_000  # free bytes
LATE = timedelta(hours=1)  # what is due longer than this has nobody to do it
RECENT = timedelta(days=7)
SILENT = timedelta(days=1)  # without a proper answer of a source
NOT_CHECKED = (
    "the domain's DNS (SPF, DKIM, DMARC, MX, PTR); whether letters reach the inbox; the clock "
    "against another clock; whether the site is reached from outside"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: fine, odd (it works, but look at it) or wrong. `fix` is "" where it is fine."""

    part: str
    state: str
    message: str
    fix: str = ""


Look = Callable[["App"], Iterator[Finding]]


def doctor(as_json: AsJson = False) -> int:
    """Look at every part. Each finding comes with its fix; ends with 1 where one is wrong."""
    app = open_app()
    found = [finding for part, look in PARTS.items() for finding in _guarded(part, look, app)]
    if as_json:
        print_json({"findings": found, "not_checked": NOT_CHECKED})
    else:
        for finding in found:
            say(f"{MARKS[finding.state]}{finding.part:14} {finding.message}")
            if finding.fix:
                say(f"{'':16} -> {finding.fix}")
        note(f"not checked: {NOT_CHECKED}")
    return 1 if any(finding.state == WRONG for finding in found) else 0


def _guarded(part: str, look: Look, app: App) -> Iterator[Finding]:
    try:
        yield from look(app)
    except DigestError as error:
        message, _, fix = str(error).partition("; ")
        yield Finding(part, WRONG, message, fix or "see the message")


# ------------------------------------------------------------------ what is said


def _configuration(app: App) -> Iterator[Finding]:
    import os

    from digest.cli.globals import GLOBALS
    from digest.config import find_config

    part, path = "configuration", find_config(GLOBALS.config, os.environ)
    if path is None:
        yield Finding(part, ODD, "there is none; defaults are in force", "make one: `digest init`")
    else:
        yield Finding(part, FINE, f"{path} can be read")
    yield from _address_of_site(app.settings.site.url)
    if app.mail_domain.rpartition(".")[2] in {"localhost", "localdomain"}:
        said = f"mail.from is in {app.mail_domain}, which other mail servers refuse"
        yield Finding(part, ODD, said, "set mail.from to an address of a domain of yours")
    for key, why in (
        ("postal_address", "many countries ask for one in every letter"),
        ("operator", "nobody is told when something is wrong"),
    ):
        if not getattr(app.settings.site, key):
            yield Finding(part, ODD, f"site.{key} is empty: {why}", f"set site.{key}")


def _address_of_site(url: str) -> Iterator[Finding]:
    from digest.config import is_loopback

    where = urlsplit(url)
    if is_loopback(where.hostname or ""):
        said = f"site.url is {url}: links in letters work on this machine only"
        yield Finding("configuration", ODD, said, "set site.url to what readers can reach")
    elif where.scheme != "https":
        said = f"site.url is {url}: one-click unsubscribe wants https (RFC 8058)"
        yield Finding("configuration", ODD, said, "serve the site through TLS, set site.url")


# ------------------------------------------------------------------ what it stands on


def _database(app: App) -> Iterator[Finding]:
    here, _ = app.db.current()
    with app.db.writing():  # a read-only one refuses
        pass
    yield Finding("database", FINE, f"{app.db.label} at revision {here}, writable")


def _disk(app: App) -> Iterator[Finding]:
    from digest.app import embedded_database

    path = embedded_database(app.settings)
    folder = (path.absolute() if path else Path.cwd() / "-").parent
    free = shutil.disk_usage(folder).free
    state = FINE if free > LITTLE else ODD if free > HARDLY_ANY else WRONG
    fix = "" if state == FINE else "make room there"
    yield Finding("disk", state, f"{free / 1e9:,.1f} GB free at {folder}", fix)


def _clock(app: App) -> Iterator[Finding]:
    from digest.store import papers

    now = app.clock()
    if held_time() is not None:
        yield Finding("clock", ODD, f"held at {cell(now)}", "leave out --now and $DIGEST_NOW")
        return
    with app.db.reading() as tx:
        newest = max((paper.first_seen or now for paper in papers.listed(tx, 1)), default=now)
    if newest > now + LATE:
        said = f"it is {cell(now)} here, but a paper was seen at {cell(newest)}"
        yield Finding("clock", WRONG, said, "set the clock and keep it right with NTP")
    else:
        yield Finding("clock", FINE, f"{cell(now)}, later than everything that is stored")


def _zones(app: App) -> Iterator[Finding]:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from digest.store import people

    with app.db.reading() as tx:
        used = Counter(person.cadence.zone for person in people.listed(tx))
    for name in sorted({*used, "Europe/Berlin"}):
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            said = f"{name}, in which {used[name]} people live, is not known here"
            yield Finding("zones", WRONG, said, "pip install --upgrade tzdata")
            return
    yield Finding("zones", FINE, f"all known: {len(used)} in use")


# ------------------------------------------------------------------ what it works with


def _secret(app: App) -> Iterator[Finding]:
    length = len(app.secret_key)
    short = "" if length >= 24 else "give a longer one in $DIGEST_SECRET_KEY; old links will die"
    yield Finding("secret", ODD if short else FINE, f"{length} characters sign the links", short)


def _templates(app: App) -> Iterator[Finding]:
    app.renderer  # noqa: B018 - it compiles them
    yield Finding("templates", FINE, "compiled")


def _relay(app: App) -> Iterator[Finding]:
    from digest.transports.smtp import SmtpTransport

    for name, (way, _) in app.transports.items():
        if isinstance(way, SmtpTransport):
            yield from _one_relay(name, way)
        elif app.settings.delivery.transport:
            yield Finding("relay", FINE, f"letters go by {name}, a plug-in, which is not asked")
        else:
            said = f"letters are written to {app.settings.smtp.maildir}, not sent: a rehearsal"
            yield Finding("relay", ODD, said, "take smtp.maildir out to send them")


def _one_relay(name: str, way: SmtpTransport) -> Iterator[Finding]:
    from digest.config import is_loopback
    from digest.transports.probe import probe

    where = f"{way.relay.host}:{way.relay.port}"
    named = where if name == where else f"{name}, {where},"
    met = asyncio.run(probe(way))
    if met.fault:
        fix = "start it, or correct [smtp] and $DIGEST_SMTP_PASSWORD"
        yield Finding("relay", WRONG, f"{named.rstrip(',')}: {met.fault}", fix)
        return
    safe = "with TLS" if met.encrypted else "without TLS"
    yield Finding("relay", FINE, f"{named} answers {safe}; offers {', '.join(met.offers)}")
    if way.relay.username and not (met.encrypted or is_loopback(way.relay.host)):
        said = f"the password for {named.rstrip(',')} goes through the network in the clear"
        yield Finding("relay", WRONG, said, 'set security = "starttls" or "tls"')
    if "8BITMIME" not in met.offers:
        said = f"{named} takes no 8-bit text; letters that need it are refused"
        yield Finding("relay", ODD, said, "enable 8BITMIME at the relay")


def _bounces(app: App) -> Iterator[Finding]:
    """Does what comes back reach us?"""
    from digest.bounces import doors
    from digest.store import reports

    yield from _guarded("bounces", _webhooks, app)
    for look in doors.waiting(app.settings):
        yield from _guarded("bounces", partial(_mailbox, look), app)
    if not (app.hooks.open or doors.has_mailboxes(app.settings)):
        yield _no_doors(app.settings.mail.bounce_domain)
    with app.db.reading() as tx:
        listed = reports.by_effect(tx, app.clock() - RECENT).get("listed", 0)
    if listed:
        said = f"{listed} reports of the last week want to be looked at"
        yield Finding("bounces", ODD, said, "`digest bounce list --effect listed`")


def _webhooks(app: App) -> Iterator[Finding]:
    hooks = app.hooks
    hooks.check_keys()
    if hooks.open:
        yield Finding("bounces", FINE, f"open webhooks: {', '.join(hooks.open)}")


def _mailbox(look: Callable[[], str], app: App) -> Iterator[Finding]:
    yield Finding("bounces", FINE, look())


def _no_doors(domain: str) -> Finding:
    if domain:
        said = f"what comes back to {domain} is taken by pipe or LMTP, which nobody sees from here"
        return Finding("bounces", FINE, said)
    said = "what comes back stops no address: nobody reads it"
    return Finding("bounces", ODD, said, "set mail.bounce_domain and [bounces], or a webhook")


def _sources(app: App) -> Iterator[Finding]:
    from digest.store import sources

    specs, now = app.specs(), app.clock()
    with app.db.reading() as tx:
        health = sources.health(tx)
    if not specs:
        yield Finding("sources", ODD, "there are none", "add one: `digest source add --help`")
    for spec in specs:
        yield _source(spec.name, health.get(spec.name), now)


def _source(name: str, health: object, now: datetime) -> Finding:
    verdict = getattr(health, "verdict", None)
    if verdict is None:
        return Finding("sources", ODD, f"{name} was never asked", f"`digest ingest {name}`")
    said = f"{name}: {verdict} at {cell(getattr(health, 'checked_at', None))}"
    if verdict.healthy:
        return Finding("sources", FINE, said)
    well = getattr(health, "healthy_at", None)
    state = WRONG if well is None or well < now - SILENT else ODD
    message = f"{said}, last well {cell(well)}: {getattr(health, 'message', '')}"
    return Finding("sources", state, message, f"`digest source check {name}`")


def _work(app: App) -> Iterator[Finding]:
    """What is due and has been for long: is anybody working?"""
    from digest.render.words import counted
    from digest.store import deliveries, people

    then = app.clock() - LATE
    with app.db.reading() as tx:
        editions, letters = people.count_due(tx, then), deliveries.due_count(tx, then)
        unknown = deliveries.counts(tx).get("unknown", 0)
    for number, what in ((editions, "edition"), (letters, "letter")):
        if number:
            said = f"due for more than an hour: {counted(number, what)}"
            yield Finding("work", ODD, said, "is `digest serve` running, or `digest run` by cron?")
    if unknown:
        said = (
            f"nobody can know whether {counted(unknown, 'letter')} arrived: the relay was cut off"
        )
        yield Finding("work", ODD, said, "`digest delivery list --state unknown`, then `resolve`")
    if not (editions or letters or unknown):
        yield Finding("work", FINE, "nothing is overdue")


def _map(app: App) -> Iterator[Finding]:
    from digest.store import models

    now = app.clock()
    with app.db.reading() as tx:
        kept = models.latest(tx, models.MAP)
        due = models.is_due(tx, models.MAP, now - models.EVERY)
    if kept is None:
        yield Finding("map", FINE, "nothing was learnt from readers yet: `digest train`, or serve")
        return
    used = "used" if kept.checked["helps"] else "not used"
    said = f"learnt {cell(kept.made_at)}, {used}: {kept.checked['why']}"
    fix = "run `digest train` weekly, or `digest serve`" if due else ""
    yield Finding("map", ODD if due else FINE, said, fix)


PARTS: dict[str, Look] = {
    "configuration": _configuration,
    "database": _database,
    "disk": _disk,
    "clock": _clock,
    "zones": _zones,
    "secret": _secret,
    "templates": _templates,
    "relay": _relay,
    "bounces": _bounces,
    "sources": _sources,
    "work": _work,
    "map": _map,
}

COMMANDS = (Command("doctor", doctor, example("digest doctor", "digest doctor --json")),)
