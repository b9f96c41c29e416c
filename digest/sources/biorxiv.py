"""Kinds `biorxiv` and `medrxiv`: the feed of the newest preprints, the API for each whole day.

    [[sources]] name = "bio"  kind = "biorxiv"  subjects = ["neuroscience", "cell biology"]

`base_url` asks one place for both (`{base_url}/biorxiv_xml.php`, `{base_url}/details/...`);
`api_url` sets the API's own address. The feed shows the last thirty of a subject; what it dropped
is found in the API a day later, and there too which preprints a journal has published.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from urllib.parse import quote

from digest import identity
from digest.errors import ConfigError
from digest.model import Announce, BadEntry, Fetched, Listing, Verdict
from digest.sources import Known, SourceSpec, archive, document, options
from digest.sources.answers import Answer
from digest.sources.archive import Owed
from digest.sources.biorxiv_api import BiorxivApi, posting, publication
from digest.sources.entries import again, listing, listings
from digest.sources.feed import advanced, silent_days, unseen
from digest.sources.health import Came, judge
from digest.sources.http import Web

FEEDS = "https://connect.{server}.org"
API = "https://api.biorxiv.org"
YOUNG = timedelta(days=45)  # a revision of a preprint so new is news where we do not know it
_SUBJECT = re.compile(r"[a-z]+(?:[ _-][a-z]+)*", re.I)
_POSTED = re.compile(r"/(\d{4})\.(\d\d)\.(\d\d)\.")  # the date in a preprint's DOI


@dataclass(frozen=True, slots=True)
class _Look:
    """What one subject's feed showed."""

    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    validators: Mapping[str, str] | None = None
    hopeless: bool = False


class BiorxivSource:
    """The cursor: `seen` ids and the day something unseen last came (`changed`); `through`, the
    day up to which the API told everything; the feed's validators where there is one feed."""

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec, self.web = spec, web
        may = {"subjects": "texts", "base_url": "address", "api_url": "address"}
        given = options.read(spec, {}, may)
        self.subjects = [_plain(subject) for subject in given.get("subjects", ["all"])]
        if odd := [name for name in self.subjects if not _SUBJECT.fullmatch(name)]:
            fault = f"source {spec.name}: subjects: {', '.join(odd)}: no subject"
            raise ConfigError([fault], subject=spec.name)
        server = "medrxiv" if spec.kind == "medrxiv" else "biorxiv"
        base = str(given.get("base_url", "")).rstrip("/")
        self.feed_url = f"{base or FEEDS.format(server=server)}/{server}_xml.php"
        self.api = BiorxivApi(given.get("api_url") or base or API, server, spec, web)

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        return again(kept, _any)

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        looks = await self._feeds(cursor if len(self.subjects) == 1 else {})
        shown = tuple(identity.fold([paper for look in looks for paper in look.papers]))
        shown = tuple(_worth_telling(shown, known, now.date()))
        fetched = _judged(looks, shown, cursor, now)
        owed = archive.owed(cursor, now)
        if owed is None:
            through = cursor.get("through") or archive.settled(now).isoformat()
            return replace(fetched, cursor={**fetched.cursor, "through": through})
        slices = await archive.some(self.api.posted(owed, journals=True))
        papers = [paper for part in slices for paper in self._ours(part.papers)]
        told = _worth_telling(identity.fold(papers), known, now.date())
        missed = archive.lacked(told, shown, known)
        both, rest = _met(shown, told)
        return archive.filled(replace(fetched, listings=both), slices, owed, rest, missed)

    async def backfill(self, since: date, until: date, now: datetime) -> AsyncIterator[Fetched]:
        """Every preprint posted on the days [since, until], oldest first, a page at a time; ends
        with the first page that failed, and what came before it holds."""
        async for part in self.api.posted(Owed(since, until), journals=False):
            papers = (p for p in self._ours(part.papers) if p.version == 1 or _is_young(p, since))
            yield Fetched(part.verdict, part.message, backfill=tuple(papers), bad=part.bad)

    async def _feeds(self, validators: Mapping[str, str]) -> list[_Look]:
        """Each subject's feed, until one fails as all would."""
        looks: list[_Look] = []
        for subject in self.subjects:
            url = f"{self.feed_url}?subject={quote(subject.replace(' ', '_'))}"
            answer = await self.web.get(url, self.spec, validators)
            looks.append(await asyncio.to_thread(_read, answer))
            if looks[-1].hopeless:
                break
        return looks

    def _ours(self, papers: Sequence[Listing]) -> list[Listing]:
        """Those of our subjects; what names none, as a publication may, is kept."""
        if "all" in self.subjects:
            return list(papers)
        wanted = set(self.subjects)
        return [p for p in papers if not p.categories or wanted & set(map(_plain, p.categories))]


def _plain(subject: str) -> str:
    """`Cell_Biology` and `cell-biology` are `cell biology`."""
    return " ".join(re.split(r"[\s_-]+", subject.strip().lower()))


def _read(answer: Answer) -> _Look:
    if not answer.ok:
        for_all = answer.verdict not in {Verdict.HTTP_ERROR, Verdict.NOT_MODIFIED}
        hopeless = for_all or answer.retry_after > 0 or answer.status == 0
        waits = answer.verdict is not Verdict.NOT_MODIFIED and hopeless
        return _Look(answer.verdict, answer.message, hopeless=waits)
    found = document.read(answer.body, answer.headers.get("content-type", ""), answer.url)
    papers, bad = listings(found.entries, _shown)
    return _Look(found.verdict, found.message, papers, bad, answer.validators)


def _any(entry: dict[str, object]) -> Listing:
    """An entry of the feed, or a row of the API."""
    if "preprint_doi" in entry:
        return publication(entry)
    return posting(entry) if "doi" in entry else _shown(entry)


def _shown(entry: dict[str, object]) -> Listing:
    """An entry of the feed. A later version is a revision."""
    paper = listing(entry)
    return replace(paper, announce=Announce.REPLACE) if paper.version > 1 else paper


def _judged(
    looks: Sequence[_Look], shown: tuple[Listing, ...], cursor: Mapping[str, str], now: datetime
) -> Fetched:
    """A feed that failed counts first; then what is unseen."""
    bad = tuple(bad for look in looks for bad in look.bad)
    fine = {Verdict.OK, Verdict.NOT_MODIFIED}
    failed = next((look for look in looks if look.verdict not in fine), None)
    if failed:
        return Fetched(failed.verdict, failed.message, shown, bad=bad, cursor=dict(cursor))
    fresh = unseen(shown, cursor)
    silent = 0 if fresh else silent_days(cursor, now)
    answer = Verdict.OK if any(look.verdict is Verdict.OK for look in looks) else looks[0].verdict
    came = Came(answer, looks[0].message, len(shown), len(fresh), silent_days=silent)
    verdict, message = judge(came)
    if answer is Verdict.NOT_MODIFIED:
        return Fetched(verdict, message, cursor=dict(cursor))
    validators = (looks[0].validators if len(looks) == 1 else None) or {}
    after = {**cursor, **advanced(cursor, validators, shown, fresh, now)}
    stale = {"etag", "modified"} - validators.keys()
    after = {name: value for name, value in after.items() if name not in stale}
    return Fetched(verdict, message, shown, bad=bad, cursor=after)


def _met(
    shown: Sequence[Listing], told: Sequence[Listing]
) -> tuple[tuple[Listing, ...], list[Listing]]:
    """(what the feed showed with what the API adds to it, what only the API told)."""
    here = {id_ for paper in shown for id_ in paper.ids if not identity.is_weak(id_)}
    met = [paper for paper in told if not here.isdisjoint(paper.ids)]
    rest = [paper for paper in told if here.isdisjoint(paper.ids)]
    return tuple(identity.fold([*shown, *met])), rest


def _worth_telling(papers: Sequence[Listing], known: Known, today: date) -> tuple[Listing, ...]:
    """Without revisions and publications of old works that we never had: they are not new."""
    late = [id_ for p in papers if p.announce is Announce.REPLACE for id_ in p.ids]
    ours = known(late) if late else frozenset()
    return tuple(
        p
        for p in papers
        if p.announce is not Announce.REPLACE
        or not ours.isdisjoint(p.ids)
        or (p.version > 1 and _is_young(p, today))
    )


def _is_young(paper: Listing, today: date) -> bool:
    """Told by its DOI to have come in lately: its first version may have slipped by us."""
    found = next(filter(None, map(_POSTED.search, paper.ids)), None)
    try:
        return found is not None and today - date(*map(int, found.groups())) <= YOUNG
    except ValueError:
        return False
