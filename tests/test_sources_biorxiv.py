"""Kinds `biorxiv` and `medrxiv`: the feed, the API of each day, and what journals published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from replaying import fetch, no_web, noon, nothing_known, run, spec, web_of

from digest.errors import ConfigError
from digest.ingest import ingest
from digest.model import Announce, Fetched, SourceReport, Verdict
from digest.sources.biorxiv import BiorxivSource
from digest.sources.feed import FeedSource
from digest.store import Database, papers

MIRROR = "https://mirror.example"
MONDAY = noon("2025-09-15")
DAY = timedelta(days=1)
Row = dict[str, Any]


def row(number: str, day: str = "2025-9-14", version: object = "1", **more: object) -> Row:
    """A version of a preprint as the API tells it."""
    return {
        "title": f"How cells keep time, part {number}",
        "authors": "Okafor, N. A.; de la Cruz, M.; Li, W.",
        "author_corresponding": "Nkechi Okafor",
        "doi": f"10.64898/2025.09.13.{number}",
        "date": day,
        "version": version,
        "type": "new results",
        "license": "cc_by",
        "category": "cell biology",
        "abstract": "We follow <i>S. cerevisiae</i> for a week.",
        "published": "NA",
        "server": "bioRxiv",
        **more,
    }


def pub(number: str, journal: str) -> Row:
    """A preprint that a journal published."""
    return {
        "preprint_doi": f"10.64898/2025.09.13.{number}",
        "published_doi": journal,
        "published_journal": "Journal of Clocks",
        "preprint_title": f"How cells keep time, part {number}",
        "preprint_authors": "Okafor, N. A.; Li, W.",
        "preprint_category": "cell biology",
        "preprint_date": "2025-9-3",
        "published_date": "2025-9-14",
        "preprint_abstract": "We follow yeast for a week.",
    }


def item(number: str, version: int = 1) -> str:
    """An entry of the feed, padded as the feed's are."""
    link = f"https://www.biorxiv.org/content/10.64898/2025.09.13.{number}v{version}?rss=1"
    return f"""<item rdf:about="{link}"><title>
        <![CDATA[
        How cells keep time, part {number}
        ]]></title><link>
        {link}
        </link><description><![CDATA[ We follow yeast. ]]></description>
        <dc:creator><![CDATA[ Okafor, N. A., Li, W. ]]></dc:creator><dc:date>2025-09-14</dc:date>
        <dc:identifier>doi:10.64898/2025.09.13.{number}</dc:identifier></item>"""


def rdf(*items: str) -> str:
    names = (
        'xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    )
    return f"<rdf:RDF {names}><channel><title>t</title></channel>{''.join(items)}</rdf:RDF>"


class Service:
    """A server of preprints whose days, publications and feed are set by the test."""

    def __init__(self, page: int = 30) -> None:
        self.page = page
        self.posted: dict[str, Sequence[Row]] = {}
        self.published: dict[str, Sequence[Row]] = {}
        self.items: Sequence[str] = ()
        self.extra = 0  # rows that it counts and does not show
        self.broken: set[str] = set()  # days on which it fails
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        path = re.fullmatch(r"/(details|pubs)/(\w+)/([\d-]+)/([\d-]+)/(\d+)/json", request.url.path)
        if not path:
            return httpx.Response(200, text=rdf(*self.items))
        if path[3] in self.broken:
            return httpx.Response(500)
        rows = (self.posted if path[1] == "details" else self.published).get(path[3], ())
        if not rows:
            return httpx.Response(
                200, json={"messages": [{"status": "no posts found"}], "collection": []}
            )
        start = int(path[5])
        part = list(rows[start : start + self.page])
        said = {"status": "ok", "cursor": start, "count": len(part), "count_new_papers": "1"}
        total = str(len(rows) + self.extra)
        return httpx.Response(
            200, json={"messages": [{**said, "total": total}], "collection": part}
        )

    @property
    def days(self) -> list[str]:
        """The days of which it was asked, of details and of pubs."""
        return [path.split("/")[3] for path in self.asked if path.startswith("/details")]

    def source(self, kind: str = "biorxiv", **options: object) -> BiorxivSource:
        return BiorxivSource(spec(kind, base_url=MIRROR, **options), web_of(self))


def past(source: BiorxivSource, since: str, until: str) -> list[Fetched]:
    async def parts() -> list[Fetched]:
        days = map(date.fromisoformat, (since, until))
        return [part async for part in source.backfill(*days, MONDAY)]

    return run(parts())


# ------------------------------------------------------------------ fields


def test_the_captured_feed_is_read_field_by_field(shared: Path) -> None:
    body = (shared / "data/feeds/biorxiv_rdf.xml").read_bytes()
    source = BiorxivSource(
        spec("biorxiv", base_url=MIRROR, subjects=["bioengineering"]),
        web_of(lambda request: httpx.Response(200, content=body)),
    )
    fetched = fetch(source, noon("2019-11-30"))
    (paper,) = fetched.listings
    assert (fetched.verdict, fetched.message, fetched.bad) == (Verdict.OK, "", ())
    assert paper.ids[0] == "doi:10.1101/857789"
    assert paper.title == (
        "Microscale Collagen and Fibroblast Interactions Enhance Primary Human Hepatocyte "
        "Functions in 3-Dimensional Models"
    )
    assert paper.abstract.startswith("Human liver models that are 3-dimensional (3D) in")
    assert paper.abstract.endswith("as building blocks for cell-based therapies.")
    assert paper.authors == ("D. Kukla", "A. Crampton", "D. Wood", "S. Khetani")
    assert (paper.published, paper.version) == (date(2019, 11, 29), 1)
    assert (paper.announce, paper.categories) == (Announce.NEW, ())
    assert paper.links == {"abs": "http://biorxiv.org/cgi/content/short/857789v1?rss=1"}


def test_a_row_of_the_api_is_read_field_by_field() -> None:
    service = Service()
    service.posted["2025-09-14"] = [row("600001", "2025-9-4", published="10.1242/JCS.264001")]
    (part,) = past(service.source(), "2025-09-14", "2025-09-14")
    (paper,) = part.backfill
    assert paper.ids[:2] == ("doi:10.64898/2025.09.13.600001", "doi:10.1242/jcs.264001")
    assert paper.title == "How cells keep time, part 600001"
    assert paper.abstract == "We follow S. cerevisiae for a week."
    assert paper.authors == ("N. A. Okafor", "M. de la Cruz", "W. Li")
    assert (paper.published, paper.version) == (date(2025, 9, 4), 1)
    assert (paper.announce, paper.categories) == (Announce.NEW, ("cell biology",))
    page = "https://www.biorxiv.org/content/10.64898/2025.09.13.600001v1"
    assert paper.links == {"abs": page, "pdf": f"{page}.full.pdf"}


def test_all_versions_of_a_preprint_are_one_paper() -> None:
    service = Service()
    both = [row("600001"), row("600001", version=2, title="How cells keep time, told anew")]
    service.posted["2025-09-14"] = [*both, row("1", doi="10.1101/2025.09.13.600009v3")]
    (part,) = past(service.source(), "2025-09-14", "2025-09-14")
    first, second = part.backfill
    assert (first.version, first.announce) == (2, Announce.NEW)
    assert first.title == "How cells keep time, told anew"
    assert second.ids[0] == "doi:10.1101/2025.09.13.600009"


@pytest.mark.parametrize(
    "change",
    [{"doi": "none"}, {"doi": None}, {"title": " "}, {"doi": "arXiv:2509.00001"}],
)
def test_a_row_that_cannot_be_read_costs_no_other(change: dict[str, object]) -> None:
    service = Service()
    service.posted["2025-09-14"] = [row("600001") | change, row("600002")]
    (part,) = past(service.source(), "2025-09-14", "2025-09-14")
    assert [paper.ids[0] for paper in part.backfill] == ["doi:10.64898/2025.09.13.600002"]
    assert len(part.bad) == 1


def test_odd_values_are_left_out() -> None:
    service = Service()
    odd = row("600001", "2025-13-1", "v?", abstract="NA", category=None, authors=7, published=3)
    service.posted["2025-09-14"] = [odd]
    (part,) = past(service.source(), "2025-09-14", "2025-09-14")
    (paper,) = part.backfill
    assert (paper.published, paper.version, paper.abstract) == (None, 1, "")
    assert paper.categories == ()


# ------------------------------------------------------------------ pages and days


@pytest.mark.parametrize("size", [30, 100])
def test_pages_go_on_by_what_came(size: int) -> None:
    service = Service(size)
    service.posted["2025-09-14"] = [row(f"{600000 + n}") for n in range(205)]
    parts = past(service.source(), "2025-09-14", "2025-09-14")
    assert len({paper.ids[0] for part in parts for paper in part.backfill}) == 205
    assert len(service.asked) == -(-205 // size)


def test_rows_that_it_counts_and_does_not_show_are_forgiven_where_they_are_few() -> None:
    service = Service()
    service.posted["2025-09-14"] = [row(f"{600000 + n}") for n in range(60)]
    service.extra = 5
    assert past(service.source(), "2025-09-14", "2025-09-14")[-1].verdict is Verdict.OK
    service.extra = 20
    short = past(service.source(), "2025-09-14", "2025-09-14")[-1]
    assert (short.verdict, short.message) == (
        Verdict.SHORT,
        "API, 2025-09-14: ends at 60 of 80 details",
    )


def test_a_backfill_asks_each_day_and_ends_where_it_fails() -> None:
    service = Service()
    service.posted = {f"2025-09-1{n}": [row(f"60000{n}")] for n in range(5)}
    parts = past(service.source(), "2025-09-10", "2025-09-13")
    assert [part.verdict for part in parts] == [Verdict.OK] * 4
    assert service.days == ["2025-09-10", "2025-09-11", "2025-09-12", "2025-09-13"]
    service.broken = {"2025-09-12"}
    parts = past(service.source(), "2025-09-10", "2025-09-13")
    assert [part.verdict for part in parts] == [Verdict.OK, Verdict.OK, Verdict.HTTP_ERROR]
    assert "mirror.example" in parts[-1].message


def test_an_error_in_the_shape_of_an_answer_is_an_error() -> None:
    said = {"messages": [{"status": "error: bad interval"}], "collection": []}
    source = BiorxivSource(
        spec("biorxiv", base_url=MIRROR), web_of(lambda request: httpx.Response(200, json=said))
    )
    (part,) = past(source, "2025-09-14", "2025-09-14")
    assert part.verdict is Verdict.HTTP_ERROR
    assert "it says: error: bad interval" in part.message


# ------------------------------------------------------------------ day after day


def test_at_first_only_the_feed_is_asked() -> None:
    service = Service()
    service.items = [item("600001"), item("600002")]
    fetched = fetch(service.source(subjects=["Cell-Biology"]), MONDAY)
    assert (fetched.verdict, len(fetched.listings)) == (Verdict.OK, 2)
    assert service.asked == ["/biorxiv_xml.php?subject=cell_biology"]


def test_what_the_feed_dropped_between_two_looks_is_found_a_day_later() -> None:
    service = Service()
    service.items = [item("600001")]
    cursor = fetch(service.source(), MONDAY).cursor
    service.items = [item("600003")]
    service.posted["2025-09-15"] = [row("600001"), row("600002"), row("600003")]
    fetched = fetch(service.source(), MONDAY + DAY, cursor)
    assert "doi:10.64898/2025.09.13.600002" in {paper.ids[0] for paper in fetched.backfill}
    assert fetched.verdict is Verdict.OK
    assert "2025-09-14 to 2025-09-15 asked through the API: 2 more" in fetched.message
    before = len(service.asked)
    again = fetch(service.source(), MONDAY + DAY, fetched.cursor)
    assert (again.verdict, len(service.asked) - before) == (Verdict.QUIET, 1)


def test_a_quiet_feed_is_not_quiet_where_the_api_brings_papers() -> None:
    service = Service()
    service.items = [item("600001")]
    cursor = fetch(service.source(), MONDAY).cursor
    service.posted["2025-09-15"] = [row("600002")]
    assert fetch(service.source(), MONDAY + DAY, cursor).verdict is Verdict.OK


def test_days_on_which_we_were_down_are_asked_for_and_a_day_that_fails_is_asked_again() -> None:
    service = Service()
    service.items = [item("600001")]
    cursor = fetch(service.source(), MONDAY).cursor
    service.broken = {"2025-09-18"}
    failed = fetch(service.source(), MONDAY + 5 * DAY, cursor)
    assert failed.verdict is Verdict.HTTP_ERROR
    assert "2025-09-14 to 2025-09-19 asked through the API; unfinished" in failed.message
    assert failed.cursor["through"] == "2025-09-17"
    service.broken.clear()
    service.asked.clear()
    healed = fetch(service.source(), MONDAY + 5 * DAY, failed.cursor)
    assert service.days == ["2025-09-17", "2025-09-18", "2025-09-19"]
    assert (healed.verdict, healed.cursor["through"]) == (Verdict.QUIET, "2025-09-19")


def test_a_long_gap_is_filled_over_several_looks() -> None:
    service = Service()
    service.items = [item("600001")]
    cursor = dict(fetch(service.source(), MONDAY).cursor)
    looks = 0
    while cursor["through"] < "2025-11-13":
        cursor = dict(fetch(service.source(), MONDAY + 60 * DAY, cursor).cursor)
        looks += 1
    assert looks == 4
    assert len(set(service.days)) == 61


def test_a_feed_that_fails_costs_nothing_that_the_api_knows() -> None:
    service = Service()
    service.items = [item("600001")]
    cursor = fetch(service.source(), MONDAY).cursor
    service.posted["2025-09-15"] = [row("600002")]
    service.items = ["<oops"]
    fetched = fetch(service.source(), MONDAY + DAY, cursor)
    assert not fetched.verdict.healthy
    assert [paper.ids[0] for paper in fetched.backfill] == ["doi:10.64898/2025.09.13.600002"]
    assert fetched.cursor["seen"] == cursor["seen"]
    assert fetched.cursor["through"] == "2025-09-15"


def test_each_subject_has_its_feed_and_the_api_is_read_for_them_all() -> None:
    service = Service()
    source = service.source(subjects=["genetics", "cell biology"])
    cursor = fetch(source, MONDAY).cursor
    assert len(service.asked) == 2
    service.posted["2025-09-15"] = [
        row("600001"),
        row("600002", category="ecology"),
        row("600003", category="Genetics"),
    ]
    fetched = fetch(source, MONDAY + DAY, cursor)
    assert [paper.ids[0][-6:] for paper in fetched.backfill] == ["600001", "600003"]


# ------------------------------------------------------------------ old works


def test_revisions_and_publications_of_works_we_never_had_are_not_new() -> None:
    service = Service()
    old = {"doi": "10.1101/2021.02.03.430001"}
    service.items = [item("600001", version=2)]
    cursor = fetch(service.source(), MONDAY).cursor
    service.posted["2025-09-15"] = [row("1", version=3, **old), row("600002", version=2)]
    service.published["2025-09-15"] = [pub("600003", "10.1242/jcs.1")]
    fetched = fetch(service.source(), MONDAY + DAY, cursor)
    assert [paper.ids[0][-6:] for paper in fetched.listings] == ["600001"]  # young: missed its v1
    assert [paper.ids[0][-6:] for paper in fetched.backfill] == ["600002"]


def test_a_preprint_and_its_journals_version_become_one_work(sqlite: Database) -> None:
    service = Service()
    service.items = [item("600001")]
    rss = """<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
        <title>t</title><item><title>Cellular timekeeping in yeast</title>
        <dc:creator>Nkechi Okafor</dc:creator>
        <link>https://doi.org/10.1242/jcs.264001</link></item></channel></rss>"""
    journal = FeedSource(spec("feed", url=MIRROR), web_of(lambda _: httpx.Response(200, text=rss)))

    def passed(days: int) -> list[SourceReport]:
        return run(ingest(sqlite, [service.source(), journal], MONDAY + days * DAY))

    passed(0)
    with sqlite.reading() as tx:
        assert papers.count(tx) == 2
    service.published["2025-09-15"] = [pub("600001", "10.1242/jcs.264001")]
    passed(1)
    ids = {"doi:10.64898/2025.09.13.600001", "doi:10.1242/jcs.264001"}
    with sqlite.reading() as tx:
        found = papers.find(tx, ids)
        assert papers.count(tx) == 1
    assert len({paper.key for paper in found.values()}) == 1


# ------------------------------------------------------------------ options


def test_medrxiv_is_asked_at_its_own_addresses() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(404)

    source = BiorxivSource(spec("medrxiv"), web_of(handler, intervals={}))
    fetch(source, MONDAY, {"through": "2025-09-13"})
    assert asked == [
        "https://connect.medrxiv.org/medrxiv_xml.php?subject=all",
        "https://api.biorxiv.org/details/medrxiv/2025-09-13/2025-09-13/0/json",
    ]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"subjects": []}, "subjects: must be a list of texts, and not empty"),
        ({"subjects": ["cell&all"]}, "subjects: cell&all: no subject"),
        ({"subject": "x"}, "subject: unknown key; biorxiv takes subjects, base_url, api_url"),
    ],
)
def test_wrong_options_name_source_and_key(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=f"source biorxiv: {fault}"):
        BiorxivSource(spec("biorxiv", **options), no_web())


def test_known_is_asked_only_for_what_may_be_old() -> None:
    service = Service()
    service.items = [item("600001")]
    asked: list[object] = []

    def known(ids: object) -> frozenset[str]:
        asked.append(ids)
        return nothing_known([])

    run(service.source().fetch({}, known, MONDAY))
    assert asked == []
