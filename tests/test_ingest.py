"""Verb 1: ask every source, judge its health, remember new papers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replaying import CATEGORIES, hf, ingest_from, no_web, noon, replay_on, run, spec, web_of

from digest import identity
from digest.errors import Broken, Refused
from digest.ingest import backfill, import_papers, ingest, patient, retry
from digest.model import Announce, BadEntry, Fetched, Listing, SourceReport, Verdict, Window
from digest.sources import Known, SourceSpec
from digest.sources.feed import FeedSource
from digest.store import Database, papers, sources

NOW = noon("2025-09-15")
HOUR = timedelta(hours=1)


def paper(number: int, **more: object) -> Listing:
    title = f"Paper number {number} of many"
    ids = identity.complete([f"arxiv:2509.{number:05}"], title, ("Jane Doe",))
    return Listing(ids, title, authors=("Jane Doe",), **more)  # type: ignore[arg-type]


class Scripted:
    """A source that answers as it was told, one answer for each fetch."""

    def __init__(self, name: str, *answers: Fetched | Exception) -> None:
        self.spec: SourceSpec = SourceSpec(name, "scripted")
        self.answers = list(answers)
        self.cursors: list[dict[str, str]] = []

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        self.cursors.append(dict(cursor))
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def asked(db: Database, *given_sources: Scripted, now: datetime = NOW) -> list[SourceReport]:
    return run(ingest(db, given_sources, now))


def count(db: Database) -> int:
    with db.reading() as tx:
        return papers.count(tx)


def test_what_a_source_shows_is_stored_and_reported(db: Database) -> None:
    shown = Fetched(Verdict.OK, "fine", (paper(1), paper(2)), cursor={"etag": "1"})
    (report,) = asked(db, Scripted("a", shown))
    assert report == SourceReport("a", Verdict.OK, fetched=2, new=2, message="fine")
    with db.reading() as tx:
        assert sources.cursor(tx, "a") == {"etag": "1"}
        assert [line.report for line in sources.history(tx, "a")] == [report]
        seen = papers.first_seen_in(tx, Window(NOW, NOW + HOUR))
    assert {p.id for p in seen} == {"arxiv:2509.00001", "arxiv:2509.00002"}


def test_asking_again_changes_nothing(db: Database) -> None:
    source = Scripted("a", Fetched(Verdict.OK, "", (paper(1),)))
    asked(db, source)
    (again,) = asked(db, source, now=NOW + HOUR)
    assert (again.new, again.revised, count(db)) == (0, 0, 1)


def test_a_source_gets_the_cursor_it_left(sqlite: Database) -> None:
    source = Scripted("a", Fetched(Verdict.OK, cursor={"n": "1"}), Fetched(Verdict.OK, cursor={}))
    for _ in range(3):
        asked(sqlite, source)
    assert source.cursors == [{}, {"n": "1"}, {}]


def test_one_bad_source_never_costs_another(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    good = Scripted("good", Fetched(Verdict.OK, "", (paper(1),)))
    bad = Scripted("bad", ValueError("boom"), Fetched(Verdict.OK))
    reports = asked(sqlite, bad, good)
    assert [report.source for report in reports] == ["bad", "good"]
    assert reports[0].verdict is Verdict.PARSE_FAILED
    assert "ValueError: boom: a fault of kind scripted" in reports[0].message
    assert reports[1].new == 1
    assert "source bad raised" in caplog.text


def test_a_failed_source_keeps_its_cursor(sqlite: Database) -> None:
    source = Scripted("a", Fetched(Verdict.OK, cursor={"n": "1"}), ValueError("boom"))
    for _ in range(3):
        asked(sqlite, source)
    assert source.cursors == [{}, {"n": "1"}, {"n": "1"}]


def test_one_work_in_two_sources_at_once_is_stored_once(db: Database) -> None:
    one = Scripted("one", Fetched(Verdict.OK, "", (paper(1, categories=("cs.LG",)),)))
    votes = paper(1, announce=Announce.LISTED, signals={"upvotes": 7})
    two = Scripted("two", Fetched(Verdict.OK, "", (votes,)))
    reports = asked(db, one, two)
    assert sum(report.new for report in reports) == 1
    with db.reading() as tx:
        stored = papers.find(tx, ["arxiv:2509.00001"])["arxiv:2509.00001"]
    assert stored.signals == {"upvotes": 7}
    assert stored.categories == ("cs.LG",)


def test_what_a_backfill_brings_is_told_apart(sqlite: Database) -> None:
    fetched = Fetched(Verdict.OK, "", (paper(1),), backfill=(paper(1), paper(2), paper(3)))
    (report,) = asked(sqlite, Scripted("a", fetched))
    assert (report.new, report.backfilled) == (3, 2)


def test_a_source_most_of_whose_entries_cannot_be_read_is_not_quiet(sqlite: Database) -> None:
    bad = tuple(BadEntry(b"<%d>" % n, "has no title") for n in range(3))
    for verdict in (Verdict.OK, Verdict.QUIET, Verdict.EMPTY):
        source = Scripted("a", Fetched(verdict, "", (paper(1),), bad=bad, cursor={"etag": "1"}))
        (report,) = asked(sqlite, source)
        assert report.verdict is Verdict.PARSE_FAILED
        assert report.message.startswith("3 of 4 entries could not be read (has no title)")
    with sqlite.reading() as tx:
        assert sources.cursor(tx, "a") == {}
    assert count(sqlite) == 1


def test_a_page_whose_rows_have_another_shape_than_before_is_told_as_such(sqlite: Database) -> None:
    rows = [{"article": {"id": f"2509.0000{n}", "title": "A paper"}} for n in range(3)]
    web = web_of(lambda _: httpx.Response(200, json=rows, headers={"ETag": "1"}))
    (report,) = asked(sqlite, hf(web, "https://x.example"))
    assert (report.verdict, report.quarantined) == (Verdict.PARSE_FAILED, 3)
    assert "has no paper" in report.message


def test_a_source_of_nonsense_fills_the_quarantine_up_to_its_bound(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_KEPT", 5)
    for first in (0, 4, 8, 20):
        bad = tuple(BadEntry(b"<%d>" % n, "no title") for n in range(first, first + 4))
        asked(db, Scripted("a", Fetched(Verdict.OK, bad=bad)), Scripted("b", Fetched(Verdict.OK)))
    with db.reading() as tx:
        kept = [entry.raw for entry in sources.quarantined(tx, "a")]
    assert kept == [b"<23>", b"<22>", b"<21>", b"<20>", b"<11>"]


def test_bad_entries_go_into_quarantine_once(db: Database) -> None:
    bad = (BadEntry(b"<x>", "no title"), BadEntry(b"<x>", "no title"), BadEntry(b"<y>", "no id"))
    source = Scripted("a", Fetched(Verdict.OK, "", (paper(1),), bad=bad))
    (first,), (again,) = asked(db, source), asked(db, source)
    assert (first.quarantined, again.quarantined, first.new) == (2, 0, 1)
    with db.reading() as tx:
        assert {entry.raw for entry in sources.quarantined(tx, "a")} == {b"<x>", b"<y>"}


def test_each_source_is_told_of_as_it_ends(sqlite: Database) -> None:
    told: list[SourceReport] = []
    a, b = Scripted("a", Fetched(Verdict.QUIET)), Scripted("b", Fetched(Verdict.OK))
    reports = run(ingest(sqlite, [a, b], NOW, told.append))
    assert {report.source for report in told} == {"a", "b"}
    assert set(told) == set(reports)


def test_a_database_that_is_gone_is_said_once_all_have_ended(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(Broken, match="digest db upgrade"):
        asked(db, Scripted("a", Fetched(Verdict.OK)))
    db.dispose()


def shapes_of(number: int) -> list[Listing]:
    """One work as five places show it: no two share all their ids."""
    arxiv, doi, weak = f"arxiv:2509.{number:05}", f"doi:10.1000/{number}", f"ta:{number:016x}"
    votes = {"upvotes": 3.0}
    return [
        Listing((arxiv, weak), "One work"),
        Listing((arxiv, doi), "One work", version=2, announce=Announce.REPLACE),
        Listing((arxiv,), "One work", announce=Announce.LISTED, signals=votes),
        Listing((doi,), "One work, in a journal"),
        Listing((f"sha:{number:016x}", weak), "One work"),
    ]


@given(st.permutations(range(5)), st.lists(st.booleans(), min_size=5, max_size=5))
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_versions_listings_and_journals_in_any_order_are_one_work(
    sqlite: Database, order: Sequence[int], pauses: Sequence[bool]
) -> None:
    before = count(sqlite)
    shapes = shapes_of(before + 1)
    batch: list[Listing] = []
    for shape, pause in zip(order, pauses, strict=True):
        batch.append(shapes[shape])
        if pause:
            asked(sqlite, Scripted("a", Fetched(Verdict.OK, "", tuple(batch))))
            batch = []
    asked(sqlite, Scripted("a", Fetched(Verdict.OK, "", tuple(batch))))
    assert count(sqlite) == before + 1


# ------------------------------------------------------------------ backfill and import


class Reaching(Scripted):
    """A source with a past."""

    async def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        for n in range(3):
            yield Fetched(Verdict.OK, f"{since} to {until}, {n}", backfill=(paper(n), paper(n + 1)))
        yield Fetched(Verdict.TIMEOUT, "too slow")


def reached(db: Database, source: Scripted, told: list[SourceReport]) -> SourceReport:
    days = date(2025, 9, 1), date(2025, 9, 5)
    return run(backfill(db, source, *days, NOW, told.append))


def test_a_backfill_stores_each_slice_and_tells_how_it_goes(sqlite: Database) -> None:
    told: list[SourceReport] = []
    report = reached(sqlite, Reaching("a", Fetched(Verdict.OK)), told)
    assert [part.new for part in told] == [2, 3, 4, 4]
    assert (report.verdict, report.message, report.backfilled) == (Verdict.TIMEOUT, "too slow", 4)


def test_a_backfill_says_nothing_of_the_sources_health(sqlite: Database) -> None:
    source = Reaching("a", Fetched(Verdict.OK, cursor={"n": "1"}))
    asked(sqlite, source)
    reached(sqlite, source, [])
    with sqlite.reading() as tx:
        assert sources.cursor(tx, "a") == {"n": "1"}
        assert sources.health(tx)["a"].verdict is Verdict.OK


def test_a_source_without_a_past_says_so(sqlite: Database) -> None:
    with pytest.raises(Refused, match="source a: kind scripted cannot backfill"):
        reached(sqlite, Scripted("a", Fetched(Verdict.OK)), [])


def test_an_import_takes_the_good_lines_and_lists_the_bad_ones(db: Database) -> None:
    lines = ['{"title": "First paper"}', "", "broken", '{"title": "Second paper"}', "{}"]
    report = import_papers(db, lines, NOW)
    again = import_papers(db, lines, NOW)
    assert (report.new, report.known, [number for number, _ in report.bad]) == (2, 0, [3, 5])
    assert (again.new, again.known, count(db)) == (0, 2, 2)


def test_a_line_far_down_is_named_by_its_own_number(sqlite: Database) -> None:
    lines = (f'{{"title": "Paper number {n}"}}' if n != 1234 else "broken" for n in range(1, 1300))
    report = import_papers(sqlite, lines, NOW)
    assert (report.new, [number for number, _ in report.bad]) == (1298, [1234])


def test_all_of_the_founding_page_come_in(sqlite: Database, shared: Path) -> None:
    with (shared / "data/seed/trending.jsonl").open(encoding="utf-8") as lines:
        report = import_papers(sqlite, lines, NOW)
    assert (report.new, report.bad, count(sqlite)) == (81, [], 81)


# ------------------------------------------------------------------ whole days


def test_ten_real_days_leave_every_paper_known_once(sqlite: Database, shared: Path) -> None:
    replay = replay_on(shared, "2025-09-01")
    for n in range(10):
        replay.day = (date(2025, 9, 3) + timedelta(days=n)).isoformat()
        if replay.day == "2025-09-09":
            continue  # we were down
        reports = ingest_from(sqlite, replay.url, noon(replay.day))
        assert all(report.verdict.healthy for report in reports.values())
        again = ingest_from(sqlite, replay.url, noon(replay.day))
        assert [(report.new, report.revised) for report in again.values()] == [(0, 0), (0, 0)]
    announced = {
        f"arxiv:{p['id']}" for p in replay.papers if "2025-09-03" <= p["date"] <= "2025-09-12"
    }
    ours = {i for i in announced if set(replay.by_id[i[6:]]["cats"]) & set(CATEGORIES)}
    with sqlite.reading() as tx:
        assert ours <= papers.known(tx, announced)
        stored = papers.listed(tx, 0)
    assert len({paper.id for paper in stored}) == len(stored) >= len(ours)


# ------------------------------------------------------------------ quarantine


def test_what_can_be_read_now_leaves_the_quarantine_and_the_rest_says_why(db: Database) -> None:
    source = FeedSource(spec("feed", url="https://x.example/rss"), no_web())
    entry = {"title": "A paper", "link": "https://x.example/1", "links": []}
    dated = entry | {"published_parsed": [2025, 9, 15, 0, 0, 0, 0, 258, 0]}
    kept = [json.dumps(row).encode() for row in (dated, {"links": []})] + [b"{broken"]
    with db.writing() as tx:
        sources.put_in_quarantine(tx, "feed", [BadEntry(raw, "old") for raw in kept], NOW)
    done = retry(db, source, NOW)
    assert (done.read, done.new) == (["A paper"], 1)
    assert [reason.split(":")[0] for _, _, reason in done.still] == [
        "has no title",
        "JSONDecodeError",
    ]
    with db.reading() as tx:
        assert [entry.raw for entry in sources.quarantined(tx)] == [kept[2], kept[1]]
        (stored,) = papers.listed(tx, 0)
    assert stored.published == date(2025, 9, 15)
    again = retry(db, source, NOW)
    assert (again.read, again.new, len(again.still)) == ([], 0, 2)


def test_a_kind_that_cannot_read_again_says_so(sqlite: Database) -> None:
    with sqlite.writing() as tx:
        sources.put_in_quarantine(tx, "a", [BadEntry(b"x", "old")], NOW)
    done = retry(sqlite, Scripted("a", Fetched(Verdict.OK)), NOW)
    assert done.still[0][2] == "kind scripted cannot read entries again"


# ------------------------------------------------------------------ patience, and going on


class Past(Scripted):
    """A source with a past of four days; it breaks off after as many slices as it is told."""

    def __init__(self, *breaks: int) -> None:
        super().__init__("past", Fetched(Verdict.OK))
        self.breaks, self.asked = list(breaks), []

    async def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        self.asked.append(since)
        left = self.breaks.pop(0)
        for number in range(since.day, until.day + 1):
            if not left:
                raise KeyboardInterrupt
            left -= 1
            through = {"through": f"2025-09-{number:02}"}
            yield Fetched(Verdict.OK, backfill=(paper(number),), cursor=through)


def test_a_backfill_that_was_broken_off_goes_on_from_there(sqlite: Database) -> None:
    source = Past(2, 9, 9)
    first, last = date(2025, 9, 1), date(2025, 9, 4)
    with pytest.raises(KeyboardInterrupt):
        run(backfill(sqlite, source, first, last, NOW))
    assert count(sqlite) == 2
    assert run(backfill(sqlite, source, first, last, NOW)).new == 2
    run(backfill(sqlite, source, first, last, NOW))  # one that ended begins anew
    assert source.asked == [first, date(2025, 9, 2), first]


def test_a_server_that_asked_to_wait_is_left_alone_by_the_next_process(sqlite: Database) -> None:
    asked: list[str] = []

    def busy(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(429, headers={"retry-after": "3600"})

    async def one_run(now: datetime) -> str:
        async with web_of(busy) as web, patient(sqlite, web, now):
            source = FeedSource(spec("feed", url="https://x.example/rss"), web)
            (report,) = await ingest(sqlite, [source], now)
            return report.message

    run(one_run(NOW))
    assert "3000 s are left" in run(one_run(NOW + timedelta(minutes=10)))
    assert len(asked) == 1
    run(one_run(NOW + 2 * HOUR))
    assert len(asked) == 2
