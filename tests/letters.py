"""Letters for tests: our own sample, and ways to read what was rendered."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import ModuleType
from xml.etree.ElementTree import Element

import html5lib

from digest.model import Content, Delivery, Edition, EditionPaper, Letter, LetterKind, Paper, Reason
from digest.render import Renderer

ROOT = Path(__file__).resolve().parents[1]
HTML = "{http://www.w3.org/1999/xhtml}"


def _pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec and spec.loader
    module = sys.modules["pictures"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sample = _pictures()
READER = sample.sample_reader()
DELIVERY: Delivery = sample.sample_delivery()
PAPERS = {(paper.id, 1): paper for paper in sample.sample_papers()}


def a_renderer(templates: Path | None = None) -> Renderer:
    return Renderer(sample.SITE, sample.LINKS, templates)


def edition_of(papers: list[Paper], *reasons: Reason, **content: int) -> Edition:
    entries = [
        EditionPaper(p.id, p.revision, "Everything", 1 - i / len(papers), reasons)
        for i, p in enumerate(papers)
    ]
    told = Content(tuple(entries), **{"considered": 1000, **content})
    return replace(sample.sample_edition(), content=told)


def pins(papers: list[Paper]) -> dict[tuple[str, int], Paper]:
    return {(paper.id, paper.revision): paper for paper in papers}


def parsed(letter: Letter) -> EmailMessage:
    found = message_from_bytes(letter.raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def body(letter: Letter, kind: str) -> str:
    found = parsed(letter).get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def tree(html: str) -> Element:
    """The parsed page; raises for the first error of HTML syntax."""
    found = html5lib.HTMLParser(strict=True).parse(html)
    assert isinstance(found, Element)
    return found


def all_of(html: str, tag: str) -> list[Element]:
    return list(tree(html).iter(HTML + tag))


def text_of(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def links_of(html: str) -> list[str]:
    return [a.attrib["href"] for a in all_of(html, "a")]


def arxiv_papers(count: int, **changes: object) -> list[Paper]:
    authors = tuple(f"Author Number{i} Surname" for i in range(30))
    paper = Paper(
        "arxiv:2509.00000",
        "A long enough title that says at length what was found, and how, and for whom it is",
        "An abstract with <angle> brackets & quotes, of the usual length. " * 25,
        authors,
        ("cs.LG", "cs.AI", "cs.CV"),
    )
    changed = replace(paper, **changes)  # type: ignore[arg-type]
    return [replace(changed, id=f"arxiv:2509.{i:05}") for i in range(count)]


def digest_letter(renderer: Renderer) -> Letter:
    return renderer.digest(sample.sample_edition(), DELIVERY, READER, PAPERS)


def quiet_letter(renderer: Renderer) -> Letter:
    return renderer.digest(sample.sample_edition(()), DELIVERY, READER, {})


def confirmation_letter(renderer: Renderer) -> Letter:
    delivery = sample.sample_delivery(LetterKind.CONFIRMATION)
    return renderer.confirmation(delivery, READER, "Few-step generation; at most 12 papers")
