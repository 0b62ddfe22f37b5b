"""What an engine does when its time is about to end: `before_end`.

The warning is SIGUSR1, whoever sends it: the engine's own I/O thread at the time that the launcher told it, a queue
that was asked to (``sbatch --signal=USR1@60``), or the parent of several engines, which passes it on.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Hook = TypeVar("Hook", bound=Callable[[float], object])

__all__ = ["Ending", "before_end"]

_of_this_process: Ending | None = None


class Ending:
    """The functions that one engine calls before its end.

    Parameters
    ----------
    end_time : float or None
        When the process will be ended, seconds since 1970.
    warn_before : float
        How long before that the warning comes: what is left of the time when nobody said when it ends.
    """

    __slots__ = ("_end_time", "_warn_before", "engine_id", "hooks")

    def __init__(self, end_time: float | None, warn_before: float) -> None:
        self._end_time = end_time
        self._warn_before = warn_before
        self.engine_id: int | None = None
        self.hooks: list[Callable[[float], object]] = []
        global _of_this_process
        _of_this_process = self

    def left(self) -> float:
        """Seconds until the end."""
        if self._end_time is None:
            return self._warn_before
        from time import time

        return max(0.0, self._end_time - time())

    def on_warning(self, _signal: int, _frame: object) -> None:
        """Signal handler: call what was registered, each function once."""
        hooks, self.hooks = self.hooks, []
        if not hooks:
            name = "this engine" if self.engine_id is None else f"engine {self.engine_id}"
            print(f"ipclusterz: {name} will be ended in {self.left():.0f} s", file=sys.stderr)
        for hook in hooks:
            try:
                hook(self.left())
            except KeyboardInterrupt:
                raise
            except BaseException:
                import traceback

                print(f"ipclusterz: in {hook!r}, called before the end:", file=sys.stderr)
                traceback.print_exc()


def before_end(function: Hook) -> Hook:
    """On an engine: have a function called when the engine's time is about to end, as that of a job does.

    The call comes `warn_before` seconds ahead (see the profile), on the main thread, between two steps of whatever runs
    there, as that of a signal handler does; so does the call for a SIGUSR1 from outside. An error in it is printed, and
    the code goes on. Each function is called once. Where there is none, a line says when the engine will be ended.

    Parameters
    ----------
    function : callable
        Is given the seconds that are left.

    Returns
    -------
    callable
        The function, so that this can be used as a decorator.

    Raises
    ------
    RuntimeError
        When this is no engine.
    TypeError
        When it cannot be called.

    Examples
    --------
    >>> def simulate(steps):
    ...     import os
    ...     import signal
    ...
    ...     import ipclusterz
    ...
    ...     saved = []
    ...
    ...     @ipclusterz.before_end
    ...     def save(seconds_left):
    ...         saved.append(f"after step {step}")
    ...
    ...     for step in range(steps):
    ...         if step == 2:
    ...             os.kill(os.getpid(), signal.SIGUSR1)  # as when the time ends here
    ...     return saved
    >>> rc[0].apply_sync(simulate, 5)
    ['after step 2']
    """
    if not callable(function):
        raise TypeError(f"a function is needed, not {type(function).__name__}")
    if _of_this_process is None:
        raise RuntimeError(
            "before_end is for code on an engine, and this process is none\n"
            "hint: call it in a function that engines run, or in %%px"
        )
    _of_this_process.hooks.append(function)
    return function
