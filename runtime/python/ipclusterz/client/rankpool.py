"""Ranks with the face of ``mpi4py.futures.MPIPoolExecutor``, for programs that were written for that."""

from __future__ import annotations

from concurrent.futures import as_completed
from typing import Any

from .answers import Failure
from .asyncresult import give_up
from .executor import ViewExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Self

__all__ = ["RankPool"]


class RankPool(ViewExecutor):
    """A `ViewExecutor` that has what mpi4py's pool has beside.

    The calls are those of one rank each, and have no communicator: what ranks do together is ``view.mpi``. Made by
    `Client.become_mpi4py_pool`.
    """

    @property
    def num_workers(self) -> int:
        """How many ranks there are."""
        return len(self.view)

    def bootup(self, wait: bool = True) -> Self:
        """Do nothing: the ranks are there.

        Parameters
        ----------
        wait : bool
            Not used.

        Returns
        -------
        RankPool
            This one.
        """
        return self

    def map(
        self,
        fn: Callable[..., Any],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        unordered: bool = False,
    ) -> Iterator[Any]:
        """Call `fn` on each element; see `ViewExecutor.map`.

        Parameters
        ----------
        fn, *iterables, timeout, chunksize, buffersize
            As there.
        unordered : bool
            Give results as they arrive. The iterables are consumed at once, without `buffersize`.

        Returns
        -------
        iterator
            Gives one result for each element.
        """
        if not unordered:
            return super().map(fn, *iterables, timeout=timeout, chunksize=chunksize, buffersize=buffersize)
        return _arriving(list(self._chunks(fn, iterables, chunksize, buffersize)), None if timeout == -1 else timeout)

    def starmap(
        self,
        fn: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        timeout: float | None = None,
        chunksize: int = 1,
        unordered: bool = False,
    ) -> Iterator[Any]:
        """Call ``fn(*args)`` for each of `iterable`; otherwise as `map`."""

        def star(arguments: Iterable[Any]) -> Any:
            return fn(*arguments)

        if not callable(fn):
            raise TypeError(f"a function is needed, not {type(fn).__name__}: {fn!r:.80}")
        return self.map(star, iterable, timeout=timeout, chunksize=chunksize, unordered=unordered)


def _arriving(futures: list[Any], timeout: float | None) -> Iterator[Any]:
    try:
        done: Any = as_completed(futures, timeout)
        for future in done:
            for value in future._elements(0, 0):
                if type(value) is Failure:
                    raise future._raised(value.error)
                yield value
    finally:
        give_up(futures)
