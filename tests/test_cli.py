"""The command itself: what holds for every command, and how it says no."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commanding import ADA, MONDAY, PAPERS, Site, with_ada, with_papers

from digest import cli
from digest.store import Database

LISTS = (
    "source list",
    "source quarantine",
    "paper list",
    "paper trending",
    "paper search *",
    "subscriber list",
    "edition list",
    "delivery list",
    "bounce list",
    "suppression list",
    "bounce list",
)
REPORTS = (
    *("check", "doctor", "plugins", "stats", "ingest", "publish", "deliver", "run", "db current"),
    *(f"subscriber {verb} {ADA}" for verb in ("show", "why", "export")),
    *(f"profile {verb} {ADA}" for verb in ("show", "simulate")),
    *("paper show 9912.01000", "edition show 1", "delivery show 1", f"edition preview {ADA}"),
    f"explain {ADA} 9912.01000",
)


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return Site(tmp_path)


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one letter went out."""
    site = with_ada(with_papers(Site(tmp_path_factory.mktemp("lived"))))
    assert site("run").code == 0
    return site.folder


@pytest.fixture
def lived(lived_in: Path, tmp_path: Path) -> Site:
    return Site(Path(shutil.copytree(lived_in, tmp_path / "site")))


DIGEST = (sys.executable, "-c", "from digest.cli import main; main()")


def digest(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DIGEST_")}
    return subprocess.run(
        [*DIGEST, *words], capture_output=True, text=True, timeout=60, env=kept, **more
    )


# ---------------------------------------------------------------- what holds for all


@pytest.mark.parametrize("place", ["before", "after", "between", "equals"])
def test_global_options_may_stand_anywhere(site: Site, place: str) -> None:
    config = site.write("other.toml", '[site]\nname = "Elsewhere"\n')
    words = {
        "before": ["--config", config, "--now", "2026-01-01", "check", "--json"],
        "after": ["check", "--json", "--config", config, "--now", "2026-01-01"],
        "between": ["--now", "2026-01-01", "check", "--config", config, "--json"],
        "equals": ["check", f"--config={config}", "--now=2026-01-01", "--json"],
    }
    assert site(*words[place]).json["settings"]["site"]["name"] == "Elsewhere"


def test_a_global_option_between_group_and_command_is_taken_too(site: Site) -> None:
    assert site("paper", "--now", "2026-01-01", "list", "--json").json == []


def test_what_follows_two_dashes_is_no_global_option(site: Site) -> None:
    assert "'--now' is no address" in site("subscriber", "show", "--", "--now").fault


@pytest.mark.parametrize("command", [*LISTS, *REPORTS])
def test_json_is_one_document_on_stdout_and_nothing_else(lived: Site, command: str) -> None:
    said = lived(*command.split(), "--json")
    assert said.code == 0, said.err
    assert isinstance(said.json, dict | list)


@pytest.mark.parametrize("command", LISTS)
def test_every_list_takes_a_limit_and_zero_is_all(lived: Site, command: str) -> None:
    whole = lived(*command.split(), "--limit", 0, "--json").json
    assert whole[:1] == lived(*command.split(), "--limit", 1, "--json").json


def test_a_list_shows_fifty_rows_by_itself(lived: Site) -> None:
    rows = lived("paper", "list", "--json").json, lived("paper", "list", "--limit=0", "--json").json
    assert [len(found) for found in rows] == [50, 60]


@pytest.mark.parametrize("command", [*LISTS, *REPORTS])
def test_people_get_words_instead_of_json(lived: Site, command: str) -> None:
    said = lived(*command.split())
    assert (said.code, said.out.startswith(("{", "["))) == (0, "export" in command)
    assert said.out.strip()


def test_a_row_is_one_line_where_no_terminal_watches(lived: Site) -> None:
    assert len(lived("paper", "list", "--limit", 0).out.splitlines()) == 61


def test_the_clock_can_be_held_by_the_environment_and_the_option_wins(site: Site) -> None:
    with_papers(site)
    site("subscriber", "add", ADA, "--confirmed", "--now", "2026-01-01T00:00:00Z")
    assert site("subscriber", "show", ADA, "--json").json["created_at"] == "2026-01-01T00:00:00Z"


# ---------------------------------------------------------------- help


def commands() -> Iterator[list[str]]:
    """Every command and group, as words."""
    from typer.main import get_command

    from digest.cli.commands import app

    def walk(command: Any, words: list[str]) -> Iterator[list[str]]:
        yield words
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, [*words, name])

    return walk(get_command(app), [])


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_help_with_an_example(site: Site, words: list[str]) -> None:
    said = site(*words, "--help")
    assert (said.code, said.err) == (0, "")
    assert re.search(rf"Examples:\n +digest {' '.join(words)}", said.out)


def test_each_command_is_said_in_one_whole_line(site: Site) -> None:
    groups = [words for words in commands() if len(words) < 2]
    for words in groups:
        assert "..." not in site(*words, "--help").out.partition("Commands:")[2], words


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from digest.cli import run; assert run(['--help']) == 0; "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"sqlalchemy", "alembic", "httpx", "feedparser", "numpy", "scipy", "starlette"}
    heavy |= {"uvicorn", "jinja2", "aiosmtplib", "apscheduler", "pydantic", "lark"}
    assert heavy & set(said.stderr.split()) == set()


@pytest.mark.parametrize("asked", ["delivery list", "edition list", "subscriber list"])
def test_a_command_that_only_looks_waits_for_no_heavy_library(site: Site, asked: str) -> None:
    code = (
        f"import sys; from digest.cli import run; assert run({asked.split()}) == 0; "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    words = [sys.executable, "-c", code]
    own = site._environment(None, {})
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=own)
    heavy = {"alembic", "httpx", "feedparser", "numpy", "scipy", "starlette", "uvicorn", "jinja2"}
    assert heavy & set(said.stderr.split()) == set()


@pytest.mark.parametrize("words", [[], ["subscriber"]])
def test_a_group_alone_shows_its_help(site: Site, words: list[str]) -> None:
    said = site(*words)
    assert said.code == 2
    assert "Commands:" in said.out + said.err


def test_the_version_is_told(site: Site) -> None:
    from digest import __version__

    assert site("--version").out == f"paper-digest {__version__}\n"


# ---------------------------------------------------------------- no


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("papr list", "No such command 'papr'"),
        ("paper lst", "No such command 'lst'. Did you mean 'list'?; see `digest paper --help`"),
        ("paper list --jsn", "No such option: --jsn"),
        ("paper list --limit many", "see `digest paper list --help`"),
        ("paper list --limit -1", "greater than or equal to 0"),
        ("paper list --limit 99999999999999999999", "less than or equal to"),
        ("edition show 99999999999999999999", "less than or equal to"),
        ("delivery retry 99999999999999999999", "less than or equal to"),
        ("stats --days 99999999999", "less than or equal to"),
        ("paper trending --days 99999999999", "less than or equal to"),
        ("profile simulate ada.toml --weeks 999999", "less than or equal to"),
        ("subscriber show", "Missing argument 'EMAIL'"),
        ("subscriber show nobody@example.org", "see `digest subscriber list`"),
        ("subscriber why nobody@example.org", "see `digest subscriber list`"),
        ("edition list --subscriber nobody@example.org", "see `digest subscriber list`"),
        ("subscriber add nobody", "write one as in ada@example.org"),
        ("edition show 7", "no edition 7; see `digest edition list`"),
        ("delivery show 7", "no delivery 7; see `digest delivery list`"),
        ("delivery list --state lost", "there are queued, leased"),
        ("delivery resolve 7 --as lost", "there are sent, resend and drop"),
        ("paper show 1234.56789", "look for it with `digest paper search`"),
        ("paper search (", "query"),
        ("explain ada@example.org 1234.56789", "see `digest subscriber list`"),
        ("ingest nowhere", "no source named nowhere"),
        ("source check nowhere", "no source named nowhere"),
        ("source remove nowhere", "no such source"),
        ("source backfill nowhere --since yesterday", "is no ISO date or time"),
        ("source add lab --kind magic", "no kind 'magic'; there are: arxiv, "),
        ("source add lab --kind feed", "url: is missing"),
        ("source add lab --kind file --option path", "must be KEY=VALUE"),
        ("source add l@b --kind file --option path=x", "name: "),
        ("source add lab --kind file --option path=x --option timeout=-1", "timeout: "),
        ("suppression remove nobody@example.org", "see `digest suppression list`"),
        ("suppression add nobody", "is no address"),
        ("db restore nothing.db", "no file nothing.db"),
        ("subscriber import nothing.csv", "no file nothing.csv"),
        ("paper import nothing.jsonl", "no file nothing.jsonl"),
        ("profile lint nothing.toml", "no file nothing.toml"),
        ("profile simulate nothing.toml", "no file nothing.toml"),
        ("evaluate a b --run c", "no file a"),
        ("stats --now soon", "--now 'soon' is no ISO date or time"),
        ("stats --now 0001-01-01", "lies outside of 1970 to 2199"),
        ("stats --now 9999-12-31", "lies outside of 1970 to 2199"),
        ("stats --now", "--now wants a value, as in --now 2026"),
        ("stats --config", "--config wants a value"),
        ("stats --config nowhere.toml", "make one with `digest init`"),
        ("serve --no-web --no-work", "leave nothing to do"),
    ],
)
def test_a_refusal_is_one_line_with_the_mend_and_exit_code_2(
    site: Site, words: str, said: str
) -> None:
    ended = site(*words.split())
    assert ended.code == 2
    assert ended.fault.startswith("digest: ")
    assert said in ended.fault


def test_a_wrong_moment_in_the_environment_is_named_as_such(site: Site) -> None:
    assert site("stats", DIGEST_NOW="soon").fault.startswith("digest: $DIGEST_NOW 'soon'")


def test_all_faults_of_a_configuration_come_at_once_with_exit_code_2(site: Site) -> None:
    config = site.write("digest.toml", '[site]\nnme = "x"\nurl = "ftp://x"\n[smtp]\nport = 0\n')
    said = site("check", "--json", "--config", config)
    assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 3)
    assert "did you mean name?" in said.err


def test_debug_adds_the_traceback(site: Site) -> None:
    plain, more = (site("edition", "show", 7, *debug) for debug in ([], ["--debug"]))
    assert "Traceback" in more.err
    assert plain.err == more.err.splitlines(keepends=True)[-1]


def test_a_defect_of_ours_is_one_line_that_asks_for_a_report(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digest.store.papers.listed", lambda tx, limit: 1 / 0)
    said = site("paper", "list")
    assert said.code == 3
    assert said.fault.startswith("digest: ZeroDivisionError: division by zero; --debug shows where")


@pytest.mark.parametrize(
    "words",
    [
        ["paper", "show", "a\0b"],
        ["init", "a\0b"],
        ["profile", "lint", "\0"],
        ["--config", "\0", "stats"],
    ],
)
def test_a_nul_in_an_argument_is_refused(site: Site, words: list[str]) -> None:
    said = site(*words)
    assert (said.code, said.fault) == (2, "digest: an argument holds a NUL character; leave it out")


@pytest.mark.parametrize("noun", ["subscriber show", "paper show", "subscriber add", "stats --now"])
@pytest.mark.parametrize("odd", ["a\nb@example.org", "\x1b[31mred", "x" * 10_000_000, "\udcff"])
def test_an_odd_argument_makes_one_short_line(site: Site, noun: str, odd: str) -> None:
    said = site(*noun.split(), odd)
    assert said.code == 2
    assert len(said.fault) < 600
    assert "\x1b" not in said.fault


# ---------------------------------------------------------------- a broken ground


def test_a_database_in_a_missing_folder_is_exit_code_3(site: Site) -> None:
    said = site("stats", DIGEST_DATABASE__URL="sqlite:////nowhere/at/all/digest.db")
    assert (said.code, "no folder /nowhere/at/all; make it" in said.fault) == (3, True)


def test_a_file_that_is_no_database_is_exit_code_3(site: Site) -> None:
    path = site.write("junk.db", "hello, I am a letter to my aunt")
    said = site("stats", DIGEST_DATABASE__URL=f"sqlite:///{path}")
    assert (said.code, "names a file of another kind" in said.fault) == (3, True)


def test_a_locked_database_is_exit_code_3(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Database.__init__.__kwdefaults__, "busy", 0.05)
    other = sqlite3.connect(site.folder / "digest.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    said = site("subscriber", "add", ADA)
    other.close()
    assert (said.code, "another process holds it" in said.fault) == (3, True)


@pytest.fixture
def read_only(site: Site) -> Iterator[Path]:
    """A database that nobody may write; for root too, by being somebody else meanwhile."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(site.folder / "digest.db", folder)
    folder.chmod(0o555)
    (folder / "digest.db").chmod(0o444)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield folder / "digest.db"
    if was == 0:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_database_is_exit_code_3(site: Site, read_only: Path) -> None:
    said = site("subscriber", "add", ADA, DIGEST_DATABASE__URL=f"sqlite:///{read_only}")
    assert (said.code, "mend its owner or mode" in said.fault) == (3, True)


def test_a_schema_of_a_newer_version_is_exit_code_3_for_all_but_looking(site: Site) -> None:
    with sqlite3.connect(site.folder / "digest.db") as tx:
        tx.execute("UPDATE alembic_version SET version_num = '9999'")
    tx.close()
    for words in (["stats"], ["db", "upgrade"]):
        said = site(*words)
        assert (said.code, "install the newer version" in said.fault) == (3, True)
    assert site("db", "current").code == 1


# ---------------------------------------------------------------- as a process


def test_a_reader_who_goes_away_is_no_reason_to_complain(lived: Site) -> None:
    environment = {"DIGEST_DATABASE__URL": f"sqlite:///{lived.folder / 'digest.db'}"}
    listing = shlex.join([*DIGEST, "paper", "list", "--limit", "0", "--json"])
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {listing} | head -1"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, "[\n", "")


def test_a_full_disk_behind_stdout_is_exit_code_3(lived: Site) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*DIGEST, "profile", "example"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ended.returncode, ended.stderr) == (3, "digest: system: No space left on device\n")


def test_a_terminal_that_cannot_show_a_letter_gets_another_spelling(lived: Site) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    url = f"sqlite:///{lived.folder / 'digest.db'}"
    ended = subprocess.run(
        [*DIGEST, "edition", "show", "1"],
        env={**os.environ, **environment, "DIGEST_DATABASE__URL": url},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\xb7" in ended.stdout


def test_a_folder_without_a_site_is_not_littered_by_looking_at_a_profile(tmp_path: Path) -> None:
    example = digest("profile", "example", cwd=tmp_path).stdout
    (tmp_path / "ada.toml").write_text(example)
    ended = digest("profile", "lint", "ada.toml", cwd=tmp_path)
    assert (ended.returncode, [path.name for path in tmp_path.iterdir()]) == (0, ["ada.toml"])


def test_a_folder_without_a_site_is_told_before_a_database_begins_in_it(tmp_path: Path) -> None:
    first, second = (digest("paper", "list", "--json", cwd=tmp_path) for _ in range(2))
    assert (first.stdout, second.stdout) == ("[]\n", "[]\n")
    assert first.stderr.startswith("no configuration here: defaults are in force")
    assert second.stderr == ""


def test_interrupting_says_so_and_ends_with_130(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(tx: object, limit: int) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("digest.store.papers.listed", interrupted)
    said = site("paper", "list")
    assert (said.code, said.fault) == (130, "digest: interrupted; what was done is kept")


def test_main_ends_the_process_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["digest", "profile", "example"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0


def test_the_shapes_that_scripts_rely_on(lived: Site) -> None:
    """The keys of CONTRACT, one by one."""
    [edition] = lived("edition", "list", "--json").json
    [delivery] = lived("delivery", "list", "--json").json
    paper = lived("paper", "list", "--limit", 1, "--json").json[0]
    passed = lived("run", "--json", now=MONDAY).json
    assert {"id", "subscriber", "since", "until", "state", "reason", "papers"} <= edition.keys()
    assert {"id", "section", "score", "reasons"} <= edition["papers"][0].keys()
    known = {"id", "kind", "subscriber", "edition", "state", "reason", "attempts", "code", "text"}
    assert known | {"message_id"} <= delivery.keys()
    known = {"id", "title", "abstract", "authors", "categories", "date", "links", "signals"}
    assert known <= paper.keys()
    assert passed == {"ingest": [], "publish": {"queued": 0, "skipped": {}}, "deliver": {}}


def test_what_ingest_reports_has_the_keys_that_scripts_rely_on(site: Site) -> None:
    sources = json.dumps([{"name": "lab", "kind": "file", "path": str(PAPERS)}])
    [row] = site("ingest", "--json", DIGEST_SOURCES=sources).json
    counts = {"fetched": 60, "new": 60, "revised": 0, "backfilled": 0, "quarantined": 0}
    assert row == {"source": "lab", "verdict": "ok", "message": ""} | counts
