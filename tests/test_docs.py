"""What the documentation says is so: examples run, links lead somewhere, lists are whole."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from digest.cli import run
from digest.model import DeliveryState, SkipReason, Verdict

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SAMPLE = ROOT / "digest" / "cli" / "sample"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)  # when the first example of a page is typed


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the file name beside it if there is one, and its text."""

    page: str
    line: int
    language: str
    name: str
    text: str


@cache
def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page.name, text[: m.start()].count("\n") + 1, m[1], m[2], m[3])
        for m in re.finditer(r"^```(\w+) ?(\S*)\n(.*?)^```$", text, re.M | re.S)
    ]


def files(page: Path) -> dict[str, str]:
    """{file name: text} of the files that a page shows."""
    return {block.name: block.text for block in blocks(page) if block.name}


# ------------------------------------------------------------------ examples that run

NOT_HERE = {
    *("digest serve", "digest bounce lmtp"),  # they never end
    "digest source backfill",  # it needs the network
}
MAY_LIST_FAILURES = {"digest delivery retry", "digest delivery resolve"}  # nothing to retry here


def sandbox(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, a clock in the hand, sources and a mailbox that are files."""
    papers = str(SAMPLE / "papers.jsonl")
    sources = [{"name": name, "kind": "file", "path": papers} for name in ("arxiv-ml", "hf")]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DIGEST_SOURCES", json.dumps(sources))
    monkeypatch.setenv("DIGEST_SMTP__MAILDIR", str(folder / "letters"))


def lines(page: Path) -> Iterator[tuple[str, int, str]]:
    """(page, line, what is typed) of every example, file names to be written first included."""
    for block in blocks(page):
        if block.language == "console":
            for offset, line in enumerate(block.text.splitlines(), 1):
                if line.startswith("$ "):
                    yield block.page, block.line + offset, line[2:]


def words_of(command: str) -> list[str]:
    """A command as the shell would split it, without its remark."""
    return shlex.split(command, comments=True)


def type_it(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Do what a shell would for `a && b > file`; "" or what went wrong."""
    for part in line.split(" && "):
        command, _, target = part.partition(" > ")
        words = words_of(command)
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
        elif words[0] == "digest" and not any(command.startswith(name) for name in NOT_HERE):
            code = run(words[1:])
            said = capsys.readouterr()
            if target:
                Path(target.strip()).write_text(said.out)
            listed = any(command.startswith(name) for name in MAY_LIST_FAILURES)
            if code not in ({0, 1} if listed else {0}):
                return f"ended with {code}: {said.err or said.out}"
    return ""


def walk(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Type a page from top to bottom; what went wrong, line by line."""
    written = files(page)
    wrong = []
    for minute, (name, number, line) in enumerate(lines(page)):
        monkeypatch.setenv("DIGEST_NOW", (NOW + timedelta(minutes=minute)).isoformat())
        for word in words_of(line):
            if word in written and not Path(word).exists():
                Path(word).write_text(written[word])
        if said := type_it(line, capsys, monkeypatch):
            wrong.append(f"{name}:{number}: {line}: {said}")
    return wrong


def test_every_example_of_the_commands_page_runs_and_letters_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox(tmp_path, monkeypatch)
    wrong = walk(DOCS / "cli.md", capsys, monkeypatch)
    letters = [path.read_text() for path in (tmp_path / "letters" / "new").iterdir()]
    readers = {found[1] for text in letters if (found := re.search(r"^To: (\w+)@", text, re.M))}
    assert (wrong, readers) == ([], {"ada", "ben", "grace", "heinrich"})


def test_the_five_minutes_of_the_readme_end_with_a_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox(tmp_path, monkeypatch)
    wrong = walk(ROOT / "README.md", capsys, monkeypatch)
    run(["edition", "preview", "you@example.org"])
    assert (wrong, "\nWhy: " in capsys.readouterr().out) == ([], True)


# ------------------------------------------------------------------ commands are whole


def commands() -> dict[str, Any]:
    """{command as typed: its Click command} of the whole tree."""
    from typer.main import get_command

    from digest.cli.commands import app

    def below(command: Any, words: str) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield words, command
        for name, under in getattr(command, "commands", {}).items():
            yield from below(under, f"{words} {name}")

    return dict(below(get_command(app), "digest"))


@cache
def sections() -> dict[str, str]:
    """{heading: text below it} of the commands page."""
    parts = re.split(r"^### (.+)$", (DOCS / "cli.md").read_text(encoding="utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_has_its_section_and_no_other_has() -> None:
    assert sorted(commands()) == sorted(sections())


def test_every_section_shows_its_command() -> None:
    assert [name for name, text in sections().items() if f"$ {name}" not in text] == []


COMMON = {"--help", "--json", "--limit"}  # explained once, at the top


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_in_its_commands_section(name: str) -> None:
    options = [o for p in commands()[name].params for o in p.opts if o.startswith("--")]
    text = sections().get(name, "")
    assert [option for option in options if option not in COMMON and option not in text] == []


def examples() -> list[tuple[str, int, str]]:
    return [
        (name, number, part.partition(" > ")[0])
        for page in PAGES
        for name, number, line in lines(page)
        for part in line.split(" && ")
        if part.startswith("digest ")
    ]


@pytest.mark.parametrize(("page", "line", "typed"), examples())
def test_every_example_is_a_command_with_options_that_it_knows(
    page: str, line: int, typed: str
) -> None:
    words = words_of(typed)
    tree = commands()
    name = next((n for n in (" ".join(words[:i]) for i in (3, 2)) if n in tree), None)
    assert name, f"{page}:{line}: no such command: {typed}"
    known = {option for param in tree[name].params for option in param.opts}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used - known - {"--now", "--config", "--debug", "--help"} == set()


# ------------------------------------------------------------------ lists are whole


def _table_words(page: Path) -> set[str]:
    """Every `word` that begins a row of a table."""
    return set(re.findall(r"^\| `(\w+)`", page.read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("kind", [Verdict, SkipReason, DeliveryState])
def test_the_manual_says_what_every_state_means(kind: Any) -> None:
    assert {str(one) for one in kind} - _table_words(DOCS / "operate.md") == set()


def test_the_manual_says_what_every_refusal_is_about() -> None:
    from digest.deliver import Refusal

    assert {str(one) for one in Refusal} - _table_words(DOCS / "operate.md") == set()


def test_the_architecture_names_every_room() -> None:
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "digest").iterdir()
        if path.name not in {"__init__.py", "__pycache__", "py.typed"}
    }
    written = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [room for room in sorted(rooms) if f"`{room}`" not in written] == []


def test_the_architecture_has_the_floors_that_imports_are_checked_by() -> None:
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    checked = [set(re.split(r" [|:] ", layer)) for layer in layers]
    written: dict[int, set[str]] = {}
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for floor, cell in re.findall(r"^\| (\d+) \| ([^|]+) \|", table, re.M):
        rooms = {room.removesuffix(".py").rstrip("/") for room in re.findall(r"`([^`]+)`", cell)}
        written.setdefault(int(floor), set()).update(rooms)
    assert [written[floor] for floor in sorted(written, reverse=True)] == checked


DECISION = ("**Context.**", "**Decision.**", "**What would change it.**")


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [int(path.name[:4]) for path in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("path", sorted((DOCS / "decisions").glob("*.md")), ids=lambda p: p.stem)
def test_every_decision_says_what_would_change_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [part for part in DECISION if part not in text] == []


def test_every_library_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[ ]", line)[0].lower() for line in project["dependencies"]}
    said = (DOCS / "decisions" / "0001-libraries.md").read_text(encoding="utf-8").lower()
    assert [name for name in sorted(names) if name not in said] == []


# ------------------------------------------------------------------ links lead somewhere


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def _broken(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(_broken(page)) == []


# ------------------------------------------------------------------ plug-ins


PLUGINS = DOCS / "plugins.md"
PREPRINTS = {
    "preprints": [
        {
            "doi": "10.9999/a.1",
            "title": "On $\\alpha$-Beavers",
            "authors": "Eikeland, Marit; Ruakere, Tāne",
            "day": "2026-03-01",
            "url": "https://preprints.example.org/a.1",
        },
        {"doi": "10.9999/a.2", "day": "yesterday"},
    ]
}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages that the page shows, installed: their files, and their entry points."""
    for name, text in files(PLUGINS).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for described in (tmp_path / "pyproject.toml", tmp_path / "pipe" / "pyproject.toml"):
        _install(tmp_path, described)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("preprints", "pipe"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def _install(folder: Path, described: Path) -> None:
    import tomllib

    project = tomllib.loads(described.read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    said = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in e.items()) for group, e in groups]
    (info / "entry_points.txt").write_text("\n".join(said))


def _site(folder: Path, network: httpx.AsyncBaseTransport | None = None) -> Any:
    from digest.app import App
    from digest.config import load

    environ = {
        "DIGEST_DATABASE__URL": f"sqlite:///{folder / 'digest.db'}",
        "DIGEST_SECRET_KEY": "a secret for tests",
    }
    return App(load(str(folder / "digest.toml"), environ), network=network)


def test_the_source_of_the_plugins_page_is_found_and_read(plugins: Path) -> None:
    site = _site(plugins, httpx.MockTransport(lambda _: httpx.Response(200, json=PREPRINTS)))
    [report] = asyncio.run(site.ingest())
    with site.db.reading() as tx:
        from digest.store import papers

        stored = papers.find(tx, ["doi:10.9999/a.1"])["doi:10.9999/a.1"]
    assert (report.verdict, report.new, report.quarantined) == (Verdict.OK, 1, 1)
    assert (stored.title, stored.authors[0]) == ("On α-Beavers", "Marit Eikeland")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [(httpx.Response(500), Verdict.HTTP_ERROR), (httpx.Response(200), Verdict.PARSE_FAILED)],
)
def test_the_source_of_the_plugins_page_never_raises_for_what_a_server_sends(
    plugins: Path, answer: httpx.Response, verdict: Verdict
) -> None:
    site = _site(plugins, httpx.MockTransport(lambda _: answer))
    [report] = asyncio.run(site.ingest())
    assert report.verdict is verdict


def _piping(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site whose letters go by the page's transport."""
    program = plugins / "sendmail"
    program.write_text(f'#!/bin/sh\ncat > "{plugins}/letter"\necho "$@" > "{plugins}/told"\n')
    program.chmod(0o755)
    shown = (plugins / "pipe" / "digest.toml").read_text()
    config = '[mail]\nfrom = "digest@example.org"\n' + shown
    config = config.replace("/usr/sbin/sendmail", str(program))
    (plugins / "digest.toml").write_text(config)
    monkeypatch.delenv("DIGEST_SMTP__MAILDIR", raising=False)
    monkeypatch.setenv("DIGEST_DATABASE__URL", f"sqlite:///{plugins / 'digest.db'}")
    monkeypatch.setenv("DIGEST_SECRET_KEY", "a secret for tests")
    monkeypatch.setenv("DIGEST_CONFIG", str(plugins / "digest.toml"))


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    run([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_the_transport_of_the_plugins_page_delivers(
    plugins: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _piping(plugins, monkeypatch)
    run(["subscriber", "add", "ada@example.org"])
    assert run(["deliver"]) == 0
    assert "To: ada@example.org\n" in (plugins / "letter").read_text()
    assert (plugins / "told").read_text() == "-i -f digest@example.org -- ada@example.org\n"
    [letter] = _json(capsys, "delivery", "list")
    assert (letter["state"], letter["relay"]) == ("accepted", "pipe")


def test_the_transport_of_the_plugins_page_is_shown_as_what_is_in_force(
    plugins: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _piping(plugins, monkeypatch)
    run(["check"])
    run(["doctor"])
    said = capsys.readouterr().out
    assert "letters go to pipe, a plug-in" in said
    assert "letters go by pipe, a plug-in" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DIGEST_DELIVERY__OPTIONS": "{}"}, "delivery.options: pipe takes one key, program"),
        (
            {"DIGEST_DELIVERY__TRANSPORT": "tube"},
            "delivery.transport: no plug-in named 'tube' is installed; there are: pipe",
        ),
    ],
)
def test_a_transport_that_cannot_be_had_ends_the_run_and_not_its_letters(
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, str],
    said: str,
) -> None:
    _piping(plugins, monkeypatch)
    run(["subscriber", "add", "ada@example.org"])
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert (run(["deliver"]), said in capsys.readouterr().err) == (2, True)
    for name in given:
        monkeypatch.delenv(name)
    [letter] = _json(capsys, "delivery", "list")
    assert letter["state"] == "queued"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("cat >/dev/null; exit 67", "refused"),
        ("cat >/dev/null; exit 75", "deferred"),
        ("cat >/dev/null; kill -9 $$", "unknown"),
    ],
)
def test_the_transport_of_the_plugins_page_tells_the_truth(
    plugins: Path, script: str, kind: str
) -> None:
    from pipe import PipeTransport

    from digest.model import Letter
    from digest.transports import TransportSpec

    program = plugins / "sendmail"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)

    async def yes() -> bool:
        return True

    spec = TransportSpec("pipe", {"program": str(program)})
    letter = Letter("ada@example.org", "digest@example.org", "<1@x>", "s", b"To: ada\r\n\r\nhi\r\n")
    outcome = asyncio.run(PipeTransport(spec).lane().send(letter, yes))
    assert outcome.kind == kind
