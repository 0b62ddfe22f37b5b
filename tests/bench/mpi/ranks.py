"""What each rank does: every call by C, by mpi4py and by the bridge, in turn, in one process.

Prints one line of JSON for each figure, on rank 0. The time of a call is that of the slowest rank.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI

from ipclusterz import mpi

world = MPI.COMM_WORLD
comm = mpi.comm()
rank, size = comm.rank, comm.size
library = ctypes.CDLL(sys.argv[1])
library.loop.restype = ctypes.c_double
only = sys.argv[2] if len(sys.argv) > 2 else ""

# Many short ones: some then fall into moments in which nobody else uses the cores.
ROUNDS = 40
# So long is one system's part of a round, in seconds.
BLOCK = 0.0008
Loop = Callable[[int], float]


def timed(call: Callable[[], Any]) -> Loop:
    """Seconds of so many calls."""

    def loop(turns: int) -> float:
        began = time.perf_counter()
        for _ in range(turns):
            call()
        return time.perf_counter() - began

    return loop


def in_c(call: str, source: Any, target: Any) -> Loop:
    """The same in C."""
    arguments = call.encode(), source.ctypes.data_as(ctypes.c_void_p), target.ctypes.data_as(ctypes.c_void_p)
    return lambda turns: library.loop(*arguments, ctypes.c_long(source.nbytes), turns)


def ping_pong(send: Callable[..., Any], receive: Callable[..., Any], *target: Any) -> Callable[[], Any]:
    """There and back between ranks 0 and 1."""

    def zero() -> None:
        send(1)
        receive(*target, 1)

    def one() -> None:
        receive(*target, 0)
        send(0)

    return zero if rank == 0 else one if rank == 1 else lambda: None


def measure(what: str, nbytes: int, loops: dict[str, Loop]) -> None:
    """Times of all systems, in interleaved rounds."""
    turns = 1
    if only not in what:
        return
    while True:
        world.Barrier()
        took = world.allreduce(max(loop(turns) for loop in loops.values()), MPI.MAX)
        if took >= BLOCK or turns >= 4096:
            break
        turns = min(4096, max(turns * 2, int(turns * BLOCK / max(took, 1e-9))))
    rounds = ROUNDS if took < 10 * BLOCK else 9
    times: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds):
        # Nobody is always the first.
        names = list(loops)[number % len(loops) :] + list(loops)[: number % len(loops)]
        for name in names:
            world.Barrier()
            times[name].append(world.allreduce(loops[name](turns), MPI.MAX) / turns)
    if rank == 0:
        figures = {name: {"min": min(some), "median": statistics.median(some)} for name, some in times.items()}
        print(json.dumps({"what": what, "bytes": nbytes, "seconds": figures}), flush=True)


def buffers(nbytes: int) -> None:
    """The calls with a capital."""
    source, target = np.ones(nbytes // 8), np.ones(nbytes // 8)
    out, inward = source.view("u1"), target.view("u1")
    calls: dict[str, Callable[[Any], Callable[[], Any]]] = {
        "Allreduce": lambda c: lambda: c.Allreduce(source, target),
        "Bcast": lambda c: lambda: c.Bcast(inward, 0),
        "Alltoall": lambda c: lambda: c.Alltoall(out, inward),
        "Send/Recv": lambda c: ping_pong(lambda to: c.Send(out, to), c.Recv, inward),
    }
    for name, call in calls.items():
        measure(name, nbytes, {
            "C": in_c(name, source, target), "mpi4py": timed(call(world)), "ipclusterz": timed(call(comm)),
        })  # fmt: skip


def objects() -> None:
    """The calls with a small letter."""
    samples = {
        "dict of 10 floats": {str(number): number / 3 for number in range(10)},
        "list of 1000 ints": list(range(1000)),
        "1 MiB array in a dict": {"a": np.ones(1 << 17)},
    }
    calls: dict[str, Callable[[Any, Any], Callable[[], Any]]] = {
        "send/recv": lambda c, sample: ping_pong(lambda to: c.send(sample, to), lambda source: c.recv(source=source)),
        "bcast": lambda c, sample: lambda: c.bcast(sample, 0),
        "gather": lambda c, sample: lambda: c.gather(sample, 0),
        "allgather": lambda c, sample: lambda: c.allgather(sample),
        "scatter": lambda c, sample: lambda: c.scatter([sample] * size if rank == 0 else None, 0),
        "alltoall": lambda c, sample: lambda: c.alltoall([sample] * size),
    }
    for name, call in calls.items():
        for kind, sample in samples.items():
            loops = {"mpi4py": timed(call(world, sample)), "ipclusterz": timed(call(comm, sample))}
            measure(f"{name}, {kind}", 0, loops)
    loops = {"mpi4py": timed(lambda: world.allreduce(1.5)), "ipclusterz": timed(lambda: comm.allreduce(1.5))}
    measure("allreduce, a float", 0, loops)


if len(sys.argv) > 3:
    for nbytes in map(int, sys.argv[3].split(",")):
        buffers(nbytes)
else:
    for power in (3, 10, 13, 16, 20, 23, 26):
        buffers(1 << power)
    objects()
