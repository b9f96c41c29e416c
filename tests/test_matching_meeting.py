"""The sums behind the scores: machine code and scipy give the same numbers, which a plain loop
confirms."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from digest.matching import Reader, lexical, meeting, threads
from digest.matching.meeting import Asking, Index, Learnt, Matrix, Met, Pace, Said, Scores, meet
from digest.model import Paper, Profile

CODE = meeting.machine_code()
WAYS = [None, CODE]


@st.composite
def batches(draw: st.DrawFn) -> tuple[Index, Asking]:
    """Readers of no to three wishes, papers, and columns; few values, so that scores are equal."""
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    number = draw(st.sampled_from([0, 1, 2, 5, 40, 300]))
    columns, readers = draw(st.integers(1, 12)), draw(st.integers(0, 6))
    rows = np.concatenate([[0], np.cumsum(dice.integers(0, 4, readers))]).astype(np.int64)
    wishes = int(rows[-1])
    said = Said(_matrix(dice, wishes, columns), _values(dice, wishes))
    centres, scale = _matrix(dice, wishes, columns), _values(dice, wishes)
    scale *= np.diff(centres.indptr) > 0  # where nothing is learnt nothing counts
    rank = draw(st.sampled_from([0, 3]))
    tastes, places = _factors(dice, wishes, rank), _factors(dice, number, rank)
    learnt = Learnt(centres, _values(dice, wishes), _values(dice, wishes), scale, tastes)
    marks = np.where(dice.random(readers) < 0.5, 0, -1).astype(np.int32)
    also = (dice.random((1, number)) < 0.2).astype(np.uint8)
    low = dice.choice([-np.inf, 0.0, 1.5, 4.0], readers).astype(np.float32)
    popular = (dice.random(number) < 0.3).astype(np.uint8)
    index = Index(
        *(_matrix(dice, columns, number), _matrix(dice, columns, number)),
        *(_values(dice, number), places, popular, 0.75),
    )
    return index, Asking(said, learnt, rows, low, marks, also)


def _matrix(dice: np.random.Generator, rows: int, columns: int) -> Matrix:
    dense = dice.choice([-1.0, 0.5, 1.0, 3.0], (rows, columns)).astype(np.float32)
    return sp.csr_matrix(dense * (dice.random((rows, columns)) < 0.4))


def _factors(dice: np.random.Generator, rows: int, rank: int) -> Scores:
    known = dice.random((rows, 1)) < 0.7
    return (dice.normal(0, 1, (rows, rank)) * known).astype(np.float32)


def _values(dice: np.random.Generator, number: int) -> Scores:
    return dice.choice([0.0, 0.5, 1.0, 2.0], number).astype(np.float32)


def by_loops(index: Index, asking: Asking, reader: int) -> Scores:
    """(wishes x papers) z, as the documentation says it."""
    first, past = asking.rows[reader], asking.rows[reader + 1]
    mentions, vectors = index.mentions.toarray(), index.vectors.toarray()
    z = np.zeros((past - first, index.number))
    for row, wish in enumerate(range(first, past)):
        evidence = asking.said.weights.toarray()[wish] @ mentions
        power = np.maximum(evidence - asking.said.chance[wish], meeting.FAINT * evidence)
        if asking.learnt.centres[wish].nnz or asking.learnt.tastes.shape[1]:
            close = asking.learnt.centres.toarray()[wish] @ vectors
            close -= asking.learnt.mass[wish] * index.pull + asking.learnt.expected[wish]
            close *= asking.learnt.scale[wish]
            close += asking.learnt.tastes[wish] @ index.places.T
            power += close * np.abs(close)
        z[row] = np.sign(power) * np.sqrt(np.abs(power))
    return z


def listed(met: Met) -> list[tuple[list[int], list[list[float]]]]:
    found = (met.of(reader) for reader in range(len(met)))
    return [(papers.tolist(), z.tolist()) for papers, z in found]


@pytest.mark.parametrize("top", [0, 1, 3, 20])
@settings(max_examples=40, deadline=None)
@given(batch=batches())
def test_machine_code_finds_what_scipy_finds_to_the_bit(
    top: int, batch: tuple[Index, Asking]
) -> None:
    assert listed(meet(*batch, top)) == listed(meet(*batch, top, way=CODE))


@pytest.mark.parametrize("way", WAYS, ids=["scipy", "machine code"])
@settings(max_examples=40, deadline=None)
@given(batch=batches())
def test_just_the_papers_that_reach_their_bound_come_out(
    way: object, batch: tuple[Index, Asking]
) -> None:
    index, asking = batch
    met = meet(index, asking, way=way)  # type: ignore[arg-type]
    for reader in range(len(met)):
        papers, z = met.of(reader)
        every = by_loops(index, asking, reader)
        best = every.max(axis=0, initial=-1e9)
        wanted = (best >= asking.low[reader]) | ((best >= index.near) & (index.popular > 0))
        if asking.marks[reader] >= 0:
            wanted |= asking.also[asking.marks[reader]] > 0
        unsure = np.minimum(abs(best - asking.low[reader]), abs(best - index.near)) < 1e-4
        assert set(np.flatnonzero(wanted | unsure)) >= set(papers.tolist())
        assert set(np.flatnonzero(wanted & ~unsure)) <= set(papers.tolist())
        assert np.allclose(every[:, papers], z, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(batch=batches(), top=st.integers(1, 9))
def test_the_best_few_are_the_best_of_all_equals_in_shelf_order(
    batch: tuple[Index, Asking], top: int
) -> None:
    index, asking = batch
    asking.low[:] = -np.inf
    everything, few = meet(index, asking, way=CODE), meet(index, asking, top, way=CODE)
    for reader in range(len(few)):
        papers, z = everything.of(reader)
        best = z.max(axis=0) if len(z) else np.zeros(len(papers))
        order = [p for p in np.lexsort((papers, -best)).tolist() if best[p] > 0]
        assert papers[order[:top]].tolist() == few.of(reader)[0].tolist()


def test_several_cores_give_the_answers_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(4)
    wishes, number = 2_000, 50
    zeros, taste = _values(dice, wishes) * 0, _factors(dice, wishes, 0)
    nothing = Learnt(sp.csr_matrix((wishes, 9), dtype=np.float32), zeros, zeros, zeros, taste)
    asking = Asking(
        Said(_matrix(dice, wishes, 9), _values(dice, wishes)),
        nothing,
        np.arange(wishes + 1),
        _values(dice, wishes),
        np.full(wishes, -1, np.int32),
        np.empty((0, number), np.uint8),
    )
    popular = np.zeros(number, np.uint8)
    texts, nowhere = (_matrix(dice, 9, number), _matrix(dice, 9, number)), _factors(dice, number, 0)
    index = Index(*texts, _values(dice, number), nowhere, popular, 9.0)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(meeting, "cores", lambda cores=cores: cores)
        found.append(listed(meet(index, asking, way=CODE)))
    assert found[0] == found[1]


def test_machine_code_is_made_ready_only_where_many_readers_ask() -> None:
    pace = Pace(worth=1_000)
    assert [None, None, CODE] == [pace.way(600), pace.way(400), pace.way(1)]


def test_without_numba_scipy_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "digest.matching.compiled", None)
    monkeypatch.delattr("digest.matching.compiled")
    meeting.machine_code.cache_clear()
    assert Pace(worth=0).way(1) is None
    meeting.machine_code.cache_clear()


def test_machine_code_works_where_no_folder_for_its_cache_can_be_written() -> None:
    said = (
        "import numpy as np, numba.core.caching as caching\n"
        "for name in ('InTree', 'UserWide', 'IPython', 'Zip', 'UserProvided'):\n"
        "    kind = getattr(caching, name + 'CacheLocator')\n"
        "    kind.from_function = classmethod(lambda *_: None)\n"
        "import digest.matching.compiled as code\n"
        "assert not code.meet.stats.cache_path\n"
        "print(code._list(np.array([1, 0, 0, 1, 1, 0, 0, 0], np.uint8), np.zeros(8, int), 0))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True)
    assert ("3", "") == (done.stdout.strip(), done.stderr)


def allowed() -> set[int]:
    """Threads that a product of matrices may take now."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_who_ends_last_gives_the_threads_of_products_back() -> None:
    threads._pools.cache_clear()  # other libraries may have been loaded by other tests
    before, first, second = allowed(), threads.one_thread(), threads.one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    within = allowed()
    second.__exit__(None, None, None)
    assert ({1}, before) == (within, allowed())


def test_readers_are_scored_while_products_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, block, before = list[set[int]](), lexical.Block, allowed()

    def scored(*args: Any, **more: Any) -> Any:
        seen.append(allowed())
        return block(*args, **more)

    monkeypatch.setattr(lexical, "Block", scored)
    threads._pools.cache_clear()  # other libraries may have been loaded by other tests
    lexical.LexicalMatcher().prepare([Paper("p", "Ants")]).rank([Reader(Profile())])
    assert ([{1}], before) == (seen, allowed())
