"""What comes back for letters that a relay had taken: bounces, complaints, goodbyes by mail.

Reading is pure (`read`), so is judging (`policy`). `Desk.take` records a report under its own hash
and does what follows in the same transaction; the doors (a Maildir, IMAP, LMTP, a pipe, webhooks)
bring reports to it and remove them only after it has returned.
"""

from digest.bounces import doors
from digest.bounces.hooks import Hooks
from digest.bounces.imap import Mailbox, MailboxError
from digest.bounces.imap import process as take_imap
from digest.bounces.maildir import process as take_maildir
from digest.bounces.policy import Weight
from digest.bounces.record import Desk, Effect, Taken
from digest.bounces.report import Kind
from digest.bounces.watch import OnFault, OnTaken, Watch

__all__ = [
    "Desk",
    "Effect",
    "Hooks",
    "Kind",
    "Mailbox",
    "MailboxError",
    "OnFault",
    "OnTaken",
    "Taken",
    "Watch",
    "Weight",
    "doors",
    "take_imap",
    "take_maildir",
]
