"""Each collective against numpy's result: dtypes, sizes, roots, in place, blocking and not."""

import numpy as np
from ranks import COMPLEX, FLOATS, INTEGERS, OTHERS, REDUCTIONS, comm, data, done, rank, same, size

from ipclusterz import mpi

# All sizes for some types, for what depends on the one hardly depends on the other.
SIZES = [0, 1, 7, 1000, 20_011]
ALL = INTEGERS + FLOATS + COMPLEX + OTHERS
roots = sorted({0, size // 2, size - 1})

for dtype in ALL:
    for count in SIZES if dtype in ("i4", "f8") else [33]:
        own = data(rank, count, dtype)
        everyone = [data(other, count, dtype) for other in range(size)]
        flat = np.concatenate(everyone)
        what = (dtype, count)
        for root in roots:
            buffer = own.copy()
            comm.Bcast(buffer, root)
            same(buffer, everyone[root], ("Bcast", what))
            part = np.empty(count, dtype)
            given = np.concatenate([data(9, count, dtype, other) for other in range(size)]) if rank == root else None
            comm.Scatter(given, part, root)
            same(part, data(9, count, dtype, rank), ("Scatter", what))
            whole = np.empty(size * count, dtype) if rank == root else None
            comm.Gather(own, whole, root)
            if whole is not None:
                same(whole, flat, ("Gather", what))
        whole = np.empty(size * count, dtype)
        comm.Allgather(own, whole)
        same(whole, flat, ("Allgather", what))
        whole = np.zeros(size * count, dtype)
        whole[rank * count : (rank + 1) * count] = own
        comm.Iallgather(mpi.IN_PLACE, whole).wait()
        same(whole, flat, ("Allgather in place", what))
        out = np.concatenate([data(rank, count, dtype, other) for other in range(size)])
        inward = np.empty(size * count, dtype)
        comm.Alltoall(out, inward)
        wanted = np.concatenate([data(other, count, dtype, rank) for other in range(size)])
        same(inward, wanted, ("Alltoall", what))
        comm.Ialltoall(mpi.IN_PLACE, out).wait()
        same(out, wanted, ("Alltoall in place", what))

for dtype in ("f8", "i4", "?"):
    for base in (0, 3):
        counts = [(base + 2 * other) % 5 for other in range(size)]
        places = [sum(counts[:other]) + 2 * other for other in range(size)]
        room = places[-1] + counts[-1] + 1
        own = data(rank, counts[rank], dtype)
        wanted = np.zeros(room, dtype)
        for other in range(size):
            wanted[places[other] : places[other] + counts[other]] = data(other, counts[other], dtype)
        for root in roots:
            whole = np.zeros(room, dtype) if rank == root else None
            comm.Gatherv(own, whole, counts, places, root)
            if whole is not None:
                same(whole, wanted, ("Gatherv", counts))
            part = np.empty(counts[rank], dtype)
            comm.Scatterv(wanted if rank == root else None, part, counts, places, root)
            same(part, own, ("Scatterv", counts))
            comm.Iscatterv(wanted if rank == root else None, part, counts, places, root).wait()
            same(part, own, ("Iscatterv", counts))
            whole = np.zeros(room, dtype) if rank == root else None
            comm.Igatherv(own, whole, counts, places, root).wait()
            if whole is not None:
                same(whole, wanted, ("Igatherv", counts))
        whole = np.zeros(room, dtype)
        comm.Allgatherv(own, whole, counts, places)
        same(whole, wanted, ("Allgatherv", counts))
        comm.Iallgatherv(own, whole, counts, places).wait()
        same(whole, wanted, ("Iallgatherv", counts))
        out_counts = [(rank + 2 * other + base) % 4 for other in range(size)]
        in_counts = [(other + 2 * rank + base) % 4 for other in range(size)]
        out = np.concatenate([data(rank, n, dtype, other) for other, n in enumerate(out_counts)])
        inward = np.zeros(sum(in_counts), dtype)
        comm.Alltoallv(out, out_counts, None, inward, in_counts, None)
        wanted = np.concatenate([data(other, n, dtype, rank) for other, n in enumerate(in_counts)])
        same(inward, wanted, ("Alltoallv", out_counts))
        inward[:] = 0
        comm.Ialltoallv(out, out_counts, None, inward, in_counts, None).wait()
        same(inward, wanted, ("Ialltoallv", out_counts))

# Where the sum is the bridge's own all ranks have the same, whatever a maximum with NaN is. MPI's own need not.
if size & (size - 1) == 0:
    result = np.empty(3)
    comm.Allreduce(np.array([np.nan if rank == size // 2 else rank, rank, -0.0 if rank % 2 else 0.0]), result, "max")
    assert len(set(comm.allgather(result.tobytes()))) == 1, result

# A call that is begun waits for nobody.
if size > 1:
    token, target = np.zeros(1), np.zeros(size)
    if rank == 0:
        request = comm.Ialltoallv(np.arange(size, dtype="f8"), [1] * size, None, target, [1] * size, None)
        comm.Send(token, 1, 5)
    else:
        if rank == 1:
            comm.Recv(token, 0, 5)
        request = comm.Ialltoallv(np.arange(size, dtype="f8"), [1] * size, None, target, [1] * size, None)
    request.wait()
    same(target, np.full(size, float(rank)), "Ialltoallv that is begun at different times")

# Around the sizes where sums are made in another way.
for count in (4096, 4097, 100_003, 2_097_152, 2_097_153):
    own, result = np.arange(count) * (rank + 1.0), np.empty(count)
    comm.Allreduce(own, result)
    same(result, np.arange(count) * (size * (size + 1) / 2), ("Allreduce", count))
    comm.Allreduce(mpi.IN_PLACE, own)
    same(own, result, ("Allreduce in place", count))

for op, (ufunc, dtypes) in REDUCTIONS.items():
    for dtype in dtypes:
        for count in SIZES if (op, dtype) in (("sum", "f8"), ("max", "i4"), ("land", "?")) else [33]:
            everyone = [data(other, count, dtype, 5) for other in range(size)]
            own, what = everyone[rank], (op, dtype, count)

            def fold(some: list[np.ndarray], dtype: str = dtype, ufunc: np.ufunc = ufunc) -> np.ndarray:
                result = some[0]
                for other in some[1:]:
                    result = ufunc(result, other)
                # Logical operators of integers give 0 and 1.
                return (result != 0).astype(dtype) if "logical" in ufunc.__name__ else result.astype(dtype)

            def logical(values: np.ndarray, alone: bool, dtype: str = dtype, ufunc: np.ufunc = ufunc) -> np.ndarray:
                # Of one rank alone MPI copies the numbers as they are.
                return (values != 0).astype(dtype) if alone and "logical" in ufunc.__name__ else values

            for root in roots:
                result = np.empty(count, dtype) if rank == root else None
                comm.Reduce(own, result, op, root)
                if result is not None:
                    same(logical(result, size == 1), fold(everyone), ("Reduce", what))
            result = np.empty(count, dtype)
            comm.Allreduce(own, result, op)
            same(logical(result, size == 1), fold(everyone), ("Allreduce", what))
            result = own.copy()
            comm.Allreduce(mpi.IN_PLACE, result, op=op)
            same(logical(result, size == 1), fold(everyone), ("Allreduce in place", what))
            comm.Iallreduce(own, result, op).wait()
            same(logical(result, size == 1), fold(everyone), ("Iallreduce", what))
            comm.Scan(own, result, op)
            same(logical(result, rank == 0), fold(everyone[: rank + 1]), ("Scan", what))
            result = own.copy()
            comm.Exscan(own, result, op)
            if rank:
                same(logical(result, rank == 1), fold(everyone[:rank]), ("Exscan", what))
            each = [data(other, count * size, dtype, 6) for other in range(size)]
            part = np.empty(count, dtype)
            comm.Reduce_scatter(each[rank], part, None, op)
            same(logical(part, size == 1), fold(each)[rank * count : (rank + 1) * count], ("Reduce_scatter", what))
            counts = [other % 3 for other in range(size)]
            each = [data(other, sum(counts), dtype, 7) for other in range(size)]
            part = np.empty(counts[rank], dtype)
            comm.Ireduce_scatter(each[rank], part, counts, op).wait()
            first = sum(counts[:rank])
            same(logical(part, size == 1), fold(each)[first : first + counts[rank]], ("Ireduce_scatter", what))

pairs = np.zeros(3, np.dtype([("value", "f8"), ("index", "i4")], align=True))
pairs["value"], pairs["index"] = [rank, -rank, 1], rank
result = np.empty_like(pairs)
comm.Allreduce(pairs, result, "maxloc")
assert result["value"].tolist() == [size - 1, 0, 1], result
assert result["index"].tolist() == [size - 1, 0, 0], result
comm.Allreduce(pairs, result, "minloc")
assert result["index"].tolist() == [0, size - 1, 0], result

# Functions of Python, not commutative: a 2 x 2 matrix of each rank.
matrix = np.array([[1, rank], [0, 1 + rank]], dtype="i8")
wanted = np.eye(2, dtype="i8")
for other in range(size):
    wanted = wanted @ np.array([[1, other], [0, 1 + other]])
result = np.empty_like(matrix)
comm.Allreduce(matrix, result, np.matmul)
same(result, wanted, "function")
result = np.empty_like(matrix) if rank == 0 else None
comm.Reduce(matrix, result, np.matmul)
assert rank or np.array_equal(result, wanted)
part = np.empty((1, 2), "i8")
comm.Reduce_scatter(np.ones((size, 2), "i8"), part, None, lambda left, right: left + right)
same(part, np.full((1, 2), size), "Reduce_scatter by a function")

comm.Barrier()
comm.Ibarrier().wait()
done()
