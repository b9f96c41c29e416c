"""A profile written as plain data and as a TOML text, so that reading gives it back."""

from __future__ import annotations

from typing import Any

import tomli_w

from digest.model import WEEKDAYS, Cadence, Frequency, Interest, Profile, Term
from digest.profiles.reading import LAST, WEIGHTED


def to_mapping(profile: Profile) -> dict[str, Any]:
    """The profile as plain data, defaults written out; `from_mapping` gives it back."""
    cadence = profile.cadence
    document: dict[str, Any] = {"cadence": str(cadence.frequency)}
    if cadence.frequency is not Frequency.DAILY:
        document["day"] = _written_day(cadence)
    document |= {
        "hour": cadence.hour,
        "zone": cadence.zone,
        "budget": profile.budget,
        "floor": str(profile.floor),
        "quiet_weeks": str(profile.quiet_weeks),
        "trending": profile.trending,
        "revisions": profile.revisions,
    }
    tables = {
        "interest": [_written_interest(interest) for interest in profile.interests],
        "follow": _without_empty({"authors": list(profile.follow_authors)}),
        "mute": _without_empty(
            {
                "terms": list(profile.mute_terms),
                "authors": list(profile.mute_authors),
                "categories": list(profile.mute_categories),
            }
        ),
    }
    return document | _without_empty(tables)


def dump(profile: Profile) -> str:
    """The profile as a TOML text; `parse` gives it back."""
    return tomli_w.dumps(to_mapping(profile))


def _written_day(cadence: Cadence) -> str | int:
    if cadence.frequency is Frequency.WEEKLY:
        return WEEKDAYS[cadence.day]
    return "last" if cadence.day == LAST else cadence.day


def _written_interest(interest: Interest) -> dict[str, Any]:
    document = {
        "name": interest.name,
        "query": interest.query,
        "terms": [_written_term(term) for term in interest.terms],
        "seeds": list(interest.seeds),
        "quota": interest.quota,
    }
    return _without_empty(document)


def _written_term(term: Term) -> str:
    plain = term.weight == 1 and not WEIGHTED.fullmatch(term.text)
    return term.text if plain else f"{term.text}^{term.weight!r}".removesuffix(".0")


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value not in ("", [], {}, None)}
