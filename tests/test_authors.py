"""Author strings of every source reach following: the name a reader follows is found in each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from digest.profiles.names import MAYBE, SURE, alike
from digest.text import split_authors

SHAPES = {  # one list of authors as each kind of source writes it
    "arxiv rss": 'Laurens van der Maaten, Aapo Hyv\\"arinen (University of Helsinki), Yang Song',
    "arxiv rss, affiliations": "Laurens van der Maaten (1), Aapo Hyvärinen (2), Yang Song (1 and 2)"
    " ((1) Delft, (2) Helsinki, Finland)",
    "tex": r"Laurens van der Maaten, Aapo Hyv{\"a}rinen and Yang Song",
    "arxiv api": ["Laurens van der Maaten", "Aapo Hyvärinen", "Yang Song"],
    "biorxiv rss": "van der Maaten, L., Hyvärinen, A., Song, Y.",
    "biorxiv api": "van der Maaten, L.; Hyvärinen, A.; Song, Y.",
    "inverted list": ["van der Maaten, Laurens", "Hyvärinen, Aapo", "Song, Yang"],
    "html": "Laurens van der Maaten, Aapo Hyv&auml;rinen, Yang Song",
}
FOLLOWED = ["Maaten, Laurens van der", "Hyvarinen, Aapo", "Song, Yang"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_followed_author_is_found_in_every_shape(shape: str) -> None:
    names = split_authors(SHAPES[shape])
    assert len(names) == 3
    initials = shape.startswith("biorxiv")
    for followed, name in zip(FOLLOWED, names, strict=True):
        assert alike(followed, name) == (MAYBE if initials else SURE), (followed, name)


@pytest.mark.parametrize("shape", SHAPES)
def test_nobody_else_is_found(shape: str) -> None:
    for stranger in ("Yan Song", "Laurens Maat", "Aino Hyvärinen", "Wei Song"):
        assert all(alike(stranger, name) < SURE for name in split_authors(SHAPES[shape]))


@pytest.mark.parametrize(
    ("written", "followed"),
    [
        (r"Ji\v{r}\'i Nov\'ak", "Jiří Novák"),
        (r"S{\o}ren Kierkegaard", "Kierkegaard, Soren"),
        (r"Fran\c{c}ois Chollet", "Francois Chollet"),
        (r"\L{}ukasz Kaiser", "Łukasz Kaiser"),
        ("MÜLLER, Jürgen", "Juergen Mueller"),
        ("Müller, J&uuml;rgen", "Jürgen Müller"),
        ("O'Brien, Conan", "Conan O’Brien"),
        ("García Márquez, Gabriel", "Gabriel García Márquez"),
        ("Jean-Baptiste Alayrac", "Alayrac, Jean-Baptiste"),
        ("Smith, Jr., John", "John Smith"),
        ("John Smith, Jr.", "Smith, John"),
        ("Charles L.A. Clarke", "Clarke, Charles L. A."),
        ("Wei-Yao Wang*", "Wang, Wei-Yao"),
        ("de la Cruz, María", "Maria de la Cruz"),
        ("Ludwig van Beethoven1,2", "van Beethoven, Ludwig"),
        ("Nguyễn Văn An", "Nguyen Van An"),
    ],
)
def test_accents_particles_and_inverted_names_are_the_same_person(
    written: str, followed: str
) -> None:
    (name,) = split_authors([written])
    assert alike(followed, name) == SURE, name


given_names = st.sampled_from(["Ada", "Jürgen", "Wei-Yao", "María", "Søren", "Jean Paul"])
families = st.sampled_from(["Lovelace", "van den Berg", "O'Brien", "Hyvärinen", "Łoś", "de Moura"])
people = st.lists(
    st.tuples(given_names, families), min_size=1, max_size=6, unique_by=lambda who: who[1]
)


@given(people, st.sampled_from(["natural", "inverted", "semicolons", "initials", "affiliations"]))
def test_every_list_of_names_comes_back_one_to_one(who: list[tuple[str, str]], shape: str) -> None:
    assume(
        shape not in {"inverted", "semicolons"} or len(who) > 1 or " " not in who[0][0]
    )  # that could be two people
    initials = ["".join(f"{p[0]}." for p in first.replace("-", " ").split()) for first, _ in who]
    written: Sequence[str] = {
        "natural": ", ".join(f"{first} {last}" for first, last in who),
        "inverted": [f"{last}, {first}" for first, last in who],
        "semicolons": "; ".join(f"{last}, {first}" for first, last in who),
        "initials": ", ".join(f"{w[1]}, {i}" for w, i in zip(who, initials, strict=True)),
        "affiliations": ", ".join(f"{first} {last} (Inst, City)" for first, last in who),
    }[shape]
    names = split_authors(written)
    assert len(names) == len(who)
    found = [alike(f"{first} {last}", name) for (first, last), name in zip(who, names, strict=True)]
    assert min(found) >= (MAYBE if shape == "initials" else SURE), names
