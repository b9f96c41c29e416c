"""The profile language: reading, writing, faults with their places, names, queries, lint."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import profiles
from digest.errors import ProfileError
from digest.model import (
    FOLLOWED,
    Cadence,
    Floor,
    Frequency,
    Interest,
    Paper,
    Profile,
    QuietWeeks,
    Term,
)
from digest.profiles import EXAMPLE, Finding, QueryError, parse_query
from digest.profiles.names import alike
from digest.profiles.query import And, Author, Category, Everything, Not, Or, Phrase
from digest.profiles.shelf import Shelf, as_bits, members

# ------------------------------------------------------------------ reading and writing

words_ = st.text("abcdefghijklmnopqrstuvwxyzäé0123456789", min_size=1, max_size=12)
phrases = st.lists(words_, min_size=1, max_size=3).map(" ".join)
lists = st.lists(phrases, max_size=3, unique=True).map(tuple)


@st.composite
def cadences(draw: st.DrawFn) -> Cadence:
    kind = draw(st.sampled_from(list(Frequency)))
    days = {
        Frequency.DAILY: st.just(0),
        Frequency.WEEKLY: st.integers(0, 6),
        Frequency.MONTHLY: st.just(-1) | st.integers(1, 28),
    }
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Chatham"]))
    return Cadence(kind, draw(days[kind]), draw(st.integers(0, 23)), zone)


terms = st.builds(Term, phrases, st.just(1.0) | st.floats(0.01, 100))
interests = st.builds(
    Interest,
    name=phrases.map(str.title),
    query=st.just("") | phrases.map(lambda words: f'"{words}*" OR NOT ti:({words})'),
    terms=st.lists(terms, max_size=4).map(tuple),
    seeds=lists,
    quota=st.none() | st.integers(1, 200),
)
hints = st.lists(
    phrases.map("with: {}".format) | phrases.map("cat: {}".format), min_size=1, max_size=3
)
hinted = st.tuples(phrases, hints.map("; ".join)).map("{0[0]} ({0[1]})".format)
people = st.lists(phrases | hinted, max_size=3, unique=True).map(tuple)
any_profile = st.builds(
    Profile,
    cadence=cadences(),
    budget=st.integers(1, 200),
    floor=st.sampled_from(list(Floor)),
    quiet_weeks=st.sampled_from(list(QuietWeeks)),
    revisions=st.booleans(),
    trending=st.integers(0, 200),
    interests=st.lists(interests, max_size=3, unique_by=lambda i: i.name).map(tuple),
    follow_authors=people,
    mute_terms=lists,
    mute_authors=people,
    mute_categories=lists,
)


@given(any_profile)
def test_a_profile_written_as_toml_reads_back_the_same(profile: Profile) -> None:
    assert profile == profiles.parse(profiles.dump(profile))


@given(any_profile)
def test_a_profile_written_as_plain_data_reads_back_the_same(profile: Profile) -> None:
    assert profile == profiles.from_mapping(profiles.to_mapping(profile))


def test_the_example_reads_without_a_remark() -> None:
    assert [] == profiles.lint(EXAMPLE)


def test_an_empty_text_is_the_default_profile() -> None:
    assert Profile() == profiles.parse("")


@pytest.mark.parametrize("text", ["x^2 + y", "a ^b", "^a", "a^", "C++^2"])
def test_a_term_with_a_caret_reads_back_the_same(text: str) -> None:
    profile = Profile(interests=(Interest("i", terms=(Term(text), Term(text, 2.5))),))
    assert profile == profiles.parse(profiles.dump(profile))


def test_a_weight_follows_a_caret() -> None:
    read = profiles.parse('[[interest]]\nterms = ["distillation^2", "flow matching ^ 0.5"]')
    assert (Term("distillation", 2.0), Term("flow matching", 0.5)) == read.interests[0].terms


def test_an_interest_without_a_name_is_called_by_its_first_term() -> None:
    read = profiles.parse('[[interest]]\nterms = ["ants"]\n[[interest]]\nterms = ["ants"]')
    assert ["ants", "ants (2)"] == [interest.name for interest in read.interests]


def test_every_zone_of_the_database_is_taken() -> None:
    for zone in available_timezones():
        assert zone == profiles.from_mapping({"zone": zone}).cadence.zone


# ------------------------------------------------------------------ faults

FAULTY = """
cadence = "weekley"
hour = 25
zone = "europe/berlin"
budget = true
[[interest]]
nme = "x"
query = 'a AND (b OR'
terms = ["ok", "++", "x^0",
   "model^two"]
[[interest]]
query = "caf\\u00e9 foo:bar"
quota = 0
[follow]
authors = "Song"
[mutee]
"""


def test_every_fault_is_named_at_once_with_its_line_and_column() -> None:
    with pytest.raises(ProfileError) as caught:
        profiles.parse(FAULTY)
    places = [fault.split(" ")[0] for fault in caught.value.faults]
    top = ["2:11", "3:8", "4:8", "5:10"]
    first, second = ["7:1", "8:16", "9:16", "9:22", "10:4"], ["12:20", "13:9"]
    assert [*top, *first, *second, "15:11", "16:1"] == places


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('cadense = "weekly"', "did you mean cadence?"),
        ('zone = "Europe/Berln"', "did you mean Europe/Berlin?"),
        ('floor = "strickt"', "did you mean strict?"),
        ("[interest]", "write [[interest]]"),
        ("budget = 201", "1 to 200, not 201"),
        ('cadence = "monthly"\nday = 29', '1 to 28 or "last"'),
        ('day = "mondey"', "did you mean monday?"),
        ('[[interest]]\nname = "a"\n[[interest]]\nname = "a"', "two interests are named 'a'"),
        (f'[[interest]]\nname = "{FOLLOWED}"', "a section of every letter"),
        ('[[interest]]\nterms = ["a\\u0000b"]', "control characters"),
        (f'[[interest]]\nterms = ["{"x" * 301}"]', "301 characters, at most 300"),
        ("a = ", "not TOML"),
        ("x = " + "[" * 5000, "nest too deep"),
        ('a = "' + "x" * 500_000 + '"', "500,006 characters, at most 500,000"),
    ],
)
def test_a_fault_says_how_to_mend_it(text: str, said: str) -> None:
    with pytest.raises(ProfileError, match=r"^[1-4]:") as caught:
        profiles.parse(text)
    assert said in str(caught.value)


def test_plain_data_names_the_key_of_a_fault() -> None:
    with pytest.raises(ProfileError) as caught:
        profiles.from_mapping({"hour": "8", "interest": [{"terms": [3]}]})
    expected = [
        "hour: must be a whole number from 0 to 23, not '8'",
        "interest 1, terms 1: must be a string, not a number",
    ]
    assert expected == caught.value.faults


def test_a_profile_of_ten_thousand_terms_is_refused_in_a_word() -> None:
    many = {"interest": [{"terms": [f"term {i}" for i in range(10_000)]}]}
    with pytest.raises(ProfileError, match="10,000 entries, at most 1,000"):
        profiles.from_mapping(many)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = ["cadence", "day", "hour", "zone", "budget", "interest", "follow", "mute", "trending", "x"]


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_whatever_plain_data_holds_it_is_a_profile_or_a_profile_error(
    document: dict[str, object],
) -> None:
    try:
        profiles.from_mapping(document)
    except ProfileError as error:
        assert error.faults


@given(st.text(alphabet="ab[]{}\"'=,.#\n\\ 1*():^", max_size=40) | st.text(max_size=40))
def test_lint_never_raises(text: str) -> None:
    for finding in profiles.lint(text, [Paper("p", "a b")]):
        assert 1 <= finding.line <= text.count("\n") + 1


# ------------------------------------------------------------------ queries


def test_side_by_side_means_and_binds_tighter_than_or() -> None:
    a, b, c = (Phrase((word,)) for word in "abc")
    assert Or((And((a, b)), Not(c))) == parse_query("a b OR NOT c")


def test_quotes_hold_a_phrase_and_a_star_ends_a_prefix() -> None:
    assert Phrase(("diffusion", "model*")) == parse_query('"Diffusion model*"')


def test_a_word_with_a_hyphen_is_a_phrase() -> None:
    assert Phrase(("few", "step")) == parse_query("few-step")


def test_a_field_reaches_into_parentheses() -> None:
    assert Or((Phrase(("a",), "ti"), Phrase(("b",), "ti"))) == parse_query("ti:(a OR b)")


def test_names_and_categories_keep_their_spelling() -> None:
    tree = parse_query('au:"Song, Yang" cat:cs.LG')
    assert And((Author("Song, Yang"), Category("cs.lg"))) == tree


def test_a_lone_star_is_every_paper_and_an_empty_query_is_none() -> None:
    assert (Everything(), None) == (parse_query("*"), parse_query("  "))


def test_curly_quotes_are_quotes() -> None:
    assert Phrase(("a", "b")) == parse_query("“a b”")


@pytest.mark.parametrize(
    ("query", "at", "said"),
    [
        ("a AND", 5, "ends too early"),
        ("AND a", 0, "'AND' cannot stand here"),
        ("a OR OR b", 5, "'OR' cannot stand here"),
        ("x (a", 2, "( is never closed"),
        ("a) b", 1, "without its ("),
        ('x "a', 2, "never closed"),
        ("foo:bar", 0, "the fields are ti: ab: au: cat:"),
        ("ti: a", 2, "without spaces"),
        ("ti:(ab:x)", 0, "give one field"),
        ("mod*l", 0, "only at the end"),
        ("a -survey", 2, "write NOT survey"),
        ("a ++", 2, "no word"),
        ("(" * 1000 + "a" + ")" * 1000, 50, "nest more than 50 deep"),
        ("a " * 6000, 0, "at most 10,000"),
    ],
)
def test_a_query_that_cannot_be_read_says_where(query: str, at: int, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(query)
    assert at == caught.value.at
    assert said in str(caught.value)


def test_a_thousand_nots_are_read_in_no_depth() -> None:
    assert Phrase(("a",)) == parse_query("NOT " * 1000 + "a")


@given(st.text(alphabet='ab ()"*:-ANDORTti', max_size=30) | st.text(max_size=30))
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    try:
        parse_query(text)
    except QueryError as error:
        assert 0 <= error.at <= len(text)


# ------------------------------------------------------------------ what they mean

PAPERS = [
    Paper(
        "p0",
        "Diffusion Models beat GANs",
        "Score-based sampling.",
        ("Yang Song",),
        ("cs.LG", "stat.ML"),
    ),
    Paper("p1", "A survey of graphs", "Models of diffusion; GAN.", ("Y. Song",), ("cs.CV",)),
    Paper("p2", "Sampling in one step", "", ("Jürgen Müller",), ("math.PR",)),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("diffusion", [0, 1]),
        ('"diffusion models"', [0]),
        ('"diffusion mod*"', [0]),
        ("gan*", [0, 1]),
        ("gan", [1]),
        ("ti:sampling", [2]),
        ("ab:sampling", [0]),
        ("diffusion NOT survey", [0]),
        ("NOT diffusion", [2]),
        ("survey OR two-step", [1]),
        ("survey OR one-step", [1, 2]),
        ("cat:cs", [0, 1]),
        ("cat:cs.LG", [0]),
        ("cat:s*", [0]),
        ("cat:c", []),
        ("au:song", [0, 1]),
        ("au:mueller", [2]),
        ("au:mul*", [2]),
        ('au:"Song, Yang"', [0, 1]),
        ("*", [0, 1, 2]),
        ("nowhere", []),
    ],
)
def test_a_query_is_met_by_the_papers_it_describes(query: str, expected: list[int]) -> None:
    tree = parse_query(query)
    assert tree is not None
    assert expected == members(Shelf(PAPERS).meeting(tree))


@st.composite
def queries(draw: st.DrawFn, depth: int = 3) -> tuple[str, str]:
    """(a query, the same as a Python expression over the set of a text's words `w`)."""
    kind = draw(st.sampled_from(["word", "not", "and", "or"] if depth else ["word"]))
    if kind == "word":
        word = draw(st.sampled_from("abcd"))
        return word, f"({word!r} in w)"
    left, meaning = draw(queries(depth - 1))
    if kind == "not":
        return f"NOT ({left})", f"(not {meaning})"
    right, other = draw(queries(depth - 1))
    sign = "OR" if kind == "or" else draw(st.sampled_from(["AND", ""]))
    return f"(({left}) {sign} ({right}))", f"({meaning} {kind} {other})"


@given(queries(), st.lists(st.sets(st.sampled_from("abcd")), max_size=5))
def test_boolean_queries_mean_what_logic_says(pair: tuple[str, str], texts: list[set[str]]) -> None:
    query, meaning = pair
    tree = parse_query(query)
    assert tree is not None
    shelf = Shelf([Paper(str(i), " ".join(w)) for i, w in enumerate(texts)])
    expected = [i for i, w in enumerate(texts) if eval(meaning, {"w": w})]
    assert expected == members(shelf.meeting(tree))


@given(st.sets(st.integers(0, 300)))
def test_a_set_of_papers_survives_being_an_integer(indices: set[int]) -> None:
    assert sorted(indices) == members(as_bits(indices))


def test_a_soft_term_meets_a_text_by_its_stems_in_a_row() -> None:
    shelf = Shelf(PAPERS)
    assert [[0], [2], [0, 1]] == [
        members(shelf.holding(term)) for term in ("diffusion model", "one steps", "gan")
    ]


@pytest.mark.parametrize(
    ("followed", "printed", "sure"),
    [
        ("Song, Yang", "Yang Song", 1.0),
        ("Song, Yang", "Y. Song", 0.5),
        ("Song, Yang", "Yong Song", 0.0),
        ("Song, Y.", "Y. Song", 1.0),
        ("Wei Wang", "Wei-Yao Wang", 0.0),
        ("Shao-Yuan Lo", "Shaoyuan Lo", 1.0),
        ("S.-Y. Lo", "Shao-Yuan Lo", 0.5),
        ("van der Maaten, Laurens", "L. van der Maaten", 0.5),
        ("García Márquez, Gabriel", "Gabriel Garcia Marquez", 1.0),
        ("Müller, Hans", "Hans Mueller", 1.0),
        ("Hans Muller", "Hans Müller", 1.0),
        ("Michael Jordan", "Michael I. Jordan", 1.0),
        ("Michael B. Jordan", "Michael I. Jordan", 0.0),
        ("Smith, Jr., John", "John Smith", 1.0),
        ("DeepSeek-AI", "DeepSeek-AI", 1.0),
        ("Song", "Yang Song", 0.0),
        ("王小明", "王小明", 1.0),
    ],
)
def test_names_are_alike_as_surely_as_their_spelling_allows(
    followed: str, printed: str, sure: float
) -> None:
    assert (sure, sure) == (alike(followed, printed), alike(printed, followed))


# ------------------------------------------------------------------ lint


def said(text: str, papers: list[Paper] | None = None) -> list[str]:
    return [f"{f.line}:{f.column} {f.level} {f.message}" for f in profiles.lint(text, papers or [])]


def test_lint_tells_an_interest_that_asks_for_everything() -> None:
    expected = ["1:1 warning 'All' has no query, terms or seeds: it asks for everything"]
    assert expected == said('[[interest]]\nname = "All"')


def test_lint_tells_an_operator_in_lower_case() -> None:
    expected = ["2:9 warning 'or' is looked for as a word; the operator is OR"]
    assert expected == said("[[interest]]\nquery = 'ants or bees'\nname = 'x'")


def test_lint_tells_a_term_that_matches_nearly_everything_and_one_that_matches_nothing() -> None:
    papers = [Paper(str(i), "a model" if i % 100 < 61 else "ants") for i in range(100)]
    expected = [
        "2:10 warning 'model' matches 61 % of the last four weeks",
        "2:19 warning 'bees' matches nothing of the last four weeks",
        "3:9 note 'wasps' matches nothing of the last four weeks",
        "3:9 warning the query matches 39 % of the last four weeks",
    ]
    text = '[[interest]]\nterms = ["model", "bees"]\nquery = "ants OR wasps"'
    assert expected == said(text, papers)


def test_lint_tells_an_author_who_may_be_several_people() -> None:
    papers = [Paper("a", "x", authors=("Yang Song",)), Paper("b", "x", authors=("Yi Song",))]
    expected = ["2:12 warning 'Song, Y.' may be Yang Song, Yi Song"]
    assert expected == said('[follow]\nauthors = ["Song, Y."]', papers)


BESIDE = [
    *((("Ada A", "Bo B"), "cs.LG"), (("Bo B", "Cy C"), "cs.LG"), (("Di D",), "math.CO")),
    *((("Ed E",), "q-bio.PE"), ((), "cs.CV")),
]
WANGS = [
    Paper(f"w:{i}", "x", authors=("Wei Wang", *beside), categories=(category,))
    for i, (beside, category) in enumerate(BESIDE)
]


def test_lint_tells_a_name_that_may_be_several_people() -> None:
    [line] = said('[follow]\nauthors = ["Wei Wang"]', WANGS)
    assert line == (
        "2:12 note 'Wei Wang' is on 5 papers of the last four weeks by 3 groups that share no "
        "other author: perhaps several people; tell yours as 'Wei Wang (with: Jane Doe; cat: "
        "cs.LG)'"
    )
    assert [] == said('[follow]\nauthors = ["Wei Wang"]', WANGS[:3])


def test_lint_tells_hints_that_fit_nothing() -> None:
    [line] = said('[follow]\nauthors = ["Wei Wang (with: Zoe Z)"]', WANGS)
    assert "its hints fit none of 5 papers by 'Wei Wang' in the last four weeks" in line
    assert [] == said('[follow]\nauthors = ["Wei Wang (with: A, Ada)"]', WANGS)


@pytest.mark.parametrize(
    ("person", "found"),
    [
        ("Wei Wang", [0, 1, 2, 3, 4]),
        ("Wang, Wei (with: Ada A)", [0]),
        ("Wang, Wei (with: A, Ada; with: Di D)", [0, 2]),
        ("Wang, Wei (cat: cs.LG, q-bio)", [0, 1, 3]),
        ("Wang, Wei (with: Di D; CAT: cs.cv)", [2, 4]),
        ("Wang, Wei (cat: cs)", [0, 1, 4]),
        ("Wang, Wei (PhD)", [0, 1, 2, 3, 4]),  # no hint
    ],
)
def test_co_authors_and_categories_tell_people_of_one_name_apart(
    person: str, found: list[int]
) -> None:
    assert found == sorted(byline.paper for byline in Shelf(WANGS).by(person))


def test_a_known_co_author_makes_initials_sure() -> None:
    shelf = Shelf([Paper("p", "x", authors=("W. Wang", "Ada A"), categories=("cs.LG",))])
    sure = [[b.sure for b in shelf.by(f"Wei Wang{hint}")] for hint in ("", " (with: Ada A)")]
    assert sure == [[0.5], [1.0]]
    assert [0.5] == [b.sure for b in shelf.by("Wei Wang (cat: cs.LG)")]


@pytest.mark.parametrize("hint", ["on: ants", "with:", "cat: cs.LG; Jane Doe", "with: ++"])
def test_a_hint_that_is_none_is_a_fault(hint: str) -> None:
    with pytest.raises(ProfileError) as fault:
        profiles.parse(f'[follow]\nauthors = ["Wei Wang ({hint})"]')
    assert "2:12 follow, authors 1: " in str(fault.value)
    assert "write (with: Jane Doe; cat: cs.LG)" in str(fault.value)


def test_lint_tells_an_author_without_a_given_name() -> None:
    [finding] = profiles.lint('[follow]\nauthors = ["Song"]')
    expected = "'Song' has no given name: only papers by exactly 'Song' come"
    assert Finding(2, 12, "warning", expected) == finding


def test_lint_tells_a_profile_that_asks_for_nothing() -> None:
    told = "1:1 warning there is no interest and nobody is followed: no letter will ever come"
    assert [told] == said("trending = 0")


def test_lint_points_into_a_string_of_several_lines() -> None:
    [finding] = profiles.lint('[[interest]]\nquery = """\nants AND\n  (bees"""')
    assert (4, 3) == (finding.line, finding.column)


def test_a_date_is_named_as_what_it_is() -> None:
    with pytest.raises(ProfileError, match="must be a list of strings, not a date"):
        profiles.from_mapping({"mute": {"terms": date(2025, 1, 1)}})


# ------------------------------------------------------------------ the page for subscribers

PAGE = (Path(__file__).parent.parent / "docs" / "profiles.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE, re.S))
def test_every_profile_of_the_page_reads(text: str) -> None:
    assert not [finding for finding in profiles.lint(text) if finding.level == "error"]


@pytest.mark.parametrize("query", re.findall(r"^\| `(.+?)` \|", PAGE.split("## Queries")[1], re.M))
def test_every_query_of_the_page_reads(query: str) -> None:
    assert parse_query(query) is not None


def test_every_key_of_the_language_is_on_the_page() -> None:
    document = profiles.to_mapping(profiles.parse(EXAMPLE))
    keys = {*document, *document["follow"], *document["mute"]}
    keys |= {key for interest in document["interest"] for key in interest}
    assert not [key for key in keys if key not in PAGE]
