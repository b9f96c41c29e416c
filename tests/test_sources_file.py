"""Kind `file`: papers as JSON lines."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replaying import fetch, no_web, noon, spec

from digest.errors import ConfigError
from digest.model import Fetched, Verdict
from digest.sources.file import FileSource, read_papers

NOW = noon("2025-09-15")
WHOLE = {
    "id": "https://arxiv.org/abs/2509.09699v2",
    "title": r"On $\ell_2$ norms",
    "abstract": "<p>We show.</p>",
    "authors": ["Doe, Jane", "Bo Xu"],
    "categories": ["cs.LG", "cs.LG", "stat.ML"],
    "date": "2025-09-15",
    "links": {"code": "https://github.com/a/b", "bad": "javascript:alert(1)"},
    "signals": {"upvotes": 12},
}


def test_a_line_is_read_field_by_field() -> None:
    (paper,), bad = read_papers([json.dumps(WHOLE)])
    assert bad == []
    assert paper.ids[0] == "arxiv:2509.09699"
    assert (paper.title, paper.abstract) == ("On ℓ₂ norms", "We show.")
    assert paper.authors == ("Jane Doe", "Bo Xu")
    assert paper.categories == ("cs.LG", "stat.ML")
    assert paper.published == date(2025, 9, 15)
    assert paper.signals == {"upvotes": 12.0}
    assert paper.links == {
        "abs": "https://arxiv.org/abs/2509.09699",
        "pdf": "https://arxiv.org/pdf/2509.09699",
        "code": "https://github.com/a/b",
    }


def test_only_the_title_must_be_there_and_the_id_is_made_of_it() -> None:
    (paper,), _ = read_papers(['{"title": "Transformers Can Do Bayesian Inference"}'])
    (again,), _ = read_papers(['\ufeff{"title": "transformers can do bayesian inference!"}\r\n'])
    assert paper.ids == again.ids
    assert paper.ids[0].startswith("sha:")


BAD = [
    ("no json", "is no JSON"),
    ("[1]", "is no JSON object"),
    ('{"abstract": "x"}', "title: is missing"),
    ('{"title": " \\u0000 "}', "title: is missing"),
    ('{"title": 7}', "title: must be text, not int"),
    ('{"title": "t", "authors": [1]}', "authors: must be a list of texts"),
    ('{"title": "t", "authors": {"a": 1}}', "authors: must be a list of texts"),
    ('{"title": "t", "date": "2025-13-01"}', "date: '2025-13-01' is no date (YYYY-MM-DD)"),
    ('{"title": "t", "id": "0"}', "id: '0' is no id; it must be an arXiv number"),
    ('{"title": "t", "signals": {"upvotes": "many"}}', "signals: upvotes: must be a number"),
    ('{"title": "t", "signals": {"upvotes": NaN}}', "signals: upvotes: must be a number"),
    ('{"title": "t", "links": []}', None),
    ('{"title": "t", "links": ["a"]}', "links: must be an object"),
    ("[" * 100_000, "is no JSON"),
    ('{"title": "' + "x" * 1_000_000 + '"}', "is longer than 1,000,000 characters"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=[line[:40] for line, _ in BAD])
def test_a_bad_line_is_named_with_its_reason(line: str, reason: str | None) -> None:
    papers, bad = read_papers(["", '{"title": "good"}', line])
    if reason is None:
        assert (len(papers), bad) == (2, [])
    else:
        assert len(papers) == 1
        assert [(b.line, b.entry.reason.startswith(reason)) for b in bad] == [(3, True)]
        assert len(bad[0].entry.raw) <= 65_536


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_lines_are_read_or_named(lines: list[str]) -> None:
    papers, bad = read_papers(lines)
    assert len(papers) + len(bad) <= len(lines)


def test_the_founding_page_comes_in_whole(shared: Path) -> None:
    with (shared / "data/seed/trending.jsonl").open(encoding="utf-8") as lines:
        papers, bad = read_papers(lines)
    assert bad == []
    assert len({paper.ids[0] for paper in papers}) == 81


def asked(path: Path | str, cursor: dict[str, str] | None = None, **bounds: object) -> Fetched:
    return fetch(FileSource(spec("file", path=str(path), **bounds), no_web()), NOW, cursor)


def test_a_file_is_read_once_and_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "papers.jsonl"
    path.write_text('{"title": "One paper"}\n')
    first = asked(path)
    again = asked(path, dict(first.cursor))
    assert (first.verdict, len(first.listings)) == (Verdict.OK, 1)
    assert (again.verdict, again.cursor) == (Verdict.NOT_MODIFIED, first.cursor)
    path.write_text('{"title": "One paper"}\nbroken\n{"title": "Another one"}\n')
    os.utime(path, (1, 1))
    changed = asked(path, dict(first.cursor))
    assert (changed.verdict, len(changed.listings)) == (Verdict.OK, 2)
    assert changed.bad[0].reason.startswith("line 2: is no JSON")


def test_a_file_that_is_not_there_or_not_ours_to_read_is_refused(tmp_path: Path) -> None:
    missing = asked(tmp_path / "none.jsonl")
    assert missing.verdict is Verdict.REFUSED
    assert "none.jsonl: No such file" in missing.message
    assert asked(tmp_path).verdict is Verdict.REFUSED
    assert asked("/etc/hostname", trusted=False).verdict is Verdict.REFUSED
    assert asked("/dev/zero").verdict is Verdict.REFUSED


def test_a_file_too_large_or_without_papers_says_so(tmp_path: Path) -> None:
    path = tmp_path / "papers.jsonl"
    path.write_text("broken\n" * 100)
    assert asked(path, max_bytes=10).verdict is Verdict.TOO_LARGE
    assert asked(path).verdict is Verdict.PARSE_FAILED
    path.write_text("\n\n")
    assert asked(path).verdict is Verdict.EMPTY


def test_wrong_options_name_source_and_key() -> None:
    with pytest.raises(ConfigError, match="source file: path: is missing"):
        FileSource(spec("file"), no_web())
