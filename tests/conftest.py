"""Fixtures that every test may use.

`pytest --hypothesis-profile=nightly` looks much longer for a counterexample.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("nightly", max_examples=10_000, deadline=None)

HERE = Path(__file__).resolve().parent


def _shared() -> Path | None:
    given = os.environ.get("DIGEST_SHARED")
    path = Path(given) if given else HERE.parent.parent / "shared"
    return path if (path / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real papers, feeds and replay tools; skipped where there is none."""
    if (path := _shared()) is None:
        pytest.skip("no shared data: put it beside the checkout as ../shared or set $DIGEST_SHARED")
    tools = str(path / "tools")
    if tools not in sys.path:
        sys.path.insert(0, tools)
    return path
