"""One work is one work, however it is named and wherever it stands."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import identity
from digest.model import Announce, Listing
from digest.text import split_authors

SPELLINGS = {
    "arxiv:2410.16794": [
        "2410.16794",
        "2410.16794v2",
        " arXiv:2410.16794v12 ",
        "arxiv: 2410.16794",
        "oai:arXiv.org:2410.16794v1",
        "https://arxiv.org/abs/2410.16794v2",
        "http://www.arxiv.org/pdf/2410.16794.pdf",
        "export.arxiv.org/abs/2410.16794?context=cs",
        "https://arxiv.org/html/2410.16794v1#S3",
        "10.48550/arXiv.2410.16794",
        "https://doi.org/10.48550/ARXIV.2410.16794",
        "https://huggingface.co/papers/2410.16794",
        "https://www.alphaxiv.org/abs/2410.16794",
    ],
    "arxiv:math/0309136": [
        "math/0309136",
        "math.GT/0309136v1",
        "https://arxiv.org/abs/math/0309136",
    ],
    "arxiv:hep-th/9901001": ["arXiv:hep-th/9901001", "http://arxiv.org/pdf/hep-th/9901001v2"],
    "doi:10.1038/s41586-024-0001-1": [
        "10.1038/S41586-024-0001-1",
        "doi: 10.1038/s41586-024-0001-1.",
        "https://dx.doi.org/10.1038/s41586-024-0001-1",
        "http://doi.org/10.1038%2Fs41586-024-0001-1",
    ],
    "doi:10.1101/2024.01.01.573000": [
        "10.1101/2024.01.01.573000v3",
        "https://www.biorxiv.org/content/10.1101/2024.01.01.573000v2.full.pdf",
        "https://www.medrxiv.org/cgi/content/short/2024.01.01.573000v1?rss=1",
    ],
    "doi:10.1101/857789": ["http://biorxiv.org/cgi/content/short/857789v1?rss=1"],
    "doi:10.1002/(sici)1097-4571(199806)49:8<693::aid-asi4>3.0.co;2-o": [
        "10.1002/(SICI)1097-4571(199806)49:8<693::AID-ASI4>3.0.CO;2-O"
    ],
    "pmid:123456": ["pmid:123456", "PMID:123456"],
    "sha:0123456789abcdef": ["sha:0123456789abcdef"],
}


@pytest.mark.parametrize(
    ("canonical", "spelling"), [(id_, text) for id_, texts in SPELLINGS.items() for text in texts]
)
def test_every_spelling_of_an_id_is_one_id(canonical: str, spelling: str) -> None:
    assert identity.parse(spelling) == canonical


@pytest.mark.parametrize("canonical", SPELLINGS)
def test_a_canonical_id_stays_as_it_is(canonical: str) -> None:
    assert identity.parse(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "hello", "2413.16794", "https://example.org/a", "0", "mailto:a@b.c", "doi:", "10.1/x"],
)
def test_what_names_no_work_has_no_id(text: str) -> None:
    assert identity.parse(text) is None


@given(st.text(max_size=300))
def test_any_text_can_be_asked(text: str) -> None:
    id_ = identity.parse(text)
    assert id_ is None or identity.parse(id_) == id_


def test_the_version_is_told_apart_from_the_id() -> None:
    assert identity.versioned("oai:arXiv.org:2410.16794v3") == ("arxiv:2410.16794", 3)
    assert identity.versioned("2410.16794") == ("arxiv:2410.16794", None)


def test_ids_lead_to_where_the_work_can_be_read() -> None:
    assert identity.link("arxiv:math/0309136") == "https://arxiv.org/abs/math/0309136"
    assert identity.link("doi:10.1000/a<b>") == "https://doi.org/10.1000/a%3Cb%3E"
    assert identity.link("sha:0123456789abcdef") == ""


def test_a_fingerprint_forgives_case_accents_punctuation_and_how_names_are_given() -> None:
    one = identity.title_key("Schrödinger's Cat: A Re-examination", ["Aapo Hyvärinen", "B C"])
    other = identity.title_key("SCHRODINGERS CAT a reexamination.", ["Hyvarinen, A."])
    assert one == other
    assert one.startswith("ta:")


def test_titles_that_say_too_little_have_no_weak_id_and_stay_apart() -> None:
    assert identity.title_key("Editorial", ["A. Editor"]) == ""
    here = identity.complete([], "Editorial", [], "https://a.org/1")
    there = identity.complete([], "Editorial", [], "https://a.org/2")
    assert here != there


def test_strong_ids_come_first_and_the_last_resort_only_where_there_is_none() -> None:
    title, authors = "A title that is long enough", ("Jane Doe",)
    weak = identity.title_key(title, authors)
    strong = identity.complete(["doi:10.1/x", None, "arxiv:2410.16794"], title, authors)
    assert strong == ("arxiv:2410.16794", "doi:10.1/x", weak)
    assert identity.complete([], title, authors) == ("sha" + weak[2:], weak)


V1 = Listing(
    ids=("arxiv:2410.16794", "ta:aaaaaaaaaaaaaaaa"),
    title="First title",
    abstract="Long",
    authors=("Jane Doe",),
    categories=("cs.LG",),
    links={"abs": "https://arxiv.org/abs/2410.16794"},
)
V2 = Listing(
    ids=("arxiv:2410.16794", "doi:10.1000/journal"),
    title="Second title",
    categories=("stat.ML", "cs.LG"),
    version=2,
    announce=Announce.REPLACE,
)
HF = Listing(
    ids=("doi:10.1000/journal",),
    title="listed",
    announce=Announce.LISTED,
    links={"hf": "https://hf.co/x", "abs": "https://other.example"},
    signals={"upvotes": 7.0},
    published=date(2025, 9, 1),
)
MORE_VOTES = Listing(
    ("arxiv:2410.16794",), "listed", announce=Announce.LISTED, signals={"upvotes": 9}
)
BY_TITLE = Listing(("sha:bbbbbbbbbbbbbbbb", "ta:aaaaaaaaaaaaaaaa"), "First title")


@given(st.permutations([V1, V2, HF, MORE_VOTES, BY_TITLE]))
def test_versions_dois_listings_and_titles_of_one_work_fold_in_any_order(
    batch: list[Listing],
) -> None:
    (work,) = identity.fold(batch)
    assert work.ids[:2] == ("arxiv:2410.16794", "doi:10.1000/journal")
    assert set(work.ids[2:]) == {"sha:bbbbbbbbbbbbbbbb", "ta:aaaaaaaaaaaaaaaa"}
    assert (work.title, work.abstract, work.version) == ("Second title", "Long", 2)
    assert work.authors == ("Jane Doe",)
    assert set(work.categories) == {"cs.LG", "stat.ML"}
    assert work.announce is Announce.NEW
    assert work.links["hf"] == "https://hf.co/x"
    assert work.links["abs"] == "https://arxiv.org/abs/2410.16794"
    assert work.signals == {"upvotes": 9}
    assert work.published == date(2025, 9, 1)


def test_two_numbers_of_one_scheme_are_two_works_whatever_their_titles() -> None:
    one = Listing(("arxiv:2410.00001", "ta:aaaaaaaaaaaaaaaa"), "Same")
    two = Listing(("arxiv:2410.00002", "ta:aaaaaaaaaaaaaaaa"), "Same")
    assert identity.fold([one, two]) == [one, two]


@pytest.mark.parametrize(
    ("one", "other", "works"),
    [
        ("doi:10.1101/2025.09.14.600001", "doi:10.1038/s41586-025-1", 1),
        ("doi:10.64898/2025.09.14.600001", "pmid:7", 1),
        ("doi:10.21203/rs.3.rs-1", "doi:10.1038/s41586-025-1", 1),
        ("doi:10.1101/2025.09.14.600001", "doi:10.2139/ssrn.1", 1),
        ("arxiv:2410.00001", "doi:10.1038/s41586-025-1", 1),
        ("doi:10.1101/2025.09.14.600001", "doi:10.64898/2025.09.14.600002", 2),
        ("doi:10.1101/gr.279.1", "doi:10.1038/s41586-025-1", 2),  # a journal of the same publisher
        ("doi:10.1016/j.cell.2025.1", "doi:10.1038/s41586-025-1", 2),
    ],
)
def test_a_preprint_and_a_journals_article_of_one_title_are_one_work(
    one: str, other: str, works: int
) -> None:
    title, authors = "A title that is long enough", ("Jane Doe", "Ada Lovelace")
    shown = [
        Listing(identity.complete([id_], title, authors), title, authors=authors)
        for id_ in (one, other)
    ]
    assert len(identity.fold(shown)) == works


@pytest.mark.parametrize(
    ("others", "works"),
    [
        (("J. Doe", "A. Lovelace", "Someone Else", "Yet Another"), 1),
        (("Jane Doe",), 1),
        (("John Doe", "Someone Else", "Yet Another"), 2),
    ],
)
def test_one_title_by_other_people_is_another_work(others: tuple[str, ...], works: int) -> None:
    title = "A title that is long enough"
    mine = ("Jane Doe", "Ada Lovelace", "Charles Babbage")
    shown = [
        Listing(identity.complete([id_], title, by), title, authors=by)
        for id_, by in (("arxiv:2410.00001", mine), ("doi:10.1/x", others))
    ]
    assert len(identity.fold(shown)) == works


def test_of_real_works_next_to_none_are_taken_for_one_by_title_and_authors(shared: Path) -> None:
    met: dict[str, list[tuple[str, ...]]] = {}
    works = 0
    for row in real_works(shared):
        works += 1
        authors = split_authors(row["authors"])
        met.setdefault(identity.title_key(row["title"], authors), []).append(authors)
    met.pop("", None)
    wrong = [by for by in met.values() if len(by) > 1 and identity.may_be_one(by[0], by[1])]
    assert works > 13_000
    assert len(wrong) / works < 2e-4


def real_works(shared: Path) -> Iterable[Any]:
    """Each arXiv number of the real papers once: all of them are different works."""
    seen = set()
    files = [*(shared / "data/arxiv").glob("*.gz"), shared / "data/authors/profile_papers.jsonl.gz"]
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row["id"] not in seen:
                    seen.add(row["id"])
                    yield row


def test_thousands_of_listings_of_one_work_or_of_one_title_are_folded_in_their_number() -> None:
    same = [Listing(("doi:10.1/x", f"pmid:{n}"), "Same") for n in range(20_000)]
    assert len(identity.fold(same)) == 1
    twins = [Listing((f"doi:10.1/{n}", "ta:aaaaaaaaaaaaaaaa"), "Same") for n in range(20_000)]
    assert len(identity.fold(twins)) == 20_000


def test_folding_keeps_the_order_of_first_appearance() -> None:
    works = [Listing((f"arxiv:2410.0000{n}",), f"Title {n}") for n in (3, 1, 2)]
    assert identity.fold([*works, works[0]]) == works


ids = st.sampled_from(
    [f"arxiv:2410.0000{n}" for n in range(4)] + [f"doi:10.1/{n}" for n in range(4)]
)
named = st.lists(ids, min_size=1, max_size=3, unique=True).map(tuple)
batches = st.lists(st.builds(Listing, named, st.just("T")), max_size=12)


@given(batches)
def test_after_folding_no_id_is_in_two_works_and_none_is_lost(batch: list[Listing]) -> None:
    works = identity.fold(batch)
    folded = [id_ for work in works for id_ in work.ids]
    assert len(folded) == len(set(folded))
    assert set(folded) == {id_ for listing in batch for id_ in listing.ids}
    assert identity.fold(works) == works
