"""Engines that end at a known time, as those of a job do, and engines that are retired."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import hold, until

import ipclusterz as ipz
from ipclusterz import Client, Cluster, RejectedError
from ipclusterz.compat import OWN_PROCESS_GROUP

Start = Callable[..., Client]
HOUR = 3600.0


@pytest.fixture
def start(own_cluster: Callable[..., Cluster]) -> Iterator[Start]:
    """A client of a cluster with engine 0, and with engine 1 that is given these options."""
    processes: list[subprocess.Popen[bytes]] = []
    clients: list[Client] = []

    def start(*options: str) -> Client:
        cluster = own_cluster(n=1)
        file = cluster.report["engine_file"]
        command = [sys.executable, "-m", "ipclusterz.engine", "--connection-file", file, "--engine-id", "1", *options]
        processes.append(subprocess.Popen(command, **OWN_PROCESS_GROUP))
        clients.append(cluster.connect_client())
        clients[-1].wait_for_engines(2, timeout=20)
        return clients[-1]

    yield start
    for rc in clients:
        rc.close()
    for process in processes:
        process.kill()
        process.wait()


def ends_in(seconds: float) -> list[str]:
    return ["--end-time", str(time.time() + seconds)]


def engine(rc: Client, number: int) -> dict[str, Any]:
    return next(dict(each) for each in rc.status()["engines"] if each["id"] == number)


def test_a_draining_engine_takes_what_it_will_finish(start: Start) -> None:
    rc = start(*ends_in(HOUR), "--drain-before", str(2 * HOUR))
    assert engine(rc, 1)["state"] == "draining"
    assert HOUR - 60 < engine(rc, 1)["ends_in"] <= HOUR
    assert engine(rc, 0)["state"] == "idle"
    assert engine(rc, 0)["ends_in"] is None
    pid = rc[1].apply_sync(os.getpid)
    view = rc.load_balanced_view()
    assert pid not in set(view.map_sync(pid_after, [0.01] * 20))
    view.duration = 2 * HOUR
    assert pid not in set(view.map_sync(pid_after, [0.01] * 20, chunksize=1))
    view = rc.load_balanced_view(duration=60)
    assert pid in set(view.map_sync(pid_after, [0.01] * 40, chunksize=1))


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def test_what_waits_for_an_engine_that_ends_goes_to_the_next_one(start: Start) -> None:
    rc = start(*ends_in(HOUR), "--drain-before", str(2 * HOUR))
    rc.shutdown(targets=0)
    until(lambda: rc.ids == {1})
    result = rc[None].apply_async(os.getpid)
    until(lambda: rc.status()["pending"] == 1)
    rc[None].duration = 1.0
    assert rc.load_balanced_view(duration=1).apply_sync(os.getpid) == engine(rc, 1)["pid"]
    assert not result.ready()


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf")])
def test_durations_that_are_none(rc: Client, bad: float) -> None:
    with pytest.raises(ValueError, match=r"duration is a number of seconds, 0 or more, not "):
        rc.load_balanced_view(duration=bad)
    with pytest.raises(TypeError, match=r"duration is a number of seconds or None, not str"):
        rc[None].duration = "1"  # type: ignore[assignment]


def test_an_engine_is_retired_when_it_has_done_what_it_has(own_cluster: Callable[..., Cluster], gate: Path) -> None:
    cluster = own_cluster(n=2)
    with cluster.connect_client() as rc:
        running = rc[1].apply_async(hold, gate)
        behind = rc[1].apply_async(abs, -1)
        rc.retire(1)
        until(lambda: engine(rc, 1)["state"] == "draining")
        with pytest.raises(RejectedError, match="engine 1 is being retired and takes nothing new"):
            rc[1].apply_sync(abs, -1)
        assert set(rc[None].map_sync(lambda _: os.getpid(), range(20))) == {engine(rc, 0)["pid"]}
        assert rc.ids == {0, 1}
        gate.touch()
        assert running.get(timeout=20) > 0
        assert behind.get(timeout=20) == 1
        until(lambda: rc.ids == {0})


# -- before_end --------------------------------------------------------------------------------------------------------


def wait_for_the_end(patience: float) -> list[float]:
    """Runs until it is told that the end is near."""
    told: list[float] = []
    ipz.before_end(told.append)
    deadline = time.monotonic() + patience
    while not told and time.monotonic() < deadline:
        pass
    return told


def test_running_code_is_told_of_the_end(start: Start) -> None:
    rc = start(*ends_in(HOUR), "--warn-before", str(HOUR - 4))
    (left,) = rc[1].apply_sync(wait_for_the_end, 30)
    assert HOUR - 60 < left < HOUR - 3


def test_an_idle_engine_calls_what_it_was_given(start: Start, tmp_path: Path) -> None:
    rc = start()
    rc[1].apply_sync(leave_a_note, str(tmp_path / "note"))
    os.kill(engine(rc, 1)["pid"], signal.SIGUSR1)
    # Nobody told this engine when it ends: then what is left is the time of warning.
    until(lambda: (tmp_path / "note").exists() and (tmp_path / "note").read_text() == "60.0")
    assert rc[1].apply_sync(abs, -1) == 1


def leave_a_note(path: str) -> None:
    ipz.before_end(lambda seconds: Path(path).write_text(str(seconds)))


def test_each_function_is_called_once_in_order_and_errors_are_printed(rc: Client) -> None:
    result = rc[0].apply_async(with_hooks)
    assert result.get() == ["first", "second", "third"]
    assert "ZeroDivisionError" in result.stderr
    assert "called before the end" in result.stderr
    assert "engine 0 will be ended in 60 s" in result.stderr


def with_hooks() -> list[str]:
    called: list[str] = []

    @ipz.before_end
    def first(_seconds: float) -> None:
        called.append("first")

    @ipz.before_end
    def broken(_seconds: float) -> None:
        called.append("second")
        raise ZeroDivisionError

    ipz.before_end(lambda _seconds: called.append("third"))
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGUSR1)
    return called


def test_it_is_for_engines() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)before_end is for code on an engine.*hint: "):
        ipz.before_end(print)
    with pytest.raises(TypeError, match=r"a function is needed, not int"):
        ipz.before_end(3)  # type: ignore[type-var]
