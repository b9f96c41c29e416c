"""Publishing on a real database with the real matcher: one edition for each person and window."""

from __future__ import annotations

import threading
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from digest import publish as publishing
from digest import subscribe
from digest.errors import Broken
from digest.links import Links
from digest.matching.lexical import LexicalMatcher
from digest.model import (
    MISSED,
    MOST_VOTED,
    Announce,
    BadEntry,
    DeliveryState,
    EditionState,
    EndReason,
    Listing,
    Reason,
    ReasonKind,
    SkipReason,
    SourceReport,
    Verdict,
)
from digest.publish import Press, publish
from digest.store import Database, deliveries, editions, papers, people, sources
from digest.store import tables as t

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
WEEK = timedelta(days=7)
DAY = timedelta(days=1)
FLOW = {"interest": [{"name": "Flow", "query": "flow"}], "trending": 0}


@pytest.fixture
def press(db: Database) -> Press:
    return Press(db, LexicalMatcher(), Links("secret", "https://digest.example.org"), "example.org")


def announce(db: Database, at: datetime, *titles: str, **more: object) -> None:
    found = [
        Listing(
            (f"arxiv:2603.{zlib.crc32(title.encode()) % 100_000:05}",),
            title,
            "Words of it.",
            ("A B",),
            **more,
        )
        for title in titles
    ]
    with db.writing() as tx:
        papers.remember(tx, "arxiv", found, at)


def join(db: Database, email: str = "ada@example.org", **profile: object):
    return subscribe.add_confirmed(db, email, FLOW | profile, BEGIN)


def made(db: Database):
    with db.reading() as tx:
        return editions.listed(tx, newest_first=False)


def titles_of(db: Database, edition) -> list[str]:
    with db.reading() as tx:
        texts = papers.pinned(tx, {(p.id, p.revision) for p in edition.content.papers})
    return sorted(text.title for text in texts.values())


def test_a_person_who_is_due_gets_one_edition_for_the_window(db, press):
    join(db)
    announce(db, BEGIN + DAY, "Flow of water", "Stones")
    done = publish(press, BEGIN + WEEK)
    [edition] = made(db)
    assert (done.queued, done.skipped) == (1, {})
    assert (edition.window.since, edition.window.until) == (BEGIN, BEGIN + WEEK)
    assert titles_of(db, edition) == ["Flow of water"]


def test_publishing_again_at_any_instant_does_nothing(db, press):
    join(db)
    announce(db, BEGIN + DAY, "Flow of water")
    publish(press, BEGIN + WEEK)
    again = [publish(press, BEGIN + WEEK + timedelta(hours=n)) for n in (0, 1, 100)]
    assert {(one.queued, len(one.skipped)) for one in again} == {(0, 0)}


def test_nobody_is_due_before_the_window_closes(db, press):
    join(db)
    assert publish(press, BEGIN + WEEK - timedelta(seconds=1)) == publishing.Published(0, {})


def test_a_queued_edition_has_a_letter_and_a_skipped_one_has_a_reason(db, press):
    join(db)
    join(db, "bob@example.org", interest=[{"name": "Stones", "query": "stones"}])
    announce(db, BEGIN + DAY, "Flow of water")
    done = publish(press, BEGIN + WEEK)
    with db.reading() as tx:
        letters = deliveries.listed(tx)
    assert (done.queued, done.skipped) == (1, {"nothing_good_enough": 1})
    assert [letter.recipient for letter in letters] == ["ada@example.org"]
    assert [letter.state for letter in letters] == [DeliveryState.QUEUED]


def test_a_week_without_papers_is_skipped_with_that_reason(db, press):
    join(db)
    publish(press, BEGIN + WEEK)
    assert [edition.reason for edition in made(db)] == [SkipReason.NO_NEW_PAPERS]


def test_after_downtime_one_merged_edition_holds_everything(db, press):
    join(db)
    announce(db, BEGIN + DAY, "Flow one")
    announce(db, BEGIN + WEEK + DAY, "Flow two")
    announce(db, BEGIN + 2 * WEEK + DAY, "Flow three")
    publish(press, BEGIN + 3 * WEEK + DAY)
    [edition] = made(db)
    assert edition.window.until == BEGIN + 3 * WEEK
    assert titles_of(db, edition) == ["Flow one", "Flow three", "Flow two"]


def test_a_paper_is_never_sent_twice_even_when_it_trends_later(db, press):
    join(db, trending=3)
    announce(db, BEGIN + DAY, "Flow of water")
    publish(press, BEGIN + WEEK)
    announce(db, BEGIN + WEEK + DAY, "Flow of water", signals={"upvotes": 200})
    announce(db, BEGIN + WEEK + DAY, "Flow of sand")
    publish(press, BEGIN + 2 * WEEK)
    assert [titles_of(db, e) for e in made(db)] == [["Flow of water"], ["Flow of sand"]]


def test_a_person_who_left_or_is_suppressed_or_paused_gets_nothing(db, press):
    left, silent, asleep = (join(db, f"{name}@example.org") for name in ("a", "b", "c"))
    announce(db, BEGIN + DAY, "Flow of water")
    subscribe.end(db, left.key, EndReason.UNSUBSCRIBED, BEGIN + DAY, "web")
    subscribe.pause(db, asleep.key, BEGIN + 10 * DAY, BEGIN + DAY, "web")
    with db.writing() as tx:
        people.suppress(tx, silent.email, "bad_address", BEGIN + DAY)
    done = publish(press, BEGIN + WEEK)
    assert (done.queued, done.skipped) == (0, {"suppressed": 1})


def test_after_a_pause_one_letter_holds_what_came_meanwhile(db, press):
    ada = join(db)
    subscribe.pause(db, ada.key, BEGIN + 10 * DAY, BEGIN + DAY, "web")
    announce(db, BEGIN + 2 * DAY, "Flow of water")
    publish(press, BEGIN + WEEK)
    publish(press, BEGIN + 2 * WEEK)
    [edition] = made(db)
    assert (edition.window.since, edition.window.until) == (BEGIN, BEGIN + 2 * WEEK)
    assert titles_of(db, edition) == ["Flow of water"]


def test_a_profile_that_cannot_be_read_costs_nobody_else_anything(db, press):
    ada = join(db)
    join(db, "bob@example.org")
    with db.writing() as tx:
        people.change(tx, ada.key, {"budget": "lots"}, None, ada.cadence, BEGIN, ada.next_due)
    announce(db, BEGIN + DAY, "Flow of water")
    done = publish(press, BEGIN + WEEK)
    assert (done.queued, done.skipped) == (1, {"profile_failed": 1})


def test_papers_of_a_letter_that_never_arrived_come_in_the_next_one(db, press):
    join(db)
    announce(db, BEGIN + DAY, "Flow of water")
    publish(press, BEGIN + WEEK)
    with db.writing() as tx:  # nobody delivered for a week: the letter expires at the claim
        deliveries.claim(tx, "me", "t", BEGIN + 2 * WEEK, BEGIN + 2 * WEEK + DAY, 10)
    publish(press, BEGIN + 2 * WEEK)
    assert [titles_of(db, e) for e in made(db)] == [["Flow of water"]] * 2


def test_papers_stored_while_people_are_matched_reach_them_still(db, press):
    """A fetch commits between the reading and the writing: it is seen, and matched again."""
    join(db)
    announce(db, BEGIN + DAY, "Flow of water")

    class Slow(LexicalMatcher):
        def prepare(self, *given):
            if not hasattr(self, "once"):
                self.once = True
                announce(db, BEGIN + 2 * DAY, "Flow of sand")
            return super().prepare(*given)

    publish(replace(press, matcher=Slow()), BEGIN + WEEK)
    [edition] = made(db)
    assert titles_of(db, edition) == ["Flow of sand", "Flow of water"]


def test_papers_fetched_before_a_window_closed_but_stored_after_come_in_the_next(db, press):
    join(db)
    announce(db, BEGIN + DAY, "Flow of water")
    publish(press, BEGIN + WEEK + timedelta(minutes=1))
    announce(db, BEGIN + WEEK - timedelta(minutes=1), "Flow of sand")
    publish(press, BEGIN + 2 * WEEK)
    assert [titles_of(db, e) for e in made(db)] == [["Flow of water"], ["Flow of sand"]]


def test_two_publishers_at_once_make_one_edition_each(db, press):
    for n in range(40):
        join(db, f"p{n}@example.org")
    announce(db, BEGIN + DAY, "Flow of water")
    totals: list[int] = []
    both = [
        threading.Thread(
            target=lambda: totals.append(
                publish(replace(press, matcher=LexicalMatcher()), BEGIN + WEEK).queued
            )
        )
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sum(totals) == 40
    assert len(made(db)) == 40
    assert len({edition.subscriber for edition in made(db)}) == 40


def test_shares_of_the_people_are_published_apart_and_are_all_of_them_together(db, press):
    for n in range(7):
        join(db, f"p{n}@example.org")
    announce(db, BEGIN + DAY, "Flow of water")
    parts = [publish(press, BEGIN + WEEK, share=(n, 3)) for n in range(3)]
    assert sorted(part.queued for part in parts) == [2, 2, 3]
    assert sum(parts, publishing.Published()) == publishing.Published(7, {})


def compact_of(db, person) -> bytes | None:
    with db.reading() as tx:
        mine = t.profiles.c.subscriber == person.key
        return tx.execute(t.profiles.select().where(mine)).one().compact


def test_a_profile_is_kept_as_it_was_read_until_it_changes(db, press):
    ada = join(db)
    publish(press, BEGIN + WEEK)
    kept = compact_of(db, ada)
    publish(press, BEGIN + 2 * WEEK)
    assert kept == compact_of(db, ada) is not None
    with db.writing() as tx:
        people.change(tx, ada.key, FLOW | {"budget": 3}, None, ada.cadence, BEGIN, BEGIN)
    assert compact_of(db, ada) is None


def test_what_was_made_of_a_profile_that_changed_meanwhile_is_not_kept(db, press):
    ada = join(db)
    with db.writing() as tx:
        people.keep_compact(tx, [(ada.key, BEGIN - DAY, b"old"), (ada.key + 1, BEGIN, b"nobody")])
    assert compact_of(db, ada) is None


def test_readers_of_unlike_cadence_each_get_their_own_window(db, press):
    join(db, "daily@example.org", cadence="daily")
    join(db, "weekly@example.org")
    announce(db, BEGIN + timedelta(hours=1), "Flow of water")
    announce(db, BEGIN + 6 * DAY + timedelta(hours=1), "Flow of sand")
    for n in range(1, 8):
        publish(press, BEGIN + n * DAY)
    got = {e.subscriber: titles_of(db, e) for e in made(db) if e.window.until == BEGIN + WEEK}
    assert got == {
        "daily@example.org": ["Flow of sand"],
        "weekly@example.org": ["Flow of sand", "Flow of water"],
    }


def test_a_source_that_failed_is_named_in_the_letter(db, press):
    join(db)
    announce(db, BEGIN + DAY, "Flow of water")
    with db.writing() as tx:
        sources.record(tx, SourceReport("arxiv", Verdict.OK), {}, BEGIN)
        sources.record(tx, SourceReport("arxiv", Verdict.STALE), {}, BEGIN + 6 * DAY)
        sources.put_in_quarantine(tx, "arxiv", [BadEntry(b"x", "no title")], BEGIN)
    publish(press, BEGIN + WEEK)
    [edition] = made(db)
    assert [notice.startswith("arxiv has not answered") for notice in edition.content.notices] == [
        True
    ]


def test_a_database_that_fails_leaves_nothing_half_done(db, press, monkeypatch):
    join(db)
    announce(db, BEGIN + DAY, "Flow of water")

    def fails(*_given: object) -> None:
        raise Broken("disk full")

    monkeypatch.setattr(editions, "write", fails)
    with pytest.raises(Broken):
        publish(press, BEGIN + WEEK)
    monkeypatch.undo()
    assert made(db) == []
    assert publish(press, BEGIN + WEEK).queued == 1
    assert [edition.state for edition in made(db)] == [EditionState.QUEUED]


def test_a_seed_counts_however_its_id_was_written(db, press):
    seed = Listing(("arxiv:2410.16794",), "Sand flows", "How dry sand flows through a gap.")
    with db.writing() as tx:
        papers.remember(tx, "arxiv", [seed], BEGIN - DAY)
    wish = {"name": "Sand", "seeds": ["https://arxiv.org/abs/2410.16794v2"]}
    join(db, interest=[wish], floor="relaxed")
    others = [f"Quite another matter {word}" for word in ("a", "b", "c", "d", "e")]
    announce(db, BEGIN + DAY, "Dry sand flows through a gap", *others)
    publish(press, BEGIN + WEEK)
    [edition] = made(db)
    said = {reason.what for paper in edition.content.papers for reason in paper.reasons}
    assert "arxiv:2410.16794" in said


def test_a_paper_somebody_liked_is_called_liked_and_not_a_seed(db, press):
    ada = join(db, interest=[{"name": "Sand", "terms": ["sand"]}], floor="relaxed")
    known = Listing(("arxiv:2410.16794",), "Sand flows", "How dry sand flows through a gap.")
    with db.writing() as tx:
        papers.remember(tx, "arxiv", [known], BEGIN - DAY)
        people.rate(tx, ada.key, "arxiv:2410.16794", 1, BEGIN)
    announce(db, BEGIN + DAY, "Dry sand flows through a gap", "Of quite another matter")
    publish(press, BEGIN + WEEK)
    [edition] = made(db)
    close = [r for p in edition.content.papers for r in p.reasons if r.kind is ReasonKind.SEED]
    assert [(reason.what, reason.where) for reason in close] == [("arxiv:2410.16794", "liked")]


def test_papers_that_came_in_are_read_once_for_all_that_follow(db, press, monkeypatch):
    monkeypatch.setattr(publishing, "BATCH", 1)
    for n in range(4):
        join(db, f"p{n}@example.org")
    announce(db, BEGIN + DAY, "Flow of water")
    stocked = []

    class Slow(LexicalMatcher):
        def prepare(self, *given):
            stocked.append(len(given[0]))
            if len(stocked) == 1:
                announce(db, BEGIN + 2 * DAY, "Flow of sand")
            return super().prepare(*given)

    publish(replace(press, matcher=Slow()), BEGIN + WEEK)
    assert stocked == [1, 2]
    assert {len(edition.content.papers) for edition in made(db)} == {2}


# ---------------------------------------------------------------- what says nearly the same

TWICE = (
    "How dry sand flows through a narrow gap between two plates, measured with a fast camera and "
    "explained by the arches that the grains form and break again, over and over."
)


def announce_texts(db: Database, at: datetime, *texts: tuple[str, str]) -> None:
    found = [
        Listing((f"arxiv:2603.{zlib.crc32(title.encode()) % 100_000:05}",), title, abstract)
        for title, abstract in texts
    ]
    with db.writing() as tx:
        papers.remember(tx, "arxiv", found, at)


def test_a_text_sent_in_twice_takes_one_place_and_counts_as_received(db, press):
    join(db, budget=2)
    texts = [("Sand flow, measured", TWICE), ("Flow of sand explained", TWICE)]
    announce_texts(db, BEGIN + DAY, *texts, ("Flow of water", "Rivers bend."))
    publish(press, BEGIN + WEEK)
    [edition] = made(db)
    shown = {paper.id: paper.similar for paper in edition.content.papers}
    assert sorted(map(len, shown.values())) == [0, 1]
    with db.reading() as tx:
        keys = papers.keys_of(tx, [id_ for id_, _ in edition.content.pins])
        got = editions.already_received(tx, [(edition.subscriber_key, k) for k in keys.values()])
    assert len(got) == 3


def test_a_paper_that_was_named_below_another_never_comes_again(db, press):
    join(db, trending=3)
    texts = [("Sand flow, measured", TWICE), ("Flow of sand explained", TWICE)]
    announce_texts(db, BEGIN + DAY, *texts)
    publish(press, BEGIN + WEEK)
    [first] = made(db)
    [[named]] = [paper.similar for paper in first.content.papers]
    popular = Listing((named[0],), "Sand", announce=Announce.LISTED, signals={"upvotes": 300.0})
    with db.writing() as tx:
        papers.remember(tx, "hf", [popular], BEGIN + WEEK + DAY)
    announce(db, BEGIN + WEEK + DAY, "Flow of water")
    publish(press, BEGIN + 2 * WEEK)
    assert titles_of(db, made(db)[1]) == ["Flow of water"]


# ---------------------------------------------------------------- what was missed


def vote(db: Database, title: str, votes: float, at: datetime) -> None:
    id_ = f"arxiv:2603.{zlib.crc32(title.encode()) % 100_000:05}"
    listing = Listing((id_,), title, announce=Announce.LISTED, signals={"upvotes": votes})
    with db.writing() as tx:
        papers.remember(tx, "hf", [listing], at)


def all_arrived(db: Database) -> None:
    with db.writing() as tx:
        tx.execute(t.deliveries.update().values(state=str(DeliveryState.ACCEPTED)))


def missed(db: Database) -> list[list[tuple[str, list[Reason]]]]:
    """For each edition: what was missed and is told now, with its reasons."""
    return [
        [(p.id, list(p.reasons)) for p in edition.content.papers if p.section == MISSED]
        for edition in made(db)
    ]


def passed_by(db: Database, press: Press, **profile: object) -> str:
    """A week in which `Flow of sand`, with two votes, did not fit into the letter; its id."""
    join(db, budget=1, trending=3, **profile)
    announce(db, BEGIN + DAY, "Flow and flow: flow of water", "Flow of sand")
    vote(db, "Flow of sand", 2.0, BEGIN + 2 * DAY)
    publish(press, BEGIN + WEEK)
    all_arrived(db)
    assert [titles_of(db, edition) for edition in made(db)] == [["Flow and flow: flow of water"]]
    return f"arxiv:2603.{zlib.crc32(b'Flow of sand') % 100_000:05}"


def test_a_paper_that_rose_after_a_letter_went_without_it_comes_once_and_says_so(db, press):
    sand = passed_by(db, press)
    vote(db, "Flow of sand", 120.0, BEGIN + WEEK + 3 * DAY)
    publish(press, BEGIN + 2 * WEEK)
    all_arrived(db)
    vote(db, "Flow of sand", 400.0, BEGIN + 2 * WEEK + 3 * DAY)
    publish(press, BEGIN + 3 * WEEK)
    nothing, [(id_, reasons)], *later = missed(db)
    assert (nothing, id_, later) == ([], sand, [[]])
    assert reasons[:2] == [
        Reason(ReasonKind.MISSED, "2026-03-09", "letter", 2.0),
        Reason(ReasonKind.VOTES, value=120.0),
    ]


def test_the_day_of_the_letter_is_the_readers_own(db, press):
    passed_by(db, press, zone="Pacific/Auckland", hour=7)
    vote(db, "Flow of sand", 120.0, BEGIN + WEEK + 3 * DAY)
    publish(press, BEGIN + 2 * WEEK)
    first, _ = made(db)
    [(_, reasons)] = missed(db)[1]
    assert (first.window.until.day, reasons[0].what) == (8, "2026-03-09")


@pytest.mark.parametrize(("then", "now"), [(2.0, 9.0), (30.0, 45.0)])
def test_a_paper_that_won_few_votes_since_stays_where_it_was(db, press, then, now):
    passed_by(db, press)
    vote(db, "Flow of sand", then, BEGIN + 3 * DAY)
    vote(db, "Flow of sand", now, BEGIN + WEEK + 3 * DAY)
    publish(press, BEGIN + 2 * WEEK)
    assert missed(db) == [[], []]
    assert made(db)[1].content.papers == ()


def test_what_was_missed_shares_the_trending_allowance(db, press):
    join(db, budget=5, trending=1)
    titles = [f"Of bread {word}" for word in ("alpha", "beta", "gamma")]
    announce(db, BEGIN + DAY, *titles)
    publish(press, BEGIN + WEEK)
    for title in titles:
        vote(db, title, 1.0, BEGIN + WEEK)
        vote(db, title, 90.0, BEGIN + WEEK + 3 * DAY)
    with db.writing() as tx:
        tx.execute(t.profiles.update().values(document={"trending": 1}, compact=None))
    publish(press, BEGIN + 2 * WEEK)
    [[], [(_, reasons)]] = missed(db)
    assert reasons[0] == Reason(ReasonKind.MISSED, "2026-03-09", "", 0.0)


def test_votes_of_the_days_before_nobody_looked_are_not_called_won(db, press):
    passed_by(db, press)
    with db.writing() as tx:
        tx.execute(t.signals.delete())
    vote(db, "Flow of sand", 100.0, BEGIN + WEEK + DAY)
    vote(db, "Flow of sand", 104.0, BEGIN + WEEK + 4 * DAY)
    publish(press, BEGIN + 2 * WEEK)
    assert missed(db) == [[], []]


def test_a_reader_without_any_signal_gets_what_is_trending_and_is_told_why(db, press):
    join(db, interest=[], trending=2)
    announce(db, BEGIN + DAY, "Flow of water", "Of bread")
    vote(db, "Of bread", 7.0, BEGIN + 2 * DAY)
    publish(press, BEGIN + WEEK)
    [edition] = made(db)
    assert [p.section for p in edition.content.papers] == [MOST_VOTED]
    assert edition.content.notices[0].startswith("You have named no interest and no author yet")
