"""ipyparallel, as its own documentation starts it on one machine."""

from __future__ import annotations

import logging
import os

import ipyparallel as ipp
import psutil

from interface import Array, System, descendants, noop


class Ipyparallel(System):
    distributions = ("ipyparallel", "pyzmq", "ipykernel")

    def start(self, engines: int) -> None:
        self._cluster = ipp.Cluster(n=engines, log_level=logging.WARNING)
        self._client = self._cluster.start_and_connect_sync()
        self._all = self._client[:]
        self._balanced = self._client.load_balanced_view()
        self._engine_pids = set(self._all.apply_sync(os.getpid))

    def call_noop(self) -> None:
        self._client[0].apply_sync(noop)

    def submit_noops(self, count: int) -> None:
        for result in [self._balanced.apply_async(noop) for _ in range(count)]:
            result.get()

    def push(self, array: Array) -> None:
        self._all.push({"a": array}, block=True)

    def pull(self) -> list[Array]:
        return list(self._all.pull("a", block=True))

    def controller_processes(self) -> list[psutil.Process]:
        return descendants(excluding=self._engine_pids)

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()
        if hasattr(self, "_cluster"):
            self._cluster.stop_cluster_sync()


SYSTEM = Ipyparallel
