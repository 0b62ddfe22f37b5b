"""Processes that are there and do not go on: stopped by a signal, by a debugger, or with their cgroup."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from helpers import engine_pid, until

from ipclusterz import Client, Cluster, ControllerUnreachable

IPCLUSTERZ = os.path.join(os.path.dirname(sys.executable), "ipclusterz")
# So long a command may take that says at once what it finds.
AT_ONCE = 2.5


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Stop processes, and let them go on again if they are still there."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        until(lambda pid=pid: state(pid) == "T", 5, "stopped")
    try:
        yield
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def command(*words: str, timeout: float = 30) -> tuple[int, str, float]:
    """Status, output and duration of a command."""
    begin = time.monotonic()
    done = subprocess.run([IPCLUSTERZ, *words], capture_output=True, text=True, timeout=timeout, check=False)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - begin


def states(rc: Client) -> list[str]:
    return [engine["state"] for engine in rc.status()["engines"]]


def test_a_stopped_engine_is_shown_as_stopped(own_cluster: Callable[..., Cluster], faults, capfd) -> None:
    cluster = own_cluster(2)
    times = faults.times(part=1, whole=10)
    with cluster.connect_client() as rc:
        for number in range(times):
            pid = engine_pid(rc, 1)
            with stopped(pid):
                assert states(rc) == ["idle", "stopped"]
                waiting = rc[1].apply_async(abs, -1)
                said = f"engine 1 (pid {pid}) is stopped by a signal: `kill -CONT {pid}` lets it go on"
                assert said in repr(waiting)
                assert not waiting.wait(2)
                # What was said last is not said again.
                assert (f"ipclusterz: {said}" in capfd.readouterr().err) == (number == 0)
                assert "  stopped  " in command("status", "--cluster", cluster.name)[1]
            assert waiting.get(10) == 1
            until(lambda: states(rc) == ["idle", "idle"])
    faults.survived("stopped", "an engine is stopped", times, "status, result and wait say so")


def test_a_stopped_controller_is_named_at_once(own_cluster: Callable[..., Cluster], faults, capfd) -> None:
    cluster = own_cluster(1)
    pid, name = cluster.report["controller_pid"], cluster.name
    said = f"(pid {pid}) is stopped by a signal"
    with cluster.connect_client() as rc, stopped(pid):
        for words in (["status"], ["scale", "+1"], ["wait", "-n", "2", "--timeout", "1"], ["abort"]):
            code, output, seconds = command(*words, "--cluster", name)
            assert code != 0
            assert said in output, words
            assert f"kill -CONT {pid}" in output, words
            assert seconds < AT_ONCE, words
        with pytest.raises(ControllerUnreachable, match="is stopped by a signal"):
            Client(cluster.report["client_file"])
        with pytest.raises(ControllerUnreachable, match="is stopped by a signal"):
            rc.status(timeout=1)
        assert said in repr(rc)
        waiting = rc[0].apply_async(abs, -1)
        assert not waiting.wait(2)
        assert said in capfd.readouterr().err
        os.kill(pid, signal.SIGCONT)
        assert waiting.get(10) == 1
    faults.survived("stopped", "the controller is stopped", 8, "commands and clients say so")


def test_a_stopped_launcher_is_named_at_once_and_stops(own_cluster: Callable[..., Cluster], faults) -> None:
    cluster = own_cluster(1)
    pid, name = cluster.report["launcher_pid"], cluster.name
    with stopped(pid):
        code, output, seconds = command("status", "--cluster", name)
        assert (code, seconds < AT_ONCE) == (0, True)
        assert f"the launcher (pid {pid}) is stopped by a signal: `kill -CONT {pid}`" in output
        code, output, seconds = command("scale", "+1", "--cluster", name)
        assert (code != 0, seconds < AT_ONCE) == (True, True)
        assert f"(pid {pid}) is stopped by a signal" in output
        code, output, seconds = command("stop", "--cluster", name)
        assert (code, seconds < 5) == (0, True), output
    faults.survived("stopped", "the launcher is stopped", 3, "named at once, and ended in seconds")


@pytest.mark.parametrize("which", ["launcher", "controller", "engine", "all"])
def test_a_cluster_whose_processes_are_stopped_ends(which: str, own_cluster: Callable[..., Cluster], faults) -> None:
    cluster = own_cluster(1)
    pids = {kind: cluster.report[f"{kind}_pid"] for kind in ("launcher", "controller")}
    pids["engine"] = cluster.report["engines"][0]["pid"]
    with stopped(*(pids.values() if which == "all" else [pids[which]])):
        code, output, seconds = command("stop", "--cluster", cluster.name)
        assert (code, seconds < 8) == (0, True), output
    faults.survived("stopped", "stop, with stopped processes", 1, "nothing is left")


TRACER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
pid = int(sys.argv[1])
assert libc.ptrace(PTRACE_SEIZE, pid, None, None) == 0, os.strerror(ctypes.get_errno())
assert libc.ptrace(PTRACE_INTERRUPT, pid, None, None) == 0
os.waitpid(pid, 0x40000000)
print("traced", flush=True)
sys.stdin.read()
"""


@contextmanager
def traced(pid: int) -> Iterator[None]:
    """Hold a process as a debugger does: its main thread, and no signal but SIGKILL ends that."""
    tracer = [sys.executable, "-c", TRACER, str(pid)]
    with subprocess.Popen(tracer, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "traced\n":
            pytest.fail("this process may not be traced")
        try:
            yield
        finally:
            process.communicate("", timeout=10)


def test_a_traced_launcher_is_killed_soon(own_cluster: Callable[..., Cluster], faults) -> None:
    cluster = own_cluster(1)
    pid, name = cluster.report["launcher_pid"], cluster.name
    with traced(pid):
        assert "is stopped by a debugger" in command("scale", "+1", "--cluster", name)[1]
        code, output, seconds = command("stop", "--cluster", name)
        assert (code, seconds < 8) == (0, True), output
        assert "its launcher was killed" in output
    faults.survived("stopped", "a debugger holds the launcher", 2, "named, and killed with all that it started")
