"""How fast profiles meet papers, beside a plain scipy product with argpartition in the same run.

    python bench/match.py [--profiles 5000] [--papers 1000]

Prints JSON; times are CPU seconds of one core, the index made before and timed apart.
`terms`: profiles of 50 soft terms (words drawn from real titles), ranked whole by our matcher: z,
floor, sections, best papers. `plain`: the same number of 50-word vectors times the same papers,
top 20 by argpartition, nothing else. `usual`: mixed profiles (interests with terms, queries and
seeds, follows, mutes). `reasons`: the same and the reasons of every match. `queries`: one boolean
query a profile.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))

import sinks

from digest import profiles
from digest.matching import Reader
from digest.matching.lexical import LexicalMatcher, LexicalPrepared
from digest.model import Interest, Paper, Profile, Term
from digest.text import words

TERMS, BEST, ROWS = 50, 20, 512


def load() -> list[Paper]:
    found = []
    for path in sorted((sinks.shared() / "data" / "arxiv").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for row in map(json.loads, file):
                names = tuple(row["authors"]), tuple(row["cats"])
                found.append(Paper(f"arxiv:{row['id']}", row["title"], row["abstract"], *names))
    return found


# ------------------------------------------------------------------ readers


def term_readers(number: int, titles: Sequence[Sequence[str]], dice: random.Random) -> list[Reader]:
    """Profiles of 50 single words, as common as in titles."""
    vocabulary = [word for title in titles for word in title if len(word) > 3]

    def reader() -> Reader:
        terms = tuple(Term(word) for word in dice.sample(vocabulary, TERMS))
        return Reader(Profile(trending=0, interests=(Interest("i", terms=terms),)))

    return [reader() for _ in range(number)]


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


def query_readers(number: int, papers: Sequence[Paper], dice: random.Random) -> list[Reader]:
    phrases = [" ".join(pair) for p in papers for pair in _pairs(words(p.title))]

    def query() -> str:
        first, second, third = dice.sample(phrases, 3)
        return f'("{first}" OR "{second}*" OR {third.split()[0]}*) AND NOT survey AND cat:cs'

    interests = ((Interest("i", query()),) for _ in range(number))
    return [Reader(Profile(trending=0, interests=interest)) for interest in interests]


def _pairs(found: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for pair in pairwise(found) if min(map(len, pair)) > 3]


# ------------------------------------------------------------------ what is timed


def plain(prepared: LexicalPrepared, number: int, dice: random.Random) -> None:
    """(profiles x words) times (words x papers), and the best 20 of each row."""
    papers = prepared._space.papers
    columns = papers.T.tocsr()
    common = np.repeat(papers.indices, 1).tolist()
    chosen = np.array([dice.sample(common, TERMS) for _ in range(number)])
    data, starts = np.ones(chosen.size, np.float32), np.arange(0, chosen.size + 1, TERMS)
    wanted = sp.csr_matrix((data, chosen.ravel(), starts), shape=(number, papers.shape[1]))
    blocks = range(0, number, ROWS)
    with_time("plain", number, lambda: [_top(wanted[i : i + ROWS] @ columns) for i in blocks])


def _top(scores: Any) -> Any:
    dense = scores.toarray()
    best = min(BEST, dense.shape[1] - 1)
    return np.argpartition(-dense, best, axis=1)[:, :best]


FOUND: dict[str, Any] = {}


def with_time(name: str, number: int, act: Callable[[], Any]) -> Any:
    """Do it; note how many a CPU second."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    answer = act()
    FOUND[name] = round(number / max(time.process_time() - begun, 1e-9), 1)
    gc.enable()
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profiles", type=int, default=5000)
    parser.add_argument("--papers", type=int, default=1000)
    given = parser.parse_args()
    number, dice = given.profiles, random.Random(20250901)
    papers = load()
    window, old = papers[-given.papers :], papers[: -given.papers]
    titles = [words(paper.title) for paper in old]
    begun = time.process_time()
    prepared = LexicalMatcher().prepare(window, old[-2000:])
    indexing = time.process_time() - begun
    plain(prepared, number, dice)
    readers = {
        "terms": term_readers(number, titles, dice),
        "usual": usual_readers(number, old, dice),
        "queries": query_readers(number, old, dice),
    }
    for name, asked in readers.items():
        with_time(name, number, lambda asked=asked: prepared.rank(asked))
    rankings = prepared.rank(readers["usual"])
    matches = [match for ranking in rankings for match in ranking.matches]
    with_time("reasons", number, lambda: [len(match.reasons) for match in matches])
    print(
        json.dumps(
            {
                "profiles": number,
                "papers": len(window),
                "seconds to index": round(indexing, 2),
                "profiles a second and core": FOUND,
                "terms over plain": round(FOUND["terms"] / FOUND["plain"], 3),
                "matches of a usual profile": round(len(matches) / number, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
