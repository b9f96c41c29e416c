"""How fast profiles meet papers, beside scipy and SQLite's FTS5 in the same run.

    python bench/match.py [--profiles 5000] [--papers 5000] [--parts meet,growth,queries]

Prints JSON; rates are a second of one core (CPU time), indexing apart, unless they say otherwise.

`meet`: profiles of 100 stems and pairs learnt from one to ten papers, each one's exact best 20
papers; beside a scipy product with argpartition of the same matrices. `title words`: profiles
of 100 words as common as in titles. `both cores`: what a second thread gains, and costs.
`growth`: exponents of seconds over 10,000 to 1,000,000 profiles and 1,000 to 20,000 papers.
`queries`: a boolean query a profile, beside FTS5 on the part of the language that both know (same
answers, checked); `with reading`: from the bytes that a profile is kept as.
`rank`: all that our matcher does, for usual mixed profiles and for boolean ones.
`taste`: what a collaborative map in force adds to that (bench/taste.py).
`publish`: that many people of 100 terms each through the real `digest.publish` on SQLite.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import fts5
import sinks
from cores import both_cores
from many import publish_many
from taste import measure_taste

from digest import profiles
from digest.matching import Reader, meeting
from digest.matching.lexical import LexicalMatcher, LexicalPrepared
from digest.matching.meeting import Asking, Index, Learnt, Matrix, Said, meet
from digest.matching.space import Space
from digest.matching.vocabulary import Vocabulary
from digest.model import Interest, Paper, Profile
from digest.profiles import compact
from digest.profiles.query import parse_query
from digest.profiles.shelf import Shelf, members
from digest.text import words

TERMS, BEST, ROWS, POOL = 100, 20, 512, 20_000
NO_MAP = np.empty((1_000_000, 0), np.float32)
PARTS = ("meet", "growth", "queries", "rank", "taste", "publish")


def load() -> list[Paper]:
    found = []
    for path in sorted((sinks.shared() / "data" / "arxiv").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for row in map(json.loads, file):
                names = tuple(row["authors"]), tuple(row["cats"])
                found.append(Paper(f"arxiv:{row['id']}", row["title"], row["abstract"], *names))
    return found


def cpu(act: Callable[[], Any]) -> float:
    """CPU seconds of all threads."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    act()
    gc.enable()
    return max(time.process_time() - begun, 1e-9)


# ------------------------------------------------------------------ profiles as vectors


def learnt(texts: Matrix, number: int, dice: np.random.Generator) -> Matrix:
    """(profiles x columns): the 100 heaviest entries of the sum of one to ten papers."""
    chosen = [dice.choice(texts.shape[0], dice.integers(1, 11)) for _ in range(number)]
    rows = np.repeat(np.arange(number), [len(some) for some in chosen])
    entries = np.ones(len(rows), np.float32), (rows, np.concatenate(chosen))
    sums = (sp.csr_matrix(entries, shape=(number, texts.shape[0])) @ texts).tocsr()
    return sp.vstack([_heaviest(sums[row]) for row in range(number)], format="csr")


def _heaviest(row: Matrix) -> Matrix:
    kept = np.sort(np.argsort(-row.data, kind="stable")[:TERMS])
    return sp.csr_matrix((row.data[kept], row.indices[kept], [0, len(kept)]), shape=row.shape)


def title_words(space: Space, old: Sequence[Paper], number: int, dice: Any) -> Matrix:
    """(profiles x columns): 100 words each, as common as in titles."""
    codes = np.concatenate([Vocabulary().grams(Paper("t", paper.title)).codes for paper in old])
    ones = np.ones(len(codes), np.float32)
    columns = space.terms(codes, ones, ones)[0]
    chosen = dice.choice(columns[columns >= 0], (number, TERMS))
    entries = (
        np.ones(chosen.size, np.float32),
        (np.repeat(np.arange(number), TERMS), chosen.ravel()),
    )
    return sp.csr_matrix(entries, shape=(number, space.width))


def asking(wanted: Matrix) -> Asking:
    number, nothing = wanted.shape[0], np.zeros(wanted.shape[0], np.float32)
    return Asking(
        Said(wanted, nothing),
        Learnt(sp.csr_matrix(wanted.shape, dtype=np.float32), *[nothing] * 3, NO_MAP[:number]),
        np.arange(number + 1),
        nothing,
        np.full(number, -1, np.int32),
        np.empty((0, 0), np.uint8),
    )


def plain(wanted: Matrix, columns: Matrix) -> Matrix:
    """The best 20 values of each profile's row, rising: a product and argpartition."""
    parts = [wanted[start : start + ROWS] @ columns for start in range(0, wanted.shape[0], ROWS)]
    return np.concatenate([_top(part.toarray()) for part in parts])


def _top(dense: Any) -> Any:
    best = min(BEST, dense.shape[1] - 1)
    chosen = np.argpartition(-dense, best, axis=1)[:, :best]
    return np.sort(np.take_along_axis(dense, chosen, 1), axis=1)


# ------------------------------------------------------------------ what is measured


class Held:
    """Papers of a window indexed, and earlier ones to make profiles of."""

    def __init__(self, window: Sequence[Paper], old: Sequence[Paper]) -> None:
        self.space = Space(Vocabulary(), window, old)
        self.texts = self.space.vectors(old)
        self.index = self.space.index([], np.inf)
        columns = self.space.papers.T.tocsr()
        pull, popular = self.index.pull, self.index.popular
        self.index = Index(columns, columns, pull, NO_MAP[: len(pull)], popular, np.inf)


def measure_meet(held: Held, old: Sequence[Paper], number: int) -> dict[str, Any]:
    dice = np.random.default_rng(20250901)
    kinds = {
        "learnt": learnt(held.texts, min(number, POOL), dice),
        "title words": title_words(held.space, old, min(number, POOL), dice),
    }
    return {name: beside_scipy(held.index, wanted) for name, wanted in kinds.items()}


def beside_scipy(index: Index, wanted: Matrix) -> dict[str, Any]:
    way, number = meeting.machine_code(), wanted.shape[0]
    some = asking(wanted)
    met = meet(index, some, BEST, way=way)  # and makes the code
    same = all(map(np.array_equal, np.sqrt(plain(wanted, index.mentions)), _values(met)))
    theirs, ours = _alternating(
        lambda: plain(wanted, index.mentions), lambda: meet(index, some, BEST, way=way)
    )
    postings = np.diff(index.mentions.indptr)[wanted.indices].sum() / number
    return {
        "terms": round(wanted.nnz / number, 1),
        "postings": round(float(postings)),
        "scipy": round(number / theirs),
        "ours": round(number / ours),
        "ratio": round(theirs / ours, 2),
        "mark": 8,
        "same values": same,
        "both cores": both_cores(lambda: meet(index, some, BEST, way=way)),
    }


def _values(met: meeting.Met) -> Iterator[Any]:
    """Each profile's z, the roots of what `plain` has: rising, filled up with 0."""
    for reader in range(len(met)):
        z = met.of(reader)[1][0]
        yield np.sort(np.append(z, np.zeros(BEST - len(z), np.float32)))


def _alternating(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[float, float]:
    """The least CPU seconds of each, taken in turns on a machine that others use too."""
    pairs = [(cpu(one), cpu(other)) for _ in range(3)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def measure_growth(papers: Sequence[Paper], most: int) -> dict[str, Any]:
    """Seconds for ten times the profiles, and for more papers; by least squares over logarithms.
    Papers beyond those at hand are made of sentences of real ones."""
    dice = random.Random(5)
    sizes = [size for size in (10_000, 100_000, 1_000_000) if size <= most] or [most // 2, most]
    counts = [1_000, 5_000, 20_000] if most >= 1_000 else [100, 300, 1_000]
    held = Held(_more(papers, counts[1], dice), papers[:2000])
    pool = learnt(held.texts, min(sizes[-1], POOL), np.random.default_rng(1))
    by_profiles = [_seconds(held.index, pool, size) for size in sizes]
    by_papers = []
    for count in counts:
        held = Held(_more(papers, count, dice), papers[:2000])
        some = learnt(held.texts, min(sizes[0], POOL), np.random.default_rng(1))
        by_papers.append(_seconds(held.index, some, sizes[0]))
    return {
        "profiles": dict(zip(sizes, by_profiles, strict=True)),
        "papers": dict(zip(counts, by_papers, strict=True)),
        "exponent over profiles": _exponent(sizes, by_profiles),
        "exponent over papers": _exponent(counts, by_papers),
    }


def _more(papers: Sequence[Paper], number: int, dice: random.Random) -> list[Paper]:
    made = list(papers[-number:])
    sentences = [paper.abstract.split(". ") for paper in papers]
    while len(made) < number:
        parts = [dice.choice(dice.choice(sentences)) for _ in range(7)]
        made.append(Paper(f"m:{len(made)}", dice.choice(papers).title, ". ".join(parts)))
    return made


def _seconds(index: Index, pool: Matrix, number: int) -> float:
    """CPU seconds for so many profiles, the pool as often as needed."""
    some, way = asking(pool[: min(number, pool.shape[0])]), meeting.machine_code()
    meet(index, some, BEST, way=way)
    times = max(1, number // len(some.low))
    return round(cpu(lambda: [meet(index, some, BEST, way=way) for _ in range(times)]), 3)


def _exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    return round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 2)


def measure_queries(window: Sequence[Paper], old: Sequence[Paper], number: int) -> dict[str, Any]:
    asked = list(boolean(number, old, random.Random(3)))
    trees: list[Any] = []
    parsing = cpu(lambda: trees.extend(map(parse_query, asked)))
    packed = [compact.pack(compact.compacted(_ruled(query))) for query in asked]
    again: list[Any] = []
    unpacking = cpu(lambda: again.extend(compact.unpack(some).queries[0] for some in packed))
    assert again == trees
    shelf, found = Shelf(window), list[int]()
    indexing = cpu(lambda: (shelf.meeting(trees[0]), shelf.meeting(parse_query("ti:a b"))))
    ours = cpu(lambda: found.extend(map(shelf.meeting, trees)))
    db, theirs = fts5.index(window), list[list[int]]()
    some = min(number, 10_000)  # FTS5 takes as long for each of more
    spelled = list(map(fts5.spell, trees[:some]))
    peer = cpu(lambda: theirs.extend(fts5.meeting(db, query) for query in spelled))
    return {
        "queries": number,
        "papers that meet one": round(sum(map(int.bit_count, found)) / number, 1),
        "parsed a second": round(number / parsing),
        "read as they are kept, a second": round(number / unpacking),
        "seconds to index": round(indexing, 2),
        "ours": round(number / ours),
        "FTS5": round(some / peer),
        "ratio": round((number / ours) / (some / peer), 2),
        "ratio with reading": round((number / (ours + unpacking)) / (some / peer), 2),
        "mark": 5,
        "answers that differ": sum(
            members(bits) != rows for bits, rows in zip(found, theirs, strict=False)
        ),
    }


def _ruled(query: str) -> Profile:
    return Profile(trending=0, interests=(Interest("i", query),))


def boolean(number: int, papers: Sequence[Paper], dice: random.Random) -> Iterator[str]:
    """Phrases and words of real titles: AND, OR, NOT, prefixes, fields."""
    titles = [words(paper.title) for paper in papers]
    phrases = [" ".join(pair) for title in titles for pair in pairwise(title)]
    longer = [word for title in titles for word in title if len(word) > 4 and word.isalpha()]
    for _ in range(number):
        a, b, c = dice.sample(phrases, 3)
        d, e = dice.sample(longer, 2)
        yield dice.choice(
            [
                f'("{a}" OR "{b}*" OR {d}*) AND NOT {e}',
                f'"{a}" OR ({d} AND {e})',
                f'ti:{d}* AND NOT "{c}"',
                f'{d} {e} OR "{a}"',
            ]
        )


# ------------------------------------------------------------------ the whole matcher


def usual_readers(number: int, papers: Sequence[Paper], dice: random.Random) -> list[Reader]:
    """One to three interests of three to eight phrases; some queries, seeds, follows, mutes."""
    phrases = [" ".join(pair) for p in papers for pair in _pairs(words(p.title))]
    known = {paper.id: paper for paper in papers}

    def interest(name: str) -> dict[str, Any]:
        document: dict[str, Any] = {"name": name, "terms": dice.sample(phrases, dice.randint(3, 8))}
        if dice.random() < 0.35:
            document["query"] = '("{}*" OR "{}") AND NOT "{}"'.format(*dice.sample(phrases, 3))
        if dice.random() < 0.4:
            document["seeds"] = [paper.id for paper in dice.sample(papers, 3)]
        return document

    def reader() -> Reader:
        document: dict[str, Any] = {
            "interest": [interest(f"Interest {n}") for n in range(dice.choice([1, 1, 2, 3]))]
        }
        if dice.random() < 0.3:
            document["follow"] = {"authors": [dice.choice(dice.choice(papers).authors)]}
        if dice.random() < 0.3:
            document["mute"] = {"terms": ["survey"]}
        profile = profiles.from_mapping(document)
        seeds = [seed for interest in profile.interests for seed in interest.seeds]
        return Reader(profile, known={seed: known[seed] for seed in seeds})

    return [reader() for _ in range(number)]


def _pairs(found: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for pair in pairwise(found) if min(map(len, pair)) > 3]


def measure_rank(window: Sequence[Paper], old: Sequence[Paper], number: int) -> dict[str, Any]:
    dice = random.Random(20250901)
    prepared = LexicalMatcher(worth=0).prepare(window, old[-2000:])
    assert isinstance(prepared, LexicalPrepared)
    readers = usual_readers(number, old, dice)
    queries = boolean(number, old, dice)
    ruled = [Reader(_ruled(query)) for query in queries]
    prepared.rank(readers[:1])
    seconds = {
        "usual profiles": cpu(lambda: prepared.rank(readers)),
        "boolean profiles, parsed anew": cpu(lambda: prepared.rank(ruled)),
    }
    matches = [match for ranking in prepared.rank(readers) for match in ranking.matches]
    seconds["reasons of a usual profile"] = cpu(lambda: [len(m.reasons) for m in matches])
    rates: dict[str, Any] = {name: round(number / spent) for name, spent in seconds.items()}
    return rates | {"matches of a usual profile": round(len(matches) / number, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profiles", type=int, default=5000)
    parser.add_argument("--papers", type=int, default=5000)
    parser.add_argument("--parts", default=",".join(PARTS), help="which, with commas between")
    given = parser.parse_args()
    parts, number = given.parts.split(","), given.profiles
    papers = load()
    window, old = papers[-given.papers :], papers[: -given.papers]
    some = min(number, 100_000)
    found: dict[str, Any] = {"profiles": number, "papers": len(window)}
    if "meet" in parts:
        found["meet"] = measure_meet(Held(window, old), old, number)
    if "growth" in parts:
        found["growth"] = measure_growth(papers, max(number, 10))
    if "queries" in parts:
        found["queries"] = measure_queries(window, old, some)
    if "rank" in parts:
        found["rank"] = measure_rank(window, old, min(number, 5_000))
    if "taste" in parts:
        asked = usual_readers(min(number, 5_000), old, random.Random(20250901))
        found["taste"] = measure_taste(window, old, asked, cpu)
    if "publish" in parts:
        found["publish"] = publish_many(window, old[-3000:], number)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
