"""The controls of clusters whose engines are the ranks of an MPI program."""

from __future__ import annotations

from pathlib import Path

import pytest
from clusters import START_SECONDS, mpi_cluster
from helpers import engine_pids, until

import ipclusterz as ipz

pytestmark = pytest.mark.timeout(START_SECONDS + 60)


def test_ranks_are_restarted_together_and_added_as_a_world_of_their_own(flavour: str, tmp_path: Path) -> None:
    with mpi_cluster(flavour, 2, tmp_path / f"controls-{flavour}") as name, ipz.Client(cluster=name) as rc:
        before = engine_pids(rc)
        with pytest.raises(ipz.ClusterError, match="engine 0 cannot be restarted without engine 1") as caught:
            rc.shutdown(0, restart=True)
        assert "name all of them" in caught.value.hint
        assert engine_pids(rc) == before
        rc.shutdown([0, 1], restart=True)
        after = engine_pids(rc)
        assert sorted(after) == [0, 1]
        assert not set(after.values()) & set(before.values())
        rc.mpi.wait_epoch(timeout=30)
        rc.push({"a": 21}, block=True)
        assert rc.mpi.allreduce("a", block=True) is not None
        # A world beside it.
        cluster = rc.cluster
        assert cluster.start_engines(2, timeout=START_SECONDS) == [2, 3]
        assert cluster.restart_engines([2, 3], timeout=START_SECONDS) == [2, 3]
        assert engine_pids(rc).items() >= after.items()
        cluster.signal_engines("SIGKILL", 3)
        until(lambda: engine_pids(rc).keys() & {0, 1} == {0, 1})
        assert rc[:2].apply_sync(abs, -1) == {0: 1, 1: 1}
