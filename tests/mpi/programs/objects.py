"""Any object: small, large, with arrays, with nothing in it; messages between two ranks, and groups."""

import numpy as np
from ranks import comm, done, rank, refused, same, size

from ipclusterz import mpi

samples = [None, 17, "text", b"", [1, {"a": (2, 3)}], np.arange(10), {"x": np.arange(200_000.0), "y": "z" * 100_000}]


def equal(found: object, wanted: object) -> bool:
    if isinstance(wanted, np.ndarray):
        return isinstance(found, np.ndarray) and found.dtype == wanted.dtype and np.array_equal(found, wanted)
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(equal(found[key], value) for key, value in wanted.items())
    return bool(found == wanted)


for sample in samples:
    for root in sorted({0, size - 1}):
        assert equal(comm.bcast(sample if rank == root else None, root), sample)
        found = comm.gather((rank, sample), root)
        assert (found is None) == (rank != root)
        if found is not None:
            assert [other for other, _ in found] == list(range(size))
            assert all(equal(value, sample) for _, value in found)
        given = [(other, sample) for other in range(size)] if rank == root else None
        other, value = comm.scatter(given, root)
        assert other == rank
        assert equal(value, sample)
    assert all(equal(value, sample) for value in comm.allgather(sample))
    assert [pair[:2] for pair in comm.alltoall([(rank, other, sample) for other in range(size)])] == [
        (other, rank) for other in range(size)
    ]
    if size > 1:
        after, before = (rank + 1) % size, (rank - 1) % size
        assert equal(comm.sendrecv(sample, after, 3, before, 3), sample)
        request = comm.isend(sample, after, 4)
        assert equal(comm.irecv(before, 4).wait(), sample)
        request.wait()

# What was received is the receiver's own, and can be written to.
received = comm.bcast(np.zeros(100_000) if rank == 0 else None)
received += rank
assert received[0] == rank
for count in (3, 1000, 100_000):
    for received in (
        comm.bcast(np.zeros(count)),
        *comm.allgather(np.zeros(count)),
        *comm.alltoall([np.zeros(count)] * size),
    ):
        received += 1
        assert received.sum() == count

assert comm.reduce([rank], "sum") == (list(range(size)) if rank == 0 else None)
assert comm.allreduce(str(rank), lambda left, right: left + right) == "".join(map(str, range(size)))
assert comm.allreduce((rank % 2, rank), "maxloc") == ((1, 1) if size > 1 else (0, 0))
assert comm.scan(1) == rank + 1
assert comm.exscan(1) == (rank or None)
refused(ValueError, "there is no operator 'summ'", comm.allreduce, 1, "summ")
refused(ValueError, "give one for each", comm.alltoall, [1] * (size + 1))

# Which message it was.
if size > 1:
    if rank == 0:
        for other in range(1, size):
            comm.send({"to": other}, other, other)
        tags = set()
        for _ in range(1, size):
            status = mpi.Status()
            value = comm.recv(status=status)
            assert value == {"from": status.source}
            tags.add(status.tag)
        assert tags == set(range(1, size))
    else:
        status = comm.Probe(0, rank)
        assert (status.source, status.tag) == (0, rank)
        assert comm.recv(0, rank) == {"to": rank}
        comm.send({"from": rank}, 0, rank)
    assert comm.Iprobe() is None
# Nobody sends again before all have looked.
comm.Barrier()

# Buffers, into a longer one, and around a ring.
if size > 1:
    status = mpi.Status()
    after, before = (rank + 1) % size, (rank - 1) % size
    request = comm.Isend(np.arange(5) + rank, after, 1)
    buffer = np.full(9, -1)
    comm.Recv(buffer, before, 1, status)
    request.wait()
    same(buffer, np.concatenate([np.arange(5) + before, np.full(4, -1)]), "Recv")
    assert (status.source, status.tag, status.nbytes) == (before, 1, 40)
    one, two = np.array([rank]), np.empty(1, int)
    comm.Sendrecv(one, after, 0, two, before, 0)
    assert two[0] == before
    receiving, sending = comm.Irecv(two, before, 2), comm.Isend(one, after, 2)
    mpi.wait_all([receiving, sending])
    assert two[0] == before
    assert receiving.test() == (True, None)

# Groups.
twin = comm.dup()
assert (twin.rank, twin.size) == (rank, size)
half = comm.split(rank % 2, -rank)
assert half is not None
assert half.allgather(rank) == sorted(range(rank % 2, size, 2), reverse=True)
assert (comm.split(None if rank else 0) is None) == (rank > 0)
chosen = [size - 1, *range(0, size - 1, 2)]
group = comm.create_group(chosen, 5)
assert (group is None) == (rank not in chosen)
if group is not None:
    assert group.allgather(rank) == chosen
    group.free()
    refused(mpi.MPIError, "it was freed", group.Barrier)
node = comm.node()
# All of them on one host, and under srun those of this host.
assert 1 <= node.size <= size
assert sum(comm.allgather(1 / node.size)) == round(sum(comm.allgather(1 / node.size)))
refused(ValueError, "are not ranks of", comm.create_group, [0, size])
# Messages of one communicator are not seen by another.
if size > 1:
    if rank == 0:
        twin.send("twin", 1)
        comm.send("comm", 1)
    if rank == 1:
        assert comm.recv(0) == "comm"
        assert twin.recv(0) == "twin"
twin.free()
done()
