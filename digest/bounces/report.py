"""What a report says, before anybody asked whether it is true."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a message to our bounce address is."""

    BOUNCE = "bounce"  # a letter could not be delivered
    DELAY = "delay"  # not yet; they go on trying
    COMPLAINT = "complaint"  # a reader called a letter spam
    UNSUBSCRIBE = "unsubscribe"  # a reader wants no letters any more
    REPLY = "reply"  # out of office, "please confirm that you are human": no report at all
    NOTICE = "notice"  # delivered, relayed, opened: nothing is wrong
    FORGED = "forged"  # it comes to an address that we never made
    UNRECOGNISED = "unrecognised"  # a person should look
    UNREADABLE = "unreadable"  # empty, or no message


@dataclass(frozen=True, slots=True)
class Failure:
    """What happened for one recipient. `status` as in RFC 3463, "" where none was given."""

    recipient: str = ""  # where it failed; after forwarding that may be another address
    original: str = ""  # where we sent it, if that is said
    action: str = "failed"  # RFC 3464 2.3.3
    status: str = ""
    text: str = ""  # what the last server said, bounded


@dataclass(frozen=True, slots=True)
class Report:
    """What one report says.

    `tokens`, `leaves`: what stands behind `b+` and `unsub+` in the addresses it came to;
    `traces`: tokens found within the letter it speaks of; `message_ids`: what that letter may have
    been called. `vouched`: whoever brought it is known, so that an address alone is believed.
    """

    kind: Kind
    failures: tuple[Failure, ...] = ()
    tokens: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    note: str = ""
    vouched: bool = False
