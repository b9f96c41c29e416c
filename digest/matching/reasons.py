"""Why a paper matches, in words that are true: each is taken from the paper itself."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import chain, islice
from typing import overload

from digest.matching.holding import Holding
from digest.matching.metadata import AUTHOR, names_of, spelled
from digest.matching.picking import FOLLOW, POPULAR, Pick, votes
from digest.matching.scoring import NEAR, Block
from digest.matching.space import Space
from digest.matching.spelling import Spellings, in_row, row_of
from digest.matching.wishes import Asked, Wish
from digest.model import Paper, Reason, ReasonKind
from digest.profiles.compact import texts_of
from digest.profiles.query import Author, Category, Everything, Leaf, Phrase, leaves
from digest.profiles.shelf import Shelf

MOST = 4  # reasons of one match
MOST_WORDS = 2  # of them from one wish
LOOKED_AT = 6  # found words among which those in the title go first
TOLD = 0.5  # z from which an author or category of what one likes is named
CLOSE = 0.06  # cosine from which a paper is called close to a seed: 1 in 1,000 chance pairs
TEXTS = 10_000  # remembered, some 5 KB each
NAMED = 200_000  # terms found in papers that are remembered, some 0.15 KB each


class Why(Sequence[Reason]):
    """The reasons of one match, worked out when they are first looked at."""

    __slots__ = ("_explain", "_given", "_reasons")

    def __init__(self, explain: Callable[..., tuple[Reason, ...]], *given: object) -> None:
        """`explain`: called with what is `given`."""
        self._explain: Callable[..., tuple[Reason, ...]] | None = explain
        self._given = given
        self._reasons: tuple[Reason, ...] = ()

    @property
    def _found(self) -> tuple[Reason, ...]:
        if self._explain is not None:
            self._reasons = self._explain(*self._given)
            self._explain, self._given = None, ()  # and the batch that they were worked out from
        return self._reasons

    @overload
    def __getitem__(self, index: int) -> Reason: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Reason]: ...
    def __getitem__(self, index: int | slice) -> Reason | Sequence[Reason]:
        return self._found[index]

    def __iter__(self) -> Iterator[Reason]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._found == tuple(other)

    def __hash__(self) -> int:
        return hash(self._found)

    def __repr__(self) -> str:
        return repr(self._found)


class Explainer:
    """Gives reasons for picks from one shelf; what it found in a paper it remembers."""

    def __init__(self, space: Space, shelf: Shelf) -> None:
        self._space, self._shelf = space, shelf
        self._spellings: dict[int, Spellings] = {}
        self._named_already = defaultdict[int, dict[str, Reason | None]](dict)
        self._left = NAMED  # to be remembered, before that starts anew

    def explain(self, asked: Asked, block: Block, start: int, pick: Pick) -> tuple[Reason, ...]:
        """The reasons of a pick, strongest first, at most MOST. `start`: the reader's first row
        in the block."""
        popular = [Reason(ReasonKind.VOTES, "", "", n)] if (n := self._votes(pick)) else []
        found: list[Reason] = [*popular] if pick.wish == POPULAR else []
        if pick.wish == FOLLOW:
            by = asked.followed[pick.paper]
            found.append(Reason(ReasonKind.AUTHOR, by.spelled, "authors", by.sure))
        wishes = range(len(asked.wishes)) if pick.wish < 0 else [pick.wish]
        for wish in wishes:
            found += self._of_wish(asked, wish, block, start + wish, pick)
        if pick.wish == POPULAR and found == popular:  # near without one whole term
            heaviest = (self._heaviest(block, start + wish, pick.paper) for wish in wishes)
            found += islice((reason for some in heaviest for reason in some), MOST_WORDS)
        if asked.likes:
            found = [_as_liked(reason, asked, block.papers) for reason in found]
        distinct = dict.fromkeys(reason for reason in found if reason not in popular)
        first = popular if pick.wish == POPULAR else []
        last = popular if pick.wish != POPULAR else []
        return (*first, *islice(distinct, MOST - len(popular)), *last)

    def _votes(self, pick: Pick) -> float:
        return votes(self._shelf.papers[pick.paper])

    def _of_wish(
        self, asked: Asked, number: int, block: Block, row: int, pick: Pick
    ) -> list[Reason]:
        """What ties a paper to one wish; for its own wish there is always something."""
        wish = asked.wishes[number]
        found = self._said(wish, pick.paper, asked.picked)
        close = self._closest(wish, block, pick.paper)
        if close and close.value >= CLOSE:
            found.append(close)
        if not found and pick.wish >= 0:
            found = [*self._readers(wish, block, row, pick.paper)]
        if not found and pick.wish >= 0:
            found = [*_meaning(wish, block.meant(row, pick.paper), NEAR)]
        if not found and pick.wish >= 0:
            found = [*islice(self._heaviest(block, row, pick.paper), MOST_WORDS)]
        if not found and pick.wish >= 0:
            found = [close] if close else [*_meaning(wish, block.meant(row, pick.paper), 0)]
        if wish.seeds and pick.wish >= 0:
            told = {(reason.what, reason.where) for reason in found}
            shared = self._in_common(wish, block, row, pick.paper)
            found += [reason for reason in shared if (reason.what, reason.where) not in told]
        return found

    # -------------------------------------------------------------- what the reader wrote

    def _said(self, wish: Wish, paper: int, picked: Sequence[int]) -> list[Reason]:
        terms = self._terms(wish, paper, picked)
        if wish.everything:
            return [Reason(ReasonKind.EVERYTHING), *terms]
        if not (found := self._query(wish, paper)):
            return terms
        told = {(reason.what.lower(), reason.where) for reason in found}
        found += [term for term in terms if (term.what.lower(), term.where) not in told]
        return [*islice(dict.fromkeys(found), MOST_WORDS + 1)]

    def _query(self, wish: Wish, paper: int) -> list[Reason]:
        if wish.query is None or not self._shelf.meeting(wish.query) >> paper & 1:
            return []
        there = (leaf for leaf in leaves(wish.query) if self._shelf.meeting(leaf) >> paper & 1)
        found = [reason for leaf in islice(there, LOOKED_AT) for reason in self._leaf(leaf, paper)]
        return _title_first(found)[:MOST_WORDS] or [Reason(ReasonKind.EVERYTHING)]

    def _leaf(self, leaf: Leaf, paper: int) -> Iterator[Reason]:
        match leaf:
            case Everything():
                yield Reason(ReasonKind.EVERYTHING)
            case Phrase():
                spelled, where = self._spelling(paper).of_words(leaf.words, leaf.field)
                if spelled:
                    yield Reason(ReasonKind.QUERY, spelled, where)
            case Category():
                for category in self._shelf.categories(paper, leaf.name):
                    yield Reason(ReasonKind.CATEGORY, category, "categories")
            case Author():
                for spelled in self._shelf.authors(paper, leaf.name):
                    yield Reason(ReasonKind.QUERY, spelled, "authors")

    def _terms(self, wish: Wish, paper: int, picked: Sequence[int]) -> list[Reason]:
        """The weightiest terms that the paper holds, those in its title first. `picked`: papers
        that will be asked about, this one among them."""
        if paper not in wish.may:
            wish.texts = texts_of(wish.terms)
            wish.may.update(zip(picked, self._holding.may_hold(picked, wish.words), strict=True))
        where, texts = self._spelling(paper).where, wish.texts
        first, others = list[str](), list[str]()
        for term in wish.may[paper]:
            if there := where(row_of(texts[term])):
                (first if there == "title" else others).append(texts[term])
                if len(first) == MOST_WORDS or len(first) + len(others) == LOOKED_AT:
                    break
        chosen = [*first, *others][:MOST_WORDS]
        return [reason for term in chosen if (reason := self._named(paper, term))]

    @cached_property
    def _holding(self) -> Holding:
        return Holding(self._space.words_of_window())

    def _named(self, paper: int, term: str) -> Reason | None:
        """A term of the reader's, if the paper holds it; many readers ask for the same."""
        named = self._named_already[paper]
        if term not in named:
            if self._left == 0:
                self._named_already.clear()
                self._left, named = NAMED, self._named_already[paper]
            self._left -= 1
            named[sys.intern(term)] = self._term(paper, row_of(term))
        return named[term]

    # -------------------------------------------------------------- what was learnt

    def _closest(self, wish: Wish, block: Block, paper: int) -> Reason | None:
        """The seed or liked paper that is most like this one."""
        if not wish.seeds:
            return None
        cosines = block.likeness[wish.seeds, paper]
        best = int(cosines.argmax())
        if cosines[best] <= 0:
            return None
        return Reason(ReasonKind.SEED, block.papers[wish.seeds[best]].id, "", float(cosines[best]))

    def _readers(self, wish: Wish, block: Block, row: int, paper: int) -> Iterator[Reason]:
        """That the map brought it: what readers of papers that this one likes like too. The paper
        that most of them read is named, if they are enough not to tell of anybody."""
        taste = block.space.taste
        if taste is None or block.tasted(row, paper) < NEAR:
            return
        ids = [block.papers[i].id for i in wish.seeds]
        named = [(taste.readers_of(id_), id_) for id_ in ids]
        number, id_ = max(named, key=lambda pair: pair[0], default=(0, ""))
        yield Reason(ReasonKind.READERS, id_ if number else "", "", float(number))

    def _in_common(self, wish: Wish, block: Block, row: int, paper: int) -> Iterator[Reason]:
        """The author and the category that most bring the paper near what a wish has learnt, and
        of how many of its papers they are."""
        told: set[str] = set()
        for name in block.named(row, paper, LOOKED_AT, TOLD):
            where = "authors" if name.startswith(AUTHOR) else "categories"
            if where not in told:
                told.add(where)
                number = sum(name in chain(*names_of(block.papers[i])) for i in wish.seeds)
                what = spelled(self._shelf.papers[paper], name)
                yield Reason(ReasonKind.SHARED, what, where, float(number))

    def _heaviest(self, block: Block, row: int, paper: int) -> Iterator[Reason]:
        """The paper's words that count most for a wish none of whose own terms it holds."""
        named: set[str] = set()
        for wanted in block.shared(row, paper, LOOKED_AT):
            reason = self._term(paper, in_row(wanted)) if named.isdisjoint(wanted) else None
            if reason:
                named.update(wanted)
                yield reason

    def _term(self, paper: int, row: str) -> Reason | None:
        """Stems in a row, as the paper spells them, if it holds them."""
        spelled, where = self._spelling(paper).of_stems(row)
        return _cited(spelled, where) if spelled else None

    def _spelling(self, paper: int) -> Spellings:
        if paper not in self._spellings:
            if len(self._spellings) >= TEXTS:
                self._spellings.clear()
            self._spellings[paper] = Spellings(self._shelf, paper)
        return self._spellings[paper]


@lru_cache(maxsize=1 << 16)
def _cited(spelled: str, where: str) -> Reason:
    """Papers spell the same words alike: one value for all that do."""
    return Reason(ReasonKind.TERM, spelled, where)


def _as_liked(reason: Reason, asked: Asked, examples: Sequence[Paper]) -> Reason:
    """A paper that the reader liked is called so, not a seed."""
    if reason.kind is not ReasonKind.SEED:
        return reason
    liked = {examples[index].id for index in asked.likes}
    return replace(reason, where="liked") if reason.what in liked else reason


def _meaning(wish: Wish, meant: float, least: float) -> Iterator[Reason]:
    """That the model brought a paper, where it added more than `least` to its z. No paper is
    named: how near it is to one of them is nothing that a reader could look up."""
    if wish.seeds and meant > least:
        yield Reason(ReasonKind.MEANING)


def _title_first(reasons: Iterable[Reason]) -> list[Reason]:
    return sorted(reasons, key=lambda reason: reason.where == "abstract")
