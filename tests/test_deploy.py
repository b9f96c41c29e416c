"""What operators copy: units, container, example configuration, the wheel, and our own Makefile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from configparser import RawConfigParser
from pathlib import Path

import pytest
import yaml

from digest.config import Settings, SourceSettings, load
from digest.config.settings import SECRETS

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "digest.toml"
UNITS = sorted((DEPLOY / "systemd").glob("*.service")) + sorted(
    (DEPLOY / "systemd").glob("*.timer")
)
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]


# ------------------------------------------------------------------ the example configuration

COMMENTED = re.compile(r"^# (?=(?:\[\[?[\w.]+\]?\](?: +#.*)?$|[a-z_]+ = ))", re.M)


def _with_all_examples() -> str:
    """The example with every key that it shows in a comment put in force."""
    return COMMENTED.sub("", EXAMPLE.read_text())


def test_the_example_configuration_loads() -> None:
    assert load(str(EXAMPLE), {}).site.name == "Paper Digest"


def test_the_example_loads_with_every_key_it_shows_in_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "digest.toml"
    path.write_text(_with_all_examples())
    shown = load(str(path), {})
    assert (shown.smtp.maildir, shown.sources[-1].kind) == ("/var/lib/digest/letters", "file")


def _keys() -> list[tuple[str, str]]:
    """(section, key as it is written) of every setting."""
    sections = {n: f for n, f in Settings.model_fields.items() if n not in SECRETS.values()}
    return [
        (name, inner.alias or key)
        for name, field in sections.items()
        for key, inner in getattr(field.annotation, "model_fields", {}).items()
    ]


@pytest.mark.parametrize(("section", "key"), _keys())
def test_every_setting_is_in_the_example(section: str, key: str) -> None:
    assert key in tomllib.loads(_with_all_examples())[section]


def test_the_example_shows_every_key_that_all_sources_take() -> None:
    shown = {key for source in tomllib.loads(EXAMPLE.read_text())["sources"] for key in source}
    assert SourceSettings.model_fields.keys() <= shown


def test_the_example_tells_where_secrets_come_from() -> None:
    text = EXAMPLE.read_text()
    assert [name for name in SECRETS if name not in text or f"{name}_FILE" not in text] == []


# ------------------------------------------------------------------ systemd


def _unit(path: Path) -> RawConfigParser:
    parser = RawConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.fixture(scope="module")
def analyze() -> str:
    if (found := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd-analyze: `apt-get install systemd`")
    return found


def test_systemd_accepts_every_unit(analyze: str, tmp_path: Path) -> None:
    for unit in UNITS:  # the programs are not installed here
        text = re.sub(r"^ExecStart=/opt\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.M)
        (tmp_path / unit.name).write_text(text)
    units = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_systemd_finds_no_service_exposed(analyze: str, unit: Path) -> None:
    command = [analyze, "security", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_every_service_runs_as_somebody_who_may_write_only_its_state(unit: Path) -> None:
    service = _unit(unit)["Service"]
    wanted = {"User": "digest", "ProtectSystem": "strict", "NoNewPrivileges": "yes"}
    assert {key: service[key] for key in wanted} == wanted


def test_the_daemon_has_more_time_to_end_than_it_needs() -> None:
    service = _unit(DEPLOY / "systemd" / "paper-digest.service")["Service"]
    assert (service["KillSignal"], service["TimeoutStopSec"]) == ("SIGTERM", "20")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_no_service_hides_other_processes_from_its_workers(unit: Path) -> None:
    """A worker that cannot see another one in /proc would take its letters for abandoned."""
    assert not {"ProtectProc", "ProcSubset"} & set(_unit(unit)["Service"])


def test_every_timer_starts_a_service_that_is_there() -> None:
    timers = {unit.stem for unit in UNITS if unit.suffix == ".timer"}
    assert timers <= {unit.stem for unit in SERVICES}


# ------------------------------------------------------------------ containers


def _compose() -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(
        (DEPLOY / "compose.yaml").read_text()
    )
    return found


def test_the_compose_file_migrates_before_it_serves() -> None:
    services = _compose()["services"]
    assert services["migrate"]["command"] == ["db", "upgrade"]
    assert services["digest"]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"}
    }


def test_the_compose_file_names_only_volumes_and_secrets_it_declares() -> None:
    compose = _compose()
    wanted = {s for service in compose["services"].values() for s in service.get("secrets", [])}
    mounts = {v for service in compose["services"].values() for v in service.get("volumes", [])}
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith((".", "/"))}
    assert (wanted, named) == (set(compose["secrets"]), set(compose["volumes"]))


def test_the_compose_files_environment_is_one_that_the_program_reads(tmp_path: Path) -> None:
    given = dict(_compose()["services"]["digest"]["environment"])
    secret = tmp_path / "key"
    secret.write_text("a secret")
    given["DIGEST_SECRET_KEY_FILE"] = str(secret)
    assert load(str(EXAMPLE), given).database.url == "postgresql+psycopg://digest@postgres/digest"


def _container() -> str:
    return (DEPLOY / "Containerfile").read_text()


def test_the_container_copies_what_the_wheel_is_made_of() -> None:
    given = re.findall(r"^COPY (?!--)(.+) \S+$", _container(), re.M)
    names = {name for line in given for name in line.split()}
    assert {"pyproject.toml", "README.md", "LICENSE", "digest", "templates", "alembic"} == names


def test_the_container_runs_as_nobody_special_and_says_whether_it_is_well() -> None:
    last = _container().rpartition("\nFROM ")[2]
    assert re.search(r"^USER digest$", last, re.M)
    assert "127.0.0.1:8080/healthz" in last.partition("HEALTHCHECK")[2]


# ------------------------------------------------------------------ the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the wheel that is built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as made:
        return set(made.namelist())


@pytest.mark.parametrize(
    ("here", "there"),
    [("digest", "digest"), ("templates", "digest/_templates"), ("alembic", "digest/_alembic")],
)
def test_the_wheel_holds_every_file_the_program_needs(
    wheel: set[str], here: str, there: str
) -> None:
    files = (path for path in (ROOT / here).rglob("*") if path.is_file())
    names = {f"{there}/{path.relative_to(ROOT / here).as_posix()}" for path in files}
    assert {name for name in names if "__pycache__" not in name} - wheel == set()


# ------------------------------------------------------------------ our own tools


def _make(tmp_path: Path, python: str, *targets: str) -> subprocess.CompletedProcess[str]:
    fake = tmp_path / "python3"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    where = [f"PYTHON={fake}", f"VENV={tmp_path / 'venv'}"]
    command = ["make", "--no-print-directory", *where, *targets]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_make_says_so_where_python_is_too_old(tmp_path: Path) -> None:
    old = 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac'
    assert "needs Python 3.11 or newer" in _make(tmp_path, old, "demo").stderr


def test_make_says_so_where_environments_cannot_be_made(tmp_path: Path) -> None:
    bare = 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac'
    assert "apt-get install python3-venv" in _make(tmp_path, bare, "test").stderr


def test_make_tells_what_it_can_make(tmp_path: Path) -> None:
    said = _make(tmp_path, "exit 0", "help").stdout
    targets = {"demo", "test", "check", "format", "bench", "docs", "clean"}
    assert targets <= set(re.findall(r"make (\w+)", said))


def test_the_ci_script_is_sound_bash() -> None:
    done = subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_a_skipped_test_fails_where_skips_are_forbidden(tmp_path: Path) -> None:
    for name in ("conftest.py", "postgres.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path)
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it():\n    pytest.skip('no x')\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environ = os.environ | {"DIGEST_NO_SKIPS": "1", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert "1 failed" in done.stdout
    assert "no x" in done.stdout
