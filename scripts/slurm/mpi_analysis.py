"""A program for mpi.sbatch: data goes out by scatter, engines combine it among themselves, results are gathered.

    sbatch --export=ALL,PROGRAM="python mpi_analysis.py 1000000" mpi.sbatch

Mean and deviation of many numbers. No engine sees more than its part, and the client only the normalised whole.
"""

from __future__ import annotations

import sys

import numpy as np

import ipclusterz as ipz

# What each engine runs on its part; `part` is in its namespace.
NORMALISE = """
import numpy as np
from ipclusterz import mpi

comm = mpi.comm()
sums = np.array([part.size, part.sum(), (part**2).sum()])
comm.Allreduce(mpi.IN_PLACE, sums)
count, mean = sums[0], sums[1] / sums[0]
deviation = np.sqrt(sums[2] / count - mean**2)
part = (part - mean) / deviation
told = (comm.rank, comm.size, comm.allreduce(float(part.max()), op="max"))
"""


def main(count: int) -> None:
    """Normalise that many numbers on all engines."""
    rc = ipz.Client()
    engines = rc[:]
    engines.scatter("part", np.random.default_rng(17).exponential(size=count), block=True)
    engines.execute(NORMALISE, block=True)
    whole = engines.gather("part", block=True)
    ranks = {engine: rc[engine]["told"] for engine in rc.ids}
    assert all(rank == engine for engine, (rank, _, _) in ranks.items()), "engine i is rank i"
    print(f"{ranks[0][1]} ranks, {whole.size} numbers, mean {abs(whole.mean()):.6f}, deviation {whole.std():.6f}")
    print(f"largest {whole.max():.6f}, and to every rank {ranks[0][2]:.6f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
