"""Letters: what is in them, and what happens where one cannot be rendered."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from letters import (
    DELIVERY,
    HTML,
    PAPERS,
    READER,
    a_renderer,
    all_of,
    body,
    confirmation_letter,
    digest_letter,
    edition_of,
    links_of,
    parsed,
    pins,
    quiet_letter,
    sample,
    text_of,
    tree,
)

from digest.errors import RenderError
from digest.links import Purpose
from digest.model import Reason, ReasonKind
from digest.render import Parts, Renderer
from digest.render.paper import safe_url

GOLDEN = Path(__file__).resolve().parent / "golden"
LETTERS = {"digest": digest_letter, "quiet": quiet_letter, "confirmation": confirmation_letter}


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return a_renderer()


# ------------------------------------------------------------------ golden letters


@pytest.mark.parametrize("name", ["digest", "quiet", "confirmation"])
def test_the_letter_is_the_golden_one(renderer: Renderer, name: str) -> None:
    """`GOLDEN=write pytest tests/test_render.py` writes them anew: look before you commit."""
    letter = LETTERS[name](renderer)
    found = {
        f"{name}.eml": letter.raw,
        f"{name}.txt": body(letter, "plain").encode(),
        f"{name}.html": body(letter, "html").encode(),
    }
    for file, data in found.items():
        if os.environ.get("GOLDEN") == "write":
            (GOLDEN / file).write_bytes(data)
        kept = (GOLDEN / file).read_bytes()
        both = (kept.decode().splitlines(), data.decode().splitlines())
        assert kept == data, "\n".join(difflib.unified_diff(*both, lineterm="", n=0))


def test_the_same_edition_gives_the_same_bytes() -> None:
    renderers = [Renderer(sample.SITE, sample.LINKS) for _ in range(2)]
    letters = [digest_letter(renderer) for renderer in (*renderers, renderers[0])]
    assert len({hashlib.sha256(letter.raw).hexdigest() for letter in letters}) == 1


def test_votes_that_grow_between_two_attempts_change_no_byte(renderer: Renderer) -> None:
    later = {pin: replace(paper, signals={"upvotes": 999.0}) for pin, paper in PAPERS.items()}
    again = renderer.digest(sample.sample_edition(), DELIVERY, READER, later)
    assert digest_letter(renderer).raw == again.raw


def test_what_is_shown_is_what_is_sent(renderer: Renderer) -> None:
    shown = renderer.digest_parts(sample.sample_edition(), READER, PAPERS)
    letter = digest_letter(renderer)
    assert Parts(letter.subject, body(letter, "plain"), body(letter, "html")) == shown


def test_another_text_under_the_same_revision_is_not_taken_from_the_shelf(
    renderer: Renderer,
) -> None:
    changed = {pin: replace(paper, title="Quite another") for pin, paper in PAPERS.items()}
    renderer.digest_parts(sample.sample_edition(), READER, PAPERS)
    shown = renderer.digest_parts(sample.sample_edition(), READER, changed)
    assert {"Quite another"} == {text_of(h2) for h2 in all_of(shown.html, "h2")}


# ------------------------------------------------------------------ what is in a letter


@pytest.fixture(scope="module")
def shown(renderer: Renderer) -> Parts:
    return renderer.digest_parts(sample.sample_edition(), READER, PAPERS)


def test_the_page_says_what_it_is(shown: Parts) -> None:
    page = tree(shown.html)
    titles = [text_of(title) for title in page.iter(HTML + "title")]
    metas = [m.attrib for m in page.iter(HTML + "meta")]
    assert shown.html.startswith("<!doctype html>")
    assert page.attrib == {"lang": "en", "dir": "ltr"}
    assert [shown.subject] == titles
    assert {"charset": "utf-8"} in metas
    assert any(m.get("name") == "viewport" for m in metas)


def test_tables_are_for_layout_only(shown: Parts) -> None:
    assert {"presentation"} == {t.attrib.get("role") for t in all_of(shown.html, "table")}


def test_there_is_one_h1_and_an_h2_with_its_link_for_each_paper(shown: Parts) -> None:
    assert [text_of(h1) for h1 in all_of(shown.html, "h1")] == ["Your week in papers"]
    headings = all_of(shown.html, "h2")
    told = list(PAPERS.values())[: len(sample.TOLD)]
    assert [p.title for p in told] == [text_of(h2) for h2 in headings]
    assert all(h2.find(HTML + "a") is not None for h2 in headings)


def test_a_paper_that_says_nearly_the_same_is_a_small_line_with_a_link(shown: Parts) -> None:
    [line] = [p for p in all_of(shown.html, "p") if text_of(p).startswith("+1 similar: ")]
    title = "One-Pot Retrosynthesis with Graph Neural Networks, Part II: Solvents"
    assert [(title, "https://arxiv.org/abs/2509.05999")] == [
        (text_of(a), a.attrib["href"]) for a in line.iter(HTML + "a")
    ]
    assert f"+1 similar:\n  {title}\n  https://arxiv.org/abs/2509.05999\n" in shown.text


def test_a_similar_paper_whose_text_is_gone_costs_its_line_alone(renderer: Renderer) -> None:
    there = {pin: paper for pin, paper in PAPERS.items() if pin[0] != "arxiv:2509.05999"}
    shown = renderer.digest_parts(sample.sample_edition(), READER, there)
    assert "similar:" not in shown.html
    assert "Retrosynthesis by Asking Backwards" in shown.html


def test_a_link_says_where_it_goes(shown: Parts) -> None:
    found = {text_of(a): a.attrib["href"] for a in all_of(shown.html, "a")}
    assert found["Read at arxiv.org"] == "https://arxiv.org/abs/2509.06121"
    assert found["PDF"] == "https://arxiv.org/pdf/2509.06121"
    assert found["Code"] == "https://code.example.org/day-after-tomorrow"
    assert (
        found["Read at journal.example.org"] == "https://journal.example.org/articles/pd-2025-0917"
    )


def test_text_and_html_hold_the_same_papers_and_links(shown: Parts) -> None:
    flat = " ".join(shown.text.split())
    in_text = set(re.findall(r"https?://\S+", shown.text))
    assert all(text_of(h2) in flat for h2 in all_of(shown.html, "h2"))
    assert set(links_of(shown.html)) == in_text


def test_the_text_is_wrapped_except_for_addresses(shown: Parts) -> None:
    long = [line for line in shown.text.splitlines() if len(line) > 78 and "://" not in line]
    assert long == []


def test_feedback_links_carry_the_reader_and_the_paper(shown: Parts) -> None:
    link = next(a for a in all_of(shown.html, "a") if text_of(a) == "More like this")
    token = sample.LINKS.token(Purpose.FEEDBACK, READER.key)
    expected = f"https://digest.example.org/f/{token}?paper=arxiv%3A2509.04417&more"
    assert expected == link.attrib["href"]


def test_a_paper_without_any_link_leads_to_the_readers_own_page(shown: Parts) -> None:
    heading = all_of(shown.html, "h2")[-1].find(HTML + "a")
    assert heading is not None
    assert re.fullmatch(
        r"https://digest\.example\.org/f/12\.[\w-]+\?paper=sha%3A00c0ffee00c0ffee",
        heading.attrib["href"],
    )


def test_the_first_visible_line_says_what_is_in_the_letter(shown: Parts) -> None:
    first = text_of(all_of(shown.html, "p")[0])
    expected = "9 papers from 412 new ones since Monday 1 September, 1 by somebody you follow."
    assert expected == first
    assert shown.text.startswith(expected)


@pytest.mark.parametrize("which", ["text", "html"])
def test_the_footer_says_all_that_it_must(shown: Parts, which: str) -> None:
    page = shown.text if which == "text" else text_of(tree(shown.html))
    flat = " ".join(page.split())
    for said in (
        "You get it because jane@example.org subscribed to Paper Digest on 3 March 2025.",
        "from Monday 1 September 2025, 08:00 to Monday 8 September 2025, 08:00 (Europe/Berlin)",
        "The next one is due on Monday 15 September 2025, 08:00.",
        "5 papers were good enough; 31 more came close.",
        "bioRxiv answered only from Thursday on",
        *("Preferences", "Pause", "Unsubscribe", "n the web"),
        sample.SITE.postal_address,
    ):
        assert said in flat


def test_nothing_is_loaded_and_nothing_is_hidden(shown: Parts) -> None:
    for never in ("src=", "url(", "@import", "<link", "<img", "<script", "display:none", "hidden"):
        assert never not in shown.html


def test_only_addresses_of_the_web_are_links(shown: Parts) -> None:
    assert all(link.startswith(("http://", "https://")) for link in links_of(shown.html))


@pytest.mark.parametrize(
    "bad",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "mailto:a@b.org",
        "//evil.example",
        "https:///nohost",
        "https://user:pw@example.org/",
        'https://example.org/"onclick="x',
        "https://example.org/<script>",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://[1::2/x",
        "https://example.org/" + "a" * 500,
        "ftp://example.org/x",
        "",
    ],
)
def test_an_address_from_outside_that_is_none_is_left_out(renderer: Renderer, bad: str) -> None:
    assert safe_url(bad) == ""
    paper = replace(next(iter(PAPERS.values())), links={"abs": bad, "pdf": bad, "code": bad})
    shown = renderer.digest_parts(edition_of([paper]), READER, pins([paper]))
    assert links_of(shown.html)[0] == "https://arxiv.org/abs/2509.04417"
    assert not bad or bad not in shown.html + shown.text


def test_a_short_title_leads_the_subject(shown: Parts) -> None:
    assert shown.subject == "One Step Is Enough and 8 more papers"


def test_a_quiet_week_is_one_honest_line(renderer: Renderer) -> None:
    shown = renderer.digest_parts(sample.sample_edition(()), READER, {})
    line = "None of 412 new papers since Monday 1 September came close enough."
    assert all_of(shown.html, "h2") == []
    assert text_of(all_of(shown.html, "h1")[0]) == "A quiet week"
    assert line in shown.html
    assert (
        shown.subject
    ) == "A quiet week: none of 412 new papers since Monday 1 September came close enough"


def test_right_to_left_titles_are_marked_and_aligned(shown: Parts) -> None:
    heading = all_of(shown.html, "h2")[6]
    assert heading.attrib["dir"] == "rtl"
    assert "text-align:right" in heading.attrib["style"]


# ------------------------------------------------------------------ confirmations


def test_a_confirmation_asks_the_right_question(renderer: Renderer) -> None:
    letter = confirmation_letter(renderer)
    link = sample.LINKS.url(Purpose.CONFIRM, READER.key)
    text = " ".join(body(letter, "plain").split())
    assert letter.subject == "Please confirm your letters from Paper Digest"
    assert {link} == set(links_of(body(letter, "html")))
    for said in (link, "jane@example.org", "If it was not you, do nothing", "Few-step generation"):
        assert said in text


def test_a_confirmation_carries_no_advertisement_of_a_stranger(renderer: Renderer) -> None:
    summary = "Buy at https://spam.example/x or www.spam.example or me@spam.example " + "now " * 200
    letter = renderer.confirmation(DELIVERY, READER, summary)
    assert "spam.example" not in body(letter, "plain") + body(letter, "html")
    assert body(letter, "plain").count("now") < 60


def test_a_confirmation_has_no_list_headers(renderer: Renderer) -> None:
    assert [
        name for name in parsed(confirmation_letter(renderer)) if name.startswith("List-")
    ] == []


# ------------------------------------------------------------------ the letter as a page


@pytest.fixture(scope="module")
def page(renderer: Renderer) -> str:
    return renderer.page(sample.sample_edition(), READER.cadence.zone, PAPERS)


def test_the_page_of_a_letter_has_its_papers_sections_and_words(shown: Parts, page: str) -> None:
    for tag in ("title", "h1", "h2"):
        texts = [[text_of(found) for found in all_of(html, tag)] for html in (shown.html, page)]
        assert texts[0] == texts[1]
    assert "by Ingrid Solheim, whom you follow" in page
    assert "Graph neural networks in chemistry" in page


def test_the_page_of_a_letter_has_no_address_and_no_token(page: str) -> None:
    """Whoever is shown the page must not be able to act for its reader."""
    keys = (READER.key, DELIVERY.key, sample.sample_edition().key)
    tokens = [sample.LINKS.token(purpose, key) for purpose in Purpose for key in keys]
    assert [token for token in tokens if token.lower() in page.lower()] == []
    assert re.findall(r"digest\.example\.org/\w*/", page) == []
    assert "jane" not in page.lower()
    assert re.findall(r"[\w.+-]+@[\w.-]+", page) == []


def test_the_page_of_a_letter_does_not_tell_where_and_when_its_reader_lives(
    shown: Parts, page: str
) -> None:
    for private in ("Europe/Berlin", "3 March 2025", "08:00", "due on"):
        assert private in shown.html
        assert private not in page


def test_the_page_of_a_letter_names_no_paper_that_its_reader_likes(shown: Parts, page: str) -> None:
    assert "close to your seed 2305.01234" in shown.html
    assert "2305.01234" not in page


def test_the_page_of_a_letter_counts_no_papers_that_its_reader_likes(renderer: Renderer) -> None:
    told = [Reason(ReasonKind.SHARED, "Jane", where, 4.0) for where in ("authors", "categories")]
    edition = sample.sample_edition()
    first, *rest = edition.content.papers
    papers = replace(first, reasons=(*first.reasons, *told)), *rest
    edition = replace(edition, content=replace(edition.content, papers=papers))
    assert "papers you like" not in renderer.page(edition, "UTC", PAPERS)


def test_the_page_of_a_letter_says_whose_it_was_and_where_to_subscribe(page: str) -> None:
    assert "that reader is the “you” in it" in page
    assert "https://digest.example.org/#subscribe" in links_of(page)


def test_the_page_of_a_letter_asks_not_to_be_found(page: str) -> None:
    metas = [m.attrib for m in all_of(page, "meta")]
    assert {"name": "robots", "content": "noindex"} in metas


def test_a_paper_without_any_link_has_none_on_the_page_of_a_letter(page: str) -> None:
    heading = all_of(page, "h2")[-1]
    assert heading.find(HTML + "a") is None
    assert text_of(heading) == list(PAPERS.values())[len(sample.TOLD) - 1].title


def test_a_page_and_a_letter_do_not_take_each_others_pieces(renderer: Renderer) -> None:
    before = digest_letter(renderer).raw
    page = renderer.page(sample.sample_edition(), "UTC", PAPERS)
    assert before == digest_letter(renderer).raw
    assert page == renderer.page(sample.sample_edition(), "UTC", PAPERS)


def test_a_sites_own_letter_that_knows_no_page_shows_nothing_of_its_reader(tmp_path: Path) -> None:
    renderer = _own(tmp_path, "body.html", "<p>{{ email }}</p>")
    assert b"jane@example.org" in digest_letter(renderer).raw
    with pytest.raises(RenderError, match=r"edition 77 as a page .*'email' is undefined") as found:
        renderer.page(sample.sample_edition(), "UTC", PAPERS)
    assert "jane" not in str(found.value)


# ------------------------------------------------------------------ failing


def _own(folder: Path, name: str, text: str) -> Renderer:
    path = folder / "email" / "digest" / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return a_renderer(folder)


def test_a_sites_own_template_goes_before_ours(tmp_path: Path) -> None:
    renderer = _own(tmp_path, "subject.txt", "[{{ site.name }}] {{ count }} papers\n")
    assert digest_letter(renderer).subject == "[Paper Digest] 9 papers"


def test_an_undefined_name_names_edition_template_and_line(tmp_path: Path) -> None:
    renderer = _own(tmp_path, "body.txt", "one\n{{ nonsense }}\n")
    with pytest.raises(RenderError, match=r"edition 77 .*digest/body.txt line 2.*nonsense"):
        digest_letter(renderer)


def test_a_template_that_raises_for_one_reader_harms_no_other(tmp_path: Path) -> None:
    renderer = _own(tmp_path, "body.txt", "{{ 1 // (count - 9) }}\n")
    with pytest.raises(RenderError, match="edition 77"):
        digest_letter(renderer)
    assert quiet_letter(renderer).raw


def test_a_template_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"digest/body.txt line 1"):
        _own(tmp_path, "body.txt", "{% if %}")


def test_a_paper_that_is_gone_names_the_edition_and_the_paper(renderer: Renderer) -> None:
    with pytest.raises(RenderError, match=r"edition 77 .*paper arxiv:2509.04417"):
        renderer.digest(sample.sample_edition(), DELIVERY, READER, {})


def test_an_address_that_is_two_is_refused(renderer: Renderer) -> None:
    delivery = replace(DELIVERY, recipient="a@example.org, b@example.org")
    with pytest.raises(RenderError, match="not one mail address"):
        renderer.digest(sample.sample_edition(), delivery, READER, PAPERS)


def test_a_wrong_address_of_the_site_is_refused_at_once() -> None:
    with pytest.raises(RenderError, match="mail settings"):
        Renderer(replace(sample.SITE, reply_to="not an address"), sample.LINKS)


# ------------------------------------------------------------------ words of the whole


def test_a_late_letter_after_a_pause_does_not_call_itself_a_week(renderer: Renderer) -> None:
    edition = sample.sample_edition()
    window = replace(edition.window, since=edition.window.since - timedelta(days=30))
    shown = renderer.digest_parts(replace(edition, window=window), READER, PAPERS)
    assert text_of(all_of(shown.html, "h1")[0]) == "Your papers"


def test_times_are_those_of_the_reader() -> None:
    renderer = Renderer(sample.SITE, sample.LINKS)
    reader = sample.sample_reader("Pacific/Auckland")
    edition = replace(sample.sample_edition(()), next_due=datetime(2025, 9, 30, 20, tzinfo=UTC))
    text = renderer.digest_parts(edition, reader, {}).text
    assert "The next one is due on Wednesday 1 October 2025, 09:00." in text
