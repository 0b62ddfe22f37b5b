"""Counts that do not fit into C's int: with a limit of 7 elements, and for real where an argument says so."""

import sys

import ipclusterz_mpi
import numpy as np
from ranks import comm, data, done, rank, same, size

from ipclusterz import mpi


def every_call(count: int) -> None:
    own, everyone = data(rank, count, "i8"), [data(other, count, "i8") for other in range(size)]
    buffer = own.copy()
    comm.Bcast(buffer)
    same(buffer, everyone[0], "Bcast")
    result = np.empty_like(own)
    comm.Allreduce(own, result)
    same(result, sum(everyone), "Allreduce")
    whole = np.empty(size * count, "i8")
    comm.Allgather(own, whole)
    same(whole, np.concatenate(everyone), "Allgather")
    inward = np.empty_like(whole)
    comm.Alltoall(np.tile(own, size), inward)
    same(inward, np.concatenate(everyone), "Alltoall")
    root = size - 1
    comm.Gather(own, whole if rank == root else None, root)
    part = np.empty(count, "i8")
    comm.Scatter(whole if rank == root else None, part, root)
    same(part, own, "Gather and Scatter")
    counts = [count + other for other in range(size)]
    mine = data(rank, counts[rank], "i8", 3)
    wanted = np.concatenate([data(other, counts[other], "i8", 3) for other in range(size)])
    whole = np.empty(sum(counts), "i8")
    comm.Allgatherv(mine, whole, counts)
    same(whole, wanted, "Allgatherv")
    whole[:] = 0
    first = sum(counts[:rank])
    whole[first : first + counts[rank]] = mine
    comm.Allgatherv(mpi.IN_PLACE, whole, counts)
    same(whole, wanted, "Allgatherv in place")
    gathered = np.zeros(sum(counts), "i8") if rank == root else None
    comm.Gatherv(mine, gathered, counts, None, root)
    part = np.empty(counts[rank], "i8")
    comm.Scatterv(gathered, part, counts, None, root)
    same(part, mine, "Gatherv and Scatterv")
    if gathered is not None:
        gathered[:first] = 0
    comm.Gatherv(mpi.IN_PLACE if rank == root else mine, gathered, counts, None, root)
    if gathered is not None:
        same(gathered, wanted, "Gatherv in place")
    inward = np.empty(size * count, "i8")
    comm.Alltoallv(np.tile(own, size), [count] * size, None, inward, [count] * size, None)
    same(inward, np.concatenate(everyone), "Alltoallv")
    each = [data(other, sum(counts), "i8", 4) for other in range(size)]
    part = np.empty(counts[rank], "i8")
    comm.Reduce_scatter(each[rank], part, counts)
    same(part, sum(each)[first : first + counts[rank]], "Reduce_scatter")
    buffer = each[rank].copy()
    comm.Reduce_scatter(mpi.IN_PLACE, buffer, counts)
    same(buffer[: counts[rank]], sum(each)[first : first + counts[rank]], "Reduce_scatter in place")
    if size > 1:
        after, before = (rank + 1) % size, (rank - 1) % size
        buffer = np.empty(count + 20, "i8")
        status = mpi.Status()
        request = comm.Isend(own, after)
        comm.Recv(buffer, before, status=status)
        request.wait()
        same(buffer[:count], everyone[before], "Recv")
        assert status.nbytes == 8 * count
        assert comm.sendrecv([own], after, 0, before)[0].tolist() == everyone[before].tolist()


if sys.argv[1] == "small":
    ipclusterz_mpi.load().set_largest_count(7)
    for count in (0, 1, 6, 7, 8, 14, 100):
        every_call(count)
else:
    count = 2**31 + 5
    buffer = np.zeros(count, "i1")
    buffer[-3:] = [rank + 1, 2, 3]
    comm.Bcast(buffer, size - 1)
    assert buffer[-3:].tolist() == [size, 2, 3]
    buffer[-1] = rank
    comm.Allreduce(mpi.IN_PLACE, buffer)
    assert buffer[-3:].tolist() == [size * size, 2 * size, size * (size - 1) // 2]
done()
