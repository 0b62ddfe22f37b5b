"""What the engine's main thread does between two tasks for a frontend: cells, and looks at the namespace.

Each has a number below zero, which stands where a task has its own: in `State.task`, and in `origin` for what it
writes.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future
from itertools import count
from typing import Any

from .origin import begin
from .streams import end_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Engine
    from .state import State

    _Future = Future[Any]
else:
    _Future = Future

__all__ = ["Turn", "Turns"]


class Turns:
    """Gives turns on the main thread of one engine.

    Parameters
    ----------
    core : ipclusterz._core.Engine
        The registered engine.
    state : State
        Shared with the signal handler and the streams.
    """

    def __init__(self, core: Engine, state: State) -> None:
        self._core = core
        self._state = state
        self._numbers = count(1)

    def take(self, function: Callable[[int], Any]) -> Turn:
        """Have a function called as soon as no task runs. It is given the number of its turn."""
        turn = Turn(self._state, -next(self._numbers), function)
        if not self._core.between(turn.run):
            turn.cancel()
        return turn


class Turn(_Future):
    """What a function gives on the main thread. One that is cancelled in time is not called.

    Parameters
    ----------
    state : State
        As for `Turns`.
    number : int
        Below zero.
    function : callable
        Is given the number.
    """

    def __init__(self, state: State, number: int, function: Callable[[int], Any]) -> None:
        super().__init__()
        self._running = state
        self._number = number
        self._function = function

    def run(self) -> None:
        """Call the function, as the loop calls a task."""
        if not self.set_running_or_notify_cancel():
            return
        state = self._running
        before = state.task
        try:
            state.task = self._number
            begin(self._number)
            state.busy = True
            value = self._function(self._number)
            state.busy = False
            self._end(before)
            self.set_result(value)
        except BaseException as error:
            state.busy = False
            self._end(before, failed=True)
            self.set_exception(error)

    def interrupt(self) -> None:
        """Interrupt the function if it runs, and do not call it if it waits."""
        if not self.cancel() and not self.done():
            self._running.aimed = self._number
            thread = threading.main_thread().ident
            if thread is not None:
                signal.pthread_kill(thread, signal.SIGINT)

    def _end(self, before: int, failed: bool = False) -> None:
        if self._running.forked:
            end_fork(int(failed))
        self._running.task = before
        begin(before)
