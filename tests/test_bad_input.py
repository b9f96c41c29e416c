"""Profiles and papers that nobody sane would write: bounded, and answered by a clear word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from commanding import ADA, MONDAY, Site, with_ada, with_papers
from letters import a_renderer, digest_letter, edition_of, pins, sample

from digest import profiles
from digest.errors import ProfileError
from digest.matching import Ranking, Reader
from digest.matching.lexical import LexicalMatcher
from digest.model import FOLLOWED, Feedback, Interest, Paper, Profile, ReasonKind, Term
from digest.store import Database

BOMB = "(" * 40 + "a+" + ")+" * 40 + "$" + "a" * 200
PAPERS = [
    Paper("p:ants", "Ants", "How ants walk."),
    Paper("p:bare", "Ants without an abstract"),
    Paper("p:german", "Über Ameisen", "Wie Ameisen gehen und über Brücken finden."),
    Paper("p:chinese", "蚂蚁如何寻找最短路径", "本文研究蚂蚁。"),
    Paper("p:arabic", "النمل والطرق القصيرة", "ندرس النمل."),
    Paper("p:crowd", "Ants of the collider", "x", tuple(f"A{n} Author{n}" for n in range(5000))),
    *(Paper(f"n:{n}", f"Bread of kind {n}", "Dough rises.") for n in range(60)),
]


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return with_ada(with_papers(Site(tmp_path)))


def rank(profile: Profile, papers: list[Paper] = PAPERS) -> Ranking:
    [found] = LexicalMatcher().prepare(papers).rank([Reader(profile, Feedback())])
    assert "" == found.error
    return found


def ids(ranking: Ranking) -> set[str]:
    return {match.paper.id for match in ranking.matches}


def lint(site: Site, text: str) -> str:
    """What `digest profile lint` says of this text, without the file's name."""
    file = site.write("p.toml", text)
    return site("profile", "lint", file).out.replace(f"{file}:", "")


# ------------------------------------------------------------------ profiles


def test_ten_thousand_terms_are_refused_with_their_place_and_number(site: Site) -> None:
    terms = ", ".join(f"'t{n}'" for n in range(10_000))
    text = f"[[interest]]\nterms = [{terms}]"
    assert "2:9: error: interest 1, terms: 10,000 entries, at most 1,000" in lint(site, text)
    said = site("profile", "set", ADA, site.folder / "p.toml")
    assert (said.code, "10,000 entries, at most 1,000" in said.fault) == (2, True)


def test_ten_thousand_terms_in_ten_interests_are_matched() -> None:
    def interest(number: int) -> Interest:
        return Interest(f"{number}", terms=tuple(Term(f"w{number} x{n}") for n in range(1000)))

    wishes = tuple(interest(number) for number in range(10))
    ants = replace(wishes[0], terms=(Term("ants", 100.0), *wishes[0].terms[:-1]))
    assert "p:ants" in ids(rank(Profile(interests=(ants, *wishes[1:]), floor="relaxed")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("(" * 1000 + "a" + ")" * 1000, "parentheses nest more than 50 deep"),
        ("a OR (" * 1000, "parentheses nest more than 50 deep"),
        ("a " * 6000, "12,000 characters, at most 10,000; make it two interests"),
    ],
)
def test_a_query_too_deep_or_too_long_says_so(site: Site, query: str, said: str) -> None:
    found = lint(site, f"[[interest]]\nquery = '{query}'")
    assert ": error: " in found
    assert said in found


@pytest.mark.parametrize("query", ["NOT " * 1000 + "ants", "NOT (" * 50 + "ants" + ")" * 50])
def test_a_query_of_a_thousand_operators_is_met(query: str) -> None:
    found = rank(Profile(interests=(Interest("i", query=query),)))
    assert {"p:ants", "p:bare", "p:crowd"} == ids(found)


def test_many_operators_side_by_side_are_met() -> None:
    query = " OR ".join(["ants", *(f'"w{n} x*"' for n in range(700))])
    assert {"p:ants", "p:bare", "p:crowd"} == ids(rank(Profile(interests=(Interest("i", query),))))


@pytest.mark.parametrize("where", ["query", "terms", "mute", "authors"])
def test_a_regular_expression_is_words_like_others(where: str) -> None:
    text = {
        "query": f"[[interest]]\nquery = '\"{BOMB.replace('*', '')}\"'",
        "terms": f"[[interest]]\nterms = ['{BOMB}', '.*', '[a-z]+$']",
        "mute": f"[mute]\nterms = ['{BOMB}']",
        "authors": f"[follow]\nauthors = ['{BOMB}']",
    }[where]
    try:
        wish = profiles.parse(text)
    except ProfileError as error:
        assert where in str(error)
        return
    far = [replace(paper, abstract="a" * 5000) for paper in PAPERS]
    assert set() == ids(rank(replace(wish, trending=0), far))


def test_seeds_that_are_not_here_or_are_no_ids_are_told(site: Site) -> None:
    text = '[[interest]]\nseeds = ["arxiv:9912.01000", "arxiv:2401.99999", "my thesis"]'
    assert lint(site, text).splitlines() == [
        "2:30: note: 'arxiv:2401.99999' is not stored here; it counts from when it is",
        "2:50: warning: 'my thesis' is no id of a paper, such as arxiv:2410.16794 or doi:10.1101/1",
    ]


def test_seeds_that_are_not_here_cost_nothing_but_themselves() -> None:
    wish = Interest("i", terms=(Term("ants"),), seeds=("arxiv:2401.99999", "my thesis"))
    assert "p:ants" in ids(rank(Profile(interests=(wish,))))


def test_interests_that_match_everything_and_nothing_are_told(site: Site) -> None:
    text = "[[interest]]\nquery = 'a OR the OR of OR we'\n[[interest]]\nterms = ['xylophone']"
    first, second = lint(site, text).splitlines()
    assert "2:9: warning: the query matches 100 % of the last four weeks" in first
    assert "4:10: warning: 'xylophone' matches nothing of the last four weeks" in second


def test_what_matches_everything_is_held_by_the_budget_and_what_matches_nothing_skips(
    site: Site,
) -> None:
    for name, query in (("all", "*"), ("none", "xylophone")):
        file = site.write("p.toml", f"trending = 0\n[[interest]]\nquery = '{query}'")
        added = ("subscriber", "add", f"{name}@example.org", "--profile", file, "--confirmed")
        site(*added, now=MONDAY.replace(day=2))
    site("publish")
    rows = {
        row["subscriber"].partition("@")[0]: row for row in site("edition", "list", "--json").json
    }
    assert (len(rows["all"]["papers"]), rows["all"]["over_budget"]) == (12, 48)
    assert rows["none"]["reason"] == "nothing_good_enough"


def test_a_term_in_a_script_without_spaces_says_what_it_finds(site: Site) -> None:
    found = lint(site, '[[interest]]\nterms = ["扩散模型"]')
    assert "2:10: warning: '扩散模型' is in a script without spaces" in found


# ------------------------------------------------------------------ papers


def test_papers_without_abstract_in_other_languages_and_with_5000_authors_are_matched() -> None:
    wish = Interest("i", query="ants OR ameisen OR النمل OR 蚂蚁如何寻找最短路径")
    found = rank(Profile(interests=(wish,), follow_authors=("A4999 Author4999",)))
    by_id = {match.paper.id: match for match in found.matches}
    assert {"p:ants", "p:bare", "p:german", "p:arabic", "p:chinese", "p:crowd"} == set(by_id)
    assert by_id["p:crowd"].section == FOLLOWED
    assert by_id["p:crowd"].reasons[0].what == "A4999 Author4999"
    for id_, match in by_id.items():
        for reason in match.reasons:
            if reason.kind is ReasonKind.QUERY:
                assert reason.what in getattr(match.paper, reason.where), id_


def test_a_letter_of_a_paper_with_5000_authors_names_a_few() -> None:
    crowd = next(paper for paper in PAPERS if paper.id == "p:crowd")
    edition = edition_of([crowd])
    parts = a_renderer().digest_parts(edition, sample.sample_reader(), pins([crowd]))
    assert "A4 Author4 and 4995 more" in parts.html
    assert len(parts.html) < len(digest_letter(a_renderer()).raw)
