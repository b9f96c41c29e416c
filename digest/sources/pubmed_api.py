"""PubMed's E-utilities: the articles that came to PubMed on a day and answer to a search.

`esearch` tells their numbers (JSON), `efetch` the articles themselves (XML), whose titles and
abstracts have markup: italics, raised and lowered letters, MathML.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from digest import identity
from digest.model import BadEntry, Listing, Verdict
from digest.sources import SourceSpec, rows, xmltree
from digest.sources.answers import Answer
from digest.sources.archive import Owed, days
from digest.sources.arxiv_api import Slice
from digest.sources.entries import MAX_CATEGORIES, Unreadable
from digest.sources.http import Web
from digest.sources.xmltree import Node
from digest.text import clean_abstract, clean_line, clean_title, split_authors

SLICE = 200  # articles in one answer
MOST = 9_999  # numbers that one search may tell
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search told."""

    verdict: Verdict
    message: str = ""
    ids: tuple[str, ...] = ()


class PubmedApi:
    """`url`: where `esearch.fcgi` and `efetch.fcgi` are; `term`: the search, as typed there."""

    def __init__(self, url: str, term: str, spec: SourceSpec, web: Web) -> None:
        self.url, self.term, self.spec, self.web = url.rstrip("/"), term, spec, web

    async def added(self, owed: Owed) -> AsyncIterator[Slice]:
        """The articles added to PubMed on these days, oldest first; ends with the first failure."""
        for day in days(owed):
            async for part in self._day(day):
                yield part
                if part.verdict is not Verdict.OK:
                    return

    async def _day(self, day: date) -> AsyncIterator[Slice]:
        found = await self._search(day)
        if found.verdict is not Verdict.OK:
            yield Slice(found.verdict, f"E-utilities, {day}: {found.message}")
            return
        if not found.ids:
            yield Slice(Verdict.OK, f"added on {day}: none", through=day)
        for start in range(0, len(found.ids), SLICE):
            part = await self._articles(found.ids[start : start + SLICE])
            done = min(start + SLICE, len(found.ids))
            if part.verdict is not Verdict.OK:
                yield Slice(part.verdict, f"E-utilities, {day}: {part.message}")
                return
            said = f"added on {day}: {done:,} of {len(found.ids):,}"
            through = day if done == len(found.ids) else None
            yield Slice(Verdict.OK, said, part.papers, part.bad, through)

    async def _search(self, day: date) -> _Found:
        asked = {
            "db": "pubmed",
            "term": self.term,
            "datetype": "edat",
            "mindate": f"{day:%Y/%m/%d}",
            "maxdate": f"{day:%Y/%m/%d}",
            "retmax": MOST,
            "retmode": "json",
            "tool": "paper-digest",
        }
        url = f"{self.url}/esearch.fcgi?{urlencode(asked)}"
        return await asyncio.to_thread(_found, await self.web.get(url, self.spec))

    async def _articles(self, ids: Sequence[str]) -> Slice:
        asked = {"db": "pubmed", "id": ",".join(ids), "retmode": "xml", "tool": "paper-digest"}
        url = f"{self.url}/efetch.fcgi?{urlencode(asked)}"
        return await asyncio.to_thread(_read, await self.web.get(url, self.spec))


def _found(answer: Answer) -> _Found:
    told = rows.told(answer)
    if not told.ok:
        return _Found(told.verdict, told.message)
    result = told.value.get("esearchresult")
    result = result if isinstance(result, dict) else told.value
    if error := rows.text(result, "ERROR") or rows.text(result, "error"):
        return _Found(Verdict.HTTP_ERROR, f"it says: {clean_line(error, 200)}")
    count = rows.number(result, "count")
    ids = tuple(id_ for id_ in rows.texts(result, "idlist") if id_.isdigit() and len(id_) < 12)
    if count is None:
        return _Found(Verdict.PARSE_FAILED, "the answer does not say how many articles there are")
    if count > MOST:
        return _Found(Verdict.TOO_LARGE, f"{count:,} articles in a day: narrow the term")
    if len(ids) < count:
        return _Found(Verdict.SHORT, f"told {len(ids):,} numbers of {count:,}")
    return _Found(Verdict.OK, ids=ids)


def _read(answer: Answer) -> Slice:
    parsed = xmltree.parsed(answer)
    if parsed.root is None:
        return Slice(parsed.verdict, parsed.message)
    if parsed.root.name != "PubmedArticleSet":
        return Slice(Verdict.PARSE_FAILED, f"no articles but <{clean_line(parsed.root.name, 60)}>")
    good, bad = [], []
    for name in ("PubmedArticle", "PubmedBookArticle"):
        for article in parsed.root.each(name):
            try:
                good.append(listing(article))
            except Unreadable as error:
                bad.append(BadEntry(article.kept(), str(error)))
    return Slice(Verdict.OK, "", tuple(identity.fold(good)), tuple(bad))


def listing(record: Node) -> Listing:
    """One article, or a book's chapter. Raises Unreadable."""
    citation = record.at("MedlineCitation") or record.at("BookDocument")
    if citation is None or not (pmid := citation.text("PMID").strip()).isdigit():
        raise Unreadable("has no number of PubMed")
    article = citation.at("Article") or citation
    titles = (article.markup(name) for name in ("ArticleTitle", "VernacularTitle"))
    title = next(filter(None, map(clean_title, titles)), "")
    if not title:
        raise Unreadable(f"{pmid[:12]} has no title")
    title = title[1:-1] if _is_bracketed(title) else title
    authors = split_authors(_authors(article.at("AuthorList")))
    doi = _doi(record, article)
    return Listing(
        ids=identity.complete([doi, f"pmid:{pmid[:12]}"], title, authors),
        title=title,
        abstract=_abstract(article),
        authors=authors,
        categories=_subjects(citation),
        published=_date(article, record),
        links=links_of(pmid[:12], doi),
    )


def _is_bracketed(title: str) -> bool:
    """PubMed puts titles that it translated in brackets."""
    return title.startswith("[") and title.endswith("]") and "]" not in title[1:-1]


def links_of(pmid: str, doi: str | None) -> dict[str, str]:
    """Where an article can be read."""
    at_journal = {"journal": identity.link(doi)} if doi else {}
    return {"abs": f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/", **at_journal}


def _authors(people: Node | None) -> list[str]:
    names = []
    for author in people.each("Author") if people else ():
        given = author.text("ForeName") or author.text("Initials")
        family = " ".join([author.text("LastName"), author.text("Suffix")]).strip()
        names.append(f"{given} {family}".strip() or author.text("CollectiveName"))
    return [name for name in names if name.strip()]


def _abstract(article: Node) -> str:
    """Its parts, each with its label where it has one."""
    parts = []
    abstract = article.at("Abstract")
    for text in abstract.each("AbstractText") if abstract else ():
        label = text.attributes.get("Label", "").capitalize()
        said = Node("", parts=[text]).markup(text.name)
        parts.append(f"{label}: {said}" if label and label != "Unlabelled" else said)
    return clean_abstract(" ".join(parts))


def _subjects(citation: Node) -> tuple[str, ...]:
    """Subject headings, then keywords."""
    headings, keywords = citation.at("MeshHeadingList"), citation.at("KeywordList")
    said = [h.text("DescriptorName") for h in (headings.each("MeshHeading") if headings else ())]
    said += [k.text() for k in (keywords.each("Keyword") if keywords else ())]
    terms = (clean_line(term, 100) for term in said)
    return tuple(dict.fromkeys(filter(None, terms)))[:MAX_CATEGORIES]


def _doi(record: Node, article: Node) -> str | None:
    """The article's own, never that of a reference."""
    places = [n.text() for n in article.each("ELocationID") if n.attributes.get("EIdType") == "doi"]
    listed = record.at("PubmedData/ArticleIdList") or article.at("ArticleIdList")
    ids = listed.each("ArticleId") if listed else ()
    places += [n.text() for n in ids if n.attributes.get("IdType") == "doi"]
    found = (identity.parse(place) for place in places)
    return next((id_ for id_ in found if id_ and id_.startswith("doi:")), None)


def _date(article: Node, record: Node) -> date | None:
    """The day it appeared online, else when it came to PubMed, else that of its issue."""
    history = record.at("PubmedData/History")
    came = [
        node
        for node in (history.each("PubMedPubDate") if history else ())
        if node.attributes.get("PubStatus") in {"pubmed", "entrez"}
    ]
    for node in (article.at("ArticleDate"), *came, article.at("Journal/JournalIssue/PubDate")):
        if node and (found := rows.day(_ymd(node))):
            return found
    return None


def _ymd(node: Node) -> str:
    month = node.text("Month").strip()
    if month[:3].lower() in _MONTHS:
        month = str(_MONTHS.index(month[:3].lower()) + 1)
    return f"{node.text('Year').strip()}-{month or 1}-{node.text('Day').strip() or 1}"
