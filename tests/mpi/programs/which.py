"""Which MPI each rank has, and that the ranks compute with it."""

import json

import ipclusterz_mpi
from ranks import comm, done, rank, size

assert comm.allreduce(rank + 1) == size * (size + 1) // 2
print(json.dumps({"rank": rank, "size": size, **ipclusterz_mpi.about()._asdict()}), flush=True)
done()
