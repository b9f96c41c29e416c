"""arXiv by OAI-PMH: the way of kind `arxiv` to fill gaps of months."""

from __future__ import annotations

from datetime import date, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs

import httpx
import pytest
from replaying import noon, run, spec, web_of

from digest.model import Fetched, Listing, Verdict
from digest.sources.arxiv import ArxivSource
from digest.sources.oai import set_of, suits

MIRROR = "https://mirror.example"
NOW = noon("2025-09-15")
SINCE, UNTIL = date(2025, 6, 2), date(2025, 9, 12)


def record(number: str, *days: str, categories: str = "cs.LG stat.ML", more: str = "") -> str:
    """A record whose versions were submitted on these days."""
    versions = "".join(
        f'<version version="v{n}"><date>{format_datetime(noon(day), usegmt=True)}</date>'
        f"<size>{n}kb</size><source_type>D</source_type></version>"
        for n, day in enumerate(days, start=1)
    )
    return f"""<record><header><identifier>oai:arXiv.org:{number}</identifier>
    <datestamp>2025-09-01</datestamp><setSpec>cs:cs:LG</setSpec></header><metadata>
    <arXivRaw xmlns="http://arxiv.org/OAI/arXivRaw/"><id>{number}</id>
    <submitter>I. Falk</submitter>{versions}
    <title>On knots of degree $\\alpha$
      in record {number}</title>
    <authors>Ines Falk (Knot Institute), Jos\\'e Pe\\~na and Bo Xu</authors>
    <categories>{categories}</categories><comments>9 pages</comments>{more}
    <license>http://creativecommons.org/licenses/by/4.0/</license>
    <abstract>  We tie knots,
    and count them.</abstract></arXivRaw></metadata></record>"""


DELETED = """<record><header status="deleted"><identifier>oai:arXiv.org:2507.09999</identifier>
<datestamp>2025-09-01</datestamp></header></record>"""


def records(*inside: str, token: str = "") -> str:
    end = f'<resumptionToken cursor="0" completeListSize="9">{token}</resumptionToken>'
    return oai(f"<ListRecords>{''.join(inside)}{end}</ListRecords>")


def oai(inside: str) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2025-09-15T00:00:00Z</responseDate>
<request verb="ListRecords">https://oaipmh.arxiv.org/oai</request>{inside}</OAI-PMH>"""


class Service:
    """Answers in turn; the last again and again."""

    def __init__(self, *answers: str | httpx.Response) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/oai", request.url
        query = parse_qs(request.url.query.decode())
        self.asked.append({name: values[0] for name, values in query.items()})
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return said if isinstance(said, httpx.Response) else httpx.Response(200, text=said)

    def past(
        self, since: date = SINCE, until: date = UNTIL, categories: tuple[str, ...] = ("cs.LG",)
    ) -> list[Fetched]:
        made = spec("arxiv", base_url=MIRROR, categories=list(categories), timeout=0.8)
        source = ArxivSource(made, web_of(self))

        async def parts() -> list[Fetched]:
            return [part async for part in source.backfill(since, until, NOW)]

        return run(parts())


def papers(parts: list[Fetched]) -> list[Listing]:
    return [paper for part in parts for paper in part.backfill]


def test_a_record_is_read_field_by_field() -> None:
    doi = "<journal-ref>J. Knots 3</journal-ref><doi>10.5555/Knot.3</doi>"
    service = Service(records(record("2507.00001", "2025-07-01", "2025-09-01", more=doi)))
    (paper,) = papers(service.past())
    assert paper.ids[:2] == ("arxiv:2507.00001", "doi:10.5555/knot.3")
    assert paper.title == "On knots of degree α in record 2507.00001"
    assert paper.abstract == "We tie knots, and count them."
    assert paper.authors == ("Ines Falk", "José Peña", "Bo Xu")
    assert paper.categories == ("cs.LG", "stat.ML")
    assert (paper.published, paper.version) == (date(2025, 7, 1), 2)
    assert paper.links["pdf"] == "https://arxiv.org/pdf/2507.00001"


def test_old_papers_that_were_only_modified_and_deleted_ones_are_passed_over() -> None:
    service = Service(
        records(
            record("2401.00001", "2024-01-02", "2025-07-02"),
            DELETED,
            record("2507.00001", "2025-07-01"),
            record("2509.00001", "2025-09-14"),
        )
    )
    (part,) = service.past()
    assert [paper.ids[0] for paper in part.backfill] == ["arxiv:2507.00001"]
    assert (part.verdict, part.bad) == (Verdict.OK, ())


def test_it_goes_on_from_answer_to_answer_and_from_set_to_set() -> None:
    service = Service(
        records(record("2507.00001", "2025-07-01"), token="a|1001"),
        records(record("2507.00002", "2025-07-02")),
        records(record("2507.00003", "2025-07-03"), record("2507.00001", "2025-07-01")),
    )
    parts = service.past(categories=("cs.LG", "hep-th"))
    assert [len(part.backfill) for part in parts] == [1, 1, 2]
    first = {"verb": "ListRecords", "metadataPrefix": "arXivRaw", "from": "2025-05-29"}
    assert service.asked == [
        {**first, "set": "cs:cs:LG"},
        {"verb": "ListRecords", "resumptionToken": "a|1001"},
        {**first, "set": "physics:hep-th"},
    ]


def test_a_service_that_asks_us_to_wait_is_waited_for() -> None:
    busy = httpx.Response(503, headers={"retry-after": "1"})
    service = Service(busy, records(record("2507.00001", "2025-07-01")))
    assert [part.verdict for part in service.past()] == [Verdict.OK]


def test_a_service_that_asks_us_to_wait_for_hours_is_asked_next_time() -> None:
    (part,) = Service(httpx.Response(503, headers={"retry-after": "7200"})).past()
    assert part.verdict is Verdict.HTTP_ERROR


def test_a_service_that_is_down_ends_it_and_what_came_before_holds() -> None:
    service = Service(records(record("2507.00001", "2025-07-01"), token="t"), httpx.Response(503))
    parts = service.past()
    assert [part.verdict for part in parts] == [Verdict.OK, Verdict.HTTP_ERROR]
    assert "OAI, cs:cs:LG: mirror.example" in parts[-1].message
    assert len(papers(parts)) == 1


def test_a_list_that_the_service_has_forgotten_is_begun_again_once() -> None:
    lost = oai('<error code="badResumptionToken">expired</error>')
    whole = [
        records(record("2507.00001", "2025-07-01"), token="t"),
        records(record("2507.00002", "2025-07-02")),
    ]
    service = Service(whole[0], lost, *whole)
    parts = service.past()
    assert {paper.ids[0] for paper in papers(parts)} == {"arxiv:2507.00001", "arxiv:2507.00002"}
    assert parts[-1].verdict is Verdict.OK
    assert [part.verdict for part in Service(whole[0], lost).past()] == [
        Verdict.OK,
        Verdict.HTTP_ERROR,
    ]


def test_a_service_that_goes_in_circles_is_left() -> None:
    last = Service(records(record("2507.00001", "2025-07-01"), token="t")).past()[-1]
    assert (last.verdict, last.message) == (
        Verdict.PARSE_FAILED,
        "OAI, cs:cs:LG: it goes in circles",
    )


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (oai('<error code="noRecordsMatch">none</error>'), "ok", "no records"),
        (oai('<error code="badArgument">from</error>'), "http_error", "it says: badArgument from"),
        (oai("<Identify/>"), "parse_failed", "no records but <OAI-PMH>"),
        (records(record("2507.00001", "2025-07-01"))[:900], "parse_failed", "no XML that can be"),
        ("<html><body>Busy</body></html>", "parse_failed", "a web page"),
        ("", "parse_failed", "no XML that can be read"),
        ('<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>', "parse_failed", "declares entities"),
    ],
)
def test_every_other_answer_has_its_verdict(answer: str, verdict: str, said: str) -> None:
    (part,) = Service(answer).past()
    assert part.verdict == verdict
    assert said in part.message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("title>", "titel>", "has no title"),
        ("arXivRaw", "other", "has no arXivRaw"),
        ("2507.00001", "cs/none", "has no arXiv number"),
    ],
)
def test_a_record_that_cannot_be_read_costs_no_other(old: str, new: str, reason: str) -> None:
    bad = record("2507.00001", "2025-07-01").replace(old, new)
    (part,) = Service(records(bad, record("2507.00002", "2025-07-02"))).past()
    assert [paper.ids[0] for paper in part.backfill] == ["arxiv:2507.00002"]
    assert reason in part.bad[0].reason


def test_only_gaps_that_are_long_and_end_lately_are_asked_for_here() -> None:
    today = NOW.date()
    assert suits(today - timedelta(days=31), today, today)
    assert not suits(today - timedelta(days=30), today, today)
    assert not suits(date(2020, 1, 1), date(2020, 12, 31), today)


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("cs.LG", "cs:cs:LG"),
        ("stat.ML", "stat:stat:ML"),
        ("q-bio.NC", "q-bio:q-bio:NC"),
        ("astro-ph.EP", "physics:astro-ph:EP"),
        ("hep-th", "physics:hep-th"),
        ("physics.optics", "physics:physics:optics"),
        ("physics", "physics:physics"),
        ("math", "math"),
    ],
)
def test_each_category_has_its_set(category: str, name: str) -> None:
    assert set_of(category) == name
