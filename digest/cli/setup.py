"""`digest init`, `check`, `serve`, `plugins`: from nothing to a site that runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from digest.cli.globals import GLOBALS, held_time, open_app
from digest.cli.options import AsJson, Command, example
from digest.cli.output import note, print_json, say, table
from digest.errors import DigestError, Refused

CONFIG = """\
# Paper Digest: what is in force is shown by `digest check`. Any key can also be given in the
# environment as DIGEST_SECTION__KEY. Secrets never stand here: the key that signs links is in
# digest.secret beside the database; keep it with your backups, letters already sent need it.

[site]
name = "Paper Digest"
url = "http://127.0.0.1:8080"          # where readers reach the site; goes into every letter
postal_address = ""                    # shown at the end of every letter
operator = ""                          # an address that is told when something is wrong

[database]
url = "sqlite:///DATABASE"

[mail]
from = "Paper Digest <digest@localhost.localdomain>"   # never varies, or filters lose track
reply_to = ""
bounce_domain = ""                     # where bounces come back, as in bounces.example.org

[smtp]
host = "127.0.0.1"
port = 25
# security = "starttls"                # tls | starttls | opportunistic | none (loopback only)
# username = "digest"                  # the password: $DIGEST_SMTP_PASSWORD or ..._FILE
lanes = 10
# maildir = "letters"                  # to rehearse: write letters there instead of sending them

[web]
listen = "127.0.0.1:8080"

[[sources]]
name = "arxiv-ml"
kind = "arxiv"
categories = ["cs.LG", "stat.ML"]

[[sources]]
name = "hf"
kind = "huggingface"
"""


def init(folder: Annotated[Path, typer.Argument(metavar="DIR")] = Path()) -> None:
    """Make a folder ready to run. With configuration, database and secret."""
    from digest.app import App
    from digest.config import load

    config = folder / "digest.toml"
    if config.exists():
        raise Refused(f"{config} is there already; nothing was changed")
    database = (folder / "digest.db").absolute()
    if "?" in str(database):
        raise Refused(f"{folder}: a ? would end the address of the database; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    quoted = str(database).replace("\\", "\\\\").replace('"', '\\"')  # as TOML wants it
    config.write_text(CONFIG.replace("DATABASE", quoted), encoding="utf-8")
    app = App(load(str(config), {}))
    app.db.current()  # makes it
    say(f"made {config}, {database.name} and a secret of {len(app.secret_key)} characters")
    app.close()
    here = "" if folder.absolute() == Path.cwd() else f"cd {folder} && "
    for line in ("check", "subscriber add you@example.org --confirmed", "run", "serve"):
        say(f"  {here}digest {line}")


# ------------------------------------------------------------------ check


def check(as_json: AsJson = False) -> int:
    """Show what is in force, secrets masked, and try every part."""
    from digest.config import find_config, masked

    app = open_app()
    findings = list(_findings(app))
    path = find_config(GLOBALS.config, os.environ)
    if as_json:
        print_json(
            {"config": str(path or ""), "settings": masked(app.settings), "findings": findings}
        )
    else:
        say(f"configuration: {path or 'none; defaults are in force'}")
        _print_settings(masked(app.settings))
        table(
            ("part", "state", "what"), ([f["part"], f["state"], f["message"]] for f in findings), ""
        )
    return 1 if any(f["state"] == "wrong" for f in findings) else 0


def _print_settings(settings: dict[str, Any]) -> None:
    for section, value in settings.items():
        if isinstance(value, dict):
            for key, item in value.items():
                say(f"  {section}.{key} = {item!r}")
        elif isinstance(value, list):
            for item in value:
                say(f"  {section}: {item}")
        else:
            say(f"  {section} = {value!r}")


def _findings(app: Any) -> Any:
    for part, look in (
        ("database", _database),
        ("secret", _secret),
        ("sources", _sources),
        ("templates", _templates),
        ("transport", _transport),
        ("matching", _matching),
    ):
        try:
            yield {"part": part, "state": "fine", "message": look(app)}
        except DigestError as error:
            yield {"part": part, "state": "wrong", "message": str(error)}


def _database(app: Any) -> str:
    here, newest = app.db.current()
    if here != newest:
        raise Refused(
            f"{app.db.label} is at revision {here}, not {newest}; run `digest db upgrade`"
        )
    return f"{app.db.label} at revision {here}"


def _secret(app: Any) -> str:
    from digest.app import secret_file

    given = app.settings.secret_key is not None
    where = "given" if given else f"in {secret_file(app.settings)}"
    return f"{len(app.secret_key)} characters, {where}"


def _templates(app: Any) -> str:
    from digest.web.pages import Pages

    name = app.renderer.site.name
    Pages(app.site, app.templates)
    return f"{name}: compiled" + (f", those in {app.templates} first" if app.templates else "")


def _sources(app: Any) -> str:
    built = app.sources(app.web())
    return ", ".join(source.spec.name for source in built) or "none yet"


def _transport(app: Any) -> str:
    from digest.transports.smtp import SmtpTransport

    smtp, ways = app.settings.smtp, app.transports
    relays = [_relay(name, way, n) for name, (way, n) in ways.items() if type(way) is SmtpTransport]
    where = ", ".join(relays) or smtp.maildir
    if named := app.settings.delivery.transport:
        where = f"{named}, a plug-in"
    return f"letters go to {where}"


def _matching(app: Any) -> str:
    if (model := app.embeddings) is None:
        return "by words, and by what readers like"
    named = app.settings.matching.embeddings
    return f"by words, by what readers like, and by {named} ({model.dimension} numbers a text)"


def _relay(name: str, way: Any, weight: int) -> str:
    """`east: smtp.example.org:587 (starttls, weight 3)`; for one alone its address says all."""
    where = f"{way.relay.host}:{way.relay.port}"
    if name == where:
        return f"{where} ({way.relay.security})"
    share = f"weight {weight}" if weight else "only while the others are not well"
    return f"{name}: {where} ({way.relay.security}, {share})"


# ------------------------------------------------------------------ serve


def serve(
    no_web: Annotated[bool, typer.Option("--no-web", help="Without the site.")] = False,
    no_work: Annotated[bool, typer.Option("--no-work", help="Only the site.")] = False,
) -> int:
    """The daemon: sources, editions, delivery and the site. SIGTERM ends it within 15 s."""
    from digest.cli.daemon import serve as run

    if no_web and no_work:
        raise Refused("--no-web and --no-work together leave nothing to do")
    if (at := held_time()) is not None:
        note(f"THE CLOCK IS HELD at {at.isoformat()}: this is a rehearsal, time does not pass")
    return run(open_app(), web=not no_web, work=not no_work)


def plugins(as_json: AsJson = False) -> None:
    """Kinds of sources and transports, and who brings them."""
    from digest.app import SOURCES, TRANSPORTS
    from digest.app import plugins as installed

    rows = [
        {"socket": group, "name": name, "value": point.value, "from": _distribution(point)}
        for group in (SOURCES, TRANSPORTS)
        for name, point in sorted(installed(group).items())
    ]
    if as_json:
        return print_json(rows)
    columns = ("socket", "name", "value", "from")
    return table(columns, ([row[key] for key in columns] for row in rows), "none")


def _distribution(point: Any) -> str:
    return point.dist.name if point.dist else "-"


COMMANDS = (
    Command("init", init, example("digest init", "digest init /var/lib/digest")),
    Command("check", check, example("digest check", "digest check --json")),
    Command("serve", serve, example("digest serve", "digest serve --no-web")),
    Command("plugins", plugins, example("digest plugins")),
)
