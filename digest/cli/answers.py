"""`digest stats`, `evaluate`: what went out and why not, and how good the matching is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from digest.cli.globals import open_app
from digest.cli.options import LARGEST, AsJson, Command, example
from digest.cli.output import print_json, progress, say, table
from digest.errors import Refused

PAPERS = typer.Argument(metavar="PAPERS.jsonl", help='Papers; those with "new": true are ranked.')
TIMED = ("editions", "letters", "came back")
READERS = typer.Argument(metavar="READERS.jsonl", help='{"reader", "likes", "dislikes"} a line.')


def evaluate(
    papers: Annotated[Path, PAPERS],
    readers: Annotated[Path, READERS],
    run: Annotated[Path, typer.Option(metavar="OUT.trec", help="Where the ranking goes.")],
    qrels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What was relevant, in TREC form.")
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Papers ranked for each reader.")
    ] = 300,
    embeddings: Annotated[
        str, typer.Option(metavar="FOLDER", help="A sentence-transformers model that helps.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Rank new papers for readers as `publish` does. Writes a TREC run, judges it with qrels."""
    from digest.matching import evaluate as judge

    for file in (papers, readers, *([qrels] if qrels else [])):
        if not file.is_file():
            raise Refused(f"no file {file}")
    with progress("readers") as tell:
        found = judge.evaluate(papers, readers, run, qrels, top, tell, embeddings)
    if as_json:
        return print_json(found)
    for name, value in found.items():
        say(f"{name:12} {value:.4f}" if isinstance(value, float) else f"{name:12} {value}")
    return None


def stats(
    days: Annotated[int, typer.Option(min=1, max=36_500, help="The last so many days.")] = 30,
    as_json: AsJson = False,
) -> None:
    """What went out, what was skipped and why. With people, papers and how the sources are."""
    found = _stats(open_app(), days)
    if as_json:
        return print_json({"days": days} | found)
    for name, counts in found.items():
        say(f"{name} of {days} days" if name in TIMED else name)
        for key, value in counts.items():
            say(f"  {key:24} {value:>8}  {_bar(value, counts)}")
        if not counts:
            say("  nothing yet")
    return None


def _stats(app: Any, days: int) -> dict[str, dict[str, int]]:
    from digest.store import deliveries, editions, papers, people, reports, sources

    since = app.clock() - timedelta(days=days)
    with app.db.reading() as tx:
        health = sources.health(tx).values()
        return {
            "subscribers": people.count(tx),
            "papers": {"known": papers.count(tx)},
            "editions": editions.counts(tx, since),
            "letters": deliveries.counts(tx, since),
            "came back": reports.counts(tx, since),
            "sources": {
                verdict: sum(h.verdict == verdict for h in health)
                for verdict in sorted({str(h.verdict) for h in health if h.verdict})
            },
        }


def _bar(value: int, counts: dict[str, int]) -> str:
    most = max(counts.values(), default=0)
    return "█" * round(30 * value / most) if most else ""


def explain(
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="An id or an address.")],
    as_json: AsJson = False,
) -> None:
    """Why this reader got, or did not get, this paper."""
    fate = open_app().explain(email, paper)
    if as_json:
        return print_json(fate)
    say(fate.words)
    return table(("because",), ([reason] for reason in fate.reasons), "") if fate.reasons else None


COMMANDS = (
    Command(
        "evaluate",
        evaluate,
        example("digest evaluate papers.jsonl readers.jsonl --run out.trec --qrels qrels.txt"),
    ),
    Command("stats", stats, example("digest stats --days 7")),
    Command("explain", explain, example("digest explain ada@example.org arxiv:2410.16794")),
)
