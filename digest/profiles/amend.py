"""Pure: a profile's text with names and terms put in or taken out, and all else left as written.

A profile file is its author's: a button on a page must not take its remarks away. So the text is
changed at the place of the one entry, and what came of it is read again; where it is not exactly
the profile that was meant (an inline table, a key in quotes), the profile is written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from digest.errors import ProfileError
from digest.model import Profile
from digest.profiles.places import tokens
from digest.profiles.reading import parse
from digest.profiles.writing import dump

LISTS: dict[tuple[str, str], Callable[[Profile], tuple[str, ...]]] = {
    ("follow", "authors"): lambda profile: profile.follow_authors,
    ("mute", "terms"): lambda profile: profile.mute_terms,
    ("mute", "authors"): lambda profile: profile.mute_authors,
    ("mute", "categories"): lambda profile: profile.mute_categories,
}


def amend(text: str, before: Profile, after: Profile) -> str:
    """`text`, which says `before`, so that it says `after`: its remarks and its order are kept
    where nothing differs but whom to follow and what to mute."""
    amended = text
    for (table, key), entries in LISTS.items():
        had, has = entries(before), entries(after)
        for entry in had:
            amended = amended if entry in has else _without(amended, table, key, entry)
        for entry in has:
            amended = amended if entry in had else _with(amended, table, key, entry)
    return amended if _says(amended, after) else dump(after)


def _says(text: str, meant: Profile) -> bool:
    """Order within a list means nothing."""
    try:
        read = parse(text)
    except ProfileError:
        return False
    lists = [sorted(entries(read)) == sorted(entries(meant)) for entries in LISTS.values()]
    return all(lists) and _rest(read) == _rest(meant)


def _rest(profile: Profile) -> tuple[object, ...]:
    return (
        *(profile.cadence, profile.budget, profile.floor, profile.quiet_weeks),
        *(profile.trending, profile.revisions, profile.interests),
    )


# ------------------------------------------------------------------ in the text


def _with(text: str, table: str, key: str, entry: str) -> str:
    quoted = json.dumps(entry, ensure_ascii=False)  # a string of JSON is one of TOML
    if (start := _list(text, table, key)) is not None:
        empty = re.match(r"\s*\]", text[start:])
        return f"{text[:start]}{quoted}{'' if empty else ', '}{text[start:]}"
    if header := _header(text, table):
        return f"{text[: header.end()]}\n{key} = [{quoted}]{text[header.end() :]}"
    return f"{text.rstrip()}\n\n[{table}]\n{key} = [{quoted}]\n".lstrip("\n")


def _without(text: str, table: str, key: str, entry: str) -> str:
    """Without each string of the list that reads as this entry, and the comma after it."""
    start = _list(text, table, key)
    if start is None:
        return text
    spans = []
    for sign, at in tokens(text, start):
        if sign == "]":
            break
        if sign[0] in "\"'" and _value(sign) == entry:
            comma = re.compile(r"\s*,[ \t]*").match(text, at + len(sign))
            spans.append((at, comma.end() if comma else at + len(sign)))
    for begin, end in reversed(spans):
        text = text[:begin] + text[end:]
    return text


def _value(sign: str) -> str:
    """What a string on one line stands for, trimmed as a profile is; "" for one that spans
    lines."""
    try:
        return str(json.loads(sign)).strip() if sign[0] == '"' else sign[1:-1].strip()
    except ValueError:
        return ""


def _header(text: str, table: str) -> re.Match[str] | None:
    return re.search(rf"^[ \t]*\[[ \t]*{table}[ \t]*\][^\n]*", text, re.MULTILINE)


def _list(text: str, table: str, key: str) -> int | None:
    """Where the first entry of `key = [...]` under `[table]` may stand."""
    if (header := _header(text, table)) is None:
        return None
    ends = re.compile(r"^[ \t]*\[[ \t]*[\w\"'\[]", re.MULTILINE).search(text, header.end())
    opens = re.compile(rf"^[ \t]*{key}[ \t]*=[ \t]*\[", re.MULTILINE).search(text, header.end())
    if opens is None or (ends is not None and ends.start() < opens.start()):
        return None
    return opens.end()
