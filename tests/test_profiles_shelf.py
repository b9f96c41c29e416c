"""Which papers meet a query: FTS5, which shares a part of the language, finds the same."""

from __future__ import annotations

import fts5
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.model import Paper
from digest.profiles.query import And, Not, Or, Phrase, Query
from digest.profiles.shelf import Shelf, members

WORDS = ["graph", "graphs", "gra", "model", "models", "audio", "few", "step", "3.5", "c++", "naive"]

texts = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
papers = st.lists(st.builds(Paper, id=st.just("p"), title=texts, abstract=texts), max_size=40)


@st.composite
def phrases(draw: st.DrawFn) -> Phrase:
    asked = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
    if draw(st.booleans()):
        asked[-1] = asked[-1][: draw(st.integers(1, 5))].rstrip(".+") + "*"
    return Phrase(tuple(asked), draw(st.sampled_from(["", "ti", "ab"])))


def grown(smaller: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    some = st.lists(smaller, min_size=2, max_size=3)
    kept = st.tuples(some, st.lists(smaller.map(Not), max_size=2))
    return some.map(lambda parts: Or(tuple(parts))) | kept.map(lambda p: And((*p[0], *p[1])))


@settings(max_examples=60, deadline=None)
@given(papers, st.lists(st.recursive(phrases(), grown, max_leaves=6), max_size=4))
def test_a_query_is_met_by_the_papers_that_fts5_finds(
    there: list[Paper], asked: list[Query]
) -> None:
    shelf, db = Shelf(there), fts5.index(there)
    for query in asked:
        assert fts5.meeting(db, fts5.spell(query)) == members(shelf.meeting(query))


@settings(max_examples=60, deadline=None)
@given(papers, st.lists(st.recursive(phrases(), grown, max_leaves=6), max_size=4))
def test_one_paper_meets_a_query_where_it_is_among_those_that_do(
    there: list[Paper], asked: list[Query]
) -> None:
    shelf, alone = Shelf(there), Shelf(there)
    for query in asked:
        met = [place for place in range(len(there)) if alone.meets(query, place)]
        assert members(shelf.meeting(query)) == met
