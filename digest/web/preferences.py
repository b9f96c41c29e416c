"""What comes and when: plain fields for most, the whole profile file for all, and a pause."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest import cadence, profiles
from digest import subscribe as verbs
from digest.errors import ProfileError, Refused
from digest.links import Purpose
from digest.model import Paper, Profile, Subscriber, SubscriberState, Window
from digest.profiles import Finding
from digest.render.words import moment_words
from digest.store import papers, people
from digest.web import leave, wishes
from digest.web.forms import Form, read_form
from digest.web.parts import WEB, House, evidence

SPAN = timedelta(weeks=4)  # a profile file is compared with the papers of these
COMPARED = 5_000  # with more papers than this it is read, and compared with none
ERROR = "error"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a profile file. `refused`: it was not saved."""

    findings: Sequence[Finding] = ()
    refused: bool = False
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody at their preferences, and what they sent."""

    house: House
    person: Subscriber
    values: Mapping[str, str]
    proof: str = ""

    def profile(self) -> tuple[Profile, str]:
        """(what they want, as they wrote it); the defaults where what is stored is damaged."""
        with self.house.parts.db.reading() as tx:
            document, text = people.profile(tx, self.person.key)
        try:
            profile = profiles.from_mapping(document)
        except ProfileError:
            return Profile(), text or ""
        return profile, text or profiles.dump(profile)

    def change(self, text: str) -> Subscriber:
        parts = self.house.parts
        return verbs.change(parts.db, self.person.key, text, parts.clock(), WEB, self.proof)


# ------------------------------------------------------------------ what is asked


def show(house: House, request: Request) -> Response:
    """GET /p/{token}"""
    person = house.person(Purpose.PREFERENCES, request.path_params["token"])
    return _page(Visit(house, person, {}))


async def act(house: House, request: Request) -> Response:
    """POST /p/{token}: `act` is change, file, check, pause or resume."""
    values = await read_form(request)
    house.not_too_often(request)
    token, proof = request.path_params["token"], evidence(request)
    return await run_in_threadpool(_act, house, token, values, proof)


def _act(house: House, token: str, values: Mapping[str, str], proof: str) -> Response:
    visit = Visit(house, house.person(Purpose.PREFERENCES, token), values, proof)
    if visit.person.state is SubscriberState.ENDED:
        return leave.page(house, visit.person)
    acts = {"change": _change, "file": _file, "check": _check, "pause": _pause, "resume": _resume}
    if (answer := acts.get(values.get("act", ""))) is None:
        raise HTTPException(400)
    return answer(visit)


def _change(visit: Visit) -> Response:
    before, text = visit.profile()
    try:
        after = profiles.from_mapping(wishes.apply(visit.values, profiles.to_mapping(before)))
    except ProfileError as error:
        errors = wishes.faults_by_field(error.faults, visit.values)
        return _page(visit, errors=errors, typed=visit.values)
    if after == before:  # the file keeps its remarks
        return _page(visit, said="Saved; nothing is different.")
    return _page(visit, visit.change(profiles.amend(text, before, after)), said="Saved.")


def _file(visit: Visit) -> Response:
    report = _report(visit)
    if report.refused:
        return _page(visit, report=report, typed=visit.values)
    person = visit.change(visit.values.get("text", ""))
    return _page(visit, person, said="Your profile file is saved.", report=report)


def _check(visit: Visit) -> Response:
    report = _report(visit)
    return _page(visit, report=Report(report.findings, False, True), typed=visit.values)


def _report(visit: Visit) -> Report:
    text = visit.values.get("text", "")
    findings = profiles.lint(text, _recent(visit.house), _unknown(visit.house, text))
    return Report(findings, any(finding.level == ERROR for finding in findings))


def _unknown(house: House, text: str) -> Collection[str]:
    """The papers that a profile file names and that are not stored here."""
    named = profiles.seeds_of(text)
    with house.parts.db.reading() as tx:
        return named - papers.known(tx, named)


def _recent(house: House) -> Sequence[Paper]:
    now = house.parts.clock()
    window = Window(now - SPAN, now)
    with house.parts.db.reading() as tx:
        few = papers.count_seen_in(tx, window) <= COMPARED
        return papers.first_seen_in(tx, window) if few else []


def _pause(visit: Visit) -> Response:
    parts, person = visit.house.parts, visit.person
    try:
        until = _midnight(visit.values.get("until", ""), person.cadence.zone)
        paused = verbs.pause(parts.db, person.key, until, parts.clock(), WEB, visit.proof)
    except Refused as error:
        return _page(visit, errors={"until": str(error)}, typed=visit.values)
    return _page(visit, paused, said="Paused.")


def _resume(visit: Visit) -> Response:
    parts = visit.house.parts
    try:
        person = verbs.resume(parts.db, visit.person.key, parts.clock(), WEB, visit.proof)
    except Refused as error:
        return _page(visit, errors={"until": str(error)})
    return _page(visit, person, said="The pause is over.")


def _midnight(text: str, zone: str) -> datetime:
    """The beginning of that day there. Raises Refused."""
    try:
        day = datetime.combine(date.fromisoformat(text), time(), cadence.zone(zone))
        return day.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused("Choose the day on which letters may come again.") from None


# ------------------------------------------------------------------ what is shown


def _page(
    visit: Visit,
    person: Subscriber | None = None,
    *,
    said: str = "",
    errors: dict[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    report: Report | None = None,
) -> Response:
    """The page as things stand now; `typed` is shown again in place of what is stored."""
    house, person, report = visit.house, person or visit.person, report or Report()
    if person.state is SubscriberState.ENDED:
        return leave.page(house, person)
    profile, text = visit.profile()
    document = profiles.to_mapping(profile)
    values = {**wishes.fields(document), "text": text, "until": "", **(typed or {})}
    return house.pages.show(
        "preferences",
        422 if errors or report.refused else 200,
        form=Form(values, errors or {}),
        choices=wishes.choices(),
        unsaid=wishes.unsaid(document),
        report=report,
        said=said,
        **_standing(house, person),
    )


def _standing(house: House, person: Subscriber) -> dict[str, Any]:
    """Where the person stands, in the words of the page."""
    now, zone, token = house.parts.clock(), person.cadence.zone, house.parts.links.token
    until = person.paused_until if person.state is SubscriberState.PAUSED else None
    tomorrow = now.astimezone(cadence.zone(zone)).date() + timedelta(days=1)
    return {
        "email": person.email,
        "often": cadence.describe(person.cadence),
        "pending": person.state is SubscriberState.PENDING,
        "paused": moment_words(until, zone) if until else "",
        "next": moment_words(person.next_due, zone) if person.next_due else "",
        "tomorrow": tomorrow.isoformat(),
        "token": token(Purpose.PREFERENCES, person.key),
        "leaving": token(Purpose.UNSUBSCRIBE, person.key),
    }
