"""pure: what people and feeds write becomes clean Unicode: titles, abstracts, names, words.

    clean.py      TeX, HTML and MathML to plain text; bounded; `excerpt`
    tex.py        TeX read as Unicode, by the tables of symbols.py and the layout of script.py
    names.py      author strings, in all their shapes, to one name each
    words.py      the words of a text, for matching
    discreet.py   words for a log, without whom they are about

Nothing here raises for any string, and all of it is linear in a length that is cut first.
"""

from digest.text.clean import (
    MAX_ABSTRACT,
    MAX_AUTHOR,
    MAX_TITLE,
    clean_abstract,
    clean_line,
    clean_title,
    excerpt,
)
from digest.text.names import clean_author, split_authors, surname
from digest.text.words import fold, words

__all__ = [
    "MAX_ABSTRACT",
    "MAX_AUTHOR",
    "MAX_TITLE",
    "clean_abstract",
    "clean_author",
    "clean_line",
    "clean_title",
    "excerpt",
    "fold",
    "split_authors",
    "surname",
    "words",
]
