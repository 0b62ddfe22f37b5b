"""The errors by ipyparallel's names, and what its users find in them."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from .. import error as native
from ..error import CompositeError, EngineError, IpclusterzError, NoEnginesRegistered, RemoteError, UnmetDependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

__all__ = [
    "AlreadyDisplayedError",
    "CompositeError",
    "EngineError",
    "IPythonError",
    "KernelError",
    "NoEnginesRegistered",
    "RemoteError",
    "UnmetDependency",
]

NAMES = (
    "AlreadyDisplayedError",
    "CompositeError",
    "DependencyTimeout",
    "EngineError",
    "IPythonError",
    "ImpossibleDependency",
    "InvalidDependency",
    "KernelError",
    "NoEnginesRegistered",
    "RemoteError",
    "TaskAborted",
    "TaskRejectError",
    "TaskTimeout",
    "TimeoutError",
    "UnmetDependency",
)
"""All errors, of which some are made when they are first used."""

IPythonError = KernelError = IpclusterzError


class AlreadyDisplayedError(CompositeError):
    """Never raised here: an error that was shown is raised as what it is."""


# What it is called there, where the scheduler has it.
_NATIVE = {
    "DependencyTimeout": "TaskTimeout",
    "InvalidDependency": "ImpossibleDependency",
    "TaskAborted": "AbortedError",
    "TaskRejectError": "RejectedError",
}


_NAMES_HERE = {name: here for here, name in _NATIVE.items()}


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(native, _NATIVE.get(name, name))


def translated(failure: IpclusterzError, engine_uuid: str | None = None) -> IpclusterzError:
    """An error as it is raised here; of the same class, or one below it.

    Parameters
    ----------
    failure : IpclusterzError
        Is changed, if it is one of an engine's.
    engine_uuid : str, optional
        Of the engine.
    """
    if isinstance(failure, (Told, CompositeError)):
        return failure
    if isinstance(failure, RemoteError):
        return _raised_there(failure, engine_uuid)
    told: Any = failure
    kind: Any = _told
    told.__class__ = kind(type(failure))
    told.engine_uuid = engine_uuid
    return failure


def _raised_there(failure: RemoteError, engine_uuid: str | None) -> RaisedThere:
    ename, evalue = failure.ename, failure.evalue
    if isinstance(failure, native.RemoteKeyError):
        # A name that is not there; of a dictionary's interface it is a KeyError.
        ename = "NameError"
    again = RaisedThere(
        ename, evalue, failure.traceback, failure.engine_id, failure.method, failure._pickled, failure.hint
    )
    again.index, again.indexes, again.arguments = failure.index, failure.indexes, failure.arguments
    again.engine_uuid = engine_uuid
    return again


class Told(IpclusterzError):
    """An error of one engine that is also the tuple ``(ename, evalue, traceback, engine_info)``."""

    engine_uuid: str | None = None
    if TYPE_CHECKING:
        ename: Any
        evalue: Any
        traceback: Any

    @property
    def engine_info(self) -> dict[str, Any]:
        """Which engine it was, and in which call."""
        return {"engine_id": self.engine_id, "engine_uuid": self.engine_uuid, "method": self.method}

    def __iter__(self) -> Iterator[Any]:
        return iter((self.ename, self.evalue, self.traceback, self.engine_info))

    def __getitem__(self, index: int) -> Any:
        return tuple(self)[index]

    def __len__(self) -> int:
        return 4

    def render_traceback(self) -> list[str]:
        """The lines of the engine's traceback."""
        return str(self.traceback).splitlines()

    def print_traceback(self, excid: int | None = None) -> None:
        """Print the engine's traceback."""
        print("\n".join(self.render_traceback()), file=sys.stderr)


class RaisedThere(Told, RemoteError):
    """The `RemoteError` that is raised here."""

    def __reduce__(self) -> tuple[object, ...]:
        _, arguments, state = super().__reduce__()
        return _rebuilt, (RemoteError, arguments, self.engine_uuid), state


class Lost(Told):
    """What is told of a call that no engine has answered, beside its own class."""

    @property
    def ename(self) -> str:
        """The name of the class."""
        return _NAMES_HERE.get(type(self).__name__, type(self).__name__)

    @property
    def evalue(self) -> str:
        """The message."""
        return self.message

    @property
    def traceback(self) -> str:
        """Empty: no engine has told."""
        return ""

    def __reduce__(self) -> tuple[object, ...]:
        kind = type(self).__mro__[2]
        return _rebuilt, (kind, (self.message, self.hint), self.engine_uuid), self.__dict__


@cache
def _told(kind: type[IpclusterzError]) -> type[IpclusterzError]:
    """A class below another one, whose errors are tuples, too."""
    return type(kind.__name__, (Lost, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def _rebuilt(kind: type[IpclusterzError], arguments: tuple[Any, ...], engine_uuid: str | None) -> Any:
    return translated(kind(*arguments), engine_uuid)


class Several(CompositeError):
    """The `CompositeError` that is raised here: of its `elist`, each is an error and a tuple."""

    def __reduce__(self) -> tuple[object, ...]:
        return _several, (self.message, self.elist), self.__dict__

    @property
    def msg(self) -> str:
        """The first line."""
        return self.message

    def render_traceback(self, excid: int | None = None) -> list[str]:
        """The lines of the tracebacks of all engines, or of one."""
        chosen = self.elist if excid is None else [self._at(excid)]
        lines: list[str] = []
        for failure in chosen:
            lines += [f"[{failure.engine_id}:{failure.method}]:", *str(getattr(failure, "traceback", "")).splitlines()]
        return lines

    def print_traceback(self, excid: int | None = None) -> None:
        """Print the tracebacks of all engines, or of one."""
        self.print_tracebacks(excid)

    def raise_exception(self, excid: int = 0) -> NoReturn:
        """Raise one of the errors."""
        raise self._at(excid)


def _several(message: str, elist: list[IpclusterzError]) -> Several:
    return Several(message, elist)


# What is shown above their texts.
RaisedThere.__name__ = RaisedThere.__qualname__ = "RemoteError"
Several.__name__ = Several.__qualname__ = "CompositeError"
