"""The eigenvalues of many random matrices: scattered, worked on by each engine, and averaged among them by MPI.

The multiengine guide's session, whose averages are those of each engine alone, with one average of all:

    ipclusterz -n 4 --profile mpiexec --daemonize
    python examples/mpi/eigenvalues.py
"""

import sys

import numpy as np

import ipclusterz as ipz
from ipclusterz import mpi


def average_and_largest(comm, matrices):
    """Of the largest eigenvalues of all ranks' matrices: the average on this rank, that of all, and the largest one."""
    own = np.linalg.eigvalsh(matrices)[:, -1]
    sums = np.array([own.sum(), len(own)])
    comm.Allreduce(mpi.IN_PLACE, sums)
    largest = np.array([own.max(initial=-np.inf)])
    comm.Allreduce(mpi.IN_PLACE, largest, op="max")
    return own.mean() if len(own) else None, sums[0] / sums[1], largest[0]


def main():
    matrices = np.random.default_rng(1).random((400, 10, 10))
    matrices += matrices.transpose(0, 2, 1)

    rc = ipz.Client()
    view = rc[:]
    view.block = True
    view.scatter("matrices", matrices)
    found = view.mpi.spmd(average_and_largest, ipz.Reference("matrices"))
    for engine, (own, average, largest) in found.items():
        print(f"engine {engine}: average max eigenvalue is {own:.6f}; of all {average:.6f}, the largest {largest:.6f}")

    wanted = np.linalg.eigvalsh(matrices)[:, -1]
    right = all(np.allclose(values[1:], (wanted.mean(), wanted.max())) for values in found.values())
    print(
        f"computed here at once: {wanted.mean():.6f} and {wanted.max():.6f}: {'the same' if right else 'NOT the same'}"
    )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
