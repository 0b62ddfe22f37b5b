"""Engines that are forked from one process: each is as one that was started by itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from helpers import engine_pids, is_over, until
from test_engine_command import start as start
from test_engine_command import wait_for_interrupt

from ipclusterz import Client, Cluster, ClusterError, EngineError

THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


def server_of(rc: Client) -> psutil.Process:
    """The process that the engines were forked from."""
    [parent] = set(rc[:].apply_sync(os.getppid).values())
    return psutil.Process(parent)


def log_of(cluster: Cluster, name: str) -> str:
    return (Path(cluster.report["log_directory"]) / name).read_text()


def what_it_is() -> dict[str, Any]:
    """On an engine: what tells it apart from others."""
    import gc
    import random

    import numpy

    descriptors = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return {
        "argv": sys.argv[1:],
        "cmdline": Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0"),
        "folder": os.getcwd(),
        "variable": os.environ["LAB"],
        "logs": {link for link in map(os.readlink, filter(os.path.lexists, descriptors)) if link.endswith(".log")},
        "input": os.readlink("/proc/self/fd/0"),
        "group": os.getpgrp() == os.getpid(),
        "random": (random.random(), numpy.random.rand()),
        "collected": gc.isenabled(),
        "frozen": gc.get_freeze_count() > 0,
        "reaps": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, []),
    }


def test_each_has_what_is_its_own(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    engines = {"preload": ["random", "numpy.random"], "env": {"LAB": "blue"}, "directory": str(tmp_path)}
    cluster = own_cluster(3, engines=engines)
    with cluster.connect_client() as rc:
        found = rc[:].apply_sync(what_it_is)
        logs = Path(cluster.report["log_directory"])
        for engine, own in found.items():
            assert own["argv"][2:4] == ["--engine-id", str(engine)]
            assert own["cmdline"][1:] == ["-m", "ipclusterz.engine", *own["argv"]]
            assert (own["folder"], own["variable"]) == (str(tmp_path), "blue")
            assert own["logs"] == {str(logs / f"engine-{engine}.log")}
            assert (own["input"], own["blocked"]) == ("/dev/null", set())
            assert [own[name] for name in ("group", "collected", "frozen", "reaps")] == [True] * 4
        for which in range(2):
            assert len({own["random"][which] for own in found.values()}) == 3
        server = server_of(rc)
        assert server.num_threads() == 1
        assert not [name for name in os.listdir(f"/proc/{server.pid}/fd") if "engine-" in name]
        assert rc[1].apply_sync(os.system, "echo from a child") == 0
        until(lambda: log_of(cluster, "engine-1.log").splitlines()[-1] == "from a child")
        assert log_of(cluster, "forks.log") == ""


def test_modules_that_are_preloaded_are_there(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(2, engines={"preload": ["numpy.linalg", "wave"]}).connect_client() as rc:
        there = rc[:].apply_sync(eval, "[name in __import__('sys').modules for name in ('numpy.linalg', 'wave')]")
        assert there == {0: [True, True], 1: [True, True]}
        product = rc[:].apply_sync(np.dot, np.eye(200), np.eye(200))
        assert all((found == np.eye(200)).all() for found in product.values())
        assert server_of(rc).num_threads() == 1


@pytest.mark.parametrize("fork", [True, False])
def test_a_module_that_cannot_be_preloaded_ends_the_start(
    fork: bool, own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("def lab():\n    raise ValueError('no way')\n\nlab()\n")
    engines = {"fork": fork, "preload": ["wave", "broken"], "directory": str(tmp_path)}
    with pytest.raises(ClusterError) as caught:
        own_cluster(2, engines=engines)
    said = str(caught.value)
    assert "engines.preload: broken cannot be imported: ValueError: no way" in said
    assert "in lab" in said, "the traceback"


def test_a_module_that_starts_threads_is_refused(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(THREADED)
    engines = {"preload": ["threaded"], "directory": str(tmp_path)}
    with pytest.raises(ClusterError, match=r"engines\.preload: threaded starts a thread, which a fork does not have"):
        own_cluster(2, engines=engines)
    with own_cluster(1, engines=engines | {"fork": False}).connect_client() as rc:
        assert rc[0].apply_sync(eval, "'threaded' in __import__('sys').modules")


@pytest.mark.parametrize("fork", [True, False])
def test_a_module_that_starts_a_cluster_is_refused(
    fork: bool, own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    (tmp_path / "recursive.py").write_text("import ipclusterz\n\nipclusterz.Cluster(2).start()\n")
    with pytest.raises(ClusterError, match=r"recursive\.py.* starts a cluster when it is imported"):
        own_cluster(1, engines={"fork": fork, "preload": ["recursive"], "directory": str(tmp_path)})


@pytest.mark.parametrize("engines", [{"fork": False}, {"wrap": ["env", "LAB=blue"]}])
def test_others_are_started_one_by_one(own_cluster: Callable[..., Cluster], engines: dict[str, Any]) -> None:
    cluster = own_cluster(2, engines=engines)
    with cluster.connect_client() as rc:
        assert server_of(rc).pid == cluster.report["launcher_pid"]
        assert set(rc[:].apply_sync(os.getenv, "LAB").values()) == {"blue" if "wrap" in engines else None}


def test_the_setup_runs_before_all_of_them(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    lines = ["cat >/dev/null", f"echo once >>{tmp_path}/runs", "echo to the log; export LAB=blue"]
    cluster = own_cluster(3, engines={"setup": lines})
    with cluster.connect_client() as rc:
        assert set(rc[:].apply_sync(os.getenv, "LAB").values()) == {"blue"}
        assert (tmp_path / "runs").read_text() == "once\n"
        assert log_of(cluster, "forks.log") == "to the log\n"


# One that is asked to end kills its group, itself included.
@pytest.mark.parametrize(
    ("number", "how"),
    [
        (signal.SIGKILL, "signal: 9 (SIGKILL)"),
        (signal.SIGSEGV, "signal: 11 (SIGSEGV)"),
        (signal.SIGTERM, "signal: 9 (SIGKILL)"),
    ],
)
def test_how_one_ended_is_told_and_it_is_started_again(
    own_cluster: Callable[..., Cluster], number: int, how: str
) -> None:
    with own_cluster(2, restart=True).connect_client() as rc:
        before, server = engine_pids(rc), server_of(rc)
        child = rc[1].apply_sync(sleeper)
        with pytest.raises(EngineError, match=re.escape(how)):
            rc[1].apply_sync(kill_this, number)
        until(lambda: engine_pids(rc).get(1, before[1]) != before[1], 30, "started again")
        assert rc[1].apply_sync(os.getppid) == server.pid
        assert engine_pids(rc)[0] == before[0]
        until(lambda: is_over(child), 10, "what it had started ends with it")


def sleeper() -> int:
    return subprocess.Popen(["sleep", "1000"]).pid


def kill_this(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.pause()


def test_engines_end_with_their_server_and_come_back_with_another(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(3, restart=True).connect_client() as rc:
        before, server = engine_pids(rc), server_of(rc)
        call = rc[2].apply_async(wait_for_interrupt)
        until(lambda: call.stdout)
        server.kill()
        with pytest.raises(EngineError, match=r"forked from has ended: signal: 9 \(SIGKILL\)"):
            call.get(timeout=30)
        until(lambda: len(engine_pids(rc)) == 3 and not set(engine_pids(rc).values()) & set(before.values()), 30)
        until(lambda: all(map(is_over, before.values())), 10)
        assert server_of(rc).pid != server.pid


def test_a_server_that_is_stopped_does_not_hold_the_end_up(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        server_of(rc).suspend()
    begun = time.monotonic()
    cluster.stop()
    assert time.monotonic() - begun < 7
    assert not list(Path(cluster.report["log_directory"]).parent.glob("*.json"))


def test_a_server_that_is_killed_before_it_is_ready_is_told_of(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    (tmp_path / "deadly.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(ClusterError, match=r"signal: 9 \(SIGKILL\)"):
        own_cluster(2, engines={"preload": ["deadly"], "directory": str(tmp_path)})


def test_a_server_that_never_becomes_ready_is_given_up(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("print('importing')\nimport sys, time\nsys.stdout.flush()\ntime.sleep(1000)\n")
    with pytest.raises(ClusterError, match=r"did not register within 2 s") as caught:
        own_cluster(2, timeout=2, engines={"preload": ["endless"], "directory": str(tmp_path)})
    assert "importing" in str(caught.value)


def test_an_interrupt_reaches_the_task_alone(own_cluster: Callable[..., Cluster]) -> None:
    with own_cluster(2).connect_client() as rc:
        call = rc[0].apply_async(wait_for_interrupt)
        until(lambda: call.stdout)
        rc[0].interrupt()
        assert call.get(timeout=20) == "interrupted"
        server_of(rc).send_signal(signal.SIGINT)
        assert rc.ids == {0, 1}
        assert len(rc[:].apply_sync(os.getpid)) == 2


def test_processes_that_an_engine_starts(own_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    with own_cluster(2, engines={"preload": ["numpy"]}).connect_client() as rc:
        assert rc[0].apply_sync(fork_one) == 7
        assert rc[0].apply_sync(run_one) == "blue\n"
        for method in ("fork", "spawn", "forkserver"):
            assert rc[0].apply_sync(pool_of, method) == [0, 1, 4], method
        rc[1].apply_sync(at_exit, str(tmp_path / "left"))
        rc.shutdown(targets=1)
        until((tmp_path / "left").exists, 10)


def fork_one() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_one() -> str:
    return subprocess.run(["echo", "blue"], capture_output=True, text=True, check=True).stdout


def pool_of(method: str) -> list[int]:
    import multiprocessing

    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(abs, [0, -1, 4])


def at_exit(path: str) -> None:
    import atexit

    atexit.register(Path(path).touch)


def test_a_fault_leaves_its_traceback_in_the_log_of_its_engine(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        with pytest.raises(EngineError, match=r"signal: 11 \(SIGSEGV\)"):
            rc[1].apply_sync(eval, "__import__('faulthandler')._sigsegv()")
        assert "Fatal Python error: Segmentation fault" in log_of(cluster, "engine-1.log")
        assert "Fatal" not in log_of(cluster, "engine-0.log")


def test_later_engines_are_forked_too(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(1)
    with cluster.connect_client() as rc:
        server = server_of(rc)
        command = [sys.executable, "-m", "ipclusterz", "scale", "--cluster", cluster.report["cluster"], "+2"]
        subprocess.run(command, check=True, capture_output=True)
        until(lambda: rc.ids == {0, 1, 2}, 20)
        assert server_of(rc).pid == server.pid


def test_the_parent_of_a_job_forks(start: Callable[..., Any]) -> None:
    rc, process = start("--engines", "2", "--first-engine-id", "5", "--fork", "--preload", "wave")
    until(lambda: rc.ids == {0, 5, 6})
    assert rc[5, 6].apply_sync(eval, "'wave' in __import__('sys').modules") == {5: True, 6: True}
    assert rc[5, 6].apply_sync(os.getppid) == {5: process.pid, 6: process.pid}
    assert rc[6].apply_sync(lambda: sys.argv[-2:]) == ["--drain-before", "120.0"]
    engines = psutil.Process(process.pid).children()
    assert psutil.Process(process.pid).num_threads() == 1
    os.kill(rc[5].apply_sync(os.getpid), signal.SIGKILL)
    until(lambda: rc.ids == {0, 6})
    process.kill()
    psutil.wait_procs(engines, timeout=20)
    until(lambda: rc.ids == {0})


def test_the_parent_of_a_job_says_what_cannot_be_preloaded(start: Callable[..., Any]) -> None:
    _, process = start("--engines", "2", "--fork", "--preload", "nosuchmodule")
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert "error: engines.preload: nosuchmodule cannot be imported: ModuleNotFoundError" in errors


@pytest.mark.parametrize("of", [["--engines", "2", "--first-engine-id", "5"], ["--engine-id", "6"]])
def test_the_parent_of_a_job_forks_again(start: Callable[..., Any], tmp_path: Path, of: list[str]) -> None:
    words = tmp_path / "words"
    words.touch()
    rc, process = start(*of, "--fork", "--again", str(words))
    there = {0, 5, 6} if "--engines" in of else {0, 6}
    until(lambda: rc.ids == there)
    before = rc[6].apply_sync(os.getpid)
    os.kill(before, signal.SIGKILL)
    until(lambda: rc.ids == there - {6})
    words.write_text("engine 6: signal: 9 (SIGKILL)\n")
    until(lambda: rc.ids == there)
    assert rc[6].apply_sync(os.getpid) != before
    assert rc[6].apply_sync(os.getppid) == process.pid
    call = rc[6].apply_async(wait_for_interrupt)
    until(lambda: call.stdout)
    os.kill(process.pid, signal.SIGINT)
    assert call.get(timeout=20) == "interrupted"
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL
