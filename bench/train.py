"""How long learning from all readers takes, and how much memory, for a site of many readers.

    python bench/train.py [--readers 100000]

Prints JSON. The readers are those of citeulike-t, drawn again and again, each with a tenth of the
papers exchanged for others that somebody who shares a paper has. `factors` is the part that grows
with readers; `carrying` (ridge and neighbours) grows with papers alone. `all, with the check` is
what `digest train` does: it learns twice, once for the check from four fifths. Times are of this
process on the cores it has.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))

import quality

from digest.matching.collaborative import train
from digest.matching.factors import factorise
from digest.matching.heldout import Library
from digest.matching.training import learn, matrix
from digest.matching.vocabulary import Vocabulary


def drawn(likes: Any, number: int) -> Any:
    """(number x papers): readers drawn from `likes`, a tenth of each one's papers exchanged."""
    dice = np.random.default_rng(0)
    rows = likes[dice.integers(0, likes.shape[0], number)]
    columns = rows.indices.copy()
    some = np.flatnonzero(dice.random(rows.nnz) < 0.1)
    columns[some] = likes.indices[dice.integers(0, likes.nnz, len(some))]
    found = sp.csr_matrix((np.ones(rows.nnz, np.float32), columns, rows.indptr), shape=rows.shape)
    found.sum_duplicates()
    found.data[:] = 1
    return found


def libraries(likes: Any, ids: list[str]) -> list[Library]:
    """The ids that each reader likes."""
    parts = pairwise(likes.indptr.tolist())
    return [tuple(ids[i] for i in likes.indices[start:past]) for start, past in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readers", type=int, default=100_000)
    given = parser.parse_args()
    task = quality.citeulike()
    texts = {paper.id: paper for paper in task.library.old}
    likes, ids = matrix([reader.likes for reader in task.readers], texts)
    many = drawn(likes, given.readers)
    vocabulary = Vocabulary()
    grams = [vocabulary.grams(texts[id_]) for id_ in ids]
    found: dict[str, Any] = {"readers": many.shape[0], "papers": many.shape[1], "likes": many.nnz}
    for name, act in (
        ("factors", lambda: factorise(many)),
        ("factors and carrying", lambda: train(many, ids, grams)),
        ("all, with the check", lambda: learn(libraries(many, ids), task.library.old)),
    ):
        begun, used = time.perf_counter(), time.process_time()
        act()
        found[name] = {
            "seconds": round(time.perf_counter() - begun, 1),
            "CPU seconds": round(time.process_time() - used, 1),
        }
        print(f"{name}: {found[name]}", file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(found | {"peak MB": peak // 1000}, indent=2))


if __name__ == "__main__":
    main()
