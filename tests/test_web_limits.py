"""How often one client may ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.web.limits import CLIENTS, Limiter, client_of


class Clock:
    """Seconds in the hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_taken_and_then_it_waits() -> None:
    limiter = Limiter(3, 10, Clock())
    assert [limiter.wait("a") > 0 for _ in range(5)] == [False, False, False, True, True]


def test_it_says_how_long_to_wait_and_keeps_its_word() -> None:
    clock = Clock()
    limiter = Limiter(1, 10, clock)
    limiter.wait("a")
    clock.now += 4
    seconds = limiter.wait("a")
    assert 6 <= seconds <= 7
    clock.now += seconds
    assert limiter.wait("a") == 0


def test_one_client_does_not_spend_what_belongs_to_another() -> None:
    limiter = Limiter(1, 10, Clock())
    assert (limiter.wait("a"), limiter.wait("b")) == (0, 0)


def test_a_pause_earns_no_more_than_the_burst() -> None:
    clock = Clock()
    limiter = Limiter(2, 10, clock)
    limiter.wait("a")
    clock.now += 1e6
    assert [limiter.wait("a") > 0 for _ in range(3)] == [False, False, True]


def test_its_memory_is_bounded() -> None:
    limiter = Limiter(1, 10, Clock())
    for number in range(CLIENTS + 50):
        limiter.wait(str(number))
    assert len(limiter._buckets) == CLIENTS


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2:ffff::1", "2001:0db8:0001:0002"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_client_is_an_address_or_a_network_of_version_6(host: str | None, client: str) -> None:
    assert client == client_of(host)


@given(st.text())
def test_no_host_is_too_odd_to_count(host: str) -> None:
    assert client_of(host)
