"""What a reader gets of a day's papers, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from digest import profiles
from digest.matching import Ranking, Reader, lexical
from digest.matching.holding import Holding
from digest.matching.lexical import LexicalMatcher, LexicalPrepared, matching_query
from digest.matching.space import Space
from digest.matching.spelling import Spelling, Spellings, in_row, row_of
from digest.matching.vocabulary import Vocabulary
from digest.model import (
    FOLLOWED,
    LIKED,
    MOST_VOTED,
    TRENDING,
    Feedback,
    Floor,
    Interest,
    Match,
    Paper,
    Profile,
    ReasonKind,
    Term,
    Window,
)
from digest.profiles.compact import compacted
from digest.profiles.shelf import Shelf

# Some sixty papers that nobody below asks for, so that words have a rarity to speak of.
SUBJECTS = ["proteins", "galaxies", "turbines", "dialects", "auctions", "glaciers"]
METHODS = ["simulation", "inference", "spectroscopy", "regression", "surveying", "annealing"]
NOISE = [
    Paper(f"n:{i}", f"On {subject} by {method}", f"We study {subject}. The {method} is new.")
    for i, (subject, method) in enumerate((s, m) for s in SUBJECTS for m in METHODS)
] + [Paper(f"m:{i}", f"Remarks on {subject}", "") for i, subject in enumerate(SUBJECTS * 4)]

ANTS = Paper(
    "p:ants",
    "Ant colonies as shortest-path solvers",
    "Foraging ants lay pheromone trails. We model ant colonies.",
    ("Deborah M. Gordon", "Y. Song"),
    ("q-bio.PE",),
)
SLIME = Paper(
    "p:slime",
    "Slime moulds solve mazes",
    "Physarum finds shortest paths much as ant colonies do.",
    ("Toshiyuki Nakagaki",),
    ("physics.bio-ph",),
    signals={"upvotes": 40.0},
)
BEES = Paper(
    "p:bees",
    "Waggle dances of honeybees",
    "Foraging bees share where nectar is.",
    ("Karl von Frisch",),
    ("q-bio.PE", "cs.MA"),
    signals={"upvotes": 7.0},
)
LASERS = Paper("p:lasers", "Mode-locked fibre lasers", "Pulses.", ("Donna Strickland",))
OLD_ANTS = Paper("o:ants", "Pheromone trails of foraging ants", "Ant colonies find short paths.")
OLD_LASERS = Paper("o:lasers", "Fibre lasers", "Mode-locked pulses in fibre lasers.")
TODAY = [ANTS, SLIME, BEES, LASERS]


def prepared(papers: Sequence[Paper] = TODAY, popular: Sequence[Paper] = ()) -> LexicalPrepared:
    return LexicalMatcher().prepare(papers, NOISE, popular)


def rank(
    text: str,
    papers: Sequence[Paper] = TODAY,
    popular: Sequence[Paper] = (),
    feedback: Feedback | None = None,
    known: Sequence[Paper] = (OLD_ANTS, OLD_LASERS),
    window: Window | None = None,
) -> Ranking:
    profile = profiles.parse(text)
    texts = {paper.id: paper for paper in known}
    reader = Reader(profile, feedback or Feedback(), texts, window)
    [ranking] = prepared(papers, popular).rank([reader])
    assert "" == ranking.error
    return ranking


def ids(ranking: Ranking) -> list[str]:
    return [match.paper.id for match in ranking.matches]


def sections(ranking: Ranking) -> dict[str, str]:
    return {match.paper.id: match.section for match in ranking.matches}


def why(match: Match) -> list[tuple[str, str, str]]:
    return [(str(reason.kind), reason.what, reason.where) for reason in match.reasons]


# ------------------------------------------------------------------ what a reader wrote


def test_a_soft_term_finds_papers_by_its_stems_and_is_cited_as_the_paper_spells_it() -> None:
    match = rank('[[interest]]\nname = "i"\nterms = ["shortest path solver"]').matches[0]
    assert [("term", "shortest-path solvers", "title")] == why(match)
    [match] = rank('[[interest]]\nname = "i"\nterms = ["honeybee"]').matches
    assert [("term", "honeybees", "title"), ("votes", "", "")] == why(match)


def test_a_phrase_is_more_than_its_words() -> None:
    whole = Paper("p:1", "Forests", "Ant colonies live here.")
    parts = Paper("p:2", "Forests", "Colonies of birds met one ant.")
    assert "p:1" == ids(rank('[[interest]]\nterms = ["ant colonies"]', [parts, whole]))[0]


def test_a_heavier_term_ranks_higher() -> None:
    heavy, light = '["bees^4", "ants"]', '["bees", "ants^4"]'
    firsts = [ids(rank(f"[[interest]]\nterms = {terms}"))[0] for terms in (heavy, light)]
    assert ["p:bees", "p:ants"] == firsts


def test_a_paper_that_meets_a_query_is_in_whatever_the_floor() -> None:
    text = 'floor = "strict"\n[[interest]]\nname = "i"\nquery = "solve*"'
    assert {"p:ants", "p:slime"} == set(ids(rank(text)))


def test_a_query_is_required_even_where_the_terms_match() -> None:
    assert ["p:bees"] == ids(rank('[[interest]]\nquery = "nectar"\nterms = ["ant colonies"]'))


def test_terms_order_the_papers_that_meet_a_query() -> None:
    text = '[[interest]]\nquery = "foraging"\nterms = ["{}"]'
    assert ["p:bees", "p:ants"] == ids(rank(text.format("honeybees")))
    assert ["p:ants", "p:bees"] == ids(rank(text.format("ant colonies")))


def test_the_words_that_meet_a_query_are_cited() -> None:
    query = '"shortest path*" AND NOT cat:cs OR au:nakagaki OR cat:q-bio'
    found = rank(f"[[interest]]\nname = 'i'\nquery = '{query}'")
    cited = {match.paper.id: why(match) for match in found.matches}
    assert ("query", "shortest-path", "title") in cited["p:ants"]
    assert ("query", "Toshiyuki Nakagaki", "authors") in cited["p:slime"]
    assert ("category", "q-bio.PE", "categories") in cited["p:bees"]


def test_words_that_a_query_and_a_term_share_are_cited_once() -> None:
    text = "[[interest]]\nname = 'i'\nquery = '\"ant colonies\"'\nterms = ['Ant colonies']"
    cited = {match.paper.id: why(match) for match in rank(text).matches}
    assert cited["p:ants"] == [("query", "Ant colonies", "title")]


def test_an_interest_without_anything_asks_for_every_paper() -> None:
    found = rank('[[interest]]\nname = "All"')
    assert {paper.id for paper in TODAY} == set(ids(found))
    assert ("everything", "", "") in why(found.matches[0])


def test_a_star_asks_for_every_paper_and_terms_order_them() -> None:
    found = ids(rank('[[interest]]\nquery = "*"\nterms = ["lasers"]'))
    assert (4, "p:lasers") == (len(found), found[0])


def test_among_equals_the_popular_paper_goes_first() -> None:
    assert ["p:slime", "p:bees"] == ids(rank('[[interest]]\nname = "All"'))[:2]


def test_a_stricter_floor_lets_fewer_papers_through() -> None:
    papers = [*TODAY, *NOISE[:20]]
    text = 'floor = "{}"\n[[interest]]\nterms = ["ant colonies", "foraging", "proteins"]'
    found = [set(ids(rank(text.format(floor), papers))) for floor in Floor]
    assert found[0] >= found[1] >= found[2]
    assert found[0] > found[2] >= {"p:ants"}


def test_a_common_term_alone_lets_in_what_is_about_it_and_counts_the_rest_as_near() -> None:
    about = [Paper(f"a:{i}", "Ants and ants", "Ants, ants and more ants.") for i in range(3)]
    told = [Paper(f"t:{i}", f"Subject {i}", "Not without ants.") for i in range(40)]
    text = 'trending = 0\nfloor = "{}"\n[[interest]]\nterms = ["ants"]'
    normal = rank(text.format("normal"), [*about, *told, LASERS])
    assert ({"a:0", "a:1", "a:2"}, 40, 44) == (set(ids(normal)), normal.near, normal.considered)
    relaxed = rank(text.format("relaxed"), [*about, *told, LASERS])
    assert (43, 0) == (len(relaxed.matches) + relaxed.beyond, relaxed.near)


def test_a_long_list_of_common_terms_does_not_let_everything_in() -> None:
    many = [replace(paper, id=f"{paper.id}:{n}") for n in range(30) for paper in NOISE]
    terms = json.dumps([*SUBJECTS, *METHODS, "study", "new"])  # many hold four of them
    found = rank(f"trending = 0\n[[interest]]\nterms = {terms}", many)
    assert len(found.matches) + found.beyond < len(many) // 10


# ------------------------------------------------------------------ several interests


def test_a_paper_stands_in_the_section_it_fits_best() -> None:
    two = '[[interest]]\nname = "A"\nterms = ["ants"]\n[[interest]]\nname = "B"\nterms = ["mazes"]'
    assert {"p:ants": "A", "p:slime": "B"} == sections(rank(two))


def test_a_broad_interest_does_not_swamp_a_narrow_one() -> None:
    many = [Paper(f"b:{i}", f"Broad subject {i}", "broad") for i in range(200)]
    text = 'budget = 4\n[[interest]]\nname = "A"\nquery = "broad"\n'
    text += '[[interest]]\nname = "B"\nquery = "foraging"'
    found = rank(text, [*many, *TODAY])
    assert {"p:ants", "p:bees"} <= set(ids(found))
    assert 202 == len(found.matches) + found.beyond


def test_a_narrow_query_is_a_stronger_wish_than_a_broad_one() -> None:
    many = [Paper(f"b:{i}", f"Broad subject {i}", "broad") for i in range(50)]
    both = [Paper("b:x", "Broad ants", "broad"), *many]
    text = '[[interest]]\nname = "A"\nquery = "broad"\n[[interest]]\nname = "B"\nquery = "ants"'
    assert "B" == sections(rank(text, both))["b:x"]


def test_matches_are_enough_for_the_budget_and_few() -> None:
    many = [Paper(f"b:{i}", "Broad") for i in range(500)]
    found = rank('budget = 20\n[[interest]]\nname = "All"', many)
    assert 20 <= len(found.matches) <= 40
    assert 500 == len(found.matches) + found.beyond


# ------------------------------------------------------------------ what a reader likes


def test_papers_like_a_seed_come_and_name_it() -> None:
    found = rank('[[interest]]\nname = "i"\nseeds = ["o:ants"]')
    assert "p:ants" == found.matches[0].paper.id
    assert ("seed", "o:ants", "") in why(found.matches[0])
    assert "p:lasers" not in ids(found)


def test_a_seed_that_nobody_knows_is_no_harm() -> None:
    assert [] == ids(rank('trending = 0\n[[interest]]\nname = "i"\nseeds = ["o:nowhere"]'))


def test_the_closest_of_the_seeds_is_named() -> None:
    found = rank('[[interest]]\nname = "i"\nseeds = ["o:ants", "o:lasers"]')
    named = {m.paper.id: what for m in found.matches for kind, what, _ in why(m) if kind == "seed"}
    assert ("o:ants", "o:lasers") == (named["p:ants"], named["p:lasers"])


def test_a_like_counts_in_the_next_letter_for_the_interest_it_is_closest_to() -> None:
    two = '[[interest]]\nname = "A"\nterms = ["mazes"]\n[[interest]]\nname = "B"\nterms = ["fibre"]'
    before = rank(two, [ANTS])
    after = rank(two + '\n[[interest]]\nname = "C"\nterms = ["ants"]', [ANTS])
    assert ([], {"p:ants": "C"}) == (ids(before), sections(after))
    liked = rank(two, [ANTS, LASERS], feedback=Feedback(likes=("o:lasers",)))
    assert "B" == sections(liked)["p:lasers"]


def test_a_like_that_fits_no_interest_has_a_section_of_its_own() -> None:
    found = rank('[[interest]]\nname = "A"\nterms = ["nectar"]', feedback=Feedback(("o:lasers",)))
    assert (LIKED, "A") == (sections(found)["p:lasers"], sections(found)["p:bees"])


def test_a_reader_with_likes_and_no_interest_gets_papers_like_them() -> None:
    found = rank("trending = 0", feedback=Feedback(likes=("o:ants",)))
    assert {"p:ants": LIKED} == {k: v for k, v in sections(found).items() if k == "p:ants"}


def test_a_like_teaches_an_interest_in_everything_what_goes_first() -> None:
    text = '[[interest]]\nname = "All"'
    liked = rank(text, feedback=Feedback(likes=("o:lasers",)))
    assert "p:lasers" == ids(liked)[0]


def test_a_dislike_pushes_papers_like_it_down() -> None:
    text = '[[interest]]\nname = "A"\nterms = ["foraging", "pheromone trails"]'
    assert ["p:ants", "p:bees"] == ids(rank(text))
    assert ["p:bees", "p:ants"] == ids(rank(text, feedback=Feedback(dislikes=("o:ants",))))


def test_a_dislike_puts_a_paper_last_among_those_that_meet_a_query() -> None:
    text = '[[interest]]\nname = "A"\nquery = "foraging"\nterms = ["foraging ants"]'
    said = Feedback(dislikes=("o:ants",))
    assert ["p:ants", "p:bees"] == ids(rank(text))
    assert ["p:bees", "p:ants"] == ids(rank(text, feedback=said))


# ------------------------------------------------------------------ people and mutes


@pytest.mark.parametrize("name", ["Gordon, Deborah M.", "Deborah Gordon", "gordon, deborah"])
def test_a_followed_author_is_always_in_and_first(name: str) -> None:
    text = f'floor = "strict"\n[follow]\nauthors = ["{name}"]\n[[interest]]\nname = "All"'
    first = rank(text).matches[0]
    assert ("p:ants", FOLLOWED) == (first.paper.id, first.section)
    assert ("author", "Deborah M. Gordon", "authors") == why(first)[0]


def test_an_initial_may_be_the_followed_author_and_says_how_surely() -> None:
    [match] = rank('trending = 0\n[follow]\nauthors = ["Song, Yang"]').matches
    assert ("Y. Song", 0.5) == (match.reasons[0].what, match.reasons[0].value)


def test_a_sure_name_goes_before_a_doubtful_one() -> None:
    found = rank('trending = 0\n[follow]\nauthors = ["Song, Yang", "Donna Strickland"]')
    assert ["p:lasers", "p:ants"] == ids(found)


@pytest.mark.parametrize(
    "mute",
    ['terms = ["pheromones"]', 'authors = ["Gordon, D. M."]', 'categories = ["q-bio"]'],
)
def test_what_is_muted_never_comes_not_even_by_a_followed_author(mute: str) -> None:
    text = '[[interest]]\nname = "All"\n[follow]\nauthors = ["Deborah Gordon"]\n[mute]\n' + mute
    assert "p:ants" not in ids(rank(text, popular=[replace(ANTS, signals={"upvotes": 9.0})]))
    assert "p:lasers" in ids(rank(text))


# ------------------------------------------------------------------ trending


def test_popular_papers_near_an_interest_are_trending_and_say_their_votes() -> None:
    near = replace(OLD_ANTS, signals={"upvotes": 50.0})
    far = replace(OLD_LASERS, signals={"upvotes": 900.0})
    text = '[[interest]]\nname = "A"\nterms = ["pheromone trails"]'
    found = rank(text, [BEES], [far, near]).matches
    assert [("o:ants", TRENDING)] == [(match.paper.id, match.section) for match in found]
    assert (ReasonKind.VOTES, 50.0) == (found[0].reasons[0].kind, found[0].reasons[0].value)
    assert ("term", "Pheromone trails", "title") in why(found[0])


def test_a_reader_without_interests_gets_the_most_voted() -> None:
    found = rank("", popular=[BEES, SLIME, LASERS])
    assert [("p:slime", MOST_VOTED), ("p:bees", MOST_VOTED)] == [*sections(found).items()]


ON_SAND = (
    "How dry sand flows through a narrow gap between two plates, measured with a fast camera and "
    "explained by the arches that the grains form and break again, over and over."
)


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        (("Sand", ON_SAND), ("Grains in a gap", ON_SAND), True),
        (("Sand", ON_SAND), ("Sand", ON_SAND.replace("fast camera", "laser")), True),
        (("Sand", ON_SAND), ("Dry sand", "How sand dunes walk when the wind is dry."), False),
        (("A long walk home", ""), ("A long walk home", ""), True),
        (("Sand", ON_SAND), ("Ice cores", "Old air in deep ice."), False),
    ],
)
def test_papers_that_say_nearly_the_same_are_twins(
    one: tuple[str, str], other: tuple[str, str], are: bool
) -> None:
    found = prepared([Paper("a", *one), Paper("b", *other), *TODAY]).twins
    assert ({"a": {"b"}, "b": {"a"}} if are else {}) == found


def test_a_paper_with_few_votes_is_not_called_trending() -> None:
    few = [replace(LASERS, signals={"upvotes": 4.0}), replace(BEES, signals={"upvotes": 5.0})]
    assert ["p:bees"] == ids(rank("", popular=few))


def test_a_trending_paper_near_an_interest_says_by_what_words() -> None:
    text = (
        '[[interest]]\nname = "A"\nterms = ["foraging of nectar collectors"]\nquery = "ants bees"'
    )
    found = rank(text, popular=[BEES]).matches
    assert [TRENDING] == [match.section for match in found]
    assert {"votes", "term"} == {kind for kind, _, _ in why(found[0])}


@pytest.mark.parametrize("said", ["seeds", "likes", "dislikes"])
def test_what_a_reader_named_or_rated_is_no_news_to_them(said: str) -> None:
    seeds = 'seeds = ["p:ants"]' if said == "seeds" else ""
    text = f'[[interest]]\nname = "All"\nquery = "*"\n{seeds}\n[follow]\nauthors = ["D. M. Gordon"]'
    feedback = Feedback(**{said: ("p:ants",)}) if said != "seeds" else Feedback()
    found = rank(text, feedback=feedback, known=TODAY)
    assert {"p:bees", "p:slime", "p:lasers"} == {*ids(found)}


def test_who_wants_no_trending_papers_gets_none() -> None:
    assert [] == ids(rank("trending = 0", popular=[BEES, SLIME]))


def test_a_trending_paper_that_an_interest_has_is_not_shown_twice() -> None:
    found = rank('[[interest]]\nname = "A"\nterms = ["honeybees"]', popular=[BEES])
    assert {"p:bees": "A"} == sections(found)


def test_a_trending_paper_may_be_older_than_the_window_and_not_younger() -> None:
    day = datetime(2025, 9, 8, tzinfo=UTC)
    week = Window(day - timedelta(days=7), day)
    stored = [replace(BEES, first_seen=day - timedelta(days=9))]
    stored += [replace(ANTS, first_seen=day - timedelta(days=1)), replace(SLIME, first_seen=day)]
    text = '[[interest]]\nname = "A"\nterms = ["foraging", "slime"]'
    found = rank(text, stored, stored, window=week)
    assert {"p:ants": "A", "p:bees": TRENDING} == sections(found)
    assert 1 == found.considered


# ------------------------------------------------------------------ hard input


def test_papers_without_words_or_with_thousands_of_authors_are_taken() -> None:
    crowd = Paper("p:crowd", "Ants", authors=tuple(f"A{i} B{i}" for i in range(5000)))
    odd = [Paper("p:1", ""), Paper("p:2", "!!!", "…"), Paper("p:3", "Ωmega 蚂蚁 муравьи"), crowd]
    found = rank('[[interest]]\nterms = ["ants"]\n[follow]\nauthors = ["B4999, A4999"]', odd)
    assert {"p:crowd": FOLLOWED} == sections(found)
    assert ["p:3"] == ids(rank("[[interest]]\nquery = 'муравьи'", odd))


def test_the_largest_profile_that_is_allowed_is_ranked() -> None:
    terms = tuple(Term(f"ants word{n}", 100.0) for n in range(1000))
    names = tuple(f"Family{n}, Given" for n in range(1000))
    interests = tuple(Interest(f"I{n}", terms=terms) for n in range(50))
    mutes = tuple(f"mute{n}" for n in range(1000))
    profile = Profile(interests=interests, follow_authors=names, mute_terms=mutes)
    [ranking] = prepared(TODAY).rank([Reader(profile)])
    assert ("", "p:ants") == (ranking.error, ids(ranking)[0])


@pytest.mark.parametrize(
    "query",
    [
        " ".join(["a*"] * 1500 + ["b"]),
        '"' + " ".join(["a*"] * 1500 + ["b"]) + '"',
        '"' + " ".join(["aa*"] * 40 + ["b"]) + '"',
        " OR ".join(["(a* AND NOT a)"] * 500),
        " ".join(f"w{n}" for n in range(1700)),
    ],
    ids=["words", "phrase", "short phrase", "or", "many words"],
)
def test_no_query_takes_long_for_a_text_that_nearly_meets_it(query: str) -> None:
    # Where a rule were tried in every way that it may fit, this would never end.
    long = [Paper(f"p:{n}", "a " * 1000, "aaa " * 3000) for n in range(20)]
    [ranking] = (
        LexicalMatcher().prepare(long).rank([Reader(Profile(interests=(Interest("i", query),)))])
    )
    assert ("", 20) == (ranking.error, ranking.considered)


def test_a_paper_that_is_given_twice_comes_once() -> None:
    found = rank('[[interest]]\nname = "All"', [ANTS, ANTS])
    assert (["p:ants"], 1) == (ids(found), found.considered)


def test_the_first_paper_of_a_new_site_can_match() -> None:
    profile = profiles.parse('[[interest]]\nname = "i"\nterms = ["ant colonies"]')
    [ranking] = LexicalMatcher().prepare([ANTS]).rank([Reader(profile)])
    assert ["p:ants"] == ids(ranking)


def test_readers_are_ranked_the_same_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ['[[interest]]\nterms = ["ants"]', "", '[[interest]]\nquery = "bees"'] * 5
    readers = [Reader(profiles.parse(text), Feedback(("o:ants",)), {}) for text in texts]
    whole = prepared().rank(readers)
    monkeypatch.setattr(lexical, "CELLS", 5)
    assert whole == prepared().rank(readers)


def test_an_all_embracing_reader_gets_every_founding_paper(shared: Path) -> None:
    lines = (shared / "data/seed/trending.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    papers = [Paper(f"s:{i}", r["title"], r.get("abstract", "")) for i, r in enumerate(rows)]
    found = rank('budget = 100\n[[interest]]\nname = "All"', papers)
    assert (81, 0) == (len(found.matches), found.beyond)


# ------------------------------------------------------------------ parts


@pytest.mark.parametrize(
    ("text", "words", "spelled"),
    [
        ("Pre-training at scale", ["pretrain"], "Pre-training"),
        ("the model's Samples", ["sampl"], "Samples"),
        ("in few-step sampling", ["few", "step", "sampl"], "few-step sampling"),
        ("state-of-the-art GPT-4", ["art"], "art"),
        ("Schro\u0308dinger bridges", ["schroding", "bridg"], "Schro\u0308dinger bridges"),
        ("non-linear, multi-modal C++ and 3.5", ["c++"], "C++"),
        ("non-linear, multi-modal C++ and 3.5", ["and", "3.5"], "and 3.5"),
        ("½ ﬁne-tuning", ["fine", "tune"], "ﬁne-tuning"),
        ("ants", ["bee"], ""),
    ],
)
def test_words_are_found_where_they_are_spelled(text: str, words: list[str], spelled: str) -> None:
    row = Shelf([Paper("p", text)]).row("ti", 0)
    assert spelled == Spelling(text, row).of_stems(in_row(words))


def test_no_term_that_a_paper_holds_is_missing_among_those_that_it_may_hold() -> None:
    texts = ["the", "maze", "ant colonies", "of", "glaciers", "pheromone trails", "ants", "dances"]
    terms = tuple(Term(text, 1.0 + place % 3) for place, text in enumerate(texts))
    [words] = compacted(Profile(interests=(Interest("i", terms=terms),))).words
    papers = [ANTS, SLIME, BEES, *NOISE]
    shelf, space = Shelf(papers), Space(Vocabulary(), papers)
    found = Holding(space.words_of_window()).may_hold(range(len(papers)), words)
    by_weight = sorted(range(len(terms)), key=lambda term: -terms[term].weight)
    for paper, may in enumerate(found):
        where = Spellings(shelf, paper).where
        assert [term for term in may if where(row_of(texts[term]))] == [
            term for term in by_weight if where(row_of(texts[term]))
        ]
        assert len(may) <= 5  # and not simply all of them


def test_a_vocabulary_knows_the_stems_of_its_codes() -> None:
    vocabulary = Vocabulary()
    codes = vocabulary.grams(Paper("p", "Sampling of the models")).codes.tolist()
    spelled = [vocabulary.spelled(code) for code in codes]
    assert [("model",), ("sampl",), ("sampl", "model")] == sorted(spelled)


def test_a_query_finds_stored_papers_in_their_order() -> None:
    found = matching_query("foraging OR pulses", iter([*NOISE, *TODAY] * 20))
    assert ["p:ants", "p:bees", "p:lasers"] * 20 == [paper.id for paper in found]


def test_default_profiles_ask_for_nothing_but_trending_papers() -> None:
    [ranking] = prepared().rank([Reader(Profile())])
    assert () == ranking.matches


# ------------------------------------------------------------------ what was liked long ago

THEN = datetime(2026, 3, 2, tzinfo=UTC)


def nearness(*ages: int, seeds: tuple[str, ...] = ()) -> dict[str, float]:
    """z of each paper for who liked lasers and ants so many days ago."""
    texts = {paper.id: paper for paper in (OLD_LASERS, OLD_ANTS)}
    likes = ("o:lasers", "o:ants")[: len(ages)]
    said = Feedback(likes, liked_at=tuple(THEN - timedelta(days=age) for age in ages))
    interests = (Interest("i", seeds=seeds),) if seeds else ()
    window = Window(THEN - timedelta(days=7), THEN)
    [ranked] = prepared().order([Reader(Profile(interests=interests), said, texts, window)], 9)
    return dict(ranked)


def test_of_two_likes_the_older_one_counts_less() -> None:
    alike, first, second = nearness(0, 0), nearness(0, 730), nearness(730, 0)
    assert first["p:lasers"] > alike["p:lasers"] > second["p:lasers"]
    assert second["p:ants"] > alike["p:ants"] > first["p:ants"]


def test_a_lone_like_counts_as_ever_however_old() -> None:
    assert nearness(0) == pytest.approx(nearness(3000))


def test_a_like_from_the_time_after_the_window_counts_whole() -> None:
    assert nearness(0, 0) == nearness(-3, -3)


def test_a_seed_that_the_reader_wrote_down_does_not_fade() -> None:
    seeds = ("o:lasers", "o:ants")
    assert nearness(2000, 0, seeds=seeds) == nearness(0, 0, seeds=seeds)
