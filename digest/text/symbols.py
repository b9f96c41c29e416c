"""What TeX macros show, by name: tables for the reader in tex.py."""

from __future__ import annotations

import re
from functools import cache

from pylatexenc.latex2text import get_default_latex_context_db


def _names(spaced: str) -> frozenset[str]:
    return frozenset(spaced.split())


ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304",
    ".": "\u0307", "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "d": "\u0323",
    "b": "\u0331", "k": "\u0328", "r": "\u030a", "hat": "\u0302", "widehat": "\u0302",
    "tilde": "\u0303", "widetilde": "\u0303", "bar": "\u0304", "vec": "\u20d7", "dot": "\u0307",
    "ddot": "\u0308", "acute": "\u0301", "grave": "\u0300", "check": "\u030c", "breve": "\u0306",
    "mathring": "\u030a",
}  # fmt: skip
FUNCTIONS = {  # not \deg, which people write for degrees
    name: name
    for name in _names(
        "arccos arcsin arctan arg cos cosh cot coth csc det dim exp gcd hom inf ker lg lim"
        " liminf limsup ln log max min Pr sec sin sinh sup tan tanh argmin argmax"
    )
}
UMLAUTS = set("aeiouyAEIOUYı")  # `\"h` is a quotation mark that was escaped twice
OURS = {
    "deg": "°", "degree": "°", "eg": "e.g.", "ie": "i.e.", "etc": "etc.", "etal": "et al.",
    "wrt": "w.r.t.", "vs": "vs.", "cf": "cf.", "slash": "/", "ldots": "…", "dots": "…",
    "cdots": "⋯", "textellipsis": "…", "quad": " ", "qquad": " ", "item": " ", "newline": " ",
    "par": " ", "linebreak": " ", "sim": "~", "mid": "|", "vert": "|", "Vert": "‖", "lvert": "|",
    "rvert": "|", "backslash": "", "bmod": "mod", "textasciitilde": "~", "star": "*", "ast": "*",
    "prime": "′", "TeX": "TeX", "LaTeX": "LaTeX", "lbrace": "{", "rbrace": "}", "space": " ",
    "textless": "<", "textgreater": ">", "lt": "<", "gt": ">", "colon": ":", "cdot": "·",
    "top": "⊤", "i": "ı", "j": "ȷ", "dag": "†", "bullet": "•", "percent": "%", "textpercent": "%",
}  # fmt: skip
SILENT = _names(
    "bf it em tt sc sf rm sl bfseries itshape ttfamily scshape sffamily rmfamily normalfont tiny"
    " scriptsize footnotesize small normalsize large Large LARGE huge Huge centering noindent"
    " displaystyle textstyle scriptstyle left right middle big Big bigg Bigg bigl bigr Bigl Bigr"
    " biggl biggr Biggl Biggr limits nolimits xspace protect maketitle hfill vfill smallskip"
    " medskip bigskip allowbreak nobreak nobreakspace footnotemark leavevmode unskip ignorespaces"
    " boldmath unboldmath upshape mdseries selectfont null relax"
)
DROPPED = _names(
    "label ref eqref autoref cref Cref pageref vspace hspace color includegraphics pagestyle"
    " thispagestyle bibliography bibliographystyle hypertarget deleted phantom vphantom hphantom"
    " begin end thanks index nocite usepackage"
)
SECOND_ONLY = {"textcolor", "colorbox", "hyperlink", "stackrel", "overset", "underset", "raisebox"}
SECOND_ONLY |= {"coloremph", "foreignlanguage", "scalebox", "resizebox"}
CITES = re.compile(r"(?:[a-z]*cite(?:[a-z]*)|footcite[a-z]*)", re.I)
UP = dict(zip("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ", strict=True))
DOWN = dict(zip("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎", strict=True))
UP_ALONE = {"∘": "°", "°": "°", "′": "′", "*": "*", "†": "†", "‡": "‡", "⊤": "ᵀ", "T": "ᵀ"}
BLACKBOARD = dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))
DINGS = {"51": "✓", "52": "✔", "55": "✗", "56": "✘"}


@cache
def symbols() -> dict[str, str]:
    """{macro: what it shows} of every macro that takes no argument."""
    known = {
        spec.macroname: spec.simplify_repl
        for spec in get_default_latex_context_db().iter_macro_specs()
        if isinstance(spec.simplify_repl, str) and "%" not in spec.simplify_repl
    }
    plain = {name: shown for name, shown in known.items() if name not in DROPPED}
    return {name: shown for name, shown in plain.items() if not shown.startswith("<")} | OURS
