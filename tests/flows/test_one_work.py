"""Two months of a reader: one work comes as v1, v2, cross-list, HF listing and DOI, in any order.

Whatever comes when, everything reaches the reader, and nothing twice.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from conftest import _fresh_sqlite
from hypothesis import given, settings
from hypothesis import strategies as st

from digest import identity, subscribe
from digest.links import Links
from digest.matching.lexical import LexicalMatcher
from digest.model import Announce, Listing
from digest.publish import Press, publish
from digest.store import Database, editions, papers

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
DAY, WEEKS = timedelta(days=1), 9
WORKS = 5
AUTHORS = ("Ada Lovelace", "Charles Babbage")
WANTS = {"interest": [{"name": "Flow", "query": "flow"}], "trending": 5, "budget": 100}
NIGHTLY = settings().max_examples > 1000


def shapes(number: int) -> list[Listing]:
    """One work as six places show it. The journal's DOI comes once beside the preprint's id, under
    another title (arXiv's `doi` field, bioRxiv's list of publications), and once alone, under the
    old one. Every other preprint is bioRxiv's, whose id is a DOI too."""
    title = f"Flow matching of kind {'abcdefgh'[number]} for engines"
    arxiv, doi = f"arxiv:2603.{number:05}", f"doi:10.1000/j.{number}"
    if number % 2:
        arxiv = f"doi:10.1101/2026.03.02.{600000 + number}"

    def shown(title: str, *ids: str, **more: object) -> Listing:
        return Listing(
            identity.complete(ids, title, AUTHORS),
            title,
            "What flows, and where to.",
            AUTHORS,
            **more,  # type: ignore[arg-type]
        )

    return [
        shown(title, arxiv),
        shown(title, arxiv, version=2, announce=Announce.REPLACE),
        shown(title, arxiv, announce=Announce.CROSS, categories=("cs.LG",)),
        shown(title, arxiv, announce=Announce.LISTED, signals={"upvotes": 9.0}),
        shown(f"On {title.lower()}: an essay", arxiv, doi, announce=Announce.REPLACE, version=3),
        shown(title, doi),
    ]


def strong_ids(number: int) -> set[str]:
    ids = {id_ for listing in shapes(number) for id_ in listing.ids}
    return {id_ for id_ in ids if not identity.is_weak(id_)}


@contextmanager
def site() -> Iterator[Press]:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{_fresh_sqlite(Path(folder))}")
        links = Links("secret", "https://digest.example.org")
        yield Press(db, LexicalMatcher(), links, "example.org")
        db.dispose()


# A day of the two months for each of the listings of all works.
days = st.lists(st.integers(0, 55), min_size=WORKS * 6, max_size=WORKS * 6)


@given(days)
@settings(deadline=None, max_examples=300 if NIGHTLY else 8)
def test_nothing_is_sent_twice_and_nothing_is_lost(when: list[int]) -> None:
    listings = [listing for number in range(WORKS) for listing in shapes(number)]
    with site() as press:
        subscribe.add_confirmed(press.db, "ada@example.org", WANTS, BEGIN)
        for day in range(WEEKS * 7 + 1):
            now = BEGIN + day * DAY + timedelta(hours=1)
            shown = [item for item, at in zip(listings, when, strict=True) if at == day]
            with press.db.writing() as tx:
                papers.remember(tx, "all", identity.fold(shown), now)
            if day % 7 == 0:
                publish(press, now)
        with press.db.reading() as tx:
            made = editions.listed(tx)
            stored = papers.listed(tx, 0)
    sent = Counter(id_ for edition in made for id_, _ in edition.content.pins)
    assert len(stored) == WORKS
    known_by = {id_ for paper in stored for id_ in (paper.id, *paper.other_ids)}
    assert known_by == {id_ for number in range(WORKS) for id_ in strong_ids(number)}
    assert sorted(sent.values()) == [1] * WORKS


def test_versions_and_publications_of_a_work_are_its_history() -> None:
    first, second, *_, published, _ = shapes(0)
    with site() as press:
        for day, item in enumerate((first, second, published)):
            with press.db.writing() as tx:
                papers.remember(tx, "arxiv", [item], BEGIN + day * DAY)
        with press.db.reading() as tx:
            history = papers.history(tx, papers.listed(tx, 1)[0].key)
    assert [(row["version"], row["seen_at"]) for row in history.revisions] == [
        (version, BEGIN + day * DAY) for version, day in ((1, 0), (2, 1), (3, 2))
    ]
    assert [(row["id"], row["at"]) for row in history.ids] == [
        ("arxiv:2603.00000", BEGIN),
        ("doi:10.1000/j.0", BEGIN + 2 * DAY),
    ]
