"""Why a paper matches, in words that are true: each is taken from the paper itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import overload

from digest.matching.picking import FOLLOW, POPULAR, Pick, votes
from digest.matching.scoring import NEAR, Block
from digest.matching.space import Space
from digest.matching.spelling import Spellings
from digest.matching.wishes import Asked, Wish
from digest.model import Paper, Reason, ReasonKind
from digest.profiles.query import Author, Category, Everything, Leaf, Phrase, leaves
from digest.profiles.shelf import Shelf
from digest.profiles.stems import stems

MOST = 4  # reasons of one match
MOST_WORDS = 2  # of them from one wish
LOOKED_AT = 6  # found words among which those in the title go first
CLOSE = 0.06  # cosine from which a paper is called close to a seed: 1 in 1,000 chance pairs
TEXTS = 10_000  # remembered, some 5 KB each
NAMED = 150_000  # terms found in papers that are remembered, some 0.3 KB each


class Why(Sequence[Reason]):
    """The reasons of one match, worked out when they are first looked at."""

    __slots__ = ("_explain", "_reasons")

    def __init__(self, explain: Callable[[], tuple[Reason, ...]]) -> None:
        self._explain: Callable[[], tuple[Reason, ...]] | None = explain
        self._reasons: tuple[Reason, ...] = ()

    @property
    def _found(self) -> tuple[Reason, ...]:
        if self._explain is not None:
            self._reasons = self._explain()
            self._explain = None  # and with it the batch that it was worked out from
        return self._reasons

    @overload
    def __getitem__(self, index: int) -> Reason: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Reason]: ...
    def __getitem__(self, index: int | slice) -> Reason | Sequence[Reason]:
        return self._found[index]

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
        self._stems: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
        self._named_already: dict[tuple[int, str], Reason | None] = {}

    def explain(
        self, asked: Asked, block: Block, start: int, examples: Sequence[Paper], pick: Pick
    ) -> tuple[Reason, ...]:
        """The reasons of a pick, strongest first, at most MOST. `start`: the reader's first row
        in the block."""
        popular = [Reason(ReasonKind.VOTES, "", "", n)] if (n := self._votes(pick)) else []
        found: list[Reason] = [*popular] if pick.wish == POPULAR else []
        if pick.wish == FOLLOW:
            by = asked.followed[pick.paper]
            found.append(Reason(ReasonKind.AUTHOR, by.spelled, "authors", by.sure))
        rows = range(len(asked.wishes)) if pick.wish < 0 else [pick.wish]
        for row in rows:
            found += self._of_wish(asked.wishes[row], block, start + row, examples, pick)
        if pick.wish == POPULAR and found == popular:  # near without one whole term
            heaviest = (self._heaviest(block, start + row, pick.paper) for row in rows)
            found += islice((reason for some in heaviest for reason in some), MOST_WORDS)
        found = [_as_liked(reason, asked, examples) for reason in found]
        distinct = dict.fromkeys(reason for reason in found if reason not in popular)
        first = popular if pick.wish == POPULAR else []
        last = popular if pick.wish != POPULAR else []
        return (*first, *islice(distinct, MOST - len(popular)), *last)

    def _votes(self, pick: Pick) -> float:
        return votes(self._shelf.papers[pick.paper])

    def _of_wish(
        self, wish: Wish, block: Block, row: int, examples: Sequence[Paper], pick: Pick
    ) -> list[Reason]:
        """What ties a paper to one wish; for its own wish there is always something."""
        found = self._said(wish, pick.paper)
        close = self._closest(wish, block, examples, pick.paper)
        if close and close.value >= CLOSE:
            found.append(close)
        if not found and pick.wish >= 0:
            found = [*self._readers(wish, block, row, examples, pick.paper)]
        if not found and pick.wish >= 0:
            found = [*_meaning(wish, block.meant(row, pick.paper), NEAR)]
        if not found and pick.wish >= 0:
            found = [*islice(self._heaviest(block, row, pick.paper), MOST_WORDS)]
        if not found and pick.wish >= 0:
            found = [close] if close else [*_meaning(wish, block.meant(row, pick.paper), 0)]
        return found

    # -------------------------------------------------------------- what the reader wrote

    def _said(self, wish: Wish, paper: int) -> list[Reason]:
        if wish.everything:
            return [Reason(ReasonKind.EVERYTHING), *self._terms(wish, paper)]
        found = self._query(wish, paper)
        told = {(reason.what.lower(), reason.where) for reason in found}
        terms = self._terms(wish, paper)
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
                    yield Reason(ReasonKind.AUTHOR, spelled, "authors")

    def _terms(self, wish: Wish, paper: int) -> list[Reason]:
        has = self._words(paper)[0].issuperset  # so that only few are looked for in the text
        may = (pair for pair in wish.weightiest() if has(pair[1]))
        found = ((term, where) for term, own in may if (where := self._where(paper, term, own)))
        first = sorted(islice(found, LOOKED_AT), key=lambda pair: pair[1] == "abstract")
        return [r for term, _ in first[:MOST_WORDS] if (r := self._named(paper, term))]

    def _where(self, paper: int, term: str, own: list[int]) -> str:
        """`title` or `abstract`, if the paper holds the term, whose words have these numbers."""
        if len(own) == 1 and term.isalnum():  # one word: it is there
            return "title" if own[0] in self._words(paper)[1] else "abstract"
        return self._spelling(paper).where(stems(term))

    def _named(self, paper: int, term: str) -> Reason | None:
        """A term of the reader's, if the paper holds it; many readers ask for the same."""
        if (paper, term) not in self._named_already:
            if len(self._named_already) >= NAMED:
                self._named_already.clear()
            self._named_already[paper, term] = self._term(paper, stems(term))
        return self._named_already[paper, term]

    # -------------------------------------------------------------- what was learnt

    def _closest(
        self, wish: Wish, block: Block, examples: Sequence[Paper], paper: int
    ) -> Reason | None:
        """The seed or liked paper that is most like this one."""
        if not wish.seeds:
            return None
        cosines = block.likeness[wish.seeds, paper]
        best = int(cosines.argmax())
        if cosines[best] <= 0:
            return None
        return Reason(ReasonKind.SEED, examples[wish.seeds[best]].id, "", float(cosines[best]))

    def _readers(
        self, wish: Wish, block: Block, row: int, examples: Sequence[Paper], paper: int
    ) -> Iterator[Reason]:
        """That the map brought it: what readers of papers that this one likes like too. The paper
        that most of them read is named, if they are enough not to tell of anybody."""
        taste = block.space.taste
        if taste is None or block.tasted(row, paper) < NEAR:
            return
        named = [(taste.readers_of(examples[i].id), examples[i].id) for i in wish.seeds]
        number, id_ = max(named, key=lambda pair: pair[0], default=(0, ""))
        yield Reason(ReasonKind.READERS, id_ if number else "", "", float(number))

    def _heaviest(self, block: Block, row: int, paper: int) -> Iterator[Reason]:
        """The paper's words that count most for a wish none of whose own terms it holds."""
        named: set[str] = set()
        for wanted in block.shared(row, paper, LOOKED_AT):
            reason = self._term(paper, wanted) if named.isdisjoint(wanted) else None
            if reason:
                named.update(wanted)
                yield reason

    def _term(self, paper: int, wanted: tuple[str, ...]) -> Reason | None:
        """Stems in a row, as the paper spells them, if it holds them."""
        spelled, where = self._spelling(paper).of_stems(wanted)
        return Reason(ReasonKind.TERM, spelled, where) if spelled else None

    def _words(self, paper: int) -> tuple[frozenset[int], frozenset[int]]:
        """The numbers of a paper's words, and of those of its title."""
        if paper not in self._stems:
            if len(self._stems) >= TEXTS:
                self._stems.clear()
            self._stems[paper] = self._space.words_of(self._shelf.papers[paper])
        return self._stems[paper]

    def _spelling(self, paper: int) -> Spellings:
        if paper not in self._spellings:
            if len(self._spellings) >= TEXTS:
                self._spellings.clear()
            self._spellings[paper] = Spellings(self._shelf, paper)
        return self._spellings[paper]


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
