"""Locks that a forked child does not wait for.

A fork copies memory, but only the thread that forks. A lock that another thread holds at that moment is never released
in the child, so there it raises instead. The extension module does the same for all that it has.
"""

from __future__ import annotations

import os
from threading import Condition, RLock

from ..error import ClientClosed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OwnLock", "own_condition"]


class OwnLock:
    """A reentrant lock of the process that made it; works in a `threading.Condition` too.

    Raises
    ------
    ClientClosed
        When it is taken in a child that was forked off.
    """

    def __init__(self) -> None:
        lock: Any = RLock()
        self._lock = lock
        self._owner = os.getpid()
        self.release = lock.release
        # What a condition needs of a lock that its thread may have taken more than once.
        self._is_owned, self._release_save, self._acquire_restore = (
            lock._is_owned,
            lock._release_save,
            lock._acquire_restore,
        )

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if os.getpid() != self._owner:
            raise ClientClosed(
                f"this client was made in process {self._owner} before a fork; make a new one here",
                hint="make a new Client()",
            )
        taken: bool = self._lock.acquire(blocking, timeout)
        return taken

    __enter__ = acquire

    def __exit__(self, *_error: object) -> None:
        self.release()


def own_condition() -> Condition:
    """A condition with such a lock."""
    lock: Any = OwnLock()
    return Condition(lock)
