"""What the site is built from, and what every page has at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request

from digest.bounces import Hooks
from digest.errors import TokenError
from digest.links import Links, Purpose
from digest.model import Edition, EndReason, Profile, Subscriber
from digest.render import Renderer, Site
from digest.store import Database, people
from digest.subscribe import Post
from digest.web.limits import Limiter, client_of
from digest.web.pages import Pages

WEB, ONE_CLICK = "web", "one_click"  # the doors that a consent record names
POSTS, POST_SECONDS = 20, 30.0  # a client may post 20 times at once, then once in 30 s


@dataclass(frozen=True, slots=True)
class SiteParts:
    """What a site needs. `checks`: more of what must be well before the site says that it is
    ready: {name: a function that says what is wrong, "" where nothing is}. `templates`: the
    site's own folder, holding `web/...`, looked in before ours. `hooks`: what providers post to.
    `rehearse`: the last letters of a profile, made up; None: visitors are not shown any."""

    db: Database
    links: Links
    site: Site
    clock: Callable[[], datetime]
    renderer: Renderer
    mail_domain: str
    checks: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    templates: Path | None = None
    hooks: Hooks | None = None
    rehearse: Callable[[Profile, datetime], Sequence[Edition]] | None = None

    @property
    def post(self) -> Post:
        """What confirmations need to be queued."""
        return Post(self.links, self.mail_domain)


@dataclass(frozen=True, slots=True)
class House:
    """The parts, and what is made of them once: pages, and the count of who posted how often."""

    parts: SiteParts
    pages: Pages
    posts: Limiter = field(default_factory=lambda: Limiter(POSTS, POST_SECONDS))

    def person(self, purpose: Purpose, token: str) -> Subscriber:
        """Whom a link was made for. Raises TokenError, or HTTPException 410 for somebody who is
        forgotten."""
        value = self.parts.links.read(purpose, token)
        if not value.isdigit():
            raise TokenError("this link names nobody")
        with self.parts.db.reading() as tx:
            person = people.by_key(tx, int(value))
        if person is None or person.reason == EndReason.ERASED:
            raise HTTPException(410)
        return person

    def not_too_often(self, request: Request) -> None:
        """Raises HTTPException 429 for a client that posts too often."""
        host = request.client.host if request.client else None
        if wait := self.posts.wait(client_of(host)):
            raise HTTPException(429, headers={"retry-after": str(wait)})


def evidence(request: Request) -> str:
    """What a consent record tells of who pressed the button."""
    return f"from {request.client.host}" if request.client else ""
