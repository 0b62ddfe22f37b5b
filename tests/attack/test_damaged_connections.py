"""Connections that are cut, fall silent or are damaged, at any byte from the first on.

The clients are in a process of their own: what goes wrong there is seen in how it ends.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import until
from meddler import Fault, Meddler, offering, tcp_address

from ipclusterz import Client, Cluster, error

# Fewer bytes than a handshake has in either direction.
HANDSHAKE = 300
# Silence is noticed within 8 s, and looked for every second.
SILENCE_SECONDS = 10.0

# Connects again and again, does a call each time, and prints how each ended.
CALLS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from ipclusterz import Client, IpclusterzError

def call(path):
    try:
        with Client(path, timeout=30) as rc:
            return "done" if rc[0].apply(abs, -1).get(timeout=30) == 1 else "wrong"
    except (IpclusterzError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}".replace("\\n", " ")

with ThreadPoolExecutor(24) as threads:
    print(*threads.map(call, sys.argv[1:]), sep="\\n")
"""


@pytest.fixture(scope="module")
def reachable() -> Iterator[Cluster]:
    cluster = Cluster(n=1, cluster=f"reachable-{os.getpid()}", listen="127.0.0.1:0").start()
    yield cluster
    cluster.stop()


def outcomes(cluster: Cluster, folder: Path, faults: list[Callable[[int], Fault | None]]) -> list[str]:
    """How a call of a client ends behind each of these meddlers; all at once, in another process."""
    address = tcp_address(cluster.report)
    meddlers = [Meddler(address, fault) for fault in faults]
    try:
        files = [offering(cluster.report, each.address, folder / f"{n}.json") for n, each in enumerate(meddlers)]
        run = subprocess.run([sys.executable, "-c", CALLS, *files], capture_output=True, text=True, timeout=110)
    finally:
        for meddler in meddlers:
            meddler.__exit__()
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout.splitlines()


def nth(faulty: int, fault: Fault) -> Callable[[int], Fault | None]:
    """This connection alone has this fault."""
    return lambda number: fault if number == faulty else None


def batches(cases: list[Any], size: int = 72) -> Iterator[list[Any]]:
    for begin in range(0, len(cases), size):
        yield cases[begin : begin + size]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["cut", "damage", "silence"])
def test_a_first_connection_that_fails_in_its_handshake_is_followed_by_another(what, reachable, tmp_path, faults):
    count = faults.times(part=24, whole=480)
    chance = random.Random(what)
    cases = [nth(0, Fault(what, chance.randrange(HANDSHAKE), chance.random() < 0.5)) for _ in range(count)]
    for batch in batches(cases):
        assert set(outcomes(reachable, tmp_path, batch)) == {"done"}
    faults.survived("network", f"first connection: {what} in the handshake", count, "another one is made")


@pytest.mark.timeout(600)
def test_damaged_bytes_end_a_connection_and_nothing_else(reachable, tmp_path, faults):
    count = faults.times(part=72, whole=2000)
    chance = random.Random(7)
    cases = [
        nth(chance.randrange(3), Fault("damage", chance.randrange(3000), chance.random() < 0.5)) for _ in range(count)
    ]
    for batch in batches(cases):
        # The length of a part may be what is damaged: then it may never come, and the caller's own time is over.
        assert {each.split(":")[0] for each in outcomes(reachable, tmp_path, batch)} <= {"done", "TimeoutError"}
        with reachable.connect_client() as rc:
            assert rc[:].apply_sync(abs, -1) == {0: 1}
    faults.survived("network", "bytes of a connection are damaged", count, "another one is made")


def test_a_refusal_is_told_from_a_broken_connection(reachable, own_cluster, tmp_path, faults) -> None:
    other = own_cluster(n=1, listen="127.0.0.1:0")
    file = offering(reachable.report, tcp_address(other.report), tmp_path / "client.json")
    began = time.monotonic()
    with pytest.raises(error.AuthenticationError, match="another controller's key"):
        Client(file, timeout=20)
    assert time.monotonic() - began < 5
    with (
        Meddler(tcp_address(reachable.report), lambda number: Fault("cut", 100)) as meddler,
        pytest.raises(error.ControllerUnreachable, match="closed during the handshake"),
    ):
        Client(offering(reachable.report, meddler.address, tmp_path / "cut.json"), timeout=2)
    faults.survived("network", "every connection is cut in its handshake", 1, "ControllerUnreachable, not refused")


@pytest.fixture
def engine_behind(reachable: Cluster, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts an engine that knows one address."""
    started = []

    def start(address: str) -> subprocess.Popen[bytes]:
        file = offering(reachable.report, address, tmp_path / "engine.json", "engine")
        command = [sys.executable, "-P", "-m", "ipclusterz.engine", "--connection-file", file]
        started.append(subprocess.Popen(command, process_group=0))
        return started[-1]

    yield start
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", ["stopped", "silent network"])
def test_silence_from_the_first_moment_is_noticed(how, reachable, engine_behind, faults) -> None:
    with Meddler(tcp_address(reachable.report)) as meddler, reachable.connect_client() as rc:
        process = engine_behind(meddler.address)
        rc.wait_for_engines(2, timeout=20)
        if how == "stopped":
            process.send_signal(signal.SIGSTOP)
        else:
            meddler.hush()
        until(lambda: rc.status()["engines"][1].get("away"), SILENCE_SECONDS)
        process.kill()
        process.wait()
        # The kernel tells of a process that has ended: it is not waited for.
        until(lambda: rc.ids == {0}, 5)
        faults.survived("network", f"{how} right after registration", 1, "noticed within 10 s")


def test_a_controller_that_is_silent_from_the_first_moment_is_noticed(own_cluster, tmp_path, faults) -> None:
    cluster = own_cluster(n=1, listen="127.0.0.1:0")
    with Meddler(tcp_address(cluster.report)) as meddler:
        file = offering(cluster.report, meddler.address, tmp_path / "client.json")
        with Client(file) as rc:
            meddler.hush()
            before = ports(meddler)
            until(lambda: not before & ports(meddler), SILENCE_SECONDS)
            assert rc.ids == {0}
    faults.survived("network", "the controller is silent from the first moment", 1, "noticed within 10 s")


def ports(meddler: Meddler) -> set[int]:
    """This process's ends of connections to the meddler."""
    port = int(meddler.address.rpartition(":")[2])
    mine = psutil.Process().net_connections("tcp")
    return {each.laddr.port for each in mine if each.raddr and each.raddr.port == port}
