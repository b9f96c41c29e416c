"""Semantic Scholar: papers as its API and library give them, in a list or in one of its wraps."""

from __future__ import annotations

from digest.profiles.imports.entry import Entry, Imported, Skipped, entry, gathered, ids_of
from digest.profiles.imports.plain import at, rows, text

KIND = "Semantic Scholar"
_LISTS = ("data", "papers", "recommendedPapers", "references", "citations")
_WRAPS = ("paper", "citedPaper", "citingPaper")
_SCHEMES = {"ArXiv": "arxiv:", "DOI": "", "PubMed": "pubmed:"}


def looks(value: object) -> bool:
    """True where the first papers carry Semantic Scholar's own keys."""
    return any(at(paper, "paperId") or at(paper, "externalIds") for paper in _papers(value)[:20])


def read(value: object) -> Imported:
    """Every paper of a list."""
    found: list[Entry] = []
    skipped: list[Skipped] = []
    for number, paper in enumerate(_papers(value), 1):
        if isinstance(paper, dict):
            found.append(_paper(f"paper {number}", paper))
        else:
            skipped.append(Skipped(f"paper {number}", "not an object", True))
    return gathered(KIND, found, skipped)


def _papers(value: object) -> list[object]:
    lists = (rows(at(value, key)) for key in _LISTS)
    listed = rows(value) or next(filter(None, lists), [value])
    return [next((at(one, key) for key in _WRAPS if at(one, key)), one) for one in listed]


def _paper(where: str, paper: dict[str, object]) -> Entry:
    known = at(paper, "externalIds")
    sure = [
        f"{scheme}{said}"
        for name, scheme in _SCHEMES.items()
        if (said := text(at(known, name)).strip())
    ]
    when = text(paper.get("publicationDate")) or text(paper.get("year"))
    author = at(paper, "authors", 0, "name")
    return entry(where, ids_of([*sure, paper.get("url")]), paper.get("title"), author, when)
