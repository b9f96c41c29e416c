"""A button changes one entry of a profile file; what its author wrote around it stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import profiles
from digest.model import Profile
from digest.profiles.amend import LISTS

WRITTEN = """\
cadence = "weekly"  # Mondays are quiet
day = "monday"

# What I am paid for
[[interest]]
name = "Flows"
terms = ["flow matching^2"]

[follow]  # people
authors = [
  "Song, Yang",   # the first of them
  'Lovelace, Ada',
]

[mute]
terms = ["survey"]  # I write those myself
"""


def amended(text: str, **changes: tuple[str, ...]) -> str:
    before = profiles.parse(text)
    return profiles.amend(text, before, replace(before, **changes))


def test_a_new_name_is_put_in_and_every_remark_stays() -> None:
    text = amended(WRITTEN, follow_authors=("Song, Yang", "Lovelace, Ada", 'Jane "J" Doe'))
    assert text == WRITTEN.replace("authors = [\n", 'authors = ["Jane \\"J\\" Doe", \n')


def test_a_name_is_taken_out_and_every_other_remark_stays() -> None:
    expected = WRITTEN.replace("  'Lovelace, Ada',\n", "  \n")
    assert expected == amended(WRITTEN, follow_authors=("Song, Yang",))


def test_the_last_of_a_list_leaves_an_empty_one() -> None:
    assert "terms = []  # I write those myself" in amended(WRITTEN, mute_terms=())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# mine\n", '# mine\n\n[mute]\nterms = ["survey"]\n'),
        ("", '[mute]\nterms = ["survey"]\n'),
        ("[mute] # none yet\n", '[mute] # none yet\nterms = ["survey"]\n'),
        ("[mute]\nterms = [ ]\n", '[mute]\nterms = ["survey" ]\n'),
        (
            "[mute]\ncategories = ['cs.AI']\n[follow]\n",
            "[mute]\nterms = [\"survey\"]\ncategories = ['cs.AI']\n[follow]\n",
        ),
    ],
)
def test_a_list_that_is_not_there_is_made(text: str, expected: str) -> None:
    assert expected == amended(text, mute_terms=("survey",))


@pytest.mark.parametrize(
    "text",
    [
        'mute = {terms = ["survey"]} # inline\n',
        'mute.terms = ["survey"] # dotted\n',
        '["mute"]\nterms = ["survey"] # quoted\n',
        '[mute]\nterms = ["""survey"""] # long\n',
        '[mute]\nterms = ["s\\U00000075rvey"] # escaped\n',
    ],
)
def test_a_text_that_cannot_be_changed_in_place_is_written_anew(text: str) -> None:
    anew = amended(text, mute_terms=())
    assert profiles.parse(anew) == replace(profiles.parse(text), mute_terms=())
    assert "survey" not in anew


def test_what_else_differs_is_written_anew() -> None:
    assert profiles.dump(replace(profiles.parse(WRITTEN), budget=3)) == amended(WRITTEN, budget=3)


names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=12
).filter(lambda name: name.strip() and any(map(str.isalpha, name)))
lists = st.lists(names.map(str.strip), max_size=3, unique=True).map(tuple)
wishes = st.fixed_dictionaries(
    {"follow_authors": lists, "mute_terms": lists, "mute_authors": lists}
).map(lambda given: Profile(**given))


@given(st.sampled_from([WRITTEN, "", "[follow]\n[mute]\n", 'follow = {authors = ["A"]}\n']), wishes)
def test_whatever_is_meant_is_what_the_text_says(text: str, wish: Profile) -> None:
    before = profiles.parse(text)
    lists = {"follow_authors": wish.follow_authors, "mute_terms": wish.mute_terms}
    try:
        after = profiles.from_mapping(
            profiles.to_mapping(replace(before, **lists, mute_authors=wish.mute_authors))
        )
    except profiles.reading.ProfileError:
        return  # a name without a word in it
    told = profiles.parse(profiles.amend(text, before, after))
    for entries in LISTS.values():
        assert sorted(entries(after)) == sorted(entries(told))
    assert replace(told, **{n: getattr(after, n) for n in NAMES}) == after


NAMES = ("follow_authors", "mute_terms", "mute_authors", "mute_categories")
