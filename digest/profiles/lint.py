"""What is wrong or odd in a profile text, each with its place and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from digest import identity
from digest.model import Interest, Paper, Profile
from digest.profiles.names import MAYBE, SURE, has_given_name, without_hints
from digest.profiles.places import Path, Places
from digest.profiles.query import Everything, Leaf, Phrase, QueryError, leaves, parse_query
from digest.profiles.reading import examine, read_term

if TYPE_CHECKING:
    from digest.profiles.shelf import Byline, Shelf

ERROR, WARNING, NOTE = "error", "warning", "note"
TOO_MUCH = 0.25  # of the papers: what matches more tells them apart too little
CIRCLES = 3  # groups that never write together, from which a name may be several people's
SPAN = "the last four weeks"

_LOWER = re.compile(r"(?<![\w\"-])(and|or|not)(?![\w\"-])")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One remark on a profile text. `level`: error (it is refused), warning or note."""

    line: int
    column: int
    level: str
    message: str


Odd = tuple[Path, str, str]  # where, level, message


def lint(text: str, papers: Sequence[Paper] = (), unknown: Collection[str] = ()) -> list[Finding]:
    """Everything worth saying of a profile text, in the order of its lines. Raises nothing.

    `papers`: those of the last four weeks, to tell which terms match too much or nothing;
    `unknown`: seeds (canonical ids) that are not stored here.
    """
    document, profile, faults = examine(text)
    findings = {Finding(line, column, ERROR, said) for line, column, said in faults}
    if document is not None and profile is not None:
        places = Places(text)
        odd = [] if faults else [*_plain(profile, document)]
        odd += _seeds(profile, frozenset(unknown))
        if papers:
            from digest.profiles.shelf import Shelf  # numpy: only where needed

            odd += _measured(document, Shelf(papers))
        findings |= {Finding(*places.of_value(p), level, said) for p, level, said in odd}
    return sorted(findings)


# ------------------------------------------------------------------ what the text alone shows


def _plain(profile: Profile, document: dict[str, Any]) -> Iterator[Odd]:
    if not (profile.interests or profile.follow_authors):
        wanted = "only papers with votes come" if profile.trending else "no letter will ever come"
        yield (), WARNING, f"there is no interest and nobody is followed: {wanted}"
    if profile.cadence.frequency == "daily" and "day" in document:
        yield ("day",), NOTE, "day has no meaning for daily letters"
    for index, interest in enumerate(profile.interests):
        yield from _plain_interest(("interest", index), interest, profile.budget)
    for index, author in enumerate(profile.follow_authors):
        if not has_given_name(author):
            yield (
                ("follow", "authors", index),
                WARNING,
                (f"{author!r} has no given name: only papers by exactly {author!r} come"),
            )


def _plain_interest(path: Path, interest: Interest, budget: int) -> Iterator[Odd]:
    if not (interest.query or interest.terms or interest.seeds):
        yield (
            path,
            WARNING,
            f"{interest.name!r} has no query, terms or seeds: it asks for everything",
        )
    if word := _LOWER.search(_QUOTED.sub('""', interest.query)):
        said = f"{word[0]!r} is looked for as a word; the operator is {word[0].upper()}"
        yield (*path, "query"), WARNING, said
    if interest.quota is not None and interest.quota > budget:
        yield (*path, "quota"), NOTE, f"the quota is above the budget of {budget}"
    for index, term in enumerate(interest.terms):
        if "*" in term.text:
            said = f"{term.text!r}: a * means something only in a query; terms match by their stems"
            yield (*path, "terms", index), WARNING, said
        if _UNSPACED.search(term.text):
            said = f"{term.text!r} is in a script without spaces: it is found only where it stands "
            yield (*path, "terms", index), WARNING, said + "alone, between spaces or marks"


def seeds_of(text: str) -> frozenset[str]:
    """The canonical ids of all papers that a profile text names. Raises nothing."""
    _, profile, _ = examine(text)
    named = (seed for i in profile.interests for seed in i.seeds) if profile else ()
    return frozenset(id_ for seed in named if (id_ := identity.parse(seed)))


def _seeds(profile: Profile, unknown: frozenset[str]) -> Iterator[Odd]:
    for index, interest in enumerate(profile.interests):
        for number, seed in enumerate(interest.seeds):
            path: Path = ("interest", index, "seeds", number)
            id_ = identity.parse(seed)
            if id_ is None:
                said = f"{seed!r} is no id of a paper, such as arxiv:2410.16794 or doi:10.1101/1"
                yield path, WARNING, said
            elif id_ in unknown:
                yield path, NOTE, f"{seed!r} is not stored here; it counts from when it is"


# ------------------------------------------------------------------ what the papers show


def _measured(document: dict[str, Any], shelf: Shelf) -> Iterator[Odd]:
    interests = document.get("interest")
    for index, interest in enumerate(interests if isinstance(interests, list) else []):
        if isinstance(interest, dict):
            path: Path = ("interest", index)
            yield from _shares(path, interest, "terms", shelf, _of_term)
            yield from _query_share((*path, "query"), interest.get("query"), shelf)
    for table, key, of in (
        ("mute", "terms", _of_mute),
        ("mute", "categories", _of_category),
    ):
        yield from _shares((table,), document.get(table), key, shelf, of)
    yield from _people(document.get("follow"), shelf)


Of: TypeAlias = "Callable[[Shelf, str], int]"


def _of_term(shelf: Shelf, text: str) -> int:
    return shelf.holding(read_term(text).text)


def _of_mute(shelf: Shelf, text: str) -> int:
    return shelf.holding(text)


def _of_category(shelf: Shelf, text: str) -> int:
    return shelf.under(text)


def _shares(path: Path, table: object, key: str, shelf: Shelf, of: Of) -> Iterator[Odd]:
    values = table.get(key) if isinstance(table, dict) else None
    for index, text in enumerate(values if isinstance(values, list) else []):
        try:
            found = of(shelf, text)
        except (ValueError, AttributeError, TypeError):
            continue  # already reported as an error
        yield from _judge((*path, key, index), repr(text), found, shelf)


def _query_share(path: Path, query: object, shelf: Shelf) -> Iterator[Odd]:
    if not isinstance(query, str):
        return
    try:
        tree = parse_query(query)
    except QueryError:
        return  # already reported as an error
    if tree is None or isinstance(tree, Everything):
        return
    whole = shelf.meeting(tree)
    yield from _judge(path, "the query", whole, shelf)
    parts = [leaf for leaf in dict.fromkeys(leaves(tree)) if leaf != tree]
    for leaf in parts:
        if not shelf.meeting(leaf):
            yield path, NOTE, f"{spelled(leaf)} matches nothing of {SPAN}"


def spelled(leaf: Leaf) -> str:
    """A leaf of a query as people would write it."""
    match leaf:
        case Everything():
            return "*"
        case Phrase():
            field = f"{leaf.field}:" if leaf.field else ""
            return f"{field}'{' '.join(leaf.words)}'"
        case _:
            return repr(leaf.name)


def _judge(path: Path, what: str, found: int, shelf: Shelf) -> Iterator[Odd]:
    share = found.bit_count() / len(shelf.papers)
    if not found:
        yield path, WARNING, f"{what} matches nothing of {SPAN}"
    elif share > TOO_MUCH:
        yield path, WARNING, f"{what} matches {share:.0%} of {SPAN}".replace("%", " %")


def _people(table: object, shelf: Shelf) -> Iterator[Odd]:
    values = table.get("authors") if isinstance(table, dict) else None
    for index, person in enumerate(values if isinstance(values, list) else []):
        if not isinstance(person, str):
            continue
        found = shelf.by(person)
        for sure, verb in ((SURE, "is"), (MAYBE, "may be")):
            names = sorted({byline.spelled for byline in found if byline.sure == sure})
            if len(names) > 1:
                listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
                yield ("follow", "authors", index), WARNING, f"{person!r} {verb} {listed}"
        if said := _of_one_name(person, found, shelf):
            yield ("follow", "authors", index), NOTE, said


def _of_one_name(person: str, found: Sequence[Byline], shelf: Shelf) -> str:
    """What the papers tell of a name that may be several people's; "" where they tell nothing."""
    name = without_hints(person)
    if name != person:
        without = len(shelf.by(name))
        lost = f"{person!r}: its hints fit none of {without} papers by {name!r} in {SPAN}"
        return lost if without and not found else ""
    sets = [{a for a in shelf.papers[b.paper].authors if a != b.spelled} for b in found]
    circles = len(_circles(sets))
    if circles < CIRCLES:
        return ""
    return (
        f"{person!r} is on {len(found)} papers of {SPAN} by {circles} groups that share no other "
        f"author: perhaps several people; tell yours as '{name} (with: Jane Doe; cat: cs.LG)'"
    )


def _circles(sets: Sequence[set[str]]) -> list[set[str]]:
    """Groups of co-authors, those that share somebody made one; nobody beside is no group."""
    groups: list[set[str]] = []
    for one in filter(None, sets):
        near = [group for group in groups if group & one]
        groups = [group for group in groups if not group & one]
        groups.append(one.union(*near))
    return groups
