"""Why a value cannot be sent: which object in it is at fault, where that is, and what to do instead.

Asked only once a pickler has failed. It looks at what pickle would look at, and stops at the first object that no
pickler takes.
"""

from __future__ import annotations

import sys
from collections import deque
from types import FunctionType, MethodType, ModuleType

from .sources import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["why_not"]

_MOST_OBJECTS = 20_000
_ATOMS = frozenset({int, float, complex, bool, str, bytes, bytearray, range, slice, type(None), type(...)})
_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})
_HINT = "make it where it is used, or send plain data"
_LOCK = "a lock belongs to its process, and holds nobody up elsewhere: make it where it is used"
_START = "a process belongs to the one that started it: start it where it is used"
_OPEN = "an open file belongs to its process: send the path, and open it where it is used"

# Module and name of a class, in the order in which they are tried; what to do instead. Only modules that are loaded are
# looked at.
_HINTS: tuple[tuple[str, str, str], ...] = (
    (
        "ipclusterz.client.connection",
        "Connection",
        "a client belongs to its process: use it here and send what it gives; a task makes a Client() of its own",
    ),
    ("ipclusterz.client.direct", "DirectCalls", "a view belongs to its client's process: send its ids, view.targets"),
    ("ipclusterz.client.view", "View", "a view belongs to its client's process: a task makes a Client() of its own"),
    (
        "ipclusterz.client.future",
        "LazyFuture",
        "a result belongs to its client's process: send its value, which is result.get()",
    ),
    (
        "ipclusterz.cluster",
        "Cluster",
        "a cluster belongs to the process that started it: send its name",
    ),
    ("types", "CoroutineType", "a coroutine has begun already: send the `async def` itself, f and x instead of f(x)"),
    ("types", "AsyncGeneratorType", "an async generator has begun already: send the function that makes it"),
    ("types", "GeneratorType", "a generator has begun already: send a list of it, or the function that makes it"),
    ("types", "FrameType", "a frame belongs to its process: send what you need of it as text"),
    ("types", "TracebackType", "a traceback belongs to its process: send traceback.format_exception() of the error"),
    ("weakref", "ReferenceType", "a weak reference means an object of its process: send the object, ref()"),
    ("weakref", "ProxyType", "a weak proxy means an object of its process: send the object"),
    ("threading", "Thread", "a thread belongs to its process: start it where it is used"),
    ("threading", "local", "what threads have of their own belongs to its process: send the value"),
    (
        "subprocess",
        "Popen",
        _START,
    ),
    (
        "multiprocessing.process",
        "BaseProcess",
        _START,
    ),
    ("multiprocessing.pool", "Pool", "a pool belongs to its process: make it where it is used"),
    ("concurrent.futures", "Executor", "an executor belongs to its process: make it where it is used"),
    ("concurrent.futures", "Future", "a future belongs to its process: send its value, which is future.result()"),
    ("asyncio", "Future", "a task of asyncio belongs to its loop: await it, and send its value"),
    ("asyncio", "AbstractEventLoop", "an event loop belongs to its thread: send the `async def`, which is given one"),
    ("socket", "socket", "a socket belongs to its process: send the address, and connect where it is used"),
    ("ssl", "SSLContext", "an SSL context belongs to its process: make it where it is used"),
    ("sqlite3", "Connection", "a connection to a database belongs to its process: send the path, and open it there"),
    ("sqlite3", "Cursor", "a cursor belongs to its process: send the rows, which are fetchall()"),
    (
        "io",
        "IOBase",
        "an open file belongs to its process: send its content; rc.upload(path) puts it on each host",
    ),
    ("mmap", "mmap", "mapped memory belongs to its process: send bytes of it, or the path"),
    ("queue", "SimpleQueue", "a queue belongs to its process: send what is in it"),
    ("contextvars", "Context", "a context belongs to its thread: send the values"),
    ("contextvars", "ContextVar", "a context variable belongs to its process: send its value"),
    ("h5py", "HLObject", _OPEN),
    ("netCDF4", "Dataset", _OPEN),
    (
        "IPython.core.interactiveshell",
        "InteractiveShell",
        "an IPython belongs to its process: use get_ipython() there",
    ),
    ("threading", "Event", _LOCK),
    ("threading", "Condition", _LOCK),
    ("threading", "Semaphore", _LOCK),
    ("threading", "Barrier", _LOCK),
    ("queue", "Queue", "a queue belongs to its process: send what is in it"),
    ("_thread", "LockType", _LOCK),
    ("_thread", "RLock", _LOCK),
    ("types", "ModuleType", "import the module where it is used"),
)


def why_not(value: object) -> tuple[str, str]:
    """Where the object is that cannot be sent, and what to do instead.

    Parameters
    ----------
    value : object
        What a pickler has refused.

    Returns
    -------
    tuple of str
        The place within `value` and the object's type, empty when it is `value` itself or not found; and the hint.
    """
    try:
        found = _search(value)
    except Exception:
        # An object of the user's that cannot even be looked at.
        found = None
    if found is None:
        return "", _HINT
    place, culprit = found
    kind = type(culprit)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{place} is a {name}" if place else "", _hint_of(culprit) or _HINT


def _hint_of(value: object) -> str:
    for module, name, hint in _HINTS:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(value, kind):
            return hint
    return ""


def _search(value: object) -> tuple[str, object] | None:
    """Breadth first, so that the shortest way is named."""
    waiting = deque([("", value)])
    # Kept, so that no other object gets the id of one that is seen.
    seen: dict[int, object] = {}
    while waiting and len(seen) < _MOST_OBJECTS:
        place, each = waiting.popleft()
        if type(each) in _ATOMS or id(each) in seen:
            continue
        seen[id(each)] = each
        parts = _parts(each)
        if parts is None:
            return place, each
        waiting += [(f"{place}{step}", part) for step, part in parts]
    return None


def _parts(value: Any) -> list[tuple[str, object]] | None:
    """What is pickled with a value, and how it is reached from there; None when the value itself cannot be pickled."""
    kind = type(value)
    if kind is dict:
        return [(f"[{_short(key)}]", part) for key, part in value.items()] + [(" key", key) for key in value]
    if kind in _CONTAINERS:
        return [(f"[{index}]" if kind in (list, tuple) else " item", part) for index, part in enumerate(value)]
    if kind is FunctionType:
        return _of_function(value)
    if kind is MethodType:
        return [(".__self__", value.__self__), ("", value.__func__)]
    if isinstance(value, type):
        if _is_found(value):
            return []
        return [(f".{name}", part) for name, part in vars(value).items() if not name.startswith("__") or callable(part)]
    if isinstance(value, ModuleType):
        return [] if sys.modules.get(value.__name__) is value else None
    if _is_file(value):
        return []
    if _hint_of(value):
        return None
    if kind in (staticmethod, classmethod):
        return [("", value.__func__)]
    if kind is property:
        return [("", part) for part in (value.fget, value.fset, value.fdel)]
    return _of_object(value)


_STREAMS = (sys.stdin, sys.stdout, sys.stderr)


def _is_file(value: object) -> bool:
    """Whether it is a file in memory, or a text that is read, of which cloudpickle sends the content."""
    import io

    if isinstance(value, (io.BytesIO, io.StringIO)):
        return True
    return type(value) is io.TextIOWrapper and not value.closed and value.readable() and value not in _STREAMS


def _of_function(function: FunctionType) -> list[tuple[str, object]]:
    if _is_found(function):
        return []
    parts: list[tuple[str, object]] = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            parts.append((f" variable {name!r}", cell.cell_contents))
        except ValueError:
            continue
    space = function.__globals__
    parts += [(f" global {name!r}", space[name]) for name in _names(function.__code__) if name in space]
    parts += [
        (" default", part) for part in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    ]
    return parts + [(f".{name}", part) for name, part in function.__dict__.items()]


def _names(code: Any) -> list[str]:
    names = list(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            names += _names(constant)
    return names


def _is_found(value: Any) -> bool:
    """Whether it is sent by its name. What is of modules that travel is looked at elsewhere."""
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or module == "__main__":
        return False
    return find(module, getattr(value, "__qualname__", "")) is value


def _of_object(value: Any) -> list[tuple[str, object]] | None:
    import copyreg

    reduce = copyreg.dispatch_table.get(type(value))
    try:
        reduced: Any = reduce(value) if reduce is not None else value.__reduce_ex__(5)
    except Exception:
        return None
    if isinstance(reduced, str):
        return []
    arguments, state = reduced[1], reduced[2] if len(reduced) > 2 else None
    parts: list[tuple[str, object]] = [("", part) for part in arguments if not isinstance(part, type)]
    for each in state if isinstance(state, tuple) else (state,):
        if isinstance(each, dict):
            parts += [(f".{name}" if isinstance(name, str) else "", part) for name, part in each.items()]
        else:
            parts.append(("", each))
    for position, more in enumerate(reduced[3:5]):
        # Items of subclasses of list and dict.
        for item in more or ():
            parts.append((f"[{_short(item[0])}]", item[1]) if position else ("[…]", item))
    return parts


def _short(key: object) -> str:
    text = repr(key) if type(key) in _ATOMS else f"<{type(key).__name__}>"
    return text if len(text) <= 40 else f"{text[:39]}…"
