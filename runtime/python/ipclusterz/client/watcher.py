"""The thread that settles futures: callbacks, `concurrent.futures.wait` and `await` hear of answers through it.

There is one thread for each client, and only once somebody has asked for a Future's state. It also shows what the calls
write. The extension module says which submissions have output or all their answers; nothing is polled.
"""

from __future__ import annotations

import atexit
import logging
import os
from itertools import count
from threading import Lock, Thread, current_thread
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from .._core import Client as Core
    from .._core import Pending

    class Result(Protocol):
        """A `future.LazyFuture`."""

        def ready(self) -> bool:
            """Whether all answers are there."""
            ...

        def _show_from_watcher(self) -> None:
            """Show what was written."""

        def _settle(self) -> None:
            """Make the state final, and call what waits for it."""


__all__ = ["Watcher"]

# What goes wrong in a callback is said where `concurrent.futures` says it.
_logger = logging.getLogger("concurrent.futures")


class Watcher:
    """Settles the futures of one client.

    Parameters
    ----------
    core : ipclusterz._core.Client
        The connection. When it is closed everything has its answer, and the thread ends after the last of them.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tokens = count(1)
        # Whoever has a callback or waits must get its word, also when nobody else holds the result.
        self._waiting: dict[int, Result] = {}
        # Is called for the token 0.
        self._also: Callable[[], object] | None = None
        self._thread: Thread | None = None

    @property
    def is_current(self) -> bool:
        """Whether this is the thread that settles: a callback of a future, which must not wait for another one's."""
        return self._thread is current_thread()

    def settle_when_done(self, result: Result, pending: Pending) -> None:
        """Settle a result as soon as all its answers are there; at once when they are.

        Raises
        ------
        RuntimeError
            When they are not there and no thread can be started, as when the interpreter ends.
        """
        token = next(self._tokens)
        self._waiting[token] = result
        if pending.watch(token):
            try:
                self._start()
            except BaseException:
                self._waiting.pop(token, None)
                raise
        else:
            del self._waiting[token]
            result._show_from_watcher()
            result._settle()

    def also(self, function: Callable[[], object]) -> None:
        """Have a function called when there are comm messages, or engines have left; once now."""
        self._also = function
        self._start()
        function()

    def stop(self) -> None:
        """End the thread, and wait until it has ended."""
        self._core.stop_watching()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        with _lock:
            if _ended:
                raise RuntimeError("results cannot be watched after interpreter shutdown: use get() or wait()")
            if self._thread is not None:
                return
            self._thread = Thread(target=self._run, name="ipclusterz-watcher", daemon=True)
            _running.add(self)
            try:
                self._thread.start()
            except RuntimeError:
                self._thread = None
                raise

    def _run(self) -> None:
        while (token := self._core.next_watched()) is not None:
            self.hear(token)

    def hear(self, token: int) -> None:
        """There is news of what `settle_when_done` has given this token; 0 is for `also`."""
        if token == 0:
            self._hear_also()
            return
        # None: the thread that asked for it could not start this one. Or it is settled.
        result = self._waiting.get(token)
        if result is None:
            return
        try:
            # Asked before the output is taken: when all answers are there, so is all output.
            ready = result.ready()
            if ready and self._waiting.pop(token, None) is None:
                # Another thread was faster.
                return
            try:
                result._show_from_watcher()
            finally:
                if ready:
                    result._settle()
        except BaseException:
            # A callback that raises SystemExit, say, is not to end this thread: others wait for it.
            _logger.critical("settling %r failed", result, exc_info=True)

    def _hear_also(self) -> None:
        try:
            if self._also is not None:
                self._also()
        except BaseException:
            _logger.critical("relaying comms of engines failed", exc_info=True)


# The thread must be gone before the interpreter is: a daemon thread that comes back into an interpreter that ends is
# killed in the middle of the extension module.
_running: WeakSet[Watcher] = WeakSet()
_ended = False
_lock = Lock()


def _forget() -> None:
    """In a forked child: the threads are the parent's, and one of them may hold the lock."""
    global _lock, _running
    _lock, _running = Lock(), WeakSet()


os.register_at_fork(after_in_child=_forget)


@atexit.register
def _stop_all() -> None:
    global _ended
    with _lock:
        _ended = True
    for watcher in list(_running):
        watcher.stop()
