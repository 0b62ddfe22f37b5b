"""Which task the running code belongs to: a thread, a callback or a coroutine is of the task that started it.

What such code prints when its task has ended must not reach the client of the next one. A context variable has the
task, and coroutines and callbacks of asyncio keep it by themselves. Threads begin with an empty context: a thread
carries the task of whoever started it, and a call of a pool that of whoever submitted it.
"""

from __future__ import annotations

import _thread
import sys
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["begin", "follow_threads", "task_here"]

_task: ContextVar[int | None] = ContextVar("ipclusterz_task", default=None)

# Where a thread carries its task.
_ATTRIBUTE = "_ipclusterz_task"
# What starts a thread; the last one from Python 3.13 on.
_STARTERS = ("start_new_thread", "start_new", "start_joinable_thread")


def begin(task: int) -> None:
    """The main thread runs this task from here on."""
    _task.set(task)


def task_here() -> int | None:
    """The task that the code which calls this belongs to; None: nobody knows, as in a thread of a C library."""
    task = _task.get()
    threading: Any = sys.modules.get("threading")
    if task is None and threading is not None:
        thread = threading._active.get(_thread.get_ident())
        task = getattr(thread, _ATTRIBUTE, None)
    return task


def follow_threads() -> None:
    """Have threads that are started from here on carry their task."""
    places = [(_thread, ""), (sys.modules.get("threading"), "_")]
    for module, prefix in places:
        for name in _STARTERS:
            # `threading` takes them from `_thread` when it is imported, which most engines never do.
            start = getattr(module, prefix + name, None)
            if start is not None:
                setattr(module, prefix + name, _with_task(start))


def _with_task(start: Callable[..., Any]) -> Callable[..., Any]:
    def start_of_task(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        task = task_here()
        _follow_pools()
        thread = getattr(function, "__self__", None)
        if hasattr(thread, "_bootstrap"):
            setattr(thread, _ATTRIBUTE, task)
        return start(lambda *given, **named: _as_task(task, function, given, named), *args, **kwargs)

    return start_of_task


def _follow_pools() -> None:
    """Have calls of thread pools carry their task: the threads of a pool work for others later."""
    pools = sys.modules.get("concurrent.futures.thread")
    pool: Any = getattr(pools, "ThreadPoolExecutor", None)
    # The first call that is submitted starts a thread, which is how its module is noticed. That thread's task is right.
    if pool is None or hasattr(pool, _ATTRIBUTE):
        return
    submit: Callable[..., Any] = pool.submit

    def submit_of_task(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return submit(self, _as_task, task_here(), fn, args, kwargs)

    submit_of_task.__doc__ = submit.__doc__
    pool.submit = submit_of_task
    setattr(pool, _ATTRIBUTE, True)


def _as_task(task: int | None, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any] = {}) -> Any:  # noqa: B006
    """Call a function of another thread's task."""
    token = _task.set(task)
    try:
        return function(*args, **kwargs)
    finally:
        _task.reset(token)
