"""News of papers that were sent: said as such to those who ask for it, and never as new papers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from digest import identity, subscribe
from digest.links import Links
from digest.matching.lexical import LexicalMatcher
from digest.model import Announce, Edition, EditionState, Listing
from digest.publish import Press, publish
from digest.publish.news import lines
from digest.store import Database, editions, papers
from digest.store.news import Event

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
DAY, WEEK = timedelta(days=1), timedelta(days=7)
ASKS = {"interest": [{"name": "Flow", "query": "flow"}], "trending": 0, "revisions": True}
AUTHORS = ("Ada Lovelace", "Charles Babbage")
TITLE = "Flow matching for engines"
ARXIV, BIORXIV = "arxiv:2603.00001", "doi:10.1101/2026.03.01.600001"
JOURNAL = "doi:10.1000/j.1"


@pytest.fixture
def press(db: Database) -> Press:
    return Press(db, LexicalMatcher(), Links("secret", "https://digest.example.org"), "example.org")


def shown(*ids: str, title: str = TITLE, **more: object) -> Listing:
    given = {"abstract": "What flows.", "authors": AUTHORS} | more
    return Listing(identity.complete(ids, title, AUTHORS), title, **given)  # type: ignore[arg-type]


def remember(db: Database, day: int, *listings: Listing) -> None:
    with db.writing() as tx:
        papers.remember(tx, "some", listings, BEGIN + day * DAY + timedelta(hours=1))


def letters(press: Press, weeks: int, profile: dict[str, object] | None = None) -> list[Edition]:
    """What ada gets in so many weeks, oldest first; she joins now."""
    subscribe.add_confirmed(press.db, "ada@example.org", profile or ASKS, BEGIN)
    for week in range(1, weeks + 1):
        publish(press, BEGIN + week * WEEK)
    with press.db.reading() as tx:
        return editions.listed(tx, newest_first=False)


def second(press: Press, *later: Listing, first: str = ARXIV) -> Edition:
    """The second week's edition of somebody who got the work `first` in the first."""
    remember(press.db, 0, shown(first))
    remember(press.db, 8, *later)
    return letters(press, 2)[1]


def test_a_new_version_is_a_line_and_no_paper(press: Press) -> None:
    edition = second(press, shown(ARXIV, version=2, announce=Announce.REPLACE))
    assert (edition.state, edition.content.papers) == (EditionState.QUEUED, ())
    assert edition.content.notices == (
        f"“{TITLE}”, which you got on 9 March, has version 2 now: "
        "https://arxiv.org/abs/2603.00001v2",
    )


def test_a_publication_is_a_line_and_no_paper(press: Press) -> None:
    edition = second(press, shown(JOURNAL), first=BIORXIV)
    assert edition.content.papers == ()
    assert edition.content.notices == (
        f"“{TITLE}”, which you got on 9 March, is published now: https://doi.org/10.1000/j.1",
    )


def test_both_of_one_work_are_one_line_beside_new_papers(press: Press) -> None:
    new = shown("arxiv:2603.00002", title="Another flow of things")
    edition = second(press, shown(ARXIV, JOURNAL, version=3), new)
    assert [paper.id for paper in edition.content.papers] == ["arxiv:2603.00002"]
    (line,) = edition.content.notices
    assert "has version 3 now: https://arxiv.org/abs/2603.00001v3 and is published now: h" in line


@pytest.mark.parametrize(
    "later",
    [
        shown(ARXIV, announce=Announce.LISTED, signals={"upvotes": 9.0}),  # the same text
        shown(ARXIV, categories=("cs.LG",), announce=Announce.CROSS),  # with more to it
        shown(ARXIV, "doi:10.21203/rs.3.rs-1"),  # on another server
        shown("arxiv:2603.00009", title="Heat of engines", version=2),  # nothing she got
    ],
)
def test_what_is_neither_is_not_mentioned(press: Press, later: Listing) -> None:
    assert second(press, later).state is EditionState.SKIPPED


def test_who_did_not_ask_is_told_nothing(press: Press) -> None:
    remember(press.db, 0, shown(ARXIV))
    remember(press.db, 8, shown(ARXIV, version=2, announce=Announce.REPLACE))
    edition = letters(press, 2, ASKS | {"revisions": False})[1]
    assert (edition.state, edition.content.notices) == (EditionState.SKIPPED, ())


def test_what_happened_is_told_once(press: Press) -> None:
    remember(press.db, 0, shown(ARXIV))
    remember(press.db, 8, shown(ARXIV, version=2, announce=Announce.REPLACE))
    states = [edition.state for edition in letters(press, 4)]
    assert states == [EditionState.QUEUED] * 2 + [EditionState.SKIPPED] * 2


def test_a_version_that_came_before_the_letter_is_no_news(press: Press) -> None:
    remember(press.db, 0, shown(ARXIV))
    remember(press.db, 2, shown(ARXIV, version=2, announce=Announce.REPLACE))
    assert [edition.state for edition in letters(press, 2)][1] is EditionState.SKIPPED


def test_five_lines_are_told_and_the_rest_is_counted() -> None:
    happened = [
        Event(1, f"arxiv:2603.0000{n}", f"Paper {n}", BEGIN, BEGIN + DAY, version=2)
        for n in range(7)
    ]
    told = lines(happened)
    assert len(told) == 6
    assert told[-1] == "And 2 more of the papers you got have changed."
