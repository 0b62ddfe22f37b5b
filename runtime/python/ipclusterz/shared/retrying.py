"""Functions that are called again after some errors: by the controller on any engine, or in a map where they are."""

from __future__ import annotations

from ..error import UnmetDependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = Callable[..., Any]
    Errors = tuple[type[BaseException], ...]

__all__ = ["repeated", "retried", "retry_on", "without_retries"]

_RETRY_ON = "_ipclusterz_retry_on"


def retried(f: Function, errors: Errors) -> Function:
    """The same function, and a note for the engine: after these errors it may be called again, there or elsewhere."""

    def retrying(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    setattr(_named_as(f, retrying), _RETRY_ON, errors)
    return retrying


def retry_on(function: object) -> Errors:
    """The errors after which a function may be called again, on any engine."""
    errors: Errors = getattr(function, "__dict__", {}).get(_RETRY_ON, ())
    return errors


def repeated(f: Function, errors: Errors, retries: int, delay: float) -> Function:
    """A function that calls `f` again after these errors, at most `retries` times, each `delay` seconds later.

    What `f` gives may be a coroutine: then it is that which fails.
    """
    # Start-up: engines need these for such functions alone.
    from inspect import isawaitable
    from time import sleep

    unmet = UnmetDependency

    async def awaited(value: Any, args: Any, kwargs: Any) -> Any:
        from asyncio import sleep as asleep

        for _ in range(retries):
            try:
                return await value
            except errors:
                await asleep(delay)
            value = f(*args, **kwargs)
        return await value

    def retrying(*args: Any, **kwargs: Any) -> Any:
        for left in range(retries, -1, -1):
            try:
                value = f(*args, **kwargs)
                return awaited(value, args, kwargs) if isawaitable(value) else value
            except unmet:
                raise
            except errors:
                if not left:
                    raise
                sleep(delay)
        return None

    _named_as(f, retrying)
    return retrying


def _named_as(f: Function, wrapper: Any) -> Any:
    """As `functools.wraps`; what a class has in its dictionary is nothing for a function."""
    from functools import WRAPPER_ASSIGNMENTS, update_wrapper

    return update_wrapper(wrapper, f, WRAPPER_ASSIGNMENTS, () if isinstance(f, type) else ("__dict__",))


def without_retries(function: Any) -> Any:
    """The function that one of these calls again, or the function itself."""
    code = getattr(function, "__code__", None)
    if getattr(code, "co_name", "") == "retrying" and "f" in getattr(code, "co_freevars", ()):
        return function.__wrapped__
    return function
