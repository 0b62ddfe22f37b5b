"""The load-balanced view: each call goes to the engine that has least to do."""

from __future__ import annotations

from ..compat import missing_attribute
from ..shared.serialize import dumps
from .about import name_of, of_call, of_map
from .arguments import argument_frames
from .asyncresult import AsyncResult
from .direct import DirectCalls
from .functions import pack
from .mapping import Again, MapResult, chunk_bounds, chunk_frames, chunk_of, columns_of, lazy_map
from .remote import ParallelFunction, RemoteFunction
from .targets import is_quiet, waits
from .view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType
    from typing import Any, Literal

    from .._core import Pending
    from ..shared.serialize import Frame
    from .connection import Connection
    from .mapping import LazyResults, Part
    from .remote import Parts
    from .targets import Targets

__all__ = ["LoadBalancedView"]


class LoadBalancedView(View):
    """Calls that run once, on any engine.

    Made by `Client.load_balanced_view` or ``rc[None]``.

    Attributes
    ----------
    retries : int
        How often a call is given to another engine when the one that ran it died, or when nothing was heard of that for
        long: then both may run it, and the first answer counts.
    duration : float or None
        How many seconds each call will take at most, where engines end at a known time; see
        `Client.load_balanced_view`.

    Examples
    --------
    >>> view = rc.load_balanced_view()
    >>> view.map_sync(lambda x: x**2, range(5))
    [0, 1, 4, 9, 16]
    """

    __slots__ = ("_duration", "_targets", "retries")

    def __init__(self, client: Connection, targets: list[int] | None = None) -> None:
        super().__init__(client)
        self._targets = targets
        self.retries = 0
        self._duration: float | None = None

    @property
    def duration(self) -> float | None:
        """How many seconds each call will take at most; None: that is not known.

        Raises
        ------
        TypeError
            When it is set to something that is no number.
        ValueError
            When it is negative or not finite.
        """
        return self._duration

    @duration.setter
    def duration(self, value: float | None) -> None:
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"duration is a number of seconds or None, not {type(value).__name__}")
            if not 0 <= value < float("inf"):
                raise ValueError(f"duration is a number of seconds, 0 or more, not {value}")
        self._duration = value

    @property
    def targets(self) -> Any:
        """The engines to choose from; None is all that there are. Takes whatever a client can be indexed with."""
        return None if self._targets is None else list(self._targets)

    @targets.setter
    def targets(self, value: Targets) -> None:
        self._targets = None if value is None else self.client._ids(value)

    def __len__(self) -> int:
        return len(self.client._live()) if self._targets is None else len(self._targets)

    def __repr__(self) -> str:
        if self._targets is None:
            return "<LoadBalancedView of all engines>"
        return (
            f"<LoadBalancedView of engine{'s' if len(self._targets) > 1 else ''} {', '.join(map(str, self._targets))}>"
        )

    def __getattr__(self, name: str) -> Any:
        # Only called for what is missing: where namespaces are concerned, somebody has to say whose.
        hint = f"\nhint: rc[:].{name} is all engines" if hasattr(DirectCalls, name) else ""
        raise missing_attribute(f"a load-balanced view has no {name!r}{hint}", name, self)

    def apply(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(*args, **kwargs)`` on one engine.

        Parameters
        ----------
        f : callable
            Runs with the globals and closure that it has here, away from the engine's namespace.
        *args, **kwargs
            Its arguments.

        Returns
        -------
        object
            The value when `block` is set, else an `AsyncResult`.

        Raises
        ------
        TypeError
            When `f` cannot be called.
        SerializationError
            When `f` or an argument cannot travel; names it.
        RemoteError, EngineError
            When blocking: what the engine raised.
        """
        result = self.apply_async(f, *args, **kwargs)
        return result.get() if self.block else result

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Like `apply`, and never waits."""
        return self._apply(f, args, kwargs, self.bound)

    def apply_bound(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like `apply`, but the globals of `f` are the namespace of the engine that runs it."""
        result = self._apply(f, args, kwargs, True)
        return result.get() if self.block else result

    def apply_sync(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like `apply`, and always waits."""
        return self.apply_async(f, *args, **kwargs).get()

    def map(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        block: bool | None = None,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> Any:
        """Call `f` on each element, in chunks that engines take as they become free.

        Parameters
        ----------
        f : callable
            Takes as many arguments as there are sequences.
        *sequences : iterable
            The shortest decides how many calls there are, as with the builtin.
        chunksize : int, optional
            Elements in a task; left out, about four tasks for each engine.
        ordered : bool
            Give results in the order of the elements; otherwise as they arrive.
        block : bool, optional
            Instead of the view's `block`.
        return_exceptions : bool
            Put the errors of elements that fail in the places of their results, and raise none of them.
        quiet : bool, optional
            Do not show what `f` writes while it runs, instead of the view's `quiet`.

        Returns
        -------
        list or MapResult
            One result for each element.

        Raises
        ------
        ValueError
            When `chunksize` is less than one.
        CompositeError
            When waiting: what elements raised. All others are done nevertheless.
        """
        function, name = pack(f, mapped=True), name_of(f)
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": is_quiet(self, quiet)}

        def submit(
            columns: list[Any], length: int, retried: MapResult | None = None
        ) -> tuple[Pending, list[int], list[Part]]:
            chunks = chunk_bounds(length, chunksize, len(self))
            parts = [chunk_of(columns, start, stop) for start, stop in chunks]
            sizes = [stop - start for start, stop in chunks]
            of = None if retried is None else retried._number
            about = of_map(sizes, ordered=ordered, of=of, **options)
            pending = self._submit("apply", [(None, dumps(part)) for part in parts], function, name, about)
            return pending, sizes, parts

        pending, sizes, parts = submit(*columns_of(sequences))
        again = Again(submit, parts)
        result = MapResult(self.client, pending, sizes, ordered, again=again, **options)
        return result.get() if waits(self, block) else result

    def map_async(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> MapResult:
        """Like `map`, and never waits."""
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": quiet}
        result: MapResult = self.map(f, *sequences, chunksize=chunksize, ordered=ordered, block=False, **options)
        return result

    def map_sync(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> list[Any]:
        """Like `map`, and always waits."""
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": quiet}
        values: list[Any] = self.map(f, *sequences, chunksize=chunksize, ordered=ordered, block=True, **options)
        return values

    def imap(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        max_outstanding: int | None = None,
        ordered: bool = True,
        chunksize: int = 1,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> LazyResults:
        """Map lazily, as engines become free; see `DirectView.imap`."""
        if max_outstanding is None:
            max_outstanding = 2 * max(1, len(self))
        submit = self._submit_chunk(f, is_quiet(self, quiet))
        return lazy_map(submit, sequences, max_outstanding, ordered, chunksize, return_exceptions)

    def remote(self, *, block: bool | None = None) -> Callable[..., RemoteFunction]:
        """Decorator: calling the function runs it on one engine; see `DirectView.remote`."""
        return lambda f: RemoteFunction(self, f, block=block)

    def parallel(
        self, *, dist: Literal["b"] = "b", block: bool | None = None, chunksize: int | None = None
    ) -> Callable[..., ParallelFunction]:
        """Decorator: the function is called on chunks of sequences; see `DirectView.parallel`."""
        return lambda f: ParallelFunction(self, f, dist=dist, block=block, chunksize=chunksize)

    def reload(self, module: ModuleType | str) -> Any:
        """Have the engines of the view import a module again, as `Client.reload`."""
        client: Any = self.client
        return client.reload(module, targets="all" if self._targets is None else list(self._targets))

    # -- inside -------------------------------------------------------------------------------------------------

    def _apply(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], bound: bool) -> AsyncResult:
        frames = argument_frames(args, kwargs)
        op, about = "apply_bound" if bound else "apply", of_call(1, True, self.quiet)
        pending = self._submit(op, [(None, frames)], pack(f, bound=bound), name_of(f), about)
        return AsyncResult(self.client, pending, "apply", True, quiet=self.quiet)

    def _submit_chunk(self, f: Callable[..., Any], quiet: bool) -> Callable[[list[Any], int, int], MapResult]:
        function, name = pack(f, mapped=True), name_of(f)

        def submit(columns: list[Any], first: int, size: int) -> MapResult:
            about = of_map([size], ordered=True, first=first, quiet=quiet)
            pending = self._submit("apply", [(None, chunk_frames(columns, 0, size))], function, name, about)
            return MapResult(self.client, pending, [size], True, indexes=range(first, first + size), quiet=quiet)

        return submit

    def _submit(
        self,
        op: Any,
        items: Sequence[tuple[None, list[Frame]]],
        function: tuple[bytes, bytes],
        name: str,
        about: bytes | None,
    ) -> Pending:
        return self._core.submit(
            op,
            items,
            function=function,
            retries=self.retries,
            engines=self._targets,
            duration=self._duration,
            name=self._label or name,
            about=about,
        )

    def _workers(self) -> LoadBalancedView:
        return self

    def _map(self, f: Callable[..., Any], sequences: Any, chunksize: int | None, **options: bool) -> Any:
        return self.map(f, *sequences, chunksize=chunksize, **options)

    def _parts(self, length: int, dist: str, chunksize: int | None) -> Parts:
        if dist == "r":
            raise ValueError("dist='r' needs engines: a load-balanced function gets contiguous chunks")
        options = {"retries": self.retries, "engines": self.targets, "duration": self._duration}
        return [None] * len(chunk_bounds(length, chunksize, len(self))), options
