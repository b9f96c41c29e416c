"""Two real months, day by day, through the command: what six people got, and that none got more."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from relays import relay
from replaying import replaying

from digest import cadence, cli
from digest.model import Cadence, Frequency

FIRST, LAST = date(2025, 9, 1), date(2025, 10, 31)
HOUR = 12  # UTC, when `digest run` is called each day
SOME = ["cs.RO", "cs.GR", "cs.IR", "cs.SD", "cs.LG", "eess.AS"]  # a fifth of the papers
REST = ["cs.CL", "cs.CV", "cs.AI", "eess.IV"]
NIGHTLY = settings().max_examples > 1000
CATEGORIES = [*SOME, *REST] if NIGHTLY else SOME
READERS = {
    "berlin@example.org": ("daily", None, 8, "Europe/Berlin", ["retrieval", "language models"]),
    "angeles@example.org": ("daily", None, 4, "America/Los_Angeles", ["robot learning"]),
    "utc@example.org": ("weekly", "monday", 8, "UTC", ["diffusion", "video generation"]),
    "tokyo@example.org": ("weekly", "friday", 9, "Asia/Tokyo", ["speech recognition"]),
    "london@example.org": ("monthly", 1, 7, "Europe/London", ["reasoning", "reinforcement"]),
    "sydney@example.org": ("monthly", "last", 20, "Australia/Sydney", ["segmentation"]),
}


def profile(frequency: str, day: object, hour: int, zone: str, terms: list[str]) -> dict:
    when = {"cadence": frequency, "hour": hour, "zone": zone} | ({"day": day} if day else {})
    return when | {"budget": 10, "interest": [{"name": "Work", "terms": terms}]}


def configuration(folder: Path, replay_url: str, smtp_port: int) -> Path:
    path = folder / "digest.toml"
    path.write_text(f"""
[database]
url = "sqlite:///{folder / "digest.db"}"
[smtp]
port = {smtp_port}
[[sources]]
name = "arxiv"
kind = "arxiv"
categories = {json.dumps(CATEGORIES)}
base_url = "{replay_url}"
[[sources]]
name = "hf"
kind = "huggingface"
base_url = "{replay_url}"
""")
    return path


class Site:
    """The command, with its configuration and a clock in the hand."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.capsys = str(config), capsys

    def __call__(self, *words: str, now: datetime) -> object:
        code = cli.run([*words, "--json", "--config", self.config, "--now", now.isoformat()])
        out, err = self.capsys.readouterr()
        assert code in {0, 1}, err
        return json.loads(out)


@pytest.fixture(scope="module")
def days() -> list[datetime]:
    span = (LAST - FIRST).days + 1
    return [datetime(2025, 9, 1, HOUR, tzinfo=UTC) + timedelta(days=n) for n in range(span)]


def slots(frequency: str, day: object, hour: int, zone: str, end: datetime) -> int:
    """How many windows of this person close in the two months."""
    index = {"monday": 0, "friday": 4, "last": -1, 1: 1, None: 0}[day]
    kind = Cadence(Frequency(frequency), index, hour, zone)
    at, found = datetime(2025, 9, 1, tzinfo=UTC), 0
    while (at := cadence.next_slot(kind, at)) <= end:
        found += 1
    return found


def test_two_months_give_each_reader_one_edition_a_period_and_no_work_twice(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], days: list[datetime]
) -> None:
    with replaying(shared, "2025-09-01") as replay, relay() as sink:
        site = Site(configuration(tmp_path, replay.url, sink.port), capsys)
        people = tmp_path / "people.jsonl"
        people.write_text(
            "".join(
                json.dumps(
                    {
                        "email": email,
                        "profile": profile(*wish),
                        "confirmed_at": "2025-09-01T00:00:00Z",
                        "consent": "asked in person",
                    }
                )
                + "\n"
                for email, wish in READERS.items()
            )
        )
        site("subscriber", "import", str(people), now=days[0])
        for number, day in enumerate(days):
            replay.day = f"{day:%Y-%m-%d}"
            site("run", now=day)
            if number % 7 == 0:  # running any instant again does nothing
                again = site("run", now=day)
                assert again["publish"] == {"queued": 0, "skipped": {}}
                assert not any(again["deliver"].values())
                assert sum(report["new"] for report in again["ingest"]) == 0
        editions = site("edition", "list", "--limit", "0", now=days[-1])
        known = site("paper", "list", "--limit", "0", now=days[-1])
        letters = site("delivery", "list", "--limit", "0", now=days[-1])
        announced = {
            f"arxiv:{paper['id']}"
            for paper in replay.papers
            if "2025-09-01" <= paper["date"] <= "2025-10-31"
            and set(CATEGORIES) & set(paper["cats"])
        }
        accepted = Counter(row["rcpt"] for row in sink.accepted)

    assert announced - {paper["id"] for paper in known} == set()
    for email, wish in READERS.items():
        mine = sorted((e for e in editions if e["subscriber"] == email), key=lambda e: e["until"])
        assert len(mine) == slots(*wish[:4], end=days[-1])
        assert all(a["until"] == b["since"] for a, b in pairwise(mine))  # windows tile
        works = Counter(paper["id"] for edition in mine for paper in edition["papers"])
        assert works and max(works.values()) == 1
        assert accepted[email] == sum(edition["state"] == "queued" for edition in mine)
    assert {letter["state"] for letter in letters} == {"accepted"}
