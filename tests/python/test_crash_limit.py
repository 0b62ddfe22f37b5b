"""A task that takes its engines along is given to so many and no more, also by a controller that was started again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from helpers import engine_pids, until
from test_controller_restart import kill_controller

from ipclusterz import Cluster, EngineError

SECONDS = 30


def die_with(folder: str, gate: str) -> None:
    """Note the engine's process in a folder, wait for the gate of that engine, and end the process as a fault would."""
    import os
    import signal
    import time

    number = len(os.listdir(folder))
    with open(f"{folder}/{os.getpid()}", "w"):
        pass
    while not os.path.exists(f"{gate}{number}"):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def open_gates(gate: Path, numbers: Iterable[int]) -> None:
    for number in numbers:
        Path(f"{gate}{number}").touch()


def taken(folder: Path) -> set[int]:
    return {int(file.name) for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where each engine that is taken along leaves its pid."""
    made = tmp_path / "taken"
    made.mkdir()
    return made


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_task_takes_no_more_engines_along_than_it_may(
    limit: int, own_cluster: Callable[..., Cluster], folder: Path, gate: Path
) -> None:
    cluster = own_cluster(4, controller={"crash_limit": limit})
    open_gates(gate, range(9))
    with cluster.connect_client() as rc:
        view = rc.load_balanced_view()
        view.retries = 10
        result = view.apply_async(die_with, str(folder), str(gate))
        with pytest.raises(EngineError) as raised:
            result.get(SECONDS)
        assert len(taken(folder)) == limit
        for pid in taken(folder):
            assert f"(pid {pid} on " in str(raised.value)
        assert (f"{limit} engines died one after the other" in str(raised.value)) == (limit > 1)
        assert ("(controller.crash_limit)" in str(raised.value)) == (limit > 1)
        until(lambda: len(rc.ids) == 4 - limit, SECONDS)
        assert view.apply_sync(abs, -7) == 7


def test_retries_may_end_before_the_limit(own_cluster: Callable[..., Cluster], folder: Path, gate: Path) -> None:
    cluster = own_cluster(3)
    open_gates(gate, range(9))
    with cluster.connect_client() as rc:
        view = rc.load_balanced_view()
        view.retries = 1
        with pytest.raises(EngineError, match="2 engines died one after the other") as raised:
            view.apply_async(die_with, str(folder), str(gate)).get(SECONDS)
        assert "crash_limit" not in str(raised.value)


def test_the_next_controller_goes_on_counting(own_cluster: Callable[..., Cluster], folder: Path, gate: Path) -> None:
    cluster = own_cluster(2, restart=True, controller={"crash_limit": 2})
    with cluster.connect_client() as rc:
        view = rc.load_balanced_view()
        view.retries = 10
        before = set(engine_pids(rc).values())
        result = view.apply_async(die_with, str(folder), str(gate))
        until(lambda: len(taken(folder)) == 1, SECONDS)
        kill_controller(cluster)
        open_gates(gate, [0])
        until(lambda: len(taken(folder)) == 2, SECONDS)
        kill_controller(cluster)
        open_gates(gate, [1])
        with pytest.raises(EngineError, match="2 engines died one after the other"):
            result.get(SECONDS)
        assert len(taken(folder)) == 2
        until(lambda: len(set(engine_pids(rc).values()) - before) == 2, SECONDS, "they are not started again")
