"""Which doors a site has open, by its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from digest.bounces import imap, maildir
from digest.bounces.hooks import Fetch, Hooks
from digest.bounces.imap import Mailbox
from digest.bounces.record import Desk
from digest.bounces.watch import ALONE, OnFault, OnTaken, Watch
from digest.config import Settings
from digest.errors import ConfigError


def has_mailboxes(settings: Settings) -> bool:
    """Whether there is a place from which reports are taken."""
    return bool(settings.bounces.maildir or settings.bounces.imap_host)


def take_all(
    desk: Desk, settings: Settings, taken: OnTaken, fault: OnFault, watch: Watch = ALONE
) -> None:
    """Take every report that waits where the settings say. A Maildir that cannot be read does not
    keep the mailbox waiting; what it raises is raised then."""
    try:
        if folder := settings.bounces.maildir:
            maildir.process(desk, Path(folder), taken, fault, watch)
    finally:
        if settings.bounces.imap_host:
            imap.process(desk, mailbox(settings), taken, fault, watch)


def waiting(settings: Settings) -> Iterator[Callable[[], str]]:
    """For each place that is set up: look into it, and say what waits there. Raises Refused,
    MailboxError, ConfigError. Nothing is taken or changed."""
    if folder := settings.bounces.maildir:
        yield lambda: f"{folder}: {maildir.waiting(Path(folder))} waiting"
    if settings.bounces.imap_host:
        yield lambda: _imap_waiting(mailbox(settings))


def _imap_waiting(box: Mailbox) -> str:
    return f"{box.label}: {imap.waiting(box)} waiting"


def mailbox(settings: Settings) -> Mailbox:
    """The mailbox that is set up. Raises ConfigError where there is none."""
    given, password = settings.bounces, settings.imap_password
    if not (given.imap_host and given.imap_username and password):
        mend = "set bounces.imap_host, imap_username and $DIGEST_IMAP_PASSWORD"
        raise ConfigError([f"no mailbox to read bounces from; {mend}"])
    return Mailbox(
        given.imap_host,
        given.imap_username,
        password.get_secret_value(),
        given.imap_security,
        given.imap_port,
        given.imap_folder,
    )


def hooks(settings: Settings, desk: Desk, fetch: Fetch) -> Hooks:
    """The webhooks; those without a key are closed."""
    postmark, mailgun = settings.postmark_secret, settings.mailgun_signing_key
    return Hooks(
        desk,
        fetch,
        ses_topic=settings.webhooks.ses_topic,
        sendgrid_public_key=settings.webhooks.sendgrid_public_key,
        postmark_secret=postmark.get_secret_value() if postmark else "",
        mailgun_signing_key=mailgun.get_secret_value() if mailgun else "",
    )
