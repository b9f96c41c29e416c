"""Pure: an edition's content, or a request to confirm, written out as a letter.

Start with `Renderer` (letter.py). words.py holds every phrase that is built and not templated,
paper.py what a template sees of a paper, frame.py what it writes around papers, pieces.py the parts
that readers share and how a letter is made to fit, mime.py the bytes.
"""

from __future__ import annotations

from digest.render.letter import Parts, Renderer, Site
from digest.render.words import profile_words, reason_words, why_words

__all__ = ["Parts", "Renderer", "Site", "profile_words", "reason_words", "why_words"]
