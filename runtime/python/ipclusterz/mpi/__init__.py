"""MPI among the engines: `from ipclusterz import mpi`.

Engines that were started together by mpiexec or srun are the ranks of a communicator, `mpi.comm()`. Names follow
mpi4py: methods with a capital work on buffers in place, with a small letter on any object that can be pickled.

Examples
--------
>>> from ipclusterz import mpi
>>> comm = mpi.comm()
>>> comm.rank, comm.size
(0, 4)
>>> comm.allreduce(comm.rank)
6
"""

from __future__ import annotations

from ..error import MPIError, MPITimeout, RankLost, RankRaised
from .checkpoints import Checkpoint, CheckpointError, checkpoint, restore
from .communicator import ANY_SOURCE, ANY_TAG, IN_PLACE, Comm, Receiving
from .reform import on_reform
from .requests import Request, Status, wait_all
from .world import comm, from_mpi4py, library, thread_level

__all__ = [
    "ANY_SOURCE",
    "ANY_TAG",
    "IN_PLACE",
    "Checkpoint",
    "CheckpointError",
    "Comm",
    "MPIError",
    "MPITimeout",
    "RankLost",
    "RankRaised",
    "Receiving",
    "Request",
    "Status",
    "checkpoint",
    "comm",
    "from_mpi4py",
    "library",
    "on_reform",
    "restore",
    "thread_level",
    "wait_all",
]
