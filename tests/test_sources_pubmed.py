"""Kind `pubmed`: the feed of a saved search, and the E-utilities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from replaying import fetch, no_web, noon, run, spec, web_of

from digest.errors import ConfigError, Refused
from digest.model import Fetched, Listing, Verdict
from digest.sources.pubmed import PubmedSource

MIRROR = "https://mirror.example"
FEED = f"{MIRROR}/rss/search/abc/?limit=15"
MONDAY = noon("2025-09-15")
DAY = timedelta(days=1)


def item(number: int, abstract: str = "<b>ABSTRACT</b></p><p>Livers were observed.") -> str:
    """An entry of a saved search, in the shape PubMed gives it."""
    return f"""<item>
    <title>Why &lt;i>E. coli&lt;/i> likes H&lt;sub>2&lt;/sub>O, part {number}</title>
    <link>https://pubmed.ncbi.nlm.nih.gov/{number}/?utm_source=x&amp;fc=2025&amp;v=2.18</link>
    <description>Livers were...</description>
    <content:encoded><![CDATA[<div><p style="color: #4aa564;">J Imag Med. 2025 Sep 12. doi:
    10.5555/jim.{number}. Online ahead of print.</p><p>{abstract}</p>
    <p style="color: lightgray">PMID:<a href="https://pubmed.ncbi.nlm.nih.gov/{number}/">{number}
    </a> | DOI:<a href=https://doi.org/10.5555/JIM.{number}>10.5555/JIM.{number}</a></p></div>
    ]]></content:encoded>
    <guid isPermaLink="false">pubmed:{number}</guid>
    <pubDate>Fri, 12 Sep 2025 06:00:00 -0400</pubDate>
    <dc:creator>Ada B Quill</dc:creator><dc:creator>Tomás Peñalver</dc:creator>
    <dc:date>2025-09-13</dc:date><dc:source>J Imag Med</dc:source>
    <dc:identifier>pmid:{number}</dc:identifier>
    <dc:identifier>doi:10.5555/jim.{number}</dc:identifier></item>"""


def rss(*items: str) -> str:
    names = (
        'xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    )
    inside = "".join(items)
    return f"<rss version='2.0' {names}><channel><title>t</title>{inside}</channel></rss>"


ARTICLE = """<PubmedArticle><MedlineCitation Status="MEDLINE"><PMID Version="1">{number}</PMID>
<Article PubModel="Print-Electronic"><Journal><JournalIssue><PubDate><Year>2026</Year>
<Month>Jan</Month></PubDate></JournalIssue><Title>J Imag Med</Title></Journal>
<ArticleTitle>{number} Uptake of <i>N</i>-acetyl&#xb2; at 10<sup>-3</sup> where
<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>x</mml:mi><mml:mo>&lt;</mml:mo>
<mml:mn>2</mml:mn></mml:math>.</ArticleTitle>
<ELocationID EIdType="pii">9</ELocationID><ELocationID EIdType="doi">10.5555/jim.{number}
</ELocationID><Abstract><AbstractText Label="AIM">To see <b>livers</b>.</AbstractText>
<AbstractText Label="RESULT">They were seen (p &lt; 0.05).</AbstractText></Abstract>
<AuthorList><Author><LastName>Quill</LastName><ForeName>Ada B</ForeName></Author>
<Author><LastName>Rossi</LastName><Initials>M</Initials><Suffix>Jr</Suffix></Author>
<Author><CollectiveName>Liver Watch Group</CollectiveName></Author><Author/></AuthorList>
<ArticleDate DateType="Electronic"><Year>2025</Year><Month>09</Month><Day>9</Day></ArticleDate>
</Article><MeshHeadingList><MeshHeading><DescriptorName UI="D1">Liver</DescriptorName>
<QualifierName>physiology</QualifierName></MeshHeading></MeshHeadingList>
<KeywordList><Keyword>organoids</Keyword></KeywordList></MedlineCitation>
<PubmedData><History><PubMedPubDate PubStatus="entrez"><Year>2025</Year><Month>9</Month>
<Day>12</Day></PubMedPubDate></History><ArticleIdList><ArticleId IdType="pubmed">{number}
</ArticleId></ArticleIdList><ReferenceList><Reference><ArticleIdList>
<ArticleId IdType="doi">10.5555/other</ArticleId></ArticleIdList></Reference></ReferenceList>
</PubmedData></PubmedArticle>"""
HEAD = (
    '<?xml version="1.0" ?><!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, '
    '1st January 2025//EN" "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">'
)


def articles(*inside: str) -> str:
    return f"{HEAD}<PubmedArticleSet>{''.join(inside)}</PubmedArticleSet>"


class Service:
    """The feed and the E-utilities; `days` maps a day to the numbers added on it."""

    def __init__(self) -> None:
        self.feed = rss(item(1))
        self.days: dict[str, Sequence[int]] = {}
        self.count: int | None = None  # what it counts, where that is not what it tells
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        if request.url.path.endswith("/esearch.fcgi"):
            self.asked.append(query)
            found = [str(number) for number in self.days.get(query["mindate"], ())]
            told = {"count": str(self.count or len(found)), "idlist": found}
            return httpx.Response(200, json={"header": {}, "esearchresult": told})
        if request.url.path.endswith("/efetch.fcgi"):
            inside = [ARTICLE.replace("{number}", number) for number in query["id"].split(",")]
            return httpx.Response(200, text=articles(*inside))
        return httpx.Response(200, text=self.feed)

    def source(self, **options: object) -> PubmedSource:
        return PubmedSource(spec("pubmed", base_url=MIRROR, **options), web_of(self))


def said(text: str) -> Listing | str:
    """The one article of an answer of efetch, or why it is none."""

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/esearch.fcgi"):
            told = {"esearchresult": {"count": "1", "idlist": ["7"]}}
            return httpx.Response(200, json=told)
        return httpx.Response(200, text=text)

    source = PubmedSource(spec("pubmed", base_url=MIRROR, term="liver"), web_of(handler))
    (part,) = past(source, "2025-09-12", "2025-09-12")
    return next(iter(part.backfill), part.bad[0].reason if part.bad else part.message)


def past(source: PubmedSource, since: str, until: str) -> list[Fetched]:
    async def parts() -> list[Fetched]:
        days = map(date.fromisoformat, (since, until))
        return [part async for part in source.backfill(*days, MONDAY)]

    return run(parts())


# ------------------------------------------------------------------ fields


def test_an_entry_of_a_saved_search_is_read_field_by_field() -> None:
    (paper,) = fetch(Service().source(url=FEED), MONDAY).listings
    assert paper.ids[:2] == ("doi:10.5555/jim.1", "pmid:1")
    assert paper.title == "Why E. coli likes H₂O, part 1"
    assert paper.abstract == "Livers were observed."
    assert paper.authors == ("Ada B Quill", "Tomás Peñalver")
    assert paper.published == date(2025, 9, 12)
    assert paper.links == {
        "abs": "https://pubmed.ncbi.nlm.nih.gov/1/",
        "journal": "https://doi.org/10.5555/jim.1",
    }


def test_an_entry_without_abstract_has_none() -> None:
    service = Service()
    service.feed = rss(item(1, "<b>NO ABSTRACT</b>"))
    (paper,) = fetch(service.source(url=FEED), MONDAY).listings
    assert paper.abstract == ""


def test_an_article_of_efetch_is_read_field_by_field() -> None:
    paper = said(articles(ARTICLE.replace("{number}", "7")))
    assert isinstance(paper, Listing)
    assert paper.ids[:2] == ("doi:10.5555/jim.7", "pmid:7")
    assert paper.title == "7 Uptake of N-acetyl² at 10⁻³ where x< 2."
    assert paper.abstract == "Aim: To see livers. Result: They were seen (p < 0.05)."
    assert paper.authors == ("Ada B Quill", "M Rossi Jr", "Liver Watch Group")
    assert paper.categories == ("Liver", "organoids")
    assert paper.published == date(2025, 9, 9)


def test_a_translated_title_loses_its_brackets_and_a_chapter_is_a_paper_too() -> None:
    book = (
        "<PubmedBookArticle><BookDocument><PMID>7</PMID><ArticleTitle>[On livers]</ArticleTitle>"
        "</BookDocument></PubmedBookArticle>"
    )
    paper = said(articles(book))
    assert isinstance(paper, Listing)
    assert (paper.title, paper.ids) == ("On livers", ("pmid:7",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (articles("<PubmedArticle/>"), "has no number of PubMed"),
        (articles(ARTICLE.replace("{number}", "7").replace("ArticleTitle", "X")), "7 has no title"),
        ("<eFetchResult><ERROR>x</ERROR></eFetchResult>", "no articles but <eFetchResult>"),
        (HEAD + "<PubmedArticleSet><Pub", "no XML that can be read"),
        ("<!doctype html><title>Busy</title>", "a web page instead of records"),
        (f'<!DOCTYPE x [<!ENTITY a "b">]>{articles("&a;")[len(HEAD) :]}', "declares entities"),
        ("<a>" * 300 + "</a>" * 300, "nested too deeply"),
    ],
)
def test_what_is_no_article_says_what_it_is(text: str, reason: str) -> None:
    assert reason in str(said(text))


# ------------------------------------------------------------------ day after day


def test_what_a_full_feed_dropped_is_found_by_its_term() -> None:
    service = Service()
    source = service.source(url=FEED, term="liver[tiab]")
    cursor = fetch(source, MONDAY).cursor
    assert service.asked == []
    service.feed = rss(*(item(n) for n in range(20, 40)))
    service.days["2025/09/15"] = [*range(10, 40)]
    fetched = fetch(source, MONDAY + DAY, cursor)
    assert len({paper.ids[0] for paper in (*fetched.listings, *fetched.backfill)}) == 30
    assert (fetched.verdict, fetched.cursor["through"]) == (Verdict.OK, "2025-09-15")
    assert [query["mindate"] for query in service.asked] == ["2025/09/14", "2025/09/15"]
    assert service.asked[0]["term"] == "liver[tiab]"
    assert service.asked[0]["datetype"] == "edat"


def test_what_a_full_feed_dropped_is_called_short_where_there_is_no_term() -> None:
    service = Service()
    source = service.source(url=FEED)
    cursor = fetch(source, MONDAY).cursor
    service.feed = rss(*(item(n) for n in range(20, 40)))
    fetched = fetch(source, MONDAY + DAY, cursor)
    assert (fetched.verdict, len(fetched.listings)) == (Verdict.SHORT, 20)
    assert "add term" in fetched.message


def test_a_search_without_a_feed_is_asked_by_days() -> None:
    service = Service()
    service.days = {"2025/09/14": [1], "2025/09/15": [2, 3]}
    source = service.source(term="liver")
    first = fetch(source, MONDAY)
    assert (first.verdict, len(first.listings)) == (Verdict.OK, 3)
    assert fetch(source, MONDAY, first.cursor).verdict is Verdict.NOT_MODIFIED
    service.asked.clear()
    fetch(source, MONDAY + 3 * DAY, first.cursor)
    assert service.asked[0]["mindate"] == "2025/09/14"
    assert service.asked[-1]["maxdate"] == "2025/09/18"


def test_many_articles_are_fetched_in_parts() -> None:
    service = Service()
    service.days["2025/09/12"] = range(1, 451)
    parts = past(service.source(term="liver"), "2025-09-12", "2025-09-13")
    assert [len(part.backfill) for part in parts] == [200, 200, 50, 0]


@pytest.mark.parametrize(
    ("count", "verdict", "said"), [(12_000, "too_large", "narrow the term"), (3, "short", "1 numb")]
)
def test_a_search_that_tells_too_much_or_too_little_is_a_failure(
    count: int, verdict: str, said: str
) -> None:
    service = Service()
    service.days["2025/09/12"] = [1]
    service.count = count
    (part,) = past(service.source(term="liver"), "2025-09-12", "2025-09-12")
    assert part.verdict == verdict
    assert said in part.message


@pytest.mark.parametrize(
    "told", [{"error": "API rate limit exceeded"}, {"esearchresult": {"ERROR": "Bad term: rate"}}]
)
def test_an_error_in_the_shape_of_an_answer_is_an_error(told: dict[str, Any]) -> None:
    source = PubmedSource(
        spec("pubmed", base_url=MIRROR, term="x"), web_of(lambda _: httpx.Response(200, json=told))
    )
    (part,) = past(source, "2025-09-12", "2025-09-12")
    assert part.verdict is Verdict.HTTP_ERROR
    assert "rate" in part.message


def test_a_search_that_finds_nothing_yet_is_quiet() -> None:
    service = Service()
    service.feed = rss()
    assert fetch(service.source(url=FEED), MONDAY).verdict is Verdict.QUIET


# ------------------------------------------------------------------ options


def test_the_past_needs_a_term() -> None:
    with pytest.raises(Refused, match="source pubmed: needs term"):
        past(Service().source(url=FEED), "2025-09-12", "2025-09-12")


@pytest.mark.parametrize(
    ("options", "fault"),
    [({}, "needs url"), ({"term": " "}, "term: must be text"), ({"api_key": "x"}, "api_key: unk")],
)
def test_wrong_options_name_source_and_key(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=f"source pubmed: {fault}"):
        PubmedSource(spec("pubmed", **options), no_web())
