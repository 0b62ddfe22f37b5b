"""Engines that are started again, and those that stay away; clusters without a unix socket."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy
import pytest
from helpers import engine_pid, engine_pids, until

from ipclusterz import Cluster, EngineError


def leave(status: int) -> None:
    """End this engine, as code that knows nothing of engines does."""
    os._exit(status)


@pytest.mark.parametrize("status", [0, 3])
def test_an_engine_that_ends_by_itself_is_started_again_whatever_its_status(
    status: int, own_cluster: Callable[..., Cluster]
) -> None:
    with own_cluster(2, restart=True).connect_client() as rc:
        before = engine_pid(rc, 0)
        with pytest.raises(EngineError, match=f"died: exit status: {status}"):
            rc[0].apply_sync(leave, status)
        until(lambda: engine_pids(rc).get(0, before) != before, 30, "started again")


def test_an_engine_that_was_shut_down_stays_away(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, restart=True)
    with cluster.connect_client() as rc:
        rc.shutdown(0)
        log = os.path.join(cluster.report["log_directory"], "launcher.log")

        def said() -> bool:
            with open(log) as file:
                return "was shut down" in file.read()

        until(lambda: rc.ids == {1}, 10)
        until(lambda: not os.path.exists(log) or said(), 10)
        # One that is started takes the place of one that died, and none does.
        rc[1].apply_async(leave, 0)
        before = cluster.report["engines"][1]["pid"]
        until(lambda: engine_pids(rc).get(1, before) != before, 30, "started again")
        assert rc.ids == {1}


def test_local_engines_without_a_unix_socket_use_the_loopback(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(2, controller={"local": False})
    assert all(address.startswith("tcp://127.0.0.1:") for address in cluster.report["addresses"])
    with cluster.connect_client() as rc:
        array = numpy.arange(1 << 18, dtype=float)
        assert (rc[0].apply_sync(lambda x: x + 1, array) == array + 1).all()
        assert rc.ids == {0, 1}
