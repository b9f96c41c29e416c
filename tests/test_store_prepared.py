"""Statements handed to the driver as text: the same as by way of SQLAlchemy, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from delivering import NOW, readers
from sqlalchemy import bindparam, event, select, update

from digest.store import deliveries
from digest.store import tables as t
from digest.store.prepared import Among, Prepared, each_pair

d = t.deliveries.c
NAMES = [f"r{n}@example.org" for n in range(5)]


@pytest.mark.parametrize("wanted", [[], [2], [1, 3, 5], list(range(1, 3000))])
def test_any_number_of_keys_is_one_parameter(db, wanted):
    readers(db, *NAMES)
    question = select(d.key).where(Among(d.key)).order_by(d.key)
    with db.reading() as tx:
        by_text = [row.key for row in Prepared(question).rows(tx, keys=wanted)]
        by_core = list(tx.execute(question, {"keys": wanted}).scalars())
    assert by_text == by_core == [key for key in range(1, 6) if key in wanted]


def test_any_number_of_pairs_is_one_parameter(db):
    large = (1 << 31) - 1
    pairs = [(person, paper) for person in range(1, 50) for paper in range(1, 50)]
    pairs += [(large, large), (large, 1)]
    with db.reading() as tx:
        rows, first, second = each_pair(tx)
        question = select(first, second).select_from(rows)
        assert pairs == list(map(tuple, tx.execute(question, {"pairs": pairs})))
        assert [] == tx.execute(question, {"pairs": []}).all()


@pytest.mark.parametrize(
    "at",
    [
        NOW,
        NOW + timedelta(microseconds=5),
        datetime(999, 12, 31, 23, tzinfo=UTC),
        datetime(2026, 7, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_a_time_is_written_as_by_any_other_statement(db, at):
    readers(db, *NAMES[:2])
    later = update(t.deliveries).values(changed_at=bindparam("at"), not_before=bindparam("wait"))
    with db.writing() as tx:
        Prepared(later.where(d.key == bindparam("k"))).run_for_each(
            tx, [{"k": 1, "wait": at}], at=at
        )
        tx.execute(later.where(d.key == 2), {"at": at, "wait": at})
    with db.reading() as tx:
        rows = tx.execute(select(d.changed_at, d.not_before)).all()
        raw = tx.exec_driver_sql("SELECT DISTINCT changed_at, not_before FROM deliveries").all()
    assert [tuple(row) for row in rows] == [(at, at)] * 2
    assert len(raw) == 1


def test_what_an_update_leaves_out_stays(db):
    readers(db, *NAMES)
    named = Prepared(
        update(t.deliveries).where(Among(d.key)).values(reason="x", text=bindparam("said"))
    )
    with db.writing() as tx:
        named.run(tx, keys=[2, 4], said="hello")
    with db.reading() as tx:
        found = tx.execute(select(d.key, d.reason, d.text, d.state).order_by(d.key)).all()
    assert [tuple(row) for row in found] == [
        (n, "x" if n in (2, 4) else None, "hello" if n in (2, 4) else None, "queued")
        for n in range(1, 6)
    ]


def test_sqlite_goes_to_the_rows_by_their_keys(sqlite):
    with sqlite.reading() as tx:
        text = Prepared(select(d.key).where(Among(d.key)))._text(tx).text
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", {"keys": "[1]"}).all()
    assert "SEARCH deliveries USING INTEGER PRIMARY KEY" in plan[0][3]


def test_what_was_not_accepted_is_found_by_an_index_of_its_own(sqlite):
    asked = []

    def note(connection, cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    event.listen(sqlite.engine, "before_cursor_execute", note)
    with sqlite.reading() as tx:
        deliveries.listed(tx, 50, not_accepted=True)
        statement, parameters = asked[-1]
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "SCAN deliveries USING INDEX ix_deliveries_not_accepted" in [row[3] for row in plan]
