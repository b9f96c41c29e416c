"""`digest demo`: what a newcomer sees first."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from commanding import Said, Site

from digest.cli import demo

STAGES = ["1/5", "2/5", "3/5", "4/5", "5/5"]
SAMPLE_PEOPLE = ["ines", "mira", "tomas", "yusuf"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    return Site(tmp_path)


def letters(folder: Path) -> dict[str, str]:
    """{reader: subject} of what the catcher kept."""
    found = [
        message_from_bytes(f.read_bytes(), policy=policy.default) for f in folder.glob("*.eml")
    ]
    return {letter["To"].partition("@")[0]: letter["Subject"] for letter in found}


def on_network(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], Any], patience: float = 8.0
) -> None:
    """What the demo's sources meet."""
    usual = demo._app

    def made(*given: Any) -> Any:
        app = usual(*given)
        app.network = httpx.MockTransport(answer)
        return app

    monkeypatch.setattr(demo, "_app", made)
    monkeypatch.setattr(demo, "PATIENCE", patience)


def test_the_demo_names_its_stages_and_sends_different_letters(tmp_path: Path) -> None:
    code = "from digest.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "demo", "--offline"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    firsts = dict.fromkeys(line[:3] for line in ended.stdout.splitlines() if line[1:2] == "/")
    assert list(firsts) == STAGES
    sent = letters(tmp_path / "demo" / "letters")
    assert sorted(sent) == SAMPLE_PEOPLE
    assert len(set(sent.values())) == len(sent)
    for name, subject in sent.items():
        page = tmp_path / "demo" / f"{name}.html"
        assert f"{page.relative_to(tmp_path)}" in ended.stdout
        assert subject.partition(" and ")[0] in ended.stdout
        assert page.read_text().lower().startswith("<!doctype html>")


def test_the_demo_can_be_run_again_in_its_folder(site: Site) -> None:
    assert [site("demo", "--offline").code for _ in range(2)] == [0, 0]
    assert len(letters(site.folder / "demo" / "letters")) == 4


@pytest.mark.parametrize("there", ["folder", "file"])
def test_what_no_demo_made_is_never_touched(site: Site, there: str) -> None:
    mine = site.folder / "mine"
    if there == "folder":
        mine.mkdir()
        (mine / "thesis.tex").write_text("years of work")
    else:
        mine.write_text("years of work")
    said = site("demo", "--offline", "--folder", mine)
    assert (said.code, "no demo made it" in said.fault) == (2, True)
    assert (mine / "thesis.tex" if there == "folder" else mine).read_text() == "years of work"


def sample_is_shown(said: Said, why: str) -> bool:
    assert said.code == 0, said.err
    return f"60 papers of our own invention ({why})" in said.out


def test_without_a_network_it_shows_its_own_sample(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network", request=request)

    on_network(monkeypatch, refuse)
    said = site("demo")
    assert sample_is_shown(said, "nobody answered")
    assert (said.err, max(map(len, said.out.splitlines())) < 140) == ("", True)


def test_sources_that_never_answer_are_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError(request)

    on_network(monkeypatch, never, patience=0.2)
    assert sample_is_shown(site("demo"), "nobody answered")


def test_sources_that_have_too_little_are_helped_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = {"id": "2603.00001", "title": "On bread", "summary": "Bread.", "upvotes": 3}

    def little(request: httpx.Request) -> httpx.Response:
        if "daily_papers" not in request.url.path:
            return httpx.Response(404)
        return httpx.Response(200, text=json.dumps([{"paper": paper, "title": "On bread"}]))

    on_network(monkeypatch, little)
    said = site("demo")
    assert "hf: ok, 1 new paper\n" in said.out
    assert sample_is_shown(said, "too little came")


def test_sources_that_have_enough_are_all_that_is_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (demo.SAMPLE / "papers.jsonl").read_text().splitlines()
    papers = [json.loads(row) for row in rows]
    said = [
        {
            "paper": {
                "id": paper["id"].removeprefix("arxiv:"),
                "title": paper["title"],
                "summary": paper["abstract"],
                "authors": [{"name": name} for name in paper["authors"]],
                "upvotes": 5,
            }
        }
        for paper in papers
    ]

    def enough(request: httpx.Request) -> httpx.Response:
        first = request.url.params.get("p", "0") == "0"
        there = "daily_papers" in request.url.path
        return (
            httpx.Response(200, text=json.dumps(said if first else []))
            if there
            else httpx.Response(404)
        )

    on_network(monkeypatch, enough)
    shown = site("demo")
    assert (shown.code, "our own invention" in shown.out) == (0, False)
    assert len(letters(site.folder / "demo" / "letters")) >= 3
