"""Heat in a square plate whose upper edge is hot, by explicit steps; it goes on when a rank is lost.

    ipclusterz -n 4 --profile mpiexec --set engines.on_rank_loss=shrink --daemonize
    python examples/mpi/heat.py --lose 2

Each rank has some rows, and a row of each neighbour beside them, which is renewed before each step. Every few steps all
rows are kept in files, under the name of this run: another run, or a plate of another size, begins at step 0.
`--lose 2` has rank 2 killed half way, to see what happens then: with "shrink" the other ranks
share all rows, in a hook; with "restart" new ranks begin at the last step that was kept.
"""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

import numpy as np

import ipclusterz as ipz
from ipclusterz import mpi

HOT = 100.0


# -- on the engines, or in any program of MPI -------------------------------------------------------------------------


def share(rank, size, n):
    """The rows of a rank: the first, and the one behind the last."""
    return rank * n // size, (rank + 1) * n // size


def plate(first, rows, n):
    """Rows with an edge around them: neighbours' rows, or the edge of the plate."""
    u = np.zeros((len(rows) + 2, n + 2))
    u[1:-1, 1:-1] = rows
    if first == 0:
        u[0] = HOT
    return u


def prepare(comm, n, folder, run):
    """Take this rank's rows of a run, now and whenever the ranks are others: `u` and `step` of the engine."""
    import __main__ as engine

    # What an earlier run has left is of no use. Engines that have survived a loss have taken their rows in the hook.
    if getattr(engine, "rows_of", None) == run:
        return

    @mpi.on_reform
    def take_rows(comm):
        first, last = share(comm.rank, comm.size, n)

        def owners(size):
            """The ranks of a world of that size that had rows which are now this rank's."""
            return [rank for rank in range(size) if share(rank, size, n)[0] < last and share(rank, size, n)[1] > first]

        saved = mpi.restore(folder=folder, ranks=owners, comm=comm, run=run)
        if saved is None:
            engine.step, rows = 0, np.zeros((last - first, n))
        else:
            begin = share(min(saved.values), saved.size, n)[0]
            rows = np.concatenate([saved.values[rank]["rows"] for rank in sorted(saved.values)])
            engine.step, rows = saved.step, rows[first - begin : last - begin]
        engine.u, engine.rows_of = plate(first, rows, n), run
        print(f"rank {comm.rank} of {comm.size}, epoch {comm.epoch}: rows {first} to {last - 1} of step {engine.step}")

    take_rows(comm)


def exchange(comm, u):
    """Renew the neighbours' rows."""
    requests = []
    if comm.rank > 0:
        requests.append(comm.Isend(u[1], comm.rank - 1))
    if comm.rank < comm.size - 1:
        requests.append(comm.Isend(u[-2], comm.rank + 1))
        comm.Recv(u[-1], comm.rank + 1)
    if comm.rank > 0:
        comm.Recv(u[0], comm.rank - 1)
    mpi.wait_all(requests)


def advance(u):
    """One step of time."""
    inner = u[1:-1, 1:-1]
    inner += 0.2 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * inner)


def march(comm, until, every, folder, lose=None):
    """Go on to a step, and keep all rows every few steps; the rows of this rank, and how many steps that were."""
    import __main__ as engine

    begin = engine.step
    while engine.step < until:
        exchange(comm, engine.u)
        advance(engine.u)
        engine.step += 1
        if engine.step % every == 0:
            mpi.checkpoint({"rows": engine.u[1:-1, 1:-1]}, folder, engine.step, comm, engine.rows_of)
        if (comm.rank, comm.epoch, engine.step) == (lose, 1, until // 2 + 1):
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
    return engine.u[1:-1, 1:-1], engine.step - begin


# -- here -------------------------------------------------------------------------------------------------------------


def alone(n, until):
    """The same by this process alone."""
    u = plate(0, np.zeros((n, n)), n)
    for _ in range(until):
        advance(u)
    return u[1:-1, 1:-1]


def solve(rc, n, until, every, folder, lose=None):
    """The whole plate at that step, however many ranks are lost on the way; and how many steps the last have done."""
    run = {"name": "heat", "of": secrets.token_hex(4), "size": n}
    while True:
        epoch = rc.mpi.epoch
        view = rc[:]
        try:
            view.mpi.spmd(prepare, n, folder, run)
            parts = view.mpi.spmd(march, until, every, folder, lose)
            return np.concatenate([parts[engine][0] for engine in sorted(parts)]), parts[min(parts)][1]
        except mpi.RankLost as lost:
            print(lost)
            rc.mpi.wait_epoch(epoch + 1, timeout=120)
            print(f"epoch {rc.mpi.epoch}: engines {sorted(rc.ids)} go on")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=200, help="rows and columns of the plate")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--every", type=int, default=50, help="steps from one checkpoint to the next")
    parser.add_argument("--lose", type=int, help="a rank that is killed half way")
    given = parser.parse_args()

    rc = ipz.Client()
    rc.block = True
    # Where all engines see it, under the same name.
    with tempfile.TemporaryDirectory(prefix="heat-", dir=Path.cwd()) as folder:
        found, steps = solve(rc, given.size, given.steps, given.every, folder, given.lose)
    right = np.array_equal(found, alone(given.size, given.steps))
    print(
        f"step {given.steps}, the last {steps} by {len(rc)} ranks: {found.mean():.6f} degrees on average, "
        f"{'the same' if right else 'NOT the same'} as alone"
    )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
