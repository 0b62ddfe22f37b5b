"""A thousand collectives in a random order, the same on all ranks, against a model that works on all data by itself."""

import random
import sys

import numpy as np
from ranks import comm, data, done, rank, same, size

chance = random.Random(int(sys.argv[1]))
requests = []


def step(number: int) -> None:
    kind = chance.choice(
        ["Bcast", "Allreduce", "Gather", "Scatter", "Alltoall", "Scan", "bcast", "allgather", "Iallreduce", "ring"]
    )
    root, count = chance.randrange(size), chance.choice([0, 1, 3, 100, 5000])
    own, everyone = data(rank, count, "i8", number), [data(other, count, "i8", number) for other in range(size)]
    if kind == "Bcast":
        buffer = own.copy()
        comm.Bcast(buffer, root)
        same(buffer, everyone[root], (number, kind))
    elif kind == "Allreduce":
        result = np.empty_like(own)
        comm.Allreduce(own, result, chance.choice(["sum", "sum"]))
        same(result, sum(everyone), (number, kind))
    elif kind == "Gather":
        whole = np.empty(size * count, "i8") if rank == root else None
        comm.Gather(own, whole, root)
        if whole is not None:
            same(whole, np.concatenate(everyone), (number, kind))
    elif kind == "Scatter":
        part = np.empty(count, "i8")
        comm.Scatter(np.concatenate(everyone) if rank == root else None, part, root)
        same(part, own, (number, kind))
    elif kind == "Alltoall":
        inward = np.empty(size * count, "i8")
        comm.Alltoall(np.tile(own, size), inward)
        same(inward, np.concatenate(everyone), (number, kind))
    elif kind == "Scan":
        result = np.empty_like(own)
        comm.Scan(own, result)
        same(result, sum(everyone[: rank + 1]), (number, kind))
    elif kind == "bcast":
        assert comm.bcast((number, root) if rank == root else None, root) == (number, root)
    elif kind == "allgather":
        assert comm.allgather((rank, number)) == [(other, number) for other in range(size)]
    elif kind == "Iallreduce":
        result = np.empty_like(own)
        requests.append((comm.Iallreduce(own, result), result, sum(everyone), own))
        if chance.random() < 0.3:
            settle()
    else:
        after, before = (rank + 1) % size, (rank - 1) % size
        assert comm.sendrecv(number, after, 9, before, 9) == number


def settle() -> None:
    for request, result, wanted, _ in requests:
        request.wait()
        same(result, wanted, "Iallreduce")
    requests.clear()


for number in range(1000):
    step(number)
settle()
done()
