"""What a provider posts, from its bytes to the record: checked, read, recorded, in this order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from digest.bounces import providers, signatures
from digest.bounces.providers import NotUnderstood, Posted
from digest.bounces.record import Desk
from digest.errors import DigestError, SourceError

MOST_CERTIFICATES = 8
LARGEST = 4 * 1024 * 1024  # bytes of a body: SendGrid posts events by the thousand
MOST_BEFORE_PROOF = 1024 * 1024  # where only the body shows who posts: one event each
SIGNATURE = "x-twilio-email-event-webhook-signature"
log = logging.getLogger("digest.bounces")
Headers = Mapping[str, str]
Fetch = Callable[[str], Awaitable[bytes]]
"""What stands at an address. Raises DigestError."""


class NotAllowed(Exception):
    """Whoever posts this has not shown who they are."""


class Closed(Exception):
    """There is no such webhook, or the site has set no key for it."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """The webhooks of a site. One without its key is closed."""

    desk: Desk
    fetch: Fetch
    ses_topic: str = ""  # whose messages are ours: anybody can have Amazon sign a message
    sendgrid_public_key: str = ""
    postmark_secret: str = field(default="", repr=False)
    mailgun_signing_key: str = field(default="", repr=False)
    certificates: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def open(self) -> list[str]:
        """The providers that may post here."""
        keys = {
            "ses": self.ses_topic,
            "postmark": self.postmark_secret,
            "mailgun": self.mailgun_signing_key,
            "sendgrid": self.sendgrid_public_key,
        }
        return [provider for provider, key in keys.items() if key]

    def knock(self, provider: str, headers: Headers, query: Mapping[str, str]) -> int:
        """How many bytes a body may have, from what comes before it: nobody has us read megabytes
        for a door that is closed. Raises Closed, NotAllowed."""
        if provider not in self.open:
            raise Closed(provider)
        if provider in {"ses", "mailgun"}:
            return MOST_BEFORE_PROOF
        if provider == "postmark":
            self._shown(headers, query)
        elif SIGNATURE not in headers:
            raise NotAllowed
        return LARGEST

    async def check(
        self, provider: str, headers: Headers, query: Mapping[str, str], body: bytes
    ) -> list[Posted]:
        """What a request reports. Raises Closed, NotAllowed, NotUnderstood, DigestError."""
        self.knock(provider, headers, query)
        match provider:
            case "ses":
                return await self._ses(body)
            case "mailgun":
                return self._mailgun(body)
            case "sendgrid":
                return self._sendgrid(headers, body)
        return providers.postmark(body)

    def check_keys(self) -> None:
        """Raises Refused for a key of ours, or a library, with which no event could be checked."""
        if self.sendgrid_public_key:
            signatures.sendgrid(b"", "", "", self.sendgrid_public_key)
        if self.ses_topic:
            signatures.is_in_force(b"", self.desk.clock())

    def record(self, provider: str, posted: list[Posted]) -> int:
        """Record what was checked; how many were new. Raises Broken, and what else went wrong with
        one of them when all others are recorded: the provider posts them again."""
        new, odd = 0, None
        for one in posted:
            try:
                new += bool(self.desk.take_report(one.report, one.hash, provider).parts)
            except DigestError:
                raise
            except Exception as error:
                odd = odd or error
        if odd is not None:
            raise odd
        return new

    # -------------------------------------------------------------- providers

    def _shown(self, headers: Headers, query: Mapping[str, str]) -> None:
        given = signatures.basic(headers.get("authorization", "")) or query.get("secret", "")
        if not signatures.same_secret(given, self.postmark_secret):
            raise NotAllowed

    def _mailgun(self, body: bytes) -> list[Posted]:
        signature, posted = providers.mailgun(body)
        if not signatures.mailgun(signature, self.mailgun_signing_key, self.desk.clock()):
            raise NotAllowed
        return posted

    def _sendgrid(self, headers: Headers, body: bytes) -> list[Posted]:
        signature = headers.get(SIGNATURE, "")
        stamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
        if not signatures.sendgrid(body, stamp, signature, self.sendgrid_public_key):
            raise NotAllowed
        return providers.sendgrid(body)

    async def _ses(self, body: bytes) -> list[Posted]:
        message = providers.parsed(body)
        if not isinstance(message, Mapping):
            raise NotUnderstood("no message")
        if message.get("TopicArn") not in self.ses_topic.split():
            raise NotAllowed
        certificate = await self._certificate(message)
        if not signatures.sns(message, certificate):
            raise NotAllowed
        match message.get("Type"):
            case "Notification":
                return providers.ses(message)
            case "SubscriptionConfirmation":
                return await self._subscribe(message)
        log.warning("%s posts here no more; subscribe it again", message.get("TopicArn"))
        return []

    async def _certificate(self, message: Mapping[str, Any]) -> bytes:
        """Amazon's certificate, asked for once, and again when it is over. Raises SourceError for
        what is none: Amazon throws away what is refused, and posts again what is put off."""
        if not (url := signatures.sns_certificate_url(message)):
            raise NotAllowed
        now = self.desk.clock()
        if not signatures.is_in_force(self.certificates.get(url, b""), now):
            found = await self.fetch(url)
            if not signatures.is_in_force(found, now):
                raise SourceError(f"{url}: no certificate that is in force")
            if len(self.certificates) >= MOST_CERTIFICATES:
                self.certificates.clear()
            self.certificates[url] = found
        return self.certificates[url]

    async def _subscribe(self, message: Mapping[str, Any]) -> list[Posted]:
        """Say yes to the topic that the site has named; Amazon asks once."""
        url = str(message.get("SubscribeURL", ""))
        if not signatures.from_sns(url):
            raise NotAllowed
        await self.fetch(url)
        log.info("subscribed to %s", message.get("TopicArn"))
        return []
