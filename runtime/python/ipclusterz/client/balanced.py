"""The load-balanced view: each call goes to the engine that has least to do."""

from __future__ import annotations

from ..functions import pack
from .arguments import argument_frames
from .asyncresult import AsyncResult
from .mapping import MapResult, NoPending, chunk_bounds, chunk_frames, columns_of
from .view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .client import Client

__all__ = ["LoadBalancedView"]


class LoadBalancedView(View):
    """Calls that run once, on any engine.

    Made by `Client.load_balanced_view` or ``rc[None]``.

    Attributes
    ----------
    retries : int
        How often a call is given to another engine when the one that ran it died.

    Examples
    --------
    >>> view = rc.load_balanced_view()                      # doctest: +SKIP
    >>> view.map_sync(lambda x: x**2, range(5))             # doctest: +SKIP
    [0, 1, 4, 9, 16]
    """

    __slots__ = ("retries",)

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.retries = 0

    def __repr__(self) -> str:
        return "<LoadBalancedView of all engines>"

    def apply(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(*args, **kwargs)`` on one engine.

        Parameters
        ----------
        f : callable
            Runs with the globals and closure that it has here, away from the engine's namespace.
        *args, **kwargs
            Its arguments.

        Returns
        -------
        object
            The value when `block` is set, else an `AsyncResult`.

        Raises
        ------
        TypeError
            When `f` cannot be called.
        SerializationError
            When `f` or an argument cannot travel; names it.
        RemoteError, EngineError
            When blocking: what the engine raised.
        """
        result = self.apply_async(f, *args, **kwargs)
        return result.get() if self.block else result

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Like `apply`, and never waits."""
        frames = argument_frames(args, kwargs) if args or kwargs else []
        pending = self._core.submit("apply", [(None, frames)], function=pack(f), retries=self.retries)
        return AsyncResult(pending, "apply", True)

    def apply_sync(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like `apply`, and always waits."""
        return self.apply_async(f, *args, **kwargs).get()

    def map(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        block: bool | None = None,
    ) -> Any:
        """Call `f` on each element, in chunks that engines take as they become free.

        Parameters
        ----------
        f : callable
            Takes as many arguments as there are sequences.
        *sequences : iterable
            The shortest decides how many calls there are, as with the builtin.
        chunksize : int, optional
            Elements in a task; left out, about four tasks for each engine.
        ordered : bool
            Give results in the order of the elements; otherwise as they arrive.
        block : bool, optional
            Instead of the view's `block`.

        Returns
        -------
        list or MapResult
            One result for each element.

        Raises
        ------
        ValueError
            When `chunksize` is less than one.
        """
        function = pack(f, mapped=True)
        columns, length = columns_of(sequences)
        chunks = chunk_bounds(length, chunksize, len(self._core.engine_ids()))
        result: MapResult
        if chunks:
            pending = self._core.submit(
                "apply",
                [(None, chunk_frames(columns, start, stop)) for start, stop in chunks],
                function=function,
                retries=self.retries,
            )
            result = MapResult(pending, [stop - start for start, stop in chunks], ordered)
        else:
            result = MapResult(NoPending(), [], ordered)
        return result.get() if (self.block if block is None else block) else result

    def map_async(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
    ) -> MapResult:
        """Like `map`, and never waits."""
        result: MapResult = self.map(f, *sequences, chunksize=chunksize, ordered=ordered, block=False)
        return result

    def map_sync(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
    ) -> list[Any]:
        """Like `map`, and always waits."""
        values: list[Any] = self.map(f, *sequences, chunksize=chunksize, ordered=ordered, block=True)
        return values
