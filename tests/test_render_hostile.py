"""Letters: nothing from outside breaks or enters them, and they always fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letters import (
    DELIVERY,
    READER,
    a_renderer,
    all_of,
    arxiv_papers,
    body,
    edition_of,
    links_of,
    parsed,
    pins,
    quiet_letter,
    sample,
    tree,
)

from digest.model import (
    Content,
    EditionPaper,
    Letter,
    Paper,
    Reason,
    ReasonKind,
)
from digest.render import Renderer
from digest.render.mime import raw_size
from digest.render.paper import DEPTHS
from digest.render.pieces import LETTER_RAW, Size, fit

ENCODED = 95_000


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return a_renderer()


# ------------------------------------------------------------------ hostile input


NASTY = [
    "<script>alert(1)</script>",
    "</title><h1>x</h1>",
    "</h2></td></tr></table>",
    "\" onmouseover='x' y=\"",
    "a\r\nBcc: everybody@example.org\r\n\r\n<p>",
    "{{ 7*7 }}{% raw %}",
    "\x00\x01F\x01\ue000\x02\x1b[31m",
    "\u202ereversed\u202c \u2066x",
    "עברית ועוד",
    "🧪👩‍🔬🇩🇪",
    "x" * 400,
    "=?utf-8?q?=41?=",
    "]]><!--[if mso]>",
    "&lt;b&gt; &amp;",
    ".\n.\r\n..",
    "\ud800\udfff￾",
    "From nobody\n",
]
ANY = st.text(st.characters(exclude_categories=()), max_size=80)
HOSTILE = st.one_of(
    st.sampled_from(NASTY), ANY, st.tuples(ANY, st.sampled_from(NASTY)).map("".join)
)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def hostile_papers(draw: st.DrawFn) -> list[Paper]:
    def paper(number: int) -> Paper:
        return Paper(
            id=f"sha:{number}{draw(HOSTILE)}",
            title=draw(HOSTILE),
            abstract=draw(HOSTILE),
            authors=tuple(draw(st.lists(HOSTILE, max_size=3))),
            categories=tuple(draw(st.lists(HOSTILE, max_size=2))),
            links=draw(st.dictionaries(st.sampled_from(["abs", "pdf", "code"]), HOSTILE)),
        )

    return [paper(number) for number in range(draw(st.integers(0, 3)))]


@given(papers=hostile_papers(), word=HOSTILE, kind=st.sampled_from(ReasonKind))
@FEW
def test_nothing_from_outside_breaks_or_enters_a_letter(
    renderer: Renderer, papers: list[Paper], word: str, kind: ReasonKind
) -> None:
    reason = Reason(kind, word, word, 3.0)
    told = [EditionPaper(p.id, 1, word, 1.0, (reason,)) for p in papers]
    content = Content(tuple(told), considered=5, near=1, notices=(word,))
    edition = replace(sample.sample_edition(), content=content)
    letter = renderer.digest(edition, DELIVERY, READER, pins(papers))
    html = body(letter, "html")
    assert list(parsed(quiet_letter(renderer))) == list(parsed(letter))
    assert len(papers) == len(all_of(html, "h2"))
    assert len(all_of(html, "h1")) == 1
    assert all_of(html, "script") == []
    assert not [a for e in tree(html).iter() for a in e.attrib if str(a).startswith("on")]
    assert all(link.startswith(("http://", "https://")) for link in links_of(html))
    well_formed(letter)


def well_formed(letter: Letter) -> None:
    """What a server may insist on, of the bytes."""
    assert b"\n" not in letter.raw.replace(b"\r\n", b"")
    assert b"\r" not in letter.raw.replace(b"\r\n", b"")
    assert b"\x00" not in letter.raw
    assert max(map(len, letter.raw.split(b"\r\n"))) <= 998
    assert parsed(letter).defects == []
    assert len(letter.subject) <= 90


@given(title=HOSTILE)
@FEW
def test_a_subject_is_one_line_and_comes_back_as_it_was(renderer: Renderer, title: str) -> None:
    paper = Paper("arxiv:2509.00001", title)
    letter = renderer.digest(edition_of([paper]), DELIVERY, READER, pins([paper]))
    assert " ".join(letter.subject.split()) == " ".join(str(parsed(letter)["Subject"]).split())
    assert not re.search(r"[\x00-\x1f\x7f]", letter.subject)


# ------------------------------------------------------------------ size


FAT = {
    "long abstracts": {},
    "everything escaped": {"title": "<&>\"'" * 60, "abstract": "<&>" * 700},
    "no spaces": {"title": "x" * 1000, "abstract": "y" * 2000},
    "Chinese": {"title": "少样本扩散模型的谱分析" * 20, "abstract": "扩散模型的采样速度。" * 150},
    "long addresses": {"links": {"abs": "https://example.org/" + "a" * 380}},
}


@pytest.mark.parametrize("count", [15, 81, 200])
@pytest.mark.parametrize("kind", FAT)
def test_the_fattest_letter_fits_and_loses_no_paper(
    renderer: Renderer, kind: str, count: int
) -> None:
    papers = arxiv_papers(count, **FAT[kind])
    edition = edition_of(papers, Reason(ReasonKind.TERM, "quotes", "abstract"))
    letter = renderer.digest(edition, DELIVERY, READER, pins(papers))
    part = parsed(letter).get_body(("html",))
    assert part is not None
    html = body(letter, "html")
    assert len(html.replace("\n", "\r\n").encode()) <= LETTER_RAW
    assert len(str(part.get_payload())) <= ENCODED
    assert count == html.count("<h2 ")
    assert "Unsubscribe" in html
    assert sample.SITE.postal_address in html
    well_formed(letter)


@pytest.mark.shared
def test_the_81_papers_of_the_founding_page_are_one_letter(
    renderer: Renderer, shared: Path
) -> None:
    rows = (shared / "data" / "seed" / "trending.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [sample.json.loads(row) for row in rows]
    papers = [Paper(f"sha:{i}", t["title"], t["abstract"]) for i, t in enumerate(texts)]
    letter = renderer.digest(edition_of(papers), DELIVERY, READER, pins(papers))
    html = body(letter, "html")
    assert html.count("<h2 ") == 81
    assert len(html.encode()) <= LETTER_RAW


def test_the_least_relevant_abstracts_are_cut_first(renderer: Renderer) -> None:
    differences = []
    for count in range(24, 60, 4):
        papers = arxiv_papers(count)
        html = renderer.digest_parts(edition_of(papers), READER, pins(papers)).html
        told = [len(part) for part in html.split("<h2 ")[1:-1]]
        assert sorted(told, reverse=True) == told
        differences.append(told[0] - told[-1])
    assert max(differences) > 200


@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=12),
    frame=st.integers(0, 70_000),
)
def test_nothing_is_cut_further_than_one_step_beyond_the_rest(sizes: list[int], frame: int) -> None:
    def size(i: int, depth: int) -> Size:
        return Size(sizes[i] // 4**depth, sizes[i] // 4**depth)

    order = range(len(sizes))
    depths = fit(Size(frame, frame), order, len(DEPTHS), size)
    found = [depths[i] for i in order]
    total = frame + sum(size(i, depth).raw for i, depth in depths.items())
    assert sorted(found, reverse=True) == found
    assert max(found) - min(found) <= 1
    assert total <= LETTER_RAW or set(found) == {len(DEPTHS) - 1}


def test_the_size_that_is_measured_is_the_size_that_is_read() -> None:
    data = b"a=C3=A9 b=\r\nc\r\n=3D\r\n"
    assert len("aé bc\r\n=\r\n".encode()) == raw_size(data)
