"""Hooks and checkpoints in the engines of a cluster that loses one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from clusters import START_SECONDS, mpi_cluster

import ipclusterz as ipz

LIMIT = 60.0
CELL = """
from ipclusterz import mpi

u, called = f"of rank {comm.rank}", []
mpi.checkpoint(["u"], step=3)
u = "newer"

@mpi.on_reform
def fails(comm):
    called.append("fails")
    raise ValueError("no good")

@mpi.on_reform
def restores(comm):
    called.append((comm.epoch, comm.rank, comm.size))
    saved = mpi.restore(ranks=range)
    called.append([saved.values[rank]["u"] for rank in range(saved.size)])
"""


@pytest.mark.timeout(START_SECONDS + 2 * LIMIT)
def test_survivors_call_their_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where engines run, and so keep their files.
    monkeypatch.chdir(tmp_path)
    with mpi_cluster("openmpi", 3, tmp_path / "reform", "shrink") as name, ipz.Client(cluster=name) as rc:
        rc.block = True
        rc.mpi.wait_epoch(timeout=LIMIT)
        rc.mpi.execute(CELL)
        assert [path.name for path in tmp_path.glob(".ipclusterz-checkpoints/*")] == [name]
        assert rc[:]["called"] == {0: [], 1: [], 2: []}, "the first epoch calls none"
        os.kill(rc[1].apply_sync(os.getpid), signal.SIGKILL)
        assert rc.mpi.wait_epoch(2, timeout=LIMIT) == 2
        kept = ["of rank 0", "of rank 1", "of rank 2"]
        assert rc[:]["called"] == {0: ["fails", (2, 0, 2), kept], 2: ["fails", (2, 1, 2), kept]}
        # They use the new communicator before anything else can, and leave the namespace alone.
        assert rc[:]["u"] == {0: "newer", 2: "newer"}
        # The others go on together from what they have, without the values of the one that is lost.
        rc.mpi.execute('mpi.checkpoint(["u"], step=4); u = None; step = mpi.restore("u").step')
        assert rc[:].pull(("u", "step")) == {0: ["newer", 4], 2: ["newer", 4]}
