"""The renderer: templates in, letters out. Equal input gives equal bytes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    select_autoescape,
)

from digest.errors import RenderError
from digest.links import Links, Purpose
from digest.model import (
    Delivery,
    Edition,
    EditionPaper,
    Letter,
    Notice,
    Paper,
    ReasonKind,
    Subscriber,
)
from digest.render import words
from digest.render.context import (
    confirmation_context,
    digest_context,
    notice_context,
    page_context,
)
from digest.render.frame import Frame, line
from digest.render.mime import (
    header,
    headers,
    mailbox,
    message,
    part,
    unqp,
    unstructured,
    wire_address,
)
from digest.render.paper import DEPTHS, named, view
from digest.render.pieces import Both, Papers, Piece, Shelf, Similar, around_why, piece

LONGEST_SUBJECT = 90
BODIES = ("subject.txt", "body.txt", "body.html")

Pinned = Mapping[tuple[str, int], Paper]
Render = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Site:
    """Who writes. `url` is where the site is; `mail_from` may hold a name and an address."""

    name: str
    url: str
    postal_address: str
    operator: str
    mail_from: str
    reply_to: str
    bounce_domain: str


class Parts(NamedTuple):
    """A letter to look at."""

    subject: str
    text: str
    html: str


class _Written(NamedTuple):
    subject: str
    text: bytes  # quoted-printable
    html: bytes
    leave: str = ""  # where its reader unsubscribes


def our_templates() -> Path:
    """The templates that came with the package, or those of the checkout."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "_templates"
    return packaged if packaged.is_dir() else package.parent / "templates"


class Renderer:
    """Writes letters for one site. `templates`: the site's own, looked for before ours.

    Raises RenderError at once for a template that is missing or cannot be read, and for an address
    of the site that is none.
    """

    def __init__(self, site: Site, links: Links, templates: Path | None = None) -> None:
        self.site, self._links = site, links
        self._environment = _environment(site, templates)
        with _readable("digest"):
            self._line = line(self._environment, "email/digest/subject.txt")
        self._text, self._html = self._frame("body.txt"), self._frame("body.html")
        self._paper = self._templates("digest", "paper.txt", "paper.html")
        self._page = self._templates("digest", "page.html")
        self._confirmation = self._templates("confirmation", *BODIES)
        self._notice = self._templates("notice", *BODIES)
        self._shelf = Shelf(self._both)
        try:
            self._fixed, self._fixed_list = _fixed_headers(site), _fixed_list_headers(site)
        except ValueError as error:
            raise RenderError(f"mail settings: {error}", subject="mail") from error

    def _templates(self, folder: str, *names: str) -> tuple[Render, ...]:
        with _readable(folder):
            found = [self._environment.get_template(f"email/{folder}/{name}") for name in names]
        return tuple(template.render for template in found)

    def _frame(self, name: str) -> Frame:
        with _readable("digest"):
            return Frame(self._environment, f"email/digest/{name}")

    # -------------------------------------------------------------- what it writes

    def digest(
        self, edition: Edition, delivery: Delivery, subscriber: Subscriber, papers: Pinned
    ) -> Letter:
        """The letter of one edition; `papers` are its texts by (id, revision).

        Raises RenderError that names the edition, whatever went wrong with it.
        """
        try:
            written = self._digest_written(edition, subscriber, papers)
            return self._letter(delivery, written, self._list_headers(subscriber, written.leave))
        except Exception as error:
            raise _named(f"edition {edition.key}", error) from error

    def digest_parts(self, edition: Edition, subscriber: Subscriber, papers: Pinned) -> Parts:
        """The same letter to look at: what is shown is what would be sent."""
        try:
            written = self._digest_written(edition, subscriber, papers)
        except Exception as error:
            raise _named(f"edition {edition.key}", error) from error
        return Parts(written.subject, unqp(written.text), unqp(written.html))

    def page(self, edition: Edition, zone: str, papers: Pinned) -> str:
        """The letter in HTML for anybody: readers pass its address on. It holds the same papers,
        sections and reasons, days as in `zone`, and nothing of its reader: no address, no token.

        A reason that names another paper is left out. That paper may be one they liked, which
        they told this site alone; interests and follows are what the letter is made of, and who
        passes it on sees them in it. Raises RenderError that names the edition.
        """
        try:
            return unqp(self._page_written(edition, zone, papers))
        except Exception as error:
            raise _named(f"edition {edition.key} as a page", error) from error

    def confirmation(self, delivery: Delivery, subscriber: Subscriber, summary: str = "") -> Letter:
        """The question whether an address really asked; `summary`: what was asked for, in words
        (`profile_words`). Raises RenderError that names the delivery."""
        try:
            context = confirmation_context(subscriber, summary, self._links)
            subject, text, html = self._frames(self._confirmation, context)
            return self._letter(delivery, _Written(subject, text.filled({}), html.filled({})), b"")
        except Exception as error:
            raise _named(f"confirmation {delivery.key}", error) from error

    def notice(self, delivery: Delivery, notice: Notice) -> Letter:
        """The word to the operator that a source turned bad, or is well again. Raises RenderError
        that names the delivery."""
        try:
            subject, text, html = self._frames(self._notice, notice_context(notice))
            return self._letter(delivery, _Written(subject, text.filled({}), html.filled({})), b"")
        except Exception as error:
            raise _named(f"notice {delivery.key}", error) from error

    # -------------------------------------------------------------- texts

    def _digest_written(self, edition: Edition, reader: Subscriber, papers: Pinned) -> _Written:
        pinned = [_pinned(papers, entry) for entry in edition.content.papers]
        context = digest_context(edition, reader, pinned, self._links)
        context["subject"] = self._subject(self._line, context)
        feedback = self._links.url(Purpose.FEEDBACK, reader.key, "?paper=")
        similar = [_similar(papers, entry) for entry in edition.content.papers]
        chosen = Papers(edition.content.papers, pinned, feedback, self._shelf, similar)
        html, told = chosen.html(*self._html.of(context))
        text = chosen.text(*self._text.of(context), told)
        return _Written(context["subject"], text, html, context["unsubscribe"])

    def _page_written(self, edition: Edition, zone: str, papers: Pinned) -> bytes:
        pinned = [_pinned(papers, entry) for entry in edition.content.papers]
        context = page_context(edition, zone, pinned, self._links)
        context["subject"] = self._subject(self._line, context)
        frame = piece(self._page[0](context))
        entries = [_without_examples(entry) for entry in edition.content.papers]
        similar = [_similar(papers, entry) for entry in entries]
        shown = Papers(entries, pinned, "", self._shelf, similar)
        return shown.html(frame, {})[0]

    def _frames(
        self, templates: tuple[Render, ...], context: dict[str, Any]
    ) -> tuple[str, Piece, Piece]:
        subject, text, html = templates
        context["subject"] = self._subject(subject, context)
        return context["subject"], piece(text(context)), piece(html(context))

    def _subject(self, template: Render, context: Mapping[str, Any]) -> str:
        return words.cut(words.plain(template(context)), LONGEST_SUBJECT) or self.site.name

    def _both(
        self, paper: Paper, depth: int, has_why: bool, shared: bool, similar: Similar
    ) -> Both:
        text, html = self._paper
        seen = {"paper": view(paper, DEPTHS[depth], has_why, shared, similar)}
        return Both(around_why(html(seen)), around_why(text(seen)))

    # -------------------------------------------------------------- bytes

    def _letter(self, delivery: Delivery, written: _Written, more: bytes) -> Letter:
        recipient, id_ = wire_address(delivery.recipient), delivery.message_id
        changing = headers(
            ("To", recipient),
            ("Subject", unstructured(written.subject)),
            ("Date", _date(delivery.created_at)),
            ("Message-ID", id_),
        )
        bodies = part("plain", written.text), part("html", written.html)
        raw = message(self._fixed + changing + more, id_, bodies)
        return Letter(recipient, self._mail_from(delivery), id_, written.subject, raw, stuffed=True)

    def _mail_from(self, delivery: Delivery) -> str:
        """VERP: a bounce names the delivery it belongs to, whoever writes it."""
        if not self.site.bounce_domain:
            return _bare(self.site.mail_from)
        token = self._links.token(Purpose.BOUNCE, delivery.key)
        return f"{Purpose.BOUNCE}+{token}@{self.site.bounce_domain}"

    def _list_headers(self, reader: Subscriber, leave: str) -> bytes:
        """How to leave in one click (RFC 8058): the web address first, on one line."""
        ways = f"<{leave}>"
        if domain := self.site.bounce_domain:
            token = self._links.token(Purpose.LEAVE_BY_MAIL, reader.key)
            ways += f", <mailto:{Purpose.LEAVE_BY_MAIL}+{token}@{domain}?subject=unsubscribe>"
        return header("List-Unsubscribe", ways) + self._fixed_list


@contextmanager
def _readable(folder: str) -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        place = _place(error) or f"email/{folder}"
        raise RenderError(f"template {place}: {error}", subject=folder) from error


def _environment(site: Site, templates: Path | None) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder for folder in (templates, our_templates()) if folder]),
        autoescape=select_autoescape(("html",), default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters["wrap"] = words.wrap
    environment.globals["site"] = site
    return environment


def _bare(value: str) -> str:
    return wire_address(parseaddr(value)[1])


@lru_cache(maxsize=256)
def _date(at: datetime) -> str:
    """Many editions are made at one moment."""
    return format_datetime(at.astimezone(UTC))


def _fixed_headers(site: Site) -> bytes:
    reply_to = [("Reply-To", mailbox(site.reply_to))] if site.reply_to else []
    return headers(
        ("From", mailbox(site.mail_from)),
        *reply_to,
        ("MIME-Version", "1.0"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply, RN, NRN"),
    )


def _fixed_list_headers(site: Site) -> bytes:
    host = urlsplit(site.url).hostname or "localhost"
    return headers(
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", f"<digest.{host}>"),
        ("List-Help", f"<{site.url.rstrip('/')}/>"),
        ("List-Owner", f"<mailto:{_bare(site.operator or site.reply_to or site.mail_from)}>"),
        ("List-Post", "NO"),
        ("Precedence", "bulk"),
        ("Feedback-ID", f"digest:{host}:edition:paperdigest"),
    )


def _pinned(papers: Pinned, entry: EditionPaper) -> Paper:
    if (paper := papers.get((entry.id, entry.revision))) is None:
        raise LookupError(f"revision {entry.revision} of paper {entry.id} is not in the store")
    return paper


def _similar(papers: Pinned, entry: EditionPaper) -> Similar:
    """What is named below a paper; a text that is gone costs its own line and no more."""
    if not entry.similar:
        return ()
    return tuple(named(papers[pin]) for pin in entry.similar if pin in papers)


_OF_EXAMPLES = {ReasonKind.SEED, ReasonKind.SHARED, ReasonKind.READERS, ReasonKind.MEANING}


def _without_examples(entry: EditionPaper) -> EditionPaper:
    """Without the reasons that tell of papers which its reader likes."""
    told = tuple(reason for reason in entry.reasons if reason.kind not in _OF_EXAMPLES)
    return replace(entry, reasons=told)


# ------------------------------------------------------------------ what went wrong


def _named(letter: str, error: Exception) -> RenderError:
    said = f"{type(error).__name__}: {error}" if not isinstance(error, LookupError) else str(error)
    at = f" (template {place})" if (place := _place(error)) else ""
    return RenderError(f"{letter} cannot be rendered{at}: {said}", subject=letter)


def _place(error: Exception) -> str:
    """`email/digest/body.html line 12` where a template is to blame, else ""."""
    if isinstance(error, TemplateSyntaxError):
        return f"{_short(error.filename or error.name or '?')} line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.endswith((".html", ".txt"))]
    return f"{_short(ours[-1].filename)} line {ours[-1].lineno}" if ours else ""


def _short(path: str) -> str:
    return "/".join(Path(path).parts[-3:])
