"""What a non-blocking call returns."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["Request", "Status", "wait_all"]


@dataclass
class Status:
    """What is known of a message.

    Attributes
    ----------
    source : int
        Rank that sent it; -1 while nothing was received.
    tag : int
        Its tag.
    nbytes : int
        Its length in bytes.
    """

    source: int = -1
    tag: int = -1
    nbytes: int = 0

    def _set(self, told: tuple[int, int, int]) -> None:
        self.source, self.tag, self.nbytes = told


class Request:
    """An operation that goes on; `wait` for its end before its buffers are used.

    Examples
    --------
    >>> request = comm.Iallreduce(part, total)
    >>> request.wait(timeout=60)
    """

    __slots__ = ("_done", "_finish", "_native", "_timeout", "_value")

    def __init__(
        self, native: Any, timeout: float, finish: Callable[[tuple[int, int, int] | None], Any] | None = None
    ) -> None:
        self._native = native
        self._timeout = timeout
        self._finish = finish
        self._done = False
        self._value: Any = None

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the end and return what the operation gives; None for those on buffers.

        Parameters
        ----------
        timeout : float, optional
            Seconds; the communicator's when it is not given. After a time-out the communicator cannot be used any more.

        Raises
        ------
        MPITimeout
            When the time is up.
        RankLost
            When a rank of the world is gone.
        MPIError
            When MPI reports an error.
        """
        if not self._done:
            self._settle(self._native.wait(self._timeout if timeout is None else timeout))
        return self._value

    def test(self) -> tuple[bool, Any]:
        """Whether it is done, and then what it gives."""
        if not self._done:
            done, told = self._native.test()
            if not done:
                return False, None
            self._settle(told)
        return True, self._value

    def _settle(self, told: tuple[int, int, int] | None) -> None:
        self._done = True
        self._native = None
        if self._finish is not None:
            self._value = self._finish(told)
            self._finish = None


def wait_all(requests: Iterable[Request], timeout: float | None = None) -> list[Any]:
    """Wait for several requests; what each gives.

    Parameters
    ----------
    requests : iterable of Request
        Those to wait for.
    timeout : float, optional
        Seconds for each.
    """
    return [request.wait(timeout) for request in requests]
