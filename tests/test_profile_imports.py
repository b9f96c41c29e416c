"""Libraries of other programs become seeds, follows and hints at feeds."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import profiles
from digest.cli import run
from digest.cli.library import adding
from digest.errors import ProfileError
from digest.profiles import imports
from digest.profiles.imports import bibtex, csl, opml, orcid, ris, semantic_scholar
from digest.profiles.imports.entry import Entry, Imported

BIBTEX = r"""
This line is a remark, as BibTeX has it.
@comment{jabref-meta: grouping {x}}
@string{corr = "CoRR"}
@string(prep = {arXiv preprint })

@article{ho2020,
  title = {Denoising {D}iffusion Probabilistic Models},
  author = {Ho, Jonathan and Jain, Ajay and Abbeel, Pieter},
  eprint = {2006.11239}, archivePrefix = {arXiv}, primaryClass = {cs.LG},
  year = 2020, month = jun
}
@article(scholar,
  title = "Consistency models",
  author = "Song, Yang and others",
  journal = prep # "arXiv:2303.01469", year = {2023})
@article{dblp, title={A thing}, volume = {abs/1706.03762}, journal = corr, year = {2017}}
@misc{old, title={Ricci flow with surgery}, eprint="0303109", archiveprefix="arXiv",
  primaryclass="math.DG", year=2003}
@article{journal, doi = {10.1000/foo\_bar.1}, title = {X}, date = {2021-05-01}}
@inproceedings{child, title = {Child}, doi = {10.1000/child}, crossref = {Volume19}}
@proceedings{volume19, title = {Proceedings of it}, doi = {10.1000/volume}, year = 2019}
@phdthesis{untold, author = {M{\"u}ller, J{\'o}zef}, title = {On {\'e}tale things and more}}
@article{url, title={U}, url = {\url{https://arxiv.org/abs/2401.00001v2}}}
"""

RIS = """TY  - JOUR
AU  - Ho, Jonathan
TI  - Denoising diffusion
DO  - 10.1000/ABC.1
PY  - 2020/06/01/
ER  -

TY  - UNPB
AU  - Song, Yang
T1  - A title that goes on
in the next line
UR  - https://arxiv.org/abs/2303.01469
TY  - JOUR
TI  - No id but a title of some length
AU  - Doe, Jane
N1  - seen somewhere
ER  - """

CSL: list[Any] = [
    {"id": "a", "title": "One", "DOI": "10.1000/ONE", "issued": {"date-parts": [["2021", 3]]}},
    {"id": "b", "title": "Two", "number": "arXiv:2401.00002", "issued": {"raw": "2024-01"}},
    {"id": "c", "title": "Three", "note": "arXiv:2401.00003 [cs]\nPMID: 12345"},
    {
        "id": "d",
        "title": "A paper that has no id of its own",
        "author": [{"family": "Müller", "given": "Józef"}],
    },
    {"itemType": "attachment", "title": "Full text.pdf"},
    "rubbish",
]

ORCID: dict[str, Any] = {
    "orcid-identifier": {"path": "0000-0000-0000-0001"},
    "person": {"name": {"family-name": {"value": "Owner"}}},
    "activities-summary": {
        "works": {
            "group": [
                {
                    "external-ids": {
                        "external-id": [
                            {
                                "external-id-type": "doi",
                                "external-id-value": "10.1000/book",
                                "external-id-relationship": "part-of",
                            },
                            {
                                "external-id-type": "doi",
                                "external-id-value": "https://doi.org/10.1000/Chapter",
                                "external-id-relationship": "self",
                            },
                        ]
                    },
                    "work-summary": [{"title": {"title": {"value": "A chapter"}}}],
                },
                {
                    "external-ids": {
                        "external-id": [
                            {"external-id-type": "arxiv", "external-id-value": "2401.00009"}
                        ]
                    },
                    "work-summary": [
                        {"title": {"title": {"value": "T"}}, "url": None},
                    ],
                },
            ]
        }
    },
}

SCHOLAR: dict[str, Any] = {
    "data": [
        {
            "paperId": "1",
            "title": "A",
            "year": 2021,
            "externalIds": {"DOI": "10.1000/A", "ArXiv": "2101.00001", "CorpusId": 5},
        },
        {"paperId": "2", "title": "B", "externalIds": {"PubMed": 777}, "year": 2022},
        {"paperId": "3", "title": "Only a title, alas", "authors": [{"name": "Jane Doe"}]},
    ]
}

OPML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<opml version="2.0"><head><title>All I read</title></head><body>
<outline text="Science">
  <outline text="Nature" type="rss" xmlUrl="https://www.nature.com/nature.rss"/>
  <outline title="arXiv vision" type="rss" xmlUrl="https://rss.arxiv.org/rss/cs.CV+cs.GR"/>
  <outline text="A note"/>
  <outline text="odd" xmlUrl="javascript:alert(1)"/>
</outline>
<outline text="Authors"><outline text="Vision">
  <outline text="Song, Yang"/><outline text="M\u00fcller, J\u00f3zef"/>
</outline></outline>
<outline text="Ada Lovelace" type="author"/>
<outline text="A paper" htmlUrl="https://arxiv.org/abs/2401.00001"/>
</body></opml>"""


def places(found: Imported) -> list[tuple[str, bool]]:
    return [(one.where, one.unreadable) for one in found.skipped]


# ------------------------------------------------------------------ BibTeX


@pytest.fixture(scope="module")
def bib() -> Imported:
    return imports.read(BIBTEX.encode())


def test_ids_of_bibtex_come_from_every_place_that_holds_them(bib: Imported) -> None:
    assert set(bib.seeds) == {
        "arxiv:2006.11239",
        "arxiv:2303.01469",
        "arxiv:1706.03762",
        "arxiv:math/0303109",
        "arxiv:2401.00001",
        "doi:10.1000/foo_bar.1",
        "doi:10.1000/child",
    }


def test_the_newest_come_first_and_an_arxiv_number_tells_a_date(bib: Imported) -> None:
    assert bib.seeds == (
        "arxiv:2401.00001",
        "arxiv:2303.01469",
        "doi:10.1000/foo_bar.1",
        "arxiv:2006.11239",
        "doi:10.1000/child",
        "arxiv:1706.03762",
        "arxiv:math/0303109",
    )


def test_a_volume_that_others_refer_to_is_no_seed(bib: Imported) -> None:
    assert places(bib) == [("line 22 (volume19)", False)]


def test_accents_written_in_tex_are_read(bib: Imported) -> None:
    [entry] = bib.untold
    assert (entry.title, entry.author) == ("On étale things and more", "Józef Müller")


def test_a_thesis_without_an_id_is_met_by_title_and_author(bib: Imported) -> None:
    [entry] = bib.untold
    found = bib.resolved({entry.weak_id: "arxiv:9901.00001"})
    assert ("arxiv:9901.00001" in found.seeds, found.untold) == (True, ())


def test_a_broken_entry_costs_only_itself_and_is_named_by_its_line() -> None:
    text = "@article{a, title={Open, year=2020}\n\n@article{b, doi={10.1000/b}}\n@article{c, x"
    found = imports.read(text.encode())
    assert (found.seeds, places(found)) == (
        ("doi:10.1000/b",),
        [("line 1", True), ("line 4", True)],
    )


def test_a_key_that_comes_twice_is_two_papers() -> None:
    text = "@article{k, doi={10.1000/one}}\n@article{k, doi={10.1000/two}}"
    assert {"doi:10.1000/one", "doi:10.1000/two"} == set(imports.read(text.encode()).seeds)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_a_file_may_be_in_any_unicode(encoding: str) -> None:
    assert imports.read(BIBTEX.encode(encoding)).seeds == imports.read(BIBTEX.encode()).seeds


def test_a_latin_1_file_keeps_its_accents() -> None:
    text = "@book{k, author={Müller, Jürgen}, title={Über die Größe der Dinge}}"
    [entry] = imports.read(text.encode("latin-1")).untold
    assert (entry.title, entry.author) == ("Über die Größe der Dinge", "Jürgen Müller")


def test_nul_characters_are_left_out() -> None:
    assert imports.read(b"@article{k,\0 doi={10.1000/\0x}}").seeds == ("doi:10.1000/x",)


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("{a} # jan # {b}", "a01b"),
        ('"a "', "a "),
        ('"a {"} b"', 'a {"} b'),
        ("{a {b} c}", "a {b} c"),
        ("2020", "2020"),
        ("unknown", "unknown"),
        ("{never closed", "never closed"),
    ],
)
def test_bibtex_values_mean_what_bibtex_says(raw: str, meant: str) -> None:
    assert meant == bibtex.value(raw, {"jan": "01"})


# ------------------------------------------------------------------ RIS


def test_ris_entries_end_where_the_next_begins() -> None:
    found = imports.read(RIS.encode())
    assert found.seeds == ("arxiv:2303.01469", "doi:10.1000/abc.1")
    assert [(e.where, e.author) for e in found.untold] == [("line 13", "Jane Doe")]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_ris_may_end_its_lines_in_any_way(end: str) -> None:
    assert imports.read(RIS.replace("\n", end).encode()) == imports.read(RIS.encode())


def test_ris_without_a_beginning_is_named_by_its_line() -> None:
    found = imports.read(b"DO  - 10.1000/x\nER  - \n\nTY  - JOUR\nDO  - 10.1000/y\n")
    assert (found.seeds, places(found)) == (("doi:10.1000/y",), [("line 1", True)])


# ------------------------------------------------------------------ JSON


def test_csl_json_gives_ids_from_fields_and_notes() -> None:
    found = imports.read(json.dumps(CSL).encode())
    assert found.kind == "CSL-JSON"
    assert found.seeds == ("arxiv:2401.00002", "arxiv:2401.00003", "doi:10.1000/one")
    assert [e.author for e in found.untold] == ["Józef Müller"]
    assert places(found) == [("entry 6", True)]


@pytest.mark.parametrize(
    "wrapped",
    [
        {"items": [{"itemType": "preprint", "archiveID": "arXiv:2401.00002"}]},
        [{"key": "K", "data": {"itemType": "preprint", "extra": "arXiv:2401.00002 [cs.LG]"}}],
        {"title": "alone", "DOI": "10.48550/arXiv.2401.00002"},
    ],
)
def test_zotero_in_its_other_shapes_is_read(wrapped: object) -> None:
    assert imports.read(json.dumps(wrapped).encode()).seeds == ("arxiv:2401.00002",)


def test_orcid_works_give_seeds_and_their_owner_is_not_followed() -> None:
    found = imports.read(json.dumps(ORCID).encode())
    assert (found.kind, set(found.seeds), found.follows) == (
        "ORCID works",
        {"doi:10.1000/chapter", "arxiv:2401.00009"},
        (),
    )


@pytest.mark.parametrize("key", ["works", "bulk"])
def test_orcid_works_in_bulk_are_read(key: str) -> None:
    ids = {"external-id": [{"external-id-type": "doi", "external-id-value": "10.1000/w"}]}
    value = {key: [{"work": {"external-ids": ids}} if key == "bulk" else {"external-ids": ids}]}
    assert imports.read(json.dumps(value).encode()).seeds == ("doi:10.1000/w",)


def test_semantic_scholar_lists_prefer_arxiv() -> None:
    found = imports.read(json.dumps(SCHOLAR).encode())
    assert (found.kind, found.seeds) == ("Semantic Scholar", ("pubmed:777", "arxiv:2101.00001"))
    assert [e.title for e in found.untold] == ["Only a title, alas"]


def test_broken_json_is_named_by_its_place() -> None:
    found = imports.read(b'[\n {"DOI": "10.1000/x"},\n {"DOI" "y"}]')
    assert (places(found), found.empty) == ([("line 3, column 9", True)], True)


@pytest.mark.parametrize("bomb", [b"[" * 5_000_000, b'{"a":' * 3_000_000, b"[" + b"9" * 100_000])
def test_a_json_bomb_is_refused_in_words(bomb: bytes) -> None:
    assert imports.read(bomb).empty


# ------------------------------------------------------------------ OPML


def test_opml_gives_feeds_and_the_people_below_their_heading() -> None:
    found = imports.read(OPML.encode("latin-1"))
    assert found.follows == ("Yang Song", "Józef Müller", "Ada Lovelace")
    assert [feed.url for feed in found.feeds] == [
        "https://www.nature.com/nature.rss",
        "https://rss.arxiv.org/rss/cs.CV+cs.GR",
    ]
    assert (found.seeds, places(found)) == (
        ("arxiv:2401.00001",),
        [("line 7", False), ("line 6", False)][::-1],
    )


def test_entities_cannot_be_declared() -> None:
    bomb = '<!DOCTYPE opml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><opml>&b;</opml>'
    found = imports.read(bomb.encode())
    assert (found.empty, "DOCTYPE" in found.skipped[0].why) == (True, True)


def test_what_stands_before_a_fault_of_the_xml_is_kept() -> None:
    found = imports.read(b'<opml>\n<outline xmlUrl="https://example.org/feed"/>\n<outline')
    assert (len(found.feeds), places(found)) == (1, [("line 3", True)])


# ------------------------------------------------------------------ what is no library


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "neither BibTeX"),
        (b"Dear Ada, here is my list.", "neither BibTeX"),
        (b"<html><body>Log in first</body></html>", "not OPML"),
        (b"x" * (imports.MAX_BYTES + 1), "more than 20,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_library_is_refused_in_words(raw: bytes, why: str) -> None:
    found = imports.read(raw)
    assert (found.empty, why in found.skipped[0].why) == (True, True)


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_reading_never_raises(raw: bytes) -> None:
    assert isinstance(imports.read(raw), Imported)


PIECES = st.lists(
    st.sampled_from(
        [
            *("@article{", "@string{", "k,", "title", " = ", "{", "}", '"', "#", ",", "\n", "\\"),
            *("doi", "TY  - JOUR", "ER  - ", "DO  - 10.1000/x", "\r", "<opml>", "<outline text='"),
            *(
                "'>",
                "</",
                "crossref={a}",
                "arXiv:2401.00001",
                "[",
                "]",
                '"DOI":',
                "null",
                "\0",
                "é",
            ),
            *("@", "("),
        ]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize("reader", [bibtex.read, ris.read, opml.read])
@given(text=PIECES)
def test_no_reader_raises_for_any_text(reader: Callable[[str], Imported], text: str) -> None:
    assert isinstance(reader(text), Imported)


KEYS = st.sampled_from(
    [
        *("items", "data", "group", "work-summary", "external-ids", "external-id", "title"),
        *("value", "DOI", "author", "issued", "date-parts", "paperId", "externalIds", "ArXiv"),
        *("bulk", "work"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("reader", [csl.read, orcid.read, semantic_scholar.read])
@given(value=VALUES)
def test_no_reader_raises_for_any_data(reader: Callable[[Any], Imported], value: Any) -> None:
    assert isinstance(reader(value), Imported)


@given(st.lists(st.text(max_size=60), max_size=5))
def test_whatever_ids_come_out_can_be_stored(texts: list[str]) -> None:
    given_ids = [{"DOI": f"10.1000/{text}", "note": f"doi: 10.1000/{text}"} for text in texts]
    found = csl.read(given_ids)
    assert profiles.from_mapping(imports.merge({}, found, "Mine"))


HOSTILE = {
    "entries": "@article{k, doi={10.1000/x}}\n" * 10_000,
    "opened": "@a{" * 10_000,
    "braces": "@article{k, title={" + "{" * 500_000,
    "quotes": '@article{k, title="' * 20_000,
    "joined": "@article{k, title=" + "a # " * 50_000 + "a}",
    "lines": "TY  - JOUR\n" + "x\n" * 200_000,
    "records": "TY  - JOUR\r\nDO  - 10.1000/x\r\n" * 10_000,
    "outlines": "<opml>" + "<outline text='a'>" * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_large_and_hostile_files_take_seconds_at_most(name: str) -> None:
    begun = time.monotonic()
    imports.read(HOSTILE[name].encode())
    assert time.monotonic() - begun < 30  # quadratic time would take minutes


# ------------------------------------------------------------------ into a profile


def library(*ids: str, follows: tuple[str, ...] = ()) -> Imported:
    works = tuple(Entry(f"entry {n}", (id_,), when=(2020, 0)) for n, id_ in enumerate(ids))
    return Imported("CSL-JSON", works, follows=follows)


PROFILE = """# mine, with a remark
cadence = "daily"
hour = 6
budget = 5

[[interest]]
name = "Graphs"
query = "graph*"
seeds = ["arxiv:2401.00001"]

[follow]
authors = ["Song, Yang"]

[mute]
terms = ["survey"]
"""


def plain(text: str = PROFILE) -> dict[str, Any]:
    return profiles.to_mapping(profiles.parse(text))


def test_seeds_become_an_interest_and_all_else_stays() -> None:
    after = imports.merge(plain(), library("doi:10.1000/a"), "Imported from a.bib")
    mine = {"name": "Imported from a.bib", "seeds": ["doi:10.1000/a"]}
    assert {**plain(), "interest": [*plain()["interest"], mine]} == after


def test_seeds_join_an_interest_that_is_there() -> None:
    after = imports.merge(plain(), library("doi:10.1000/a", "arxiv:2401.00001"), "Graphs")
    [graphs] = after["interest"]
    assert (graphs["query"], graphs["seeds"]) == ("graph*", ["arxiv:2401.00001", "doi:10.1000/a"])


def test_people_are_followed_once_however_their_names_are_written() -> None:
    found = library(follows=("Yang Song", "Ada Lovelace", "Lovelace, Ada"))
    after = imports.merge(plain(), found, "Mine")
    assert after["follow"]["authors"] == ["Song, Yang", "Ada Lovelace"]


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(0, 2000))
def test_importing_twice_changes_nothing(numbers: list[int], have: int) -> None:
    there = {"interest": [{"name": "I", "seeds": [f"doi:10.1/{n}" for n in range(have)]}]}
    found = library(*(f"doi:10.1/{n}" for n in numbers), follows=("Ada Lovelace",))
    once = imports.merge(there, found, "I")
    assert once == imports.merge(once, found, "I")


def test_only_the_newest_seeds_of_a_large_library_come_in() -> None:
    many = tuple(Entry("x", (f"doi:10.1/{n}",), when=(1500 + n, 0)) for n in range(600))
    [mine] = imports.merge({}, Imported("RIS", many), "Mine")["interest"]
    assert (len(mine["seeds"]), mine["seeds"][0]) == (imports.MOST, "doi:10.1/599")


def test_where_an_interest_is_full_the_seeds_that_were_there_first_go() -> None:
    full = {"interest": [{"name": "I", "seeds": [f"doi:10.1/{n}" for n in range(2000)]}]}
    [mine] = imports.merge(full, library("doi:10.1/0", "doi:10.1/new"), "I")["interest"]
    kept = ["doi:10.1/0", *(f"doi:10.1/{n}" for n in range(2, 2000)), "doi:10.1/new"]
    assert mine["seeds"] == kept


def test_a_profile_round_trips_with_what_was_imported() -> None:
    after = imports.merge(plain(), imports.read(BIBTEX.encode()), "Mine")
    assert plain(profiles.dump(profiles.from_mapping(after))) == after


def test_the_authors_own_text_keeps_its_remarks() -> None:
    after = imports.merge(plain(), library("doi:10.1000/a"), "Mine")
    text = imports.appended(PROFILE, after)
    assert isinstance(text, str)
    assert (text.startswith(PROFILE), plain(text)) == (True, after)


def test_where_more_changes_than_a_new_interest_the_plain_profile_comes_back() -> None:
    after = imports.merge(plain(), library("doi:10.1000/a"), "Graphs")
    assert imports.appended(PROFILE, after) == after


def test_a_profile_without_room_says_so() -> None:
    full = {"interest": [{"name": f"I{n}", "terms": ["x"]} for n in range(50)]}
    with pytest.raises(ProfileError, match="51 interests, at most 50"):
        imports.merge(full, library("doi:10.1000/a"), "One more")


def test_an_interest_is_called_after_the_file() -> None:
    assert imports.called("my\tlibrary.bib") == "Imported from my library.bib"


def test_a_long_name_of_a_file_is_cut_to_what_a_heading_holds() -> None:
    assert len(imports.called("x" * 300 + ".bib")) == 80


# ------------------------------------------------------------------ the command

ADA = "ada@example.org"
STORED = {"id": "arxiv:2401.00005", "title": "On étale things and more", "authors": ["J. Müller"]}


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A folder with a site in which Ada reads, and a paper that has no id in her library."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIGEST_NOW", "2026-03-02T09:00:00Z")
    (tmp_path / "papers.jsonl").write_text(json.dumps(STORED))
    (tmp_path / "ada.toml").write_text(PROFILE)
    (tmp_path / "library.bib").write_text(BIBTEX)
    for words in (
        "init .",
        f"subscriber add {ADA} --confirmed --consent asked --profile ada.toml",
        "paper import papers.jsonl",
    ):
        assert run(words.split()) == 0
    capsys.readouterr()
    return tmp_path


def profile_of(email: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    run(["profile", "show", email])
    return capsys.readouterr().out


def test_the_command_takes_a_library_and_keeps_the_remarks(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["profile", "import", ADA, "library.bib"])
    said = capsys.readouterr()
    assert (code, "8 seeds in 'Imported from library.bib'" in said.out) == (0, True)
    assert "not stored here yet: 7 of them" in said.out
    assert "library.bib: line 22 (volume19): a volume" in said.err
    assert profile_of(ADA, capsys).startswith("# mine, with a remark")


def test_a_title_without_an_id_finds_its_paper_in_the_store(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["profile", "import", ADA, "library.bib"])
    assert '"arxiv:2401.00005"' in profile_of(ADA, capsys)


def test_the_command_done_twice_changes_nothing(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["profile", "import", ADA, "library.bib"])
    once = profile_of(ADA, capsys)
    assert run(["profile", "import", ADA, "library.bib"]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert once == profile_of(ADA, capsys)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"@article{a, doi={10.1000/x}}", 0),
        (b"@article{a, title={Only a title, and it is nowhere}}", 0),
        (b"@article{a, doi={10.1000/x}}\n@article{b, title={", 1),
        (b"@article{b, title={", 2),
        (b"not a library", 2),
        (b"", 2),
    ],
)
def test_the_exit_code_tells_what_could_be_read(site: Path, raw: bytes, code: int) -> None:
    Path("it.bib").write_bytes(raw)
    assert code == run(["profile", "import", ADA, "it.bib"])


def test_json_tells_the_same_to_a_script(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("feeds.opml").write_text(OPML)
    assert run(["profile", "import", ADA, "feeds.opml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["changed"], told["seeds"], told["follows"]) == (
        True,
        ["arxiv:2401.00001"],
        ["Józef Müller", "Ada Lovelace"],
    )


def test_feeds_are_shown_as_lines_to_type_and_none_is_added(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("feeds.opml").write_text(OPML)
    run(["profile", "import", ADA, "feeds.opml"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "digest source add arxiv-vision --kind arxiv --option categories=cs.CV,cs.GR" in lines
    run(["source", "list", "--json"])
    assert "nature.com/nature.rss" not in capsys.readouterr().out


@pytest.mark.parametrize("url", ["https://a.example/$(id)", "https://a.example/'; rm -r x; '"])
def test_no_address_in_a_line_to_type_is_a_command(url: str) -> None:
    [line] = adding([imports.Feed("line 1", "$(reboot) `id`", url)])
    assert shlex.split(line)[3:] == ["reboot-id", "--kind", "feed", "--option", f"url={url}"]
