"""Dask distributed on one machine, with the scheduler in a process of its own as on a cluster."""

from __future__ import annotations

import os

import psutil
from distributed import Client
from distributed.deploy.subprocess import SubprocessCluster

from interface import Array, System, descendants, noop


def _give(array: Array) -> Array:
    return array


class Dask(System):
    distributions = ("dask", "distributed")

    def start(self, engines: int) -> None:
        self._cluster = SubprocessCluster(
            n_workers=engines, threads_per_worker=1, dashboard_address=":0", worker_class="distributed.Worker"
        )
        self._client = Client(self._cluster)
        self._client.wait_for_workers(engines)
        self._engine_pids = self._client.run(os.getpid)

    def call_noop(self) -> None:
        # pure=False: Dask remembers the answer of a pure function and would not run it again.
        self._client.submit(noop, pure=False).result()

    def submit_noops(self, count: int) -> None:
        self._client.gather([self._client.submit(noop, pure=False) for _ in range(count)])

    def push(self, array: Array) -> None:
        self._held = self._client.scatter(array, broadcast=True, hash=False)

    def pull(self) -> list[Array]:
        copies = [self._client.submit(_give, self._held, workers=[worker], pure=False) for worker in self._engine_pids]
        # direct: from the workers to the client, not through the scheduler.
        return list(self._client.gather(copies, direct=True))

    def controller_processes(self) -> list[psutil.Process]:
        return descendants(excluding=set(self._engine_pids.values()))

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()
        if hasattr(self, "_cluster"):
            self._cluster.close()


SYSTEM = Dask
