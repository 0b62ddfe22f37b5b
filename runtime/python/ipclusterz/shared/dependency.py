"""What a function needs where it runs: `require`, `depend` and `interactive`.

Each gives back an ordinary function. Where a load-balanced call finds an engine that lacks something, it goes to
another one; on chosen engines, or when no engine has it, the call fails with the `RemoteError` of an `UnmetDependency`.
"""

from __future__ import annotations

from functools import wraps
from types import CodeType, FunctionType, ModuleType

from ..error import UnmetDependency
from .bound import BOUND
from .progress import progress
from .retrying import without_retries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Function = Callable[..., Any]
    Interactive = TypeVar("Interactive", bound=Callable[..., Any])

__all__ = ["depend", "dependent", "interactive", "require"]


def require(*needs: str | ModuleType | Function, **named: Any) -> Callable[[Function], Function]:
    """Decorator: the function needs modules or other functions, which are among its globals when it runs.

    Parameters
    ----------
    *needs : str, module, function or class
        Names of modules to import (``"numpy"``, ``"os.path"``), modules, or things to send along under their own names.
    **named : object
        Values to send along under these names.

    Returns
    -------
    callable
        Decorates a function.

    Raises
    ------
    TypeError, ValueError
        When a need is none of these, or a text is no name of a module.
    UnmetDependency
        On the engine: a module cannot be imported.

    Examples
    --------
    >>> @require("numpy")
    ... def norm(x):
    ...     return float(numpy.linalg.norm(x))
    >>> lbv.apply_sync(norm, [3, 4])
    5.0
    >>> @require(limit=3)
    ... def is_small(x):
    ...     return x < limit
    >>> lbv.apply_sync(is_small, 2)
    True
    """
    modules: list[str] = []
    values: dict[str, Any] = dict(named)
    for need in needs:
        if isinstance(need, str):
            if not all(part.isidentifier() for part in need.split(".")):
                raise ValueError(f"a name of a module is needed, not {need!r:.80}")
            modules.append(need)
        elif isinstance(need, ModuleType):
            modules.append(need.__name__)
        elif callable(need) and getattr(need, "__name__", "").isidentifier():
            values[need.__name__] = need
        else:
            raise TypeError(f"modules, names of modules, functions and classes are required, not {need!r:.80}")
    # Tuples, because a function that captures something mutable is packed again for each call.
    return _decorator(_with_needs, tuple(modules), tuple(values.items()))


def depend(check: Function, /, *args: Any, **kwargs: Any) -> Callable[[Function], Function]:
    """Decorator: the function only runs where ``check(*args, **kwargs)`` is true.

    Parameters
    ----------
    check : callable
        Is called on the engine, before each call of the function. Where that is bound the check is too.
    *args, **kwargs
        Its arguments.

    Returns
    -------
    callable
        Decorates a function.

    Raises
    ------
    TypeError
        When `check` cannot be called.
    UnmetDependency
        On the engine: the check gave something false, or raised this itself.

    Examples
    --------
    >>> def on_host(name):
    ...     import socket
    ...     return socket.gethostname() == name
    >>> @depend(on_host, "n1")
    ... def read_local_disk(path):
    ...     return open(path).read()
    """
    if not callable(check):
        raise TypeError(f"a function to check with is needed, not {type(check).__name__}: {check!r:.80}")
    return _decorator(_if_met, check, args, tuple(kwargs.items()))


def dependent(f: Function, check: Function, /, *args: Any, **kwargs: Any) -> Function:
    """The function `f`, which only runs where ``check(*args, **kwargs)`` is true: `depend` without the ``@``.

    Parameters
    ----------
    f : callable
        What is to run.
    check, *args, **kwargs
        As for `depend`.

    Returns
    -------
    callable

    Raises
    ------
    TypeError
        When `f` or `check` cannot be called.
    UnmetDependency
        On the engine, as for `depend`.

    Examples
    --------
    >>> import os
    >>> lbv.apply_sync(dependent(abs, os.path.exists, "/tmp"), -1)
    1
    """
    return depend(check, *args, **kwargs)(f)


def interactive(f: Interactive) -> Interactive:
    """Decorator: the function's globals are the engine's namespace, however it gets there and is called.

    As if it were defined at the engine's own prompt; also for functions of modules. The same as calling it by
    `apply_bound` each time. Of a class, this holds for its methods.

    Parameters
    ----------
    f : function or class
        What to run there.

    Returns
    -------
    function or class
        A class is the same one, whose methods are changed.

    Raises
    ------
    TypeError
        When it is neither, or was written in C.

    Examples
    --------
    >>> @interactive
    ... def scaled(x):
    ...     return factor * x
    >>> rc[0]["factor"] = 3
    >>> rc[0].apply_sync(scaled, 2)
    6
    """
    if isinstance(f, type) and f.__flags__ & _OF_PYTHON:
        _make_interactive(f)
        return f
    if not isinstance(f, FunctionType):
        raise TypeError(f"a Python function is needed, not {type(f).__name__}: {f!r:.80}")
    copy: Any = FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    copy.__kwdefaults__ = f.__kwdefaults__
    copy.__doc__ = f.__doc__
    copy.__qualname__ = f.__qualname__
    copy.__dict__.update(f.__dict__)
    setattr(copy, BOUND, True)
    # A function of `__main__` travels as code, without its globals.
    copy.__module__ = "__main__"
    return copy  # type: ignore[no-any-return]


# Of the flags of a class: it was made by a `class` statement, and can be changed.
_OF_PYTHON = 1 << 9


def _make_interactive(kind: type) -> None:
    for name, value in list(vars(kind).items()):
        if isinstance(value, FunctionType):
            setattr(kind, name, interactive(value))
        elif isinstance(value, (classmethod, staticmethod)) and isinstance(value.__func__, FunctionType):
            setattr(kind, name, type(value)(interactive(value.__func__)))
        elif isinstance(value, property):
            parts: list[Any] = [part and interactive(part) for part in (value.fget, value.fset, value.fdel)]
            setattr(kind, name, property(parts[0], parts[1], parts[2], value.__doc__))
    kind.__module__ = "__main__"


def _decorator(run: Function, *what: Any) -> Callable[[Function], Function]:
    def decorate(f: Function) -> Function:
        if not callable(f):
            raise TypeError(f"a function is needed, not {type(f).__name__}: {f!r:.80}")

        begin = _begin

        # It uses its closure alone: as a bound function it has the engine's globals.
        @wraps(f)
        def dependent(*args: Any, **kwargs: Any) -> Any:
            run(f, *what)
            return begin(f)(*args, **kwargs)

        return dependent

    return decorate


# The name of `_decorator`'s function, and what it uses.
_DEPENDENT = ("dependent", ("begin", "f", "run", "what"))


def is_dependent(function: object) -> bool:
    """Whether a function looks at dependencies before it does anything else."""
    # Compared by code: decorators of others copy the other attributes, and run before it.
    code = getattr(without_retries(function), "__code__", None)
    return isinstance(code, CodeType) and (code.co_name, code.co_freevars) == _DEPENDENT


def _begin(f: Function) -> Function:
    """The function, which is called next; it begins unless it has dependencies itself."""
    if not is_dependent(f):
        progress.begun = True
    return f


def _with_needs(f: Function, modules: tuple[str, ...], values: tuple[tuple[str, Any], ...]) -> None:
    # The user's function, under its other decorators.
    user_function: Any = f
    while hasattr(user_function, "__wrapped__"):
        user_function = user_function.__wrapped__
    space = getattr(user_function, "__globals__", {})
    for name in modules:
        try:
            exec(f"import {name}", space)
        except ImportError as error:
            raise UnmetDependency(f"{getattr(f, '__name__', f)} requires {name}: {error}") from error
    space.update(values)


def _if_met(f: Function, check: Function, check_args: Any, check_kwargs: Any) -> None:
    if not check(*check_args, **dict(check_kwargs)):
        named = getattr(check, "__name__", repr(check))
        raise UnmetDependency(f"{getattr(f, '__name__', f)} depends on {named}, which is not true here")
