"""How good the matching is on public data, beside plain methods on the same data.

    python bench/quality.py [--readers 0] [--likes 1,3,5]

Prints JSON. `citeulike-t`: papers whose number divides by 5 are new; readers with at least 5 other
papers and one new one; rank all new papers. `authors`: what authors wrote until September is their
profile; rank all papers of October for them. Means over readers of recall@k, NDCG@10 and MRR.

`ours` is what `digest evaluate` runs. `tfidf` and `bm25` are the plain centroid: mean of the liked
papers' vectors (stemmed words), cosine. `--likes` keeps so many likes of each reader, to see how
soon matching is of use. `floors` tells what each floor lets through. `--readers N` takes about N
readers, evenly spread; 0 takes all.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))

import sinks

from digest.matching.evaluate import Judged, Library, rank, trained
from digest.matching.measures import measure
from digest.matching.scoring import FLOORS
from digest.model import Paper
from digest.profiles.stems import stem_all
from digest.text import words

TOP = 300

Run = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Task:
    """What is ranked for whom, and what was relevant."""

    library: Library
    readers: list[Judged]
    qrels: dict[str, dict[str, float]]

    def of(self, number: int) -> Task:
        """The same for about so many readers, evenly spread."""
        step = max(len(self.readers) // number, 1) if number else 1
        readers = self.readers[::step]
        return Task(self.library, readers, {r.reader: self.qrels[r.reader] for r in readers})

    def with_likes(self, number: int) -> Task:
        """The same with only so many likes of each reader, evenly spread over the library."""
        readers = [Judged(r.reader, _spread(r.likes, number)) for r in self.readers]
        return Task(self.library, readers, self.qrels)


def _spread(likes: Sequence[str], number: int) -> tuple[str, ...]:
    return tuple(likes[i * len(likes) // number] for i in range(min(number, len(likes))))


# ------------------------------------------------------------------ the tasks


def citeulike() -> Task:
    """Readers' libraries over bags of words (Wang, Chen and Li 2013)."""
    rows = list(_rows("citeulike-t/papers.jsonl.gz"))
    papers = [Paper(str(row["id"]), "", row["text"]) for row in rows]
    library = Library(
        tuple(p for p in papers if int(p.id) % 5 == 0), tuple(p for p in papers if int(p.id) % 5)
    )
    readers, qrels = [], {}
    for number, liked in enumerate(_rows("citeulike-t/readers.jsonl.gz")):
        old = tuple(str(id_) for id_ in liked if id_ % 5)
        new = {str(id_): 1.0 for id_ in liked if id_ % 5 == 0}
        if len(old) >= 5 and new:
            readers.append(Judged(str(number), old))
            qrels[str(number)] = new
    return Task(library, readers, qrels)


def authors() -> Task:
    """Authors as readers: what they wrote before, and what they wrote in October."""
    files = ["authors/profile_papers", "arxiv/2025-09", "arxiv/2025-10"]
    rows = {row["id"]: row for name in files for row in _rows(f"{name}.jsonl.gz")}
    papers = [Paper(row["id"], row["title"], row["abstract"]) for row in rows.values()]
    new = tuple(paper for paper in papers if rows[paper.id]["date"] >= "2025-10")
    old = tuple(paper for paper in papers if rows[paper.id]["date"] < "2025-10")
    people = list(_rows("authors/readers.jsonl.gz"))
    readers = [Judged(str(row["reader"]), tuple(row["profile"])) for row in people]
    qrels = {str(row["reader"]): dict.fromkeys(row["relevant"], 1.0) for row in people}
    return Task(Library(new, old), readers, qrels)


def _rows(name: str) -> Iterator[Any]:
    with gzip.open(sinks.shared() / "data" / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


# ------------------------------------------------------------------ the methods


def ours(task: Task) -> Run:
    matcher, check = trained(task.library, task.readers)
    print(check.why, file=sys.stderr)
    found = rank(task.library, task.readers, TOP, matcher)
    return {reader: [id_ for id_, _ in ranked] for reader, ranked in found}


def tfidf(task: Task) -> Run:
    """(1 + log tf) log(N / df), rows of length 1, mean of the likes, cosine."""
    counts, shares = _counts(task)
    counts.data = (1 + np.log(counts.data)).astype(np.float32)
    return _centroid(task, counts @ sp.diags(-np.log(shares)))


def bm25(task: Task) -> Run:
    """BM25 weights (k1 1.2, b 0.75), rows of length 1, mean of the likes, cosine."""
    counts, shares = _counts(task)
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    damping = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
    counts.data = counts.data * 2.2 / (counts.data + np.repeat(damping, np.diff(counts.indptr)))
    return _centroid(task, counts @ sp.diags(np.log(1 + (1 - shares) / shares)))


def _counts(task: Task) -> tuple[Any, Any]:
    """(texts x stemmed words) counts, new papers first, and the share of texts with each word."""
    columns: dict[str, int] = {}
    rows, places = [], []
    for row, paper in enumerate((*task.library.new, *task.library.old)):
        for word in stem_all(words(f"{paper.title} {paper.abstract}")):
            rows.append(row)
            places.append(columns.setdefault(word, len(columns)))
    shape = (row + 1, len(columns))
    counts = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, places)), shape=shape)
    shares = np.bincount(counts.indices, minlength=shape[1]) / shape[0]
    return counts, shares


def _centroid(task: Task, weights: Any) -> Run:
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    unit = (sp.diags(1 / np.maximum(lengths, 1e-9)) @ weights).tocsr()
    new = [paper.id for paper in task.library.new]
    place = {p.id: i for i, p in enumerate(task.library.old, start=len(new))}
    columns = unit[: len(new)].T.tocsr()
    found = {}
    for reader in task.readers:
        centre = sp.csr_matrix(unit[[place[id_] for id_ in reader.likes if id_ in place]].mean(0))
        scores = (centre @ columns).toarray().ravel()
        found[reader.reader] = [new[i] for i in np.argsort(-scores, kind="stable")[:TOP]]
    return found


def floors(task: Task) -> dict[str, dict[str, float]]:
    """What each floor lets through, for some 300 readers: papers a reader, the share of all new
    papers, the share of them that is relevant, and how many times as much as by chance."""
    some = task.of(300)
    found = {
        reader: [(id_ in some.qrels[reader], z) for id_, z in ranked]
        for reader, ranked in rank(some.library, some.readers, len(some.library.new))
    }
    chance = sum(map(len, some.qrels.values())) / len(some.readers) / len(some.library.new)
    return {str(floor): _let_through(found, least, chance) for floor, least in FLOORS.items()}


def _let_through(
    found: Mapping[str, Sequence[tuple[bool, float]]], least: float, chance: float
) -> dict[str, float]:
    passed = [good for ranked in found.values() for good, z in ranked if z >= least]
    number = len(passed) / len(found)
    new = len(next(iter(found.values())))
    precision = sum(passed) / max(len(passed), 1)
    return {
        "papers a reader": round(number, 1),
        "share of the new": round(number / new, 4),
        "precision": round(precision, 4),
        "times chance": round(precision / chance, 1),
    }


def judged(task: Task, method: Callable[[Task], Run]) -> dict[str, float]:
    begun = time.perf_counter()
    run = method(task)
    took = time.perf_counter() - begun
    measures = {name: round(value, 4) for name, value in measure(run, task.qrels).items()}
    return {**measures, "seconds": round(took, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readers", type=int, default=0, help="about so many of each; 0: all")
    parser.add_argument("--likes", default="1,3,5", help="also with so few likes; empty: not")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for name, made in (("citeulike-t", citeulike), ("authors", authors)):
        task = made().of(given.readers)
        found[name] = {"readers": len(task.readers), "new papers": len(task.library.new)}
        found[name] |= {method.__name__: judged(task, method) for method in (ours, tfidf, bm25)}
        found[name]["floors"] = floors(task)
        for few in filter(None, given.likes.split(",")):
            found[name][f"ours, {few} likes"] = judged(task.with_likes(int(few)), ours)
        first = found[name]
        for measure_ in ("recall@20", "NDCG@10"):
            best = max(first["tfidf"][measure_], first["bm25"][measure_])
            first[f"{measure_} over the better plain method"] = round(
                first["ours"][measure_] / best, 3
            )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
