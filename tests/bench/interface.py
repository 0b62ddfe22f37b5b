"""What a system has to be able to do to be measured, and the work that all of them are given.

One file of systems/ holds one system. measure.py calls it; the figures are defined there.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import psutil

Array = npt.NDArray[np.float64]


def noop() -> None:
    """Do nothing: what is timed is all that a system puts around a call."""


class System(ABC):
    """A system under test: `start` once, then any of the others, then `stop`.

    Calls are synchronous. What a method has returned from has happened: the figures depend on it.
    """

    distributions: ClassVar[tuple[str, ...]]
    """The packages whose version belongs beside the figures."""

    @abstractmethod
    def start(self, engines: int) -> None:
        """Start so many engines, and return when each of them takes work."""

    @abstractmethod
    def call_noop(self) -> None:
        """Run `noop` on an engine and wait for its answer."""

    @abstractmethod
    def submit_noops(self, count: int) -> None:
        """Submit `count` no-ops, one by one and without waiting; then wait for all of them."""

    @abstractmethod
    def push(self, array: Array) -> None:
        """Bring the array to every engine, to stay there."""

    @abstractmethod
    def pull(self) -> list[Array]:
        """Fetch the array of the last `push` from every engine, one copy from each."""

    @abstractmethod
    def controller_processes(self) -> list[psutil.Process]:
        """The processes that are neither engines nor the client; none when the client does their work."""

    @abstractmethod
    def stop(self) -> None:
        """End all that `start` has started. Also called when `start` has failed half-way."""


def descendants(excluding: set[int]) -> list[psutil.Process]:
    """All processes below this one, but for the excluded ones and what these have started."""
    found: list[psutil.Process] = []

    def walk(process: psutil.Process) -> None:
        for child in process.children():
            if child.pid not in excluding:
                found.append(child)
                walk(child)

    walk(psutil.Process(os.getpid()))
    return found


def first_element(array: Any) -> float:
    """A look at pushed data on an engine, to be sure that it is there and readable."""
    return float(array[0])
