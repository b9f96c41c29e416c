"""The memory on a real database: SQLite always, PostgreSQL where a server can be started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect

from digest import identity
from digest.errors import Broken
from digest.model import (
    Announce,
    Cadence,
    Content,
    DeliveryState,
    Edition,
    EditionPaper,
    EditionState,
    EndReason,
    LetterKind,
    Listing,
    Outcome,
    OutcomeKind,
    Phase,
    Reason,
    ReasonKind,
    Settlement,
    SubscriberState,
    Window,
)
from digest.store import Database, deliveries, editions, papers, people
from digest.store.mailbox import mailbox

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def listing(number: str, *more: str, **fields: object) -> Listing:
    values = {"title": f"Paper {number}", "abstract": "Words.", "authors": ("A B",)} | fields
    return Listing(ids=(f"arxiv:{number}", *more), **values)


def person(db: Database, email: str = "ada@example.org"):
    with db.writing() as tx:
        return people.add(
            tx, email, {"budget": 5}, None, Cadence(), NOW, "cli", "told us", NOW, NOW + HOUR
        )


def edition_for(db: Database, subscriber, ids=("arxiv:2601.00001",), until=NOW + HOUR) -> int:
    content = Content(tuple(EditionPaper(i, 1, "Flow", 0.5, ()) for i in ids), 10, 2)
    window = Window(until - HOUR, until)
    made = Edition(
        subscriber.email,
        window,
        EditionState.QUEUED,
        until,
        content=content,
        next_due=until + 24 * HOUR,
        subscriber_key=subscriber.key,
    )
    with db.writing() as tx:
        [key] = editions.write(tx, [editions.NewEdition(made, f"<{until.isoformat()}@x>")])
    return key


def claim(db: Database, now=NOW + HOUR, token="t1", limit=10):
    with db.writing() as tx:
        return deliveries.claim(tx, "me", token, now, now + HOUR, limit)


def settle(db: Database, key: int, state: DeliveryState, token="t1", **more):
    outcome = Outcome(OutcomeKind.ACCEPTED, Phase.DOT, 250, "2.0.0", "ok")
    with db.writing() as tx:
        return deliveries.settle(tx, [Settlement(key, token, state, outcome, **more)], NOW + HOUR)


def test_one_work_is_stored_once_over_ids_and_versions(db):
    with db.writing() as tx:
        papers.remember(tx, "a", [listing("2601.00001")], NOW)
        second = listing("2601.00001", "doi:10.1/x", version=2, announce=Announce.REPLACE)
        did = papers.remember(tx, "b", [replace(second, title="Better")], NOW + HOUR)
    with db.reading() as tx:
        found = papers.find(tx, ["doi:10.1/x", "arxiv:2601.00001", "arxiv:none"])
    assert (did.new, did.revised) == (0, 1)
    assert {p.title for p in found.values()} == {"Better"}
    assert {p.first_seen for p in found.values()} == {NOW}


def test_remembering_the_same_listings_again_changes_nothing(db):
    with db.writing() as tx:
        papers.remember(tx, "a", [listing("2601.00001")], NOW)
        did = papers.remember(tx, "a", [listing("2601.00001")], NOW + HOUR)
    assert did == papers.Remembered()


def test_a_pinned_revision_keeps_its_text_after_a_new_version(db):
    with db.writing() as tx:
        papers.remember(tx, "a", [listing("2601.00001", title="Old")], NOW)
        papers.remember(tx, "a", [listing("2601.00001", title="New", version=2)], NOW + HOUR)
    with db.reading() as tx:
        found = papers.pinned(tx, {("arxiv:2601.00001", 1), ("arxiv:2601.00001", 2)})
    assert {k[1]: p.title for k, p in found.items()} == {1: "Old", 2: "New"}


def test_two_rows_found_to_be_one_work_merge_and_keep_what_was_sent(db):
    ada = person(db)
    with db.writing() as tx:
        papers.remember(tx, "a", [listing("2601.00001")], NOW)
        doi = Listing(ids=("doi:10.1/x",), title="Paper", signals={"upvotes": 3})
        papers.remember(tx, "b", [doi], NOW)
    edition_for(db, ada, ["doi:10.1/x"])
    with db.writing() as tx:
        did = papers.remember(tx, "c", [listing("2601.00001", "doi:10.1/x")], NOW + HOUR)
        found = papers.find(tx, ["arxiv:2601.00001", "doi:10.1/x"])
        sent = editions.received(tx, [ada.key])
    assert did.merged == 1
    assert {p.id for p in found.values()} == {"arxiv:2601.00001"}
    assert found["doi:10.1/x"].signals == {"upvotes": 3.0}
    assert sent == {ada.key: frozenset({"arxiv:2601.00001"})}


def test_two_arxiv_numbers_with_one_title_stay_two_works(db):
    with db.writing() as tx:
        did = papers.remember(
            tx, "a", [listing("2601.00001", "ta:1"), listing("2601.00002", "ta:1")], NOW
        )
        again = papers.remember(tx, "a", [listing("2601.00003", "ta:1")], NOW)
    assert (did.new, again.new) == (2, 1)


def test_a_listing_with_more_text_fills_in_what_was_missing(db):
    with db.writing() as tx:
        papers.remember(tx, "hf", [Listing(ids=("arxiv:2601.00001",), title="T")], NOW)
        papers.remember(tx, "arxiv", [listing("2601.00001", categories=("cs.LG",))], NOW)
        paper = papers.find(tx, ["arxiv:2601.00001"])["arxiv:2601.00001"]
    assert (paper.title, paper.abstract, paper.categories) == ("T", "Words.", ("cs.LG",))


def test_windows_select_by_first_sight_half_open(db):
    with db.writing() as tx:
        papers.remember(tx, "a", [listing("2601.00001")], NOW)
        papers.remember(tx, "a", [listing("2601.00002")], NOW + HOUR)
    with db.reading() as tx:
        seen = papers.first_seen_in(tx, Window(NOW, NOW + HOUR))
    assert [p.id for p in seen] == ["arxiv:2601.00001"]


def test_a_slow_fetch_puts_no_paper_into_a_window_that_closed_meanwhile(db):
    with db.writing() as tx:
        papers.close_until(tx, NOW + HOUR)
        papers.close_until(tx, NOW)
        papers.remember(tx, "a", [listing("2601.00001")], NOW)
        [paper] = papers.listed(tx, 0)
    assert paper.first_seen == NOW + HOUR


def test_closing_a_window_twice_moves_it_once(db):
    ada = person(db)
    move = (ada.key, NOW, NOW + HOUR, NOW + 2 * HOUR)
    with db.writing() as tx:
        first = people.close_windows(tx, [move])
    with db.writing() as tx:
        second = people.close_windows(tx, [move])
    assert (first, second) == (frozenset({ada.key}), frozenset())


def test_an_editions_content_comes_back_as_it_was_written(db):
    ada = person(db)
    why = (Reason(ReasonKind.TERM, "flow", "title", 0.5),)
    content = Content((EditionPaper("arxiv:1", 2, "A", 0.25, why),), 7, 3, 1, ("late",))
    assert editions.unpack(editions.pack(content)) == content
    assert ada.state is SubscriberState.ACTIVE


def test_a_claimed_letter_is_not_claimed_again(db):
    edition_for(db, person(db))
    assert (len(claim(db)), claim(db, token="t2")) == (1, [])


def test_a_letter_of_a_person_who_left_is_cancelled_at_the_claim(db):
    ada = person(db)
    edition_for(db, ada)
    with db.writing() as tx:
        people.end(tx, ada.key, EndReason.UNSUBSCRIBED)
    assert claim(db) == []
    with db.reading() as tx:
        [row] = deliveries.listed(tx)
    assert (row.state, row.reason) == (DeliveryState.CANCELLED, "unsubscribed")


def test_consent_withdrawn_after_the_claim_stops_the_body(db):
    ada = person(db)
    edition_for(db, ada)
    [mine] = claim(db)
    with db.writing() as tx:
        people.end(tx, ada.key, EndReason.UNSUBSCRIBED)
    with db.writing() as tx:
        assert deliveries.mark_body(tx, [(mine.key, "t1")], NOW + HOUR) == frozenset()


def test_an_outdated_lease_writes_nothing(db):
    edition_for(db, person(db))
    [mine] = claim(db)
    assert settle(db, mine.key, DeliveryState.ACCEPTED, token="old") == frozenset()
    with db.reading() as tx:
        assert deliveries.get(tx, mine.key).state is DeliveryState.LEASED


def test_a_settled_letter_keeps_its_attempts(db):
    edition_for(db, person(db))
    [mine] = claim(db)
    settle(db, mine.key, DeliveryState.ACCEPTED, counted=True)
    with db.reading() as tx:
        row, tries = deliveries.get(tx, mine.key), deliveries.attempts(tx, mine.key)
    assert (row.state, row.attempts, row.code, len(tries)) == (DeliveryState.ACCEPTED, 1, 250, 1)


def test_a_crash_before_the_body_gives_the_letter_back_and_in_the_body_is_unknown(db):
    ada = person(db)
    edition_for(db, ada)
    edition_for(db, ada, ["arxiv:2601.00002"], NOW + 2 * HOUR)
    first, second = claim(db, NOW + 3 * HOUR)
    with db.writing() as tx:
        deliveries.mark_body(tx, [(second.key, "t1")], NOW + 3 * HOUR)
    with db.writing() as tx:
        swept = deliveries.sweep(tx, NOW + 5 * HOUR, None)
        states = {row.key: row.state for row in deliveries.listed(tx)}
    assert swept == deliveries.Swept(1, 1, 0)
    assert states == {first.key: DeliveryState.QUEUED, second.key: DeliveryState.UNKNOWN}


def test_whoever_dies_in_the_body_leaves_behind_by_which_relay_it_went(db):
    ada = person(db)
    edition_for(db, ada)
    edition_for(db, ada, ["arxiv:2601.00002"], NOW + 2 * HOUR)
    keys = [row.key for row in claim(db, NOW + 3 * HOUR)]
    with db.writing() as tx:
        relays = dict(zip(keys, ("east", "west"), strict=True))
        deliveries.mark_body(tx, [(key, "t1") for key in keys], NOW + 3 * HOUR, relays)
    with db.writing() as tx:
        deliveries.sweep(tx, NOW + 5 * HOUR, None)
        rows = [(deliveries.get(tx, key), deliveries.attempts(tx, key)[0]) for key in keys]
    assert [(row.relay, tried.relay) for row, tried in rows] == [("east", "east"), ("west", "west")]


def test_an_unknown_letter_is_sent_once_more_and_then_held(db):
    edition_for(db, person(db))
    [mine] = claim(db)
    settle(db, mine.key, DeliveryState.UNKNOWN)
    for expected in (1, 0):
        with db.writing() as tx:
            assert deliveries.sweep(tx, NOW + 2 * HOUR, HOUR).resent == expected
        claim(db, NOW + 2 * HOUR)
        settle(db, mine.key, DeliveryState.UNKNOWN)


def test_papers_of_an_expired_letter_come_again_in_the_next_edition(db):
    ada = person(db)
    with db.writing() as tx:
        papers.remember(tx, "a", [listing("2601.00001")], NOW)
    edition_for(db, ada)
    assert claim(db, NOW + 48 * HOUR) == []
    with db.reading() as tx:
        sent, carried = editions.received(tx, [ada.key]), editions.carried(tx, [ada.key])
    assert sent == {}
    assert [p.id for p in carried[ada.key]] == ["arxiv:2601.00001"]


def test_soft_failures_in_a_row_suppress_an_address(db):
    ada = person(db)
    for n in (1, 2):
        edition_for(db, ada, [f"arxiv:2601.0000{n}"], NOW + n * HOUR)
        [mine] = claim(db, NOW + n * HOUR)
        settle(db, mine.key, DeliveryState.FAILED, soft=True)
    with db.reading() as tx:
        assert set(people.suppressed(tx, ["ada@example.org"])) == {"ada@example.org"}


def test_a_suppression_holds_in_whatever_case_its_address_is_written(db):
    ada = person(db, "Ada.Lovelace@example.org")
    first, second = (edition_for(db, ada, ids=(), until=NOW + n * HOUR) for n in (1, 2))
    [one, two] = claim(db, NOW + 2 * HOUR)
    with db.writing() as tx:
        people.suppress(tx, "ADA.lovelace@example.org", "asked by phone", NOW)
        assert deliveries.mark_body(tx, [(one.key, "t1"), (two.key, "t1")], NOW) == frozenset()
        deliveries.release(tx, "t1", [one.key, two.key], NOW)
    assert claim(db, NOW + 2 * HOUR, token="t2") == []
    with db.reading() as tx:
        ended = deliveries.of_editions(tx, [first, second]).values()
        known = people.suppressed(tx, [ada.email, "grace@example.org"])
    assert {(d.state, d.reason) for d in ended} == {("suppressed", "asked by phone")}
    assert {ada.email: "ADA.lovelace@example.org"} == {a: s.address for a, s in known.items()}
    with db.writing() as tx:
        assert people.unsuppress(tx, "ada.lovelace@example.org")
        assert people.suppressions(tx) == []


def test_two_people_cannot_have_one_mailbox(db):
    person(db, "Ada@example.org")
    with pytest.raises(Broken, match=r"(?i)unique"):
        person(db, "ada@example.org")


@given(st.emails() | st.text(max_size=30))
def test_a_mailbox_is_known_by_one_name(address):
    assert mailbox(address) == mailbox(mailbox(address))
    if address.isascii():
        assert mailbox(address) == mailbox(address.upper())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada@example.org", "ada@example.org", True),
        ("IVÁN@example.org", "iván@example.org", True),
        ("iva\u0301n@example.org", "iván@example.org", True),
        ("strauß@example.org", "strauss@example.org", False),
        ("ada+papers@example.org", "ada@example.org", False),
        ("a.da@example.org", "ada@example.org", False),
    ],
)
def test_only_case_makes_no_difference_to_a_mailbox(one, other, same):
    assert same == (mailbox(one) == mailbox(other))


def test_a_failed_letter_can_be_tried_again_only_until_the_next_edition(db):
    ada = person(db)
    edition_for(db, ada)
    [mine] = claim(db)
    settle(db, mine.key, DeliveryState.FAILED)
    with db.writing() as tx:
        assert deliveries.retry(tx, [mine.key], NOW + HOUR) == frozenset({mine.key})
    claim(db)
    settle(db, mine.key, DeliveryState.FAILED)
    edition_for(db, ada, ["arxiv:2601.00002"], NOW + 9 * HOUR)
    with db.writing() as tx:
        assert deliveries.retry(tx, [mine.key], NOW + HOUR) == frozenset()


def test_a_confirmation_goes_only_to_people_who_have_not_confirmed(db):
    with db.writing() as tx:
        bob = people.add(tx, "bob@example.org", {}, None, Cadence(), NOW, "web")
        deliveries.enqueue(tx, LetterKind.CONFIRMATION, bob.key, bob.email, "<c@x>", NOW)
    assert [row.kind for row in claim(db)] == [LetterKind.CONFIRMATION]
    with db.writing() as tx:
        people.confirm(tx, bob.key, NOW, NOW + HOUR)
        deliveries.enqueue(tx, LetterKind.CONFIRMATION, bob.key, bob.email, "<d@x>", NOW)
    assert claim(db, token="t2") == []


PREPRINT, JOURNAL = "doi:10.1101/2026.03.01.600001", "doi:10.1038/s41586-026-1"


def titled(id_: str, *authors: str) -> Listing:
    title = "A title that is long enough to be told by"
    return Listing(identity.complete([id_], title, authors), title, authors=authors)


def test_a_journals_article_of_a_preprint_that_was_sent_is_the_work_that_was_sent(db):
    ada = person(db)
    with db.writing() as tx:
        papers.remember(tx, "biorxiv", [titled(PREPRINT, "Jane Doe", "Ada L")], NOW)
    edition_for(db, ada, (PREPRINT,))
    with db.writing() as tx:
        done = papers.remember(tx, "nature", [titled(JOURNAL, "J. Doe", "A. L", "B. C")], NOW)
    with db.reading() as tx:
        found = papers.find(tx, [PREPRINT, JOURNAL])
        sent = editions.received(tx, [ada.key])
    assert done.new == 0
    assert found[PREPRINT] == found[JOURNAL]
    assert sent == {ada.key: frozenset({found[JOURNAL].id})}


def test_works_of_one_title_by_other_people_stay_two(db):
    with db.writing() as tx:
        papers.remember(tx, "biorxiv", [titled(PREPRINT, "Jane Doe", "Ada L", "Bob M")], NOW)
        done = papers.remember(tx, "nature", [titled(JOURNAL, "J. Doe", "X Y", "Z W")], NOW)
    assert (done.new, done.merged) == (1, 0)


def test_two_that_were_stored_apart_become_one_when_one_of_them_is_shown_again(db):
    one, other = titled(PREPRINT, "Jane Doe"), titled(JOURNAL, "Jane Doe")
    with db.writing() as tx:
        papers.remember(tx, "biorxiv", [one], NOW)
        papers.remember(tx, "nature", [replace(other, ids=(JOURNAL,))], NOW)
        again = papers.remember(tx, "nature", [other], NOW + HOUR)
    assert (again.new, again.merged) == (0, 1)


def test_erasing_forgets_the_address_and_keeps_the_count(db):
    ada = person(db)
    edition_for(db, ada)
    with db.writing() as tx:
        people.erase(tx, ada.key)
    with db.reading() as tx:
        assert people.get(tx, "ada@example.org") is None
        assert [row.recipient for row in deliveries.listed(tx)] == [f"erased-{ada.key}@invalid"]
        assert people.count(tx) == {"ended": 1}


def test_migrations_go_down_to_nothing_and_up_again(db):
    db.downgrade("base")
    left = set(inspect(db.engine).get_table_names()) - {"alembic_version"}
    db.upgrade()
    assert left == set()
    assert db.current()[0] == db.current()[1]


def test_the_newest_revision_is_the_one_that_alembic_finds():
    from alembic.script import ScriptDirectory

    from digest.store import migrate

    found = ScriptDirectory.from_config(migrate._config())
    assert (migrate.head(), True) == (found.get_current_head(), migrate.knows("0001"))


def test_the_migrated_schema_equals_the_declared_one(db):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from digest.store.tables import metadata

    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_ids_listings_and_signals_are_one_tree_each_on_sqlite(sqlite):
    from digest.store.tables import metadata

    asked = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'"
    with sqlite.reading() as tx:
        made = set(tx.exec_driver_sql(asked).scalars())
    declared = {
        table.name
        for table in metadata.tables.values()
        if not table.dialect_options["sqlite"]["with_rowid"]
    }
    assert made == declared == {"listings", "paper_ids", "signals"}


def test_a_migration_of_the_way_rows_are_kept_keeps_the_rows(sqlite):
    shown = [listing("2601.00001", "doi:10.1/x", signals={"upvotes": 3.0})]
    with sqlite.writing() as tx:
        papers.remember(tx, "arxiv", shown, NOW)
    before = contents(sqlite)
    sqlite.downgrade("0002")
    sqlite.upgrade()
    assert contents(sqlite) == before


def contents(db):
    with db.reading() as tx:
        tables = ("paper_ids", "listings", "signals")
        return [tx.exec_driver_sql(f"SELECT * FROM {name}").all() for name in tables]


def test_a_locked_database_is_named_with_its_mend(tmp_path):
    path = tmp_path / "busy.db"
    first = Database(f"sqlite:///{path}")
    first.upgrade()
    second = Database(f"sqlite:///{path}", busy=0.05)
    said = pytest.raises(Broken, match=r"busy\.db: .*locked.*end it or try again")
    with first.writing(), said, second.writing():
        raise AssertionError("two writers at once")
    first.dispose()
    second.dispose()


def test_a_database_in_a_missing_folder_is_named(tmp_path):
    with pytest.raises(Broken, match="make it"):
        Database(f"sqlite:///{tmp_path}/none/x.db")


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 100)
    broken = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Broken, match="file of another kind"):
        broken.upgrade()
    broken.dispose()


def test_a_database_that_was_never_set_up_says_what_to_run(tmp_path):
    fresh = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Broken, match="digest db upgrade"), fresh.reading() as tx:
        people.count(tx)
    fresh.dispose()
