"""Data of the client to eight engines on four hosts or eight, and back: past MPI, and through it (`via="mpi"`).

The hosts are namespaces of this machine (`tests/launchers/hosts.py`), whose links are as fast as they can be or limited
as a network would limit them. Seconds of a call are the median of its rounds, in which both ways take turns.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]
sys.path[:0] = map(str, [TESTS, TESTS / "python", TESTS / "mpi", TESTS / "launchers"])

import sites  # noqa: E402
from hosts import VirtualHosts  # noqa: E402
from mpi_library import BUILT  # noqa: E402

HOSTS, ENGINES = (4, 8), 8
RATES = ["", "1gbit"]
SIZES = [1 << power for power in (16, 20, 23, 26)]
CALLS = ["push", "scatter", "gather"]
START_SECONDS = 60


def seconds(rc: Any, call: str, nbytes: int, rounds: int) -> Any:
    """Times of a call both ways, in turns. What a round leaves on the engines is not what the next one moves."""
    import statistics
    import time

    import numpy as np

    view = rc[:]
    rc.mpi.wait_epoch(1, timeout=60)
    data = np.random.default_rng(0).random(nbytes // 8)
    view.scatter("kept", data, block=True)
    calls = {
        "push": lambda via: view.push({"x": data}, via=via, block=True),
        "scatter": lambda via: view.scatter("part", data, via=via, block=True),
        "gather": lambda via: view.gather("kept", via=via, block=True),
    }
    times: dict[str, list[float]] = {"direct": [], "mpi": []}
    for turn in range(rounds + 1):
        for via, some in times.items():
            began = time.perf_counter()
            calls[call](via)
            if turn:
                some.append(time.perf_counter() - began)
    return {via: statistics.median(some) for via, some in times.items()}


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """All figures."""
    return [figure for count in HOSTS for figure in _on_hosts(count, rounds)]


def _on_hosts(count: int, rounds: int) -> list[dict[str, Any]]:
    figures = []
    # What differs for each engine is the same for more hosts.
    calls = CALLS if count == HOSTS[0] else CALLS[:1]
    with VirtualHosts(count, slurm=True) as hosts:
        site = sites.mpiexec(hosts, "openmpi")
        places = ", ".join(f'"{name}:{ENGINES // count}"' for name in hosts.names[1:])
        site.profile = sites.merged(
            site.profile, f'[mpiexec]\nhosts = [{places}]\n[engines.env]\nPYTHONPATH = "{BUILT / "openmpi"}"\n'
        )
        with site.stopped_at_the_end():
            site.start(ENGINES)
            with site.prompt() as prompt:
                for rate in RATES:
                    for index in range(count + 1) if rate else ():
                        hosts.limit(index, rate)
                    for call in calls:
                        for nbytes in SIZES:
                            took = prompt.do(seconds, call, nbytes, rounds, timeout=600)
                            figures.append(
                                {"hosts": count, "rate": rate, "call": call, "bytes": nbytes, "seconds": took}
                            )
                            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return figures
