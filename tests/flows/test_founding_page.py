"""The project's founding page: all its papers, in one letter, fit to be read by people."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from commanding import HOUR, MONDAY, Site
from relays import letters_in, relay

from digest.store import Database

READER = "everything@example.org"
PAPERS = 81
COMMAND = re.compile(r"\\[A-Za-z]+|\\[{}$%&_#]|\$[^$\s]+\$")  # of TeX
WISHES = {
    "nothing but a name": {"name": "Everything"},
    "a star": {"name": "Everything", "query": "*"},
}


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return Site(tmp_path)


@pytest.fixture
def page(shared: Path) -> Path:
    return shared / "data" / "seed" / "trending.jsonl"


def subscribe(site: Site, interest: dict[str, str]) -> None:
    wish = {"cadence": "weekly", "budget": 100, "interest": [interest]}
    row = {"email": READER, "profile": wish, "confirmed_at": "2026-03-02T08:00:00Z"}
    assert site("subscriber", "import", site.write("p.jsonl", json.dumps(row))).code == 0


def text_of(part: str) -> str:
    """What a person sees of an HTML part."""
    return html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(style|head).*?</\1>", "", part)))


@pytest.mark.parametrize("interest", WISHES.values(), ids=WISHES.keys())
def test_whoever_asks_for_everything_gets_all_of_it_in_one_letter(
    site: Site, page: Path, interest: dict[str, str]
) -> None:
    subscribe(site, interest)
    imported = site("paper", "import", page, "--json", now=MONDAY - 2 * HOUR).json
    box = site.folder / "box"
    with relay(maildir=box) as sink:
        port = str(sink.port)
        said = site("run", "--json", DIGEST_SMTP__MAILDIR="", DIGEST_SMTP__PORT=port)
    assert (imported["new"], imported["bad"]) == (PAPERS, [])
    assert (said.json["publish"], said.json["deliver"]) == (
        {"queued": 1, "skipped": {}},
        {"accepted": 1},
    )
    [letter] = letters_in(box)
    parts = {
        kind: letter.get_body((kind,)).get_content().replace("\r\n", "\n")
        for kind in ("plain", "html")
    }
    papers = site("paper", "list", "--limit", 0, "--json").json
    for kind, shown in {"plain": parts["plain"], "html": text_of(parts["html"])}.items():
        words = " ".join(shown.split())
        missing = [p["title"] for p in papers if " ".join(p["title"].split()) not in words]
        assert (kind, missing) == (kind, [])
        assert (kind, COMMAND.findall(words)) == (kind, [])


def test_importing_the_page_again_finds_everything_known(site: Site, page: Path) -> None:
    site("paper", "import", page)
    assert site("paper", "import", page).out == f"0 new, {PAPERS} known, 0 revised, 0 bad\n"


def test_no_paper_of_the_page_holds_a_command_of_tex(site: Site, page: Path) -> None:
    site("paper", "import", page)
    papers = site("paper", "list", "--limit", 0, "--json").json
    texts = [p["title"] + " " + p["abstract"] for p in papers]
    assert [found for text in texts for found in COMMAND.findall(text)] == []
