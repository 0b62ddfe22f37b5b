"""Functions that are called again after some errors: by the controller on any engine, or in a map where they are."""

from __future__ import annotations

from functools import wraps

from ..error import UnmetDependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = Callable[..., Any]
    Errors = tuple[type[BaseException], ...]

__all__ = ["repeated", "retried", "retry_on"]

_RETRY_ON = "_ipclusterz_retry_on"


def retried(f: Function, errors: Errors) -> Function:
    """The same function, and a note for the engine: after these errors it may be called again, there or elsewhere."""

    @wraps(f)
    def retrying(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    setattr(retrying, _RETRY_ON, errors)
    return retrying


def retry_on(function: object) -> Errors:
    """The errors after which a function may be called again, on any engine."""
    errors: Errors = getattr(function, "__dict__", {}).get(_RETRY_ON, ())
    return errors


def repeated(f: Function, errors: Errors, retries: int, delay: float) -> Function:
    """A function that calls `f` again after these errors, at most `retries` times, each `delay` seconds later."""
    from inspect import iscoroutinefunction
    from time import sleep

    unmet = UnmetDependency
    if iscoroutinefunction(f):

        @wraps(f)
        async def retrying_later(*args: Any, **kwargs: Any) -> Any:
            from asyncio import sleep as asleep

            for _ in range(retries):
                try:
                    return await f(*args, **kwargs)
                except unmet:
                    raise
                except errors:
                    await asleep(delay)
            return await f(*args, **kwargs)

        return retrying_later

    @wraps(f)
    def retrying(*args: Any, **kwargs: Any) -> Any:
        for _ in range(retries):
            try:
                return f(*args, **kwargs)
            except unmet:
                raise
            except errors:
                sleep(delay)
        return f(*args, **kwargs)

    return retrying


_WRAPPERS = ("retrying", "retrying_later")


def without_retries(function: Any) -> Any:
    """The function that one of these calls again, or the function itself."""
    code = getattr(function, "__code__", None)
    if getattr(code, "co_name", "") in _WRAPPERS and "f" in getattr(code, "co_freevars", ()):
        return function.__wrapped__
    return function
