"""THE MEMORY: the only room that speaks SQL. Functions take an open transaction (`Tx`) first.

with db.reading() as tx: ...    with db.writing() as tx: ...    (short: no network, no CPU work)
"""

from digest.store import deliveries, editions, models, papers, people, reports, sources
from digest.store.database import Database, Tx

__all__ = [
    "Database",
    "Tx",
    "deliveries",
    "editions",
    "models",
    "papers",
    "people",
    "reports",
    "sources",
]
