"""ipclusterz itself, on its local launcher."""

from __future__ import annotations

import os
from typing import ClassVar

import psutil

import ipclusterz as ipz
from interface import Array, System, descendants, noop


class Ipclusterz(System):
    distributions = ("ipclusterz",)
    journal: ClassVar[str] = "on"

    def start(self, engines: int) -> None:
        self._cluster = ipz.Cluster(n=engines, controller={"journal": self.journal})
        self._client = self._cluster.__enter__()
        self._all = self._client[:]
        self._balanced = self._client.load_balanced_view()
        self._engine_pids = set(self._all.apply_sync(os.getpid).values())

    def call_noop(self) -> None:
        self._client[0].apply_sync(noop)

    def submit_noops(self, count: int) -> None:
        for result in [self._balanced.apply_async(noop) for _ in range(count)]:
            result.get()

    def push(self, array: Array) -> None:
        self._all.push({"a": array}, block=True)

    def pull(self) -> list[Array]:
        return list(self._all.pull("a", block=True).values())

    def controller_processes(self) -> list[psutil.Process]:
        return descendants(excluding=self._engine_pids)

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._cluster.__exit__(None, None, None)


SYSTEM = Ipclusterz
