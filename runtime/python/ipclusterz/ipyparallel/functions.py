"""Functions as ipyparallel runs them: those of ``__main__`` in the engine's namespace."""

from __future__ import annotations

from functools import partial
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from ..client import remote as native
from ..client.targets import OWN, waits
from ..shared.bound import BOUND
from ..shared.dependency import depend as native_depend
from ..shared.dependency import interactive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ParallelFunction",
    "RemoteFunction",
    "depend",
    "dependent",
    "engine_own",
    "engine_owns",
    "own",
    "parallel",
    "remote",
]

# Those without a closure, which could refer to them. From a function to its code, and what it is there.
_known: WeakKeyDictionary[Any, tuple[Any, Any]] = WeakKeyDictionary()


def engine_own(value: Any) -> Any:
    """A function of ``__main__`` as one whose globals are the engine's namespace; all else as it is."""
    if isinstance(value, native.RemoteFunction):
        return engine_own(value.__wrapped__)  # type: ignore[attr-defined]
    if isinstance(value, partial):
        return partial(engine_own(value.func), *value.args, **value.keywords)
    if type(value) is not FunctionType or value.__module__ != "__main__" or getattr(value, BOUND, False):
        return value
    what = (value.__code__, value.__defaults__)
    known = _known.get(value)
    if known is not None and known[0] == what:
        return known[1]
    there = interactive(value)
    if value.__closure__ is None:
        _known[value] = (what, there)
    return there


def engine_owns(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments, with the functions among them as `engine_own` has them."""
    return tuple(map(engine_own, args)), {name: engine_own(value) for name, value in kwargs.items()}


def own(targets: Any) -> Any:
    """``targets=None`` are those of the view."""
    return OWN if targets is None else targets


def depend(check: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: the function only runs where ``check(*args, **kwargs)`` does not give False.

    Parameters
    ----------
    check, *args, **kwargs
        As for `ipclusterz.depend`, where it has to give something true.
    """
    return native_depend(_unless_false(check), *args, **kwargs)


def dependent(f: Callable[..., Any], check: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """The function `f`, as decorated by `depend`."""
    decorated: Callable[..., Any] = depend(check, *args, **kwargs)(f)
    return decorated


def _unless_false(check: Callable[..., Any]) -> Callable[..., Any]:
    if not callable(check):
        raise TypeError(f"a function to check with is needed, not {type(check).__name__}: {check!r:.80}")

    def holds(*args: Any, **kwargs: Any) -> bool:
        return check(*args, **kwargs) is not False

    # It travels as code: engines need not have this file.
    holds.__module__, holds.__name__ = "__main__", getattr(check, "__name__", "check")
    return holds


class RemoteFunction(native.RemoteFunction):
    """A function that runs on the engines of a view when it is called. Made by ``@view.remote()``."""

    def __init__(self, view: Any, f: Callable[..., Any], block: bool | None = None, **flags: Any) -> None:
        super().__init__(_flagged(view, flags), engine_own(f), block=block)


class ParallelFunction(native.ParallelFunction):
    """A function that is called on parts of sequences. Made by ``@view.parallel()``."""

    def __init__(
        self,
        view: Any,
        f: Callable[..., Any],
        dist: str = "b",
        block: bool | None = None,
        chunksize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        **flags: Any,
    ) -> None:
        kind: Any = dist
        super().__init__(_flagged(view, flags), engine_own(f), block=block, dist=kind, chunksize=chunksize)
        self._ordered = ordered
        self._returns_exceptions = return_exceptions

    def map(self, *sequences: Any, return_exceptions: bool | None = None) -> Any:
        """Call the function on each element."""
        returns = self._returns_exceptions if return_exceptions is None else return_exceptions
        # Direct views have the results of all engines in order.
        order = {} if self._ordered or not hasattr(self.view, "retries") else {"ordered": False}
        f, block = self.__wrapped__, waits(self._caller, self.block)  # type: ignore[attr-defined]
        view: Any = self.view
        return view._map(f, sequences, self.chunksize, block=block, return_exceptions=returns, **order)


def _flagged(view: Any, flags: dict[str, Any]) -> Any:
    """The view with some of its flags set otherwise."""
    if not flags:
        return view
    targets = flags.pop("targets", None)
    copied = view.client._view_of(view.targets if targets is None else targets)
    copied.block = view.block
    copied.set_flags(**flags)
    return copied


def remote(view: Any, block: bool | None = None, **flags: Any) -> Callable[..., RemoteFunction]:
    """Decorator: the function runs on the engines of the view when it is called."""
    made: Callable[..., RemoteFunction] = view.remote(block=block, **flags)
    return made


def parallel(
    view: Any, dist: str = "b", block: bool | None = None, ordered: bool = True, **flags: Any
) -> Callable[..., ParallelFunction]:
    """Decorator: the function is called on parts of sequences, one for each engine of the view."""
    made: Callable[..., ParallelFunction] = view.parallel(dist=dist, block=block, ordered=ordered, **flags)
    return made
