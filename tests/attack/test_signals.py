"""Signals to every process of a cluster while work goes on: it goes on or ends in time, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from helpers import until

from ipclusterz import Client, Cluster, ControllerUnreachable, EngineError, UnknownEngine

PROGRAM = Path(sysconfig.get_path("scripts")) / "ipclusterz"
WHOLE = os.environ.get("ATTACK") == "whole"
SECONDS = 15

# Stopping is another matter: a process that is stopped may go on.
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT}
SIGNALS = [number for number in signal.Signals if number not in STOPPING and number < signal.SIGRTMIN]
# What no process minds.
HARMLESS = {signal.SIGPIPE, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGXFSZ}
# What an engine is interrupted by, and what its launcher takes for a word about its parent.
BY_PROCESS = {"engine": {signal.SIGINT, signal.SIGUSR1}, "controller": set(), "launcher": {signal.SIGUSR1}}
# What asks a controller to end. It is started again after any other that ends it.
ASKED = {signal.SIGINT, signal.SIGTERM}
# The standard library's handler lets a first one pass that no fault of memory has caused.
FAULTS = {signal.SIGSEGV, signal.SIGBUS}


def attacks(process: str) -> list[signal.Signals]:
    """All of them, or two that end it and two that do not."""
    some = {signal.SIGKILL, signal.SIGTERM, signal.SIGXFSZ, signal.SIGPIPE}
    return SIGNALS if WHOLE else [number for number in SIGNALS if number in some]


def name(number: signal.Signals) -> str:
    return number.name


def launcher_pid(cluster: Cluster) -> int:
    record = Path(cluster.report["client_file"]).with_name("cluster.json")
    return int(json.loads(record.read_text())["launcher"]["pid"])


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def seven(rc: Client, engine: int) -> None:
    assert rc[engine].apply_async(int, "7").get(timeout=SECONDS) == 7


@pytest.mark.parametrize("number", attacks("engine"), ids=name)
def test_an_engine_ends_and_says_how_or_goes_on(number, own_cluster: Callable[..., Cluster], faults) -> None:
    with own_cluster(n=2).connect_client() as rc:
        pid = rc[0].apply_sync(os.getpid)
        task = rc[0].apply_async(time.sleep, 0.3)
        os.kill(pid, number)
        if number in HARMLESS | BY_PROCESS["engine"]:
            task.wait(SECONDS)
            seven(rc, 0)
            outcome = "the engine goes on"
        else:
            # SIGTERM ends an engine with all that it has started: that is a SIGKILL to its group.
            told = signal.SIGKILL.name if number == signal.SIGTERM else number.name
            with pytest.raises((EngineError, UnknownEngine), match=told):
                task.get(timeout=SECONDS)
            outcome = "the engine dies, and the error names the signal"
        seven(rc, 1)
    faults.survived("signals", f"{number.name} to an engine", 1, outcome)


@pytest.mark.parametrize("process", ["controller", "launcher"])
@pytest.mark.parametrize("number", attacks("controller"), ids=name)
def test_the_cluster_ends_at_once_or_goes_on(process: str, number, own_cluster: Callable[..., Cluster], faults) -> None:
    cluster = own_cluster(n=2)
    with cluster.connect_client() as rc:
        engines = rc[:].apply_sync(os.getpid)
        pid = rc.status()["pid"] if process == "controller" else launcher_pid(cluster)
        task = rc[0].apply_async(time.sleep, 0.3)
        os.kill(pid, number)
        if number in HARMLESS | BY_PROCESS[process] | FAULTS:
            assert task.get(timeout=SECONDS) is None
            seven(rc, 1)
            outcome = "the cluster goes on"
        elif process == "controller" and number not in ASKED:
            assert task.get(timeout=SECONDS) is None
            seven(rc, 1)
            assert rc[:].apply_sync(os.getpid) == engines
            outcome = "it is started again, and the cluster goes on"
        else:
            began = time.monotonic()
            with contextlib.suppress(EngineError, ControllerUnreachable):
                task.get(timeout=SECONDS)
            with pytest.raises((EngineError, ControllerUnreachable, UnknownEngine)):
                until(lambda: rc[1].apply_async(int, "7").get(timeout=SECONDS) != 7, SECONDS)
            until(lambda: not any(map(lives, engines.values())), SECONDS, "engines outlive the cluster")
            assert time.monotonic() - began < SECONDS
            outcome = "calls fail within seconds, and every process ends"
            if process == "launcher":
                # Nobody is left who could remove its files.
                gc = [PROGRAM, "gc", "--cluster", cluster.report["cluster"]]
                assert subprocess.run(gc, capture_output=True, timeout=SECONDS).returncode == 0
    faults.survived("signals", f"{number.name} to the {process}", 1, outcome)


FLOOD = """
import sys, time, ipclusterz
with ipclusterz.Client(sys.argv[1]) as rc:
    print("there", flush=True)
    view, large = rc.load_balanced_view(), bytes(1 << 20)
    while True:
        results = [view.apply_async(len, large) for _ in range(20)]
        results += [rc[:].apply_async(time.sleep, 0.001) for _ in range(20)]
        results[7].get()
"""


@pytest.mark.timeout(600)
def test_a_client_that_dies_in_the_middle_leaves_nothing(own_cluster: Callable[..., Cluster], faults) -> None:
    chance = random.Random(2)
    count = faults.times(4, 200)
    # Nobody comes back for what they have left.
    cluster = own_cluster(n=2, controller={"session_grace": 1})
    file = cluster.report["client_file"]
    segments = f"ipclusterz-*-{cluster.report['cluster']}-*/*"
    with cluster.connect_client() as rc:
        before = rc.status()
        for _ in range(count):
            command = [sys.executable, "-c", FLOOD, file]
            client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert client.stdout is not None
            client.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(chance.uniform(0, 0.1))
            client.send_signal(chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGABRT)))
            client.communicate(timeout=SECONDS)
            seven(rc, 0)
        until(lambda: rc.status()["clients"] == before["clients"], SECONDS, "dead clients are still there")
        until(lambda: rc.status()["pending"] == 0, SECONDS, "calls of dead clients are still there")
        # What engines still have of them is held until they have answered.
        most = before["held_bytes"] + 65536
        until(lambda: rc.status()["held_bytes"] <= most, SECONDS, "bytes of dead clients are still held")
        until(lambda: not list(Path("/dev/shm").glob(segments)), SECONDS, "segments of dead clients are still there")
    faults.survived(
        "signals", "SIGKILL, SIGTERM, SIGABRT to a client in the middle of its work", count, "nothing is left of it"
    )
