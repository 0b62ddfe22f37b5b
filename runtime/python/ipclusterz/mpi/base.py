"""What all calls of a communicator need: who it is, its deadline, checks of ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Union

from . import missing
from .operators import checked
from .requests import Request

__all__ = ["ANY_SOURCE", "ANY_TAG", "IN_PLACE", "Base", "Op", "checked_tag", "ints", "named"]

ANY_SOURCE = -1
ANY_TAG = -1
# Where a send buffer is expected: the data are in the receive buffer.
IN_PLACE = None

Op = Union[str, Callable[[Any, Any], Any]]


class Base:
    """A communicator without its calls."""

    def __init__(self, native: Any, name: str, timeout: float | None) -> None:
        self._native = native
        self.name = name
        self.rank: int = native.rank
        self.size: int = native.size
        self.timeout = timeout
        # When the call of a client that runs has asked for it: what it took to make counts as part of that call.
        self.asked: float | None = None
        self._children: dict[str, int] = {}
        self._side: Any = None
        self._room: int = native.room
        native.set_name(name)

    def __repr__(self) -> str:
        broken = f", broken: {self.broken}" if self.broken else ""
        return f"<ipclusterz.mpi.Comm {self.name}: rank {self.rank} of {self.size}, epoch {self.epoch}{broken}>"

    @property
    def epoch(self) -> int:
        epoch: int = self._native.epoch
        return epoch

    @property
    def broken(self) -> str | None:
        """Why it cannot be used any more; None while it can."""
        why: str | None = self._native.broken
        return why

    @property
    def timeout(self) -> float | None:
        """Seconds for each call that is not told how many; None: for ever."""
        return None if self._limit == math.inf else self._limit

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._limit = math.inf if seconds is None else _checked_seconds(seconds)

    def _seconds(self, timeout: float | None) -> float:
        return self._limit if timeout is None else _checked_seconds(timeout)

    @contextmanager
    def _in_step(self, what: str) -> Iterator[None]:
        """Around a call of several steps: a rank that leaves it early gives the communicator up for all ranks."""
        # Also one that leaves it in a way that is not seen here.
        self._native.set_amid(True)
        try:
            yield
            self._native.set_amid(False)
        except BaseException as error:
            self._give_up(f"{what}: {str(error) or type(error).__name__}")
            raise

    def _give_up(self, why: str) -> None:
        """No rank can use it any more: this one has left a call that the others are in, or are about to enter."""
        self._native.break_off(why)
        missing.tell(self.name, self.epoch, self._native.world_ranks, f"{why} on rank {self.rank}", at_once=True)

    # -- communicators ------------------------------------------------------------------------------------------

    def _begun(self, native: Any, timeout: float | None = None) -> Request:
        return Request(native, self._seconds(timeout))

    def _check_ranks(self, ranks: list[int]) -> None:
        wrong = [rank for rank in ranks if not 0 <= rank < self.size]
        if wrong or len(set(ranks)) != len(ranks):
            raise ValueError(f"ranks: {ranks} are not ranks of {self.name}, each once; ranks are 0 to {self.size - 1}")

    def _check_rank(self, name: str, rank: int, any_rank: bool = False) -> int:
        if 0 <= rank < self.size or (any_rank and rank == ANY_SOURCE):
            return rank
        extra = ", or ANY_SOURCE" if any_rank else ""
        raise ValueError(f"{name}: there is no rank {rank}; ranks are 0 to {self.size - 1}{extra}")


def _checked_seconds(timeout: float) -> float:
    if not timeout >= 0:
        raise ValueError(f"timeout: {timeout!r} is not a number of seconds; give one that is not negative")
    return float(timeout)


def ints(numbers: Any) -> list[int] | None:
    """Numbers of any kind, such as numpy's, for the extension module."""
    return None if numbers is None else [int(number) for number in numbers]


def checked_tag(tag: int) -> int:
    """A tag that can be sent."""
    if tag < 0:
        raise ValueError(f"tag: {tag} is negative; only who receives may ask for any tag")
    return tag


def named(op: Any) -> str:
    """An operator of MPI's, for calls that do not wait."""
    name = checked(op)
    if isinstance(name, str):
        return name
    raise TypeError("op: a function needs the call that waits, for it is applied here; use the name of an operator")
