"""An answer in XML that is no feed, as a small tree: entities are refused, namespaces left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from xml.parsers import expat

from digest.model import Verdict
from digest.sources.answers import Answer
from digest.sources.document import decoded
from digest.sources.entries import MAX_RAW, Unreadable

MAX_DEPTH = 200
MAX_NODES = 600_000
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]+")
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^>]{0,300}\?>")


@dataclass(slots=True)
class Node:
    """An element: its name without prefix, and its texts and elements in order."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    parts: list[Node | str] = field(default_factory=list)

    def each(self, name: str) -> Iterator[Node]:
        """The elements of that name directly under this one."""
        return (part for part in self.parts if isinstance(part, Node) and part.name == name)

    def at(self, path: str) -> Node | None:
        """The first element of a path such as `header/identifier`."""
        here: Node | None = self
        for name in path.split("/"):
            here = next(here.each(name), None) if here else None
        return here

    def text(self, path: str = "") -> str:
        """All text of that element, whatever is marked up in it; empty where there is none."""
        node = self.at(path) if path else self
        return "".join(_texts(node)) if node else ""

    def markup(self, path: str) -> str:
        """What stands in that element, with its markup (`CO<sub>2</sub>`)."""
        node = self.at(path)
        return "".join(_source(part) for part in node.parts) if node else ""

    def kept(self) -> bytes:
        """The element as XML that `opened` reads again, at most MAX_RAW bytes of it."""
        return _whole(self).encode("utf-8", "replace")[:MAX_RAW]


@dataclass(frozen=True, slots=True)
class Parsed:
    """The root, or why there is none."""

    root: Node | None = None
    verdict: Verdict = Verdict.OK
    message: str = ""


class _Refused(Exception):
    """What makes the whole document unreadable."""


def parsed(answer: Answer) -> Parsed:
    """The tree of `answer`. Takes CPU time, never raises, asks no network."""
    if not answer.ok:
        return Parsed(None, answer.verdict, answer.message)
    text, _ = decoded(answer.body, answer.headers.get("content-type", ""))
    text = _DECLARATION.sub("", _NOT_XML.sub("", text))
    if re.match(r"\s*<(?:!doctype html|html)\b", text, re.I):
        return Parsed(None, Verdict.PARSE_FAILED, "a web page instead of records")
    try:
        return Parsed(_tree(text))
    except (_Refused, expat.ExpatError) as error:
        return Parsed(None, Verdict.PARSE_FAILED, f"no XML that can be read ({error})")


def opened(kept: bytes) -> Node:
    """The element of which `Node.kept` kept the bytes. Raises Unreadable."""
    try:
        return _tree(kept.decode("utf-8", "replace"))
    except (_Refused, expat.ExpatError) as error:
        raise Unreadable(f"no XML that can be read ({error})") from None


def _tree(text: str) -> Node:
    top = Node("")
    open_: list[Node] = [top]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(open_) > MAX_DEPTH or count > MAX_NODES:
            raise _Refused("nested too deeply, or too many elements")
        node = Node(name.rpartition(":")[2], attributes)
        open_[-1].parts.append(node)
        open_.append(node)

    def text_of(data: str) -> None:
        open_[-1].parts.append(data)

    def refuse(*_: object) -> None:
        raise _Refused("it declares entities, which can blow up")

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_.pop()
    parser.CharacterDataHandler = text_of
    parser.EntityDeclHandler = refuse
    parser.Parse(text.encode(), True)
    return next(part for part in top.parts if isinstance(part, Node))


def _texts(node: Node) -> Iterator[str]:
    for part in node.parts:
        if isinstance(part, str):
            yield part
        else:
            yield from _texts(part)


def _source(part: Node | str) -> str:
    if isinstance(part, str):
        return escape(part, quote=False)
    return f"<{part.name}>{''.join(map(_source, part.parts))}</{part.name}>"


def _whole(part: Node | str) -> str:
    """With its attributes; the prefixes of their names, which nobody reads, are left out."""
    if isinstance(part, str):
        return escape(part, quote=False)
    plain = {name.rpartition(":")[2]: value for name, value in part.attributes.items()}
    said = (f' {name}="{escape(value)}"' for name, value in plain.items())
    return f"<{part.name}{''.join(said)}>{''.join(map(_whole, part.parts))}</{part.name}>"
