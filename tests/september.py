"""Ten hand-written readers over September 2025: what real arXiv days, and the votes of Hugging
Face's page, bring them. `python tests/september.py` shows every letter, `--write` keeps what was
chosen as tests/golden/readers/*.json: read the letters before you commit.

Kept are ids, sections and reasons. Nothing of a paper's own text is, but words of its title that a
reader asked for.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from digest import ingest, profiles, subscribe
from digest.links import Links
from digest.matching.lexical import LexicalMatcher
from digest.model import DeliveryState, Edition, Listing, Reason, ReasonKind
from digest.publish import Press, publish
from digest.render import reason_words
from digest.sources import huggingface
from digest.store import Database, editions, papers, people
from digest.store import tables as t

HERE = Path(__file__).resolve().parent
READERS = HERE / "golden" / "readers"
FIRST, LAST = date(2025, 9, 1), date(2025, 9, 30)
DAY = timedelta(days=1)
NEVER = 10**9  # readers from which compiling pays: ten are asked sooner without
BEGIN = datetime(2025, 9, 1, tzinfo=UTC)
# What a reader says of papers, and when: it counts from the next letter on.
SAID: Mapping[str, tuple[tuple[int, str, int], ...]] = {
    "kenji": ((12, "arxiv:2509.04716", 1), (12, "arxiv:2509.07666", -1)),
}


def shared() -> Path:
    return Path(os.environ.get("DIGEST_SHARED") or HERE.parent.parent / "shared")


def replay() -> Any:
    """The replay of the shared tools; nothing is served."""
    if (tools := str(shared() / "tools")) not in sys.path:
        sys.path.insert(0, tools)
    from replay import Replay

    made = Replay(shared() / "data", FIRST.isoformat())
    made.server.server_close()
    return made


def press_of(db: Database) -> Press:
    return Press(
        db,
        LexicalMatcher(worth=NEVER),
        Links("secret", "https://digest.example.org"),
        "example.org",
    )


def live(db: Database, press: Press, days: Any, last: date = LAST) -> None:
    """Every day's announcement at 06:00 UTC, votes at 09:00, letters at noon, all of them taken."""
    for number in range((last - FIRST).days + 1):
        day = FIRST + number * DAY
        at = BEGIN + number * DAY
        announce(db, days, day, at + timedelta(hours=6))
        count_votes(db, days, day, at + timedelta(hours=9))
        rate(db, day, at + timedelta(hours=10))
        publish(press, at + timedelta(hours=12))
        with db.writing() as tx:
            tx.execute(t.deliveries.update().values(state=str(DeliveryState.ACCEPTED)))


def announce(db: Database, days: Any, day: date, at: datetime) -> None:
    rows = (
        {
            "id": f"arxiv:{paper['id']}",
            "title": paper["title"],
            "abstract": paper["abstract"],
            "authors": paper["authors"],
            "categories": paper["cats"],
            "date": paper["date"],
        }
        for paper in days.by_day.get(day.isoformat(), ())
    )
    done = ingest.import_papers(db, map(json.dumps, rows), at)
    assert not done.bad, done.bad


def count_votes(db: Database, days: Any, day: date, at: datetime) -> None:
    """The pages that the source asks for on that day."""
    days.day = day.isoformat()
    found: list[Listing] = []
    for age in huggingface.AGES:
        page = days.daily_papers({"date": [(day - age * DAY).isoformat()], "limit": ["100"]})
        found += [
            row for one in json.loads(page) if isinstance(row := huggingface.listing(one), Listing)
        ]
    with db.writing() as tx:
        papers.remember(tx, "hf", found, at)


def rate(db: Database, day: date, at: datetime) -> None:
    with db.writing() as tx:
        for name, said in SAID.items():
            person = people.get(tx, address(name))
            for when, paper, value in said:
                if person is not None and when == day.day:
                    people.rate(tx, person.key, paper, value, at)


# ------------------------------------------------------------------ the readers


def names() -> list[str]:
    return sorted(path.stem for path in READERS.glob("*.toml"))


def address(name: str) -> str:
    return f"{name}@example.org"


def join(db: Database) -> None:
    for name in names():
        text = (READERS / f"{name}.toml").read_text(encoding="utf-8")
        subscribe.add_confirmed(db, address(name), profiles.to_mapping(profiles.parse(text)), BEGIN)


def letters(db: Database) -> dict[str, list[Edition]]:
    """{reader: their editions, oldest first}."""
    found: dict[str, list[Edition]] = defaultdict(list)
    with db.reading() as tx:
        for edition in editions.listed(tx, newest_first=False):
            found[edition.subscriber.partition("@")[0]].append(edition)
    return dict(found)


def kept(edition: Edition) -> dict[str, Any]:
    """An edition as it is kept: no paper's text, but words of a title that were asked for."""
    row: dict[str, Any] = {"until": edition.window.until.date().isoformat()}
    if edition.reason:
        return row | {"skipped": str(edition.reason), "considered": edition.content.considered}
    told = [
        [paper.id, paper.section, "; ".join(map(_kept_reason, paper.reasons))]
        + [id_ for id_, _ in paper.similar]
        for paper in edition.content.papers
    ]
    return row | {"considered": edition.content.considered, "papers": told}


def _kept_reason(reason: Reason) -> str:
    words = {ReasonKind.TERM, ReasonKind.QUERY}
    what = reason.what if reason.kind not in words or reason.where == "title" else ""
    if reason.where == "authors":  # a name is no more kept than a text
        what = ""
    value = f"{reason.value:.0f}" if reason.kind in {ReasonKind.VOTES, ReasonKind.MISSED} else ""
    return " ".join(filter(None, (str(reason.kind), what, reason.where, value)))


def golden(name: str) -> Path:
    return READERS / f"{name}.json"


def written(made: list[Edition]) -> str:
    """One paper on a line, so that a change can be read."""
    return _lines([kept(edition) for edition in made])


def _lines(rows: list[dict[str, Any]]) -> str:
    return _joined(json.dumps(rows, ensure_ascii=False, indent=1)) + "\n"


def _joined(text: str) -> str:
    """Lists of strings on one line."""
    return re.sub(
        r'\[\n\s+("[^\[\]]*?")\n\s+\]',
        lambda found: "[" + re.sub(r"\n\s+", " ", found[1]) + "]",
        text,
    )


# ------------------------------------------------------------------ for whoever reads them


def show(db: Database, name: str, made: list[Edition]) -> Iterator[str]:
    for edition in made:
        content = edition.content
        yield f"\n## {name}, until {edition.window.until:%d %B}: {edition.reason or edition.state}"
        yield f"   considered {content.considered}, near {content.near}, over {content.over_budget}"
        with db.reading() as tx:
            texts = papers.pinned(tx, content.pins)
        for paper in content.papers:
            yield f"  [{paper.section}] {paper.score:.2f} {texts[paper.id, paper.revision].title}"
            yield f"       {' · '.join(map(reason_words, paper.reasons))}"
            yield from (f"       + {texts[pin].title}" for pin in paper.similar)


def main(write: bool, *asked: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/digest.db")
        db.upgrade()
        join(db)
        live(db, press_of(db), replay())
        for name, made in letters(db).items():
            if not asked or name in asked:
                print("\n".join(show(db, name, made)))
            if write:
                golden(name).write_text(written(made), encoding="utf-8")
        db.dispose()


if __name__ == "__main__":
    main("--write" in sys.argv, *(word for word in sys.argv[1:] if word != "--write"))
