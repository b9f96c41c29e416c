"""The house itself: who may import whom, how long things are, and that all is written down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FUNCTION, MEDIAN = 40, 8  # lines
LONGEST_FILE = 375  # lines that hold something
NOUNS = (
    *("Source", "Paper", "Subscriber", "Profile", "Match"),
    *("Window", "Edition", "Letter", "Delivery", "Outcome"),
)
VAGUE = {"utils", "util", "helpers", "helper", "services", "service", "managers", "manager"}
CLOCKS = (
    "from datetime import datetime\n\nnow = datetime.now()\n",
    "import datetime\n\nday = datetime.date.today()\n",
    "import time\n\nnow = time.time()\n",
    "import random\n",
    "from secrets import token_hex\n",
    "import uuid\n",
)
FOREIGN = "|".join(
    ("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w", r"C:\\Us" + "ers", "py" + "env")
)


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True
    )


@cache
def sources() -> dict[Path, ast.Module]:
    """Every file of the package, parsed."""
    found = sorted((ROOT / "digest").rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in found}


def functions() -> Iterator[tuple[str, int]]:
    """(where, lines) of every function."""
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines


# ---------------------------------------------------------------- floors, doors, sizes


def test_every_import_goes_down_the_stairs_and_through_its_door() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    found = run("-c", code)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr


def test_no_function_is_longer_than_forty_lines() -> None:
    assert [(where, lines) for where, lines in functions() if lines > LONGEST_FUNCTION] == []


def test_functions_have_a_median_of_eight_lines_at_most() -> None:
    assert median(lines for _, lines in functions()) <= MEDIAN


def _full_lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_bytes().splitlines())


def test_a_file_becomes_a_folder_before_it_grows_too_long() -> None:
    lengths = {path: _full_lines(path) for path in sources()}
    too_long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > LONGEST_FILE}
    assert too_long == {}


def test_no_room_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in sources() if path.stem in VAGUE] == []


def test_every_file_says_what_it_is_for() -> None:
    silent = [str(path) for path, tree in sources().items() if not ast.get_docstring(tree)]
    assert silent == []


# ---------------------------------------------------------------- the clock


def test_nobody_but_the_root_looks_at_the_clock_or_throws_dice() -> None:
    found = run("-m", "ruff", "check", "--no-cache", "--select", "TID251", "digest")
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("code", CLOCKS)
def test_the_clock_rule_catches_every_clock_and_die(code: str) -> None:
    where = ["--stdin-filename", str(ROOT / "digest" / "some.py"), "-"]
    found = run("-m", "ruff", "check", "--no-cache", "--select", "TID251", *where, stdin=code)
    assert found.returncode == 1, found.stdout + found.stderr


def test_the_clock_rule_is_silenced_nowhere() -> None:
    silenced = [
        str(path.relative_to(ROOT))
        for path in sources()
        if re.search(r"noqa(?!: (?!.*TID251))", path.read_text(encoding="utf-8"))
    ]
    assert silenced == []


# ---------------------------------------------------------------- what is written down


def page(name: str) -> str:
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"{name} is not written yet")
    return path.read_text(encoding="utf-8")


@cache
def documentation() -> str:
    """README and docs/ as one text."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in pages if path.is_file())


def commands() -> list[str]:
    """Every command, as a person types it."""
    from typer.main import get_command

    from digest.cli.commands import app

    def walk(command: object, words: str) -> Iterator[str]:
        under = getattr(command, "commands", None)
        if under is None:
            yield words
            return
        for name, below in under.items():
            if not below.hidden:
                yield from walk(below, f"{words} {name}")

    return sorted(walk(get_command(app), "digest"))


def test_every_command_is_documented() -> None:
    written = page("README.md") + page("docs/cli.md")
    missing = [command for command in commands() if not re.search(rf"{command}\b", written)]
    assert missing == [], "write these commands down in docs/cli.md"


def test_every_command_shows_an_example() -> None:
    from typer.main import get_command

    from digest.cli.commands import app

    def without(command: object, words: str) -> Iterator[str]:
        for name, below in getattr(command, "commands", {}).items():
            yield from without(below, f"{words} {name}")
        if not hasattr(command, "commands") and "digest " not in (command.epilog or ""):
            yield words

    assert list(without(get_command(app), "digest")) == []


def settings() -> Iterator[tuple[str, str]]:
    """(section, key) of every setting, as the file spells it."""
    from digest.config import Settings, SourceSettings

    for section, field in Settings.model_fields.items():
        for key, inner in getattr(field.annotation, "model_fields", {}).items():
            yield section, inner.alias or key
    for key in SourceSettings.model_fields:
        yield "sources", key


def test_every_setting_is_documented() -> None:
    page("docs/configuration.md")
    written = documentation()
    missing = [
        f"[{section}] {key}"
        for section, key in settings()
        if not re.search(rf"`{key}`|^#?\s*{key}\s*=", written, re.MULTILINE)
    ]
    assert missing == [], "write these settings down in docs/configuration.md"


def test_every_secret_is_documented() -> None:
    from digest.config.settings import SECRETS

    page("docs/configuration.md")
    missing = [name for name in SECRETS if name not in documentation()]
    assert missing == [], "write these variables down in docs/configuration.md"


def test_the_glossary_has_the_ten_nouns() -> None:
    written = page("docs/glossary.md")
    assert [noun for noun in NOUNS if not re.search(rf"\*\*{noun}\*\*", written)] == []


def test_no_tracked_file_knows_the_machine_it_was_written_on() -> None:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    found = {
        name: hit.group().decode()
        for name in filter(None, names)
        if (path := ROOT / name).is_file()
        and (hit := re.search(FOREIGN.encode(), path.read_bytes()))
    }
    assert found == {}


# ---------------------------------------------------------------- what is named is there


@pytest.mark.parametrize("part", ["subject.txt", "body.txt", "body.html"])
def test_every_kind_of_letter_has_its_templates(part: str) -> None:
    from digest.model import LetterKind

    folder = ROOT / "templates" / "email"
    assert [kind for kind in LetterKind if not (folder / kind / part).is_file()] == []


def templates() -> dict[str, str]:
    """{name as Jinja knows it: text} of every page and piece."""
    folder = ROOT / "templates"
    found = [path for path in folder.rglob("*") if path.suffix in {".html", ".txt"}]
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in found}


def test_every_template_that_a_template_names_is_there() -> None:
    there = templates()
    texts = "\n".join(there.values())
    named = set(re.findall(r"[\"']((?:web|email)/[\w/]+\.(?:html|txt))[\"']", texts))
    assert set() == named - there.keys()


def test_no_page_is_forgotten() -> None:
    """Each is named by another template or, without its folder and ending, by the site's code."""
    texts, code = "\n".join(templates().values()), "\n".join(web_code())
    pages = [name for name in templates() if name.startswith("web/")]
    assert [n for n in pages if f'"{n}"' not in texts and f'"{Path(n).stem}"' not in code] == []


def web_code() -> list[str]:
    return [path.read_text("utf-8") for path in sources() if "web" in path.parts]


def entry_points() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = project["entry-points"].values()
    return [*project["scripts"].values(), *(target for g in groups for target in g.values())]


@pytest.mark.parametrize("target", entry_points())
def test_every_entry_point_leads_somewhere(target: str) -> None:
    module, _, name = target.partition(":")
    assert callable(getattr(import_module(module), name))


def test_every_migration_follows_the_one_before_it() -> None:
    """Two that were made side by side would leave a database with two heads."""
    files = sorted((ROOT / "alembic" / "versions").glob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in files]
    found = [re.findall(r"^(?:down_)?revision = (?:None|\"(\d+)\")", text, re.M) for text in texts]
    expected = [[f"{n:04}", f"{n - 1:04}" if n > 1 else ""] for n in range(1, len(files) + 1)]
    assert found == expected
