"""`digest init`, `check`, `doctor`, `plugins`, `evaluate`: from nothing to a site that runs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from commanding import ADA, HOUR, MONDAY, PAPERS, Site, with_ada, with_papers

from digest.store import Database
from digest.transports.catcher import Catcher
from digest.transports.probe import Met, probe
from digest.transports.smtp import Relay, SmtpTransport


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return Site(tmp_path)


# ---------------------------------------------------------------- init


def test_init_makes_a_folder_that_is_ready_to_run(site: Site) -> None:
    said = site("init", site.folder / "new")
    made = sorted(path.name for path in (site.folder / "new").iterdir())
    assert (said.code, made) == (0, ["digest.db", "digest.secret", "digest.toml"])
    assert (site.folder / "new" / "digest.secret").stat().st_mode & 0o077 == 0
    config = tomllib.loads((site.folder / "new" / "digest.toml").read_text())
    assert [source["kind"] for source in config["sources"]] == ["arxiv", "huggingface"]


def test_init_refuses_a_name_that_no_address_of_a_database_can_hold(site: Site) -> None:
    assert "choose another name" in site("init", site.folder / "what?").fault
    assert not (site.folder / "what?").exists()


def test_every_line_that_init_tells_people_to_type_is_a_command(site: Site) -> None:
    folder = site.folder / "new"
    typed = [line.split("digest ", 1)[1] for line in site("init", folder).out.splitlines()[1:]]
    assert [line.split()[0] for line in typed] == ["check", "subscriber", "run", "serve"]


def test_init_overwrites_nothing(site: Site) -> None:
    config = site.write("digest.toml", "# mine\n")
    assert "nothing was changed" in site("init", site.folder).fault
    assert config.read_text() == "# mine\n"


@pytest.mark.parametrize("name", ['with "quotes"', "with back\\slash", "mit Größe", "with space"])
def test_init_takes_a_folder_of_any_name(site: Site, name: str) -> None:
    folder = site.folder / name
    assert site("init", folder).code == 0
    assert site("check", "--config", folder / "digest.toml").code == 0


# ---------------------------------------------------------------- check


def test_check_shows_what_is_in_force_and_no_secret(site: Site) -> None:
    said = site("check", "--json", DIGEST_SMTP_PASSWORD="hunter2")
    assert (said.code, "hunter2" in said.out, "k" * 40 in said.out) == (0, False, False)
    assert {finding["state"] for finding in said.json["findings"]} == {"fine"}
    assert said.json["settings"]["mail"]["from"] == "Paper Digest <digest@example.org>"


def test_check_ends_with_1_where_a_part_does_not_work(site: Site) -> None:
    sources = json.dumps([{"name": "lab", "kind": "magic"}])
    said = site("check", DIGEST_SOURCES=sources)
    assert said.code == 1
    assert "no kind 'magic'" in said.out


# ---------------------------------------------------------------- doctor


def findings(site: Site, **environment: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in site("doctor", "--json", **environment).json["findings"]:
        found.setdefault(finding["part"], []).append(finding)
    return found


def states(found: list[dict[str, Any]]) -> set[str]:
    return {finding["state"] for finding in found}


def test_every_finding_that_is_not_fine_comes_with_its_fix(site: Site) -> None:
    said = site("doctor", "--json").json
    assert [f for f in said["findings"] if (f["state"] == "fine") != (f["fix"] == "")] == []
    assert "DNS" in said["not_checked"]


def test_a_site_in_order_is_told_so(site: Site) -> None:
    config = site.write(
        "digest.toml",
        '[site]\nurl = "https://digest.example.org"\npostal_address = "1 Example Street"\n'
        'operator = "ops@example.org"\n[mail]\nbounce_domain = "bounces.example.org"\n'
        '[[sources]]\nname = "lab"\nkind = "file"\n'
        f'path = "{PAPERS}"\n',
    )
    site("ingest", "--config", config)
    found = findings(site, DIGEST_CONFIG=str(config))
    assert {part for part, of in found.items() if states(of) != {"fine"}} == {"clock", "relay"}
    assert "held at" in found["clock"][0]["message"]
    assert "a rehearsal" in found["relay"][0]["message"]


def test_a_relay_that_is_not_there_is_wrong(site: Site) -> None:
    said = site("doctor", DIGEST_SMTP__MAILDIR="", DIGEST_SMTP__PORT="1")
    assert said.code == 1
    assert "! relay          127.0.0.1:1: " in said.out


@contextmanager
def unlocked_clock(site: Site) -> Iterator[None]:
    """The wall's clock, for commands that say something of it."""
    usual = Site._environment

    def without(self: Site, *given: Any) -> dict[str, str]:
        return {k: v for k, v in usual(self, *given).items() if k != "DIGEST_NOW"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Site, "_environment", without)
        yield


def test_a_clock_that_is_behind_what_is_stored_is_wrong(site: Site) -> None:
    site("paper", "import", PAPERS, now=MONDAY + timedelta(days=20_000))
    with unlocked_clock(site):
        assert states(findings(site)["clock"]) == {"wrong"}


def test_what_is_long_overdue_asks_whether_anybody_works(site: Site) -> None:
    with_ada(with_papers(site))
    late = findings(site, DIGEST_NOW=(MONDAY + 5 * HOUR).isoformat())["work"]
    assert [f["message"] for f in late] == ["due for more than an hour: 1 edition"]


def test_a_source_that_was_never_asked_is_odd_and_one_long_silent_is_wrong(site: Site) -> None:
    sources = json.dumps([{"name": "lab", "kind": "file", "path": "/nowhere"}])
    assert states(findings(site, DIGEST_SOURCES=sources)["sources"]) == {"odd"}
    site("ingest", DIGEST_SOURCES=sources)
    assert states(findings(site, DIGEST_SOURCES=sources)["sources"]) == {"wrong"}


def test_a_zone_that_is_not_known_here_is_wrong(site: Site) -> None:
    site("subscriber", "add", ADA)
    with closing(sqlite3.connect(site.folder / "digest.db")) as tx:
        tx.execute("UPDATE subscribers SET zone = 'Mars/Olympus'")
        tx.commit()
    assert states(findings(site)["zones"]) == {"wrong"}


def test_a_database_that_cannot_be_read_is_one_finding_among_others(site: Site) -> None:
    site.write("digest.db", "no database")
    found = findings(site)
    assert (states(found["database"]), states(found["templates"])) == ({"wrong"}, {"fine"})


# ---------------------------------------------------------------- the relay, met


def met(relay: Relay) -> Met:
    return asyncio.run(probe(SmtpTransport(relay)))


def test_a_relay_says_what_it_offers_and_is_sent_nothing() -> None:
    async def ask() -> tuple[Met, int]:
        async with Catcher() as catcher:
            found = await probe(SmtpTransport(Relay("127.0.0.1", catcher.port, security="none")))
            return found, len(catcher.caught)

    found, letters = asyncio.run(ask())
    assert (found.fault, found.encrypted, letters) == ("", False, 0)
    assert {"8BITMIME", "SMTPUTF8", "SIZE"} <= set(found.offers)


def test_a_relay_without_the_tls_that_is_required_cannot_be_used() -> None:
    async def ask() -> Met:
        async with Catcher() as catcher:
            relay = Relay("127.0.0.1", catcher.port, security="starttls")
            return await probe(SmtpTransport(relay))

    found = asyncio.run(ask())
    assert (found.offers, "STARTTLS" in found.fault) == ((), True)


def test_nobody_there_is_a_fault_in_one_line() -> None:
    found = met(Relay("127.0.0.1", 1, security="none"))
    assert (found.offers, len(found.fault.splitlines())) == ((), 1)


# ---------------------------------------------------------------- plug-ins, evaluation


def test_the_kinds_that_are_installed_are_told(site: Site) -> None:
    names = {row["name"] for row in site("plugins", "--json").json}
    assert {"feed", "arxiv", "huggingface", "file", "smtp", "maildir"} <= names


def test_evaluation_writes_a_run_and_measures_it(site: Site) -> None:
    papers = [json.loads(line) for line in PAPERS.read_text().splitlines()]
    for number, paper in enumerate(papers):
        paper["new"] = number % 2 == 0
    file = site.write("papers.jsonl", "".join(json.dumps(p) + "\n" for p in papers))
    likes = [p["id"] for p in papers if not p["new"] and "graph" in p["abstract"].lower()]
    readers = site.write("readers.jsonl", json.dumps({"reader": "r1", "likes": likes}) + "\n")
    wanted = [p["id"] for p in papers if p["new"] and "graph" in p["abstract"].lower()]
    qrels = site.write("qrels.txt", "".join(f"r1 0 {id_} 1\n" for id_ in wanted))
    run = site.folder / "out.trec"
    said = site("evaluate", file, readers, "--run", run, "--qrels", qrels, "--json")
    assert (said.code, said.json["recall@50"]) == (0, 1.0)
    lines = [line.split() for line in run.read_text().splitlines()]
    assert [line[3] for line in lines] == [str(rank) for rank in range(1, len(lines) + 1)]
    assert {(line[0], line[1], line[5]) for line in lines} == {("r1", "Q0", "digest")}
    assert "NDCG@10" in site("evaluate", file, readers, "--run", run, "--qrels", qrels).out
