"""Signals to the processes of engines."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import engine_pid, hold, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, RemoteError


def _listen() -> None:
    import signal

    heard: list[int] = []
    globals()["heard"] = heard
    for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGRTMIN + 1):
        signal.signal(number, lambda number, _: heard.append(int(number)))


def _await(count: int) -> list[int]:
    from threading import Event
    from time import monotonic

    deadline = monotonic() + 20
    # Python runs handlers on the main thread, between instructions.
    while len(globals()["heard"]) < count and monotonic() < deadline:
        Event().wait(0.005)
    found: list[int] = globals()["heard"]
    return found


def _state(rc: Client, engine: int) -> str:
    state: str = next(each["state"] for each in rc.status()["engines"] if each["id"] == engine)
    return state


def test_busy_and_idle_engines_get_signals_by_number_and_name(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    rc = cluster.connect_client()
    rc[:].apply_bound(_listen).get()
    busy = rc[0].apply_bound(_await, 3)
    until(lambda: _state(rc, 0) == "busy")
    rc.send_signal(signal.SIGUSR2)
    cluster.signal_engines("SIGHUP", 0)
    rc.send_signal(signal.SIGRTMIN + 1, [0])
    assert sorted(busy.get(timeout=20)) == sorted([signal.SIGUSR2, signal.SIGHUP, signal.SIGRTMIN + 1])
    assert rc[1].apply_bound(_await, 1).get(timeout=20) == [signal.SIGUSR2]
    rc[1].send_signal("SIGUSR2", block=False)
    assert rc[1].apply_bound(_await, 2).get(timeout=20) == [signal.SIGUSR2] * 2


def test_sigint_is_an_interrupt(rc: Client, gate: Path) -> None:
    running = rc[1].apply_async(hold, str(gate), "begun")
    until(lambda: "begun" in running.stdout)
    rc.send_signal(signal.SIGINT, 1)
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        running.get(timeout=20)
    rc.send_signal("SIGINT")
    assert rc[:].apply_sync(abs, -1) == dict.fromkeys(range(4), 1)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_what_ends_an_engine(own_cluster: Callable[..., Cluster], name: str) -> None:
    rc = own_cluster(2).connect_client()
    rc.send_signal(name, 1)
    until(lambda: rc.ids == {0})
    assert rc[:].apply_sync(abs, -1) == {0: 1}


def test_an_engine_that_is_stopped_goes_on_or_is_killed(own_cluster: Callable[..., Cluster]) -> None:
    rc = own_cluster(2).connect_client()
    rc[:].apply_bound(_listen).get()
    pid = engine_pid(rc, 0)
    rc.send_signal("SIGSTOP", 0)
    until(lambda: _state(rc, 0) == "stopped")
    with pytest.raises(ipz.EngineError, match=r"engines \[0\] have not answered") as caught:
        rc.send_signal("SIGUSR2")
    assert "kill -CONT" in caught.value.hint
    rc.send_signal("SIGCONT", 0)
    # It has got what was sent meanwhile.
    assert rc[0].apply_bound(_await, 1).get(timeout=20) == [signal.SIGUSR2]
    assert engine_pid(rc, 0) == pid
    rc.send_signal("SIGSTOP", 0)
    until(lambda: _state(rc, 0) == "stopped")
    rc.send_signal("SIGKILL", 0)
    until(lambda: rc.ids == {1})
