"""Why one reader got one paper, or not: each fate, told truly."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commanding import ADA, HOUR, MONDAY, Site, with_ada, with_papers

from digest.explain import FateKind
from digest.store import Database

BEST = "arxiv:9912.01000"  # what ada's letter begins with
FAR = "arxiv:9912.04593"  # on bread
ON_MOLECULES = "arxiv:9912.03519"


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return with_ada(with_papers(Site(tmp_path)))


def fate(site: Site, paper: str = BEST, now: datetime = MONDAY) -> dict[str, Any]:
    said = site("explain", ADA, paper, "--json", now=now)
    assert said.code == 0, said.err
    return said.json


def want(site: Site, **profile: Any) -> None:
    """Ada wants this from now on."""
    site.write("p.jsonl", json.dumps({"email": "model@example.org", "profile": profile}))
    site("subscriber", "import", site.folder / "p.jsonl")
    shown = site("profile", "show", "model@example.org").out
    assert site("profile", "set", ADA, site.write("wish.toml", shown)).code == 0


def end_letter(site: Site, state: str) -> None:
    """The letter of ada's edition ended so, and gave its papers back as such an end does."""
    with closing(sqlite3.connect(site.folder / "digest.db")) as tx:
        tx.execute("UPDATE deliveries SET state = ?, reason = 'too_late'", (state,))
        tx.execute("DELETE FROM received")
        tx.commit()


def test_a_paper_that_was_sent(site: Site) -> None:
    site("run")
    found = fate(site)
    assert (found["kind"], found["edition"]) == (FateKind.SENT, 1)
    assert found["reasons"][0] == "by Ilse Vandermolen, whom you follow"


def test_a_paper_whose_letter_waits(site: Site) -> None:
    site("publish")
    found = fate(site)
    assert (found["kind"], "its letter is queued" in found["words"]) == (FateKind.ON_ITS_WAY, True)


def test_a_paper_whose_letter_never_arrived_comes_again(site: Site) -> None:
    site("publish")
    end_letter(site, "expired")
    found = fate(site)
    assert found["kind"] == FateKind.NOT_DELIVERED
    assert "whose letter is expired (too_late); the next edition carries it" in found["words"]


def test_a_paper_that_will_come(site: Site) -> None:
    found = fate(site, now=MONDAY - 3 * HOUR)
    assert found["kind"] == FateKind.WILL_COME
    assert "the edition of 09 March 2026 07:00Z" in found["words"]
    assert found["reasons"]


def test_a_paper_of_this_very_moment_counts(site: Site) -> None:
    site("publish")
    site("paper", "import", site.write("p.jsonl", '{"title": "Message passing once more"}\n'))
    [paper] = site("paper", "search", '"once more"', "--json").json
    assert fate(site, paper["id"])["kind"] == FateKind.WILL_COME


def test_a_paper_for_somebody_who_has_not_confirmed(site: Site) -> None:
    site("subscriber", "add", "ben@example.org")
    said = site("explain", "ben@example.org", BEST, "--json").json
    assert said["kind"] == FateKind.NOT_CONFIRMED


def test_a_paper_from_before_the_first_window(site: Site) -> None:
    site("subscriber", "add", "ben@example.org", "--confirmed")
    said = site("explain", "ben@example.org", BEST, "--json").json
    assert said["kind"] == FateKind.BEFORE_FIRST_WINDOW
    assert "02 March 2026, before ben@example.org's first window opened" in said["words"]


def test_a_paper_for_somebody_who_left_before_the_window_closed(site: Site) -> None:
    site("subscriber", "end", ADA)
    found = fate(site)
    assert (found["kind"], "left (admin)" in found["words"]) == (FateKind.ENDED, True)


@pytest.mark.parametrize("published", [True, False])
def test_a_paper_beyond_the_budget_has_its_rank(site: Site, published: bool) -> None:
    want(site, budget=1, trending=0, interest=[{"name": "All", "query": "*"}])
    if published:
        site("publish")
    found = [fate(site, paper) for paper in (BEST, FAR, ON_MOLECULES)]
    assert {each["kind"] for each in found} == {FateKind.OVER_BUDGET}
    assert len({each["rank"] for each in found} - {1}) == 3


@pytest.mark.parametrize(
    ("mute", "said"),
    [
        ({"terms": ["message passing"]}, "the term 'message passing'"),
        ({"authors": ["Vandermolen, Ilse"]}, "Ilse Vandermolen"),
        ({"categories": ["stat.ML"]}, "the category stat.ML"),
    ],
)
def test_a_muted_paper_names_what_mutes_it(site: Site, mute: dict[str, Any], said: str) -> None:
    want(site, interest=[{"name": "Graphs", "terms": ["message passing"]}], mute=mute)
    site("publish")
    found = fate(site)
    assert (found["kind"], f"the profile mutes {said}" in found["words"]) == (FateKind.MUTED, True)


def test_a_paper_that_meets_no_query_says_which(site: Site) -> None:
    want(site, interest=[{"name": "Graphs", "query": "graph*"}], trending=0)
    site("publish")
    found = fate(site, FAR)
    assert found["kind"] == FateKind.NOT_GOOD_ENOUGH
    assert "it does not meet the query of 'Graphs'" in found["words"]


def test_a_paper_below_the_floor_has_its_place_among_all(site: Site) -> None:
    want(site, interest=[{"name": "Graphs", "terms": ["message passing"]}], trending=0)
    site("publish")
    found = fate(site, FAR)
    assert found["kind"] == FateKind.NOT_GOOD_ENOUGH
    assert (
        f"it is number {found['rank']} of 60 new papers, with a score of {found['score']:.2f}, "
        f"{0.5 - found['score']:.2f} below the profile's floor (normal, 0.50)" in found["words"]
    )
    assert found["floor"] == 0.5
    assert "by the profile as it is now" in found["words"]


def test_a_paper_nothing_asks_for(site: Site) -> None:
    want(site, trending=0, follow={"authors": ["Nobody, At All"]})
    assert "the profile asks for nothing like it" in fate(site, FAR)["words"]


@pytest.mark.parametrize("published", [True, False])
def test_a_paper_for_an_address_that_takes_no_mail(site: Site, published: bool) -> None:
    site("suppression", "add", ADA)
    if published:
        site("publish")
    found = fate(site)
    assert (found["kind"], "suppressed" in found["words"]) == (FateKind.SKIPPED, True)


def test_a_paper_for_a_profile_that_cannot_be_read(site: Site) -> None:
    with closing(sqlite3.connect(site.folder / "digest.db")) as tx:
        tx.execute("""UPDATE profiles SET document = '{"cadence": 7}'""")
        tx.commit()
    assert fate(site)["kind"] == FateKind.SKIPPED
    site("publish")
    assert "profile_failed" in fate(site)["words"]


def test_a_paper_for_somebody_who_paused(site: Site) -> None:
    site("subscriber", "pause", ADA, "--until", "2026-04-01")
    found = fate(site)
    assert found["kind"] == FateKind.PAUSED
    assert "06 April 2026 06:00Z (paused until then)" in found["words"]


def test_any_spelling_of_the_paper_will_do(site: Site) -> None:
    assert fate(site, "https://arxiv.org/abs/9912.01000v4") == fate(site, BEST)


def test_a_paper_that_no_source_announced_says_what_was_asked(site: Site) -> None:
    option = "url=https://ants.example/rss"
    site("source", "add", "ants", "--kind", "feed", "--option", option)
    found = fate(site, "https://arxiv.org/abs/2401.56789")
    assert found["kind"] == FateKind.NOT_INGESTED
    assert found["words"] == (
        "arxiv:2401.56789 was never announced by a source of this site: ants has never been asked"
    )


def test_what_is_no_id_is_refused(site: Site) -> None:
    said = site("explain", ADA, "message passing")
    assert (said.code, "message passing is no id of a paper" in said.fault) == (2, True)


def test_a_paper_beyond_its_quota_says_which(site: Site) -> None:
    want(site, trending=0, interest=[{"name": "All", "query": "*", "quota": 1}])
    site("publish")
    found = [fate(site, paper)["words"] for paper in (BEST, FAR)]
    assert any("beyond the quota of 1 of 'All', or the budget of 12" in words for words in found)


def test_asking_changes_nothing(site: Site) -> None:
    before = [*(site(*w, "--json").out for w in (["edition", "list"], ["subscriber", "why", ADA]))]
    for paper in (BEST, FAR, ON_MOLECULES):
        fate(site, paper)
    after = [*(site(*w, "--json").out for w in (["edition", "list"], ["subscriber", "why", ADA]))]
    assert before == after


def test_the_words_are_the_first_line_and_the_reasons_follow(site: Site) -> None:
    site("run")
    lines = site("explain", ADA, BEST).out.splitlines()
    assert lines[0] == "sent in edition 1, made on 09 March 2026"
    assert "by Ilse Vandermolen, whom you follow" in lines


def test_what_is_promised_comes(site: Site) -> None:
    asked = (BEST, FAR, ON_MOLECULES, "arxiv:9912.09634")
    promised = {paper for paper in asked if fate(site, paper)["kind"] == FateKind.WILL_COME}
    site("run")
    [edition] = site("edition", "list", "--json").json
    assert promised == set(asked) & {paper["id"] for paper in edition["papers"]}
    assert FAR not in promised
