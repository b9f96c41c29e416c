"""`digest subscriber`, `profile`, `suppression`: people, as whoever runs the site meets them."""

from __future__ import annotations

import json
from datetime import timedelta
from email import message_from_string, policy
from pathlib import Path

import pytest
from commanding import ADA, HOUR, MONDAY, SAMPLE, Site, with_ada, with_papers

from digest.store import Database, people

DAY = 24 * HOUR
PAPER = "arxiv:9912.01000"
BROKEN = 'cadence = "hourly"\nbudgt = 3\n\n[[interest]]\nname = "x"\nquery = "a AND"\n'


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    sqlite.dispose()
    return Site(tmp_path)


@pytest.fixture
def lived(site: Site) -> Site:
    return with_ada(with_papers(site))


def state(site: Site, email: str = ADA) -> str:
    return site("subscriber", "show", email, "--json").json["state"]


# ---------------------------------------------------------------- coming


def test_a_person_who_is_added_is_asked_to_confirm(site: Site) -> None:
    said = site("subscriber", "add", ADA)
    assert (said.code, state(site)) == (0, "pending")
    assert said.out == f"{ADA}: pending; a letter that asks to confirm is queued\n"


def test_the_letter_that_asks_goes_out_with_the_next_pass(site: Site) -> None:
    site("subscriber", "add", ADA)
    assert site("deliver").out == "1 letter accepted\n"
    [letter] = site.letters()
    assert message_from_string(letter.read_text(), policy=policy.default)["To"] == ADA


def test_whoever_agreed_already_is_active_and_told_when(site: Site) -> None:
    said = site("subscriber", "add", ADA, "--confirmed", "--consent", "asked at the seminar")
    assert said.out == f"{ADA} is active; the first letter is due 2026-03-16 08:00Z\n"
    [line] = site("subscriber", "show", ADA, "--json").json["consents"]
    assert (line["evidence"], line["door"]) == ("asked at the seminar", "cli")


def test_nobody_is_added_twice(site: Site) -> None:
    site("subscriber", "add", ADA, "--confirmed")
    said = site("subscriber", "add", ADA, "--confirmed")
    assert (said.code, "is active already" in said.fault) == (2, True)


@pytest.mark.parametrize(
    "verb", ["subscriber add {email} --profile {file}", "profile simulate {file}"]
)
def test_every_fault_of_a_profile_file_has_its_place(site: Site, verb: str) -> None:
    file = site.write("ada.toml", BROKEN)
    said = site(*verb.format(email=ADA, file=file).split())
    assert (said.code, said.out) == (2, "")
    places = [line.partition(f"{file}:")[2][:5] for line in said.err.splitlines()]
    assert places == ["1:11:", "2:1: ", "6:15:"]


def test_a_profile_file_that_is_not_utf_8_is_refused_with_the_place(site: Site) -> None:
    file = site.write("ada.toml", 'cadence = "daily"\n# caf\u00e9\n'.encode("latin-1"))
    for words in (["profile", "lint", file], ["subscriber", "add", ADA, "--profile", file]):
        said = site(*words)
        assert (said.code, said.fault) == (2, f"digest: {file}:2:6: not UTF-8; save it as UTF-8")


@pytest.mark.parametrize("content", [b"#" * 10_000_001, b"terms = [" + b'"x",' * 2_000_000])
def test_a_profile_file_of_ten_megabytes_is_refused_in_one_line(site: Site, content: bytes) -> None:
    said = site("subscriber", "add", ADA, "--profile", site.write("ada.toml", content))
    assert (said.code, len(said.fault) < 300) == (2, True)


def test_a_profile_file_may_begin_with_a_byte_order_mark(site: Site) -> None:
    file = site.write("ada.toml", b'\xef\xbb\xbfcadence = "daily"\n')
    assert site("subscriber", "add", ADA, "--profile", file, "--confirmed").code == 0


# ---------------------------------------------------------------- many at once

CSV = (
    "email,confirmed_at,cadence,zone,terms,categories,authors,seeds,consent\n"
    "grace@example.org,2026-03-01,daily,Europe/Dublin,graphs;rumours,cs.LG,,,a list\n"
    "nobody,,,,,,,,\n"
    "heinrich@example.org,,hourly,,,,,,\n"
    "ines@example.org,,,,,,,,\n"
)
JSONL = (
    '{"email": "grace@example.org", "profile": {"cadence": "daily"}, "confirmed_at": "2026-03-01",'
    ' "consent": "a list"}\n'
    '{"email": "nobody"}\n'
    '{"email": "heinrich@example.org", "profile": {"cadence": "hourly"}}\n'
    '{"email": "ines@example.org"}\n'
    "nonsense\n"
)


@pytest.mark.parametrize(
    ("name", "text", "lines"), [("p.csv", CSV, [3, 4]), ("p.jsonl", JSONL, [2, 3, 5])]
)
def test_bad_rows_are_listed_with_their_line_and_the_rest_goes_in(
    site: Site, name: str, text: str, lines: list[int]
) -> None:
    file = site.write(name, text)
    said = site("subscriber", "import", file)
    assert said.code == 1
    assert said.out.startswith("1 added, 1 asked to confirm, 0 known already")
    assert [int(line.split(":")[1]) for line in said.err.splitlines()] == lines
    assert [state(site, f"{name}@example.org") for name in ("grace", "ines")] == [
        "active",
        "pending",
    ]


def test_an_import_done_twice_does_nothing_the_second_time(site: Site) -> None:
    file = site.write("people.csv", CSV)
    site("subscriber", "import", file)
    again = site("subscriber", "import", file, "--json").json
    assert (again["added"], again["pending"], again["known"]) == (0, 0, 2)


def test_an_import_that_went_well_ends_with_0(site: Site) -> None:
    assert site("subscriber", "import", site.write("p.csv", f"email\n{ADA}\n")).code == 0


# ---------------------------------------------------------------- a life


def test_a_pause_ends_at_midnight_where_the_person_lives(lived: Site) -> None:
    said = lived("subscriber", "pause", ADA, "--until", "2026-09-01")
    assert (said.code, state(lived)) == (0, "paused")
    told = lived("subscriber", "show", ADA, "--json").json["paused_until"]
    assert told == "2026-08-31T22:00:00Z"  # Amsterdam
    assert "is paused until 2026-08-31 22:00Z" in lived("subscriber", "why", ADA).out


def test_a_paused_person_resumes_by_command(lived: Site) -> None:
    lived("subscriber", "pause", ADA, "--until", "2026-09-01")
    assert lived("subscriber", "resume", ADA).code == 0
    assert state(lived) == "active"


def test_a_pause_in_the_past_is_refused(lived: Site) -> None:
    assert (
        "a pause must end between now"
        in lived("subscriber", "pause", ADA, "--until", "2020-01-01").fault
    )


def test_who_was_ended_gets_nothing(lived: Site) -> None:
    assert lived("subscriber", "end", ADA).code == 0
    assert lived("publish", "--json").json == {"queued": 0, "skipped": {}}
    assert f"{ADA} is ended: admin" in lived("subscriber", "why", ADA).out


def test_everything_known_of_a_person_is_exported_as_json(lived: Site) -> None:
    lived("run")
    known = lived("subscriber", "export", ADA).json
    assert known["subscriber"]["email"] == ADA
    assert known["deliveries"][0]["state"] == "accepted"


def test_erasing_asks_first_and_no_answer_is_no(lived: Site) -> None:
    for answer in ("", "n\n"):
        said = lived("subscriber", "erase", ADA, stdin=answer)
        assert (said.code, said.out, state(lived)) == (2, "", "active")
        assert said.err.endswith("digest: nothing was changed; --yes says yes beforehand\n")


@pytest.mark.parametrize(("words", "answer"), [(["--yes"], ""), ([], "y\n")])
def test_an_erased_person_is_known_no_more(lived: Site, words: list[str], answer: str) -> None:
    assert lived("subscriber", "erase", ADA, *words, stdin=answer).code == 0
    assert lived("subscriber", "show", ADA).code == 2
    assert ADA not in lived("subscriber", "list").out


def test_why_tells_of_each_window_what_came_of_it(lived: Site) -> None:
    lived("run")
    lived("publish", now=MONDAY + 7 * DAY)
    rows = lived("subscriber", "why", ADA, "--json").json["editions"]
    assert [(row["what"], row["why"]) for row in rows] == [
        ("skipped", "no_new_papers"),
        ("accepted", f"written as {lived.letters()[0].name}"),
    ]


def test_why_says_that_an_address_takes_no_mail(lived: Site) -> None:
    lived("suppression", "add", ADA, "--reason", "asked by phone")
    said = lived("subscriber", "why", ADA).out
    assert f"{ADA} takes no mail since 2026-03-09: asked by phone" in said


# ---------------------------------------------------------------- who takes no mail


def test_a_suppressed_address_gets_no_letter_until_it_is_taken_off(lived: Site) -> None:
    lived("suppression", "add", "ADA@Example.ORG".replace("ADA", "ada"), "--reason", "by\nphone")
    [row] = lived("suppression", "list", "--json").json
    assert (row["address"], row["reason"]) == (ADA, "by phone")
    assert lived("publish", "--json").json == {"queued": 0, "skipped": {"suppressed": 1}}
    assert lived("suppression", "remove", ADA).code == 0
    assert lived("suppression", "list", "--json").json == []


# ---------------------------------------------------------------- what they want


def test_a_profile_that_is_shown_can_be_set(lived: Site) -> None:
    shown = lived("profile", "show", ADA).out
    assert shown == (SAMPLE / "mira.toml").read_text()
    before = lived("profile", "show", ADA, "--json").json
    assert lived("profile", "set", ADA, lived.write("again.toml", shown)).code == 0
    assert lived("profile", "show", ADA, "--json").json == before


def test_a_profile_that_came_as_data_is_shown_as_a_file(site: Site) -> None:
    row = {"email": ADA, "profile": {"cadence": "monthly", "day": "last"}}
    site("subscriber", "import", site.write("p.jsonl", json.dumps(row)))
    shown = site.write("ada.toml", site("profile", "show", ADA).out)
    assert site("profile", "lint", shown).code == 0
    assert 'cadence = "monthly"' in shown.read_text()


def test_a_broken_profile_changes_nothing(lived: Site) -> None:
    file = lived.write("ada.toml", BROKEN)
    said = lived("profile", "set", ADA, file)
    assert (said.code, said.err.count(str(file))) == (2, 3)
    assert lived("profile", "show", ADA).out == (SAMPLE / "mira.toml").read_text()


def test_lint_names_line_and_column_of_every_fault(site: Site) -> None:
    file = site.write("ada.toml", BROKEN)
    said = site("profile", "lint", file)
    assert said.code == 2
    assert [line.removeprefix(f"{file}:")[:11] for line in said.out.splitlines()] == [
        "1:11: error",
        "2:1: error:",
        "6:15: error",
    ]
    assert [f["line"] for f in site("profile", "lint", file, "--json").json] == [1, 2, 6]


def test_lint_measures_terms_by_the_papers_of_the_last_weeks(lived: Site) -> None:
    text = '[[interest]]\nname = "x"\nterms = ["the", "xylophones"]\n'
    said = lived("profile", "lint", lived.write("ada.toml", text))
    assert said.code == 0
    assert "'xylophones' matches nothing of the last four weeks" in said.out


def test_the_example_is_without_fault(site: Site) -> None:
    example = site("profile", "example")
    file = site.write("ada.toml", example.out)
    [line] = site("profile", "lint", file).out.splitlines()
    assert line.endswith("note: 'arxiv:2303.01469' is not stored here; it counts from when it is")


@pytest.mark.parametrize(("format_", "sign"), [("text", "Your week in papers, "), ("html", "<h1 ")])
def test_simulate_shows_the_letters_themselves(lived: Site, format_: str, sign: str) -> None:
    made = lived("profile", "simulate", ADA, "--weeks", 2, "--json").json
    letters = sum(bool(edition["papers"]) for edition in made)
    said = lived("profile", "simulate", ADA, "--weeks", 2, "--letters", "--format", format_)
    assert (said.code, said.err) == (0, "")
    assert letters == said.out.count(sign) > 0
    assert ("since" in said.out.splitlines()[0]) is (format_ == "text")  # the counts go first


def test_a_simulated_person_has_said_what_they_like(lived: Site) -> None:
    def papers() -> list[str]:
        made = lived("profile", "simulate", ADA, "--weeks", 2, "--json").json
        return [paper["id"] for edition in made for paper in edition["papers"]]

    before = papers()
    lived("profile", "like", ADA, PAPER)
    assert PAPER in before
    assert PAPER not in papers()  # it is no news any more


def test_letters_in_an_unknown_format_are_refused(site: Site) -> None:
    said = site("profile", "simulate", ADA, "--letters", "--format", "pdf")
    assert (said.code, "there are text and html" in said.fault) == (2, True)


@pytest.mark.parametrize("who", ["file", "email"])
def test_simulate_shows_the_editions_of_past_weeks(lived: Site, who: str) -> None:
    wish = ADA if who == "email" else SAMPLE / "mira.toml"
    rows = lived("profile", "simulate", wish, "--weeks", 2, "--json").json
    assert [(row["until"], len(row["papers"])) for row in rows] == [
        ("2026-03-02T07:00:00Z", 0),
        ("2026-03-09T07:00:00Z", 10),
    ]
    assert lived("edition", "list", "--json").json == []


def test_what_is_liked_and_disliked_is_kept(lived: Site) -> None:
    assert lived("profile", "like", ADA, "https://arxiv.org/abs/9912.01000v2").code == 0
    assert lived("profile", "dislike", ADA, "9912.01353").code == 0
    said = lived("subscriber", "export", ADA).json["feedback"]
    assert (said["likes"], said["dislikes"]) == ([PAPER], ["arxiv:9912.01353"])
    assert len(said["liked_at"]) == 1


def test_a_paper_that_is_not_here_cannot_be_liked_but_the_others_can(lived: Site) -> None:
    said = lived("profile", "like", ADA, PAPER, "1234.56789")
    assert (said.code, said.out) == (1, "1 noted; they count from the next letter on\n")
    assert said.err == "no paper 1234.56789 here; look for it with `digest paper search`\n"


def test_the_profile_of_a_person_who_was_never_read_is_the_default(site: Site) -> None:
    site("subscriber", "add", ADA)
    assert "budget = 12" in site("profile", "show", ADA).out


def test_people_are_listed_with_state_and_cadence(lived: Site) -> None:
    [line] = lived("subscriber", "list").out.splitlines()[1:]
    assert "active  every Monday at 8:00 (Europe/Amsterdam)  2026-03-09 07:00Z" in line


def test_a_thousand_people_are_listed_when_all_are_asked_for(site: Site, sqlite: Database) -> None:
    from digest.model import Cadence

    with sqlite.writing() as tx:
        made = [people.NewSubscriber(f"p{n}@example.org", {}, Cadence()) for n in range(1000)]
        people.add_many(tx, made, MONDAY - timedelta(days=1), "test")
    assert len(site("subscriber", "list", "--limit", 0, "--json").json) == 1000
