"""What one reader asks for, ready to be scored: one wish for each interest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from digest.matching import Reader
from digest.matching.vocabulary import Vocabulary
from digest.model import LIKED, Interest, Paper, Term
from digest.profiles.query import Everything, Phrase, Query, leaves, parse_query
from digest.profiles.shelf import Byline, Shelf

PART = 0.1  # what the single words of a phrase count beside its pairs of words
QUERY_WORD = 0.25  # what a query's own words weigh among its papers, beside a term's 1


@dataclass(slots=True)
class Wish:
    """One interest, scored apart from the others. Example papers are indices into a batch."""

    section: str
    query: Query | None = None
    everything: bool = False
    terms: tuple[Term, ...] = ()  # the weightiest first
    words: list[list[int]] = field(default_factory=list)  # of each term, the codes of its words
    codes: list[int] = field(default_factory=list)  # of the terms and the query's words
    shares: list[float] = field(default_factory=list)  # what each counts
    seeds: list[int] = field(default_factory=list)  # and likes
    dislikes: list[int] = field(default_factory=list)
    quota: int | None = None


@dataclass(slots=True)
class Asked:
    """A reader's whole profile against one shelf of papers."""

    reader: Reader
    wishes: list[Wish]
    muted: int  # bits: these papers never come
    followed: dict[int, Byline]
    likes: list[int]
    dislikes: list[int]


class Examples:
    """The papers that readers of a batch learn from, each once."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []
        self._indices: dict[tuple[str, int, int], int] = {}

    def add(self, ids: Iterable[str], known: Mapping[str, Paper]) -> list[int]:
        """Indices of those whose text is known, each work once."""
        found = (self._index(known[id_]) for id_ in ids if id_ in known)
        return list(dict.fromkeys(found))

    def _index(self, paper: Paper) -> int:
        key = (paper.id, paper.revision, id(paper))
        if key not in self._indices:
            self._indices[key] = len(self.papers)
            self.papers.append(paper)
        return self._indices[key]


def read(reader: Reader, vocabulary: Vocabulary, shelf: Shelf, examples: Examples) -> Asked:
    """What the reader asks. Raises for a profile that cannot be understood (QueryError)."""
    profile, known = reader.profile, reader.known
    return Asked(
        reader=reader,
        wishes=[_wish(i, vocabulary, examples, known) for i in profile.interests],
        muted=_muted(reader, shelf),
        followed=_followed(profile.follow_authors, shelf),
        likes=examples.add(reader.feedback.likes, known),
        dislikes=examples.add(reader.feedback.dislikes, known),
    )


def liked() -> Wish:
    """The wish for likes that fit no interest."""
    return Wish(LIKED)


def _wish(
    interest: Interest, vocabulary: Vocabulary, examples: Examples, known: Mapping[str, Paper]
) -> Wish:
    query = parse_query(interest.query)
    wish = Wish(interest.name, query, quota=interest.quota)
    wish.terms = tuple(sorted(interest.terms, key=lambda term: -term.weight))
    wish.seeds = examples.add(interest.seeds, known)
    silent = query is None and not interest.terms and not interest.seeds
    wish.everything = silent or isinstance(query, Everything)
    weighted = [(term.text, term.weight) for term in wish.terms]
    for text, weight in [*weighted, *_query_terms(query)]:
        single, pairs = vocabulary.codes(text)
        wish.words.append(single)
        wish.codes += [*pairs, *single]
        wish.shares += [weight / len(pairs)] * len(pairs) if pairs else []
        wish.shares += [weight * (PART / len(single) if pairs else 1.0)] * len(single)
    return wish


def _query_terms(query: Query | None) -> Iterable[tuple[str, float]]:
    """The words a query asks for rank the papers that meet it."""
    for leaf in leaves(query) if query else ():
        if isinstance(leaf, Phrase):
            yield " ".join(word.removesuffix("*") for word in leaf.words), QUERY_WORD


def _muted(reader: Reader, shelf: Shelf) -> int:
    profile, found = reader.profile, 0
    for term in profile.mute_terms:
        found |= shelf.holding(term)
    for category in profile.mute_categories:
        found |= shelf.under(category)
    for author in profile.mute_authors:
        for byline in shelf.by(author):
            found |= 1 << byline.paper
    return found


def _followed(authors: Iterable[str], shelf: Shelf) -> dict[int, Byline]:
    """{paper: the surest byline of somebody the reader follows}."""
    found: dict[int, Byline] = {}
    for author in authors:
        for byline in shelf.by(author):
            if byline.sure > (found[byline.paper].sure if byline.paper in found else 0.0):
                found[byline.paper] = byline
    return found
