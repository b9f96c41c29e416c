"""THE ROOT: Settings become an App. The only place that knows concrete classes, and the door by
which the clock, the network and randomness come in. Plug-ins are found by entry point."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from digest import cadence, deliver, identity, ingest, profiles, publish, subscribe
from digest.config import Settings, SourceSettings
from digest.deliver import Due as LetterDue
from digest.deliver import Flag, Policy, Progress
from digest.deliver.owner import me
from digest.errors import Broken, ConfigError, Refused
from digest.explain import Fate, explain
from digest.links import Links
from digest.matching import Matcher
from digest.model import (
    Edition,
    Feedback,
    Letter,
    SourceReport,
    Subscriber,
    SubscriberState,
    Window,
)
from digest.publish import Draft, Press, Published, draft
from digest.render import Renderer, Site, profile_words
from digest.sources import Source, SourceSpec
from digest.store import Database, papers, people
from digest.store import sources as stored_sources
from digest.store.people import Due
from digest.transports import Transport

Clock = Callable[[], datetime]
"""What time it is, aware, UTC."""

SOURCES, TRANSPORTS = "digest.sources", "digest.transports"


def wall_clock() -> datetime:
    return datetime.now(UTC)


def held_clock(at: datetime) -> Clock:
    """A clock in the hand: it stands still at `at`."""
    return lambda: at


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of `digest run` did."""

    ingest: Sequence[SourceReport]
    publish: Published
    deliver: Mapping[str, int]


class App:
    """Everything that is in force, built when first asked for.

    `clock`: the wall's, or one in the hand. `network`: an httpx transport that stands in for the
    network (tests). `secret`: signs links; taken from the settings, see `secret_key`.
    """

    def __init__(self, settings: Settings, clock: Clock = wall_clock, network: Any = None) -> None:
        self.settings = settings
        self.clock = clock
        self.network = network

    # -------------------------------------------------------------- parts

    def bare_db(self) -> Database:
        """The database as it is, set up or not."""
        return Database(self.settings.database.url)

    @cached_property
    def db(self) -> Database:
        """The database; an embedded one that was never set up is set up now. Raises Broken where
        its schema is another version's."""
        db = self.bare_db()
        here, newest = db.current()
        if here is None and db.is_sqlite:
            db.upgrade()
        elif here != newest:
            at = "is not set up" if here is None else f"is at revision {here}, not {newest}"
            raise Broken(f"database {db.label} {at}; run `digest db upgrade`")
        return db

    @cached_property
    def links(self) -> Links:
        return Links(self.secret_key, self.settings.site.url)

    @cached_property
    def secret_key(self) -> str:
        """What signs links: as given, else (SQLite) a file beside the database, made when first
        needed. Raises ConfigError where there is none."""
        if self.settings.secret_key is not None:
            return self.settings.secret_key.get_secret_value()
        if (path := secret_file(self.settings)) is not None:
            return _kept_secret(path)
        raise ConfigError(["no secret key to sign links with; set $DIGEST_SECRET_KEY or ..._FILE"])

    @cached_property
    def site(self) -> Site:
        """What letters and pages say of this site."""
        site, mail = self.settings.site, self.settings.mail
        return Site(
            name=site.name,
            url=site.url,
            postal_address=site.postal_address,
            operator=site.operator,
            mail_from=mail.from_,
            reply_to=mail.reply_to,
            bounce_domain=mail.bounce_domain,
        )

    @cached_property
    def renderer(self) -> Renderer:
        return Renderer(self.site, self.links)

    @cached_property
    def matcher(self) -> Matcher:
        from digest.matching.lexical import LexicalMatcher  # numpy and scipy: only where needed

        return LexicalMatcher()

    @cached_property
    def post(self) -> subscribe.Post:
        """What confirmations need to be queued."""
        return subscribe.Post(self.links, self.mail_domain)

    @property
    def mail_domain(self) -> str:
        """The domain of Message-IDs."""
        return parseaddr(self.settings.mail.from_)[1].rpartition("@")[2]

    @property
    def user_agent_site(self) -> str:
        """How sources may reach us: the site's address."""
        return self.settings.site.url

    def transport(self) -> Transport:
        """The way out that the settings name."""
        from digest.transports.maildir import MaildirTransport
        from digest.transports.smtp import Relay, SmtpTransport

        smtp, password = self.settings.smtp, self.settings.smtp_password
        if smtp.maildir:
            return MaildirTransport(smtp.maildir)
        relay = Relay(
            host=smtp.host,
            port=smtp.port,
            security=smtp.effective_security,  # type: ignore[arg-type]
            username=smtp.username,
            password=password.get_secret_value() if password else "",
            lanes=smtp.lanes,
        )
        return SmtpTransport(relay)

    # -------------------------------------------------------------- sources

    def specs(self) -> list[SourceSpec]:
        """Every source: those of the configuration, then those added by command."""
        configured = [_spec(source) for source in self.settings.sources]
        names = {spec.name for spec in configured}
        with self.db.reading() as tx:
            added = stored_sources.health(tx).values()
        return configured + [
            SourceSpec(health.name, health.kind, health.options or {})
            for health in added
            if health.kind is not None and health.name not in names
        ]

    def sources(self, web: Any, names: Sequence[str] = ()) -> list[Source]:
        """The sources with these names (none: all), ready to ask."""
        specs = {spec.name: spec for spec in self.specs()}
        if unknown := [name for name in names if name not in specs]:
            known = ", ".join(specs) or "none yet"
            raise Refused(f"no source named {', '.join(unknown)}; there are: {known}")
        return [build_source(specs[name], web) for name in (names or specs)]

    def web(self) -> Any:
        """The client that all sources share: one limit for each host."""
        from digest.sources.http import Web

        return Web(site_url=self.user_agent_site, transport=self.network)

    # -------------------------------------------------------------- verbs

    async def ingest(
        self, names: Sequence[str] = (), on_progress: ingest.Progress | None = None
    ) -> list[SourceReport]:
        """Ask the sources with these names (none: all) what is new, and remember it."""
        async with self.web() as web:
            wanted = self.sources(web, names)
            return await ingest.ingest(self.db, wanted, self.clock(), on_progress)

    @cached_property
    def press(self) -> Press:
        """What making editions needs."""
        return Press(self.db, self.matcher, self.links, self.mail_domain)

    def publish(self, on_progress: publish.OnProgress | None = None) -> Published:
        return publish.publish(self.press, self.clock(), on_progress)

    async def deliver(
        self, stop: Flag | None = None, on_progress: Progress | None = None
    ) -> dict[str, int]:
        """Send what is due until nothing is, the relay must be left alone, or `stop` is set."""
        return await deliver.deliver(
            self.db,
            self.transport(),
            self.letter,
            self.clock,
            me(new_token()[:8]),
            new_token,
            random.random,
            policy=Policy(ambiguous=self.settings.delivery.ambiguous),
            stop=stop,
            on_progress=on_progress,
        )

    def letter(self, due: LetterDue) -> Letter:
        """The letter that is due, written out; the same bytes each time."""
        if due.edition is not None:
            return self.renderer.digest(due.edition, due.delivery, due.subscriber, due.papers)
        summary = profile_words(profiles.from_mapping(due.document))
        return self.renderer.confirmation(due.delivery, due.subscriber, summary)

    async def run(self, stop: Flag | None = None) -> Pass:
        """One pass of all that is due."""
        reports = await self.ingest()
        made = await asyncio.to_thread(self.publish)
        return Pass(reports, made, await self.deliver(stop))

    # -------------------------------------------------------------- answers

    def explain(self, email: str, paper: str) -> Fate:
        """Why this person got, or did not get, this paper. Raises Refused for an unknown one."""
        person = self.subscriber(email)
        id_ = identity.parse(paper) or paper
        with self.db.reading() as tx:
            found = papers.find(tx, [id_]).get(id_)
        if found is None:
            raise Refused(f"{paper} was never announced by a source of this site")
        return explain(self.press, person, found, self.clock())

    def preview(self, email: str) -> Draft:
        """The edition that this person would get if their window closed now."""
        person, now = self.subscriber(email), self.clock()
        with self.db.reading() as tx:
            document, _ = people.profile(tx, person.key)
            said = people.feedback(tx, [person.key]).get(person.key, Feedback())
        since = person.window_since or now - timedelta(days=7)
        return draft(self.press, Due(person, document, said), Window(min(since, now), now), now)

    def simulate(self, document: Mapping[str, Any], weeks: int) -> list[Edition]:
        """The editions that this profile would have had in the last weeks, oldest first."""
        now = self.clock()
        kind, since = profiles.from_mapping(document).cadence, now - timedelta(weeks=weeks)
        nobody = Subscriber(0, "you@localhost", SubscriberState.ACTIVE, kind, since)
        made: list[Edition] = []
        sent: set[str] = set()
        while (until := cadence.next_due(kind, since)) <= now:
            window, since = Window(since, until), until
            made.append(draft(self.press, Due(nobody, document), window, until, sent).edition)
            sent.update(paper.id for paper in made[-1].content.papers)
        return made

    def subscriber(self, email: str) -> Subscriber:
        """The person with this address. Raises Refused for an unknown one."""
        with self.db.reading() as tx:
            person = people.get(tx, subscribe.normalised(email))
        if person is None:
            raise Refused(f"no subscriber {email}; see `digest subscriber list`")
        return person


def _spec(source: SourceSettings) -> SourceSpec:
    return SourceSpec(source.name, source.kind, source.options, source.timeout, source.max_bytes)


def build_source(spec: SourceSpec, web: Any) -> Source:
    """A source of the kind that the spec names. Raises ConfigError for what it cannot take."""
    kinds = plugins(SOURCES)
    if spec.kind not in kinds:
        known = ", ".join(sorted(kinds))
        raise ConfigError([f"source {spec.name}: no kind {spec.kind!r}; there are: {known}"])
    made: Source = kinds[spec.kind].load()(spec, web)
    return made


def plugins(group: str) -> dict[str, EntryPoint]:
    """{name: entry point} of one socket."""
    return {point.name: point for point in entry_points(group=group)}


def new_token() -> str:
    """An unguessable word: a lease's token, a new secret."""
    return secrets.token_urlsafe(24)


def secret_file(settings: Settings) -> Path | None:
    """Where an embedded site keeps its secret: beside the database; None for a server."""
    url = settings.database.url
    name = url.removeprefix("sqlite:///")
    return Path(name).with_name("digest.secret") if name != url else None


def _kept_secret(path: Path) -> str:
    """The secret in this file, made now if need be, readable by its owner only."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        raise Broken(f"secret {path}: {error.strerror}; set $DIGEST_SECRET_KEY instead") from None
    else:
        with os.fdopen(handle, "w") as file:
            file.write(new_token() + "\n")
    if not (secret := path.read_text(encoding="utf-8").strip()):
        raise Broken(f"secret {path} is empty; remove it, or restore it from a backup")
    return secret
