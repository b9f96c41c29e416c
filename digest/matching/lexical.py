"""Matching by words: what a reader wrote and what a reader liked, each interest apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import TypeVar

from digest.matching import Matcher, Ranking, Reader
from digest.matching.collaborative import CollaborativeMap
from digest.matching.embeddings import Embeddings
from digest.matching.meeting import WORTH, Pace
from digest.matching.picking import (
    FOLLOW,
    LEAST_VOTES,
    POPULAR,
    Pick,
    Picker,
    has_bounds,
    score_of,
    votes,
)
from digest.matching.reasons import Explainer, Why
from digest.matching.scoring import NEAR, Block, Held
from digest.matching.space import Space
from digest.matching.threads import one_thread
from digest.matching.twins import find_twins
from digest.matching.vocabulary import Vocabulary
from digest.matching.wishes import Asked, Examples, read
from digest.model import FOLLOWED, MOST_VOTED, TRENDING, Match, Paper
from digest.profiles.query import Everything, parse_query
from digest.profiles.shelf import Shelf, members

CELLS = 4_000_000  # (wishes + examples) x papers scored at once: 16 MB, a few times
SEARCHED = 500  # papers indexed at once for one query

T = TypeVar("T")


class LexicalMatcher:
    """The matcher that needs nothing but the texts. One for a process: it remembers texts."""

    def __init__(
        self,
        worth: int = WORTH,
        taste: CollaborativeMap | None = None,
        embeddings: Embeddings | None = None,
    ) -> None:
        """`worth`: readers that have been asked about before machine code is made ready; `taste`:
        what readers of the same papers like, if the site has enough of them; `embeddings`: by the
        operator's model, if there is one."""
        self.taste, self.embeddings = taste, embeddings
        self._vocabulary = Vocabulary()
        self._pace = Pace(worth)

    def prepare(
        self,
        papers: Sequence[Paper],
        background: Sequence[Paper] = (),
        trending: Sequence[Paper] = (),
    ) -> LexicalPrepared:
        """Index the papers of a window. See Matcher."""
        if self._vocabulary.full:
            self._vocabulary = Vocabulary()
        parts = self._vocabulary, papers, background, trending, self._pace, self.taste
        return LexicalPrepared(*parts, self.embeddings)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Readers that are scored together."""

    asked: list[Asked]
    block: Block


class LexicalPrepared:
    """The papers of one window, indexed. Not to be shared between threads."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        papers: Sequence[Paper],
        background: Sequence[Paper],
        trending: Sequence[Paper],
        pace: Pace,
        taste: CollaborativeMap | None = None,
        embeddings: Embeddings | None = None,
    ) -> None:
        self._pace = pace
        fresh = {paper.id: paper for paper in papers}
        popular = {paper.id: paper for paper in trending if votes(paper) >= LEAST_VOTES}
        there = list({**popular, **fresh}.values())
        there.sort(key=lambda paper: paper.id not in fresh)  # the window's own first
        place = {paper.id: i for i, paper in enumerate(there)}
        self._shelf = Shelf(there)
        self._space = Space(vocabulary, there, background, taste, embeddings)
        wanted = [place[id_] for id_ in popular]
        self._held = Held(self._space, self._shelf, self._space.index(wanted, NEAR))
        self._picker = Picker(self._space, self._shelf, len(fresh), wanted)
        self._explainer = Explainer(self._space, self._shelf)

    def rank(self, readers: Sequence[Reader]) -> list[Ranking]:
        """One ranking for each reader, in order. A profile that breaks gives an empty ranking
        that carries the error."""
        return [
            answer if isinstance(answer, Ranking) else Ranking((), error=answer)
            for answer in self._each(readers, self._ranking, whole=False)
        ]

    def order(self, readers: Sequence[Reader], top: int) -> Iterator[list[tuple[str, float]]]:
        """For each reader the window's best `top` papers by id with their z, floor or not."""

        def ordered(batch: _Batch, index: int) -> list[tuple[str, float]]:
            found = self._picker.order(batch.asked[index], *batch.block.of(index), top)
            return [(self._shelf.papers[paper].id, z) for paper, z in found]

        for answer in self._each(readers, ordered, whole=True):
            yield [] if isinstance(answer, str) else answer

    @cached_property
    def twins(self) -> Mapping[str, frozenset[str]]:
        """{paper: others that say nearly the same}, by id."""
        papers = self._shelf.papers
        return {
            papers[one].id: frozenset(papers[other].id for other in others)
            for one, others in find_twins(self._space).items()
        }

    def _each(
        self, readers: Sequence[Reader], answer: Callable[[_Batch, int], T], *, whole: bool
    ) -> Iterator[T | str]:
        """An answer, or what went wrong, for each reader in order."""
        for some in self._batches(readers):
            try:
                batch = self._batch(some, whole)
                answers = [answer(batch, index) for index in range(len(some))]
            except Exception as error:
                if len(some) == 1:
                    yield f"{type(error).__name__}: {error}"
                else:  # somebody's profile breaks: the others are answered one by one
                    for reader in some:
                        yield from self._each([reader], answer, whole=whole)
            else:
                yield from answers

    def _batches(self, readers: Sequence[Reader]) -> Iterator[list[Reader]]:
        """As many readers at once as memory allows."""
        room = max(CELLS // max(self._space.number, 1), 1)
        batch: list[Reader] = []
        taken = 0
        for reader in readers:
            needs = len(reader.profile.interests) + 1 + len(reader.known)
            if batch and taken + needs > room:
                yield batch
                batch, taken = [], 0
            batch.append(reader)
            taken += needs
        if batch:
            yield batch

    def _batch(self, readers: Sequence[Reader], whole: bool) -> _Batch:
        examples = Examples()
        asked = [read(reader, self._shelf, examples) for reader in readers]
        way = self._pace.way(len(readers))
        with one_thread():
            block = Block(self._held, asked, examples, whole=whole, way=way)
        return _Batch(asked, block)

    def _ranking(self, batch: _Batch, index: int) -> Ranking:
        asked, start = batch.asked[index], int(batch.block.rows[index])
        picked = self._picker.pick(asked, *batch.block.of(index))
        asked.picked = [pick.paper for pick in picked.picks]
        explain = partial(self._explainer.explain, asked, batch.block, start)
        papers = self._shelf.papers
        matches = tuple(
            [
                Match(
                    papers[pick.paper], _section(asked, pick), score_of(pick.z), Why(explain, pick)
                )
                for pick in picked.picks
            ]
        )
        return Ranking(matches, picked.near, picked.considered, picked.beyond)


def matching_query(query: str, papers: Iterable[Paper]) -> Iterator[Paper]:
    """Those of `papers` that meet a boolean query, in their order, in bounded memory; an empty
    query is met by all. Raises QueryError (a ProfileError), also before the first paper."""
    tree = parse_query(query) or Everything()

    def found() -> Iterator[Paper]:
        waiting = iter(papers)
        while some := tuple(islice(waiting, SEARCHED)):
            yield from (some[i] for i in members(Shelf(some).meeting(tree)))

    return found()


def _section(asked: Asked, pick: Pick) -> str:
    if pick.wish == FOLLOW:
        return FOLLOWED
    if pick.wish == POPULAR:
        return TRENDING if has_bounds(asked) else MOST_VOTED
    return asked.wishes[pick.wish].section


_kept: type[Matcher] = LexicalMatcher  # the type checker's proof that the contract is kept
