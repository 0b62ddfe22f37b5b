"""The `concurrent.futures` and `asyncio` side of results.

The state that `concurrent.futures` keeps in a Future is made when somebody looks at it: most results are only waited
for, and then no thread has to settle them. Waiting, values and errors are `asyncresult`'s.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context

from .. import error as errors
from .owned import own_condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop
    from collections.abc import Generator
    from typing import Any, Protocol
    from weakref import WeakSet

    from .._core import Client as Core
    from .._core import Pending
    from .watcher import Watcher

    class Owner(Protocol):
        """The client that a result is from, as far as results need it."""

        _core: Core
        _watcher: Watcher
        # Results that somebody still has, and those that a wait was broken off for.
        _results: WeakSet[LazyFuture]
        _left: list[LazyFuture]
        quiet: bool


__all__ = ["LazyFuture"]

# How long `cancel` waits for the engines to say what they have not begun.
_CANCEL_SECONDS = 10.0

# What `Future.__init__` sets; see `LazyFuture.__getattr__`.
_FUTURE_STATE = frozenset(vars(Future()))


class LazyFuture(Future):  # type: ignore[type-arg]
    """A Future of the answers of one submission; only `AsyncResult` derives from it."""

    if TYPE_CHECKING:
        _client: Owner
        _pending: Pending
        _method: str
        quiet: bool

        def _show(self, at_once: bool = True) -> None: ...
        def _is_written_here(self) -> bool: ...
        def get(self, timeout: float | None = None) -> Any: ...
        @property
        def engine_ids(self) -> list[int]: ...
        def ready(self) -> bool: ...
        def wait(self, timeout: float | None = None) -> bool: ...
        def _taken(self) -> bool: ...
        def abort(self) -> None: ...
        def _refuse_cancelled(self, timeout: float | None) -> None: ...
        def _error(self) -> BaseException | None: ...

    def result(self, timeout: float | None = None) -> Any:
        """Same as `get`, but for what was cancelled on several engines.

        Raises
        ------
        AbortedError
            When all calls were cancelled; also a `concurrent.futures.CancelledError`.
        """
        self._refuse_cancelled(timeout)
        return self.get()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait, and return what `get` would raise, or None.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; for ever when left out.

        Returns
        -------
        Exception or None

        Raises
        ------
        ipclusterz.TimeoutError
            When the result is not there in time.
        AbortedError
            When all calls were cancelled; also a `concurrent.futures.CancelledError`.
        """
        self._refuse_cancelled(timeout)
        return self._error()

    def done(self) -> bool:
        """Same as `ready`."""
        return self.ready()

    def running(self) -> bool:
        """Whether answers are missing. Whether an engine has begun is only known when it has ended."""
        return not self.ready()

    def cancel(self) -> bool:
        """Give the call up if no engine has begun it.

        Returns
        -------
        bool
            Whether none of the calls was begun; asks the engines, and waits for their word.
        """
        return self._pending.cancel(_CANCEL_SECONDS)

    def cancelled(self) -> bool:
        """Whether all of the calls were given up before they began."""
        return set(self._pending.statuses()) == {"aborted"}

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait without holding up the event loop, and give what `get` gives.

        Cancelling the task that waits gives the call up, as `abort` does. A call that somebody else has given up raises
        `AbortedError`, which does not cancel the task.
        """
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        from asyncio import CancelledError, get_running_loop

        if not self.ready():
            loop = get_running_loop()
            arrived = loop.create_future()
            self.add_done_callback(lambda _: _wake(loop, arrived))
            try:
                await arrived
            except CancelledError:
                # Not `cancel`, as `asyncio.wrap_future` has it: that waits for the engines' word.
                self.abort()
                raise
        return self.get()

    def __getattr__(self, name: str) -> Any:
        # Only called for what is missing.
        if name not in _FUTURE_STATE:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._watch()
        return self.__dict__[name]

    def _watch(self) -> None:
        """Make the Future's state, and have the watcher settle it."""
        # Several threads may be here at once, and a lock could meet itself in a garbage collection. Each attribute is
        # the one of whoever came first; everybody uses the condition first, so it is made last, and registers.
        own, fresh = self.__dict__, vars(Future())
        del fresh["_condition"]
        condition = own_condition()
        for name, value in fresh.items():
            own.setdefault(name, value)
        if own.setdefault("_condition", condition) is condition:
            # In a notebook the context says to which cell output belongs.
            own.setdefault("_context", copy_context())
            try:
                self._client._watcher.settle_when_done(self, self._pending)
            except BaseException:
                del own["_condition"]
                raise

    def _settle(self) -> None:
        """Make the Future's own state final: called once, when all answers are there."""
        statuses = set(self._pending.statuses())
        if statuses == {"aborted"}:
            Future.cancel(self)
            Future.set_running_or_notify_cancel(self)
        elif statuses <= {"ok"}:
            Future.set_result(self, None)
        else:
            # Who asks for the exception gets it from `exception`; this tells waiters that there is one.
            Future.set_exception(self, errors.IpclusterzError(self._method))

    def _show_from_watcher(self) -> None:
        """Show what was written, unless a thread that waits does it."""
        if not self.quiet and self._pending.has_news() and not self._pending.is_taken():
            self.__dict__["_context"].run(self._show, False)

    def _get_snapshot(self) -> tuple[bool, bool, Any, BaseException | None]:
        # `asyncio.wrap_future` of newer Pythons reads a Future by this alone.
        if not self.ready():
            return False, False, None, None
        if self.cancelled():
            return True, True, None, None
        error = self.exception()
        return True, False, None if error is not None else self.get(), error


def _wake(loop: AbstractEventLoop, arrived: asyncio.Future[None]) -> None:
    def set_result() -> None:
        if not arrived.done():
            arrived.set_result(None)

    # RuntimeError: the loop was closed, and nobody waits there any more.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(set_result)
