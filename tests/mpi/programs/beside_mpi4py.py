"""mpi4py in the same process: whoever comes first initialises MPI, and communicators are handed over without a copy."""

import sys

order = sys.argv[1]
if order == "mpi4py first":
    from mpi4py import MPI
elif order == "mpi4py later":
    from ipclusterz import mpi

    mpi.comm()
    from mpi4py import MPI
else:
    import mpi4py

    mpi4py.rc.initialize = False
    from mpi4py import MPI

    assert not MPI.Is_initialized()

from ranks import comm, done, rank, refused, size  # noqa: E402

from ipclusterz import mpi  # noqa: E402

assert MPI.Is_initialized()
assert mpi.thread_level() == "multiple"
assert (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size) == (rank, size)
theirs = comm.to_mpi4py()
assert theirs.allreduce(rank) == size * (size - 1) // 2
ours = mpi.from_mpi4py(MPI.COMM_WORLD)
assert ours.allgather(rank) == list(range(size))
assert MPI.Comm.Compare(theirs, MPI.COMM_WORLD) == MPI.CONGRUENT
refused(TypeError, "no intracommunicator", mpi.from_mpi4py, 3)
# Messages of the one are not those of the other.
if size > 1:
    if rank == 0:
        MPI.COMM_WORLD.send("theirs", 1)
        comm.send("ours", 1)
    elif rank == 1:
        assert comm.recv(0) == "ours"
        assert MPI.COMM_WORLD.recv(source=0) == "theirs"
done()
