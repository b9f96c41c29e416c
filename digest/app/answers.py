"""What is asked about one person: why a paper came or did not, what would come. Thinking about
papers takes numpy and scipy: they come in here, for whoever asks, and not for every command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from digest import cadence, identity, profiles
from digest.errors import Refused
from digest.explain import Fate, explain, never_announced
from digest.model import Edition, Feedback, Subscriber, SubscriberState, Window
from digest.publish import NOBODY, Draft, draft, rehearse
from digest.store import papers, people, sources
from digest.store.people import Due

if TYPE_CHECKING:
    from digest.app.root import App


def fate(app: App, email: str, paper: str) -> Fate:
    """See App.explain."""
    person = app.subscriber(email)
    known = identity.parse(paper)
    id_ = known or paper
    with app.db.reading() as tx:
        found = papers.find(tx, [id_]).get(id_)
        health = sources.health(tx)
    if found is None and known is None:
        raise Refused(f"{paper} is no id of a paper; `digest paper search` looks for words")
    if found is None or found.first_seen is None:
        return never_announced(health, [spec.name for spec in app.specs()], id_)
    return explain(app.press, person, found, app.clock())


def preview(app: App, email: str) -> Draft:
    """See App.preview."""
    person, now = app.subscriber(email), app.clock()
    with app.db.reading() as tx:
        document, _ = people.profile(tx, person.key)
        said = people.feedback(tx, [person.key]).get(person.key, Feedback())
    since = person.window_since or now - timedelta(days=7)
    until = max(since, now) + timedelta(seconds=1)  # what was first seen just now counts
    return draft(app.press, Due(person, document, said), Window(since, until), now)


def simulate(
    app: App, document: Mapping[str, Any], weeks: int, person: Subscriber | None
) -> list[Edition]:
    """See App.simulate."""
    now = app.clock()
    kind, since = profiles.from_mapping(document).cadence, now - timedelta(weeks=weeks)
    who = Subscriber(0, NOBODY, SubscriberState.ACTIVE, kind, since)
    said = Feedback()
    if person is not None:
        who = replace(who, email=person.email)
        with app.db.reading() as tx:
            said = people.feedback(tx, [person.key]).get(person.key, said)
    windows: list[Window] = []
    while (until := cadence.next_due(kind, since)) <= now:
        windows.append(Window(since, until))
        since = until
    return list(rehearse(app.press, Due(who, document, said), windows))
