"""Kind `huggingface`: the daily papers page, and its votes once they have matured.

    [[sources]] name = "hf"  kind = "huggingface"      # limit, base_url: for mirrors and tests

A page is asked for on its own day, as often as we look, and again when it is 1, 3, 7 and 14 days
old, since votes settle after a week or two. Pages of days on which we did not look are caught up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from digest import identity
from digest.model import Announce, BadEntry, Fetched, Listing, Verdict
from digest.sources import Known, SourceSpec, options, rows
from digest.sources.answers import Answer
from digest.sources.document import decoded
from digest.sources.entries import Unreadable, again, arxiv_links, listings, web_address
from digest.sources.feed import unseen
from digest.sources.http import Web
from digest.text import clean_abstract, clean_title, split_authors

BASE = "https://huggingface.co"
AGES = (0, 1, 3, 7, 14)  # days after which a page is asked for again
CATCH_UP = 60  # days at most
MAX_PAGES = 5
_DAY = timedelta(days=1)

Asked = dict[str, list[int]]
"""{date: [age at which its page was last read, papers on it]}"""


@dataclass(frozen=True, slots=True)
class _Page:
    day: date
    verdict: Verdict
    message: str = ""
    papers: tuple[Listing, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    entries: int = 0
    validators: Mapping[str, str] | None = None
    hopeless: bool = False


class HuggingFaceSource:
    """The cursor: `asked` (see Asked) of the last two weeks, `seen` ids, and the validators of
    the page of `etag_day`."""

    def __init__(self, spec: SourceSpec, web: Web) -> None:
        self.spec, self.web = spec, web
        given = options.read(spec, {}, {"base_url": "address", "limit": "count"})
        self.limit: int = given.get("limit", 100)
        base = str(given.get("base_url", BASE)).rstrip("/")
        self.url = f"{base}/api/daily_papers"

    async def fetch(self, cursor: Mapping[str, str], known: Known, now: datetime) -> Fetched:
        today = now.date()
        asked: Asked = json.loads(cursor.get("asked", "{}"))
        pages: list[_Page] = []
        for day in due(asked, today):
            page = await self._page(day, _validators(cursor, day))
            pages.append(page)
            if page.hopeless:
                break  # it would be so for every other day too
        papers = tuple(identity.fold([paper for page in pages for paper in page.papers]))
        fresh = unseen(papers, cursor)
        after = _advanced(cursor, asked, pages, papers, today)
        verdict, message = _judged(pages, len(fresh), json.loads(after["asked"]), today)
        bad = tuple(bad for page in pages for bad in page.bad)
        return Fetched(verdict, message, papers, bad=bad, cursor=after)

    def read_entry(self, kept: bytes) -> Listing | BadEntry:
        return again(kept, listing)

    async def _page(self, day: date, validators: Mapping[str, str]) -> _Page:
        """All of one day's page."""
        whole: list[_Page] = []
        while len(whole) < MAX_PAGES and (not whole or whole[-1].entries >= self.limit):
            query = f"date={day}&limit={self.limit}&p={len(whole)}"
            conditions = validators if not whole else {}
            answer = await self.web.get(f"{self.url}?{query}", self.spec, conditions)
            part = await asyncio.to_thread(_read, day, answer)
            if part.verdict is not Verdict.OK:
                return part
            whole.append(part)
        return _Page(
            day,
            Verdict.OK,
            papers=tuple(paper for part in whole for paper in part.papers),
            bad=tuple(bad for part in whole for bad in part.bad),
            entries=sum(part.entries for part in whole),
            validators=whole[0].validators if len(whole) == 1 else None,
        )


def due(asked: Asked, today: date) -> list[date]:
    """The days whose pages are to be read now, today's first."""
    last = max((date.fromisoformat(day) for day in asked), default=None)
    first = min(last or today, today - _DAY * AGES[-1])
    first = max(first, today - _DAY * CATCH_UP)
    days = [today - _DAY * age for age in range((today - first).days + 1)]
    return [day for day in days if _is_due(day, asked.get(day.isoformat()), last, today)]


def _is_due(day: date, asked: Sequence[int] | None, last: date | None, today: date) -> bool:
    age = (today - day).days
    if age == 0:
        return True
    if asked is None:  # never read: at a set age, or because we did not look since
        return age in AGES or (last is not None and day > last)
    return any(asked[0] < mark <= age for mark in AGES)


def _validators(cursor: Mapping[str, str], day: date) -> Mapping[str, str]:
    return cursor if cursor.get("etag_day") == day.isoformat() else {}


def _read(day: date, answer: Answer) -> _Page:
    if answer.verdict is Verdict.NOT_MODIFIED:
        return _Page(day, Verdict.NOT_MODIFIED)
    if not answer.ok:
        for_all = answer.verdict is not Verdict.HTTP_ERROR or answer.retry_after > 0
        return _Page(day, answer.verdict, answer.message, hopeless=for_all)
    try:
        found = rows.loaded(decoded(answer.body, answer.headers.get("content-type", ""))[0])
    except (ValueError, RecursionError) as error:
        what = "a web page" if answer.body.lstrip()[:1] == b"<" else f"no JSON ({error})"
        return _Page(day, Verdict.PARSE_FAILED, f"{what} instead of a list of papers")
    if not isinstance(found, list):
        said = found.get("error", "") if isinstance(found, dict) else ""
        return _Page(day, Verdict.PARSE_FAILED, f"no list of papers {str(said)[:200]}".strip())
    papers, bad = listings(found, listing)
    many, validators = len(found), answer.validators
    return _Page(day, Verdict.OK, papers=papers, bad=bad, entries=many, validators=validators)


def listing(row: Mapping[str, Any]) -> Listing:
    """One row of the page. Dates are the paper's own: the row's `publishedAt` is four hours off.
    Raises Unreadable."""
    paper = row.get("paper") if isinstance(row, dict) else None
    if not isinstance(paper, dict):
        raise Unreadable("has no paper")
    id_ = identity.parse(str(paper.get("id", "")))
    title = clean_title(str(paper.get("title") or row.get("title") or ""))
    if not id_ or not title:
        raise Unreadable("has no title" if id_ else f"has no id of a paper: {paper.get('id')!r}")
    names = [a.get("name") for a in paper.get("authors") or () if isinstance(a, dict)]
    authors = split_authors([name for name in names if isinstance(name, str)])
    return Listing(
        ids=identity.complete([id_], title, authors),
        title=title,
        abstract=clean_abstract(str(paper.get("summary") or row.get("summary") or "")),
        authors=authors,
        published=_day(paper.get("publishedAt")),
        announce=Announce.LISTED,
        links=_links(id_.partition(":")[2], paper),
        signals=_votes(paper.get("upvotes")),
    )


def _day(said: object) -> date | None:
    try:
        return date.fromisoformat(str(said)[:10])
    except ValueError:
        return None


def _votes(said: object) -> dict[str, float]:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < 1e9:
        return {}
    return {"upvotes": float(said)}


def _links(number: str, paper: Mapping[str, Any]) -> dict[str, str]:
    links = {**arxiv_links(number), "hf": f"{BASE}/papers/{number}"}
    for name, key in (("code", "githubRepo"), ("project", "projectPage")):
        if isinstance(said := paper.get(key), str) and web_address(said):
            links[name] = said
    return links


def _advanced(
    cursor: Mapping[str, str],
    asked: Asked,
    pages: Sequence[_Page],
    papers: Sequence[Listing],
    today: date,
) -> dict[str, str]:
    """The cursor after these pages. One that failed stays due."""
    asked = dict(asked)
    for page in pages:
        if page.verdict is Verdict.OK:
            asked[page.day.isoformat()] = [(today - page.day).days, page.entries]
    oldest = (today - _DAY * (AGES[-1] + 1)).isoformat()
    seen = dict.fromkeys([*(p.ids[0] for p in papers), *cursor.get("seen", "").split()])
    after = {
        "asked": json.dumps({day: said for day, said in asked.items() if day >= oldest}),
        "seen": " ".join(list(seen)[:3000]),
    }
    if pages[0].validators:
        return {**after, **pages[0].validators, "etag_day": today.isoformat()}
    kept = ("etag", "modified", "etag_day")
    return {**after, **{name: cursor[name] for name in kept if name in cursor}}


def _judged(pages: Sequence[_Page], fresh: int, asked: Asked, today: date) -> tuple[Verdict, str]:
    """A page that failed counts first; then what today's page shows."""
    fine = {Verdict.OK, Verdict.NOT_MODIFIED}
    if failed := next((page for page in pages if page.verdict not in fine), None):
        return failed.verdict, f"page of {failed.day}: {failed.message}"
    if fresh:
        return Verdict.OK, ""
    if len(pages) == 1 and pages[0].verdict is Verdict.NOT_MODIFIED:
        return Verdict.NOT_MODIFIED, ""
    if pages[0].entries or pages[0].verdict is Verdict.NOT_MODIFIED:
        return Verdict.QUIET, ""
    if today.weekday() >= 5:
        return Verdict.HOLIDAY, "no page at the weekend"
    workday = today - _DAY * (3 if today.weekday() == 0 else 1)
    if (before := asked.get(workday.isoformat())) and before[1] == 0:
        return Verdict.EMPTY, f"no papers since before {workday}"
    return Verdict.QUIET, "today's page is not filled yet"
