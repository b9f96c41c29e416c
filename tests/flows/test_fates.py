"""One site, some people, a few weeks: every fate of a paper is told, by the command, in words."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from commanding import HOUR, MONDAY, Site

from digest.explain import FateKind
from digest.store import Database

DAY, WEEK = timedelta(days=1), timedelta(days=7)
TWICE = (
    "Ants that carry one leaf agree on a way round a stone by pulling in turns, which we film from "
    "above, and tell by a model in which each of them forgets after a few seconds."
)
PAPERS = {
    "best": ("Ant colonies, ants and trails", "How ant colonies find short trails."),
    "once": ("How ants carry leaves", TWICE),
    "twice": ("Leaves carried by ants in turns", TWICE),
    "over": ("Ants", "Also ants."),
    "muted": ("A survey of ants", "All that was written."),
    "far": ("On bread", "Dough rises."),
    "known": ("Ants that somebody read", "Ants."),
}
WANTS = {
    "interest": [{"name": "Ants", "query": "ants", "terms": ["ant colonies^5", "leaves^2"]}],
    "mute": {"terms": ["survey"]},
    "budget": 2,
    "trending": 0,
}


def id_of(name: str) -> str:
    return f"arxiv:2603.{[*PAPERS, 'early', 'late'].index(name):05}"


def announce(site: Site, at: Any, **texts: tuple[str, str]) -> None:
    rows = [
        json.dumps({"id": id_of(name), "title": title, "abstract": abstract})
        for name, (title, abstract) in texts.items()
    ]
    file = site.write("papers.jsonl", "\n".join(rows))
    assert site("paper", "import", file, now=at).code == 0


def join(site: Site, name: str, at: Any, confirmed: bool = True) -> str:
    email = f"{name}@example.org"
    row = {"email": email, "profile": WANTS, "consent": "asked"}
    row |= {"confirmed_at": at.isoformat()} if confirmed else {}
    site("subscriber", "import", site.write("p.jsonl", json.dumps(row)), now=at)
    return email


def test_every_fate_of_a_paper_is_told(sqlite: Database, tmp_path: Path) -> None:
    sqlite.dispose()
    site, told = Site(tmp_path), {}

    def fate(who: str, paper: str, now: Any = MONDAY) -> str:
        said = site("explain", f"{who}@example.org", paper, "--json", now=now)
        assert said.code == 0, said.err
        told[said.json["kind"]] = said.json["words"]
        return said.json["kind"]

    began = MONDAY - WEEK
    announce(site, began - DAY, early=("Ants of old", "Ants."))
    for name in ("ada", "gone", "silent"):
        join(site, name, began)
    join(site, "asked", began, confirmed=False)
    announce(site, began + DAY, **PAPERS)
    site("profile", "like", "ada@example.org", id_of("known"), now=began + 2 * DAY)
    site("subscriber", "end", "gone@example.org", now=began + 2 * DAY)
    site("suppression", "add", "silent@example.org", now=began + 2 * DAY)

    assert fate("ada", id_of("best"), MONDAY - 2 * HOUR) == FateKind.WILL_COME
    site("subscriber", "pause", "ada@example.org", "--until", "2026-03-20", now=began + 2 * DAY)
    assert fate("ada", id_of("best"), began + 3 * DAY) == FateKind.PAUSED
    site("subscriber", "resume", "ada@example.org", now=began + 3 * DAY)

    site("publish", now=MONDAY)
    assert fate("ada", id_of("best")) == FateKind.ON_ITS_WAY
    site("deliver", now=MONDAY)
    assert fate("ada", id_of("best")) == FateKind.SENT
    assert {fate("ada", id_of("once")), fate("ada", id_of("twice"))} == {
        FateKind.SENT,
        FateKind.FOLDED,
    }
    [shown] = [e for e in site("edition", "list", "--json").json if e["subscriber"][:3] == "ada"]
    named = [id_ for paper in shown["papers"] for id_ in paper["similar"]]
    assert fate("ada", named[0]) == FateKind.FOLDED
    assert f"({named[0]})" in site("edition", "show", shown["id"]).out
    assert fate("ada", id_of("over")) == FateKind.OVER_BUDGET
    assert fate("ada", id_of("muted")) == FateKind.MUTED
    assert fate("ada", id_of("far")) == FateKind.NOT_GOOD_ENOUGH
    assert fate("ada", id_of("known")) == FateKind.KNOWN
    assert fate("ada", id_of("early")) == FateKind.BEFORE_FIRST_WINDOW
    assert fate("ada", "arxiv:2401.99999") == FateKind.NOT_INGESTED
    assert fate("asked", id_of("best")) == FateKind.NOT_CONFIRMED
    assert fate("gone", id_of("best")) == FateKind.ENDED
    assert fate("silent", id_of("best")) == FateKind.SKIPPED

    announce(site, MONDAY + DAY, late=("Late ants", "Ants."))
    site("publish", now=MONDAY + WEEK)
    site("deliver", now=MONDAY + 2 * WEEK + DAY)  # nobody delivered for a week: it expires
    assert fate("ada", id_of("late"), MONDAY + 2 * WEEK + DAY) == FateKind.NOT_DELIVERED
    assert set(FateKind) == set(told)
    assert all(told.values())
