"""Output faster than it is read: nothing is lost to a client that reads, and nobody's memory fills up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import engine_pid, hold, until
from meddler import offering, tcp_address

from ipclusterz import Client, Cluster

_MIB = 1 << 20
_GROWTH = 100 * _MIB


def pour(lines: int) -> int:
    """On an engine: print lines of 1,000 bytes as fast as possible, and tell how large its process is."""
    for number in range(lines):
        print(f"{number:09} {'x' * 989}")
    return memory(os.getpid())


def memory(pid: int) -> int:
    pages: int = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def over_tcp(cluster: Cluster, file: Path) -> Client:
    return Client(offering(cluster.report, tcp_address(cluster.report), file))


@pytest.mark.parametrize("listen", [None, "127.0.0.1:0"], ids=["unix", "tcp"])
def test_what_is_printed_at_full_speed_arrives_whole(
    own_cluster: Callable[..., Cluster], faults: Any, listen: str | None, tmp_path: Path
) -> None:
    tasks, lines = faults.times(8, 50), 20_000
    cluster = own_cluster(2, listen=listen)
    with cluster.connect_client() if listen is None else over_tcp(cluster, tmp_path / "client.json") as rc:
        controller = cluster.report["controller_pid"]
        before = [rc[0].apply_sync(pour, 0), memory(controller), memory(os.getpid())]
        largest = before.copy()
        for _ in range(tasks // 2):
            pair = [rc[engine].apply_async(pour, lines) for engine in (0, 1)]
            for result in pair:
                result.quiet = True
                largest[0] = max(largest[0], result.get())
                text = result.stdout
                assert len(text) == lines * 1000
                assert text.endswith(f"{lines - 1:09} {'x' * 989}\n")
            largest[1:] = max(largest[1], memory(controller)), max(largest[2], memory(os.getpid()))
            del pair, result, text
    assert largest[0] - before[0] < _GROWTH, (before, largest)
    assert largest[1] - before[1] < _GROWTH, (before, largest)
    assert largest[2] - before[2] < 3 * _GROWTH, "what the results of two tasks keep, and copies for the test"
    faults.survived("network", "MB printed at full speed", tasks * lines // 1000, "all of it arrives")


def test_a_stopped_controller_holds_printing_up(own_cluster: Callable[..., Cluster], faults: Any) -> None:
    cluster = own_cluster(1)
    controller = psutil.Process(cluster.report["controller_pid"])
    with cluster.connect_client() as rc:
        engine = engine_pid(rc, 0)
        before = memory(engine)
        result = rc[0].apply_async(pour, 100_000)
        result.quiet = True
        until(lambda: len(result.stdout) > 1000)
        controller.suspend()
        seconds, begin, largest = faults.times(2, 7), time.monotonic(), 0

        def is_over() -> bool:
            nonlocal largest
            largest = max(largest, memory(engine))
            return time.monotonic() - begin > seconds

        until(is_over)
        controller.resume()
        result.get()
        assert len(result.stdout) == 100_000_000
    assert largest - before < _GROWTH, f"{before} to {largest} bytes"
    faults.survived("stopped", f"a controller stopped for {seconds} s under a flood of output", 1, "nothing is lost")


_STOPPED = """
import sys
import ipclusterz as ipz

def pour():
    for _ in range(100_000):
        print("x" * 999)

rc = ipz.Client(sys.argv[1])
result = rc[0].apply_async(pour)
result.quiet = True
while not result.stdout and not result.ready():
    result.wait(0.01)
print("pours", flush=True)
result.get()
print(len(result.stdout), "left out" in result.stdout[-200:])
"""


@pytest.fixture
def stopped(own_cluster: Callable[..., Cluster]) -> Any:
    """A cluster, and a client whose task prints and which is stopped."""
    cluster = own_cluster(2)
    script = [sys.executable, "-c", _STOPPED, str(cluster.report["client_file"])]
    client = subprocess.Popen(script, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "pours\n"
    client.send_signal(signal.SIGSTOP)
    yield cluster, client
    client.kill()
    client.wait()
    client.stdout.close()


def test_a_stopped_client_holds_nobody_up_for_long(stopped: Any, faults: Any) -> None:
    cluster, client = stopped
    with cluster.connect_client() as rc:
        before = memory(cluster.report["controller_pid"])
        assert rc[1].apply_sync(abs, -1) == 1, "others go on meanwhile"
        # Behind the task that waits for its client.
        assert rc[0].apply_async(abs, -2).get(25) == 2
        assert memory(cluster.report["controller_pid"]) - before < _GROWTH
        client.send_signal(signal.SIGCONT)
        length, was_cut = client.communicate(timeout=20)[0].split()
        assert int(length) < 100_000_000
        assert was_cut == "True", "the note is at the end"
    faults.survived("stopped", "a client stopped while its task prints", 1, "its text is dropped with a note")


def test_an_interrupt_ends_a_print_that_waits(stopped: Any, faults: Any) -> None:
    cluster, _ = stopped
    begin = time.monotonic()
    with cluster.connect_client() as rc:
        behind = rc[0].apply_async(abs, -3)
        rc.interrupt(0)
        assert behind.get(5) == 3
        assert time.monotonic() - begin < 8
    faults.survived("signals", "an interrupt of a print that waits for its client", 1, "the task ends at once")


def test_a_client_that_is_killed_frees_its_engine_at_once(stopped: Any, faults: Any) -> None:
    cluster, client = stopped
    with cluster.connect_client() as rc:
        behind = rc[0].apply_async(abs, -4)
        client.kill()
        assert behind.get(8) == 4
    faults.survived("stopped", "a stopped client is killed while its task waits to print", 1, "the task goes on")


def test_threads_of_a_task_wait_too(cluster: Cluster, rc: Client, faults: Any) -> None:
    def pour_in_threads(threads: int, lines: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: [print("y" * 999) for _ in range(lines)], range(threads)))

    result = rc[0].apply_async(pour_in_threads, 4, 5000)
    result.quiet = True
    result.get()
    assert result.stdout.count("y") == 4 * 5000 * 999
    assert rc[0].apply_sync(hold, "/") > 0
    faults.survived("network", "MB printed by threads of one task", 20, "all of it arrives")
