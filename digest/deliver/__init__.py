"""VERB 4: lease what is due, write it out, send it, record what came back.

decide.py   pure: what came back -> what to write (the reply table)
relay.py    pure: what came back -> how to treat the relay (back off, fewer lanes, breaker)
policy.py   the numbers of both
recorder.py commits of many lanes in one transaction: body marks and outcomes
desk.py     what it claims from the database and gives back
run.py      the worker: feeds lanes, stops in time
owner.py    who holds a lease, and whether that process still lives
"""

from digest.deliver.decide import Refusal, decide, refusal
from digest.deliver.desk import Due
from digest.deliver.policy import Policy
from digest.deliver.relay import RelayState
from digest.deliver.run import Flag, Letters, Progress, deliver

__all__ = [
    "Due",
    "Flag",
    "Letters",
    "Policy",
    "Progress",
    "Refusal",
    "RelayState",
    "decide",
    "deliver",
    "refusal",
]
