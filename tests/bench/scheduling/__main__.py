"""Load-balanced calls on terms, beside Dask: `make bench-scheduling`. Prints a table, and JSON to a file.

Two systems stand on this host at the same time, each with four engines, and take turns. It asserts nothing about time.
Each row is the median of the rounds, in calls a second, from the first submission to the last answer:

plain       no-ops submitted one by one
priority    the same, every second one of a higher priority
needs       the same, each of which needs something that engines offer
chain       each begins after the one before it
tree        each begins after the one whose number is half of its own
join        one begins after all others
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import ipclusterz as ipz

ENGINES = 4
ROWS = ("plain", "priority", "needs", "chain", "tree", "join")


def noop(*_parents: Any) -> None:
    """What is timed is all that a system puts around a call."""


class System(ABC):
    """A system with engines, each of which offers a licence."""

    name: ClassVar[str]

    @abstractmethod
    def submit(self, parents: list[Any], priority: int = 0, needy: bool = False) -> Any:
        """Submit a no-op that begins after others."""

    @abstractmethod
    def wait(self, results: list[Any]) -> None:
        """Wait for all answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it."""


class Ipclusterz(System):
    name = "ipclusterz"

    def __init__(self) -> None:
        self._cluster = ipz.Cluster(n=ENGINES, engines={"resources": {"licence": 1}}).start()
        self._client = self._cluster.connect_client()
        self._client.wait_for_engines(ENGINES)
        self._view = self._client.load_balanced_view()

    def submit(self, parents: list[Any], priority: int = 0, needy: bool = False) -> Any:
        flags: dict[str, Any] = {"after": parents} if parents else {}
        if priority:
            flags["priority"] = priority
        if needy:
            flags["needs"] = {"licence": 1}
        if not flags:
            return self._view.apply_async(noop)
        with self._view.temp_flags(**flags):
            return self._view.apply_async(noop)

    def wait(self, results: list[Any]) -> None:
        for result in results:
            result.get()

    def stop(self) -> None:
        self._cluster.stop()


class Dask(System):
    name = "Dask"

    def __init__(self) -> None:
        from distributed import Client
        from distributed.deploy.subprocess import SubprocessCluster

        self._cluster = SubprocessCluster(
            n_workers=ENGINES,
            threads_per_worker=1,
            dashboard_address=":0",
            worker_class="distributed.Worker",
            worker_kwargs={"resources": {"licence": 1}},
        )
        self._client = Client(self._cluster)
        self._client.wait_for_workers(ENGINES)

    def submit(self, parents: list[Any], priority: int = 0, needy: bool = False) -> Any:
        resources = {"licence": 1} if needy else None
        return self._client.submit(noop, *parents, pure=False, priority=priority, resources=resources)

    def wait(self, results: list[Any]) -> None:
        self._client.gather(results)

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()


def row(system: System, name: str, count: int) -> None:
    """Submit the calls of a row, and wait for them."""
    results: list[Any] = []
    submit = system.submit
    for number in range(count):
        if name == "chain":
            parents = results[-1:]
        elif name == "tree":
            parents = results[number // 2 : number // 2 + 1]
        elif name == "join" and number == count - 1:
            parents = list(results)
        else:
            parents = []
        results.append(submit(parents, int(name == "priority" and number % 2), name == "needs"))
    system.wait(results)


def measure(systems: list[System], count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Calls a second, by row and system."""
    found: dict[str, dict[str, list[float]]] = {name: {each.name: [] for each in systems} for name in ROWS}
    for _ in range(rounds):
        for name in ROWS:
            for system in systems:
                begin = time.perf_counter()
                row(system, name, count)
                found[name][system.name].append(count / (time.perf_counter() - begin))
    return {name: {each: statistics.median(rates) for each, rates in of.items()} for name, of in found.items()}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="calls in a row (10000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--only", choices=["ipclusterz", "Dask"], help="one of the systems")
    parser.add_argument("--json", type=Path, help="a file to write")
    arguments = parser.parse_args()
    makers: list[Callable[[], System]] = [kind for kind in (Ipclusterz, Dask) if arguments.only in (None, kind.name)]
    systems = [make() for make in makers]
    try:
        figures = measure(systems, arguments.count, arguments.rounds)
    finally:
        for system in systems:
            system.stop()
    names = [system.name for system in systems]
    print("| calls/s | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for name, rates in figures.items():
        print(f"| {name} | " + " | ".join(f"{rates[each]:,.0f}" for each in names) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
