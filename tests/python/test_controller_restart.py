"""A controller that dies while its cluster goes on: its launcher starts it again, and nothing else changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import engine_pid, engine_pids, hold, until

from ipclusterz import Client, Cluster, EngineError

PROGRAM = Path(sysconfig.get_path("scripts")) / "ipclusterz"
SECONDS = 30


def controller(file: str | Path) -> int:
    """The pid of the controller that wrote a connection file."""
    return int(json.loads(Path(file).read_text())["controller"]["pid"])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(gone, SECONDS, f"{pid} lives on")


def kill_controller(cluster: Cluster) -> None:
    """Kill it, and wait for the next one."""
    file = cluster.report["client_file"]
    before = controller(file)
    kill(before)
    until(lambda: controller(file) != before, SECONDS, "no other controller came")


@contextmanager
def without_controller(cluster: Cluster) -> Iterator[None]:
    """The controller is dead, and the launcher hears of it when the block ends."""
    launcher = cluster.report["launcher_pid"]
    os.kill(launcher, signal.SIGSTOP)
    try:
        kill(controller(cluster.report["client_file"]))
        yield
    finally:
        os.kill(launcher, signal.SIGCONT)


def connected(cluster: Cluster, ids: set[int]) -> Client:
    """A new client, once these engines are there."""
    client = cluster.connect_client()
    until(lambda: client.ids == ids, SECONDS, lambda: f"there are {client.ids}")
    return client


def command(*words: str) -> Any:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=2 * SECONDS)


@pytest.mark.parametrize(
    "options",
    [{}, {"local": False}, {"journal": "off"}, {"local": False, "journal": "off"}],
    ids=["socket", "tcp", "socket-without-journal", "tcp-without-journal"],
)
def test_engines_keep_their_ids_processes_and_namespaces(options: dict, own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, controller=options)
    with cluster.connect_client() as rc:
        before = engine_pids(rc)
        rc[:].push({"kept": 17}, block=True)
    kill_controller(cluster)
    with connected(cluster, {0, 1}) as rc:
        assert engine_pids(rc) == before
        assert rc[:].pull("kept", block=True) == {0: 17, 1: 17}
    status = json.loads(command("status", "--json", "--cluster", cluster.name).stdout)
    assert (status["state"], status["controller"]["pid"]) == ("running", controller(cluster.report["client_file"]))


def test_ten_controllers_in_a_row(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    for number in range(10):
        kill_controller(cluster)
        with connected(cluster, {0, 1}) as rc:
            assert rc[:].apply_sync(abs, -number) == {0: number, 1: number}


def test_a_cluster_grows_and_shrinks_after_its_controller_was_started_again(
    own_cluster: Callable[..., Cluster],
) -> None:
    cluster = own_cluster(1)
    kill_controller(cluster)
    connected(cluster, {0}).close()
    for change, ids in (("+2", {0, 1, 2}), ("1", {0})):
        scaled = command("scale", change, "--cluster", cluster.name)
        assert scaled.returncode == 0, scaled.stderr
        with cluster.connect_client() as rc:
            assert rc.ids == ids


def test_an_engine_that_dies_while_there_is_no_controller_is_told_of_and_started_again(
    own_cluster: Callable[..., Cluster], gate: Path
) -> None:
    cluster = own_cluster(2, restart=True)
    with cluster.connect_client() as rc:
        task = rc[1].apply_async(hold, str(gate))
        died = engine_pid(rc, 1)
        until(lambda: rc.status()["engines"][1]["state"] == "busy", SECONDS)
        with without_controller(cluster):
            kill(died)
        with pytest.raises(EngineError, match="SIGKILL"):
            task.get(SECONDS)
        until(lambda: engine_pids(rc).get(1, died) != died, SECONDS, "it is not started again")


def test_a_cluster_in_the_background(tmp_path: Path) -> None:
    name = f"behind-{os.getpid()}"
    started = command("start", "-n", "1", "--daemonize", "--json", "--cluster", name)
    assert started.returncode == 0, started.stderr
    report = json.loads(started.stdout)
    try:
        before = controller(report["client_file"])
        kill(before)
        until(lambda: controller(report["client_file"]) != before, SECONDS)
        log = Path(report["log_directory"]) / "launcher.log"
        until(lambda: "the controller died (signal: 9 (SIGKILL)) and was started again in" in log.read_text(), SECONDS)
        listed = json.loads(command("list", "--json", "--cluster", name).stdout)
        assert [cluster["state"] for cluster in listed["clusters"]] == ["running"]
        assert command("wait", "-n", "1", "--timeout", str(SECONDS), "--cluster", name).returncode == 0
    finally:
        stopped = command("stop", "--json", "--cluster", name)
    assert stopped.returncode == 0, stopped.stderr
    [cluster] = json.loads(stopped.stdout)["stopped"]
    assert (cluster["forced"], cluster["killed"]) == (False, [])
    assert not Path(report["client_file"]).exists()
