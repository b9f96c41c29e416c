"""What `digest profile import` says: a library read, what of it came in, what did not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.cli.files import opened
from digest.cli.output import note, say
from digest.errors import Refused

if TYPE_CHECKING:
    from digest.profiles.imports import Feed, Imported

LISTED = 50  # places that are listed for a person; --json has them all
_ARXIV_FEED = re.compile(r"https?://(?:rss\.|export\.)?arxiv\.org/(?:rss|atom)/([\w.+-]+)")


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a library. `unknown`: seeds whose papers are not stored yet."""

    imported: Imported
    interest: str
    seeds: tuple[str, ...]
    unknown: tuple[str, ...]
    follows: tuple[str, ...]  # those that are new
    changed: bool


def library(file: Path) -> Imported:
    """The library in a file. Raises Refused where nothing of it can be read."""
    from digest.profiles import imports

    with opened(file) as source:
        found = imports.read(source.read(imports.MAX_BYTES + 1))
    if found.empty:
        one = found.skipped[0] if found.skipped else None
        raise Refused(f"{file}: {f'{one.where}: {one.why}' if one else 'it holds no papers'}")
    return found


def as_row(taken: Taken) -> dict[str, Any]:
    """The shape of `--json`."""
    found = taken.imported
    return {
        "kind": found.kind,
        "interest": taken.interest,
        "changed": taken.changed,
        "seeds": taken.seeds,
        "left_out": len(found.seeds) - len(taken.seeds),
        "unknown": taken.unknown,
        "follows": taken.follows,
        "feeds": [
            {"title": feed.title, "url": feed.url, "add": line}
            for feed, line in zip(found.feeds, adding(found.feeds), strict=True)
        ],
        "without_id": [{"where": e.where, "title": e.title} for e in found.untold],
        "skipped": found.skipped,
    }


def tell(file: Path, taken: Taken) -> None:
    """What came of it on stdout, what did not on stderr, each with its place."""
    found, seeds = taken.imported, len(taken.seeds)
    more = len(found.seeds) - seeds
    if seeds:
        newest = f" (the newest; {more} more were left out)" if more else ""
        say(f"{found.kind}: {_counted(seeds, 'seed')} in {taken.interest!r}{newest}")
    if taken.unknown:
        say(f"not stored here yet: {len(taken.unknown)} of them; each counts once it is")
    if taken.follows:
        say(f"now followed: {', '.join(taken.follows)}")
    if not taken.changed:
        say("nothing in it that the profile did not have; nothing was changed")
    if found.feeds:
        say("feeds that an operator could add:")
    for line in adding(found.feeds):
        say(f"  {line}")
    _complain(file, [*_untold(found), *_skipped(found)])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _untold(found: Imported) -> Iterator[str]:
    for entry in found.untold:
        yield f"{entry.where}: no id, and no paper of this title here: {entry.title}"


def _skipped(found: Imported) -> Iterator[str]:
    for one in found.skipped:
        yield f"{one.where}: {'cannot be read: ' if one.unreadable else ''}{one.why}"


def _complain(file: Path, lines: list[str]) -> None:
    for line in lines[:LISTED]:
        note(f"{file}: {''.join(c if c.isprintable() else ' ' for c in line)}")
    if len(lines) > LISTED:
        note(f"{file}: and {len(lines) - LISTED} more; --json lists them all")


def adding(feeds: Iterable[Feed]) -> list[str]:
    """How an operator would add each feed, under a name of its own."""
    names: dict[str, int] = {}
    lines = []
    for feed in feeds:
        base = "-".join(re.findall(r"[a-z0-9]+", (feed.title or feed.url).lower()))[:30] or "feed"
        names[base] = names.get(base, 0) + 1
        name = base if names[base] == 1 else f"{base}-{names[base]}"
        lines.append(f"digest source add {name.strip('-')} {_options(feed.url)}")
    return lines


def _options(url: str) -> str:
    if found := _ARXIV_FEED.fullmatch(url):
        return f"--kind arxiv --option categories={found[1].replace('+', ',')}"
    return f"--kind feed --option {shlex.quote(f'url={url}')}"


def take(site: Any, email: str, found: Imported, interest: str) -> Taken:
    """Put a library into a person's profile; where it has nothing new, nothing is written."""
    from digest import subscribe
    from digest.profiles import imports
    from digest.store import papers, people

    person = site.subscriber(email)
    with site.db.reading() as tx:
        before, text = people.profile(tx, person.key)
        met = papers.find(tx, {e.weak_id for e in found.untold if e.weak_id})
        found = found.resolved({weak: paper.id for weak, paper in met.items()})
        seeds = found.seeds[: imports.MOST]
        stored = papers.known(tx, seeds)
    after = imports.merge(before, found, interest)
    changed = after != imports.merge(before, imports.Imported(), interest)
    if changed:
        profile = imports.appended(text, after)
        subscribe.change(site.db, person.key, profile, site.clock(), door="cli")
    unknown = tuple(seed for seed in seeds if seed not in stored)
    return Taken(found, interest, seeds, unknown, _more(before, after), changed)


def _more(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Who is followed now and was not before."""
    old, new = ((d.get("follow") or {}).get("authors", []) for d in (before, after))
    return tuple(person for person in new if person not in set(old))
