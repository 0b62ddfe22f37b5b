"""Ray on one machine: an actor for each engine, tasks for what may run anywhere.

The objects travel through Ray's shared-memory store, as its documentation recommends for arrays.
"""

from __future__ import annotations

import logging

import psutil
import ray

from interface import Array, System, descendants, first_element, noop

# Memory that the store may take: the pushed array, and a copy of it from every engine, of two rounds.
STORE_BYTES = 2**30


@ray.remote(num_cpus=0)
class Engine:
    def noop(self) -> None:
        noop()

    def hold(self, array: Array) -> float:
        self._array = array
        return first_element(array)

    def give(self) -> Array:
        return self._array


class Ray(System):
    distributions = ("ray",)

    def start(self, engines: int) -> None:
        ray.init(
            num_cpus=engines,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        self._noop = ray.remote(noop)
        self._actors = [Engine.remote() for _ in range(engines)]
        ray.get([actor.noop.remote() for actor in self._actors])

    def call_noop(self) -> None:
        ray.get(self._actors[0].noop.remote())

    def submit_noops(self, count: int) -> None:
        ray.get([self._noop.remote() for _ in range(count)])

    def push(self, array: Array) -> None:
        reference = ray.put(array)
        ray.get([actor.hold.remote(reference) for actor in self._actors])

    def pull(self) -> list[Array]:
        return ray.get([actor.give.remote() for actor in self._actors])

    def controller_processes(self) -> list[psutil.Process]:
        # Workers call themselves "ray::NAME"; what is left are the GCS, the raylet, its agents and monitors.
        return [process for process in descendants(excluding=set()) if not process.cmdline()[0].startswith("ray::")]

    def stop(self) -> None:
        ray.shutdown()


SYSTEM = Ray
