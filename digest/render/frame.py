"""What a template writes around a letter's papers, cut at what is its reader's own.

To render a template for each letter takes longer than all else about it. So the template is read as
a tree, and each `{{ expression }}` in it that needs what is the reader's own (OWN) is taken out: a
slot stands in its place. What is left is rendered once for every set of values that it still
depends on, and kept; the expressions are worked out for each letter.

This knows no template. An own name that one uses in any other way (in a loop, a macro, `{% set %}`)
stays in it, and what is kept is kept for that very value: a site's own template may cost more, and
is never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, meta, nodes
from markupsafe import escape

from digest.render.mime import qp_lines
from digest.render.paper import SLOT
from digest.render.pieces import Fillings, Piece, piece

OWN = frozenset(
    (
        *("subject", "preheader", "near", "email", "subscribed"),
        *("preferences", "pause", "unsubscribe", "online"),
    )
)
"""Names of the letter's context whose values differ from reader to reader."""
SECTION_NAME, SECTION = "name", frozenset(("name", "papers"))
KEPT = 256  # frames of one template, about 10 kB each
LINES = 2048
FIRST_CUT, FIRST_SECTION = 0xF000, 0xF400  # a slot's name is one character: see paper_slot
_SPECIAL = frozenset(("loop", "self", "super", "caller", "varargs", "kwargs"))

Context = Mapping[str, Any]
Say = Callable[[Context], str]


class Section(NamedTuple):
    """What a template sees of a section: its name, and a slot for each of its papers."""

    name: str
    papers: tuple[str, ...]


class _Kept(NamedTuple):
    """A frame, and what is its reader's own in it: names of the context, sections' names, and what
    is worked out, by their slots."""

    piece: Piece
    names: dict[str, str]
    sections: dict[str, int]
    said: dict[str, Say]


class Frame:
    """One template, of our own or of the site's. Raises TemplateError where it, or one that it
    builds on, cannot be read."""

    def __init__(self, environment: Environment, name: str) -> None:
        self._html = name.endswith(".html")
        self._cuts = Cuts(environment, name)
        self._render = self._cuts.template.render
        self._kept = lru_cache(maxsize=KEPT)(self._rendered)

    def of(self, context: Context) -> tuple[Piece, Fillings]:
        """The template with these values, a slot for each paper in it; and what fills its other
        slots, which are the reader's own."""
        found, names, sections, said = self._kept_for(context)
        plain = [context[name] for name in names.values()]
        plain += [context["sections"][index].name for index in sections.values()]
        if self._html and plain:
            plain = str(escape("\x02".join(plain))).split("\x02")
        texts = qp_lines(plain + [say(context) for say in said.values()])
        return found, dict(zip((*names, *sections, *said), texts, strict=True))

    def _kept_for(self, context: Context) -> _Kept:
        cuts = self._cuts
        names = context if cuts.by_value is None else cuts.by_value
        told = tuple([(n, context[n]) for n in names if n in context and n != "sections"])
        asked = tuple([name for name in cuts.by_truth if context.get(name)])
        sections: tuple[Section, ...] = context["sections"]
        if cuts.names_sections:
            sections = tuple([Section(_section(i), s.papers) for i, s in enumerate(sections)])
        return self._kept(told, asked, sections)

    def _rendered(
        self, told: tuple[tuple[str, Any], ...], asked: tuple[str, ...], sections: tuple[Any, ...]
    ) -> _Kept:
        cuts = self._cuts
        tests = dict.fromkeys(cuts.by_truth, False) | dict.fromkeys(asked, True)
        found = piece(self._render({**tests, **dict(told), "sections": sections}))
        slots = [slot for slot in dict.fromkeys(found.slots) if slot >= chr(FIRST_CUT)]
        return _Kept(
            found,
            {slot: cuts.names[slot] for slot in slots if slot in cuts.names},
            {slot: ord(slot) - FIRST_SECTION for slot in slots if slot >= chr(FIRST_SECTION)},
            {slot: cuts.said[slot] for slot in slots if slot in cuts.said},
        )


def _section(index: int) -> str:
    return SLOT + chr(FIRST_SECTION + index)


class Cuts(BaseLoader):
    """A template and those it builds on, cut. Into a slot belongs a name of the context, as it is,
    or what is `said` of it."""

    def __init__(self, environment: Environment, name: str) -> None:
        self._whole, self._html = environment, name.endswith(".html")
        self._trees = dict(_trees(environment, name))
        self._local = frozenset().union(*map(_stored, self._trees.values())) | _SPECIAL
        self.names: dict[str, str] = {}
        self.said: dict[str, Say] = {}
        for each, tree in self._trees.items():
            self._cut(each, tree)
        self._look(list(self._trees.values()))
        self.template = environment.overlay(loader=self).get_template(name)

    def _look(self, trees: list[nodes.Template]) -> None:
        """What the trees still depend on. `by_value` None: on anything, since one of them builds
        on a template that is not known before."""
        used = [node for tree in trees for node in tree.find_all(nodes.Name)]
        tests = {id(node) for tree in trees for node in _tests(tree)}
        read = {node.name for node in used if id(node) not in tests}
        known = _known(trees)
        self.by_value = tuple(sorted(read)) if known else None
        self.by_truth = tuple(sorted(({node.name for node in used} - read) & OWN))
        self.names_sections = known and _names_sections(trees)

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,
    ) -> Template:
        """For Jinja: the cut tree, where the name was known before."""
        if (tree := self._trees.get(name)) is None:
            return self._whole.get_template(name)
        code = environment.compile(tree, name, self._file(name))
        return Template.from_code(environment, code, globals or {})

    def _file(self, name: str) -> str | None:
        assert self._whole.loader is not None
        return self._whole.loader.get_source(self._whole, name)[1]

    def _cut(self, name: str, tree: nodes.Template) -> None:
        if any(tree.find_all((nodes.EvalContextModifier, nodes.ScopedEvalContextModifier))):
            return  # it turns escaping on and off by itself
        for output in tree.find_all(nodes.Output):
            output.nodes = [self._taken_out(name, child) for child in output.nodes]

    def _taken_out(self, name: str, child: nodes.Expr) -> nodes.Expr:
        names = {node.name for node in _within(child, nodes.Name)}
        if not names & OWN or names & self._local:
            return child
        slot = chr(FIRST_CUT + len(self.names) + len(self.said))
        if isinstance(child, nodes.Name) and name.endswith(".html") is self._html:
            self.names[slot] = child.name
        else:
            self.said[slot] = self._say(name, child, tuple(sorted(names)))
        data = nodes.TemplateData(SLOT + slot, lineno=child.lineno)
        data.set_environment(self._whole)
        return data

    def _say(self, name: str, expression: nodes.Expr, names: tuple[str, ...]) -> Say:
        """Works one expression out, as the template at this place would; what came of the same
        values before is known."""
        alone = nodes.Template([nodes.Output([expression], lineno=expression.lineno)], lineno=1)
        alone.set_environment(self._whole)
        code = self._whole.compile(alone, name, self._file(name))
        render = Template.from_code(self._whole, code, self._whole.make_globals(None)).render
        return _remembering(render, names, KEPT)


def line(environment: Environment, name: str) -> Say:
    """A template of few words, such as a subject. Most readers' letters have the same, so what came
    of the same values before is known, where it is known which these are."""
    render, trees = environment.get_template(name).render, dict(_trees(environment, name))
    if not _known(trees.values()):
        return render
    names = frozenset().union(*map(meta.find_undeclared_variables, trees.values()))
    return _remembering(render, tuple(sorted(names - environment.globals.keys())), LINES)


def _remembering(render: Say, names: tuple[str, ...], most: int) -> Say:
    @lru_cache(maxsize=most)
    def said(*values: tuple[str, Any]) -> str:
        return render(dict(values))

    return lambda context: said(*[(n, context[n]) for n in names if n in context])


# ------------------------------------------------------------------ reading trees


def _trees(environment: Environment, name: str) -> Iterator[tuple[str, nodes.Template]]:
    """A template and all that it builds on, as far as their names are known."""
    assert environment.loader is not None
    todo, seen = [name], {name}
    while todo:
        each = todo.pop()
        try:
            source, file, _ = environment.loader.get_source(environment, each)
        except TemplateNotFound:
            if each == name:
                raise
            continue  # `include ... ignore missing`; else rendering says so
        tree = environment.parse(source, each, file)
        yield each, tree
        found = {other for other in meta.find_referenced_templates(tree) if other} - seen
        todo += sorted(found)
        seen |= found


def _known(trees: Iterable[nodes.Template]) -> bool:
    """True where the names of all that these build on stand in them."""
    return all(other for tree in trees for other in meta.find_referenced_templates(tree))


def _within(node: nodes.Node, kind: type[Any]) -> Iterator[Any]:
    """All nodes of a kind, the node itself among them."""
    if isinstance(node, kind):
        yield node
    yield from node.find_all(kind)


def _stored(tree: nodes.Template) -> frozenset[str]:
    """Names that the template itself gives: loops, macros and their arguments, imports, `set`."""
    given = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    given |= {node.name for node in tree.find_all(nodes.Macro)}
    given |= {node.target for node in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.FromImport):
        given |= {name if isinstance(name, str) else name[1] for name in node.names}
    return frozenset(given)


def _tests(tree: nodes.Template) -> Iterator[nodes.Name]:
    """Names of which nothing but the truth is asked: `{% if near %}`, `{% if not near %}`."""
    for node in _within(tree, nodes.If):
        yield from _asked(node.test)


def _asked(test: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(test, nodes.Name):
        yield test
    elif isinstance(test, nodes.Not | nodes.And | nodes.Or):
        for part in test.iter_child_nodes():
            yield from _asked(part)


def _names_sections(trees: list[nodes.Template]) -> bool:
    """True where sections are only gone through, and their names only put out as they are: then a
    slot may stand for a name."""
    loops = [loop for tree in trees for loop in tree.find_all(nodes.For) if _over_sections(loop)]
    used = [node for tree in trees for node in tree.find_all(nodes.Name) if node.ctx == "load"]
    if len(loops) != sum(node.name == "sections" for node in used):
        return False
    targets = {loop.target.name for loop in loops if isinstance(loop.target, nodes.Name)}
    reads = [a for t in trees for a in t.find_all(nodes.Getattr) if _is_of(a, targets)]
    put_out = {id(n) for t in trees for out in t.find_all(nodes.Output) for n in out.nodes}
    return (
        len(reads) == sum(node.name in targets for node in used)
        and all(isinstance(loop.target, nodes.Name) and not loop.test for loop in loops)
        and all(a.attr in SECTION and (a.attr != SECTION_NAME or id(a) in put_out) for a in reads)
    )


def _over_sections(loop: nodes.For) -> bool:
    return isinstance(loop.iter, nodes.Name) and loop.iter.name == "sections"


def _is_of(node: nodes.Getattr, targets: set[str]) -> bool:
    return isinstance(node.node, nodes.Name) and node.node.name in targets
