"""Profiles past an inverted index, term at a time, as machine code. Needs numba (extra `fast`).

One reader at a time: the evidence for all papers is added up in arrays that stay in the processor's
cache, and only papers that may come into a letter leave it. Every sum is made in the order and the
precision in which scipy makes it, so that the answers are the same to the bit; `meeting.py` has the
same in scipy and says what goes in and comes out.

Imported only where it pays: see `meeting.Pace`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

AHEAD = 8  # terms ahead whose postings are fetched into the cache meanwhile
BLOCK = 16  # papers of which the best is looked at first
SLACK = 4  # candidates beside the best so many: a rough bound is found sooner than an exact one


def _compiled(function: Any) -> Any:
    """Machine code, kept on disk where a folder can be written; made anew where none can."""
    options = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # no place for a cache
        return numba.njit(function, **options)


@intrinsic
def _fetch(typing: Any, array: Any, index: Any) -> Any:
    """Begin to load `array[index]`; changes nothing but the time."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        items = context.make_array(signature.args[0])(context, builder, values[0]).data
        byte, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        address = builder.bitcast(builder.gep(items, [values[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), build


@_compiled
def _add(sums: Any, index: Any, columns: Any, values: Any, first: int, past: int) -> None:
    """sums[paper] += value * weight for the postings of each column."""
    starts, papers, weights = index
    last = np.int64(len(columns))
    for at in range(first, past):
        if at + AHEAD < last:
            coming = starts[np.uint32(columns[at + AHEAD])]
            _fetch(papers, coming)
            _fetch(weights, coming)
        column, value = np.uint32(columns[at]), values[at]
        start, end = np.uint64(starts[column]), np.uint64(starts[column + np.uint32(1)])
        for posting in range(start, end):
            paper = np.uint64(papers[np.uint64(posting)])
            sums[paper] += value * weights[np.uint64(posting)]


@_compiled
def _weigh(power: Any, sums: Any, wish: int, said: Any, learnt: Any, index: Any) -> None:
    """The power (z squared, signed) of one wish for every paper."""
    mentioned, worded, pull = index
    starts, columns, values, chance, least = said
    sums[:] = 0
    _add(sums, mentioned, columns, values, starts[wish], starts[wish + 1])
    for i in range(len(sums)):
        above, faint = sums[i] - chance[wish], least * sums[i]
        power[i] = above if above > faint else faint
    starts, columns, values, mass, expected, scale, tasted = learnt
    if starts[wish] == starts[wish + 1] and not len(tasted):
        return
    sums[:] = 0
    _add(sums, worded, columns, values, starts[wish], starts[wish + 1])
    for i in range(len(sums)):
        z = ((sums[i] - mass[wish] * pull[i]) - expected[wish]) * scale[wish]
        if len(tasted):
            z += tasted[wish, i]
        power[i] += z * abs(z)


@_compiled
def _least(best: Any, tops: Any, top: int) -> Any:
    """A bound that at least `top` of the papers reach, and few more; as the bits of a float:
    positive floats are ordered as their bits are."""
    bits, blocks = best.view(np.int32), len(tops)
    for i in range(blocks):
        tops[i] = bits[i]
    for part in range(1, BLOCK):
        for i in range(blocks):
            value, known = bits[part * blocks + i], tops[i]
            tops[i] = value if value > known else known
    low, high = np.int32(0), np.int32(0x7F800000)
    while high - low > 1:
        middle, count = low + ((high - low) >> 1), np.int32(0)
        for i in range(blocks):
            count += np.int32(1) if tops[i] >= middle else np.int32(0)
        if count < top:
            high = middle
            continue
        low = middle
        if count <= top + SLACK:
            break
    return low if low > 0 else np.int32(1)


@_compiled
def _best(best: Any, tops: Any, keys: Any, top: int) -> int:
    """keys[:n]: the n best papers as (bits of the power, minus paper), best first; n <= top."""
    least, blocks, size = _least(best, tops, top), len(tops), 0
    bits = best.view(np.int32)
    for block in range(blocks):
        if tops[block] < least:
            continue
        for part in range(BLOCK):
            paper = part * blocks + block
            if bits[paper] < least:
                continue
            key = (np.int64(bits[paper]) << 32) | (np.int64(0xFFFFFFFF) - paper)
            if size == top and key < keys[top - 1]:
                continue
            at = size if size < top else top - 1
            while at > 0 and keys[at - 1] < key:
                keys[at] = keys[at - 1]
                at -= 1
            keys[at] = key
            size += size < top
    return size


@_compiled
def _mark(hit: Any, best: Any, popular: Any, number: int, low: Any, near: Any) -> None:
    """Which papers reach `low`, or `near` where they are popular."""
    for i in range(len(best)):
        hit[i] = (best[i] >= low) | ((best[i] >= near) & (popular[i] != 0))
    hit[number:] = 0


@_compiled
def _list(hit: Any, papers: Any, at: int) -> int:
    """papers[at:n]: the indices that are marked, rising; n."""
    words = hit.view(np.uint64)
    for word in range(len(words)):
        if words[word]:
            for i in range(8 * word, 8 * word + 8):
                if hit[i]:
                    papers[at] = i
                    at += 1
    return at


@_compiled
def _highest(power: Any, best: Any) -> Any:
    """The best power of each paper over all wishes."""
    best[:] = -np.inf
    for wish in range(len(power)):
        for i in range(len(best)):
            best[i] = power[wish, i] if power[wish, i] > best[i] else best[i]
    return best


@_compiled
def _read(power: Any, wishes: int, papers: Any, values: Any, at: int) -> int:
    """values[at:n]: the z of each wish for these papers; n."""
    for wish in range(wishes):
        for paper in papers:
            p = power[wish, paper]
            values[at] = np.sqrt(p) if p >= 0 else -np.sqrt(-p)
            at += 1
    return at


@_compiled
def meet(
    readers: Any, also: Any, limits: Any, said: Any, learnt: Any, index: Any, popular: Any, out: Any
) -> None:
    """As `meeting.meet`, for the readers from `limits[0]` to `limits[1]`. `out`: (starts, papers,
    values), with room for every paper."""
    rows, lows, marks = readers
    first, past, number, top, most, near = limits
    starts, papers, values = out
    padded = len(popular)
    power, sums = np.empty((most, padded), np.float32), np.empty(padded, np.float32)
    hit = np.empty(padded, np.uint8)
    tops, keys = np.empty(padded // BLOCK, np.int32), np.empty(top + 1, np.int64)
    at = value_at = 0
    for reader in range(first, past):
        begin, wishes = at, rows[reader + 1] - rows[reader]
        for wish in range(wishes):
            _weigh(power[wish], sums, rows[reader] + wish, said, learnt, index)
        best = power[0] if wishes == 1 else _highest(power[:wishes], sums)
        if top:
            best[number:] = 0
            size = _best(best, tops, keys, top)
            for i in range(size):
                papers[at + i] = np.int64(0xFFFFFFFF) - (keys[i] & np.int64(0xFFFFFFFF))
            at += size
        else:
            _mark(hit, best, popular, number, lows[reader], near)
            if marks[reader] >= 0:
                hit[:number] |= also[marks[reader]]
            at = _list(hit, papers, at)
        value_at = _read(power, wishes, papers[begin:at], values, value_at)
        starts[reader - first + 1] = at
