"""How a plain line shows what stands above, below or under a line: `10⁻³`, `H₂O`, `(a+b)/c`."""

from __future__ import annotations

import re

from digest.text.symbols import DOWN, UP, UP_ALONE


def scripted(text: str, *, up: bool) -> str:
    """`text` raised or lowered: `10⁻³` and `H₂O` where Unicode can, else `x^(a b)` and `x_max`."""
    signs = UP if up else DOWN
    if all(c in signs for c in text):
        return "".join(signs[c] for c in text)
    if up and text in {"st", "nd", "rd", "th"}:
        return text
    if up and text in UP_ALONE:
        return UP_ALONE[text]
    mark = "^" if up else "_"
    return f"{mark}{text}" if re.fullmatch(r"\w+(?:\.\w+)?|[^\w\s]", text) else f"{mark}({text})"


def bracketed(text: str) -> str:
    """`text`, in brackets where it is more than one thing."""
    text = text.strip()
    return text if re.fullmatch(r"\w*|[^\w\s]|\(.*\)", text) else f"({text})"
