"""`/metrics`: how the site is, as numbers (Prometheus text format 0.0.4). No address, no name.

Told to whoever asks from this machine itself, and not through a proxy; to others there is no such
page. A writer of our own: the format is lines, and each number is asked from the database now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from ipaddress import ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from digest.bounces import Effect
from digest.model import EditionState, SubscriberState, Verdict
from digest.store import Tx, deliveries, editions, papers, people, reports, sources
from digest.web.parts import House

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

Labels = Mapping[str, str]
Row = tuple[Labels, float]


def show(house: House, request: Request) -> Response:
    """Every metric. Raises HTTPException 404 for those who ask from elsewhere."""
    if not _is_from_here(request):
        raise HTTPException(404)
    with house.parts.db.reading() as tx:
        text = "".join(_lines(tx, house.parts.clock()))
    return PlainTextResponse(text, media_type=TYPE)


def _is_from_here(request: Request) -> bool:
    if any(name in request.headers for name in _PROXIED) or request.client is None:
        return False
    try:
        return ip_address(request.client.host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _lines(tx: Tx, now: datetime) -> Iterator[str]:
    health = sources.health(tx).values()
    asked = [source for source in health if source.verdict is not None]
    verdicts = (
        ({"source": source.name, "verdict": str(verdict)}, float(source.verdict is verdict))
        for source in asked
        for verdict in Verdict
    )
    yield from _metric(
        "digest_source_verdict", "1 for the verdict of a source's last fetch.", verdicts
    )
    ages = (
        ({"source": source.name}, (now - source.healthy_at).total_seconds())
        for source in asked
        if source.healthy_at is not None
    )
    yield from _metric("digest_source_healthy_age_seconds", "Since a source was last well.", ages)
    yield from _metric("digest_papers", "Papers known.", [({}, papers.count(tx))])
    states = _counted("state", people.count(tx), SubscriberState)
    yield from _metric("digest_subscribers", "People by state.", states)
    made = editions.counts(tx)
    queued = float(made.pop(str(EditionState.QUEUED), 0))
    skipped = [
        ({"state": str(EditionState.SKIPPED), "reason": why}, float(n)) for why, n in made.items()
    ]
    by_state: list[Row] = [({"state": str(EditionState.QUEUED), "reason": ""}, queued), *skipped]
    yield from _metric("digest_editions", "Editions by state and reason.", by_state)
    letters = _counted("state", deliveries.counts(tx), ())
    yield from _metric("digest_deliveries", "Letters by state.", letters)
    came_back = _counted("effect", reports.by_effect(tx), Effect)
    yield from _metric("digest_reports", "What came back, by what was done.", came_back)


def _counted(label: str, found: Mapping[str, int], always: Iterable[str]) -> list[Row]:
    """A row for each that was found, and 0 for those that are always told."""
    names = dict.fromkeys([*map(str, always), *found])
    return [({label: name}, float(found.get(name, 0))) for name in names]


def _metric(name: str, about: str, rows: Iterable[Row]) -> Iterator[str]:
    yield f"# HELP {name} {about}\n# TYPE {name} gauge\n"
    for labels, value in rows:
        said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{said}}} {value:.15g}\n" if said else f"{name} {value:.15g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
