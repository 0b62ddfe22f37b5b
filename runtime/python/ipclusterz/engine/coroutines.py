"""What an engine does with a function that gives a coroutine: runs it in the engine's event loop, for its value.

There is one loop for the life of the engine, so that what a call opens in it can be used by the next one. It runs while
a coroutine is waited for, and not between calls.
"""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType

from ..error import SerializationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Any

__all__ = ["is_asynchronous", "value_of"]

_loop: AbstractEventLoop | None = None


def is_asynchronous(value: object) -> bool:
    """Whether a value is what calling an ``async def`` gives."""
    return type(value) is CoroutineType or type(value) is AsyncGeneratorType


def value_of(value: Any) -> Any:
    """The value of a coroutine, which is run to its end; other values as they are.

    An interrupt is raised where the coroutine waits, as a cancellation, and then here.

    Raises
    ------
    SerializationError
        For an async generator, which cannot travel.
    """
    if type(value) is CoroutineType:
        return _run(value)
    if type(value) is AsyncGeneratorType:
        name = value.__qualname__
        raise SerializationError(
            f"{name}() is an async generator, and what it yields would have to travel one by one",
            hint=f"return a list from an async def: `return [value async for value in {value.__name__}(...)]`",
        )
    return value


def _run(coroutine: Any) -> Any:
    # Most engines never run a coroutine, and asyncio takes time to import.
    import asyncio

    global _loop
    if _loop is None or _loop.is_closed():
        _loop = asyncio.new_event_loop()
    # As `asyncio.run` does it: libraries ask for the loop before they are in it.
    asyncio.set_event_loop(_loop)
    task = _loop.create_task(coroutine)
    try:
        return _loop.run_until_complete(task)
    except BaseException:
        if not task.done():
            task.cancel()
            _loop.run_until_complete(asyncio.wait([task]))
            if not task.cancelled():
                # It is told here that somebody has looked at it.
                task.exception()
        raise
