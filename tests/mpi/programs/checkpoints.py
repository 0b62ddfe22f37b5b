"""Checkpoints of all ranks: the newest that all can read, after damage and errors, and by fewer ranks than wrote it."""

import os
import platform
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
from ranks import comm, done, rank, refused, size

from ipclusterz import mpi

folder = Path(sys.argv[2])


def kept() -> list[Path]:
    return sorted(path for path in folder.iterdir() if (path / "complete").exists())


def the_whole() -> None:
    global u, step
    assert mpi.restore(folder=folder) is None
    u, step = np.arange(5000.0) + rank, 0
    assert mpi.checkpoint(["u", "step"], folder) == 1
    u += 1
    assert mpi.checkpoint(["u", "step"], folder) == 2
    u[:] = 0
    saved = mpi.restore("u", folder)
    assert (saved.step, saved.size, saved.epoch) == (2, size, comm.epoch)
    assert np.array_equal(u, np.arange(5000.0) + rank + 1)
    u += 1
    for step in (100, 200, 300):
        u += 100
        mpi.checkpoint({"u": u, "step": step}, folder, step)
    comm.barrier()
    assert len(kept()) == len(list(folder.iterdir())) == 2
    assert [len(list(path.iterdir())) for path in kept()] == [size + 1] * 2
    saved = mpi.restore(folder=folder)
    assert saved.step == step == 300
    assert np.array_equal(saved.values[rank]["u"], np.arange(5000.0) + rank + 302)
    assert saved.values[rank]["u"] is u

    # Those of another run are neither taken nor removed.
    for run in ("heat", {"name": "heat", "shape": [2, 3]}, {"shape": [3, 2], "name": "heat"}):
        assert mpi.restore(folder=folder, run=run) is None
        for step in (7, 8, 9):
            mpi.checkpoint({"u": u, "of": str(run)}, folder, step, run=run)
    assert mpi.restore(folder=folder, run={"shape": [2, 3], "name": "heat"}).run == {"name": "heat", "shape": [2, 3]}
    assert mpi.restore(folder=folder).step == 300
    refused(TypeError, "is no name of a run", mpi.restore, folder=folder, run={1, 2})
    if size > 1:
        refused(mpi.CheckpointError, "run: ranks gave", mpi.checkpoint, "u", folder, run=f"of rank {rank}")
    comm.barrier()
    if rank == 0:
        for path in folder.glob("run-*"):
            assert len(list(path.iterdir())) == 2
            assert path.stat().st_mode & 0o077 == 0
            shutil.rmtree(path)
    comm.barrier()

    # What one rank cannot do is an error on all, and nothing is lost.
    wrong, kind = ("nothing", KeyError) if rank == size - 1 else ("u", mpi.CheckpointError)
    refused(kind, "'nothing' is not defined", mpi.checkpoint, wrong, folder)
    wrong, kind = ((x for x in ()), TypeError) if rank == 0 else (1, mpi.CheckpointError)
    refused(kind, "generator", mpi.checkpoint, {"u": wrong}, folder)
    if size > 1:
        refused(mpi.CheckpointError, "step: ranks gave 4, 5", mpi.checkpoint, "u", folder, 4 + (rank == 1))
    refused(ValueError, "step: -1 is not", mpi.checkpoint, "u", folder, -1)
    refused(KeyError, "did not keep v; it kept", mpi.restore, ["u", "v"], folder)
    comm.barrier()
    assert mpi.restore(folder=folder).step == 300

    # A damaged file of one rank sends all to the checkpoint before.
    last = kept()[-1]
    if rank == 0:
        file = last / f"rank-{size - 1}-of-{size}"
        data = bytearray(file.read_bytes())
        data[-100] ^= 1
        file.write_bytes(data)
    comm.barrier()
    assert mpi.restore(folder=folder).step == 200
    assert u[0] == rank + 202
    # And one that is not there.
    comm.barrier()
    if rank == 0:
        (kept()[0] / f"rank-{size - 1}-of-{size}").unlink()
    comm.barrier()
    refused(mpi.CheckpointError, "its hash is another", mpi.restore, None, folder)
    refused(mpi.CheckpointError, kept()[0].name, mpi.restore, None, folder)


def by_fewer() -> None:
    mpi.checkpoint({"u": np.full(3, rank)}, folder, 7)
    # The last rank is gone: the others share what it had.
    rest = comm.create_group(range(size - 1))
    if rest is not None:
        refused(mpi.CheckpointError, f"written by {size} ranks, and there are {size - 1}",
                mpi.restore, folder=folder, comm=rest)  # fmt: skip
        saved = mpi.restore(folder=folder, ranks=range, comm=rest)
        whole = np.concatenate([saved.values[old]["u"] for old in range(saved.size)])
        assert np.array_equal(whole, np.repeat(np.arange(size), 3))
        # Each may ask for others, and for none.
        wanted = [size - 1] if rank == 0 else []
        saved = mpi.restore(folder=folder, ranks=wanted, comm=rest)
        assert (saved.step, list(saved.values)) == (7, wanted)
        # They go on by themselves.
        mpi.checkpoint({"u": np.full(3, 10 * rank)}, folder, 8, rest)
        saved = mpi.restore(folder=folder, comm=rest)
        assert (saved.step, saved.size, saved.values[rank]["u"][0]) == (8, size - 1, 10 * rank)
    comm.barrier()


def on_disks_of_each() -> None:
    platform.node = lambda: f"n{rank}"
    own = folder / platform.node()
    for step in range(4):
        mpi.checkpoint({"step": step}, own, step)
    assert mpi.restore(folder=own).step == 3
    assert len(list(own.iterdir())) == 2, "on each host one rank removes"
    refused(mpi.CheckpointError, "ranks=range", mpi.restore, None, own, range)


def killed() -> None:
    mpi.checkpoint({"u": rank}, folder, 1)
    mpi.checkpoint({"u": rank}, folder, 2)
    if rank == size - 1:
        os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
    mpi.checkpoint({"u": rank}, folder, 3)


def after() -> None:
    comm.barrier()
    assert len(kept()) == 2
    assert len(list(folder.iterdir())) == 3
    assert mpi.restore(folder=folder).step == 2
    assert mpi.checkpoint({"u": rank}, folder, 3) == 3
    comm.barrier()
    assert len(list(folder.iterdir())) == len(kept()) == 2, "what the killed rank left is removed"
    assert mpi.restore(folder=folder).step == 3


globals()[sys.argv[1]]()
done()
