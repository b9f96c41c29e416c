"""Letters in Chromium: nothing runs out of a small screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from letters import PAPERS, READER, a_renderer, body, confirmation_letter, edition_of, pins, sample

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def _chromium() -> None:
    if sample.chromium() is None:
        pytest.skip("no Chromium: install it (Debian: chromium) or set $CHROMIUM")


def _wide() -> str:
    """A letter whose every word is longer than the screen."""
    papers = [
        replace(
            p, title="x" * 400, authors=("y" * 400,), abstract="z" * 400, categories=("w" * 90,)
        )
        for p in PAPERS.values()
    ]
    return a_renderer().digest_parts(edition_of(papers), READER, pins(papers)).html


def _sample() -> str:
    return a_renderer().digest_parts(sample.sample_edition(), READER, PAPERS).html


def _confirmation() -> str:
    return body(confirmation_letter(a_renderer()), "html")


@pytest.mark.parametrize("make", [_sample, _wide, _confirmation])
def test_a_screen_of_320_px_never_scrolls_sideways(tmp_path: Path, make: object) -> None:
    assert callable(make)
    width, height = sample.measured(sample.framed(tmp_path, "letter", make(), 320))
    assert width == 320
    assert height > 300


def test_the_dark_picture_is_not_the_light_one(tmp_path: Path) -> None:
    page = sample.framed(tmp_path, "letter", _confirmation(), 600)
    for dark in (False, True):
        shot = f"--screenshot={tmp_path / f'{dark}.png'}"
        sample.browse(page, "--window-size=600,700", sample.scheme(dark), shot)
    light, dark_one = ((tmp_path / f"{name}.png").read_bytes() for name in (False, True))
    assert light.startswith(b"\x89PNG")
    assert light != dark_one
