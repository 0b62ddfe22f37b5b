"""The largest eigenvalue of a matrix whose rows are spread over the engines, by power iteration.

ipclusterz -n 4 --profile mpiexec --daemonize
python examples/mpi/power_iteration.py
"""

import sys

import numpy as np

import ipclusterz as ipz


def power_iteration(comm, rows, steps=1000, tolerance=1e-12):
    """The largest eigenvalue, its vector, and the number of steps; the same on all ranks."""
    counts = comm.allgather(len(rows))
    vector = np.ones(sum(counts))
    product = np.empty_like(vector)
    value = 0.0
    for step in range(1, steps + 1):
        vector /= np.linalg.norm(vector)
        # Each rank multiplies its rows; all need the whole product.
        comm.Allgatherv(rows @ vector, product, counts)
        before, value = value, vector @ product
        vector, product = product, vector
        if abs(value - before) <= tolerance * abs(value):
            return value, vector / np.linalg.norm(vector), step
    raise ArithmeticError(f"no eigenvalue within {steps} steps: the last one was {value}")


def main():
    matrix = np.random.default_rng(2).random((600, 600))
    matrix += matrix.T

    rc = ipz.Client()
    view = rc[:]
    view.block = True
    view.scatter("rows", matrix)
    found = view.mpi.spmd(power_iteration, ipz.Reference("rows"))
    value, vector, steps = next(iter(found.values()))
    print(f"engines {sorted(found)}: the largest eigenvalue is {value:.9f}, after {steps} steps")

    wanted = np.linalg.eigvalsh(matrix)[-1]
    right = np.isclose(value, wanted) and np.allclose(matrix @ vector, wanted * vector, atol=1e-4)
    print(f"numpy says {wanted:.9f}: {'the same' if right else 'NOT the same'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
