"""A distributed sum: numbers scattered to the engines, added up among them by MPI.

Start engines that are ranks, then run this:

    ipclusterz -n 4 --profile mpiexec --daemonize
    python examples/mpi/psum.py
"""

import sys

import numpy as np

import ipclusterz as ipz
from ipclusterz import mpi


def psum(comm, part):
    """The sum of all ranks' numbers, on each of them."""
    total = np.array([part.sum()])
    comm.Allreduce(mpi.IN_PLACE, total)
    return total[0]


def main():
    rc = ipz.Client()
    view = rc[:]
    view.block = True

    view.scatter("a", np.arange(16.0))
    # A function of all ranks: its first argument is their communicator. The reference stands for each engine's own `a`.
    sums = view.mpi.spmd(psum, ipz.Reference("a"))
    print(*(f"engine {engine}: {value}" for engine, value in sums.items()), sep="\n")

    # The same by names alone, which nothing of the data leaves the engines for.
    view.execute("part = a.sum()")
    view.mpi.allreduce("part", op="sum", out="total")
    right = set(sums.values()) == set(view["total"].values()) == {120.0}
    print(f"the sum of 0 to 15 is {view['total'][0]}: {'right' if right else 'WRONG'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
