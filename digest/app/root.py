"""THE ROOT: Settings become an App. The only place that knows concrete classes, and the door by
which the clock, the network and randomness come in. Plug-ins are found by entry point."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.app.secret import embedded_database, kept_secret, new_token, secret_file
from digest.config import Settings
from digest.errors import Broken, ConfigError, Refused, SourceError
from digest.links import Links
from digest.store import Database

if TYPE_CHECKING:
    from digest import bounces, ingest, publish, subscribe
    from digest.app.learning import MapAtHand
    from digest.deliver import Due as LetterDue
    from digest.deliver import Flag, Progress, Routes
    from digest.explain import Fate
    from digest.matching import Matcher
    from digest.matching.embeddings import Embeddings
    from digest.matching.heldout import Check
    from digest.model import Edition, Letter, SourceReport, Subscriber
    from digest.publish import Draft, Press, Published, Rehearsals
    from digest.render import Renderer, Site
    from digest.sources import Source, SourceSpec
    from digest.transports import Transport
    from digest.transports.dkim import Signer

Clock = Callable[[], datetime]
"""What time it is, aware, UTC."""


def wall_clock() -> datetime:
    return datetime.now(UTC)


def held_clock(at: datetime) -> Clock:
    """A clock in the hand: it stands still at `at`."""
    return lambda: at


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of all that is due did."""

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

    @cached_property
    def bare_db(self) -> Database:
        """The database as it is, set up or not."""
        return Database(self.settings.database.url)

    def close(self) -> None:
        """Give the database's connections back."""
        if "bare_db" in self.__dict__:
            self.bare_db.dispose()

    def has_database(self) -> bool:
        """False where an embedded database was never made: to look into it would make one."""
        path = embedded_database(self.settings)
        return path is None or path.exists()

    @cached_property
    def db(self) -> Database:
        """The database; an embedded one that was never set up is set up now. Raises Broken where
        its schema is another version's."""
        db = self.bare_db
        here, newest = db.current()
        if here is None and db.is_sqlite:
            db.upgrade()
        elif here != newest:
            db.refuse_unknown(here)
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
            return kept_secret(path)
        raise ConfigError(["no secret key to sign links with; set $DIGEST_SECRET_KEY or ..._FILE"])

    @cached_property
    def site(self) -> Site:
        """What letters and pages say of this site."""
        from digest.render import Site

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
        from digest.render import Renderer

        return Renderer(self.site, self.links, self.templates)

    @cached_property
    def templates(self) -> Path | None:
        """The folder of the site's own templates; None: there are none. Raises ConfigError for a
        folder that is not there, since letters would silently look like everybody's."""
        if not (named := self.settings.site.templates):
            return None
        if not (folder := Path(named)).is_dir():
            fault = f"site.templates: no folder {named}; make it, or take the key out"
            raise ConfigError([fault], subject=named)
        return folder

    @property
    def matcher(self) -> Matcher:
        """With the collaborative map as it was learnt last, and the operator's model."""
        from digest.app.process import the_matcher

        matcher = the_matcher()
        matcher.taste = self._map.current(self.db)
        matcher.embeddings = self.embeddings
        return matcher

    @cached_property
    def _map(self) -> MapAtHand:
        from digest.app.learning import MapAtHand

        return MapAtHand()

    @property
    def embeddings(self) -> Embeddings | None:
        """The model that the settings name, ready; None: they name none. Raises ConfigError."""
        from digest.app.process import the_embeddings

        folder = self.settings.matching.embeddings
        return the_embeddings(folder) if folder else None

    @cached_property
    def post(self) -> subscribe.Post:
        """What confirmations need to be queued."""
        from digest.subscribe import Post

        return Post(self.links, self.mail_domain)

    @property
    def mail_domain(self) -> str:
        """The domain of Message-IDs."""
        return parseaddr(self.settings.mail.from_)[1].rpartition("@")[2]

    @property
    def user_agent_site(self) -> str:
        """How sources may reach us: the site's address."""
        return self.settings.site.url

    @cached_property
    def transports(self) -> dict[str, tuple[Transport, int]]:
        """{name: (a way out that the settings name, its weight)}. Raises ConfigError."""
        from digest.app.way_out import transports

        return transports(self.settings)

    # -------------------------------------------------------------- sources

    def specs(self) -> list[SourceSpec]:
        """Every source: those of the configuration, then those added by command."""
        from digest.app.plugins import source_spec, spec_of
        from digest.store import sources

        configured = [spec_of(source) for source in self.settings.sources]
        names = {spec.name for spec in configured}
        with self.db.reading() as tx:
            added = sources.health(tx).values()
        return configured + [
            source_spec(health.name, health.kind, health.options or {})
            for health in added
            if health.kind is not None and health.name not in names
        ]

    def sources(self, web: Any, names: Sequence[str] = ()) -> list[Source]:
        """The sources with these names (none: all), ready to ask."""
        from digest.app.plugins import build_source

        specs = {spec.name: spec for spec in self.specs()}
        if unknown := [name for name in names if name not in specs]:
            known = ", ".join(specs) or "none yet"
            raise Refused(f"no source named {', '.join(unknown)}; there are: {known}")
        return [build_source(specs[name], web) for name in (names or specs)]

    def web(self) -> Any:
        """The client that all sources share: one limit for each host."""
        from digest.sources.http import Web

        return Web(site_url=self.user_agent_site, transport=self.network, jitter=random.random)

    # -------------------------------------------------------------- verbs

    async def ingest(
        self, names: Sequence[str] = (), on_progress: ingest.Progress | None = None
    ) -> list[SourceReport]:
        """Ask the sources with these names (none: all) what is new, and remember it."""
        from digest import ingest, seeds

        async with self.web() as web, ingest.patient(self.db, web, self.clock()):
            wanted = self.sources(web, names)
            who = ingest.Operator(parseaddr(self.settings.site.operator)[1], self._message_id)
            reports = await ingest.ingest(self.db, wanted, self.clock(), on_progress, who)
            await seeds.fetch_seeds(self.db, wanted, self.clock())
            return reports

    def _message_id(self, kind: str, value: str) -> str:
        return self.links.message_id(kind, value, self.mail_domain)

    @property
    def press(self) -> Press:
        """What making editions needs."""
        from digest.publish import Press

        return Press(self.db, self.matcher, self.links, self.mail_domain)

    def publish(
        self, on_progress: publish.OnProgress | None = None, share: publish.Share = (0, 1)
    ) -> Published:
        """Make the editions that are due, of that share of the people: (which, of how many)."""
        from digest.publish import publish

        return publish(self.press, self.clock(), on_progress, share)

    def train(self) -> Check:
        """Learn what readers of the same papers like, if the check says that it helps."""
        from digest import training

        return training.train(self.db, self.clock())

    def train_apart(self, stop: threading.Event) -> str:
        """The same once a week in a process of its own; what the check found, or ""."""
        from digest.app import learning

        return learning.train_apart(self.settings, self.db, self.clock(), stop)

    async def deliver(
        self, stop: Flag | None = None, on_progress: Progress | None = None
    ) -> dict[str, int]:
        """Send what is due until nothing is, the relay must be left alone, or `stop` is set."""
        from digest.deliver import deliver
        from digest.deliver.owner import me

        return await deliver(
            self.db,
            self._way_out,
            self.letter,
            self.clock,
            me(new_token()[:8]),
            new_token,
            random.random,
            stop=stop,
            on_progress=on_progress,
        )

    @cached_property
    def _way_out(self) -> Routes:
        """Kept from pass to pass: what is learnt of relays and domains, and how long to leave
        them alone."""
        _ = self._signer  # a key that cannot be used ends the run, and not its letters
        from digest.app.way_out import routes

        return routes(self.settings, self.transports)

    def letter(self, due: LetterDue) -> Letter:
        """The letter that is due, written out and signed; the same bytes each time."""
        return self._signer.sign(self._written(due)) if self._signer else self._written(due)

    @cached_property
    def _signer(self) -> Signer | None:
        """Signs letters where the site gives it a key: then its relay need not."""
        if (key := self.settings.dkim_key) is None:
            return None
        from digest.transports.dkim import Signer

        return Signer(self.mail_domain, self.settings.mail.dkim_selector, key.get_secret_value())

    def _written(self, due: LetterDue) -> Letter:
        if due.edition is not None:
            return self.renderer.digest(due.edition, due.delivery, due.reader, due.papers)
        if due.notice is not None:
            return self.renderer.notice(due.delivery, due.notice)
        from digest.profiles import from_mapping
        from digest.render import profile_words

        summary = profile_words(from_mapping(due.document))
        return self.renderer.confirmation(due.delivery, due.reader, summary)

    async def publish_and_deliver(
        self, stop: Flag | None = None, on_progress: Progress | None = None
    ) -> tuple[Published, dict[str, int]]:
        """Make the editions that are due and send letters meanwhile: the database is the queue
        between the two. For many people publishing has a process, and so a core, of its own."""
        from digest.app.publishing import publish_and_deliver

        return await publish_and_deliver(self, stop, on_progress)

    async def run(self, stop: Flag | None = None) -> Pass:
        """One pass of all that is due, for programs; `digest run` shows how far it is, too."""
        return Pass(await self.ingest(), *await self.publish_and_deliver(stop))

    # -------------------------------------------------------------- what comes back

    @cached_property
    def desk(self) -> bounces.Desk:
        """Where bounces, complaints and goodbyes are recorded."""
        from digest.bounces import Desk

        return Desk(self.db, self.links, self.clock)

    @property
    def hooks(self) -> bounces.Hooks:
        """The webhooks; those without a key are closed."""
        from digest.bounces import doors

        return doors.hooks(self.settings, self.desk, self.fetch)

    async def fetch(self, url: str) -> bytes:
        """What stands at this very public address. Raises SourceError."""
        from digest.sources import SourceSpec

        async with self.web() as web:
            answer = await web.get(url, SourceSpec("webhooks", "", {}, 20.0, 100_000, False))
        if not answer.ok:
            raise SourceError(answer.message, subject=str(answer.verdict))
        if answer.url != url:
            raise SourceError(f"{url[:200]} redirects elsewhere, where nobody vouches for it")
        return bytes(answer.body)

    # -------------------------------------------------------------- answers

    def explain(self, email: str, paper: str) -> Fate:
        """Why this person got, or did not get, this paper. Raises Refused for what is no id."""
        from digest.app import answers

        return answers.fate(self, email, paper)

    def preview(self, email: str) -> Draft:
        """The edition that this person would get if their window closed now."""
        from digest.app import answers

        return answers.preview(self, email)

    def simulate(
        self, document: Mapping[str, Any], weeks: int, person: Subscriber | None = None
    ) -> list[Edition]:
        """The editions that this profile would have had in the last weeks, oldest first; for a
        person, with what they said of papers."""
        from digest.app import answers

        return answers.simulate(self, document, weeks, person)

    @cached_property
    def rehearsals(self) -> Rehearsals:
        """What visitors of the site would have got lately."""
        from digest.publish import Rehearsals

        return Rehearsals(self.press)

    def subscriber(self, email: str) -> Subscriber:
        """The person with this address. Raises Refused for an unknown one."""
        from digest.store import people
        from digest.subscribe import normalised

        with self.db.reading() as tx:
            person = people.get(tx, normalised(email))
        if person is None:
            raise Refused(f"no subscriber {email}; see `digest subscriber list`")
        return person
