"""The profile language: what a person wants, as they write it.

reading.py   a TOML text or plain data to a Profile, with every fault at once (table.py checks)
writing.py   and back
amend.py     names and terms put in or taken out of a text whose remarks stay
places.py    where in the text a fault stands
query.py     the boolean query language (grammar: query.lark)
names.py     which spellings of a name may mean one person
stems.py     stemmed words, by which soft terms meet a text
shelf.py     what it all means: which papers of a set meet a query, hold a term
lint.py      what is odd though it can be read
"""

from digest.profiles.amend import amend
from digest.profiles.example import EXAMPLE
from digest.profiles.lint import Finding, lint, seeds_of
from digest.profiles.query import QueryError, parse_query
from digest.profiles.reading import from_mapping, parse
from digest.profiles.writing import dump, to_mapping

__all__ = [
    "EXAMPLE",
    "Finding",
    "QueryError",
    "amend",
    "dump",
    "from_mapping",
    "lint",
    "parse",
    "parse_query",
    "seeds_of",
    "to_mapping",
]
