"""The load-balanced view: each call goes to the engine that has least to do."""

from __future__ import annotations

from ..compat import missing_attribute
from ..shared.serialize import dumps
from .about import name_of, of_call, of_map
from .arguments import argument_frames
from .asyncresult import AsyncResult
from .direct import DirectCalls
from .feeding import fed_map
from .flags import Flagged
from .functions import pack
from .lazy import lazy_map
from .mapping import Again, MapResult, chunk_bounds, chunk_frames, chunk_of, columns_of
from .remote import ParallelFunction, RemoteFunction
from .targets import OWN, is_quiet, waits
from .terms import is_flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType
    from typing import Any, Literal

    from .._core import Pending
    from ..shared.serialize import Frame
    from .connection import Connection
    from .lazy import LazyResults
    from .mapping import Part
    from .remote import Parts
    from .targets import Targets
    from .terms import Jobs

__all__ = ["LoadBalancedView"]


class LoadBalancedView(Flagged):
    """Calls that run once, on any engine.

    Made by `Client.load_balanced_view` or ``rc[None]``.

    Attributes
    ----------
    retries : int
        How often a call is given to another engine when the one that ran it died, or when nothing was heard of that for
        long: then both may run it, and the first answer counts. Also how often it is done again after an error in
        `retry_on`.
    retry_on : tuple of type
        Classes of exceptions after which a call is done again. A call of `apply` may go to another engine then; an
        element of a map stays where it is.
    retry_delay : float or None
        Seconds between an error and the next try.
    crash_limit : int or None
        How many engines a call may take along before it is given to no other; None: as ``controller.crash_limit`` says.
    duration : float or None
        How many seconds each call will take at most, where engines end at a known time; see
        `Client.load_balanced_view`.
    timeout : float or None
        Seconds within which an engine has to begin a call, which fails with `TaskTimeout` otherwise.
    time_limit : float or None
        Seconds that a call may run. Then it is interrupted, and if that does not end it within
        ``controller.kill_grace``, its engine is ended, and comes back where the profile says ``engines.restart``. It
        fails with `TaskTimeout`, and has an engine for itself meanwhile.
    priority : int
        Calls of a higher one are begun first; ``Client.priority`` is added. Of one priority, they are begun in the
        order in which they were submitted, and those of several clients in turn.
    after, follow : Dependency or None
        What has to end before a call begins. With `follow`, it begins where that ran.

    Examples
    --------
    >>> view = rc.load_balanced_view()
    >>> view.map_sync(lambda x: x**2, range(5))
    [0, 1, 4, 9, 16]
    """

    __slots__ = ("_targets",)

    def __init__(self, client: Connection, targets: list[int] | None = None) -> None:
        super().__init__(client)
        self._targets = targets

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
        engines = "all engines"
        if self._targets is not None:
            engines = f"engine{'s' if len(self._targets) > 1 else ''} {', '.join(map(str, self._targets))}"
        return f"<LoadBalancedView of {engines}{self._asked()}>"

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
            Its arguments. The keywords ``after`` and ``follow`` are none of them, but flags for this call, where their
            values are results, `Dependency` objects, message ids, or several of these.

        Returns
        -------
        object
            The value when `block` is set, else an `AsyncResult`.

        Raises
        ------
        TypeError
            When `f` cannot be called.
        ImpossibleDependency
            When blocking: what it was to wait for has ended in another way.
        TaskTimeout
            When blocking: it was not begun within `timeout`, or has run for longer than `time_limit`.
        SerializationError
            When `f` or an argument cannot travel; names it.
        RemoteError, EngineError
            When blocking: what the engine raised.
        """
        result = self.apply_async(f, *args, **kwargs)
        return result.get() if self.block else result

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Like `apply`, and never waits."""
        if "after" not in kwargs and "follow" not in kwargs:
            return self._apply(f, args, kwargs, self.bound)
        named = {
            name: kwargs[name] for name in ("after", "follow") if name in kwargs and is_flag(f, name, kwargs[name])
        }
        kwargs = {name: value for name, value in kwargs.items() if name not in named}
        # Other threads may use this view.
        view = self._copy()
        view.set_flags(**named)
        return view._apply(f, args, kwargs, self.bound)

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
            Elements in a task; left out, it is measured, so that a task takes about 50 ms.
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
        # The view as it is now: also what is sent later, or tried again, has its flags.
        view = self._copy()
        function, name = view._packed(f, mapped=True), name_of(f)
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": is_quiet(self, quiet)}

        def submit(
            columns: list[Any], length: int, retried: MapResult | None = None
        ) -> tuple[Pending, list[int], list[Part]]:
            chunks = chunk_bounds(length, chunksize, len(view))
            parts = [chunk_of(columns, start, stop) for start, stop in chunks]
            sizes = [stop - start for start, stop in chunks]
            of = None if retried is None else retried._number
            about = of_map(sizes, ordered=ordered, of=of, **options)
            pending = view._submit("apply", [(None, dumps(part)) for part in parts], function, name, about)
            return pending, sizes, parts

        columns, length = columns_of(sequences)
        if chunksize is None:

            def send(bounds: list[tuple[int, int]], frames: list[list[Frame]], said: dict[str, Any]) -> Pending:
                about = of_map([stop - start for start, stop in bounds], ordered=ordered, **said, **options)
                return view._submit("apply", [(None, each) for each in frames], function, name, about)

            fed = fed_map(self.client, columns, length, view.__len__, send, submit, ordered=ordered, **options)
            if fed is not None:
                return fed.get() if waits(self, block) else fed
        pending, sizes, parts = submit(columns, length)
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
        chunksize: int | str | None = 1,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> LazyResults:
        """Map lazily, as engines become free; see `DirectView.imap`."""
        if max_outstanding is None:
            max_outstanding = 2 * max(1, len(self))
        submit = self._copy()._submit_chunk(f, is_quiet(self, quiet))
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

    def abort(
        self, jobs: Jobs | None = None, *, all_clients: bool = False, interrupt: bool = False, force: bool = False
    ) -> None:
        """Give up calls that no engine has begun: these, or all of the client's; see `Client.abort`."""
        everywhere: Any = "all" if jobs is None else OWN
        self.client.abort(jobs, everywhere, all_clients=all_clients, interrupt=interrupt, force=force)

    # -- inside -------------------------------------------------------------------------------------------------

    def _packed(self, f: Callable[..., Any], *, bound: bool = False, mapped: bool = False) -> tuple[bytes, bytes]:
        """A function, with what it is to be called again after."""
        if self.retry_on and callable(f):
            # Errors are rare, and functions that are called again, too.
            from ..shared.retrying import repeated, retried

            if mapped:
                f = repeated(f, self.retry_on, self.retries, self.retry_delay or 0.0)
            else:
                f = retried(f, self.retry_on)
        return pack(f, bound=bound, mapped=mapped)

    def _apply(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], bound: bool) -> AsyncResult:
        frames = argument_frames(args, kwargs)
        op, about = "apply_bound" if bound else "apply", of_call(1, True, self.quiet)
        pending = self._submit(op, [(None, frames)], self._packed(f, bound=bound), name_of(f), about)
        return AsyncResult(self.client, pending, "apply", True, quiet=self.quiet)

    def _submit_chunk(self, f: Callable[..., Any], quiet: bool) -> Callable[[list[Any], int, int], MapResult]:
        function, name = self._packed(f, mapped=True), name_of(f)

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
            terms=self._terms(),
        )

    def _workers(self) -> LoadBalancedView:
        return self

    def _map(self, f: Callable[..., Any], sequences: Any, chunksize: int | None, **options: bool) -> Any:
        return self.map(f, *sequences, chunksize=chunksize, **options)

    def _parts(self, length: int, dist: str, chunksize: int | None) -> Parts:
        if dist == "r":
            raise ValueError("dist='r' needs engines: a load-balanced function gets contiguous chunks")
        options = {
            "retries": self.retries,
            "engines": self.targets,
            "duration": self._duration,
            "terms": self._terms(),
        }
        return [None] * len(chunk_bounds(length, chunksize, len(self))), options
