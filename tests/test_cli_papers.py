"""`digest paper` and `source`: what was announced, and where."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from commanding import HOUR, MONDAY, PAPERS, Site, with_papers
from replaying import replaying

from digest.store import Database

PAPER = "arxiv:9912.01000"


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return Site(tmp_path)


# ---------------------------------------------------------------- papers


def test_what_is_exported_can_be_imported(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with_papers(site)
    rows = site("paper", "list", "--limit", 0, "--json").json
    other = Site(tmp_path_factory.mktemp("other"))
    exported = other.write("all.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert other("paper", "import", exported, "--json").json["new"] == 60
    again = other("paper", "list", "--limit", 0, "--json").json
    kept = ("id", "title", "abstract", "authors", "categories", "date", "links", "signals")
    strip = [
        sorted(json.dumps({k: row[k] for k in kept}) for row in found) for found in (rows, again)
    ]
    assert strip[0] == strip[1]


def test_papers_that_are_imported_twice_are_known(site: Site) -> None:
    with_papers(site)
    assert site("paper", "import", PAPERS).out == "0 new, 60 known, 0 revised, 0 bad\n"


def test_papers_are_read_from_stdin_too(site: Site) -> None:
    said = site("paper", "import", "-", stdin='{"title": "One"}\n{"title": "Two"}\n')
    assert (said.code, said.out) == (0, "2 new, 0 known, 0 revised, 0 bad\n")


def test_bad_lines_are_listed_and_the_rest_goes_in(site: Site) -> None:
    lines = (
        b'{"title": "One"}\n',
        b"nonsense\n",
        '{"title": "caf\u00e9"}\n'.encode("latin-1"),
        b'{"title": 5}\n',
        b'{"title": "Two"}',
    )
    file = site.write("papers.jsonl", b"".join(lines))
    said = site("paper", "import", file)
    assert (said.code, said.out) == (1, "2 new, 0 known, 0 revised, 3 bad\n")
    assert [line.partition(": ")[0] for line in said.err.splitlines()] == [
        f"{file}:{number}" for number in (2, 3, 4)
    ]
    assert ":3: is not UTF-8" in said.err


def test_a_line_of_ten_megabytes_is_one_bad_line(site: Site) -> None:
    long = b'{"title": "' + b"x" * 10_000_000 + b'"}\n'
    said = site("paper", "import", site.write("p.jsonl", long + b'{"title": "One"}\n'))
    assert (said.code, said.out) == (1, "1 new, 0 known, 0 revised, 1 bad\n")
    assert len(said.err) < 500


def test_a_title_cannot_speak_to_the_terminal(site: Site) -> None:
    row = {"title": "Red \x1b[31malarm\x07 <b>bold</b>\x00 [red]", "id": "doi:10.1/x\x1b"}
    site("paper", "import", site.write("p.jsonl", json.dumps({"title": row["title"]}) + "\n"))
    for words in (["list"], ["search", "alarm"], ["trending"], ["list", "--json"]):
        assert not {"\x1b", "\x07", "\x00"} & set(site("paper", *words).out)


@pytest.mark.parametrize(
    "spelled", ["9912.01000", "arXiv:9912.01000v3", PAPER, "https://arxiv.org/pdf/9912.01000v2"]
)
def test_a_paper_is_found_by_any_spelling_of_its_id(site: Site, spelled: str) -> None:
    with_papers(site)
    assert site("paper", "show", spelled, "--json").json["id"] == PAPER
    assert site("paper", "show", spelled).out.startswith(
        "Message Passing That Knows When to Stop\n"
    )


def test_papers_are_searched_by_a_query_as_in_a_profile(site: Site) -> None:
    with_papers(site)
    found = site("paper", "search", 'ti:"message passing" AND NOT molecul*', "--json").json
    assert [paper["id"] for paper in found] == [PAPER]
    assert site("paper", "search", "zzz").out == "no paper meets that query\n"


def test_papers_trend_by_their_votes(site: Site) -> None:
    with_papers(site)
    votes = [p["signals"]["upvotes"] for p in site("paper", "trending", "--json").json]
    assert (len(votes), votes) == (20, sorted(votes, reverse=True))


# ---------------------------------------------------------------- sources


def added(site: Site, name: str = "lab", **options: object) -> None:
    words = [f"--option={key}={value}" for key, value in options.items()]
    said = site("source", "add", name, "--kind", "file", *words)
    assert said.code == 0, said.err


def test_a_source_that_is_added_is_asked_and_listed(site: Site) -> None:
    added(site, path=PAPERS)
    assert site("source", "list", "--json").json[0]["verdict"] is None
    [report] = site("ingest", "--json").json
    assert (report["source"], report["verdict"], report["new"]) == ("lab", "ok", 60)
    [row] = site("source", "list", "--json").json
    assert (row["name"], row["verdict"], row["options"]) == ("lab", "ok", {"path": str(PAPERS)})
    assert len(row["history"]) == 1


def test_each_bad_day_is_listed_and_whether_it_ended_well(site: Site) -> None:
    added(site, path="/nowhere")
    site("ingest", now=MONDAY - timedelta(days=2))
    site("ingest", now=MONDAY)
    site("ingest", now=MONDAY + HOUR)
    [row] = site("source", "list", "--json").json
    told = [(day["day"], day["verdict"], day["fetches"], day["mended"]) for day in row["bad_days"]]
    assert told == [("2026-03-09", "refused", 2, False), ("2026-03-07", "refused", 1, False)]
    assert "/nowhere" in row["bad_days"][0]["message"]


def test_a_bad_day_that_ended_well_says_so(site: Site) -> None:
    added(site, path=site.folder / "later.jsonl")
    site("ingest")
    site.write("later.jsonl", '{"title": "One"}')
    site("ingest", now=MONDAY + HOUR)
    [row] = site("source", "list", "--json").json
    assert [day["mended"] for day in row["bad_days"]] == [True]


def test_options_that_hold_several_values_are_given_with_commas(site: Site) -> None:
    option = "--option=subjects=neuroscience,cell biology"
    assert site("source", "add", "bio", "--kind", "biorxiv", option).code == 0
    [row] = site("source", "list", "--json").json
    assert row["options"] == {"subjects": ["neuroscience", "cell biology"]}


def test_a_source_takes_its_bounds_by_command_too(site: Site) -> None:
    added(site, path=PAPERS, max_bytes=100)
    assert site("ingest", "--json").json[0]["verdict"] == "too_large"


def test_whole_numbers_and_lists_of_options_come_as_such(site: Site) -> None:
    assert site("source", "add", "hf", "--kind", "huggingface", "--option", "limit=7").code == 0
    words = ("--kind", "arxiv", "--option", "categories=cs.LG, stat.ML")
    assert site("source", "add", "ml", *words).code == 0
    options = {row["name"]: row["options"] for row in site("source", "list", "--json").json}
    assert options == {"hf": {"limit": 7}, "ml": {"categories": ["cs.LG", "stat.ML"]}}


def test_two_sources_cannot_have_one_name(site: Site) -> None:
    added(site, path=PAPERS)
    again = site("source", "add", "lab", "--kind", "file", "--option", "path=x")
    assert (again.code, "there is a source lab already" in again.fault) == (2, True)


def test_a_source_that_is_removed_leaves_its_papers(site: Site) -> None:
    added(site, path=PAPERS)
    site("ingest")
    assert site("source", "remove", "lab").code == 0
    assert site("source", "list", "--json").json == []
    assert len(site("paper", "list", "--limit", 0, "--json").json) == 60


def test_a_source_of_the_configuration_is_not_removed_by_command(site: Site) -> None:
    sources = json.dumps([{"name": "lab", "kind": "file", "path": str(PAPERS)}])
    said = site("source", "remove", "lab", DIGEST_SOURCES=sources)
    assert (said.code, "it stands in the configuration" in said.fault) == (2, True)


def test_checking_a_source_stores_nothing(site: Site) -> None:
    added(site, path=PAPERS)
    said = site("source", "check", "lab")
    assert (said.code, said.out.splitlines()[0]) == (0, "lab: ok: 60 papers, 60 unknown")
    assert site("source", "check", "lab", "--json").json["unknown"] == 60
    assert site("paper", "list", "--json").json == []
    assert site("source", "list", "--json").json[0]["verdict"] is None


def test_checking_a_source_that_is_not_well_ends_with_1(site: Site) -> None:
    added(site, path="/nowhere")
    assert site("source", "check", "lab").code == 1


def test_entries_that_could_not_be_read_are_in_quarantine(site: Site) -> None:
    added(site, path=site.write("papers.jsonl", '{"title": "One"}\nnonsense\n'))
    site("ingest")
    [row] = site("source", "quarantine", "--source", "lab", "--json").json
    assert (row["source"], row["raw"]) == ("lab", "nonsense\n")
    assert "line 2" in row["reason"]
    assert "is no JSON" in site("source", "quarantine").out


def test_what_a_removed_source_left_in_quarantine_is_listed_by_a_retry(site: Site) -> None:
    added(site, path=site.write("papers.jsonl", '{"title": "One"}\nnonsense\n'))
    site("ingest")
    site("source", "remove", "lab")
    said = site("source", "quarantine", "--retry", "--json")
    assert (said.code, said.json["still"][0]["source"]) == (1, "lab")
    assert "no source has this name" in said.json["still"][0]["reason"]


def test_a_source_without_a_past_cannot_be_asked_for_it(site: Site) -> None:
    added(site, path=PAPERS)
    said = site("source", "backfill", "lab", "--since", "2026-03-01")
    assert (said.code, "kind file cannot backfill" in said.fault) == (2, True)


def test_the_past_is_fetched_where_a_source_has_one(site: Site, shared: Path) -> None:
    with replaying(shared, "2025-09-12") as replay:
        words = ("--option", "categories=cs.RO", "--option", f"base_url={replay.url}")
        site("source", "add", "ro", "--kind", "arxiv", *words)
        said = site(
            *("source", "backfill", "ro", "--since", "2025-09-10", "--until", "2025-09-11"),
            "--json",
        )
    assert (said.code, said.json["verdict"]) == (0, "ok")
    assert said.json["new"] == said.json["backfilled"] > 0


def test_days_in_the_wrong_order_are_refused(site: Site) -> None:
    added(site, path=PAPERS)
    said = site("source", "backfill", "lab", "--since", "2026-03-02", "--until", "2026-03-01")
    assert (said.code, "lies after" in said.fault) == (2, True)
