"""Seeds that are not stored: looked up by id, kept, and announced to nobody until a source does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from replaying import arxiv, replay_on, run, web_of

from digest import ingest, subscribe
from digest import seeds as seeking
from digest.app import App, held_clock
from digest.config import load
from digest.explain import FateKind
from digest.links import Links
from digest.matching.lexical import LexicalMatcher
from digest.model import Announce, Fetched, Listing, Verdict, Window
from digest.publish import Press, publish
from digest.seeds import MOST_ASKED, Lookup, fetch_seeds
from digest.sources import LookedUp, SourceSpec
from digest.sources.http import Web
from digest.store import Database, editions, papers
from digest.store import seeds as sought

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
OLD = "arxiv:2303.01469"
WORDS = "Single step sampling of consistency models by distillation of a diffusion teacher."


def work(id_: str = OLD, **more: Any) -> Listing:
    return Listing((id_,), f"Consistency models {id_[-5:]}", WORDS, ("Yang Song",), **more)


class Library:
    """A source that announces nothing and can look up what it was given."""

    scheme = "arxiv"

    def __init__(self, *ids: str, verdict: Verdict = Verdict.OK) -> None:
        self.spec, self.verdict = SourceSpec("library", "library"), verdict
        self.has, self.asked = set(ids), list[list[str]]()

    async def fetch(self, cursor: object, known: object, now: datetime) -> Fetched:
        return Fetched(Verdict.QUIET)

    async def look_up(self, ids: Sequence[str]) -> LookedUp:
        self.asked.append(list(ids))
        if self.verdict is not Verdict.OK:
            return LookedUp(self.verdict, "it is down")
        found = tuple(work(id_) for id_ in ids if id_ in self.has)
        return LookedUp(Verdict.OK, "", found, frozenset(set(ids) - self.has))


def join(db: Database, *seeds: str, email: str = "ada@example.org", at: datetime = BEGIN) -> Any:
    mine = {"name": "Mine", "query": "consistency", "seeds": list(seeds)}
    profile = {"interest": [mine], "floor": "relaxed"}
    return subscribe.add_confirmed(db, email, profile, at)


def seek(db: Database, library: Any, now: datetime = BEGIN) -> Lookup:
    [done] = run(fetch_seeds(db, [library], now))
    return done


def sent(db: Database, now: datetime) -> set[str]:
    """Publish, and the ids of all papers in any edition."""
    links = Links("secret", "https://digest.example.org")
    publish(Press(db, LexicalMatcher(), links, "example.org"), now)
    with db.reading() as tx:
        made = editions.listed(tx)
    return {paper.id for edition in made for paper in edition.content.papers}


def remember(db: Database, now: datetime, *works: Listing) -> papers.Remembered:
    with db.writing() as tx:
        return papers.remember(tx, "arxiv", works, now)


# ------------------------------------------------------------------ never announced by being kept


def test_a_seed_that_was_looked_up_is_never_sent_as_new(db: Database) -> None:
    join(db, OLD)
    seek(db, Library(OLD), BEGIN + HOUR)
    remember(db, BEGIN + DAY, work("arxiv:2603.00001"))
    assert sent(db, BEGIN + WEEK) == {"arxiv:2603.00001"}


def test_readers_learn_from_it_at_once(sqlite: Database) -> None:
    subscribe.add_confirmed(sqlite, "ada@example.org", {"interest": [{"seeds": [OLD]}]}, BEGIN)
    others = (f"arxiv:2603.{n:05}" for n in range(2, 40))
    far = (
        Listing((id_,), f"Bread {id_[-2:]}", f"Yeast rises in {id_[-2:]} ways.") for id_ in others
    )
    remember(sqlite, BEGIN + DAY, work("arxiv:2603.00001"), *far)
    seek(sqlite, Library(OLD), BEGIN + DAY)
    sent(sqlite, BEGIN + WEEK)
    with sqlite.reading() as tx:
        [edition] = editions.listed(tx)
    [near] = edition.content.papers
    assert (near.id, [reason.what for reason in near.reasons]) == ("arxiv:2603.00001", [OLD])


def test_once_a_source_announces_it_it_is_new_to_all_but_who_named_it(db: Database) -> None:
    join(db, "arxiv:2603.00001")
    ben = join(db, email="ben@example.org")
    seek(db, Library("arxiv:2603.00001"), BEGIN + HOUR)
    done = remember(db, BEGIN + DAY, work("arxiv:2603.00001"))
    assert (done.new, done.new_ids) == (1, ("arxiv:2603.00001",))
    assert sent(db, BEGIN + WEEK) == {"arxiv:2603.00001"}
    with db.reading() as tx:
        got = {edition.subscriber for edition in editions.listed(tx) if edition.content.papers}
    assert got == {ben.email}


def test_it_is_new_once_only(sqlite: Database) -> None:
    join(sqlite, OLD)
    seek(sqlite, Library(OLD))
    remember(sqlite, BEGIN + DAY, work())
    assert remember(sqlite, BEGIN + 2 * DAY, work()).new == 0
    with sqlite.reading() as tx:
        assert papers.find(tx, [OLD])[OLD].first_seen == BEGIN + DAY


@pytest.mark.parametrize("how", [Announce.REPLACE, Announce.REPLACE_CROSS])
def test_a_new_version_of_it_is_no_announcement(sqlite: Database, how: Announce) -> None:
    join(sqlite, OLD)
    seek(sqlite, Library(OLD))
    done = remember(sqlite, BEGIN + DAY, work(version=2, announce=how))
    assert (done.new, done.revised, sent(sqlite, BEGIN + WEEK)) == (0, 1, set())


def test_it_is_announced_in_no_window_that_has_closed(sqlite: Database) -> None:
    join(sqlite, OLD)
    seek(sqlite, Library(OLD))
    sent(sqlite, BEGIN + WEEK)
    remember(sqlite, BEGIN + DAY, work())  # a fetch that began before and ends after
    with sqlite.reading() as tx:
        assert papers.find(tx, [OLD])[OLD].first_seen == BEGIN + WEEK


def test_sources_are_told_that_it_is_not_known(sqlite: Database) -> None:
    """They would pass over a paper that was missed, taking it for old."""
    join(sqlite, OLD)
    seek(sqlite, Library(OLD))
    assert ingest.known_in(sqlite)([OLD]) == frozenset()
    remember(sqlite, BEGIN + DAY, work())
    assert ingest.known_in(sqlite)([OLD]) == {OLD}


def test_it_stands_in_no_list_of_new_papers(db: Database) -> None:
    join(db, OLD)
    seek(db, Library(OLD))
    remember(db, BEGIN, work("arxiv:2603.00001"))
    ever = Window(datetime(1970, 1, 1, tzinfo=UTC), BEGIN + WEEK)
    with db.reading() as tx:
        assert papers.count_seen_in(tx, ever) == len(papers.first_seen_in(tx, ever)) == 1
        assert [p.id for p in papers.before(tx, ever.until, 10)] == ["arxiv:2603.00001"]
        assert [p.id for p in papers.listed(tx, 10)] == ["arxiv:2603.00001", OLD]
        assert set(papers.find(tx, [OLD, "arxiv:2603.00001"])) == {OLD, "arxiv:2603.00001"}


def test_found_to_be_one_with_an_announced_work_it_keeps_that_first_sight(db: Database) -> None:
    join(db, OLD)
    seek(db, Library(OLD))
    other = replace(work(), ids=("doi:10.1000/x",), title="Its journal version")
    remember(db, BEGIN + HOUR, other)
    both = replace(work(), ids=(OLD, "doi:10.1000/x"))
    done = remember(db, BEGIN + DAY, both)
    with db.reading() as tx:
        assert papers.find(tx, [OLD])[OLD].first_seen == BEGIN + HOUR
    assert (done.merged, done.new) == (1, 0)


# ------------------------------------------------------------------ whom to ask, and how often


def test_what_is_stored_is_not_asked_for(sqlite: Database) -> None:
    remember(sqlite, BEGIN, work())
    join(sqlite, OLD, "doi:10.1000/x")
    library = Library()
    assert (seek(sqlite, library).asked, library.asked) == (0, [])


def test_an_id_may_be_written_in_any_way(sqlite: Database) -> None:
    join(sqlite, "https://arxiv.org/abs/2303.01469v2", "2303.01469")
    library = Library(OLD)
    assert (seek(sqlite, library).found, library.asked) == (1, [[OLD]])


def test_the_same_run_twice_asks_once(db: Database) -> None:
    join(db, OLD, "arxiv:2303.99999")
    library = Library(OLD)
    first, again = seek(db, library), seek(db, library, BEGIN + HOUR)
    assert (first.found, first.missing, again.asked) == (1, 1, 0)


def test_what_is_not_to_be_had_is_asked_for_later_and_later_and_then_no_more(
    db: Database,
) -> None:
    join(db, OLD)
    library, days = Library(), []
    for day in range(0, 400, 3):
        if seek(db, library, BEGIN + day * DAY).asked:
            days.append(day)
    assert days == [0, 3, 9, 21, 45, 93]


def test_one_run_asks_for_a_bounded_number_and_the_next_goes_on(db: Database) -> None:
    ids = [f"arxiv:2303.{n:05}" for n in range(MOST_ASKED + 30)]
    join(db, *ids)
    library = Library(*ids)
    asked = [seek(db, library, BEGIN + n * HOUR).asked for n in range(3)]
    assert asked == [MOST_ASKED, 30, 0]


def test_a_profile_that_changes_is_looked_at_again(sqlite: Database) -> None:
    ada = join(sqlite, OLD)
    library = Library(OLD, "arxiv:2303.00002")
    seek(sqlite, library)
    later = {"interest": [{"name": "Mine", "seeds": [OLD, "arxiv:2303.00002"]}]}
    subscribe.change(sqlite, ada.key, later, BEGIN + WEEK, door="cli")
    assert seek(sqlite, library, BEGIN + WEEK).found == 1


def test_nothing_is_fetched_for_who_has_not_confirmed(sqlite: Database) -> None:
    post = subscribe.Post(Links("secret", "https://digest.example.org"), "example.org")
    profile = {"interest": [{"name": "Mine", "seeds": [OLD]}]}
    eve = subscribe.request(sqlite, post, "eve@example.org", profile, BEGIN, "web").subscriber
    library = Library(OLD)
    assert seek(sqlite, library, BEGIN + HOUR).asked == 0
    subscribe.confirm(sqlite, eve.key, BEGIN + WEEK, "web")
    assert seek(sqlite, library, BEGIN + WEEK + HOUR).found == 1


def test_a_source_that_fails_is_asked_again_at_the_next_run(sqlite: Database) -> None:
    join(sqlite, OLD)
    failed = seek(sqlite, Library(OLD, verdict=Verdict.TIMEOUT))
    assert (failed.verdict, failed.missing) == (Verdict.TIMEOUT, 0)
    assert seek(sqlite, Library(OLD), BEGIN + HOUR).found == 1


def test_a_source_that_raises_costs_nothing(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Library):
        async def look_up(self, ids: Sequence[str]) -> LookedUp:
            raise ValueError("boom")

    join(sqlite, OLD)
    assert seek(sqlite, Broken()).verdict is Verdict.PARSE_FAILED
    assert "looking up arxiv ids raised" in caplog.text


def test_papers_that_nobody_asked_for_are_not_kept(sqlite: Database) -> None:
    class Generous(Library):
        async def look_up(self, ids: Sequence[str]) -> LookedUp:
            return LookedUp(Verdict.OK, "", (work(), work("arxiv:1234.56789")))

    join(sqlite, OLD)
    seek(sqlite, Generous())
    with sqlite.reading() as tx:
        assert papers.known(tx, [OLD, "arxiv:1234.56789"]) == {OLD}


def test_a_site_without_such_a_source_asks_nobody(sqlite: Database) -> None:
    join(sqlite, OLD)
    assert run(fetch_seeds(sqlite, [], BEGIN)) == []


def test_what_a_source_announces_meanwhile_is_struck_out(sqlite: Database) -> None:
    join(sqlite, OLD)
    seek(sqlite, Library(OLD, verdict=Verdict.TIMEOUT))
    remember(sqlite, BEGIN, work())
    library = Library(OLD)
    seek(sqlite, library, BEGIN + HOUR)
    with sqlite.reading() as tx:
        assert (library.asked, sought.due(tx, "arxiv", BEGIN + WEEK, 10)) == ([], [])


def test_many_people_are_looked_at_in_batches(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeking, "BATCH", 2)
    for n in range(5):
        join(sqlite, f"arxiv:2303.{n:05}", email=f"a{n}@example.org")
    assert seeking.note_wanted(sqlite, "arxiv", BEGIN) == 5


# ------------------------------------------------------------------ arXiv's answer


def atom(*numbers: str) -> str:
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/{n}v2</id><title>Paper {n}</title>"
        f"<summary>{WORDS}</summary><author><name>Yang Song</name></author></entry>"
        for n in numbers
    )
    return (
        '<feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><id>http://arxiv.org/api/x</id>'
        f"<opensearch:totalResults>{len(numbers)}</opensearch:totalResults>{entries}</feed>"
    )


class Api:
    """arXiv's API: knows some numbers, refuses a whole list for one that it cannot read."""

    def __init__(self, *numbers: str, refused: str = "", status: int = 200) -> None:
        self.numbers, self.refused, self.status = numbers, refused, status
        self.asked: list[list[str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        given = parse_qs(urlsplit(str(request.url)).query)["id_list"][0].split(",")
        self.asked.append(given)
        if self.status != 200:
            return httpx.Response(self.status, text="busy")
        if self.refused in given:
            return httpx.Response(400, text="incorrect id format")
        known = [number for number in self.numbers if number in given]
        return httpx.Response(
            200, text=atom(*known), headers={"content-type": "application/atom+xml"}
        )


def look_up(api: Api, *ids: str) -> LookedUp:
    async def asked() -> LookedUp:
        async with web_of(api, intervals={}) as web:
            return await arxiv(web, "https://arxiv.example").look_up(ids)

    return run(asked())


def test_arxiv_tells_what_it_has_and_what_it_has_not() -> None:
    api = Api("2303.01469", "math/0303109")
    said = look_up(api, OLD, "arxiv:math/0303109", "arxiv:2303.99999")
    assert {p.ids[0] for p in said.papers} == {OLD, "arxiv:math/0303109"}
    assert (said.missing, len(api.asked)) == ({"arxiv:2303.99999"}, 1)


def test_arxiv_may_have_none_of_them() -> None:
    assert look_up(Api(), OLD) == LookedUp(Verdict.OK, "", (), frozenset({OLD}))


def test_one_number_that_arxiv_refuses_costs_no_other() -> None:
    numbers = [f"2303.{n:05}" for n in range(100)]
    api = Api(*numbers, refused="2303.00037")
    said = look_up(api, *(f"arxiv:{number}" for number in numbers))
    assert (len(said.papers), said.missing) == (99, {"arxiv:2303.00037"})
    assert len(api.asked) < 20


def test_where_arxiv_is_busy_nothing_is_taken_for_missing() -> None:
    said = look_up(Api(status=503), OLD)
    assert (said.verdict, said.missing) == (Verdict.HTTP_ERROR, frozenset())


def test_arxiv_looks_up_a_real_paper_of_its_own(shared: Path) -> None:
    replay = replay_on(shared, "2025-09-15")
    id_ = f"arxiv:{next(iter(replay.papers))['id']}"

    async def asked() -> LookedUp:
        async with Web(intervals={}) as web:
            return await arxiv(web, replay.url).look_up([id_, "arxiv:2509.99999"])

    said = run(asked())
    assert ([p.ids[0] for p in said.papers], said.missing) == ([id_], {"arxiv:2509.99999"})


# ------------------------------------------------------------------ the whole site


@pytest.fixture
def app(sqlite: Database, tmp_path: Path) -> App:
    toml = f"""
        [site]
        name = "Test"
        url = "https://digest.example.org"
        [database]
        url = "sqlite:///{tmp_path / "digest.db"}"
        [[sources]]
        name = "arxiv"
        kind = "arxiv"
        categories = ["cs.LG"]
        base_url = "http://127.0.0.1:9"
    """
    (tmp_path / "digest.toml").write_text(re.sub(r"^ +", "", toml, flags=re.M))
    api = Api("2303.01469")

    def network(request: httpx.Request) -> httpx.Response:
        return api(request) if "id_list" in str(request.url) else httpx.Response(503)

    settings = load(str(tmp_path / "digest.toml"), {})
    return App(settings, held_clock(BEGIN), httpx.MockTransport(network))


def test_ingest_fetches_seeds_and_explain_says_that_no_source_announced_them(app: App) -> None:
    join(app.db, OLD)
    run(app.ingest())
    with app.db.reading() as tx:
        assert papers.find(tx, [OLD])[OLD].title == "Paper 2303.01469"
    assert app.explain("ada@example.org", OLD).kind is FateKind.NOT_INGESTED
