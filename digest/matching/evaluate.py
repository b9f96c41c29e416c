"""How good the matching is: rank new papers for readers whose likes are known.

Runs the same matching as publish, and tells it nothing else: a reader is a profile whose one
interest has the liked papers as seeds. Papers marked new are ranked and never learnt from.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digest.errors import Refused
from digest.matching import Matcher, Reader
from digest.matching.embeddings import Embeddings, open_model
from digest.matching.heldout import Check
from digest.matching.lexical import LexicalMatcher
from digest.matching.measures import Qrels, measure
from digest.matching.training import learn
from digest.model import Feedback, Interest, Paper, Profile

TOGETHER = 200  # readers ranked between two reports of progress

Tell = Callable[[int, int], None]
"""(readers done, readers in all)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One line of READERS.jsonl."""

    reader: str
    likes: tuple[str, ...] = ()
    dislikes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Library:
    """PAPERS.jsonl: what is ranked, and what may be learnt from."""

    new: tuple[Paper, ...]
    old: tuple[Paper, ...]


def evaluate(
    papers: Path,
    readers: Path,
    run: Path,
    qrels: Path | None = None,
    top: int = 300,
    tell: Tell | None = None,
    embeddings: str = "",
) -> dict[str, float]:
    """Write the run; give counts and, with qrels, the measures. `embeddings`: a model's folder.
    Raises Refused for bad input."""
    library = read_papers(_lines(papers))
    people = read_readers(_lines(readers))
    wanted = read_qrels(_lines(qrels)) if qrels else None
    matcher, check = trained(library, people, open_model(embeddings) if embeddings else None)
    scores: dict[str, list[str]] = {}
    with run.open("w", encoding="utf-8", newline="\n") as file:
        for done, (reader, ranked) in enumerate(rank(library, people, top, matcher), start=1):
            file.writelines(run_lines(reader, ranked))
            scores[reader] = [id_ for id_, _ in ranked]
            if tell:
                tell(done, len(people))
    found: dict[str, float] = {"papers": len(library.new), "readers": len(people)}
    found |= check.figures()
    return found | (measure(scores, wanted) if wanted is not None else {})


def trained(
    library: Library, readers: Sequence[Judged], embeddings: Embeddings | None = None
) -> tuple[LexicalMatcher, Check]:
    """The matcher as a site with these readers, and this model, has it after `digest train`."""
    libraries = [tuple(dict.fromkeys(judged.likes)) for judged in readers]
    learnt = learn(libraries, library.old)
    return LexicalMatcher(taste=learnt.map, embeddings=embeddings), learnt.check


def rank(
    library: Library, readers: Sequence[Judged], top: int, matcher: Matcher | None = None
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """(reader, [(paper id, score), best first]) for each reader, in order."""
    prepared = (matcher or LexicalMatcher()).prepare(library.new, library.old)
    known = {paper.id: paper for paper in library.old}
    for some in _batched(readers, TOGETHER):
        asked = [_reader(judged, known) for judged in some]
        for judged, ranked in zip(some, prepared.order(asked, top), strict=True):
            yield judged.reader, ranked


def run_lines(reader: str, ranked: Iterable[tuple[str, float]]) -> Iterator[str]:
    """Lines of a TREC run: reader Q0 paper rank score digest."""
    for place, (paper, score) in enumerate(ranked, start=1):
        yield f"{reader} Q0 {paper} {place} {score:.6f} digest\n"


def _reader(judged: Judged, known: Mapping[str, Paper]) -> Reader:
    ids = {*judged.likes, *judged.dislikes}
    return Reader(
        Profile(interests=(Interest("Likes", seeds=judged.likes),)),
        Feedback(dislikes=judged.dislikes),
        {id_: known[id_] for id_ in ids if id_ in known},
    )


# ------------------------------------------------------------------ reading


def read_papers(lines: Iterable[str]) -> Library:
    """PAPERS.jsonl. Only `title` is required; a missing id is the line's number."""
    new: dict[str, Paper] = {}
    old: dict[str, Paper] = {}
    for number, row in _rows(lines, "papers"):
        paper = _paper(number, row)
        (new if row.get("new") is True else old)[paper.id] = paper
    return Library(tuple(new.values()), tuple(p for id_, p in old.items() if id_ not in new))


def read_readers(lines: Iterable[str]) -> list[Judged]:
    """READERS.jsonl: {"reader", "likes", "dislikes"}."""
    return [
        Judged(
            _word(number, row.get("reader"), "readers"),
            _ids(number, row.get("likes", []), "likes"),
            _ids(number, row.get("dislikes", []), "dislikes"),
        )
        for number, row in _rows(lines, "readers")
    ]


def read_qrels(lines: Iterable[str]) -> Qrels:
    """TREC qrels: reader, an unused word, paper, relevance."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            reader, _, paper, relevance = line.split()
            gain = float(relevance)
        except ValueError:
            said = f"qrels, line {number}: must be `reader 0 paper relevance`"
            raise Refused(said) from None
        if gain > 0:
            found[reader][paper] = gain
    return found


def _paper(number: int, row: Mapping[str, Any]) -> Paper:
    title, abstract = row.get("title"), row.get("abstract") or ""
    if not isinstance(title, str) or not isinstance(abstract, str):
        raise Refused(f"papers, line {number}: needs a title that is a string")
    return Paper(
        id=_word(number, row.get("id", number), "papers"),
        title=title,
        abstract=abstract,
        authors=_ids(number, row.get("authors") or [], "authors"),
        categories=_ids(number, row.get("categories") or [], "categories"),
    )


def _word(number: int, value: object, what: str) -> str:
    """An id: a string or number without blanks, since a TREC line is parted by them."""
    word = str(value) if isinstance(value, str | int) else ""
    if not word or len(word.split()) != 1:
        raise Refused(f"{what}, line {number}: needs an id without blanks, not {value!r}")
    return word


def _ids(number: int, values: object, what: str) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise Refused(f"line {number}: {what} must be a list")
    return tuple(str(value) for value in values)


def _rows(lines: Iterable[str], what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise Refused(f"{what}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise Refused(f"{what}, line {number}: must be a JSON object")
        yield number, row


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except UnicodeDecodeError:
        raise Refused(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None


def _batched(readers: Sequence[Judged], size: int) -> Iterator[Sequence[Judged]]:
    for start in range(0, len(readers), size):
        yield readers[start : start + size]
