"""A site's own templates: letters and pages that go before ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from visiting import Visitor, text_of

from digest.app import App
from digest.cli import run
from digest.cli.daemon import site_parts
from digest.config import load
from digest.errors import ConfigError
from digest.web import create_site


def configured(folder: Path, templates: Path) -> Path:
    """A configuration that names this folder of templates."""
    config = folder / "digest.toml"
    config.write_text(
        f'[site]\ntemplates = "{templates}"\n[database]\nurl = "sqlite:///{folder}/digest.db"\n'
    )
    return config


def made(folder: Path, **files: str) -> Path:
    """A folder of templates; a file's name is written with __ for its slashes."""
    for name, text in files.items():
        path = folder / "own" / name.replace("__", "/").replace("_html", ".html")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "own"


def test_a_sites_own_letter_goes_before_ours(tmp_path: Path) -> None:
    own = made(tmp_path, email__confirmation__body_html="<p>{{ site.name }} asks {{ email }}</p>")
    app = App(load(str(configured(tmp_path, own)), {}))
    assert app.renderer._environment.get_template("email/confirmation/body.html").filename == str(
        own / "email/confirmation/body.html"
    )


def test_a_sites_own_page_goes_before_ours(tmp_path: Path) -> None:
    own = made(
        tmp_path, web__front_html="{% extends 'web/base.html' %}{% block main %}Ours{% endblock %}"
    )
    app = App(load(str(configured(tmp_path, own)), {}))
    page = Visitor(create_site(site_parts(app))).get("/")
    assert "Ours No cookies, no tracking." in text_of(page)


def test_a_folder_that_is_not_there_is_refused_with_the_mend(tmp_path: Path) -> None:
    app = App(load(str(configured(tmp_path, tmp_path / "nowhere")), {}))
    with pytest.raises(ConfigError, match=r"site\.templates: no folder .*nowhere; make it"):
        app.renderer  # noqa: B018
    with pytest.raises(ConfigError, match=r"site\.templates"):
        site_parts(app)


@pytest.mark.parametrize(
    ("name", "text", "state", "said"),
    [
        ("web__front_html", "{{ site.name }}", "fine", "first"),
        ("web__front_html", "{% if %}", "wrong", "template web/front.html"),
        ("email__digest__body_html", "{% if %}", "wrong", "email/digest/body.html line 1"),
    ],
)
def test_check_says_whether_a_sites_own_templates_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, state: str, said: str
) -> None:
    config = configured(tmp_path, made(tmp_path, **{name: text}))
    assert run(["--config", str(config), "check", "--json"]) == int(state == "wrong")
    found = {f["part"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert state == found["templates"]["state"]
    assert said in found["templates"]["message"]
