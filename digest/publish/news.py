"""News of works that were sent: a new version, a publication. Said as such, never as new papers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from digest import identity
from digest.publish.group import Person
from digest.store import Database
from digest.store.news import Event, events
from digest.text import excerpt

MOST = 5  # lines in one letter
_TITLE = 120  # characters of a title in a line


def tell_news(db: Database, group: Sequence[Person]) -> None:
    """Look up what happened in each window to the works that its person got before, for those
    who asked for it."""
    curious = [p for p in group if p.profile and p.profile.revisions and not p.suppressed]
    if not curious:
        return
    spans = {person.due.subscriber.key: person.window for person in curious}
    with db.reading() as tx:
        happened = events(tx, spans)
    told: dict[int, list[Event]] = defaultdict(list)
    for event in happened:
        told[event.subscriber].append(event)
    for person in curious:
        person.news = lines(told[person.due.subscriber.key])


def lines(happened: Sequence[Event]) -> tuple[str, ...]:
    """One line for each work, oldest event first, at most MOST and one that counts the rest."""
    by_work: dict[str, list[Event]] = {}
    for event in happened:
        by_work.setdefault(event.paper, []).append(event)
    said = [_line(found) for found in by_work.values()]
    more = len(said) - MOST
    rest = [f"And {more} more of the papers you got have changed."] if more > 0 else []
    return (*said[:MOST], *rest)


def _line(happened: Sequence[Event]) -> str:
    """What happened to one work. The last version and the publication count."""
    last = happened[-1]
    version = max(event.version for event in happened)
    published = next((event.published for event in happened if event.published), "")
    news = [f"has version {version} now: {_page(last.paper, version)}"] if version else []
    news += [f"is published now: {identity.link(published)}"] if published else []
    got = f"{last.got.day} {last.got:%B}"
    return f"“{excerpt(last.title, _TITLE)}”, which you got on {got}, {' and '.join(news)}"


def _page(id_: str, version: int) -> str:
    page = identity.link(id_)
    return f"{page}v{version}" if identity.scheme(id_) == "arxiv" else page
