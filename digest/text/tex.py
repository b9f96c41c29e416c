"""TeX as people write it in titles and abstracts, read as Unicode.

Symbols come from pylatexenc's table. Its parser is not used: it is twenty times slower than
this reader, takes a bare `%` for a comment, and fails on macros without their arguments.
Reading never fails: an unknown macro leaves its argument or, without one, its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

from digest.text.script import bracketed, scripted
from digest.text.symbols import (
    ACCENTS,
    BLACKBOARD,
    CITES,
    DINGS,
    DROPPED,
    FUNCTIONS,
    SECOND_ONLY,
    SILENT,
    UMLAUTS,
    symbols,
)

_SIGN = re.compile(r"[\\$]|[\^_]\{|(?<=[\w.,;:)\]])~(?=[\w(\[])|\{\w[\w-]*\}")
_TOKEN = re.compile(r"\\([A-Za-z]+)\*?|\\(.)|([{}$^_~])|([^\\{}$^_~]+)|\\", re.S)
_WORD_IN_BRACES = re.compile(r"(?<![\^_])\{(\w[\w-]*)\}")
_BEFORE_STOP = re.compile(r"(?<!\s)\s+(?=[.,;](?:\s|$))")  # where a citation was
_DEPTH = 40  # groups inside groups; deeper ones are read flat
_MATH_SPAN = 1500  # characters a formula may have
_BETWEEN = set("∈∉∋⊂⊆⊃⊇×·∘≤≥≪≫≈≃≅∼≡≠→←↔⇒⇔↦∪∩±∓∧∨⊕⊗∣|∥=<>∝≺≻⊥")
_DELIMITER = re.compile(r"(?<!\\)\\[(\[]\s*|\s{0,9}(?<!\\)\\[)\]]")
_CLOSES = {r"\(": r"\)", r"\[": r"\]"}
_LEFT_OVER = re.compile(r"\\+(?=[A-Za-z])|\\")


def has_tex(text: str) -> bool:
    """True where `text` holds anything that only TeX would write."""
    return "``" in text or (any(c in text for c in "\\$~{") and _SIGN.search(text) is not None)


def from_tex(text: str) -> str:
    """`text` with its TeX read as Unicode; no backslash is left. Spacing is the source's."""
    if "\\" not in text and "$" not in text:
        text = _WORD_IN_BRACES.sub(r"\1", text)  # {B}ayesian; but {0, 1} is a set
        if not has_tex(text):
            return text
    if "\\(" in text or "\\[" in text:
        text = _in_dollars(text)
    if "``" in text:
        text = text.replace("``", "“").replace("''", "”")
    if "--" in text:
        text = re.sub(r"(?<=\w)---(?=\w)|(?<=\s)---(?=\s)", "—", text)
        text = re.sub(r"(?<=\w)--(?=\w)|(?<=\s)--(?=\s)", "–", text)
    said = _Reader(text).read()
    said = _BEFORE_STOP.sub("", _LEFT_OVER.sub("", said))
    return unicodedata.normalize("NFC", said)


def _in_dollars(text: str) -> str:
    """`text` with `\\(x\\)` and `\\[x\\]`, as MathJax has formulas, written `$x$`."""
    marks = list(_DELIMITER.finditer(text))
    math = set()
    for one, other in pairwise(marks):
        if (
            _CLOSES.get(one[0].strip()) == other[0].strip()
            and other.start() - one.start() <= _MATH_SPAN
        ):
            math |= {one.start(), other.start()}
    return _DELIMITER.sub(lambda mark: "$" if mark.start() in math else mark[0], text)


class _Reader:
    """One pass over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_TOKEN.finditer(text))
        self.text = text
        self.at = 0
        self.depth = 0
        self.math_until = -1  # where the formula that is open ends

    def read(self) -> str:
        shown = []
        while self.at < len(self.tokens):
            shown.append(self._next())
        return "".join(shown)

    def _next(self) -> str:
        """What the next token, with the arguments it takes, shows."""
        token = self.tokens[self.at]
        self.at += 1
        name, sign, special, plain = token.groups()
        if plain is not None:
            return plain
        if name is not None:
            return self._macro(name)
        if sign is not None:
            return self._control(sign)
        return self._special(special, token.start()) if special else ""

    def _special(self, sign: str, at: int) -> str:
        if sign == "{":
            return self._group()
        if sign == "$":
            return self._dollar(at)
        if sign == "~":
            return self._tie(at)
        if sign in "^_":
            braced = self._peek() == "{"
            if braced or (at < self.math_until and self._peek()):
                return scripted(self._argument().strip(), up=sign == "^")
            return sign
        return ""  # a brace that closes nothing

    def _group(self) -> str:
        """After `{`: all up to its `}`, or up to the end where there is none."""
        self.depth += 1
        shown = []
        while self.at < len(self.tokens) and self.depth <= _DEPTH:
            if self.tokens[self.at][0] == "}":
                self.at += 1
                break
            shown.append(self._next())
        self.depth -= 1
        return "".join(shown)

    def _argument(self) -> str:
        """The next argument: a group, one macro, or one character."""
        self._skip_spaces()
        if self._peek() in ("", "}", "$") or self.depth > _DEPTH:
            return ""
        if self.tokens[self.at][4] is not None:
            return self._take(1)
        self.depth += 1
        shown = self._next()
        self.depth -= 1
        return shown

    def _take(self, count: int) -> str:
        """The first characters of the plain token ahead; the rest stays."""
        token = self.tokens[self.at]
        start, end = token.span()
        if end - start <= count:
            self.at += 1
        else:
            rest = _TOKEN.match(self.text, start + count)
            assert rest is not None
            self.tokens[self.at] = rest
        return self.text[start : start + count]

    def _peek(self) -> str:
        return self.tokens[self.at][0][:1] if self.at < len(self.tokens) else ""

    def _skip_spaces(self) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at][4] is not None:
            plain = self.tokens[self.at][0]
            if spaces := len(plain) - len(plain.lstrip()):
                self._take(spaces)
            if spaces < len(plain):
                return

    def _option(self) -> str:
        """An optional `[argument]`, if one follows."""
        if self._peek() != "[":
            return ""
        start = self.tokens[self.at].start()
        end = self.text.find("]", start, start + 200)
        if end < 0:
            return ""
        while self.at < len(self.tokens) and self.tokens[self.at].end() <= end:
            self.at += 1
        if self.at < len(self.tokens):
            self._take(end + 1 - self.tokens[self.at].start())
        return self.text[start + 1 : end]

    def _dollar(self, at: int) -> str:
        """A `$` opens or closes a formula, or is money. As pandoc decides: a formula does not
        begin or end with a space and no digit follows it, unless it holds what only TeX has."""
        if at <= self.math_until:
            if at == self.math_until:
                self.math_until = -1
            return ""
        end = self._formula_end(at)
        if end < 0:
            return "$"
        self.math_until = end
        return ""

    def _formula_end(self, at: int) -> int:
        if self.text.startswith("$$", at):
            end = self.text.find("$$", at + 2, at + _MATH_SPAN)
            return end + 1 if end >= 0 else -1
        close = re.compile(r"(?<!\\)\$").search(self.text, at + 1, at + _MATH_SPAN)
        if close is None or close.start() == at + 1:
            return -1
        inside = self.text[at + 1 : close.start()]
        if re.search(r"[\\^_{]", inside):
            return close.start()
        padded = inside[0].isspace() or inside[-1].isspace()
        digit = self.text[close.end() : close.end() + 1].isdigit()
        return -1 if padded or digit else close.start()

    def _tie(self, at: int) -> str:
        """`Figure~1` is tied; `~300` is about 300 and `5~10` a range."""
        before, after = self.text[at - 1 : at], self.text[at + 1 : at + 2]
        if before.isdigit() and after.isdigit():
            return "~"
        tied = before.isalnum() or before in {".", ",", ";", ":", ")", "]", "}", "$"}
        return " " if tied and before and after and not after.isspace() else "~"

    def _control(self, sign: str) -> str:
        """A backslash and one character that is no letter."""
        if sign in "%&$#_{}|":
            return sign
        if sign in ACCENTS:
            return self._accent(sign)
        if sign in "()[]!-/@+*<>":
            return ""
        return " " if sign in " ,;:\\\n\t" else sign

    def _accent(self, mark: str) -> str:
        if mark in "'`^\"~=." and self._peek() in ("", " ", "$"):
            return "" if mark in "=^~." else mark
        base = self._argument().strip()
        if len(base) != 1 or not base.isalpha():
            return (mark if mark in "'\"" else "") + base
        if mark == '"' and base not in UMLAUTS:
            return mark + base
        dotless = {"ı": "i", "ȷ": "j"}
        return unicodedata.normalize("NFC", dotless.get(base, base) + ACCENTS[mark])

    def _macro(self, name: str) -> str:
        if name in ACCENTS and (len(name) > 1 or self._peek() in "{ \\" or name in "cvukHd"):
            return self._accent(name)
        if name in _READ:
            return _READ[name](self)
        if name in SILENT or re.match(r"fa[A-Z]", name):  # icons of Font Awesome
            return ""
        if name in DROPPED or CITES.fullmatch(name):
            return self._dropped()
        if name in SECOND_ONLY:
            self._option()
            self._argument()
            return self._argument()
        return self._shown(name)

    def _dropped(self) -> str:
        while self._option():
            pass
        if self._peek() == "{":
            self._argument()
        return ""

    def _shown(self, name: str) -> str:
        """A symbol of the table; else the macro's argument; else its name."""
        if name in FUNCTIONS:
            return self._apart(FUNCTIONS[name])
        if (symbol := symbols().get(name)) is not None:
            self._empty_group()
            return self._balanced(symbol)
        if self._peek() == "{" and not self._empty_group():
            return ""  # the group that follows is shown in its turn
        return name

    def _apart(self, function: str) -> str:
        """`n\\log n` is `n log n`: a function's name runs into no other word."""
        start, end = self.tokens[self.at - 1].span()
        before = " " if _ends_word(self.text[start - 1 : start]) else ""
        after = " " if self.text[end : end + 1] in {"\\", "{"} else ""
        return before + function + after

    def _balanced(self, symbol: str) -> str:
        """`a\\in B` is `a ∈ B`: the space that ends the macro's name is on both sides."""
        start, end = self.tokens[self.at - 1].span()
        one_sided = self.text[end : end + 1] == " " and _ends_word(self.text[start - 1 : start])
        return f" {symbol}" if one_sided and symbol in _BETWEEN else symbol

    def _empty_group(self) -> bool:
        """Step over `{}`, with which TeX ends a macro's name."""
        ahead = self.tokens[self.at : self.at + 2]
        if [token[0] for token in ahead] != ["{", "}"]:
            return False
        self.at += 2
        return True

    def _fraction(self) -> str:
        above, below = self._argument(), self._argument()
        return f"{bracketed(above)}/{bracketed(below)}"

    def _root(self) -> str:
        sign = {"3": "∛", "4": "∜"}.get(self._option(), "√")
        return sign + bracketed(self._argument())

    def _link(self) -> str:
        url = self._argument().strip()
        shown = self._argument().strip() if self._peek() == "{" else ""
        if not shown or not url.startswith("http") or url in shown:
            return shown or url
        return f"{shown} ({url})"

    def _blackboard(self) -> str:
        return "".join(BLACKBOARD.get(c, c) for c in self._argument())

    def _note(self) -> str:
        return f" ({self._argument().strip()})"

    def _replaced(self) -> str:
        kept = self._argument()
        self._argument()
        return kept

    def _unicode(self) -> str:
        code = self._argument().strip().lower()
        digits = code.removeprefix("x")
        try:
            return chr(int(digits, 16 if code.startswith("x") else 10))
        except (ValueError, OverflowError):
            return ""

    def _delimiter(self) -> str:
        """`\\left.` is a bracket that is not shown."""
        return self._take(1)[:0] if self._peek() == "." else ""


def _ends_word(sign: str) -> bool:
    return sign.isalnum() or sign in {")", "]", "}"}


_READ: dict[str, Callable[[_Reader], str]] = {
    "frac": _Reader._fraction,
    "tfrac": _Reader._fraction,
    "dfrac": _Reader._fraction,
    "nicefrac": _Reader._fraction,
    "sqrt": _Reader._root,
    "href": _Reader._link,
    "footnote": _Reader._note,
    "mathbb": _Reader._blackboard,
    "replaced": _Reader._replaced,
    "unicode": _Reader._unicode,
    "left": _Reader._delimiter,
    "right": _Reader._delimiter,
    "pmod": lambda reader: f"(mod {reader._argument().strip()})",
    "ding": lambda reader: DINGS.get(reader._argument().strip(), ""),
    "textsuperscript": lambda reader: scripted(reader._argument().strip(), up=True),
    "textsubscript": lambda reader: scripted(reader._argument().strip(), up=False),
    "enquote": lambda reader: f"“{reader._argument().strip()}”",
}
