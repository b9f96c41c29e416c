"""What a template sees of a paper: cleaned text, safe links, lengths that fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from markupsafe import escape

from digest.model import Paper
from digest.render.words import cut, day_words, direction, excerpt, listed, plain

SLOT = "\x01"  # marks, in what a template wrote, what differs for each reader; see pieces.py
FEEDBACK = f"{SLOT}F"  # the reader's own address, up to the paper's id
WHY = f"{SLOT}W"  # the reader's own reasons

LONGEST_URL = 400
LONGEST_SIMILAR = 120  # characters of a title that is only named
_OUTSIDE = re.compile(r"https?://[^\s\x00-\x20\x7f\"'<>\\^`{|}]+", re.IGNORECASE)
_PAGE_NAMES = ("abs", "page", "html", "url", "link", "alternate", "doi")
_ARXIV = re.compile(r"arxiv:((?:\d{4}\.\d{4,5}|[a-z.-]+/\d{7}))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of a paper is told. Lengths are in characters and names, but `line_bytes`: the
    title alone, as a line of at most so many bytes."""

    abstract: int
    authors: int
    title: int = 300
    line_bytes: int = 0


# What is given up, in this order, where a letter would be too long: see LETTER_RAW in pieces.py.
DEPTHS = (
    Depth(abstract=700, authors=5),
    Depth(abstract=280, authors=5),
    Depth(abstract=140, authors=5),
    Depth(abstract=0, authors=5),
    Depth(abstract=0, authors=2, title=200),
    Depth(abstract=0, authors=0, line_bytes=240),
    Depth(abstract=0, authors=0, line_bytes=80),
)


class Named(NamedTuple):
    """A paper that says nearly the same as another, named below it."""

    title: str
    url: str
    dir: str


@dataclass(frozen=True, slots=True)
class PaperView:
    """`why`, `more`, `less` and perhaps `url` hold slots that are filled in for each reader: a
    template may place them anywhere, but not take them apart. On a page that anybody may read,
    `more` and `less` are empty, and so is `url` where no link is known."""

    title: str
    url: str
    authors: str
    meta: str
    abstract: str
    links: tuple[tuple[str, str], ...]  # (what it says, where it goes)
    more: str
    less: str
    why: str  # "" where there is no reason to tell
    line: bool  # nothing but the title
    title_dir: str
    authors_dir: str
    abstract_dir: str
    similar: tuple[Named, ...] = ()


def named(paper: Paper) -> Named:
    title = cut(title_of(paper), LONGEST_SIMILAR)
    return Named(title, page_url(paper), direction(title))


def view(
    paper: Paper,
    depth: Depth,
    has_why: bool,
    shared: bool = False,
    similar: tuple[Named, ...] = (),
) -> PaperView:
    """The paper as told at this depth; `shared`: to anybody, hence without a reader's address."""
    own = "" if shared else FEEDBACK + quote(paper.id.encode("utf-8", "replace"), safe="")
    title = _title(paper, depth)
    authors = listed(_names(paper.authors), depth.authors) if depth.authors else ""
    abstract = excerpt(plain(paper.abstract), depth.abstract) if depth.abstract else ""
    page = page_url(paper)
    if depth.line_bytes and len(page) > depth.line_bytes:
        page = ""
    return PaperView(
        title=title,
        url=page or own,
        authors=authors,
        meta=_meta(paper),
        abstract=abstract,
        links=_links(paper, page),
        more=own and f"{own}&more",
        less=own and f"{own}&less",
        why=WHY if has_why else "",
        line=bool(depth.line_bytes),
        title_dir=direction(title),
        authors_dir=direction(authors),
        abstract_dir=direction(abstract),
        similar=similar,
    )


def title_of(paper: Paper) -> str:
    """The title, never empty: a link must have words."""
    return plain(paper.title) or plain(paper.id) or "Untitled"


def _title(paper: Paper, depth: Depth) -> str:
    title = cut(title_of(paper), depth.title)
    if not depth.line_bytes:
        return title
    while len(str(escape(title)).encode("utf-8", "replace")) > depth.line_bytes:
        title = cut(title, len(title) * 3 // 4)
    return title


def _names(authors: Sequence[str]) -> list[str]:
    return [cut(name, 60) for name in map(plain, authors) if name]


def _meta(paper: Paper) -> str:
    fields = listed([cut(plain(c), 32) for c in paper.categories], 3)
    day = day_words(paper.published) if paper.published else ""
    return " · ".join(part for part in (fields, day) if part)


# ------------------------------------------------------------------ addresses from outside


def safe_url(url: str) -> str:
    """The address if it is one of the web that a letter may carry, in ASCII; else ""."""
    url = url.strip()
    if len(url) > LONGEST_URL or not _OUTSIDE.fullmatch(url):
        return ""
    return quote(url, safe="%/:=&?~#+!$,;@()*[]-._") if _host(url) else ""


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return parts.hostname or "" if not parts.username else ""
    except ValueError:  # a bad port or bracket
        return ""


def page_url(paper: Paper) -> str:
    """Where the paper can be read; "" where no link is known and none follows from its id."""
    given = (safe_url(paper.links.get(name, "")) for name in _PAGE_NAMES)
    if found := next(filter(None, given), ""):
        return found
    if arxiv := _ARXIV.fullmatch(paper.id):
        return f"https://arxiv.org/abs/{arxiv[1]}"
    if paper.id.startswith("doi:"):
        return safe_url(f"https://doi.org/{quote(paper.id[4:], safe='/:;().-_')}")
    return ""


def _links(paper: Paper, page: str) -> tuple[tuple[str, str], ...]:
    named = [(f"Read at {_host(page).removeprefix('www.')}", page)] if page else []
    others = [("PDF", _pdf(paper.id, paper.links)), ("Code", paper.links.get("code", ""))]
    safe = ((name, safe_url(url)) for name, url in others)
    return (*named, *((name, url) for name, url in safe if url and url != page))


def _pdf(id_: str, links: Mapping[str, str]) -> str:
    if given := links.get("pdf", ""):
        return given
    arxiv = _ARXIV.fullmatch(id_)
    return f"https://arxiv.org/pdf/{arxiv[1]}" if arxiv else ""
