"""What nobody refers to is freed, and nothing grows with the number of calls."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from helpers import engine_pid, hold, until

from ipclusterz import Client, Cluster

MIB = 1 << 20

# Answers are acknowledged in batches, and kept by the controller until then: 64 of them, or this many bytes.
UNACKNOWLEDGED = MIB


def resident(pid: int | None = None) -> int:
    gc.collect()
    return psutil.Process(pid).memory_info().rss


def test_results_that_are_dropped_are_freed(rc: Client) -> None:
    def eight_mebibytes() -> np.ndarray:
        import numpy

        return numpy.ones(MIB)

    rc[0].apply_sync(eight_mebibytes)
    before = resident()
    for _ in range(40):
        rc[0].apply_sync(eight_mebibytes)
    for _ in range(40):
        rc[0].apply_async(eight_mebibytes)
    rc[0].apply_sync(abs, -1)
    until(lambda: rc.status()["held_bytes"] < UNACKNOWLEDGED, message=lambda: str(rc.status()))
    assert resident() - before < 100 * MIB


def test_an_array_lives_as_long_as_its_last_view(rc: Client) -> None:
    array = rc[0].apply_sync(np.arange, 100_000)
    gc.collect()
    assert int(array[-1]) == 99_999
    part = array[10:20]
    del array
    gc.collect()
    assert part.tolist() == list(range(10, 20))
    part += 1
    assert part[0] == 11


def test_a_result_can_be_dropped_before_it_comes(rc: Client, gate: Path) -> None:
    results = [rc[0].apply_async(hold, str(gate), "running")]
    until(lambda: "running" in results[0].stdout)
    reference = weakref.ref(results.pop())
    gc.collect()
    assert reference() is None
    gate.touch()
    assert rc[0].apply_sync(abs, -1) == 1
    until(lambda: rc.status()["held_bytes"] < UNACKNOWLEDGED)


def test_nothing_grows_with_the_number_of_calls(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2)
    with cluster.connect_client() as rc:
        view = rc.load_balanced_view()
        processes = [None, rc.status()["pid"], engine_pid(rc, 0), engine_pid(rc, 1)]

        def burst(count: int) -> None:
            for _ in range(count // 1000):
                for result in [view.apply_async(abs, -number) for number in range(1000)]:
                    result.get()

        burst(10_000)
        before = [resident(pid) for pid in processes]
        burst(20_000)
        growth = [resident(pid) - size for pid, size in zip(processes, before)]
        assert max(growth) < 4 * MIB, growth
        until(lambda: rc.status()["held_bytes"] < UNACKNOWLEDGED)


def test_a_client_that_is_dropped_goes_away(cluster: Cluster, rc: Client) -> None:
    clients = rc.status()["clients"]
    other = Client(cluster=cluster.name)
    until(lambda: rc.status()["clients"] == clients + 1)
    del other
    gc.collect()
    until(lambda: rc.status()["clients"] == clients)


def test_many_clients_leave_no_descriptors(cluster: Cluster) -> None:
    def connect() -> None:
        with cluster.connect_client() as rc:
            assert rc[0].apply_sync(abs, -1) == 1

    connect()
    process = psutil.Process()
    before = process.num_fds()
    for _ in range(20):
        connect()
    # libzmq closes its own in the background.
    until(lambda: process.num_fds() <= before + 10)
