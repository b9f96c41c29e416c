"""pure: which records are one work: canonical ids, ids that people type, folding of a batch.

An id is `scheme:value`. Strong schemes name one work each (`arxiv`, `doi`, any registry's);
`sha` is the last resort, made of title and first author; `ta` is the same fingerprint as a weak
id beside strong ones, by which records meet that share none.

How sure the last resort is: two records with the same fingerprint have the same title, letter
for letter but for case, accents, punctuation and spacing, and a first author of the same surname;
and they are one work only if half of the shorter list of authors is in the longer, and no registry
gave them two ids. Records without authors, or with a title under 15 letters, get no weak id, and a
`sha` that also holds where they were found, so that two "Editorial"s stay two. Of 13,911 arXiv
papers, all of them different works by their numbers, two pairs have one fingerprint, and both are
a text that its authors submitted anew (docs/decisions/0021).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, unquote

from digest.model import Announce, Listing
from digest.text import fold as plain
from digest.text import surname

WEAK = "ta"
LAST_RESORT = "sha"
_RANK = {"arxiv": 0, "doi": 1, LAST_RESORT: 8, WEAK: 9}
_OTHER = 4
MOST_TWINS = 8  # works of one title among which one is looked for
_SHORT_TITLE = 15  # letters

_NEW = r"\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}"
_OLD = r"[a-z]+(?:-[a-z]+)?(?:\.[a-z]{2})?/\d{2}(?:0[1-9]|1[0-2])\d{3}"
_NUMBER = rf"({_NEW}|{_OLD})(?:v(\d{{1,3}}))?"
_ARXIV = re.compile(
    rf"(?:arxiv:\s*|oai:arxiv\.org:|(?:https?://)?(?:dx\.)?doi\.org/10\.48550/arxiv\."
    rf"|(?:doi:\s*)?10\.48550/arxiv\.|(?:https?://)?(?:[\w-]+\.)*(?:arxiv|alphaxiv)\.org/[a-z-]+/"
    rf"|(?:https?://)?(?:huggingface\.co|hf\.co)/papers/|(?:https?://)?ar5iv\.[\w.]+/(?:abs|html)/)?"
    rf"{_NUMBER}(?:\.pdf|[?#/].*)?",
    re.I,
)
_DOI = re.compile(r"10\.\d{4,9}(?:\.\d+)*/[^\s\"]{1,280}", re.I)
_DOI_DOOR = re.compile(r"^(?:doi:?\s*|https?://(?:dx\.)?doi\.org/|info:doi/)", re.I)
_BIORXIV_OLD = re.compile(
    r"(?:bio|med)rxiv\.org/cgi/content/\w+/((?:\d{4}\.\d\d\.\d\d\.)?\d{6,8})", re.I
)
_PREPRINT = re.compile(
    r"^(10\.(?:1101|64898)/(?:\d{4}\.\d\d\.\d\d\.)?\d{6,8})(?:v\d+)?(?:[./?#].*)?$"
)
_PREPRINT_SERVERS = re.compile(  # not journals: their DOI and the journal's may be of one work
    r"10\.(?:21203/rs\.|20944/preprints|26434/chemrxiv|31234/osf|31219/osf|31235/osf|31222/osf"
    r"|31223/|36227/techrxiv|2139/ssrn|22541/au\.|7287/peerj\.preprints|1590/scielopreprints)"
)
_SHA = re.compile(r"(?:sha|ta):[0-9a-f]{16}")
_GENERIC = re.compile(r"([a-z][a-z0-9_-]{1,15}):([^\s:/][^\s]{0,199})", re.I)
_NO_SCHEME = {"http", "https", "ftp", "file", "mailto", "javascript", "data", "doi", "arxiv", "oai"}


def parse(text: str) -> str | None:
    """The canonical id of what a person or a feed wrote; None where it names no work.

    `arXiv:2410.16794v2`, `2410.16794`, `math.GT/0309136`, `oai:arXiv.org:...`, addresses of
    arXiv, Hugging Face papers, DOIs in all their forms, `sha:...`, and `scheme:value` of others.
    """
    return versioned(text)[0]


def versioned(text: str) -> tuple[str | None, int | None]:
    """(canonical id or None, the version where one is said)."""
    text = text.strip()[:2000]
    if found := _ARXIV.fullmatch(text):
        return f"arxiv:{_number(found[1])}", int(found[2]) if found[2] else None
    if doi := _doi(text):
        return f"doi:{doi}", None
    if _SHA.fullmatch(text.lower()):
        return text.lower(), None
    found = _GENERIC.fullmatch(text)
    if found and found[1].lower() not in _NO_SCHEME:
        return f"{found[1].lower()}:{found[2]}", None
    return None, None


def scheme(id_: str) -> str:
    """`arxiv` of `arxiv:2410.16794`."""
    return id_.partition(":")[0]


def registry(id_: str) -> str:
    """Who gave this id, and would give one work one id only: two arXiv numbers are two works, as
    are two DOIs of journals or two of one preprint server. A preprint's and a journal's may be of
    one work."""
    kind, _, value = id_.partition(":")
    if kind != "doi":
        return kind
    if _PREPRINT.fullmatch(value):
        return "doi of biorxiv"
    server = _PREPRINT_SERVERS.match(value)
    return f"doi of {server[0]}" if server else kind


def may_be_one(authors: Sequence[str], others: Sequence[str]) -> bool:
    """True where half of the shorter list's surnames are in the longer, or a list is missing."""
    mine, theirs = set(map(surname, authors)), set(map(surname, others))
    return 2 * len(mine & theirs) >= min(len(mine), len(theirs))


def is_weak(id_: str) -> bool:
    return scheme(id_) == WEAK


def link(id_: str) -> str:
    """Where the work can be read; empty for an id that is no address."""
    kind, _, value = id_.partition(":")
    if kind == "arxiv":
        return f"https://arxiv.org/abs/{value}"
    if kind == "doi":
        return f"https://doi.org/{quote(value, safe='/:;().,-_~+')}"
    return ""


def fingerprint(title: str, authors: Sequence[str], found_at: str = "") -> str:
    """16 hex digits of the title's letters and digits and of the first author's surname, and of
    `found_at` where that is too little to go by."""
    letters, by = _letters(title), surname(authors[0]) if authors else ""
    return _digits(letters, by, "" if _tells(letters, by) else found_at)


def title_key(title: str, authors: Sequence[str]) -> str:
    """The weak id `ta:<16 hex>`; empty where title and authors say too little."""
    letters, by = _letters(title), surname(authors[0]) if authors else ""
    return f"{WEAK}:{_digits(letters, by, '')}" if _tells(letters, by) else ""


def complete(
    ids: Iterable[str | None], title: str, authors: Sequence[str], found_at: str = ""
) -> tuple[str, ...]:
    """The ids of a listing: the given ones, canonical candidates first; the last resort where
    there is none; and the weak one where it says enough."""
    strong = canonical_first(id_ for id_ in ids if id_)
    if not strong:
        strong = (f"{LAST_RESORT}:{fingerprint(title, authors, found_at)}",)
    weak = title_key(title, authors)
    return (*strong, weak) if weak and weak not in strong else strong


def canonical_first(ids: Iterable[str]) -> tuple[str, ...]:
    """Each id once: arXiv, DOI, other registries, last resort, weak; else as they came."""
    return tuple(sorted(dict.fromkeys(ids), key=lambda id_: _RANK.get(scheme(id_), _OTHER)))


def fold(listings: Sequence[Listing]) -> list[Listing]:
    """One listing for each work of a batch, in order of first appearance.

    Works are one where they share a strong id, or a weak one and have no two different ids of
    the same registry, and authors in common. The highest version's text wins; what it lacks comes
    from the others; ids, categories and links are united; of each signal the highest value stays;
    a work that is new anywhere is new.
    """
    groups = _by_weak(_by_strong(listings))
    return [_one(group) for group in groups]


def _number(number: str) -> str:
    """`math.GT/0309136` is `math/0309136`: arXiv's canonical form has no subject class."""
    number = number.lower()
    if "/" not in number:
        return number
    archive, _, digits = number.partition("/")
    return f"{archive.partition('.')[0]}/{digits}"


def _doi(text: str) -> str:
    """The DOI in `text`, lower case, without what is only its address or its version."""
    if old := _BIORXIV_OLD.search(text):
        return f"10.1101/{old[1]}"
    said = _DOI_DOOR.sub("", unquote(text) if "%" in text else text)
    found = _DOI.match(said) or (_DOI.search(said) if "://" in text else None)
    if not found:
        return ""
    doi = _trimmed(found[0].lower())
    if preprint := _PREPRINT.match(doi):
        return preprint[1]
    return re.sub(r"[?#].*$", "", doi) if "://" in text else doi


def _trimmed(doi: str) -> str:
    """Without punctuation that belongs to the sentence around it."""
    doi = doi.rstrip(".,;:'\"*")
    while doi.endswith((")", "]", "}")) and doi.count(doi[-1]) > doi.count(
        "([{"[")]}".index(doi[-1])]
    ):
        doi = doi[:-1].rstrip(".,;:'\"")
    return doi


def _letters(title: str) -> str:
    return "".join(re.findall(r"[^\W_]+", plain(title)))


def _digits(letters: str, by: str, where: str) -> str:
    return hashlib.sha256(f"{letters}\n{by}\n{where}".encode()).hexdigest()[:16]


def _tells(letters: str, by: str) -> bool:
    return bool(by) and len(letters) >= _SHORT_TITLE


def _by_strong(listings: Sequence[Listing]) -> list[list[Listing]]:
    """Groups of listings that share a strong id, directly or through others; in the order of
    first appearance, within them too. Linear, however many are one work."""
    joined = list(range(len(listings)))  # to an earlier listing of its group; itself at the head

    def head(at: int) -> int:
        while joined[at] != at:
            joined[at] = at = joined[joined[at]]
        return at

    shown: dict[str, int] = {}
    for at, listing in enumerate(listings):
        for id_ in listing.ids:
            if not is_weak(id_):
                one, other = sorted((head(at), head(shown.setdefault(id_, at))))
                joined[other] = one
    groups: dict[int, list[Listing]] = {}
    for at, listing in enumerate(listings):
        groups.setdefault(head(at), []).append(listing)
    return list(groups.values())


def _by_weak(groups: list[list[Listing]]) -> list[list[Listing]]:
    """The groups that share a weak id and do not contradict each other become one."""
    kept: list[list[Listing]] = []
    homes: dict[str, list[int]] = {}
    for group in groups:
        weak = {id_ for item in group for id_ in item.ids if is_weak(id_)}
        near = (at for id_ in weak for at in homes.get(id_, ())[:MOST_TWINS])
        at = next((at for at in near if not _contradict(kept[at], group)), None)
        if at is None:
            at = len(kept)
            kept.append([])
        kept[at].extend(group)
        for id_ in weak:
            homes.setdefault(id_, []).append(at)
    return kept


def _contradict(one: Iterable[Listing], other: Iterable[Listing]) -> bool:
    """Two different ids of one registry are two works, and so are those of other people."""
    mine, theirs = _by_registry(one), _by_registry(other)
    if any(mine[giver] != theirs[giver] for giver in mine.keys() & theirs.keys()):
        return True
    return not may_be_one(_authors(one), _authors(other))


def _by_registry(group: Iterable[Listing]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for id_ in (id_ for item in group for id_ in item.ids if not is_weak(id_)):
        found.setdefault(registry(id_), set()).add(id_)
    return found


def _authors(group: Iterable[Listing]) -> tuple[str, ...]:
    return next((item.authors for item in group if item.authors), ())


_WORTH = {
    Announce.NEW: 0,
    Announce.CROSS: 1,
    Announce.REPLACE: 2,
    Announce.REPLACE_CROSS: 3,
    Announce.LISTED: 4,
}


def _one(group: Sequence[Listing]) -> Listing:
    if len(group) == 1:
        return group[0]
    ranked = sorted(group, key=lambda item: (-item.version, _WORTH[item.announce]))
    best = ranked[0]
    return Listing(
        ids=canonical_first(id_ for item in group for id_ in item.ids),
        title=best.title,
        abstract=next((item.abstract for item in ranked if item.abstract), ""),
        authors=next((item.authors for item in ranked if item.authors), ()),
        categories=tuple(dict.fromkeys(c for item in ranked for c in item.categories)),
        published=next((item.published for item in ranked if item.published), None),
        version=best.version,
        announce=min((item.announce for item in group), key=_WORTH.__getitem__),
        links=_united(item.links for item in reversed(ranked)),
        signals=_highest(item.signals for item in ranked),
    )


def _united(maps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {name: value for links in maps for name, value in links.items()}


def _highest(maps: Iterable[Mapping[str, float]]) -> dict[str, float]:
    highest: dict[str, float] = {}
    for signals in maps:
        for name, value in signals.items():
            highest[name] = max(value, highest.get(name, value))
    return highest
