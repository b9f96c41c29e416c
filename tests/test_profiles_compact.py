"""A profile as few bytes: what comes back is what went in, and old bytes are not believed."""

from __future__ import annotations

from dataclasses import fields

import pytest
from contracts.test_matcher_contract import readers
from hypothesis import given, settings

from digest import profiles
from digest.errors import ProfileError
from digest.matching import Reader
from digest.model import Interest, Profile, Term
from digest.profiles import compact

PROFILE = profiles.parse(
    """
    cadence = "monthly"
    day = "last"
    zone = "Europe/Berlin"
    budget = 3
    floor = "strict"
    quiet_weeks = "line"
    revisions = true
    trending = 7
    [[interest]]
    name = "Few\\tsteps"
    query = '("diffusion model*" OR ti:score) AND NOT (audio OR au:"Song, Yang") cat:cs.*'
    terms = ["single-step sampling of the models", "distillation^2.3", "the of"]
    seeds = ["arxiv:2410.16794"]
    quota = 5
    [[interest]]
    name = "All"
    query = "*"
    [follow]
    authors = ["Song, Yang"]
    [mute]
    terms = ["survey"]
    authors = ["Doe, Jane"]
    categories = ["math"]
    """.replace("\\t", " ")
)


def test_a_packed_profile_comes_back_as_it_was() -> None:
    known = compact.compacted(PROFILE)
    again = compact.unpack(compact.pack(known))
    assert again is not None
    assert PROFILE == again.profile
    assert hash(PROFILE) == hash(again.profile)
    assert list(known.queries) == list(again.queries)
    assert str(known.words) == str(again.words)


@settings(max_examples=60, deadline=None)
@given(readers([]))
def test_any_profile_comes_back_as_it_was(reader: Reader) -> None:
    known = compact.compacted(reader.profile)
    again = compact.unpack(compact.pack(known))
    assert again is not None
    assert (reader.profile, list(known.queries)) == (again.profile, list(again.queries))
    assert str(known.words) == str(again.words)


def test_the_profile_above_tries_every_field() -> None:
    plain = Profile()
    same = [f.name for f in fields(Profile) if getattr(plain, f.name) == getattr(PROFILE, f.name)]
    assert [] == same


def test_terms_of_a_packed_profile_look_like_any() -> None:
    again = compact.unpack(compact.pack(compact.compacted(PROFILE)))
    assert again is not None
    terms = again.profile.interests[0].terms
    assert 3 == len(terms)
    assert Term("distillation", 2.3) == terms[1]
    assert (Term("distillation", 2.3), Term("the of")) == terms[1:]
    assert repr(tuple(PROFILE.interests[0].terms)) == repr(terms)


def test_bytes_of_another_release_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = compact.pack(compact.compacted(PROFILE))
    monkeypatch.setattr(compact, "_mark", lambda: b'["another",')
    assert [None, None, None] == [compact.unpack(some) for some in (packed, b"", None)]


def test_words_are_numbered_as_they_were_when_profiles_were_packed() -> None:
    # Where this fails, profiles packed before would be misread: count compact.FORMAT up.
    words = compact.compacted(PROFILE).words[0]
    assert [4, 1, 0, 2, 1] == words.lengths.tolist()
    assert [
        2090964721,
        1849182450,
        1767778348,
        1876018496,
        1467797366,
        1134129520,
        1876018496,
        102830302,
    ] == words.numbers.tolist()
    assert 1 == compact.FORMAT


def test_a_query_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ProfileError):
        compact.compacted(Profile(interests=(Interest("One", query="("),)))
