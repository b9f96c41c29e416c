"""An edition: within the budget, fair between interests, never twice, never padded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from digest.compose import compose
from digest.matching import Ranking
from digest.model import (
    BY_VOTES,
    FOLLOWED,
    MISSED,
    TRENDING,
    Content,
    Interest,
    Match,
    Paper,
    Profile,
    QuietWeeks,
    Reason,
    ReasonKind,
    SkipReason,
)

BROAD, NARROW = Interest(name="Broad"), Interest(name="Narrow")
PROFILE = Profile(budget=4, interests=(BROAD, NARROW), follow_authors=("Song, Yang",))
WHY = Reason(ReasonKind.TERM, "diffusion", "title")


def match(paper: str, section: str, score: float = 1.0) -> Match:
    return Match(Paper(id=paper, title=paper, revision=3), section, score, (WHY,))


def several(section: str, count: int) -> tuple[Match, ...]:
    return tuple(match(f"{section.lower()}:{n}", section, 1 / (n + 1)) for n in range(count))


def ids(content: Content | SkipReason) -> list[str]:
    assert isinstance(content, Content)
    return [paper.id for paper in content.papers]


# ---------------------------------------------------------------- what is chosen


def test_a_broad_interest_does_not_swamp_a_narrow_one() -> None:
    ranking = Ranking(several("Broad", 50) + several("Narrow", 2))
    assert ids(compose(PROFILE, ranking, ())) == ["broad:0", "broad:1", "narrow:0", "narrow:1"]


def test_a_narrow_interest_leaves_its_turns_to_the_broad_one() -> None:
    ranking = Ranking(several("Broad", 50) + several("Narrow", 1))
    expected = ["broad:0", "broad:1", "broad:2", "narrow:0"]
    assert expected == ids(compose(PROFILE, ranking, ()))


def test_followed_authors_go_first_and_are_always_in() -> None:
    ranking = Ranking(several("Broad", 50) + several(FOLLOWED, 3))
    expected = [f"{FOLLOWED.lower()}:{n}" for n in range(3)] + ["broad:0"]
    assert expected == ids(compose(PROFILE, ranking, ()))


def test_even_followed_authors_do_not_exceed_the_budget() -> None:
    assert len(ids(compose(PROFILE, Ranking(several(FOLLOWED, 9)), ()))) == 4


def test_a_quota_caps_its_interest() -> None:
    profile = replace(PROFILE, interests=(replace(BROAD, quota=1), NARROW))
    assert ids(compose(profile, Ranking(several("Broad", 50)), ())) == ["broad:0"]


def test_a_quota_of_nothing_gives_nothing() -> None:
    profile = replace(PROFILE, interests=(replace(BROAD, quota=0), NARROW))
    assert ids(compose(profile, Ranking(several("Broad", 5) + several("Narrow", 1)), ())) == [
        "narrow:0"
    ]


def test_trending_papers_come_last_and_are_capped() -> None:
    ranking = Ranking(several(TRENDING, 50) + several("Broad", 1))
    expected = ["broad:0"] + [f"{TRENDING.lower()}:{n}" for n in range(3)]
    assert expected == ids(compose(replace(PROFILE, budget=10), ranking, ()))


def test_trending_papers_have_their_turn_beside_a_broad_interest() -> None:
    ranking = Ranking(several("Broad", 50) + several(TRENDING, 50))
    sections = Counter(p.section for p in _content(compose(PROFILE, ranking, ())).papers)
    assert sections == {"Broad": 2, TRENDING: 2}


def test_somebody_who_wants_no_trending_papers_gets_none() -> None:
    profile = replace(PROFILE, trending=0)
    found = compose(profile, Ranking(several(TRENDING, 5), considered=5), ())
    assert found == SkipReason.NOTHING_GOOD_ENOUGH


def test_sections_come_in_the_order_of_the_profile() -> None:
    ranking = Ranking(several(TRENDING, 1) + several("Narrow", 1) + several("Broad", 1))
    expected = ["broad:0", "narrow:0", f"{TRENDING.lower()}:0"]
    assert expected == ids(compose(PROFILE, ranking, ()))


def test_a_section_that_the_profile_does_not_name_comes_after_its_interests() -> None:
    ranking = Ranking(several("Close to what you liked", 1) + several("Broad", 1))
    expected = ["broad:0", "close to what you liked:0"]
    assert expected == ids(compose(PROFILE, ranking, ()))


def test_what_was_sent_never_comes_again() -> None:
    found = compose(PROFILE, Ranking(several("Broad", 3)), {"broad:0"})
    assert ids(found) == ["broad:1", "broad:2"]


def test_what_was_sent_under_another_of_its_ids_never_comes_again() -> None:
    paper = Paper(id="doi:10.1101/1", title="A", other_ids=("arxiv:2401.01234",))
    ranking = Ranking((Match(paper, "Broad", 1.0, (WHY,)),), considered=1)
    assert compose(PROFILE, ranking, ["arxiv:2401.01234"]) == SkipReason.NOTHING_GOOD_ENOUGH


def test_a_paper_that_matches_twice_comes_once_under_the_followed_author() -> None:
    ranking = Ranking((match("a", "Broad"), match("a", FOLLOWED), match("a", "Narrow")))
    content = _content(compose(PROFILE, ranking, ()))
    assert [(p.id, p.section) for p in content.papers] == [("a", FOLLOWED)]


def test_a_paper_keeps_its_revision_score_and_reasons() -> None:
    (paper,) = _content(compose(PROFILE, Ranking((match("a", "Broad", 0.5),)), ())).papers
    assert (paper.revision, paper.score, paper.reasons) == (3, 0.5, (WHY,))


# ---------------------------------------------------------------- what says nearly the same


def alike(*pairs: tuple[str, str]) -> dict[str, frozenset[str]]:
    """Twins, as a matcher tells them: each of the other."""
    both = [*pairs, *((b, a) for a, b in pairs)]
    return {one: frozenset(b for a, b in both if a == one) for one, _ in both}


def similar(content: Content) -> dict[str, list[str]]:
    return {p.id: [id_ for id_, _ in p.similar] for p in content.papers if p.similar}


def test_a_paper_that_says_nearly_the_same_is_named_below_and_takes_no_place() -> None:
    ranking = Ranking(several("Broad", 6))
    content = _content(compose(PROFILE, ranking, (), twins=alike(("broad:0", "broad:1"))))
    assert ["broad:0", "broad:2", "broad:3", "broad:4"] == ids(content)
    assert {"broad:0": ["broad:1"]} == similar(content)
    assert content.over_budget == 1


def test_a_section_whose_paper_is_only_named_does_not_lose_its_turn() -> None:
    ranking = Ranking(several("Broad", 50) + several("Narrow", 3))
    content = _content(compose(PROFILE, ranking, (), twins=alike(("broad:0", "narrow:0"))))
    assert ["broad:0", "broad:1", "narrow:1", "narrow:2"] == ids(content)


def test_followed_authors_are_always_in_and_never_named_below_another() -> None:
    ranking = Ranking(several(FOLLOWED, 2) + several("Broad", 1))
    first, second = f"{FOLLOWED.lower()}:0", f"{FOLLOWED.lower()}:1"
    twins = alike((first, second), (second, "broad:0"))
    content = _content(compose(PROFILE, ranking, (), twins=twins))
    assert [first, second] == ids(content)
    assert {second: ["broad:0"]} == similar(content)


def test_what_was_sent_is_not_named_below_another() -> None:
    ranking = Ranking(several("Broad", 2))
    content = _content(compose(PROFILE, ranking, ["broad:1"], twins=alike(("broad:0", "broad:1"))))
    assert {} == similar(content)


def test_names_below_a_paper_have_an_end_and_what_is_left_asks_for_a_place() -> None:
    twins = alike(*(("broad:0", f"broad:{n}") for n in range(1, 9)))
    content = _content(compose(PROFILE, Ranking(several("Broad", 9)), (), twins=twins))
    assert {"broad:0": ["broad:1", "broad:2", "broad:3"]} == similar(content)
    assert ["broad:0", "broad:4", "broad:5", "broad:6"] == ids(content)
    assert content.over_budget == 2


# ---------------------------------------------------------------- what is said


def test_papers_of_followed_authors_that_did_not_fit_are_counted() -> None:
    assert _content(compose(PROFILE, Ranking(several(FOLLOWED, 9)), ())).unfitted == 5


def test_the_letter_can_say_how_many_good_papers_did_not_fit() -> None:
    ranking = Ranking(several("Broad", 50) + several("Narrow", 2), near=31, considered=400)
    content = _content(compose(PROFILE, ranking, ()))
    assert (content.over_budget, content.near, content.considered) == (48, 31, 400)


def test_trending_papers_left_out_are_not_called_good() -> None:
    content = _content(compose(PROFILE, Ranking(several(TRENDING, 50)), ()))
    assert content.over_budget == 0


def test_notices_are_kept() -> None:
    found = compose(PROFILE, Ranking(several("Broad", 1)), (), ["arXiv was silent on Monday"])
    assert _content(found).notices == ("arXiv was silent on Monday",)


def test_no_papers_in_the_window_is_its_own_reason() -> None:
    assert compose(PROFILE, Ranking((), considered=0), ()) == SkipReason.NO_NEW_PAPERS


def test_papers_all_below_the_floor_are_another_reason() -> None:
    found = compose(PROFILE, Ranking((), near=3, considered=9), ())
    assert found == SkipReason.NOTHING_GOOD_ENOUGH


def test_a_profile_that_asks_for_nothing_is_a_third_reason() -> None:
    empty = Profile(trending=0, quiet_weeks=QuietWeeks.LINE)
    assert compose(empty, Ranking((), considered=9), ()) == SkipReason.EMPTY_PROFILE


def test_a_reader_who_wants_a_line_gets_one_in_a_quiet_week() -> None:
    profile = replace(PROFILE, quiet_weeks=QuietWeeks.LINE)
    found = compose(profile, Ranking((), near=3, considered=9), (), ["hf failed twice"])
    assert Content(considered=9, near=3, notices=("hf failed twice",)) == found


def _content(found: Content | SkipReason) -> Content:
    assert isinstance(found, Content)
    return found


# ---------------------------------------------------------------- properties

SECTIONS = ("Broad", "Narrow", "Third", FOLLOWED, TRENDING, MISSED, "Unheard of")
PAPERS = [f"p{n}" for n in range(25)]


@dataclass(frozen=True)
class Case:
    profile: Profile
    ranking: Ranking
    sent: frozenset[str]
    twins: dict[str, frozenset[str]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    quotas = st.none() | st.integers(0, 4)
    names = draw(st.permutations(["Broad", "Narrow", "Third"]))
    wanted = tuple(Interest(name=n, quota=draw(quotas)) for n in names[: draw(st.integers(0, 3))])
    profile = Profile(
        budget=draw(st.integers(1, 12)),
        trending=draw(st.integers(0, 4)),
        quiet_weeks=draw(st.sampled_from(QuietWeeks)),
        interests=wanted,
    )
    pairs = st.tuples(st.sampled_from(PAPERS), st.sampled_from(SECTIONS))
    matches = [match(p, s, 1 / (n + 1)) for n, (p, s) in enumerate(draw(st.lists(pairs)))]
    ranking = Ranking(tuple(matches), considered=len(matches))
    sent = draw(st.frozensets(st.sampled_from(PAPERS)))
    couples = st.tuples(st.sampled_from(PAPERS), st.sampled_from(PAPERS))
    twins = alike(*(pair for pair in draw(st.lists(couples, max_size=8)) if len(set(pair)) == 2))
    return Case(profile, ranking, sent, twins)


def composed(case: Case) -> Content:
    found = compose(case.profile, case.ranking, case.sent, twins=case.twins)
    return found if isinstance(found, Content) else Content()


@given(cases())
def test_an_edition_never_exceeds_its_budget(case: Case) -> None:
    assert len(composed(case).papers) <= case.profile.budget


@given(cases())
def test_an_edition_never_repeats_a_work(case: Case) -> None:
    found = [id_ for id_, _ in composed(case).pins]
    assert len(found) == len(set(found))
    assert case.sent.isdisjoint(found)


@given(cases())
def test_quotas_hold(case: Case) -> None:
    counts = Counter(paper.section for paper in composed(case).papers)
    assert counts[TRENDING] + counts[MISSED] <= case.profile.trending
    assert all(i.quota is None or counts[i.name] <= i.quota for i in case.profile.interests)


@given(cases())
def test_an_edition_holds_nothing_but_matches(case: Case) -> None:
    assert {pin for p in composed(case).papers for pin in p.similar} <= {
        (m.paper.id, m.paper.revision) for m in case.ranking.matches
    }
    known = {(m.paper.id, m.section, m.score, m.reasons) for m in case.ranking.matches}
    assert {(p.id, p.section, p.score, p.reasons) for p in composed(case).papers} <= known


@given(cases())
def test_nothing_good_is_left_out_while_there_is_room(case: Case) -> None:
    content = composed(case)
    quotas = {i.name: i.quota for i in case.profile.interests}
    quotas |= dict.fromkeys(BY_VOTES, case.profile.trending)
    counts = Counter(paper.section for paper in content.papers)
    counts |= dict.fromkeys(BY_VOTES, sum(counts[section] for section in BY_VOTES))
    left = {m.section for m in _left(case, {id_ for id_, _ in content.pins})}
    room = [s for s in left if quotas.get(s) is None or counts[s] < quotas[s]]
    assert not room or len(content.papers) == case.profile.budget


def _left(case: Case, chosen: set[str]) -> list[Match]:
    """Matches that were not chosen, each work in the section where it was looked for."""
    first: dict[str, Match] = {}
    for m in sorted(case.ranking.matches, key=lambda m: m.section != FOLLOWED):
        first.setdefault(m.paper.id, m)
    return [m for m in first.values() if m.paper.id not in chosen | case.sent]


@given(cases())
def test_no_two_papers_of_an_edition_say_nearly_the_same_unless_both_are_followed(
    case: Case,
) -> None:
    places = {p.id: p for p in composed(case).papers}
    for one, paper in places.items():
        for other in case.twins.get(one, frozenset()) & places.keys():
            full = len(paper.similar) == 3 or len(places[other].similar) == 3
            assert full or {paper.section, places[other].section} == {FOLLOWED}


@given(cases())
def test_what_is_named_below_a_paper_says_nearly_the_same(case: Case) -> None:
    for paper in composed(case).papers:
        assert {id_ for id_, _ in paper.similar} <= case.twins.get(paper.id, frozenset())


@given(cases())
def test_no_interest_gets_more_than_one_paper_beyond_another_that_has_more(case: Case) -> None:
    content = composed(case)
    counts = Counter(paper.section for paper in content.papers)
    for m in _left(case, {id_ for id_, _ in content.pins}):
        quota = {i.name: i.quota for i in case.profile.interests}.get(m.section)
        if m.section in {FOLLOWED, *BY_VOTES} or (quota is not None and counts[m.section] >= quota):
            continue
        others = [n for name, n in counts.items() if name != FOLLOWED]
        assert all(n <= counts[m.section] + 1 for n in others)
