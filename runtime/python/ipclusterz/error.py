"""What can go wrong, as classes with attributes and a next step.

Every error of the package derives from `IpclusterzError`; the extension module raises these classes by name. Nothing
here talks to a cluster. The file is imported by every engine, so it imports nothing.
"""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    import multiprocessing
    from collections.abc import Iterator, Sequence
    from typing import NoReturn


class IpclusterzError(Exception):
    """Base of every error that ipclusterz raises.

    Parameters
    ----------
    message : str
        What happened, naming the bad value.
    hint : str, optional
        What to do about it, shown on a line of its own.

    Attributes
    ----------
    message, hint : str
        The two parts of the text.
    engine_id : int
        The engine that it came from, -1 when there is none.
    method : str
        The call that failed ("apply", "execute", "map", …), empty when there is none.

    Examples
    --------
    >>> print(IpclusterzError("no engine 7", hint="the engines are 0, 1"))
    no engine 7
    hint: the engines are 0, 1
    """

    engine_id: int = -1
    method: str = ""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class ConnectionFileError(IpclusterzError):
    """A connection file is missing, unreadable, truncated or from another version."""


class ControllerUnreachable(IpclusterzError, builtins.ConnectionError):
    """No controller answered at the address, or it went away."""


class AuthenticationError(IpclusterzError, builtins.PermissionError):
    """The controller refused the key."""


class ClientClosed(IpclusterzError):
    """The client was closed before the call."""


class PayloadTooLarge(IpclusterzError, builtins.MemoryError):
    """An argument or a result is larger than the cluster's memory limits allow."""


class RejectedError(IpclusterzError):
    """The controller refused a request; the text says why."""


class ClusterError(IpclusterzError):
    """A cluster could not be started or stopped."""


class SerializationError(IpclusterzError, builtins.TypeError):
    """An argument, a function or a result could not be turned into bytes, or back."""


class UnknownEngine(IpclusterzError, builtins.IndexError):
    """An engine id that does not exist was asked for."""


class NoEnginesRegistered(UnknownEngine):
    """Engines were asked for while the cluster has none."""


class EmptyTargets(IpclusterzError, builtins.ValueError):
    """A list of engines is empty."""


class UnmetDependency(IpclusterzError):
    """Raised on an engine that lacks what a function needs; a load-balanced call then goes to another engine."""


class EngineError(IpclusterzError):
    """An engine died before it answered, or never existed.

    Parameters
    ----------
    message : str
        What happened.
    hint : str, optional
        What to do about it.
    engine_id : int
        The engine that was asked, -1 when the call never reached one.
    method : str, optional
        The call: "apply", "execute", "map", …
    """

    def __init__(self, message: str = "", hint: str = "", engine_id: int = -1, method: str = "") -> None:
        super().__init__(message, hint)
        self.engine_id = engine_id
        self.method = method

    @property
    def ename(self) -> str:
        """Name of this class: so that it can be shown in one list with a `RemoteError`."""
        return type(self).__name__

    @property
    def evalue(self) -> str:
        """The message."""
        return self.message

    @property
    def traceback(self) -> str:
        """Empty: the engine could not tell."""
        return ""


class RemoteError(IpclusterzError):
    """An exception that was raised on an engine.

    Parameters
    ----------
    ename, evalue : str
        Name of the exception's class, and its text.
    traceback : str
        The engine's own traceback text, from the user's code on.
    engine_id : int
        The engine that ran the call.
    method : str, optional
        The call: "apply", "execute", "map", …
    pickled : bytes, optional
        The exception itself, when it survives pickling.
    hint : str, optional
        What to do about it.

    Examples
    --------
    >>> error = RemoteError("NameError", "name 'b' is not defined", "", 0)
    >>> print(error)
    NameError(name 'b' is not defined)
    """

    def __init__(
        self,
        ename: str,
        evalue: str,
        traceback: str = "",
        engine_id: int = -1,
        method: str = "",
        pickled: bytes | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(f"{ename}({evalue})", hint)
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback
        self.engine_id = engine_id
        self.method = method
        self._pickled = pickled

    def __str__(self) -> str:
        lines = [self.message]
        if self.traceback:
            lines.append(self.traceback.rstrip("\n"))
        if self.hint and self.hint not in self.traceback:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        state = (self.ename, self.evalue, self.traceback, self.engine_id, self.method, self._pickled, self.hint)
        return type(self), state

    def raise_exception(self) -> NoReturn:
        """Raise the exception as its own class, with this error as its cause; this error when that cannot be."""
        original = self.original()
        raise self if original is None else original

    def _render_traceback_(self) -> list[str]:
        # What IPython shows: the prompt's own frames, then the engine's traceback.
        return [_RULE, _title(type(self).__name__), *_callers(self), *f"{type(self).__name__}: {self}".splitlines()]

    def original(self) -> BaseException | None:
        """The exception as it was on the engine, with this error as its cause; None when it cannot be rebuilt here."""
        if self._pickled is None:
            return None
        from .serialize import loads

        # Rebuilding runs the constructor of somebody else's class: whatever it raises, this error still stands.
        try:
            exception = loads([self._pickled])
        except Exception:
            return None
        if not isinstance(exception, BaseException):
            return None
        exception.__cause__ = self
        return exception


class RemoteKeyError(RemoteError, builtins.KeyError):
    """A name is not there on an engine: the `RemoteError` of pull and of the dictionary interface."""


class CompositeError(IpclusterzError):
    """One or more of the calls of one submission failed.

    Parameters
    ----------
    message : str
        The first line of the text.
    elist : sequence of exceptions
        One `RemoteError`, `EngineError` or `AbortedError` for each call that failed, in the order of the engines.

    Examples
    --------
    >>> print(CompositeError("one or more exceptions from call to method: apply",
    ...                      [RemoteError("ValueError", "no", "", 0, "apply")]))
    one or more exceptions from call to method: apply
    [0:apply]: ValueError: no
    """

    def __init__(self, message: str, elist: Sequence[IpclusterzError]) -> None:
        super().__init__(message)
        self.elist = list(elist)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.elist), self.__dict__

    def __str__(self) -> str:
        return "\n".join([self.message, *(_one_line(error) for error in self.elist)])

    def __len__(self) -> int:
        return len(self.elist)

    def __iter__(self) -> Iterator[IpclusterzError]:
        return iter(self.elist)

    def __getitem__(self, index: int) -> IpclusterzError:
        return self.elist[index]

    def print_tracebacks(self, excid: int | None = None) -> None:
        """Print the engines' own tracebacks; equal ones once, below the names of their engines.

        Parameters
        ----------
        excid : int, optional
            Position in `elist`; all of them when left out.

        Raises
        ------
        IndexError
            When there is no such position.
        """
        for places, lines in _grouped(self.elist if excid is None else [self._at(excid)]):
            print("".join(f"{place}:\n" for place in places) + "\n".join(lines) + "\n")

    def raise_exception(self, excid: int = 0) -> NoReturn:
        """Raise one of the exceptions, as its own class when that can be rebuilt here.

        Parameters
        ----------
        excid : int
            Position in `elist`.

        Raises
        ------
        IndexError
            When there is no such position.
        """
        error = self._at(excid)
        original = error.original() if isinstance(error, RemoteError) else None
        raise error if original is None else original

    def _at(self, excid: int) -> IpclusterzError:
        try:
            return self.elist[excid]
        except IndexError:
            raise IndexError(f"an exception with index {excid} does not exist, there are {len(self.elist)}") from None

    def _render_traceback_(self) -> list[str]:
        # IPython shows an exception through this method. Like the engines' lines, the prompt's own frames are of use;
        # those of this package are not.
        return [_RULE, _title(type(self).__name__), *_callers(self), *f"{type(self).__name__}: {self}".splitlines()]


_RULE = "-" * 75


def _title(name: str) -> str:
    words = "Traceback (most recent call last)"
    return name + words.rjust(len(_RULE) - len(name))


def _callers(error: BaseException) -> list[str]:
    """The frames of a traceback that led into this package."""
    import traceback

    package = __file__.rpartition("error.py")[0]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(package) and "/IPython/core/" not in frame.filename
    ]
    lines: list[str] = []
    for frame in frames:
        cell = _cell_name(frame.filename)
        if cell is None:
            lines += traceback.format_list([frame])[0].splitlines()
        else:
            where = "" if frame.name == "<module>" else f", in {frame.name}"
            lines += [f"{cell}, line {frame.lineno}{where}", f"----> {frame.lineno} {frame.line}"]
    return [*lines, ""]


def _cell_name(filename: str) -> str | None:
    """What IPython calls a cell that it runs, at the prompt as well as in a notebook; None for other files."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    named = None if shell is None else shell.compile.format_code_name(filename)
    return None if named is None else " ".join(named)


def _grouped(elist: Sequence[IpclusterzError]) -> list[tuple[list[str], list[str]]]:
    """Places and lines of each different traceback, in order of their first engine."""
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for error in elist:
        lines = _traceback_lines(error)
        groups.setdefault(_without_counts("\n".join(lines)), ([], lines))[0].append(_place(error))
    return list(groups.values())


def _without_counts(text: str) -> str:
    # The number of a cell in its file name says how many cells an engine has run, not where the error is.
    import re

    return re.sub(r"(<ipython-input-|<cell |Cell In\[)\d+", r"\1", text)


def _traceback_lines(error: IpclusterzError) -> list[str]:
    """A traceback in IPython's form: a rule, the title, the frames, the error."""
    text: str = getattr(error, "traceback", "").rstrip("\n")
    if not text:
        return str(error).splitlines()
    lines = text.splitlines()
    if lines[0].startswith("Traceback "):
        lines[0] = _title(getattr(error, "ename", type(error).__name__))
    return [_RULE, *lines]


def _place(error: IpclusterzError) -> str:
    return f"[{error.engine_id if error.engine_id >= 0 else '?'}:{error.method or 'call'}]"


def _one_line(error: IpclusterzError) -> str:
    ename = getattr(error, "ename", type(error).__name__)
    return f"{_place(error)}: {ename}: {getattr(error, 'evalue', error.message)}"


if TYPE_CHECKING:
    import concurrent.futures

    class AbortedError(IpclusterzError, concurrent.futures.CancelledError):
        """The call was aborted before an engine started it; also a `concurrent.futures` CancelledError."""

    class TimeoutError(IpclusterzError, builtins.TimeoutError, multiprocessing.TimeoutError):
        """The answer was not there in time; also a builtin and a `multiprocessing` TimeoutError."""

else:

    def __getattr__(name: str) -> type:
        # Their other bases cost some milliseconds to import, which an engine that never raises them should not pay.
        if name == "TimeoutError":
            import multiprocessing

            bases = (IpclusterzError, builtins.TimeoutError, multiprocessing.TimeoutError)
            text = "The answer was not there in time; also a builtin and a `multiprocessing` TimeoutError."
        elif name == "AbortedError":
            import concurrent.futures

            bases = (IpclusterzError, concurrent.futures.CancelledError)
            text = "The call was aborted before an engine started it; also a `concurrent.futures` CancelledError."
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        made = type(name, bases, {"__doc__": text, "__module__": __name__})
        # Another thread may have been here meanwhile: there is one class.
        return globals().setdefault(name, made)
