"""What the examples run on engines, run by plain ranks; the heat equation with a rank less half way."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ranks import comm, done, rank, same, size

from ipclusterz.mpi.reform import run_hooks

EXAMPLES = Path(__file__).parents[3] / "examples/mpi"


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


numbers = np.array_split(np.arange(16.0), size)[rank]
assert example("psum").psum(comm, numbers) == 120

chance = np.random.default_rng(1)
matrices = chance.random((50, 6, 6))
matrices += matrices.transpose(0, 2, 1)
largest = np.linalg.eigvalsh(matrices)[:, -1]
own, average, highest = example("eigenvalues").average_and_largest(comm, np.array_split(matrices, size)[rank])
assert np.isclose(own, np.array_split(largest, size)[rank].mean())
assert np.allclose((average, highest), (largest.mean(), largest.max()))

matrix = chance.random((61, 61))
matrix += matrix.T
value, vector, steps = example("power_iteration").power_iteration(comm, np.array_split(matrix, size)[rank])
assert 1 < steps < 1000
assert np.isclose(value, np.linalg.eigvalsh(matrix)[-1])
assert np.allclose(matrix @ vector, value * vector, atol=1e-4)

heat, folder, n = example("heat"), sys.argv[1], 23
run = {"name": "heat", "size": n}
heat.prepare(comm, n, folder, run)
rows, steps = heat.march(comm, 12, 5, folder)
assert steps == 12
first, last = heat.share(rank, size, n)
same(rows, heat.alone(n, 12)[first:last], "heat")
comm.barrier()
if size > 1:
    # As after the loss of the last rank: its rows are in the files of step 10 alone.
    rest = comm.create_group(range(size - 1))
    if rest is not None:
        assert run_hooks(rest) == []
        assert sys.modules["__main__"].step == 10
        parts = rest.allgather(heat.march(rest, 31, 5, folder)[0])
        same(np.concatenate(parts), heat.alone(n, 31), "heat by fewer ranks")
    comm.barrier()
# As after a restart: they begin where they were.
engine = sys.modules["__main__"]
del engine.rows_of
heat.prepare(comm, n, folder, run)
assert engine.step == (30 if size > 1 else 10)
same(np.concatenate(comm.allgather(heat.march(comm, 40, 100, folder)[0])), heat.alone(n, 40), "heat once more")
# Another run, and one of another size, begin anew, whatever is there.
for other, width in (({"name": "heat", "size": n, "of": "me"}, n), ({"name": "heat", "size": 31}, 31)):
    heat.prepare(comm, width, folder, other)
    assert engine.step == 0
    same(np.concatenate(comm.allgather(heat.march(comm, 7, 3, folder)[0])), heat.alone(width, 7), "another run")
done()
