"""What is wrong is said before MPI is called, and nobody else is needed for that."""

import numpy as np
from ranks import comm, done, raised, rank, refused, size

from ipclusterz import mpi

three, other = np.zeros(3), np.zeros(3, "f4")
refused(TypeError, "both the same dtype", comm.Allreduce, three, other)
refused(ValueError, "recvbuf has 4 elements, and there must be 3", comm.Allreduce, three, np.zeros(4))
refused(TypeError, "valid are bool, int8", comm.Allreduce, np.zeros(3, ">f8"), three)
refused(TypeError, "datetime64", comm.Bcast, np.zeros(3, "M8[s]"))
refused(TypeError, "no datatype", comm.Bcast, np.array([None, 1]))
refused(TypeError, "no datatype", comm.Bcast, np.zeros(2, [("x", "f8"), ("i", "i4"), ("j", "i4")]))
refused(TypeError, "no datatype", comm.Bcast, np.zeros(2, [("a", "i2"), ("b", "i4"), ("c", "i2")]))
refused(TypeError, "a list is no buffer", comm.Bcast, [1, 2, 3])
refused(ValueError, "not C-contiguous", comm.Bcast, np.zeros((4, 4)).T[1:])
refused(ValueError, "not C-contiguous", comm.Send, np.zeros((4, 4))[:, 1], 0)
fixed = np.zeros(3)
fixed.flags.writeable = False
refused(ValueError, "read-only", comm.Allreduce, three, fixed)
refused(ValueError, "read-only", comm.Recv, b"abc")
refused(ValueError, 'there is no operator "mean"', comm.Allreduce, three, three.copy(), "mean")
refused(ValueError, 'MPI does not define "band"', comm.Allreduce, three, three.copy(), "band")
refused(ValueError, "sum and prod are for complex", comm.Allreduce, np.zeros(1, "c16"), np.zeros(1, "c16"), "max")
refused(ValueError, "land, lor and lxor are for bool", comm.Allreduce, np.zeros(1, "?"), np.zeros(1, "?"), "sum")
refused(ValueError, "cannot calculate with float16", comm.Allreduce, np.zeros(1, "f2"), np.zeros(1, "f2"))
refused(ValueError, f"there is no rank {size}; ranks are 0 to {size - 1}", comm.Bcast, three, size)
refused(ValueError, f"there is no rank {size}", comm.Send, three, size)
refused(ValueError, f"there is no rank {size}", comm.bcast, 1, size)
refused(ValueError, "negative", comm.Send, three, 0, -1)
refused(ValueError, "counts for", comm.Allgatherv, three, np.zeros(9), [1] * (size + 1))
refused(ValueError, "and the buffer has 2", comm.Allgatherv, np.zeros(3), np.zeros(2), [3] * size)
refused(ValueError, "timeout", comm.Barrier, timeout=-1)
refused(TypeError, "a function needs the call that waits", comm.Iallreduce, three, three.copy(), max)
refused(ValueError, "color", comm.split, -3)
if size > 1:
    refused(ValueError, "use the method with a v", comm.Alltoall, mpi.IN_PLACE, np.zeros(size + 1))
    if rank:
        refused(ValueError, "only the root may leave it out", comm.Gather, None, None)
    else:
        refused(ValueError, "it is needed on the root", comm.Gather, three, None)
    # MPI's own error, with its class, its text and the call.
    if rank == 0:
        comm.Send(np.zeros(5), 1)
    elif rank == 1:
        error = raised(mpi.MPIError, comm.Recv, np.zeros(2), 0)
        assert error.error_class == "MPI_ERR_TRUNCATE", error.error_class
        assert error.call == "MPI_Recv"
        assert "MPI_Recv" in str(error)
comm.Barrier()
done()
