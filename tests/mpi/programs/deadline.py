"""A collective that a rank never enters ends at its deadline; a rank that is lost ends every wait at once."""

import signal
import sys
import threading
import time
from pathlib import Path

import ipclusterz_mpi
import numpy as np
from ranks import comm, leave, rank, refused

from ipclusterz import mpi

spare = comm.dup()
beside = comm.dup()
third = comm.dup()
# The last rank stays away.
late = rank == comm.size - 1
if sys.argv[1] == "deadline":
    if not late:
        began = time.monotonic()
        refused(mpi.MPITimeout, "did not end within 0.5 s", spare.Barrier, timeout=0.5)
        assert 0.4 < time.monotonic() - began < 30
        refused(TimeoutError, "", beside.Allreduce, np.zeros(3), np.zeros(3), timeout=0.2)
        assert "did not end" in (spare.broken or "")
        refused(mpi.MPIError, "cannot be used any more", spare.Barrier)
        refused(mpi.MPIError, "cannot be used any more", spare.dup)
        request = third.Irecv(np.zeros(3), comm.size - 1)
        refused(mpi.MPITimeout, "did not end within 0.2 s", request.wait, 0.2)
        refused(mpi.MPIError, "this request has failed", request.wait)
        refused(mpi.MPIError, "this request has failed", request.test)
    # Others are as they were, and the thread of Python is free.
    assert comm.allreduce(1) == comm.size
elif sys.argv[1] == "interrupt":
    if not late:
        threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
        refused(KeyboardInterrupt, "", spare.Barrier)
        refused(mpi.MPIError, "was interrupted", spare.Barrier)
    assert comm.allreduce(1) == comm.size
else:
    if not late:
        threading.Timer(0.3, ipclusterz_mpi.load().end_epoch, [1, "rank 1 on n1 was killed"]).start()
        refused(mpi.RankLost, "rank 1 on n1 was killed", spare.Barrier)
        refused(mpi.RankLost, "rank 1 on n1 was killed", comm.allgather, 1)
        refused(mpi.RankLost, "MPI_Mprobe", comm.recv)
leave(Path(sys.argv[2]))
