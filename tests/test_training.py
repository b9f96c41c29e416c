"""Learning from all readers: what is read, what is kept, and that letters go on whatever comes of
it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from test_matching_map import libraries, papers

from digest import subscribe, training
from digest.app import App, held_clock
from digest.config import load
from digest.matching.heldout import Check
from digest.model import Feedback, Listing
from digest.store import Database, models, people
from digest.store import papers as stored
from digest.store.models import MAP, Kept

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
CHECK = Check(True, "surely better", 60)


def with_readers(db: Database, number: int, each: int = 80) -> None:
    """Papers, and readers who have some of them as seeds."""
    stock = papers(each)
    found = [Listing((p.id,), p.title, p.abstract, (f"A {p.id[2:]}",)) for p in stock]
    with db.writing() as tx:
        stored.remember(tx, "arxiv", found, NOW - timedelta(days=30))
    for n, library in enumerate(libraries(stock, number)):
        profile = {"interest": [{"name": "Mine", "seeds": list(library)}]}
        subscribe.add_confirmed(db, f"r{n}@example.org", profile, NOW)


def keep(db: Database, data: bytes | None, at: datetime = NOW) -> None:
    with db.writing() as tx:
        models.keep(tx, MAP, Kept(at, asdict(CHECK)), data)


def app(db: Database, at: datetime = NOW) -> App:
    url = db.engine.url.render_as_string(hide_password=False)
    return App(load(None, {"DIGEST_DATABASE__URL": url}), held_clock(at))


def test_a_map_learnt_from_readers_is_kept_and_used_by_the_next_letters(sqlite: Database) -> None:
    with_readers(sqlite, 75)
    site = app(sqlite)
    assert site.matcher.taste is None  # type: ignore[attr-defined]
    check = site.train()
    assert check.helps
    assert (NOW, check) == training.checked(sqlite)
    assert site.matcher.taste.rank > 0  # type: ignore[attr-defined]
    site.close()


def test_without_enough_readers_no_map_is_kept_and_the_reason_is(db: Database) -> None:
    with_readers(db, 3, each=5)
    found = training.train(db, NOW)
    assert (False, None) == (found.helps, training.load(db))
    assert found.why.startswith("too few readers")
    assert (NOW, found) == training.checked(db)


@pytest.mark.parametrize(
    ("profile", "likes", "wanted"),
    [
        ({"interest": [{"name": "i", "seeds": ["arXiv:2410.16794v2"]}]}, (), ("arxiv:2410.16794",)),
        ({"interest": [{"name": "i", "seeds": ["b"]}]}, ("a", "b"), ("b", "a")),
        ({"interest": "broken"}, ("a",), ("a",)),
        ({"interest": [{"name": "i"}, 7, {"seeds": [1, None]}]}, (), ()),
        ({}, (), ()),
    ],
)
def test_seeds_and_likes_are_learnt_from_whatever_else_a_profile_holds(
    profile: dict[str, object], likes: Sequence[str], wanted: Sequence[str]
) -> None:
    assert wanted == training.library(profile, Feedback(tuple(likes)))


def test_who_left_or_was_erased_is_not_learnt_from(db: Database) -> None:
    with_readers(db, 2, each=5)
    with db.reading() as tx:
        first, second = (key for key, *_ in people.libraries(tx, 0, 10))
    subscribe.erase(db, first, NOW, door="cli")
    with db.reading() as tx:
        assert [second] == [key for key, *_ in people.libraries(tx, 0, 10)]


def test_people_are_read_in_batches(db: Database) -> None:
    with_readers(db, 5, each=5)
    with db.reading() as tx:
        keys = [key for key, *_ in people.libraries(tx, 0, 10)]
        assert keys[2:4] == [key for key, *_ in people.libraries(tx, keys[1], 2)]


def test_a_map_that_cannot_be_read_is_left_out_with_a_word(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    keep(db, b"of a later version")
    with caplog.at_level(logging.WARNING):
        assert training.load(db) is None
    assert "`digest train` makes a new one" in caplog.text


def test_the_last_model_replaces_the_one_before(db: Database) -> None:
    keep(db, b"first")
    keep(db, None, NOW + timedelta(days=1))
    with db.reading() as tx:
        kept = models.latest(tx, MAP)
        assert (None, NOW + timedelta(days=1)) == (models.data(tx, MAP), kept and kept.made_at)


@pytest.mark.parametrize(("days", "due"), [(0, False), (6, False), (7, True)])
def test_training_is_due_once_a_week(db: Database, days: int, due: bool) -> None:
    with db.reading() as tx:
        assert models.is_due(tx, MAP, NOW)
    keep(db, None)
    with db.reading() as tx:
        assert due == models.is_due(tx, MAP, NOW + timedelta(days=days))


def test_the_daemon_trains_in_a_process_of_its_own_where_readers_are_many(
    sqlite: Database,
) -> None:
    with_readers(sqlite, 50, each=5)
    site = app(sqlite)
    told = site.train_apart(threading.Event())
    assert told.startswith("too few")
    assert "" == site.train_apart(threading.Event())  # not again in the same week
    site.close()


def test_the_daemon_does_not_train_for_a_handful(sqlite: Database) -> None:
    with_readers(sqlite, 3, each=5)
    site = app(sqlite)
    assert "" == site.train_apart(threading.Event())
    assert training.checked(sqlite) is None
    site.close()
