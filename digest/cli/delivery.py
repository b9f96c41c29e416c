"""`digest delivery ...`: what became of each letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from digest.cli.globals import open_app
from digest.cli.options import LARGEST, AsJson, Limit, example, noun
from digest.cli.output import cell, note, print_json, say, table
from digest.errors import Refused

if TYPE_CHECKING:
    from digest.model import Delivery

app = noun(
    "What became of each letter.",
    "digest delivery list --not-accepted",
    "digest delivery show 7",
)
Ids = Annotated[list[int], typer.Argument(metavar="ID...", max=LARGEST, help="Deliveries' ids.")]


REPLY = 60  # characters of a relay's words in a list; `show` has all of them


def row(delivery: Delivery) -> dict[str, Any]:
    """A delivery in the shape that scripts rely on."""
    return {
        "id": delivery.key,
        "kind": delivery.kind,
        "subscriber": delivery.recipient,
        "edition": delivery.edition_key,
        "state": delivery.state,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "relay": delivery.relay,
        "code": delivery.code,
        "text": delivery.text,
        "message_id": delivery.message_id,
        "not_before": delivery.not_before,
        "created_at": delivery.created_at,
        "since": delivery.changed_at,
    }


@app.command(
    "list",
    epilog=example("digest delivery list --not-accepted", "digest delivery list --state unknown"),
)
def list_(
    state: Annotated[str, typer.Option(metavar="S", help="Only letters in this state.")] = "",
    not_accepted: Annotated[
        bool, typer.Option("--not-accepted", help="Everything the next hop did not take.")
    ] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Letters, newest first: state, last reply, since when."""
    from digest.store import deliveries

    with open_app().db.reading() as tx:
        found = deliveries.listed(tx, limit, _state(state), not_accepted)
    if as_json:
        return print_json([row(delivery) for delivery in found])
    rows = (
        [d.key, d.kind, d.recipient, d.state, d.reason, d.attempts, _reply(d), d.changed_at]
        for d in found
    )
    columns = ("id", "kind", "recipient", "state", "reason", "tries", "reply", "since")
    return table(columns, rows, "no letters like that")


def _reply(delivery: Delivery) -> str | None:
    said = f"{delivery.code or ''} {delivery.text or ''}".strip()
    return (said if len(said) <= REPLY else f"{said[:REPLY]}…") or None


def _state(text: str) -> Any:
    from digest.model import DeliveryState

    if not text:
        return None
    try:
        return DeliveryState(text)
    except ValueError:
        known = ", ".join(DeliveryState)
        raise Refused(f"--state {text!r}: there are {known}") from None


@app.command(epilog=example("digest delivery show 7"))
def show(
    delivery: Annotated[int, typer.Argument(metavar="ID", max=LARGEST, help="The delivery's id.")],
    as_json: AsJson = False,
) -> None:
    """One letter, every attempt, and what came back for it."""
    from digest.store import deliveries, reports

    with open_app().db.reading() as tx:
        found = deliveries.get(tx, delivery)
        if found is None:
            raise Refused(f"no delivery {delivery}; see `digest delivery list`")
        tries = deliveries.attempts(tx, delivery)
        back = reports.of_letter(tx, delivery)
    if as_json:
        return print_json(row(found) | {"attempt_list": tries, "came_back": back})
    say(f"Delivery {found.key}: {found.kind} to {found.recipient}")
    say(f"{found.state}{f' ({found.reason})' if found.reason else ''}")
    say(f"Message-ID {found.message_id}")
    rows = ([a.at, a.relay, a.outcome, a.phase, a.code, a.enhanced, a.text] for a in tries)
    columns = ("at", "relay", "outcome", "phase", "code", "status", "reply")
    table(columns, rows, "not tried yet")
    for one in back:
        words = (one.told.kind, one.told.weight, one.told.status, one.told.text)
        said = " ".join(word for word in words if word)
        say(f"{cell(one.at)} came back by {one.door}: {cell(said)}; `digest bounce show {one.key}`")
    return None


@app.command(epilog=example("digest delivery retry 7 8"))
def retry(ids: Ids) -> int:
    """Queue letters again that wait, failed or expired."""
    from digest.store import deliveries

    site = open_app()
    with site.db.writing() as tx:
        done = deliveries.retry(tx, ids, site.clock())
    return _tell("queued again", done, ids, "is not waiting, or a later edition carries its papers")


@app.command(epilog=example("digest delivery resolve 7 --as sent"))
def resolve(
    ids: Ids,
    as_: Annotated[
        str, typer.Option("--as", metavar="sent|resend|drop", help="What became of it.")
    ],
) -> int:
    """Say what became of letters in state unknown."""
    from digest.model import DeliveryState
    from digest.store import deliveries

    outcomes = {
        "sent": DeliveryState.ACCEPTED,
        "resend": DeliveryState.QUEUED,
        "drop": DeliveryState.CANCELLED,
    }
    if as_ not in outcomes:
        raise Refused(f"--as {as_!r}: there are sent, resend and drop")
    site = open_app()
    with site.db.writing() as tx:
        done = deliveries.resolve(tx, ids, outcomes[as_], site.clock())
    return _tell(f"resolved as {as_}", done, ids, "is not in state unknown")


def _tell(what: str, done: Any, ids: list[int], otherwise: str) -> int:
    say(f"{len(done)} {what}")
    left = [key for key in ids if key not in done]
    for key in left:
        note(f"delivery {key} {otherwise}")
    return 1 if left else 0
