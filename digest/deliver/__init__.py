"""VERB 4: lease what is due, write it out, send it, record what came back.

decide.py   pure: what came back -> what to write (the reply table)
relay.py    pure: what came back -> how to treat the relay (back off, fewer lanes, breaker)
domains.py  pure: what came back -> how fast letters may go to one recipient domain
routes.py   which of several relays the next letter takes
policy.py   the numbers of all these
backlog.py  letters in hand, given to lanes as their domains allow
recorder.py commits of many lanes in one transaction: body marks and outcomes
desk.py     what it claims from the database and gives back
run.py      the worker: feeds lanes, stops in time
owner.py    who holds a lease, and whether that process still lives
"""

from digest.deliver.decide import Refusal, decide, refusal
from digest.deliver.desk import Due
from digest.deliver.domains import Domains, Limit, domain_of
from digest.deliver.policy import Policy
from digest.deliver.relay import RelayState
from digest.deliver.routes import Route, Routes
from digest.deliver.run import Flag, Letters, Progress, deliver

__all__ = [
    "Domains",
    "Due",
    "Flag",
    "Letters",
    "Limit",
    "Policy",
    "Progress",
    "Refusal",
    "RelayState",
    "Route",
    "Routes",
    "decide",
    "deliver",
    "domain_of",
    "refusal",
]
