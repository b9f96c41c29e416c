"""Templates cut at what is their reader's own: whatever a site writes, each letter comes out as if
its template had been rendered for it alone."""

from __future__ import annotations

import traceback
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, Template
from letters import PAPERS, READER, a_renderer, sample

from digest.model import Content, Edition, Subscriber
from digest.render.context import digest_context
from digest.render.frame import Frame, line
from digest.render.letter import our_templates
from digest.render.mime import unqp
from digest.render.pieces import paper_slot, piece

DIGEST = "email/digest/"

ODD = {  # email/digest/body.html of a site: what is hard to cut
    "ours": "",
    "bare": "{{ email }} {{ near }}",
    "filtered": "{{ email|upper }} {{ email[0] }} {{ near|length }}",
    "joined": "{{ ('To ' ~ email ~ ' and more words of that kind')|wrap('  ') }}",
    "tested": "{% if near %}near{% else %}far{% endif %} {{ 'web' if online else 'none' }}",
    "compared": "{% if email == 'jane@example.org' %}Jane!{% endif %}{% if not near %}-{% endif %}",
    "set": "{% set who = email %}{{ who }}",
    "shadowed": "{% for email in ['a', 'b'] %}{{ email }}{% endfor %}{{ email }}",
    "with a macro": "{% macro hi(near) %}[{{ near }}]{% endmacro %}{{ hi(email) }}{{ near }}",
    "called": "{% macro say() %}{{ caller('x') }}{% endmacro %}"
    "{% call(email) say() %}{{ email }}{% endcall %}",
    "by letters": "{% for letter in email %}{{ letter }}.{% endfor %}",
    "unescaped": "{% autoescape false %}{{ near }} {{ email }}{% endautoescape %}",
    "safe": "{{ email|safe }} {{ ('<b>' ~ near ~ '</b>')|safe }}",
    "with line ends": "{{ email ~ '\n' }}{{ near ~ '\n\n' }}end",
    "names in capitals": "{% for s in sections %}{{ s.name|upper }}{% endfor %}",
    "names tested": "{% for s in sections if s.name > 'B' %}{{ s.name }}{% endfor %}",
    "names by key": "{% for s in sections %}{{ s['name'] }}{% endfor %}",
    "names in a list": "{{ sections|map(attribute='name')|join(', ') }}",
    "names in a macro": "{% macro head(x) %}{{ x.name }}{% endmacro %}"
    "{% for s in sections %}{{ head(s) }}{% endfor %}",
    "names kept": "{% for s in sections %}{% set n = s.name %}{{ n }}{% endfor %}",
    "names and others'": "{% for s in sections %}{{ s.name }}, {{ email }}; {% endfor %}",
    "papers": "{% for s in sections %}{{ s.papers|length }}: "
    "{% for p in s.papers %}{{ p }}{% endfor %}{% endfor %}",
    "in a block": "{% extends 'email/letter.html' %}{% block letter %}{{ near }}{% endblock %}",
    "on top of ours": "{% extends 'email/digest/base.html' %}{% block foot %}{{ super() }}"
    "<p>{{ email }}</p>{% endblock %}",
    "by a name worked out": "{% set base = 'email/letter' %}{% extends base ~ '.html' %}"
    "{% block letter %}{{ email }} {{ near }}{% endblock %}",
    "with what is missing": "{% include 'email/none.html' ignore missing %}{{ email }}",
    "with a part": "{% include 'email/digest/part.html' %}",
    "with a part in a loop": "{% for near in ['a'] %}{% include 'email/digest/part.html' %}"
    "{% endfor %}",
    "noted": "{% for notice in notices %}{{ notice }} for {{ email }}{% endfor %}",
    "nothing": "",
}


def environment(folder: Path, text: str) -> Environment:
    """That of a site with this `email/digest/body.html`; "" is ours."""
    path = folder / "email" / "digest"
    path.mkdir(parents=True)
    (path / "part.html").write_text("<i>{{ near }} {{ email }}</i>")
    (path / "base.html").write_text((our_templates() / DIGEST / "body.html").read_text())
    if text:
        (path / "body.html").write_text(text)
    return a_renderer(folder)._environment


def contexts() -> list[dict[str, Any]]:
    """Readers and editions that differ in what templates may ask, no two of them alike."""
    edition, odd = sample.sample_edition(), "o'neil&co@example.org"
    renamed = tuple(replace(p, section=f"<{p.section}> & more") for p in edition.content.papers)
    fewer = Content(renamed[:4], 50, near=0, notices=("A <notice>", "and another"))
    pairs = [
        (edition, READER),
        (edition, replace(READER, key=13, email=odd)),
        (replace(edition, content=fewer), replace(READER, key=14, email="." * 60 + "@x.example")),
        (replace(edition, content=Content(considered=0), key=0), READER),
        (replace(edition, content=replace(fewer, near=7), next_due=None), READER),
        (replace(edition, key=78), replace(READER, email="x@example.org")),
    ]
    return [context(edition, reader) for edition, reader in pairs]


def context(edition: Edition, reader: Subscriber) -> dict[str, Any]:
    papers = [PAPERS[entry.id, 1] for entry in edition.content.papers]
    made = digest_context(edition, reader, papers, sample.LINKS)
    return {**made, "subject": f"{reader.email}: {made['lead']}"}


PAPER = {paper_slot(i)[1]: f"[{i}]=\r\n".encode() for i in range(20)}


def cut(frame: Frame, seen: dict[str, Any]) -> str:
    found, own = frame.of(seen)
    return unqp(found.filled({**PAPER, **own}))


def whole(template: Template, seen: dict[str, Any]) -> str:
    return unqp(piece(template.render(seen)).filled(PAPER))


@pytest.mark.parametrize("name", ODD)
def test_every_letter_comes_out_as_if_its_template_were_not_cut(name: str, tmp_path: Path) -> None:
    site = environment(tmp_path, ODD[name])
    frame = Frame(site, "email/digest/body.html")
    template = site.get_template("email/digest/body.html")
    for seen in contexts() * 2:
        assert whole(template, seen) == cut(frame, seen)


def test_the_text_comes_out_as_if_its_template_were_not_cut(tmp_path: Path) -> None:
    site = environment(tmp_path, "")
    frame, template = Frame(site, "email/digest/body.txt"), site.get_template(f"{DIGEST}body.txt")
    for seen in contexts() * 2:
        assert whole(template, seen) == cut(frame, seen)


@pytest.mark.parametrize("name", ["body.html", "body.txt"])
def test_readers_of_one_window_share_what_our_templates_write(tmp_path: Path, name: str) -> None:
    frame = Frame(environment(tmp_path, ""), DIGEST + name)
    edition = sample.sample_edition()
    for n in range(5):
        theirs = [replace(p, section=f"{p.section} {n}") for p in edition.content.papers]
        content = replace(edition.content, papers=tuple(theirs), near=n + 1)
        cut(frame, context(replace(edition, content=content), replace(READER, key=n + 1)))
    assert frame._kept.cache_info().misses == 1


def test_a_template_that_fails_for_one_reader_names_its_line(tmp_path: Path) -> None:
    frame = Frame(environment(tmp_path, "one\n{{ 1 // (near|length) }}\n"), f"{DIGEST}body.html")
    quiet = context(replace(sample.sample_edition(), content=Content(considered=0)), READER)
    assert cut(frame, contexts()[0])
    with pytest.raises(ZeroDivisionError) as found:
        cut(frame, quiet)
    where = traceback.extract_tb(found.value.__traceback__)[-1]
    assert (Path(where.filename).name, where.lineno) == ("body.html", 2)


SUBJECTS = {  # email/digest/part.html again, as a template of few words
    "values": "{{ lead }} for {{ email }}, {{ near }} {{ site.name }}",
    "a part": "{% include 'email/digest/part.html' %}{{ count }}",
    "a part by a name worked out": "{% include 'email/digest/' ~ 'part.html' %}",
    "of the sections": "{% for s in sections %}{{ s.name }} {% endfor %}{{ range(count)|sum }}",
}


@pytest.mark.parametrize("text", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_a_line_comes_out_as_if_nothing_were_remembered(text: str, tmp_path: Path) -> None:
    site = environment(tmp_path, text)
    name = "email/digest/body.html"
    said, template = line(site, name), site.get_template(name)
    for seen in contexts() * 2:
        assert template.render(seen) == said(seen)


def test_a_line_is_written_once_for_readers_of_the_same_best_paper(tmp_path: Path) -> None:
    site = environment(tmp_path, "{{ number() }}: {{ lead }}")
    site.globals["number"] = partial(next, count(1))
    said = line(site, "email/digest/body.html")
    alike = [context(sample.sample_edition(), replace(READER, key=n)) for n in (1, 2, 3)]
    assert [f"1: {alike[0]['lead']}"] * 3 == [said(seen) for seen in alike]
