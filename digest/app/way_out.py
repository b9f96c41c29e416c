"""The way out that the settings name: relays with their weights, a Maildir, or a plug-in's."""

from __future__ import annotations

import random

from digest.app.plugins import TRANSPORTS, plugins
from digest.config import Settings, SmtpSettings
from digest.deliver import Domains, Limit, Policy, RelayState, Route, Routes, domain_of
from digest.errors import ConfigError
from digest.transports import Transport, TransportSpec
from digest.transports.maildir import MaildirTransport
from digest.transports.smtp import Relay, SmtpTransport


def transports(settings: Settings) -> dict[str, tuple[Transport, int]]:
    """{name: (transport, weight)}."""
    if settings.delivery.transport:
        return {settings.delivery.transport: (_plugin(settings), 1)}
    if settings.smtp.maildir:
        return {"maildir": (MaildirTransport(settings.smtp.maildir), 1)}
    return {
        relay.name: (SmtpTransport(_relay(smtp, _password(settings, relay.name))), relay.weight)
        for relay, smtp in settings.smtp.effective_relays
    }


def routes(settings: Settings, transports: dict[str, tuple[Transport, int]]) -> Routes:
    """The same with what is known of relays and domains: nothing yet."""
    policy = Policy(ambiguous=settings.delivery.ambiguous)
    per_minute = {relay.name: smtp.per_minute for relay, smtp in settings.smtp.effective_relays}
    made = [
        Route(name, way, RelayState(way.lanes, random.random, policy, per_minute.get(name, 0)), n)
        for name, (way, n) in transports.items()
    ]
    lanes = max(route.state.most for route in made)
    if len(made) > 1:
        lanes = settings.smtp.lanes
    found = Routes(made, policy, lanes)
    found.domains = _domains(settings, found.lanes, policy)
    return found


def _domains(settings: Settings, lanes: int, policy: Policy) -> Domains:
    delivery = settings.delivery
    usual = Limit(delivery.domain_lanes, delivery.domain_per_minute)
    limits = {
        domain_of(f"@{one.name}"): Limit(one.lanes, one.per_minute) for one in delivery.domains
    }
    return Domains(lanes, random.random, policy, usual, limits)


def _relay(smtp: SmtpSettings, password: str) -> Relay:
    return Relay(
        host=smtp.host,
        port=smtp.port,
        security=smtp.effective_security,  # type: ignore[arg-type]
        username=smtp.username,
        password=password,
        lanes=smtp.lanes,
        per_connection=smtp.per_connection,
        pipelining=smtp.pipelining,
        ca_file=smtp.ca_file,
        hello=smtp.hello,
    )


def _password(settings: Settings, name: str) -> str:
    """The relay's own, else that of all."""
    found = settings.relay_passwords.get(name, settings.smtp_password)
    return found.get_secret_value() if found else ""


def _plugin(settings: Settings) -> Transport:
    """Raises ConfigError for one that is not installed, and for options that it cannot take."""
    name, secret = settings.delivery.transport, settings.transport_secret
    found = {key: point for key, point in plugins(TRANSPORTS).items() if key not in OURS}
    if name not in found:
        known = ", ".join(sorted(found)) or "none; see docs/plugins.md"
        fault = f"delivery.transport: no plug-in named {name!r} is installed; there are: {known}"
        raise ConfigError([fault], subject=name)
    spec = TransportSpec(
        name, settings.delivery.options, secret.get_secret_value() if secret else ""
    )
    try:
        made: Transport = found[name].load()(spec)
    except ConfigError:
        raise
    except Exception as error:  # somebody else's code, and the settings are what it was given
        said = str(error) or type(error).__name__
        raise ConfigError([f"delivery.options: transport {name}: {said}"], subject=name) from error
    return made


OURS = {"smtp", "maildir"}  # chosen by [smtp]
