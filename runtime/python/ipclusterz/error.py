"""What can go wrong, as classes with attributes and a next step.

Every error of the package derives from `IpclusterzError`; the extension module raises these classes by name. Nothing
here talks to a cluster. Every engine imports this file, so what only some errors need is imported inside functions.
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
    indexes : sequence of int
        The elements of a map that were lost together by it, by their places in the sequences; mostly empty.

    Examples
    --------
    >>> print(IpclusterzError("no engine 7", hint="the engines are 0, 1"))
    no engine 7
    hint: the engines are 0, 1
    """

    engine_id: int = -1
    method: str = ""
    indexes: Sequence[int] = ()

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        # What IPython shows in place of a traceback.
        from .tracebacks import rendered

        return rendered(self)


class ConnectionFileError(IpclusterzError):
    """A connection file is missing, unreadable, truncated or from another version."""


class ControllerUnreachable(IpclusterzError, builtins.ConnectionError):
    """No controller answered at the address, or it went away."""


class AuthenticationError(IpclusterzError, builtins.PermissionError):
    """The controller refused the key."""


class VersionError(IpclusterzError):
    """Two releases of ipclusterz, or two versions of Python, that do not work together; the text names both.

    Raised where a client or an engine connects to a cluster of another wire version, and where a function that was sent
    by value arrives in another version of Python, which would run other bytecode than was meant.
    """


class ClientClosed(IpclusterzError):
    """The client was closed before the call."""


class SessionTaken(ClientClosed):
    """Another client has taken over the session with this client's name. What is under way in it goes on there."""


class HistoryError(IpclusterzError):
    """The controller keeps no history of work, or cannot read it."""


class PayloadTooLarge(IpclusterzError, builtins.MemoryError):
    """An argument or a result is larger than the cluster's memory limits allow."""

    # That of MemoryError, which would be found first, is for nobody else: libraries that pickle exceptions call it.
    __new__ = builtins.Exception.__new__  # type: ignore[assignment]


class RejectedError(IpclusterzError):
    """The controller refused a request; the text says why."""


class InternalError(IpclusterzError):
    """A bug in ipclusterz: the text says what to report, and where."""


class ClusterError(IpclusterzError):
    """A cluster could not be started or stopped."""


class JournalLeft(ClusterError):
    """A cluster could not be started: an earlier one of that name has left a journal with work in it.

    ``Cluster(cluster=name, resume=True)`` goes on with it, ``Cluster(cluster=name, discard=True)`` drops it.
    """


class SerializationError(IpclusterzError, builtins.TypeError):
    """An argument, a function or a result could not be turned into bytes, or back."""


class UnknownEngine(IpclusterzError, builtins.IndexError):
    """An engine id that does not exist was asked for."""


class NoEnginesRegistered(UnknownEngine):
    """Engines were asked for while the cluster has none."""


class EmptyTargets(IpclusterzError, builtins.ValueError):
    """A list of engines is empty."""


class UnmetDependency(IpclusterzError):
    """Raised on an engine that lacks what a function needs, before it begins; see `require` and `depend`.

    A load-balanced call then goes to another engine. Raised later, by the function itself, it is an error like others.
    """


class ImpossibleDependency(UnmetDependency):
    """A call was to begin after others, or where they ran, and cannot: one of them has ended in another way."""


class TaskTimeout(IpclusterzError):
    """A call was not begun within its ``timeout``, or has run for longer than its ``time_limit``.

    It is no `TimeoutError`: that says that a wait is over, while the call goes on.
    """


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


class MPIError(IpclusterzError):
    """A call of MPI that failed.

    Parameters
    ----------
    message : str
        What MPI says, or why the call was refused.
    call : str
        The function of MPI, such as "MPI_Allreduce".
    error_class : str
        MPI's class of the error, such as "MPI_ERR_TRUNCATE".
    """

    def __init__(self, message: str = "", call: str = "", error_class: str = "") -> None:
        super().__init__(message)
        self.call = call
        self.error_class = error_class


class MPITimeout(MPIError, builtins.TimeoutError):
    """A call of MPI that some rank did not enter in time; the communicator cannot be used any more."""


class RankRaised(MPIError):
    """Another rank has ended its part of what they do together, most often by an exception: nobody waits for it.

    Parameters
    ----------
    message, call, error_class : str
        As of `MPIError`; the class is "rank left".
    rank : int, optional
        Which one, in the communicator of the call; None when it has not said.
    cause : str
        Its exception in one line, such as "ValueError: no such file"; empty when it has ended its part without one,
        and without entering the call.
    """

    def __init__(
        self,
        message: str = "",
        call: str = "",
        error_class: str = "rank left",
        rank: int | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(message, call, error_class)
        self.rank = rank
        self.cause = cause


class RankLost(MPIError):
    """A rank of the world is gone, and with it the communicators of its epoch."""


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

    Attributes
    ----------
    index : int or None
        Of an element of a map, its place in the sequences.
    arguments : str
        What the function was called with, shortened to a line; empty for other calls than apply and map.

    Examples
    --------
    >>> error = RemoteError("NameError", "name 'b' is not defined", "", 0)
    >>> print(error)
    NameError(name 'b' is not defined)
    """

    index: int | None = None
    arguments: str = ""

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
        from .tracebacks import called, shortened

        lines = [shortened(self.message)]
        if place := called(self):
            lines.append(place)
        if self.traceback:
            lines.append(shortened(self.traceback.rstrip("\n")))
        if self.hint and self.hint not in self.traceback:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        state = (self.ename, self.evalue, self.traceback, self.engine_id, self.method, self._pickled, self.hint)
        return type(self), state, {"index": self.index, "indexes": self.indexes, "arguments": self.arguments}

    def raise_exception(self) -> NoReturn:
        """Raise the exception as its own class, with this error as its cause; this error when that cannot be."""
        original = self.original()
        raise self if original is None else original

    def original(self) -> BaseException | None:
        """The exception as it was on the engine, with this error as its cause; None when it cannot be rebuilt here."""
        if self._pickled is None:
            return None
        from _pickle import loads

        # Rebuilding runs the constructor of somebody else's class: whatever it raises, this error still stands.
        try:
            exception = loads(self._pickled)
        except Exception:
            return None
        if not isinstance(exception, BaseException):
            return None
        exception.__cause__ = self
        return exception


class RemoteKeyError(RemoteError, builtins.KeyError):
    """A name is not there on an engine: the `RemoteError` of pull and of the dictionary interface."""


class CompositeError(RemoteError):
    """One or more of the calls of one submission failed.

    Its text has a line for each, and the engine's traceback of the first one; equal tracebacks are shown once. It is a
    `RemoteError`, so that whoever catches that catches what one engine raises and what several do; its `engine_id`,
    `traceback`, `index` and `arguments` are those of the first that failed.

    Parameters
    ----------
    message : str
        The first line of the text.
    elist : sequence of exceptions
        One `RemoteError`, `EngineError` or `AbortedError` for each call that failed, in the order of the engines; of a
        map, one for each element that failed, and one for each chunk that was lost as a whole.

    Examples
    --------
    >>> print(CompositeError("one or more exceptions from call to method: apply",
    ...                      [RemoteError("ValueError", "no", "", 0, "apply")]))
    one or more exceptions from call to method: apply
    [0:apply]: ValueError: no
    """

    def __init__(self, message: str, elist: Sequence[IpclusterzError]) -> None:
        super().__init__(type(self).__name__, message)
        # Not with the name of the class before it.
        self.args, self.message = (message,), message
        self.elist = list(elist)
        for name in ("engine_id", "method", "traceback", "index", "arguments") if self.elist else ():
            setattr(self, name, getattr(self.elist[0], name, getattr(self, name)))
        # Whether IPython shows the engines' tracebacks above the lines.
        self._with_tracebacks = False

    def __dir__(self) -> list[str]:
        # At a prompt: what is of one error is that of those in `elist`.
        return sorted({*super().__dir__()} - {"arguments", "ename", "evalue", "index", "original", "traceback"})

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.elist), self.__dict__

    def __str__(self) -> str:
        from .tracebacks import first_tracebacks

        return "\n".join(self._lines(first_tracebacks(self.elist)))

    def _lines(self, tracebacks: list[str]) -> list[str]:
        from .tracebacks import overview

        hints = dict.fromkeys(f"hint: {error.hint}" for error in self.elist if error.hint)
        return [self.message, *overview(self.elist), *tracebacks, *hints]

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
        from .tracebacks import grouped

        for lines in grouped(self.elist if excid is None else [self._at(excid)]):
            print("\n".join(lines) + "\n")

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
        if isinstance(error, RemoteError):
            error.raise_exception()
        raise error

    def _at(self, excid: int) -> IpclusterzError:
        try:
            return self.elist[excid]
        except IndexError:
            raise IndexError(f"an exception with index {excid} does not exist, there are {len(self.elist)}") from None


if TYPE_CHECKING:
    import concurrent.futures

    class AbortedError(IpclusterzError, concurrent.futures.CancelledError):
        """The call was aborted before an engine started it; also a `concurrent.futures` CancelledError."""

    class TimeoutError(IpclusterzError, builtins.TimeoutError, multiprocessing.TimeoutError):
        """The answer was not there in time; also a builtin and a `multiprocessing` TimeoutError."""

else:

    def __getattr__(name: str) -> type:
        # Their other bases cost some milliseconds to import, which an engine that never raises them should not pay.
        bases: tuple[type, ...]
        if name == "TimeoutError":
            import concurrent.futures
            import multiprocessing

            bases = (IpclusterzError, builtins.TimeoutError, multiprocessing.TimeoutError)
            if concurrent.futures.TimeoutError is not builtins.TimeoutError:
                # Before Python 3.11.
                bases += (concurrent.futures.TimeoutError,)
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
