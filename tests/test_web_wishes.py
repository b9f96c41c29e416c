"""The plain fields of a form and the profile file they stand for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import profiles
from digest.errors import ProfileError
from digest.model import Cadence, Frequency, Interest, Profile, Term
from digest.web import wishes

PLAIN = profiles.to_mapping(Profile())


def read(values: dict[str, str], document: dict[str, Any] | None = None) -> Profile:
    return profiles.from_mapping(wishes.apply(values, document or PLAIN))


def faults(values: dict[str, str]) -> dict[str, str]:
    with pytest.raises(ProfileError) as caught:
        read(values)
    return wishes.faults_by_field(caught.value.faults, values)


def interests(profile: Profile) -> list[tuple[str, list[str]]]:
    return [(item.name, [term.text for term in item.terms]) for item in profile.interests]


def test_a_line_is_an_interest_named_after_its_first_term() -> None:
    profile = read({"interests": "diffusion models, score matching\r\nprotein folding"})
    expected = [
        ("diffusion models", ["diffusion models", "score matching"]),
        ("protein folding", ["protein folding"]),
    ]
    assert expected == interests(profile)


def test_a_line_may_give_its_interest_a_name() -> None:
    profile = read({"interests": "Few steps: one-step sampling, distillation^2"})
    expected = (Interest("Few steps", terms=(Term("one-step sampling"), Term("distillation", 2))),)
    assert expected == profile.interests


def test_two_lines_with_the_same_first_term_are_two_interests() -> None:
    profile = read({"interests": "graphs, networks\ngraphs, molecules"})
    assert interests(profile) == [
        ("graphs", ["graphs", "networks"]),
        ("graphs (2)", ["graphs", "molecules"]),
    ]


def test_a_line_with_a_colon_and_nothing_behind_it_is_a_term() -> None:
    assert interests(read({"interests": "C: "})) != [("C: ", ["C:"])]
    assert interests(read({"interests": "C:"})) == [("C:", ["C:"])]


def test_a_form_without_a_field_leaves_what_it_stands_for() -> None:
    document = profiles.to_mapping(Profile(follow_authors=("Yang Song",), budget=30))
    profile = read({"interests": "graphs"}, document)
    assert (profile.follow_authors, profile.budget) == (("Yang Song",), 30)


def test_an_empty_field_takes_away_what_it_stands_for() -> None:
    document = profiles.to_mapping(Profile(follow_authors=("Yang Song",)))
    assert read({"authors": " \n "}, document).follow_authors == ()


RICH = Interest("Rules", query='"score matching" AND NOT audio', seeds=("arxiv:2303.01469",))


def test_interests_that_no_line_can_tell_stay_where_they_are() -> None:
    stored = Profile(interests=(Interest("graphs", terms=(Term("graphs"),)), RICH))
    profile = read({"interests": "folding\ngraphs, networks"}, profiles.to_mapping(stored))
    assert [item.name for item in profile.interests] == ["graphs", "Rules", "folding"]
    assert profile.interests[1] == RICH


def test_interests_that_no_line_can_tell_are_named_beside_the_form() -> None:
    stored = profiles.to_mapping(Profile(interests=(RICH,)))
    assert wishes.unsaid(stored) == ["Rules"]
    assert wishes.fields(stored)["interests"] == ""


@pytest.mark.parametrize(
    ("values", "cadence"),
    [
        ({"frequency": "daily"}, Cadence(Frequency.DAILY, 0, 8, "UTC")),
        ({"frequency": "weekly", "weekday": "friday"}, Cadence(Frequency.WEEKLY, 4, 8, "UTC")),
        ({"frequency": "monthly", "monthday": "28"}, Cadence(Frequency.MONTHLY, 28, 8, "UTC")),
        ({"frequency": "monthly", "monthday": "last"}, Cadence(Frequency.MONTHLY, -1, 8, "UTC")),
        ({"hour": "17", "zone": "Asia/Tokyo"}, Cadence(Frequency.WEEKLY, 0, 17, "Asia/Tokyo")),
    ],
)
def test_the_days_of_other_frequencies_do_not_count(
    values: dict[str, str], cadence: Cadence
) -> None:
    assert cadence == read({"weekday": "monday", "monthday": "1"} | values).cadence


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("interests", {"interests": "++"}),
        ("interests", {"interests": "x" * 400}),
        ("interests", {"interests": "\n".join(f"topic {n}" for n in range(60))}),
        ("authors", {"authors": "..."}),
        ("muted", {"muted": "!"}),
        ("frequency", {"frequency": "hourly"}),
        ("weekday", {"frequency": "weekly", "weekday": "someday"}),
        ("monthday", {"frequency": "monthly", "monthday": "31"}),
        ("hour", {"hour": "24"}),
        ("hour", {"hour": "soon"}),
        ("hour", {"hour": "9" * 5000}),
        ("zone", {"zone": "Mars/Olympus"}),
        ("zone", {"zone": "../../etc/passwd"}),
        ("budget", {"budget": "-1"}),
        ("floor", {"floor": "cellar"}),
        ("quiet_weeks", {"quiet_weeks": "shout"}),
        ("trending", {"trending": "²"}),
        ("revisions", {"revisions": "perhaps"}),
    ],
)
def test_a_fault_is_shown_at_the_field_that_can_mend_it(field: str, values: dict[str, str]) -> None:
    assert [field] == list(faults(values))


ANY = st.dictionaries(st.sampled_from([*wishes.fresh()]), st.text(max_size=60))


@given(ANY)
def test_whatever_is_typed_is_a_profile_or_a_fault_at_a_field(values: dict[str, str]) -> None:
    document = wishes.apply(values, PLAIN)
    try:
        profiles.from_mapping(document)
    except ProfileError as error:
        assert set(wishes.faults_by_field(error.faults, values)) <= set(wishes.fresh())


WORDS = st.text("abc xyz^2:,-é", min_size=1, max_size=20)
INTERESTS = st.lists(WORDS, max_size=6)


@given(INTERESTS, INTERESTS)
def test_a_form_sent_back_as_it_came_changes_nothing(topics: list[str], names: list[str]) -> None:
    asked = {"interests": "\n".join(topics), "authors": "\n".join(names)}
    try:
        profile = read(asked)
    except ProfileError:
        return
    document = profiles.to_mapping(profile)
    assert profile == read(wishes.fields(document), document)


def test_every_zone_of_the_list_is_a_zone() -> None:
    offered = {zone for zone, _ in wishes.choices().zones}
    assert {"UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Asia/Calcutta"} <= offered
    for zone in offered:
        read({"zone": zone})
