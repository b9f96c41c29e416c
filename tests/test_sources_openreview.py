"""Kind `openreview`: the notes of a venue, newest modification first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from replaying import fetch, no_web, noon, run, spec, web_of

from digest.errors import ConfigError
from digest.model import Announce, Fetched, Verdict
from digest.sources import openreview
from digest.sources.openreview import OpenReviewSource

MIRROR = "https://mirror.example"
MONDAY = noon("2025-09-15")
SUBMISSION = "Imag.cc/2026/Conference/-/Submission"
Note = dict[str, Any]


def ms(day: str) -> int:
    return int(noon(day).timestamp() * 1000)


def note(number: int, modified: int | None = None, **content: Any) -> Note:
    """A submission as API v2 tells it."""
    fields = {
        "title": f"Learning to knit, part {number}",
        "authors": ["Ines Falk", "Bo Xu"],
        "authorids": ["~Ines_Falk1"],
        "abstract": "We knit with $\\alpha$-stable noise.",
        "keywords": ["knitting", "robots"],
        "pdf": f"/pdf/{number:040x}.pdf",
        "venue": "Submitted to Imag 2026",
        **content,
    }
    stamp = modified if modified is not None else ms("2025-09-10") + number
    return {
        "id": f"No-te_{number:04d}",
        "forum": f"No-te_{number:04d}",
        "replyto": None,
        "number": number,
        "cdate": ms("2025-09-01"),
        "tcdate": ms("2025-09-01"),
        "tmdate": stamp,
        "mdate": stamp,
        "odate": ms("2025-09-09"),
        "invitations": [SUBMISSION],
        "content": {name: {"value": value} for name, value in fields.items()},
        "version": 2,
    }


class Service:
    """A venue whose notes the test sets."""

    def __init__(self, *notes: Note) -> None:
        self.notes = list(notes)
        self.asked: list[dict[str, str]] = []
        self.fails_after = 10**9

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        self.asked.append(query)
        if len(self.asked) > self.fails_after:
            return httpx.Response(429, headers={"retry-after": "900"})
        ranked = sorted(self.notes, key=lambda n: -n["tmdate"])
        start, limit = int(query["offset"]), int(query["limit"])
        return httpx.Response(
            200, json={"notes": ranked[start : start + limit], "count": len(ranked)}
        )

    def source(self, **options: object) -> OpenReviewSource:
        options = options or {"invitation": SUBMISSION}
        return OpenReviewSource(spec("openreview", base_url=MIRROR, **options), web_of(self))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of ten notes, five of them in a fetch."""
    monkeypatch.setattr(openreview, "SLICE", 10)
    monkeypatch.setattr(openreview, "MAX_SLICES", 5)
    monkeypatch.setattr(openreview, "AGAIN", 3)


def test_a_note_is_read_field_by_field() -> None:
    service = Service(note(7))
    (paper,) = fetch(service.source(), MONDAY).listings
    assert paper.ids[0] == "openreview:No-te_0007"
    assert paper.title == "Learning to knit, part 7"
    assert paper.abstract == "We knit with α-stable noise."
    assert paper.authors == ("Ines Falk", "Bo Xu")
    assert paper.categories == ("knitting", "robots")
    assert (paper.published, paper.announce) == (date(2025, 9, 9), Announce.NEW)
    assert paper.links == {
        "abs": "https://openreview.net/forum?id=No-te_0007",
        "pdf": "https://openreview.net/pdf?id=No-te_0007",
    }
    assert service.asked == [
        {"invitation": SUBMISSION, "sort": "tmdate:desc", "limit": "500", "offset": "0"}
    ]


def test_a_venue_is_asked_by_its_id() -> None:
    service = Service(note(7))
    fetch(service.source(venue="TMLR"), MONDAY)
    assert service.asked[0]["content.venueid"] == "TMLR"


def test_people_with_names_and_works_with_other_ids_are_understood() -> None:
    people = [{"fullname": "Ines Falk", "username": "~x"}, "Bo Xu", 7, {"name": "Ida"}]
    service = Service(note(1, authors=people, html="https://arxiv.org/abs/2509.00001v2"))
    (paper,) = fetch(service.source(), MONDAY).listings
    assert paper.authors == ("Ines Falk", "Bo Xu", "Ida")
    assert paper.ids[:2] == ("arxiv:2509.00001", "openreview:No-te_0001")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content": None}, "is no note with content"),
        ({"content": {"title": {"value": ["x"]}}}, "has no title"),
        ({"content": {}}, "has no title"),
        ({"forum": "a/b c"}, "has no id of a forum"),
        ({"replyto": "No-te_0001"}, "is a reply"),
    ],
)
def test_a_note_that_cannot_be_read_costs_no_other(change: Note, reason: str) -> None:
    fetched = fetch(Service(note(1), note(2) | change).source(), MONDAY)
    assert [paper.ids[0] for paper in fetched.listings] == ["openreview:No-te_0001"]
    assert reason in fetched.bad[0].reason


def test_hidden_authors_and_odd_dates_are_left_out() -> None:
    odd = note(1, authors=None, pdf=3) | {"odate": "soon", "cdate": -1, "tcdate": None}
    (paper,) = fetch(Service(odd).source(), MONDAY).listings
    assert (paper.authors, paper.published) == ((), None)
    assert "pdf" not in paper.links


def test_a_paper_opened_long_after_it_was_made_is_found(small: None) -> None:
    service = Service(*(note(n) for n in range(1, 35)))
    cursor = fetch(service.source(), MONDAY).cursor
    assert fetch(service.source(), MONDAY, cursor).verdict is Verdict.QUIET
    service.notes.append(note(99, ms("2025-09-15")))  # made on the first, open now
    service.asked.clear()
    fetched = fetch(service.source(), MONDAY, cursor)
    assert fetched.verdict is Verdict.OK
    assert "openreview:No-te_0099" in {paper.ids[0] for paper in fetched.listings}
    assert len(service.asked) == 1


def test_a_large_venue_is_read_over_several_looks_and_nothing_is_lost(small: None) -> None:
    service = Service(*(note(n) for n in range(1, 131)))
    known: set[str] = set()
    cursor: dict[str, str] = {}
    for look in range(4):
        fetched = fetch(service.source(), MONDAY + timedelta(hours=look), cursor)
        known |= {paper.ids[0] for paper in fetched.listings}
        cursor = dict(fetched.cursor)
        if look == 0:
            assert "goes on next time" in fetched.message
            service.notes[3]["tmdate"] = ms("2025-09-15")  # moves to the top meanwhile
            service.notes.append(note(500, ms("2025-09-15") + 1))
    assert len(known) == 131
    assert "offset" not in cursor
    assert fetch(service.source(), MONDAY, cursor).verdict is Verdict.QUIET


def test_a_reading_that_fails_goes_on_where_it_was(small: None) -> None:
    service = Service(*(note(n) for n in range(1, 31)))
    service.fails_after = 2
    failed = fetch(service.source(), MONDAY)
    assert (failed.verdict, len(failed.listings)) == (Verdict.HTTP_ERROR, 20)
    assert "Retry-After" in failed.message or "mirror.example" in failed.message
    service.fails_after = 10**9
    healed = fetch(service.source(), MONDAY, failed.cursor)
    assert service.asked[-2]["offset"] == "17"
    assert (healed.verdict, len(healed.listings)) == (Verdict.OK, 13)


def test_a_venue_without_papers_is_empty_and_says_what_to_look_at() -> None:
    fetched = fetch(Service().source(), MONDAY)
    assert fetched.verdict is Verdict.EMPTY
    assert "correct venue or invitation" in fetched.message


def test_a_challenge_instead_of_an_answer_is_a_failure() -> None:
    page = "<!doctype html><title>Are you human?</title>"
    source = OpenReviewSource(
        spec("openreview", base_url=MIRROR, venue="TMLR"),
        web_of(lambda request: httpx.Response(200, text=page)),
    )
    fetched = fetch(source, MONDAY)
    assert (fetched.verdict, fetched.message) == (
        Verdict.PARSE_FAILED,
        "a web page where a JSON object was expected",
    )


def test_the_past_is_read_down_to_its_day(small: None) -> None:
    days = [note(n, ms(f"2025-09-{n:02d}")) for n in range(1, 31)]

    async def parts() -> list[Fetched]:
        found = Service(*days).source().backfill(date(2025, 9, 15), date(2025, 9, 30), MONDAY)
        return [part async for part in found]

    assert sum(len(part.backfill) for part in run(parts())) == 20  # whole pages


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, "needs either venue or invitation"),
        ({"venue": "x", "invitation": "y"}, "needs either venue or invitation"),
        ({"venues": "x"}, "venues: unknown key; openreview takes venue, invitation, base_url"),
    ],
)
def test_wrong_options_name_source_and_key(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=f"source openreview: {fault}"):
        OpenReviewSource(spec("openreview", **options), no_web())
