"""concurrent.futures.ProcessPoolExecutor of the standard library: no controller, no names that stay on a worker.

Its workers are fresh interpreters ("spawn"), as the engines of all other systems are. Work cannot be addressed to
one worker, so that there are as many pools of one worker for push and pull, as programs do that need this.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

import psutil

from interface import Array, System, first_element, noop

_held: dict[str, Any] = {}


def _hold(array: Array) -> float:
    _held["a"] = array
    return first_element(array)


def _give() -> Array:
    return _held["a"]


class ProcessPool(System):
    distributions = ()

    def start(self, engines: int) -> None:
        spawn = get_context("spawn")
        self._engines = engines
        self._singles: list[ProcessPoolExecutor] = []
        self._pool = ProcessPoolExecutor(engines, mp_context=spawn)
        wait([self._pool.submit(noop) for _ in range(engines)])

    def call_noop(self) -> None:
        self._pool.submit(noop).result()

    def submit_noops(self, count: int) -> None:
        for future in [self._pool.submit(noop) for _ in range(count)]:
            future.result()

    def push(self, array: Array) -> None:
        if not self._singles:
            # Only needed from here on, and no part of the start that is measured.
            spawn = get_context("spawn")
            self._singles = [ProcessPoolExecutor(1, mp_context=spawn) for _ in range(self._engines)]
            wait([single.submit(noop) for single in self._singles])
        for future in [single.submit(_hold, array) for single in self._singles]:
            future.result()

    def pull(self) -> list[Array]:
        return [future.result() for future in [single.submit(_give) for single in self._singles]]

    def controller_processes(self) -> list[psutil.Process]:
        return []

    def stop(self) -> None:
        for pool in [self._pool, *self._singles]:
            pool.shutdown()


SYSTEM = ProcessPool
