"""What the letters' templates are given. Everything is data and words; links are whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from digest.cadence import describe
from digest.links import Links, Purpose
from digest.model import Content, Edition, Notice, Paper, Subscriber
from digest.render import words
from digest.render.frame import Section
from digest.render.paper import title_of
from digest.render.pieces import paper_slot

LONGEST_LEAD = 66  # the title in the subject
NOTICES = 12
LONGEST_SUMMARY = 200
LONGEST_MESSAGE = 400

_LINK_LIKE = re.compile(r"\S*(?:://|www\.|@)\S*", re.IGNORECASE)


def digest_context(
    edition: Edition, reader: Subscriber, papers: Sequence[Paper], links: Links
) -> dict[str, Any]:
    """For email/digest/body.*: `sections` hold a slot for each paper, to be put out as it is."""
    zone = reader.cadence.zone
    return {
        **_told(edition, zone, papers),
        "since": words.moment_words(edition.window.since, zone),
        "until": words.moment_words(edition.window.until, zone),
        "zone": zone,
        "next": words.moment_words(edition.next_due, zone) if edition.next_due else "",
        **_reader(reader),
        **_addresses(edition, reader, links),
    }


def page_context(
    edition: Edition, zone: str, papers: Sequence[Paper], links: Links
) -> dict[str, Any]:
    """For email/digest/page.html, which anybody may read: nothing here tells who got the letter,
    where and at what hour they live, or opens a page of theirs. What is not here cannot be shown,
    whatever a template of the site's own asks for."""
    return {**_told(edition, zone, papers), "subscribe": f"{links.base_url}/#subscribe"}


def _told(edition: Edition, zone: str, papers: Sequence[Paper]) -> dict[str, Any]:
    """What there is to read, for whomever."""
    content = edition.content
    return {
        "lead": words.short_title(title_of(papers[0]), LONGEST_LEAD) if papers else "",
        "count": len(papers),
        "heading": words.heading_words(edition),
        "preheader": words.preheader_words(edition, zone),
        "period": words.period_words(edition.window, zone),
        "sections": _sections(content),
        "notices": tuple([words.cut(words.plain(n), 300) for n in content.notices[:NOTICES]]),
        "near": words.near_words(content),
    }


def _sections(content: Content) -> tuple[Section, ...]:
    """Sections in the order in which the edition has them, each with its papers' slots."""
    slots: dict[str, list[str]] = {}
    for index, paper in enumerate(content.papers):
        slots.setdefault(paper.section, []).append(paper_slot(index))
    return tuple([Section(_section_words(name), tuple(s)) for name, s in slots.items()])


@lru_cache(maxsize=1 << 12)
def _section_words(name: str) -> str:
    return words.cut(words.plain(name), 80)


def _reader(reader: Subscriber) -> dict[str, str]:
    begun = reader.confirmed_at or reader.created_at
    return {"email": words.plain(reader.email), "subscribed": words.day_words(begun)}


def _addresses(edition: Edition, reader: Subscriber, links: Links) -> dict[str, str]:
    preferences = links.url(Purpose.PREFERENCES, reader.key)
    return {
        "preferences": preferences,
        "pause": f"{preferences}#pause",
        "unsubscribe": links.url(Purpose.UNSUBSCRIBE, reader.key),
        "online": links.url(Purpose.LETTER, edition.key) if edition.key else "",
    }


def confirmation_context(reader: Subscriber, summary: str, links: Links) -> dict[str, Any]:
    """For email/confirmation/body.*. Anyone can have this letter sent to anyone: what was typed
    is cut short and loses whatever a mail program would turn into a link."""
    typed = _LINK_LIKE.sub("", words.plain(summary))
    return {
        "email": words.plain(reader.email),
        "asked": words.moment_words(reader.created_at, reader.cadence.zone),
        "zone": reader.cadence.zone,
        "cadence": describe(reader.cadence),
        "summary": words.cut(" ".join(typed.split()), LONGEST_SUMMARY),
        "confirm": links.url(Purpose.CONFIRM, reader.key),
    }


def notice_context(notice: Notice) -> dict[str, Any]:
    """For email/notice/body.*: what the operator is told of a source."""
    return {
        "source": words.plain(notice.source),
        "well": notice.well,
        "verdict": str(notice.verdict).replace("_", " "),
        "message": words.cut(words.plain(notice.message), LONGEST_MESSAGE),
        "at": words.moment_words(notice.at, "UTC"),
        "since": words.moment_words(notice.since, "UTC") if notice.since else "",
    }
