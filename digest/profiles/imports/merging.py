"""What was read from a library goes into a profile. Done twice, it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from digest.errors import ProfileError
from digest.profiles.imports.entry import Imported
from digest.profiles.names import spellings
from digest.profiles.reading import MAX_NAME, MAX_SEEDS, from_mapping, parse
from digest.profiles.table import CONTROL, MAX_LIST
from digest.profiles.writing import to_mapping

MOST = 500  # seeds of one file: the newest
Document = Mapping[str, Any]
"""A profile file as plain data."""


def called(file_name: str) -> str:
    """What the interest of a file is called, if nobody says."""
    name = " ".join(CONTROL.sub(" ", file_name).split())
    return f"Imported from {name}"[:MAX_NAME].rstrip()


def merge(document: Document, imported: Imported, interest: str) -> dict[str, Any]:
    """The profile with the file's newest seeds in the interest of that name and its people among
    those followed; all else stays. Raises ProfileError where the profile has no room."""
    before = to_mapping(from_mapping(document))
    after = {**before}
    if seeds := imported.seeds[:MOST]:
        after["interest"] = _with_seeds(before.get("interest", ()), interest.strip(), seeds)
    people = before.get("follow", {}).get("authors", ())
    if more := _unknown(people, imported.follows)[: MAX_LIST - len(people)]:
        after["follow"] = {"authors": [*people, *more]}
    return to_mapping(from_mapping(after))


def appended(text: str | None, after: Document) -> str | Document:
    """The new profile as its author's text, remarks and all, with the new interest below it; or as
    plain data where more than that has changed, or there is no text."""
    interests = after.get("interest")
    if not text or not interests:
        return after
    longer = f"{text.rstrip()}\n\n[[interest]]\n{tomli_w.dumps(interests[-1])}"
    try:
        return longer if to_mapping(parse(longer)) == after else after
    except ProfileError:
        return after


def _with_seeds(
    interests: Sequence[Document], name: str, seeds: Sequence[str]
) -> list[dict[str, Any]]:
    """The interests, with the seeds in the one of that name, which is made where there is none."""
    found = [dict(one) for one in interests]
    if not any(one["name"] == name for one in found):
        found.append({"name": name})
    for one in found:
        if one["name"] == name:
            one["seeds"] = _united(one.get("seeds", ()), seeds)
    return found


def _united(have: Sequence[str], more: Sequence[str]) -> list[str]:
    """Those there and then those that are new; where that is too many, the first ones there go."""
    there = set(have)
    fresh = [seed for seed in more if seed not in there]
    spare = len(have) + len(fresh) - MAX_SEEDS
    if spare <= 0:
        return [*have, *fresh]
    asked = set(more)
    old = [seed for seed in have if seed not in asked]
    gone = set(old[:spare])
    return [*(seed for seed in have if seed not in gone), *fresh]


def _unknown(people: Sequence[str], more: Sequence[str]) -> list[str]:
    """Those of `more` who are not there yet, however their names are written."""
    there = {spellings(person)[:1] for person in people}
    found = {spellings(person)[:1]: person for person in reversed(more)}
    return [person for name, person in reversed(found.items()) if name and name not in there]
