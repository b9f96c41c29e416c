"""Titles, abstracts and names come out clean, whatever goes in."""

from __future__ import annotations

import gzip
import json
import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.text import (
    MAX_ABSTRACT,
    clean_abstract,
    clean_author,
    clean_line,
    clean_title,
    excerpt,
    split_authors,
    surname,
    symbols,
    words,
)
from digest.text.names import MAX_AUTHORS

TEX = [
    (r"na\"ive Fr\'echet, G\"{o}del, na\"{\i}ve", "naïve Fréchet, Gödel, naïve"),
    (r"\v{S}koda \c{c}a {\O}re \L{}ukasz \aa", "Škoda ça Øre Łukasz å"),
    (r"$O(n^2 \log n)$ in 5\% of $\mathbb{R}^{d}$", "O(n² log n) in 5% of ℝ^d"),
    (r"\( x'(t) = Ax(t) \)", "x'(t) = Ax(t)"),
    (r"$\ell_2$, $10^{-3}$, $x_{max}$, $90^\circ$", "ℓ₂, 10⁻³, x_max, 90°"),
    (r"costs $5 and $10, or \$100", "costs $5 and $10, or $100"),
    (r"\textbf{bold \emph{it}} \texttt{a_b}", "bold it a_b"),
    (r"\ours beats \model{} and \mname{X}", "ours beats model and X"),
    (r"at \href{https://x.org/a_b}{our page}.", "at our page (https://x.org/a_b)."),
    (r"{\small \url{ https://x.org/a }}", "https://x.org/a"),
    (r"seen before \cite{x,y}. As \citep[p.~1]{z}, so", "seen before. As, so"),
    (r"Figure~1, (~100 GB), 5~10", "Figure 1, (~100 GB), 5~10"),
    (r"``so called'' gaps -- here", "“so called” gaps – here"),
    (r"H$_2$O and MC\textsuperscript{2}, 5$^{th}$", "H₂O and MC², 5th"),
    (r"$\frac{a+b}{c}$, $\frac12$, $\sqrt{n}$, $\sqrt[3]{n+1}$", "(a+b)/c, 1/2, √n, ∛(n+1)"),
    (r"$a \leq b \rightarrow c \times d$, $\pm$0.5", "a ≤ b → c × d, ±0.5"),
    (r"\textcolor{red}{hot} \footnote{See x.}", "hot (See x.)"),
    (r"\eg, \ie \etc", "e.g., i.e. etc."),
    (r"he said \"hello\"", 'he said "hello"'),
    (r"$\hat{x}$ and $\bar{y}$", "x̂ and ȳ"),
    (r"$k$-means, $N=5$, $p<0.05$", "k-means, N=5, p<0.05"),
    ("{B}ayesian {AI} over {0, 1}", "Bayesian AI over {0, 1}"),
    (r"On \(x^2\), \( y_i \) and \[ \frac{a}{b} \], not \(", "On x², y_i and a/b, not"),
    (r"100\,000 multi\-modal", "100 000 multimodal"),
    (r"\mathbb{ \mathbb{R", "ℝ"),
    (r"90 \deg and 30\% of 5% here", "90 ° and 30% of 5% here"),
]


@pytest.mark.parametrize(("written", "shown"), TEX, ids=[shown for _, shown in TEX])
def test_tex_is_shown_as_unicode(written: str, shown: str) -> None:
    assert clean_abstract(written) == unicodedata.normalize("NFC", shown)


HTML = [
    ("<i>In vitro</i> growth<br/>of <b>cells</b>", "In vitro growth of cells"),
    ("10<sup>-3</sup> mol H<sub>2</sub>O", "10⁻³ mol H₂O"),
    ("p < 0.05 and x<y & AT&T &amp; R&D", "p < 0.05 and x<y & AT&T & R&D"),
    ("&lt;p&gt;escaped&lt;/p&gt; twice: &amp;lt;i&amp;gt;x&amp;lt;/i&amp;gt;", "escaped twice: x"),
    ("a<script>alert(1)</script>b<style>p{}</style>", "ab"),
    (
        "<mml:math><mml:mi>E</mml:mi><mml:mo>=</mml:mo><mml:mi>m</mml:mi></mml:math> holds",
        "E=m holds",
    ),
    ("<math><semantics><mi>x</mi><annotation>x_tex</annotation></semantics></math>", "x"),
    ("<![CDATA[ wrapped ]]>", "wrapped"),
    ("<jats:title>Abstract</jats:title><jats:p>We show.</jats:p>", "We show."),
    ("a <!-- hidden --> b <!-- open", "a b <!-- open"),
    ("&para;graph &parameter &#65;&#x42;", "¶graph &parameter AB"),
    ("Abstract: We show.", "We show."),
    ("Abstract", ""),
    ("Abstract reasoning is hard.", "Abstract reasoning is hard."),
]


@pytest.mark.parametrize(("written", "shown"), HTML, ids=[shown for _, shown in HTML])
def test_markup_is_shown_as_text(written: str, shown: str) -> None:
    assert clean_abstract(written) == shown


def test_controls_and_turned_writing_are_removed() -> None:
    assert clean_title("a\x00b\x1bc\u202ed\ud800e\u00adf\ufeff\n\t g") == "a b cdef g"


def test_a_long_title_is_cut_at_a_word() -> None:
    shown = clean_title("word " * 5000)
    assert len(shown) <= 500
    assert shown.endswith("word…")


def test_ten_megabytes_are_cut_before_they_are_cleaned() -> None:
    started = time.process_time()
    for nasty in (r"\frac{", "<a", "<!--", "^{_{", "&#38;"):
        clean_abstract(nasty * (10_000_000 // len(nasty)))
    split_authors("a, (" * 3_000_000)
    assert time.process_time() - started < 30  # hours, if any of it were quadratic


RUNS = [" ", "\n", "\\(", "$x", "{", "^{", "<b>", "&amp;", "(", "A. B, ", " et al", "\ud800", " ."]


def test_long_runs_of_anything_are_read_in_their_length() -> None:
    for before, run in ((b, r) for b in ("", "\\(", "<p>") for r in RUNS):
        raw = before + run * (10_000 // len(run))  # what is quadratic takes seconds for each
        assert len(clean_abstract(raw)) <= MAX_ABSTRACT
        assert len(split_authors(raw)) <= MAX_AUTHORS


def test_groups_in_groups_do_not_exhaust_the_stack() -> None:
    assert clean_title("{" * 3000 + "deep" + "}" * 3000).strip("{}…") in {"", "deep"}
    assert "\\" not in clean_abstract("\\frac" * 5000 + "\\hat" * 5000)


SIGNS = r"\ $ { } ^ _ ~ % & # \frac \mathbb \textbf \cite \' \" \href \sqrt [ ] \( \) \left \ours"
MARKS = "<i> </i> <sup> <!-- &lt; &amp;amp; -- `` '' \x00 \u202e ä 字 a b 1"
pieces = st.sampled_from([*SIGNS.split(), *MARKS.split(" "), " "])
tex_like = st.lists(st.one_of(pieces, st.text(max_size=5)), max_size=40).map("".join)


@given(st.one_of(tex_like, st.text(max_size=300)))
@settings(deadline=None)
def test_whatever_comes_is_clean_bounded_and_stays_as_it_is(raw: str) -> None:
    shown = clean_abstract(raw)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Co"}]
    assert not re.search(r"\\[A-Za-z]", shown)
    assert shown == " ".join(shown.split())
    assert len(clean_line(raw, 20)) <= 20
    shown.encode()


@given(st.one_of(tex_like, st.text(max_size=300)))
@settings(deadline=None)
def test_any_string_is_a_list_of_names(raw: str) -> None:
    for name in (*split_authors(raw), clean_author(raw), surname(raw)):
        assert len(name) <= 210
        assert "\\" not in name


@given(st.text(max_size=200), st.integers(min_value=0, max_value=80))
def test_an_excerpt_is_never_longer_than_asked(text: str, limit: int) -> None:
    cut = excerpt(text, limit)
    assert len(cut) <= limit or cut == text
    assert cut == text or text.startswith(cut.rstrip("…"))


def test_an_excerpt_ends_with_a_sentence_where_there_is_one() -> None:
    text = "We study graphs. They are large, and we say so at length in what follows."
    assert excerpt(text, 30) == "We study graphs."
    assert excerpt(text, 45) == "We study graphs. They are large, and we say…"


AUTHORS = [
    ("A B, C D (Inst X, Inst Y)", ("A B", "C D")),
    ("John Smith (1), Jane Doe (2) ((1) MIT, (2) ETH)", ("John Smith", "Jane Doe")),
    ("Kukla, D., Crampton, A., Wood, D.", ("D. Kukla", "A. Crampton", "D. Wood")),
    ("van der Berg, K.-L., Smith, J. A., Jr.", ("K.-L. van der Berg", "J. A. Smith")),
    ("Last, F.; Other, G. H.", ("F. Last", "G. H. Other")),
    ("Song, Yang", ("Yang Song",)),
    ("ATLAS Collaboration, G. Aad", ("ATLAS Collaboration", "G. Aad")),
    (r"Ji\v{r}\'i Nov\'ak and B. C{\o}rn, et al.", ("Jiří Novák", "B. Cørn")),
    ("Aapo Hyv&auml;rinen, Wei Xu*, Yang Liu1,2", ("Aapo Hyvärinen", "Wei Xu", "Yang Liu")),
    (["Smith, Jane", "van Gogh, Vincent", "Bo Xu"], ("Jane Smith", "Vincent van Gogh", "Bo Xu")),
    (["Yang Song, Stefano Ermon"], ("Yang Song", "Stefano Ermon")),
    ("A B (never closed, C D", ("A B never closed", "C D")),
    ("", ()),
    ([], ()),
]


@pytest.mark.parametrize(("written", "names"), AUTHORS, ids=[str(w) for w, _ in AUTHORS])
def test_author_strings_of_every_shape_become_names(
    written: str | list[str], names: tuple[str, ...]
) -> None:
    assert split_authors(written) == names


@pytest.mark.parametrize(
    "spelling", ["Aapo Hyvärinen", "Hyvärinen, A.", "A. HYVÄRINEN", "Hyvarinen A", "Hyvärinen Jr."]
)
def test_a_surname_is_the_same_in_every_spelling(spelling: str) -> None:
    assert surname(spelling) == "hyvarinen"


def test_words_are_folded_and_compounds_written_both_ways_are_one() -> None:
    text = "Pre-training Schrödinger's few-step GPT-3.5 and C++, non-linear Łukasz (O'Neil)"
    expected = "pretraining schrodinger few step gpt 3.5 and c++ nonlinear lukasz oneil"
    assert words(text) == expected.split()


def test_raised_and_double_struck_signs_are_words_too() -> None:
    assert words(clean_title(r"$\ell_2$ of $\mathbb{R}$ in 字典")) == [
        "l2",
        "of",
        "r",
        "in",
        "字典",
    ]


def test_the_founding_page_comes_out_without_tex(shared: Path) -> None:
    lines = (shared / "data/seed/trending.jsonl").read_text(encoding="utf-8").splitlines()
    papers = [json.loads(line) for line in lines]
    shown = [
        text for p in papers for text in (clean_title(p["title"]), clean_abstract(p["abstract"]))
    ]
    assert len(papers) == 81
    assert all(shown)
    assert not [text for text in shown if "\\" in text or "{" in text]


def test_two_months_of_arxiv_come_out_without_tex(shared: Path) -> None:
    with gzip.open(shared / "data/arxiv/2025-10.jsonl.gz", "rt", encoding="utf-8") as lines:
        papers = [json.loads(line) for line in lines]
    stray = re.compile(r"\\|\$[a-z\\]|\{\\|mathbb|textbf")
    texts = [clean_abstract(p["abstract"]) for p in papers] + [
        clean_title(p["title"]) for p in papers
    ]
    assert not [text for text in texts if stray.search(text)]
    assert all(texts)


def test_real_authors_stay_as_many_as_they_are(shared: Path) -> None:
    with gzip.open(shared / "data/arxiv/2025-09.jsonl.gz", "rt", encoding="utf-8") as lines:
        papers = [json.loads(line) for line in lines]
    kept = [
        p for p in papers if len(split_authors(", ".join(p["authors"]))) == len(set(p["authors"]))
    ]
    assert len(kept) / len(papers) > 0.99


FORMULAS = [
    ("<math><msup><mi>x</mi><mn>2</mn></msup></math>", "x²"),
    (
        "<mml:math><mml:msub><mml:mi>H</mml:mi><mml:mn>2</mml:mn></mml:msub>"
        "<mml:mi>O</mml:mi></mml:math>",
        "H₂O",
    ),
    (
        "<mml:math><mml:msup><mml:mn>10</mml:mn><mml:mrow><mml:mo>-</mml:mo><mml:mn>3</mml:mn>"
        "</mml:mrow></mml:msup></mml:math>",
        "10⁻³",
    ),
    ("<math><msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup></math>", "x_i²"),
    (
        "<math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mi>c</mi></mfrac></math>",
        "(a+b)/c",
    ),
    ("<math><msqrt><mi>x</mi><mo>+</mo><mi>y</mi></msqrt></math>", "√(x+y)"),
    ("<math><msup><mi>x</mi></math> and <mn>2</mn></msup>", "x and 2"),
    ("<math><msup><mi>x</mi><mn><mn>2</mn></msup></math>", "x2"),
]


@pytest.mark.parametrize(("written", "shown"), FORMULAS, ids=[shown for _, shown in FORMULAS])
def test_mathml_is_written_in_a_line(written: str, shown: str) -> None:
    assert clean_abstract(written) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"$O(n\log n)$", "O(n log n)"),
        (r"$\log\log n + x\sin\theta$", "log log n + x sin θ"),
        (r"$\arg\min_\theta \max_i f$", "arg min_θ max_i f"),
        (r"$a\in B$, $2\times 3$, $X\to Y$", "a ∈ B, 2 × 3, X → Y"),
        (r"$p(x\mid y)$", "p(x | y)"),
        (r"$a\le b$ and $n\to\infty$", "a ≤ b and n→∞"),
    ],
)
def test_words_and_signs_of_a_formula_do_not_run_into_each_other(written: str, shown: str) -> None:
    assert clean_abstract(written) == shown


LISTED = sorted({*symbols.symbols(), *symbols.FUNCTIONS, *symbols.ACCENTS, *symbols.DROPPED})
AROUND = st.sampled_from(["{}", " ", "{x}", "_1", "^2", "$", "(", "a", "", "{\\bf y}", "[b]{c}"])


@given(st.lists(st.tuples(st.sampled_from(LISTED), AROUND), min_size=1, max_size=8), st.booleans())
@settings(deadline=None)
def test_no_macro_that_is_listed_is_left(said: list[tuple[str, str]], math: bool) -> None:
    raw = "We show " + " ".join(f"\\{name}{after}" for name, after in said) + " here."
    assert "\\" not in clean_abstract(f"${raw}$" if math else raw)
