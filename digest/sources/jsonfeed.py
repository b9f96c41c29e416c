"""JSON Feed 1.0 and 1.1 (https://www.jsonfeed.org/version/1.1/), read as other feeds are."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from digest.model import Listing, Verdict
from digest.sources import rows
from digest.sources.document import Document, decoded
from digest.sources.entries import Entry, Unreadable
from digest.sources.entries import listing as listing_of

_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_VERSION = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/1(?:\.\d+)?/?", re.I)


def is_one(body: bytes) -> bool:
    """True where this is JSON if it is a feed at all."""
    return _START.match(body) is not None


def read(body: bytes) -> Document:
    """The items of a JSON feed, unread. Takes CPU time, never raises."""
    try:
        feed = rows.loaded(decoded(body)[0])
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:120]
        begins = body[:40].decode("utf-8", "replace").split()
        return _no_feed(f"it begins with {' '.join(begins)!r}, and is no JSON ({said})")
    if not isinstance(feed, dict) or not _VERSION.fullmatch(rows.text(feed, "version").strip()):
        return _no_feed("JSON that does not say it is a JSON Feed 1")
    if not isinstance(items := feed.get("items"), list):
        return _no_feed("a JSON Feed without items")
    return Document(Verdict.OK, entries=tuple(items), feed={"title": rows.text(feed, "title")})


def _no_feed(why: str) -> Document:
    return Document(Verdict.PARSE_FAILED, f"not a feed: {why}")


def listing(item: Any) -> Listing:
    """One item. Raises Unreadable."""
    if not isinstance(item, dict):
        raise Unreadable("is no JSON object")
    return listing_of(_entry(item))


def _entry(item: dict[str, Any]) -> Entry:
    """The item as an entry of any feed."""
    link = rows.text(item, "url") or rows.text(item, "external_url")
    bodies = [rows.text(item, key) for key in ("content_html", "content_text")]
    return {
        "id": rows.text(item, "id") or link,
        "link": link,
        "prism_url": rows.text(item, "external_url"),  # what a link blog writes of
        "title": rows.text(item, "title"),
        "summary": rows.text(item, "summary"),
        "content": [{"value": body} for body in bodies if body],
        "authors": [{"name": name} for name in _names(item)],
        "tags": [{"term": tag} for tag in rows.texts(item, "tags")],
        "published_parsed": _moment(rows.text(item, "date_published")),
        "updated_parsed": _moment(rows.text(item, "date_modified")),
    }


def _names(item: dict[str, Any]) -> list[str]:
    """Version 1.1 has a list of authors, 1.0 one of them."""
    many = item.get("authors")
    people = many if isinstance(many, list) else [item.get("author")]
    names = [rows.text(person, "name") for person in people if isinstance(person, dict)]
    return [name for name in names if name]


def _moment(said: str) -> Any:
    """The date it says (RFC 3339), as feedparser gives it."""
    try:
        return datetime.fromisoformat(said).timetuple() if said else None
    except ValueError:
        return None
