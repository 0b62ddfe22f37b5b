"""A view as a `concurrent.futures.Executor`: its workers are engines.

Tasks go through the load-balanced view; what a future is and how it is settled is in `asyncresult`. Nothing here starts
or ends an engine.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor
from itertools import islice
from time import monotonic

from ..compat import zip_equal
from ..error import RemoteError
from .about import about, name_of
from .answers import Elements, Failure
from .arguments import argument_frames
from .asyncresult import AsyncResult, give_up
from .deadlines import deadline_of, left_until
from .mapping import chunk_frames
from .owned import OwnLock, own_condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    from .._core import Pending
    from ..error import IpclusterzError
    from ..shared.serialize import Frame
    from .connection import Connection

    class Workers(Protocol):
        """A `LoadBalancedView`."""

        client: Connection
        quiet: bool

        @property
        def targets(self) -> Any: ...
        @property
        def executor(self) -> ViewExecutor: ...
        def __len__(self) -> int: ...
        def _workers(self) -> Workers: ...
        def _packed(self, f: Callable[..., Any], *, mapped: bool = False) -> tuple[bytes, bytes]: ...
        def _submit(
            self, op: Any, items: Any, function: tuple[bytes, bytes], name: str, about: bytes | None
        ) -> Pending: ...


__all__ = ["ViewExecutor", "ViewFuture"]

# How long a shutdown waits for the engines to say what they have not begun.
_CANCEL_SECONDS = 10.0


class ViewFuture(AsyncResult):
    """An `AsyncResult` that raises what the call raised on the engine, as an object of that class.

    The `RemoteError`, with the engine's traceback, is the exception's cause. It is raised itself when the exception
    cannot be rebuilt here. Made by `ViewExecutor.submit`.
    """

    def __init__(self, executor: ViewExecutor, pending: Pending, method: str) -> None:
        view = executor.view
        super().__init__(view.client, pending, method, True, quiet=view.quiet)
        self._executor = executor
        self._exception_raised: BaseException | None = None

    def _elements(self, timeout: float | None, first: int) -> list[Any]:
        """The results of a chunk of a map up to the first that failed, and then its `Failure`.

        Parameters
        ----------
        timeout : float, optional
            As for `get`.
        first : int
            The index of its first element.
        """
        self._refuse_cancelled(timeout)
        value = self._values[0]
        if type(value) is Failure:
            return [value]
        if type(value) is not Elements:
            values: list[Any] = value
            return values
        return value.numbered(range(first, first + len(value.values)))[: min(value.failed) + 1]

    def _raised(self, error: IpclusterzError) -> BaseException:
        # The same object each time, as a Future has it.
        if self._exception_raised is None:
            original = error.original() if isinstance(error, RemoteError) else None
            self._exception_raised = error if original is None else original
        return self._exception_raised.with_traceback(None)

    def _settle(self) -> None:
        try:
            super()._settle()
        finally:
            self._executor._settled(self)


class ViewExecutor(Executor):
    """Runs calls on engines, each on the one that has least to do.

    It has the standard library's interface and meaning: `submit`, `map`, `shutdown` and ``with``. What a call raises is
    raised as its own class. Shutting the executor down does not touch the engines, and leaves the view usable.

    Parameters
    ----------
    view : LoadBalancedView
        The engines, and how often a call is retried when its engine dies.

    Examples
    --------
    >>> with rc[:].executor as executor:
    ...     future = executor.submit(pow, 2, 10)
    ...     future.result()
    1024
    """

    def __init__(self, view: Workers) -> None:
        self.view = view
        self._shut_down = False
        # What `shutdown` has to wait for; a future that is settled is its owner's alone.
        self._under_way: set[ViewFuture] = set()
        self._changed = own_condition()
        self._submitting = OwnLock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ViewFuture:
        """Call ``fn(*args, **kwargs)`` on an engine.

        Parameters
        ----------
        fn : callable
            Runs with the globals and closure that it has here.
        *args, **kwargs
            Its arguments.

        Returns
        -------
        ViewFuture
            A `concurrent.futures.Future`.

        Raises
        ------
        RuntimeError
            After `shutdown`.
        TypeError
            When `fn` cannot be called.
        SerializationError
            When `fn` or an argument cannot travel; names it.
        """
        return self._send(self.view._packed(fn), argument_frames(args, kwargs), "apply", name_of(fn))

    def map(
        self,
        fn: Callable[..., Any],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Call `fn` on each element, in chunks, and give the results in the order of the elements.

        Parameters
        ----------
        fn : callable
            Takes as many arguments as there are iterables.
        *iterables : iterable
            Consumed at once, unless there is a `buffersize`; the shortest decides.
        timeout : float, optional
            Seconds, from now, in which each result must be there when it is asked for.
        chunksize : int
            Elements in a task.
        buffersize : int, optional
            Most tasks under way; the iterables are consumed as results are taken.

        Returns
        -------
        iterator
            Gives one result for each element. An exception is raised in its turn, and gives up the tasks behind it.

        Raises
        ------
        ipclusterz.TimeoutError
            When a result is not there in time; also a builtin TimeoutError.
        ValueError
            When `chunksize` or `buffersize` is less than one.
        RuntimeError
            After `shutdown`.
        """
        deadline = deadline_of(timeout)
        futures = self._chunks(fn, iterables, chunksize, buffersize)
        return _results(deque(islice(futures, buffersize)), futures, deadline)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. The engines go on. In a child that was forked off, nothing is waited for or given up.

        Parameters
        ----------
        wait : bool
            Wait until all calls have ended and the callbacks of their futures have returned. Ctrl-C ends the wait.
        cancel_futures : bool
            Give up the calls that no engine has begun.

        Raises
        ------
        RuntimeError
            When a callback of one of its futures waits for it.
        """
        self._shut_down = True
        if self.view.client._core.forked_from is not None:
            return
        with self._submitting, self._changed:
            under_way = list(self._under_way)
        if cancel_futures:
            for future in under_way:
                future.abort()
        if not wait:
            if cancel_futures:
                # All of them were told; this waits for the engines' word, so that `cancelled` is true from here on.
                deadline = monotonic() + _CANCEL_SECONDS
                for future in under_way:
                    future._pending.cancel(max(0.0, deadline - monotonic()))
            return
        if under_way and self.view.client._watcher.is_current:
            raise RuntimeError("a callback of a future cannot wait for the end of its executor: shutdown(wait=False)")
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)

    def __repr__(self) -> str:
        state = "shut down" if self._shut_down else f"{len(self._under_way)} under way"
        return f"<ViewExecutor on {self.view!r}: {state}>"

    # -- inside -------------------------------------------------------------------------------------------------

    def _chunks(
        self, fn: Callable[..., Any], iterables: tuple[Iterable[Any], ...], chunksize: int, buffersize: int | None
    ) -> Iterator[ViewFuture]:
        """The futures of a map's chunks, each of which is submitted when it is taken."""
        for name, value in (("chunksize", chunksize), ("buffersize", buffersize)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        function, name = self.view._packed(fn, mapped=True), name_of(fn)
        rows = zip(*iterables)
        columns = (
            [list(column) for column in zip_equal(*chunk)] for chunk in iter(lambda: list(islice(rows, chunksize)), [])
        )
        return (self._send(function, chunk_frames(each, 0, len(each[0])), "map", name) for each in columns)

    def _send(self, function: tuple[bytes, bytes], frames: list[Frame], method: str, name: str) -> ViewFuture:
        told = about("future", method=method, quiet=self.view.quiet)
        # Not the lock of those that settle: submitting may wait for room.
        with self._submitting:
            if self._shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            pending = self.view._submit("apply", [(None, frames)], function, name, told)
            future = ViewFuture(self, pending, method)
            with self._changed:
                self._under_way.add(future)
        try:
            future._watch()
        except BaseException:
            self._settled(future)
            raise
        return future

    def _settled(self, future: ViewFuture) -> None:
        with self._changed:
            self._under_way.discard(future)
            if not self._under_way:
                self._changed.notify_all()


def _results(under_way: deque[ViewFuture], more: Iterator[ViewFuture], deadline: float | None) -> Iterator[Any]:
    first = 0
    try:
        while under_way:
            under_way.extend(islice(more, 1))
            values = under_way[0]._elements(left_until(deadline), first)
            first += len(values)
            # Neither the future nor a result is referred to from here once it is given out.
            future = under_way.popleft()
            failed = values.pop() if type(values[-1]) is Failure else None
            if failed is None:
                del future
            values.reverse()
            while values:
                yield values.pop()
            if failed is not None:
                raise future._raised(failed.error)
    finally:
        # Who stops early does not want the rest.
        give_up(under_way)
