"""What happens in a cluster, as an iterator: each event is a dictionary.

The controller is asked again and again for what comes behind the last event that was read: so one who reads slowly
costs it nothing, and one who comes back after an outage goes on where it was.
"""

from __future__ import annotations

import json
from asyncio import get_running_loop
from collections import deque
from typing import Any

from .._core import Follower
from ..error import ClientClosed, ControllerUnreachable
from .deadlines import deadline_of, left_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._core import Client as Core

__all__ = ["Events"]

# Longest time that one question waits, seconds: so long may a closed iterator take to end in another thread.
_WAIT = 1.0


class Events:
    """The events of a cluster, as they happen; made by `Client.events`.

    It can be iterated in a thread or, with ``async for``, in an event loop. Each event is a dictionary; see
    ``docs/how-to/see.md``.
    """

    __slots__ = ("_closed", "_core", "_deadline", "_follower", "_follows", "_read", "_timeout")

    def __init__(self, core: Core, since: float | None, follow: bool, timeout: float | None) -> None:
        self._core = core
        self._follows = follow
        self._timeout = timeout
        self._deadline: float | None = None
        self._closed = False
        self._read: deque[str] = deque()
        self._follower = Follower(since)
        # It begins now, not when the first event is taken.
        self._read.extend(core.follow(self._follower, 0.0))

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> dict[str, Any]:
        while not self._read:
            if not self._fetch():
                raise StopIteration
        return self._take()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> dict[str, Any]:
        loop = get_running_loop()
        while not self._read:
            if not await loop.run_in_executor(None, self._fetch):
                raise StopAsyncIteration
        return self._take()

    def _take(self) -> dict[str, Any]:
        self._deadline = None
        event: dict[str, Any] = json.loads(self._read.popleft())
        return event

    def close(self) -> None:
        """End the iteration, also in another thread that waits for the next event."""
        self._closed = True

    def _fetch(self) -> bool:
        """Wait for events. False: there are no more."""
        if self._closed:
            return False
        if self._deadline is None:
            self._deadline = deadline_of(self._timeout)
        left = left_until(self._deadline)
        wait = 0.0 if not self._follows else _WAIT if left is None else min(left, _WAIT)
        try:
            read = self._core.follow(self._follower, wait)
        except (ClientClosed, ControllerUnreachable):
            # The cluster has ended, or this client.
            self._closed = True
            return False
        self._read.extend(read)
        if not read and not self._follows:
            self._closed = True
        return bool(read) or (not self._closed and (left is None or left > 0))
