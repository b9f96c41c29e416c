"""Measures of a ranking, as everybody computes them (trec_eval's definitions)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log2

RECALL_AT = (10, 20, 50, 100, 300)

Qrels = Mapping[str, Mapping[str, float]]
"""{reader: {paper: relevance above 0}}."""


def measure(run: Mapping[str, Sequence[str]], qrels: Qrels) -> dict[str, float]:
    """Means over the readers of the qrels; one that the run has not counts 0.

    recall@k: share of the relevant papers among the first k. NDCG@10 with gain = relevance
    (Jarvelin and Kekalainen 2002, discount log2(rank + 1)). MRR: 1 / rank of the first relevant.
    """
    judged = {reader: wanted for reader, wanted in qrels.items() if wanted}
    sums: dict[str, float] = defaultdict(float)
    for reader, wanted in judged.items():
        ranked = run.get(reader, ())
        for k in RECALL_AT:
            sums[f"recall@{k}"] += recall(ranked, wanted, k)
        sums["NDCG@10"] += ndcg(ranked, wanted, 10)
        sums["MRR"] += next((1 / n for n, id_ in enumerate(ranked, 1) if id_ in wanted), 0.0)
    return {name: total / len(judged) for name, total in sums.items()}


def recall(ranked: Sequence[str], wanted: Mapping[str, float], k: int) -> float:
    return sum(id_ in wanted for id_ in ranked[:k]) / len(wanted)


def ndcg(ranked: Sequence[str], wanted: Mapping[str, float], k: int) -> float:
    gained = sum(wanted.get(id_, 0) / log2(n + 1) for n, id_ in enumerate(ranked[:k], 1))
    ideal = sorted(wanted.values(), reverse=True)[:k]
    return gained / sum(gain / log2(n + 1) for n, gain in enumerate(ideal, 1))
