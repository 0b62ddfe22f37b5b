"""What a client measures: `clients.py SYSTEM PLACE MEBIBYTES ROUNDS DATA`, on the host of its controller.

Each figure is the median of the rounds, in seconds, and printed as JSON:

- ``push``: one array to all engines, until all have it
- ``pull``: an array of that size from each engine
- ``gather``: a part of that size from all engines together
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

ENGINES = 8
Array = Any
Calls = tuple[Callable[[Array], Any], Callable[[], Any], Callable[[], Any]]


def of_ipclusterz(place: str, array: Array) -> Calls:
    import ipclusterz

    rc = ipclusterz.Client(cluster=place)
    view = rc[:]
    view.push({"x": array}, block=True)
    view.scatter("part", array, block=True)
    push = lambda array: view.push({"x": array}, via="direct", block=True)  # noqa: E731
    return push, lambda: view.pull("x", block=True), lambda: view.gather("part", via="direct", block=True)


def of_dask(place: str, array: Array) -> Calls:
    from distributed import Client

    client = Client(place)
    client.wait_for_workers(ENGINES)
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    held = client.scatter(array, broadcast=True, hash=False)
    give = lambda array: array  # noqa: E731
    parts = [
        client.scatter(part, workers=[worker], hash=False)
        for part, worker in zip(np.array_split(array, len(workers)), workers)
    ]

    def pull() -> Any:
        copies = [client.submit(give, held, workers=[worker], pure=False) for worker in workers]
        return client.gather(copies, direct=True)

    push = lambda array: client.scatter(array, broadcast=True, hash=False)  # noqa: E731
    return push, pull, lambda: np.concatenate(client.gather(parts, direct=True))


def of_ipyparallel(place: str, array: Array) -> Calls:
    import ipyparallel

    rc = ipyparallel.Client(place)
    rc.wait_for_engines(ENGINES, timeout=60)
    view = rc[:]
    view.push({"x": array}, block=True)
    view.scatter("part", array, block=True)
    push = lambda array: view.push({"x": array}, block=True)  # noqa: E731
    return push, lambda: view.pull("x", block=True), lambda: view.gather("part", block=True)


def of_ray(place: str, array: Array) -> Calls:
    import ray

    ray.init(address=place, _node_ip_address=place.split(":")[0], log_to_driver=False, logging_level="ERROR")

    @ray.remote(num_cpus=1)
    class Engine:
        def hold(self, array: Array) -> float:
            self.array = array
            return float(array[0])

        def keep(self, part: Array) -> None:
            self.part = part

        def give(self) -> Array:
            return self.array

        def give_part(self) -> Array:
            return self.part

    engines = [Engine.remote() for _ in range(ENGINES)]
    ray.get([engine.keep.remote(part) for engine, part in zip(engines, np.array_split(array, ENGINES))])

    def push(array: Array) -> None:
        reference = ray.put(array)
        ray.get([engine.hold.remote(reference) for engine in engines])

    pull = lambda: ray.get([engine.give.remote() for engine in engines])  # noqa: E731
    return push, pull, lambda: np.concatenate(ray.get([engine.give_part.remote() for engine in engines]))


SYSTEMS = {"ray": of_ray, "ipclusterz": of_ipclusterz, "dask": of_dask, "ipyparallel": of_ipyparallel}


def seconds(call: Callable[[], Any], rounds: int) -> float:
    """The median."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def array_of(data: str, length: int) -> Array:
    """Numbers that cannot be compressed, or such as a detector counts."""
    chance = np.random.default_rng(0)
    return chance.random(length) if data == "random" else chance.poisson(3.0, length)


def main(system: str, place: str, mebibytes: str, rounds: str, data: str) -> None:
    array = array_of(data, (int(mebibytes) << 20) // 8)
    push, pull, gather = SYSTEMS[system](place, array)
    calls = {"push": lambda: push(array), "pull": pull, "gather": gather}
    print(json.dumps({name: seconds(call, int(rounds)) for name, call in calls.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
