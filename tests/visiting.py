"""What the tests of the site share: a site over a real database, and somebody who visits it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
from starlette.types import ASGIApp

from digest import profiles
from digest.links import Links, Purpose
from digest.model import Listing, Profile, Subscriber, SubscriberState
from digest.render import Renderer, Site
from digest.store import Database, papers, people
from digest.web import SiteParts, create_site
from digest.web.pages import Pages

NOW = datetime(2026, 3, 11, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
URL = "https://digest.example.org"
SITE = Site(
    name="Paper Digest",
    url=URL,
    postal_address="12 Library Lane, 10115 Berlin",
    operator="ops@example.org",
    mail_from="Paper Digest <digest@example.org>",
    reply_to="",
    bounce_domain="bounces.example.org",
)
LINKS = Links("a secret for tests that is long enough", URL)

RENDERER = Renderer(SITE, LINKS)
PAGES = Pages(SITE)


def parts(db: Database, **other: Any) -> SiteParts:
    """A site over this database; `other` replaces single parts."""
    usual = {
        "db": db,
        "links": LINKS,
        "site": SITE,
        "clock": lambda: NOW,
        "renderer": RENDERER,
        "mail_domain": "example.org",
    }
    return SiteParts(**{**usual, **other})


@dataclass
class Visitor:
    """Asks a site. Follows no redirect, and shows what a browser's user would see: errors of the
    site are answers, not exceptions."""

    app: ASGIApp
    address: str = "192.0.2.1"
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **more))

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(self.address, 50000))
        async with httpx.AsyncClient(
            transport=transport, base_url=URL, headers=dict(self.headers)
        ) as client:
            return await client.request(method, path, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, data: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.ask("POST", path, data=data, **more)


def visitor(db: Database, **other: Any) -> Visitor:
    """Somebody at a site over this database."""
    own_pages = other.keys() & {"site", "templates"}
    return Visitor(create_site(parts(db, **other), None if own_pages else PAGES))


def link(purpose: Purpose, value: int, tail: str = "") -> str:
    """The path of a signed address."""
    return LINKS.url(purpose, value, tail).removeprefix(URL)


def reader(db: Database, email: str = "ada@example.org", **wants: Any) -> Subscriber:
    """A person who has confirmed."""
    return _person(db, email, NOW - 48 * HOUR, **wants)


def pending(db: Database, email: str = "ada@example.org", **wants: Any) -> Subscriber:
    """A person who has asked and not yet said yes."""
    return _person(db, email, None, **wants)


def _person(db: Database, email: str, confirmed_at: datetime | None, **wants: Any) -> Subscriber:
    profile = Profile(**wants)
    next_due = NOW + 24 * HOUR if confirmed_at else None
    document, text = profiles.to_mapping(profile), profiles.dump(profile)
    with db.writing() as tx:
        return people.add(
            tx,
            email,
            document,
            text,
            profile.cadence,
            NOW - 72 * HOUR,
            "web",
            confirmed_at=confirmed_at,
            next_due=next_due,
        )


def again(db: Database, person: Subscriber) -> Subscriber:
    """The person as the database knows them now."""
    with db.reading() as tx:
        found = people.by_key(tx, person.key)
    assert found is not None
    return found


def state(db: Database, person: Subscriber) -> SubscriberState:
    return again(db, person).state


def remember(db: Database, *titles: str, at: datetime = NOW - HOUR, votes: int = 0) -> list[str]:
    """Papers of these titles, first seen at `at`; each has one vote less than the one before."""
    listings = [
        Listing(
            ids=(f"arxiv:2603.{10000 + number}",),
            title=title,
            abstract=f"About {title}.",
            authors=("Lovelace, Ada", "Babbage, Charles"),
            categories=("cs.LG",),
            signals={"upvotes": votes - number} if votes else {},
        )
        for number, title in enumerate(titles)
    ]
    with db.writing() as tx:
        papers.remember(tx, "hf", listings, at)
    return [listing.ids[0] for listing in listings]


def dump(db: Database) -> list[Any]:
    """Every row of every table: two dumps are equal where nothing has changed."""
    with db.reading() as tx:
        names = tx.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
        return [
            (name, sorted(map(str, tx.exec_driver_sql(f"SELECT * FROM {name}").all())))
            for name in sorted(names)
        ]


def text_of(page: httpx.Response) -> str:
    """What a page says, on one line."""
    reader = _Text()
    reader.feed(page.text)
    return " ".join(" ".join(reader.words).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)
