"""Who holds a lease, and when they are certainly gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from digest.deliver import owner

linux = pytest.mark.skipif(not owner.me("x").partition("/")[0], reason="needs Linux's /proc")


def of(pid: int) -> str:
    """The owner's name that process `pid` would have."""
    place = owner.me("x").partition("/")[0]
    return f"{place}/{pid}/{owner._started(pid)}/x"


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_this_process_is_not_gone():
    assert not owner.gone(owner.me("run"))


@linux
def test_a_process_that_was_killed_is_gone_even_before_its_parent_looks(sleeper):
    name = of(sleeper.pid)
    alive = owner.gone(name)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    corpse = owner.gone(name)
    sleeper.wait()
    assert (alive, corpse, owner.gone(name)) == (False, True, True)


@linux
def test_another_process_under_the_same_number_is_not_the_owner(sleeper):
    place, pid, _, mark = of(sleeper.pid).split("/")
    assert owner.gone(f"{place}/{pid}/1/{mark}")


@linux
def test_a_process_that_the_system_hides_is_taken_for_alive(sleeper, monkeypatch, tmp_path):
    name = of(sleeper.pid)
    monkeypatch.setattr(owner, "PROC", tmp_path)
    assert not owner.gone(name)


@linux
def test_a_process_of_another_user_is_taken_for_alive(sleeper, monkeypatch, tmp_path):
    name = of(sleeper.pid)

    def refuse(pid, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(owner, "PROC", tmp_path)
    assert not owner.gone(name)


@pytest.mark.parametrize("name", ["", "x", "elsewhere/1/2/x", "//1/2", "a/b/c/d/e"])
def test_nothing_is_known_of_other_machines(name):
    assert not owner.gone(name)
