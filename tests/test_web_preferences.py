"""Preferences: plain fields, the whole file, a pause."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from visiting import (
    HOUR,
    NOW,
    again,
    dump,
    link,
    pending,
    reader,
    remember,
    state,
    text_of,
    visitor,
)

from digest import profiles
from digest.links import Purpose
from digest.model import (
    Act,
    Cadence,
    EndReason,
    Frequency,
    Interest,
    Profile,
    Subscriber,
    SubscriberState,
    Term,
)
from digest.store import Database, people

BERLIN = Cadence(Frequency.WEEKLY, 0, 8, "Europe/Berlin")
RICH = Interest("Rules", query='"score matching"', quota=3)
PLAIN = Interest("graphs", terms=(Term("graphs"),))


def way(person: Subscriber) -> str:
    return link(Purpose.PREFERENCES, person.key)


def stored(db: Database, person: Subscriber) -> tuple[Profile, str]:
    with db.reading() as tx:
        document, text = people.profile(tx, person.key)
    return profiles.from_mapping(document), text or ""


# ------------------------------------------------------------------ plain fields


def test_the_page_shows_what_is_stored(sqlite: Database) -> None:
    ada = reader(sqlite, cadence=BERLIN, interests=(PLAIN, RICH), follow_authors=("Noether, Emmy",))
    page = visitor(sqlite).get(way(ada))
    said = text_of(page)
    assert page.status_code == 200
    assert "every Monday at 8:00 (Europe/Berlin)" in said
    assert "Noether, Emmy" in said
    assert "a line cannot tell all of them: Rules" in said
    assert 'query = "\\"score matching\\""' in said
    assert '<option value="Europe/Berlin" selected>' in page.text


def test_the_fields_change_the_profile(sqlite: Database) -> None:
    ada = reader(sqlite, cadence=BERLIN, interests=(PLAIN, RICH), follow_authors=("A B",))
    page = visitor(sqlite).post(
        way(ada),
        {
            "act": "change",
            "interests": "folding",
            "authors": "",
            "muted": "survey",
            "frequency": "daily",
            "weekday": "monday",
            "monthday": "1",
            "hour": "6",
            "zone": "Asia/Tokyo",
            "budget": "20",
            "trending": "0",
            "floor": "strict",
            "quiet_weeks": "line",
            "revisions": "yes",
        },
    )
    assert page.status_code == 200
    assert "Saved." in text_of(page)
    profile, text = stored(sqlite, ada)
    assert [item.name for item in profile.interests] == ["Rules", "folding"]
    assert profile.interests[0] == RICH
    assert (profile.follow_authors, profile.mute_terms) == ((), ("survey",))
    assert (profile.budget, profile.trending, profile.floor) == (20, 0, "strict")
    assert (profile.quiet_weeks, profile.revisions) == ("line", True)
    assert Cadence(Frequency.DAILY, 0, 6, "Asia/Tokyo") == profile.cadence
    assert profile == profiles.parse(text)
    assert again(sqlite, ada).cadence == profile.cadence


def test_a_change_is_noted_in_the_consent_record(sqlite: Database) -> None:
    ada = reader(sqlite)
    visitor(sqlite).post(way(ada), {"act": "change", "budget": "20"})
    with sqlite.reading() as tx:
        line = people.consents(tx, ada.key)[-1]
    assert (line.act, line.door, line.evidence) == (Act.CHANGED, "web", "from 192.0.2.1")


def test_following_somebody_by_the_form_keeps_the_remarks_of_the_file(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    site.post(way(ada), {"act": "file", "text": "# mine\nbudget = 20\n"})
    site.post(way(ada), {"act": "change", "authors": "Emmy Noether"})
    assert '# mine\nbudget = 20\n\n[follow]\nauthors = ["Emmy Noether"]\n' == stored(sqlite, ada)[1]


def test_saving_what_is_stored_already_keeps_the_remarks_of_the_file(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    site.post(way(ada), {"act": "file", "text": "# mine\nbudget = 20\n"})
    before = dump(sqlite)
    assert "nothing is different" in text_of(site.post(way(ada), {"act": "change", "budget": "20"}))
    assert before == dump(sqlite)


@pytest.mark.parametrize(
    ("field", "value"),
    [("interests", "++"), ("zone", "Mars"), ("hour", "24"), ("budget", "0"), ("floor", "x")],
)
def test_a_fault_is_said_at_its_field_and_nothing_is_saved(
    sqlite: Database, field: str, value: str
) -> None:
    ada = reader(sqlite)
    before = dump(sqlite)
    page = visitor(sqlite).post(
        way(ada), {"act": "change", "authors": "Kept As Typed", field: value}
    )
    assert page.status_code == 422
    assert f'id="{field}-error"' in page.text
    assert "Kept As Typed" in page.text
    assert before == dump(sqlite)


def test_a_stored_profile_that_is_damaged_still_has_a_page(sqlite: Database) -> None:
    ada = reader(sqlite)
    with sqlite.writing() as tx:
        people.change(tx, ada.key, {"cadence": "hourly"}, "cadence = ", BERLIN, NOW, None)
    page = visitor(sqlite).get(way(ada))
    assert page.status_code == 200
    assert "cadence = " in page.text


# ------------------------------------------------------------------ the file

FILE = """# mine
budget = 30
[[interest]]
name = "Rules"
query = '"score matching" AND NOT audio'
"""


def test_the_whole_file_can_be_saved_as_it_is_written(sqlite: Database) -> None:
    ada = reader(sqlite)
    page = visitor(sqlite).post(way(ada), {"act": "file", "text": FILE})
    assert page.status_code == 200
    assert "Your profile file is saved." in text_of(page)
    profile, text = stored(sqlite, ada)
    assert (profile.budget, profile.interests[0].name, text) == (30, "Rules", FILE)


def test_faults_of_the_file_are_listed_by_line_and_it_stays_as_typed(sqlite: Database) -> None:
    ada = reader(sqlite)
    before = dump(sqlite)
    bad = 'budget = 999\ncadense = "daily"\n[[interest]]\nname = "x"\nquery = "a AND"\n'
    page = visitor(sqlite).post(way(ada), {"act": "file", "text": bad})
    said = text_of(page)
    assert page.status_code == 422
    assert "Not saved" in said
    for line in (1, 2, 5):
        assert f"line {line}, column" in said
    assert "cadense" in page.text
    assert "<details" in page.text
    assert before == dump(sqlite)


def test_checking_saves_nothing_and_compares_with_recent_papers(sqlite: Database) -> None:
    ada = reader(sqlite)
    remember(sqlite, *(f"A model of number {n}" for n in range(20)))
    before = dump(sqlite)
    odd = '[[interest]]\nname = "All"\nterms = ["model"]\n'
    page = visitor(sqlite).post(way(ada), {"act": "check", "text": odd})
    assert page.status_code == 200
    assert "line 3" in text_of(page)
    assert "100 %" in text_of(page)
    assert before == dump(sqlite)


def test_a_file_without_a_fault_is_told_so(sqlite: Database) -> None:
    ada = reader(sqlite)
    fine = '[[interest]]\nname = "Graphs"\nterms = ["graph neural network"]\n'
    page = visitor(sqlite).post(way(ada), {"act": "check", "text": fine})
    assert "nothing in it looks odd" in text_of(page)


# ------------------------------------------------------------------ a pause


def test_a_pause_lasts_until_midnight_of_that_day_there(sqlite: Database) -> None:
    ada = reader(sqlite, cadence=BERLIN)
    page = visitor(sqlite).post(way(ada), {"act": "pause", "until": "2026-04-10"})
    assert "Paused." in text_of(page)
    assert "Friday 10 April 2026, 00:00" in text_of(page)
    found = again(sqlite, ada)
    assert found.state is SubscriberState.PAUSED
    assert found.paused_until == datetime(2026, 4, 9, 22, tzinfo=UTC)


def test_a_pause_can_be_ended(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    site.post(way(ada), {"act": "pause", "until": "2026-04-10"})
    page = site.post(way(ada), {"act": "resume"})
    assert "The pause is over." in text_of(page)
    assert state(sqlite, ada) is SubscriberState.ACTIVE


@pytest.mark.parametrize(
    "until", ["", "soon", "2026-03-01", "9999-12-31", "0001-01-01", "2026-02-30", "2026-04-10\x00"]
)
def test_a_day_that_cannot_be_is_said_at_its_field(sqlite: Database, until: str) -> None:
    ada = reader(sqlite, cadence=BERLIN)
    page = visitor(sqlite).post(way(ada), {"act": "pause", "until": until})
    if "\x00" in until:  # the control is dropped, the day is good
        assert page.status_code == 200
        return
    assert page.status_code == 422
    assert 'id="until-error"' in page.text
    assert state(sqlite, ada) is SubscriberState.ACTIVE


def test_who_has_not_confirmed_can_neither_pause_nor_resume(sqlite: Database) -> None:
    ada, site = pending(sqlite), visitor(sqlite)
    assert "press the button in the letter" in text_of(site.get(way(ada)))
    for values in ({"act": "pause", "until": "2026-04-10"}, {"act": "resume"}):
        assert site.post(way(ada), values).status_code == 422
    assert state(sqlite, ada) is SubscriberState.PENDING


# ------------------------------------------------------------------ who, and how


def test_who_has_left_is_shown_the_way_back(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    with sqlite.writing() as tx:
        people.end(tx, ada.key, EndReason.UNSUBSCRIBED)
    before = dump(sqlite)
    for page in (site.get(way(ada)), site.post(way(ada), {"act": "change", "budget": "3"})):
        assert page.status_code == 200
        assert "Subscribe again" in text_of(page)
    assert before == dump(sqlite)


@pytest.mark.parametrize("values", [{}, {"act": "erase"}, {"act": ""}, {"budget": "3"}])
def test_an_act_that_is_none_is_refused(sqlite: Database, values: dict[str, str]) -> None:
    ada = reader(sqlite)
    before = dump(sqlite)
    assert visitor(sqlite).post(way(ada), values).status_code == 400
    assert before == dump(sqlite)


def test_a_forged_link_changes_nothing(sqlite: Database) -> None:
    ada = reader(sqlite)
    before = dump(sqlite)
    site, change = visitor(sqlite), {"act": "change", "budget": "3"}
    for bad in (way(ada) + "x", link(Purpose.UNSUBSCRIBE, ada.key).replace("/u/", "/p/")):
        assert site.post(bad, change).status_code == 404
    assert before == dump(sqlite)


def test_looking_changes_nothing(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    before = dump(sqlite)
    for method in ("GET", "HEAD"):
        for tail in ("", "?act=pause&until=2026-04-10", "?act=change&budget=3"):
            assert site.ask(method, way(ada) + tail).status_code == 200
    assert before == dump(sqlite)


def test_a_tab_left_open_over_a_pause_does_no_harm(sqlite: Database) -> None:
    ada, site = reader(sqlite), visitor(sqlite)
    site.post(way(ada), {"act": "pause", "until": "2026-04-10"})
    site.post(way(ada), {"act": "change", "budget": "5"})
    assert state(sqlite, ada) is SubscriberState.PAUSED
    assert again(sqlite, ada).next_due is not None
    assert again(sqlite, ada).next_due > NOW + 24 * HOUR
