"""What a reader says of one letter's papers is heard in the next letter."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import quote

from commanding import ADA, MONDAY, Site
from visiting import visitor

from digest.links import Links
from digest.store import Database

DAY, WEEK = timedelta(days=1), timedelta(days=7)
BEN, URL = "ben@example.org", "http://127.0.0.1:8080"
WANTS = {  # a weak word that lets all three kinds in, and leaves room for what is said of them
    "interest": [{"name": "Insects", "terms": ["insects^0.3"]}],
    "floor": "relaxed",
    "trending": 0,
}
TEXTS = {
    "ants": "Pheromone trails of leafcutter ants guide foraging workers underground in the nest.",
    "bees": "Honeybees waggle dance tells the hive where nectar and blossoming meadows are.",
    "wasps": "Paper comb walls in which potter larvae grow, as seen by tomography in the lab.",
}


def id_of(kind: str, week: int) -> str:
    return f"arxiv:2603.{[*TEXTS].index(kind)}000{week}"


def announce(site: Site, week: int) -> None:
    """A paper of each kind, other ones each week, with votes that put bees first and ants last."""
    rows: list[dict[str, Any]] = [
        {"id": id_of(kind, week), "title": f"Insects {week}: {kind}", "abstract": text}
        for kind, text in TEXTS.items()
    ]
    rows[1]["signals"], rows[2]["signals"] = {"upvotes": 40}, {"upvotes": 10}
    rows += [{"title": f"Lemma {week}.{n}", "abstract": "Sums."} for n in range(60)]
    file = site.write("papers.jsonl", "\n".join(map(json.dumps, rows)))
    assert site("paper", "import", file, now=MONDAY + (week - 1) * WEEK + DAY).code == 0


def letters(site: Site, week: int) -> dict[str, list[str]]:
    """{reader: the kinds in the letter that closes this week, in its order}."""
    announce(site, week)
    for verb in ("publish", "deliver"):
        assert site(verb, now=MONDAY + week * WEEK).code == 0
    kinds, until = {id_of(kind, week): kind for kind in TEXTS}, MONDAY + week * WEEK
    made = (e for e in site("edition", "list", "--json").json if e["until"][:10] == f"{until:%F}")
    return {e["subscriber"]: [kinds[paper["id"]] for paper in e["papers"]] for e in made}


def address(site: Site, kind: str, say: str) -> str:
    """The link in ada's first letter by which she says `say` of the paper of this kind."""
    parsed = (message_from_bytes(p.read_bytes(), policy=policy.default) for p in site.letters())
    [letter] = (one for one in parsed if one["To"] == ADA)
    body = letter.get_body(("plain",))
    assert body is not None
    named = re.escape(quote(id_of(kind, 1), safe=""))
    [path] = re.findall(rf"{URL}(/f/\S+{named}&{say})\b", body.get_content())
    return str(path)


def test_the_next_letter_has_the_liked_kind_first_and_the_disliked_kind_not_at_all(
    sqlite: Database, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.environment["DIGEST_DATABASE__URL"] = str(sqlite.engine.url)
    for email in (ADA, BEN):
        row = {"email": email, "profile": WANTS, "consent": "asked"}
        file = site.write("p.jsonl", json.dumps({**row, "confirmed_at": MONDAY.isoformat()}))
        assert site("subscriber", "import", file).code == 0
    usual = ["bees", "wasps", "ants"]
    assert letters(site, 1) == {ADA: usual, BEN: usual}

    browser = visitor(sqlite, links=Links("k" * 40, URL))
    for kind, say in (("ants", "more"), ("bees", "less")):
        asking = browser.get(address(site, kind, say)).text
        paper, *_ = re.findall(r'name="paper" value="([^"]+)"', asking)
        there = address(site, kind, say).partition("?")[0]
        answer = browser.post(there, {"paper": html.unescape(paper), "say": say})
        assert answer.status_code == 200
    assert letters(site, 2) == {ADA: ["ants", "wasps"], BEN: usual}
