"""What whoever takes a mailbox is told on the way, and asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from digest.bounces.record import Taken
from digest.errors import DigestError

OnTaken = Callable[[Taken], None]
OnFault = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Watch:
    """`waiting` hears how many messages wait, before the first is taken. Once `stopped` says so no
    other is begun; what is left waits for the next time."""

    waiting: Callable[[int], None] = lambda number: None
    stopped: Callable[[], bool] = lambda: False


ALONE = Watch()


@contextmanager
def spared(where: str, fault: OnFault, *known: type[Exception]) -> Iterator[None]:
    """A defect of ours that one message meets is told of, and costs none of the others. What else
    they would meet as well, such as a broken database and what is `known`, is raised."""
    raised: tuple[type[Exception], ...] = (DigestError, OSError, *known)
    try:
        yield
    except raised:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        fault(f"{where}: {said}; it stays where it is, please report it")
