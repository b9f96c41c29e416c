"""How a letter looks, as far as its bytes tell: contrast, sizes, and CSS that mail knows."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest
from letters import (
    HTML,
    PAPERS,
    READER,
    a_renderer,
    all_of,
    arxiv_papers,
    body,
    confirmation_letter,
    edition_of,
    pins,
    sample,
    tree,
)

Colour = tuple[float, float, float]
SMALLEST = 14  # px
CONTRAST = 4.5  # WCAG 2.2, 1.4.3
# What the large mail programs either show or leave out without harm (caniemail.com).
KNOWN = {
    *("background", "border-color", "border-left", "border-radius", "border-top", "color"),
    *("display", "font", "font-size", "letter-spacing", "line-height", "margin", "max-width"),
    *("padding", "padding-bottom", "padding-left", "padding-right", "padding-top"),
    *("table-layout", "text-align", "text-decoration", "text-transform", "white-space"),
    "word-break",
}


def _letters() -> dict[str, str]:
    renderer = a_renderer()
    many = arxiv_papers(120)
    return {
        "digest": renderer.digest_parts(sample.sample_edition(), READER, PAPERS).html,
        "quiet": renderer.digest_parts(sample.sample_edition(()), READER, {}).html,
        "fat": renderer.digest_parts(edition_of(many), READER, pins(many)).html,
        "confirmation": body(confirmation_letter(renderer), "html"),
        "page": renderer.page(sample.sample_edition(), "UTC", PAPERS),
    }


LETTERS = _letters()


@pytest.fixture(params=LETTERS)
def html(request: pytest.FixtureRequest) -> str:
    return LETTERS[request.param]


# ------------------------------------------------------------------ a very small cascade


@dataclass(frozen=True)
class Style:
    colour: str = "#000000"
    ground: str = "#ffffff"
    size: int = 16


def declarations(css: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in css.split(";") if line.strip())
    return {name.strip(): value.strip().removesuffix("!important") for name, _, value in pairs}


def dark_rules(html: str) -> dict[str, dict[str, str]]:
    """{class: declarations} of the dark scheme."""
    found = re.search(r"prefers-color-scheme:dark\)\{((?:[^{}]*\{[^{}]*\})*)\}", html)
    assert found
    return {name: declarations(css) for name, css in re.findall(r"\.(\w+)\{([^}]*)\}", found[1])}


def styled(element: Element, above: Style, rules: dict[str, dict[str, str]]) -> Style:
    said = declarations(element.attrib.get("style", ""))
    for name in element.attrib.get("class", "").split():
        said |= rules.get(name, {})
    size = re.search(r"(\d+)px", said.get("font-size", said.get("font", "")))
    return Style(
        said.get("color", above.colour),
        said.get("background", above.ground),
        int(size[1]) if size else above.size,
    )


def texts(
    element: Element, above: Style, rules: dict[str, dict[str, str]]
) -> Iterator[tuple[str, Style]]:
    """Every visible text with the style that it has."""
    if not isinstance(element.tag, str):  # a comment
        return
    here = styled(element, above, rules)
    yield element.text or "", here
    for child in element:
        yield from texts(child, here, rules)
        yield child.tail or "", here


def visible(html: str, rules: dict[str, dict[str, str]]) -> list[tuple[str, Style]]:
    page = tree(html).find(HTML + "body")
    assert page is not None
    return [(text.strip(), style) for text, style in texts(page, Style(), rules) if text.strip()]


def rgb(colour: str) -> Colour:
    assert re.fullmatch(r"#[0-9a-f]{6}", colour), colour
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def inverted(colour: str) -> Colour:
    """As mail programs do that make dark letters of their own: the lightness turned round."""
    hue, light, saturation = colorsys.rgb_to_hls(*rgb(colour))
    return colorsys.hls_to_rgb(hue, 1 - light, saturation)


def negative(colour: str) -> Colour:
    red, green, blue = rgb(colour)
    return 1 - red, 1 - green, 1 - blue


def luminance(colour: Colour) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: Colour, other: Colour) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


# ------------------------------------------------------------------ tests


@pytest.mark.parametrize("read", [rgb, inverted, negative])
@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_its_ground(
    html: str, dark: bool, read: Callable[[str], Colour]
) -> None:
    rules = dark_rules(html) if dark else {}
    pairs = {(style.colour, style.ground) for _, style in visible(html, rules)}
    weak = {p: contrast(read(p[0]), read(p[1])) for p in pairs}
    assert {pair: found for pair, found in weak.items() if found < CONTRAST} == {}


def test_the_dark_scheme_reaches_every_text(html: str) -> None:
    dark = {style.colour for _, style in visible(html, dark_rules(html))}
    light = {style.colour for _, style in visible(html, {})}
    assert set() == dark & light


def test_no_text_is_small(html: str) -> None:
    assert [text for text, style in visible(html, {}) if style.size < SMALLEST] == []


def test_only_css_that_mail_programs_know(html: str) -> None:
    inline = [e.attrib["style"] for e in tree(html).iter() if "style" in e.attrib]
    sheet = re.findall(r"\{([^{}]*)\}", "".join(e.text or "" for e in all_of(html, "style")))
    used = {name for css in inline + sheet for name in declarations(css)}
    assert set() == used - KNOWN


def test_the_sheet_is_small_enough_to_be_kept(html: str) -> None:
    assert len("".join(e.text or "" for e in all_of(html, "style"))) < 16_000


def test_a_weak_colour_would_be_found(html: str) -> None:
    faded = html.replace("color:#5b6169", "color:#a0a0a0")
    pairs = [(style.colour, style.ground) for _, style in visible(faded, {})]
    assert min(contrast(rgb(a), rgb(b)) for a, b in pairs) < CONTRAST
