"""VERB 2: people come, confirm, change their minds, pause, leave, and are forgotten.

Every act is one short transaction, leaves a line in the person's consent record, may be done twice
without harm, and answers with the person as they are afterwards. What cannot be done is `Refused`
with the reason. An address that takes no mail (suppressed) can ask and be confirmed, but only an
operator lets it take mail again: its letters end in the state `suppressed`, where they are listed.
"""

from digest.subscribe.addresses import normalised
from digest.subscribe.export import export
from digest.subscribe.importing import BadRow, Imported, import_people
from digest.subscribe.life import (
    AGAIN_AFTER,
    MOST_IN_A_DAY,
    Answer,
    Asked,
    Document,
    Post,
    add_confirmed,
    amend,
    change,
    confirm,
    end,
    erase,
    find,
    pause,
    request,
    resume,
    said,
)

__all__ = [
    "AGAIN_AFTER",
    "MOST_IN_A_DAY",
    "Answer",
    "Asked",
    "BadRow",
    "Document",
    "Imported",
    "Post",
    "add_confirmed",
    "amend",
    "change",
    "confirm",
    "end",
    "erase",
    "export",
    "find",
    "import_people",
    "normalised",
    "pause",
    "request",
    "resume",
    "said",
]
