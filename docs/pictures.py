"""Makes docs/pictures/*.png, a letter and the front page, from our own samples:
`python docs/pictures.py [FOLDER]`.

Needs Chromium ($CHROMIUM, else chromium on the path) and a few fonts. A template is changed only
after its pictures have been looked at: 320 and 600 px wide, light and dark, with left-to-right and
right-to-left titles.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from digest.links import Links
from digest.model import (
    MISSED,
    TRENDING,
    Cadence,
    Content,
    Delivery,
    DeliveryState,
    Edition,
    EditionPaper,
    EditionState,
    LetterKind,
    Paper,
    Reason,
    ReasonKind,
    Subscriber,
    SubscriberState,
    Window,
)
from digest.render import Renderer, Site

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "tests" / "golden" / "papers.jsonl"
SHOWN_ON_THE_SITE = ROOT / "digest" / "cli" / "sample" / "papers.jsonl"
TODAY = datetime(2026, 3, 2, 9, tzinfo=UTC)  # of that sample
HIGHEST, LONG = 1500, 20_000  # px of a picture: what a glance takes in; the whole
SITE = Site(
    name="Paper Digest",
    url="https://digest.example.org",
    postal_address="Paper Digest, 1 Example Street, 10115 Berlin, Germany",
    operator="ops@example.org",
    mail_from="Paper Digest <digest@example.org>",
    reply_to="help@example.org",
    bounce_domain="bounces.example.org",
)
LINKS = Links("a secret for pictures and tests", SITE.url)
PICTURED = (0, 1, 3, 5, 6)  # of the sample: two interests, one trending, one right to left
K = ReasonKind
TOLD = [  # section and reasons of each paper of the sample
    (
        "Few-step generation",
        [
            Reason(K.TERM, "one step", "title"),
            Reason(K.TERM, "diffusion", "title"),
            Reason(K.AUTHOR, "Ingrid Solheim"),
            Reason(K.SEED, "arxiv:2305.01234"),
        ],
    ),
    ("Few-step generation", [Reason(K.QUERY, "consistency models", "title")]),
    (
        "Few-step generation",
        [Reason(K.TERM, "score matching", "title"), Reason(K.TERM, "denoising", "abstract")],
    ),
    (
        "Graph neural networks in chemistry",
        [
            Reason(K.TERM, "retrosynthesis", "title"),
            Reason(K.TERM, "graph neural network", "title"),
        ],
    ),
    (
        "Graph neural networks in chemistry",
        [Reason(K.TERM, "graph neural network", "title")],
    ),
    (TRENDING, [Reason(K.VOTES, value=241.0), Reason(K.TERM, "language model", "abstract")]),
    (TRENDING, [Reason(K.VOTES, value=64.0), Reason(K.TERM, "זיווג", "title")]),
    (TRENDING, [Reason(K.VOTES, value=57.0), Reason(K.TERM, "扩散模型", "title")]),
    (MISSED, [Reason(K.MISSED, "2025-08-25", "letter", 5.0), Reason(K.VOTES, value=64.0)]),
]
FOLDED = {3: 9}  # papers of the sample: the second is only named, below the first


def sample_papers() -> list[Paper]:
    """The papers of our sample: invented, in three scripts, the last one hostile."""
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    return [
        Paper(
            id=row["id"],
            title=row["title"],
            abstract=row["abstract"],
            authors=tuple(row["authors"]),
            categories=tuple(row["categories"]),
            published=date.fromisoformat(row["date"]) if row["date"] else None,
            links=row.get("links", {}),
        )
        for row in rows
    ]


def sample_reader(zone: str = "Europe/Berlin") -> Subscriber:
    since = datetime(2025, 3, 3, 9, tzinfo=UTC)
    cadence = Cadence(zone=zone)
    state = SubscriberState.ACTIVE
    return Subscriber(12, "jane@example.org", state, cadence, since, confirmed_at=since)


def sample_edition(shown: Sequence[int] = range(len(TOLD))) -> Edition:
    """One week of these papers of the sample, for the sample's reader."""
    papers = sample_papers()
    below = {papers[i].id: ((papers[j].id, 1),) for i, j in FOLDED.items()}
    told = [(papers[i], *TOLD[i]) for i in shown]
    entries = [
        EditionPaper(paper.id, 1, section, 10.0 - at, tuple(reasons), below.get(paper.id, ()))
        for at, (paper, section, reasons) in enumerate(told)
    ]
    notice = "bioRxiv answered only from Thursday on; what it announced before comes next week."
    return Edition(
        subscriber="jane@example.org",
        window=Window(datetime(2025, 9, 1, 6, tzinfo=UTC), datetime(2025, 9, 8, 6, tzinfo=UTC)),
        state=EditionState.QUEUED,
        made_at=datetime(2025, 9, 8, 6, 1, tzinfo=UTC),
        content=Content(
            tuple(entries), considered=412, near=31, notices=(notice,) if entries else ()
        ),
        next_due=datetime(2025, 9, 15, 6, tzinfo=UTC),
        key=77,
        subscriber_key=12,
    )


def sample_delivery(kind: LetterKind = LetterKind.DIGEST) -> Delivery:
    message_id = LINKS.message_id(kind, "77", "example.org")
    at = datetime(2025, 9, 8, 6, 1, tzinfo=UTC)
    return Delivery(501, kind, "jane@example.org", message_id, DeliveryState.LEASED, at, 12, 77)


# ------------------------------------------------------------------ the site


def sample_letter() -> str:
    papers = {(paper.id, 1): paper for paper in sample_papers()}
    edition = sample_edition(PICTURED)
    return Renderer(SITE, LINKS).digest_parts(edition, sample_reader(), papers).html


def front_page(folder: Path) -> str:
    """The site's front page with our sample as today's papers, in one file."""
    from digest.ingest import import_papers
    from digest.matching.lexical import LexicalMatcher
    from digest.publish import Press, Rehearsals
    from digest.store import Database
    from digest.web import SiteParts, create_site

    db = Database(f"sqlite:///{folder / 'site.db'}")
    db.upgrade()
    lines = SHOWN_ON_THE_SITE.read_text(encoding="utf-8").splitlines()
    import_papers(db, lines, TODAY - timedelta(hours=2))
    shown = Rehearsals(Press(db, LexicalMatcher(), LINKS, "example.org"))
    parts = SiteParts(
        db,
        LINKS,
        SITE,
        lambda: TODAY,
        Renderer(SITE, LINKS),
        "example.org",
        rehearse=shown.letters,
    )
    page, sheet = asyncio.run(_asked(create_site(parts), "/", "/site.css"))
    db.dispose()
    return re.sub(r'<link rel="stylesheet"[^>]*>', lambda _: f"<style>{sheet}</style>", page)


async def _asked(site: Any, *paths: str) -> list[str]:
    """What the site answers, without a network."""
    from httpx import ASGITransport, AsyncClient

    async with AsyncClient(transport=ASGITransport(site), base_url=SITE.url) as visitor:
        return [(await visitor.get(path)).text for path in paths]


# ------------------------------------------------------------------ Chromium


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def browse(page: Path, *options: str) -> str:
    """Opens a file in headless Chromium, with no network; gives its standard output."""
    program = chromium()
    if program is None:
        raise SystemExit("no Chromium: install it (Debian: chromium) or set $CHROMIUM")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        quiet = ["background-networking", "component-update", "sync", "default-apps", "extensions"]
        command = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            *(f"--disable-{name}" for name in quiet),
            "--no-first-run",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            f"--user-data-dir={profile}",
            *options,
            page.as_uri(),
        ]
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=120, check=True
        )
    return done.stdout


def framed(folder: Path, name: str, html: str, width: int) -> Path:
    """A page that shows the letter `width` px wide (a window of Chromium has a minimum) and says
    in its title how wide and how high the letter came out."""
    (folder / f"{name}.html").write_text(html, encoding="utf-8")
    page = folder / f"{name}-{width}.html"
    measure = (
        "const e=this.contentDocument.documentElement;"
        "document.title=e.scrollWidth+'x'+e.scrollHeight;this.height=e.scrollHeight"
    )
    page.write_text(
        "<!doctype html><meta name=color-scheme content='light dark'><style>"
        "body{margin:0;background:#8a8f96}iframe{border:0;display:block;margin:0 auto}</style>"
        f'<iframe src="{name}.html" width="{width}" height="100" onload="{measure}"></iframe>',
        encoding="utf-8",
    )
    return page


def measured(page: Path) -> tuple[int, int]:
    """(width, height) in px of what a framed page shows."""
    found = re.search(r"<title>(\d+)x(\d+)</title>", browse(page, "--dump-dom"))
    if found is None:
        raise ValueError(f"{page}: nothing was measured")
    return int(found[1]), int(found[2])


def scheme(dark: bool) -> str:
    return f"--blink-settings=preferredColorScheme={0 if dark else 1}"


def picture(page: Path, to: Path, width: int, dark: bool, highest: int = LONG) -> None:
    height = min(measured(page)[1], highest)
    size = f"--window-size={max(width, 500)},{height}"
    browse(page, size, scheme(dark), f"--screenshot={to}")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        pages = {"letter": sample_letter(), "front": front_page(Path(work))}
        for name, width in product(pages, (600, 320)):
            page = framed(Path(work), name, pages[name], width)
            for dark in (False, True):
                to = folder / f"{name}-{width}{'-dark' if dark else ''}.png"
                picture(page, to, width, dark, HIGHEST if name == "front" else LONG)
                print(to)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")
