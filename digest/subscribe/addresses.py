"""Pure: an address as letters can go to it, and a clear no to what is none."""

from __future__ import annotations

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from digest.errors import Refused

SPECIAL_USE_DOMAIN_NAMES.clear()  # the library's own way to take them: people rehearse with them

LONGEST = 320  # RFC 5321 4.5.3.1: 64 octets, @, 255 octets
LOCAL_DOMAINS = {"localhost"}  # the only domain that needs no dot


def normalised(address: str) -> str:
    """`address` with its domain in lower case and, where it is international, as IDNA.

    The local part goes to its receiver as it was typed; that its case makes nobody another person
    is the store's affair (`store.mailbox`). Domains that exist only for
    rehearsals (example.org, localhost, .test) are taken; nothing is asked of the network. Raises
    Refused for all else: no address, several, a name beside it, controls, more than 320 characters.
    """
    address = address.strip(" \t")
    if len(address) > LONGEST:
        raise _refused(address, f"it has {len(address)} characters, {LONGEST} is the most")
    try:
        found = validate_email(
            address,
            check_deliverability=False,
            globally_deliverable=False,
            allow_quoted_local=True,
            strict=True,  # 64 octets of local part
        )
    except (EmailNotValidError, UnicodeError) as error:
        raise _refused(address, str(error).rstrip(".")) from None
    domain = found.ascii_domain.lower()
    if "." not in domain and domain not in LOCAL_DOMAINS:
        raise _refused(address, "its domain has no dot")
    return f"{found.local_part}@{domain}"


def _refused(address: str, why: str) -> Refused:
    shown = address if len(address) <= 60 else f"{address[:60]}…"
    return Refused(
        f"{shown!r} is no address: {why}; write one as in ada@example.org", subject=shown
    )
