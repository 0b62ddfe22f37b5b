"""The calls that run on chosen engines: what a client and its direct views have in common.

Every ``rc.<method>(..., targets=x)`` is ``rc[x].<method>(...)``, because both come from here. A method packs what it is
given and submits it; it waits for nothing but its own result.
"""

from __future__ import annotations

from types import ModuleType

from ..compat import stdlib_module_names, zip_equal
from ..shared import names as on_engine
from ..shared.scatter import bounds
from ..shared.serialize import dumps
from .about import name_of, of_call, of_map
from .arguments import argument_frames
from .asyncresult import AsyncResult
from .functions import pack
from .mapping import Again, MapResult, chunk_of, columns_of
from .pickling import PicklingCalls
from .remote import ParallelFunction, RemoteFunction
from .targets import OWN, is_quiet, waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal

    from .._core import Pending
    from .imports import SyncImports
    from .lazy import LazyResults
    from .mapping import Part
    from .targets import Own, Targets

__all__ = ["DirectCalls"]


class DirectCalls(PicklingCalls):
    """The calls of a client and of a direct view.

    Every one of them takes two keywords. ``targets`` are the engines: an id (negative ones count from the last), a
    list of ids, a slice or ``"all"``; left out, those of the client or view. ``block`` is whether to wait; left out,
    the attribute ``block`` of the client or view. The answer's shape follows from them:

    | call | answer |
    |---|---|
    | waiting, one engine (``rc[0]``) | the bare value |
    | waiting, several engines | a dictionary by engine id |
    | not waiting | an `AsyncResult`, whose ``get()`` gives the bare value or the list by engine |

    A list of one id, like a slice, counts as several engines.

    Raises
    ------
    UnknownEngine
        An `IndexError`: `targets` names an engine that is not there.
    EmptyTargets
        A `ValueError`: `targets` names no engine.
    RemoteError, EngineError, CompositeError
        When waiting: what the engines raised; `CompositeError` for several engines.
    """

    __slots__ = ()

    # -- functions ----------------------------------------------------------------------------------------------

    def map(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        targets: Targets | Own = OWN,
        block: bool | None = None,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> Any:
        """Call `f` on each element, one contiguous block of elements for each engine.

        Parameters
        ----------
        f : callable
            Takes as many arguments as there are sequences.
        *sequences : iterable
            The shortest decides how many calls there are, as with the builtin.
        targets : optional
            Engines; None shares the elements out by load.
        block : bool, optional
            Whether to wait.
        return_exceptions : bool
            Put the errors of elements that fail in the places of their results, and raise none of them.
        quiet : bool, optional
            Do not show what `f` writes while it runs; left out, the attribute `quiet` of the client or view.

        Returns
        -------
        list or MapResult
            The results in the order of the elements.

        Raises
        ------
        TypeError
            When `f` cannot be called, or there is no sequence.
        CompositeError
            When waiting: what elements raised. All others are done nevertheless.

        Examples
        --------
        >>> rc[:].map(pow, range(5), [2] * 5, block=True)
        [0, 1, 4, 9, 16]
        """
        if targets is None:
            view = self._owner_client._balanced(None)
            view.quiet = is_quiet(self, quiet)
            return view.map(f, *sequences, block=waits(self, block), return_exceptions=return_exceptions)
        client, core = self._owner_client, self._core
        chosen, _ = self._choose(targets)
        function, name = pack(f, mapped=True), self._label or name_of(f)
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": is_quiet(self, quiet)}

        def submit(
            columns: list[Any], length: int, engines: list[int], retried: MapResult | None = None
        ) -> tuple[Pending, list[int], list[Part]]:
            shares = [
                (engine_id, start, stop)
                for engine_id, (start, stop) in zip_equal(engines, bounds(length, len(engines)))
                if stop > start
            ]
            parts = [chunk_of(columns, start, stop) for _, start, stop in shares]
            items = [([engine_id], dumps(part)) for (engine_id, _, _), part in zip_equal(shares, parts)]
            sizes = [stop - start for _, start, stop in shares]
            of = None if retried is None else retried._number
            about = of_map(sizes, ordered=True, of=of, **options)
            pending = core.submit("apply", items, function=function, name=name, about=about)
            return pending, sizes, parts

        def submit_again(columns: list[Any], length: int, retried: MapResult) -> tuple[Pending, list[int], list[Part]]:
            # One of them may be dead by now, which leaves the work to the others.
            live = set(client._live())
            return submit(columns, length, [engine_id for engine_id in chosen if engine_id in live] or chosen, retried)

        pending, sizes, parts = submit(*columns_of(sequences), chosen)
        again = Again(submit_again, parts)
        result = MapResult(client, pending, sizes, True, again=again, **options)
        return result.get() if waits(self, block) else result

    def map_async(
        self, f: Callable[..., Any], /, *sequences: Any, return_exceptions: bool = False, quiet: bool | None = None
    ) -> MapResult:
        """Like `map`, and never waits."""
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": quiet}
        result: MapResult = self.map(f, *sequences, block=False, **options)
        return result

    def map_sync(
        self, f: Callable[..., Any], /, *sequences: Any, return_exceptions: bool = False, quiet: bool | None = None
    ) -> list[Any]:
        """Like `map`, and always waits."""
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": quiet}
        values: list[Any] = self.map(f, *sequences, block=True, **options)
        return values

    def imap(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        max_outstanding: int | None = None,
        ordered: bool = True,
        chunksize: int | str | None = 1,
        targets: Targets | Own = OWN,
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> LazyResults:
        """Map lazily: elements are taken as engines become free, so the sequences may be endless.

        Parameters
        ----------
        f : callable
            Takes as many arguments as there are sequences.
        *sequences : iterable
            Consumed as results are asked for; the shortest decides.
        max_outstanding : int, optional
            Most tasks under way; left out, twice the number of engines.
        ordered : bool
            Give results in the order of the elements; otherwise as they arrive.
        chunksize : int or None
            Elements in a task. None or ``"auto"``: measured, so that a task takes about 50 ms, and has at most 4096.
        targets : optional
            The engines that share the work; None is all of them.
        return_exceptions : bool
            Give the errors of elements that fail in the places of their results, and raise none of them.
        quiet : bool, optional
            Do not show what `f` writes while it runs; left out, the attribute `quiet` of the client or view.

        Returns
        -------
        iterator
            Gives one result for each element. An error is raised in its turn, and the iterator goes on behind it. Its
            `close` gives up what no engine has begun, as does its end.

        Raises
        ------
        TypeError
            When `f` cannot be called, or there is no sequence.
        ValueError
            When `max_outstanding` or `chunksize` is less than one.

        Examples
        --------
        >>> from itertools import count, islice
        >>> list(islice(rc.imap(abs, count(-2)), 4))
        [2, 1, 0, 1]
        """
        # One of the engines of a view may be dead by now, which leaves the work to the others.
        chosen = None if targets is None else self._choose(targets)[0]
        view = self._owner_client._balanced(chosen)
        values: LazyResults = view.imap(
            f,
            *sequences,
            max_outstanding=max_outstanding,
            ordered=ordered,
            chunksize=chunksize,
            return_exceptions=return_exceptions,
            quiet=is_quiet(self, quiet),
        )
        return values

    def remote(self, *, targets: Targets | Own = OWN, block: bool | None = None) -> Callable[..., RemoteFunction]:
        """Decorator: calling the function runs it on the engines.

        Parameters
        ----------
        targets : optional
            Engines; None is the one with least to do, which is also what a client's `remote` takes when it is left out.
        block : bool, optional
            Whether calls wait.

        Returns
        -------
        callable
            Turns a function into a `RemoteFunction`.

        Examples
        --------
        >>> @rc.remote(block=True)
        ... def f(x):
        ...     return 10.0 * x**4
        >>> f(2)
        160.0
        """
        caller: Any = self
        return lambda f: RemoteFunction(caller, f, targets=targets, block=block)

    def parallel(
        self,
        *,
        dist: Literal["b", "r"] = "b",
        targets: Targets | Own = OWN,
        block: bool | None = None,
        chunksize: int | None = None,
    ) -> Callable[..., ParallelFunction]:
        """Decorator: the function is called on parts of sequences, one part for each engine.

        Parameters
        ----------
        dist : {"b", "r"}
            Parts are contiguous blocks, or every n-th element.
        targets : optional
            Engines; None gives chunks to whichever engine has least to do.
        block : bool, optional
            Whether calls wait.
        chunksize : int, optional
            Elements in a chunk, when load-balanced.

        Returns
        -------
        callable
            Turns a function into a `ParallelFunction`.

        Examples
        --------
        >>> @rc.parallel(block=True)
        ... def total(part):
        ...     return [sum(part)]
        >>> total(range(16))
        [6, 22, 38, 54]
        """
        caller: Any = self
        return lambda f: ParallelFunction(caller, f, dist=dist, targets=targets, block=block, chunksize=chunksize)

    # -- modules ------------------------------------------------------------------------------------------------

    def sync_imports(self, *, quiet: bool = False, targets: Targets | Own = OWN) -> SyncImports:
        """Context manager: what is imported in the block is imported on the engines too.

        Parameters
        ----------
        quiet : bool
            Do not print what is imported.
        targets : optional
            Engines.

        Returns
        -------
        context manager

        Examples
        --------
        >>> with rc[:].sync_imports():
        ...     import numpy as np
        importing numpy as np on engines 0, 1, 2, 3
        """
        # Takes the bytecode of imports apart, with modules that nothing else needs.
        from .imports import SyncImports

        chosen, single = self._choose(targets)
        return SyncImports(self, chosen[0] if single else chosen, quiet)

    @property
    def importer(self) -> SyncImports:
        """The same as ``sync_imports()``: ``with dview.importer: import numpy``."""
        return self.sync_imports()

    def reload(self, module: ModuleType | str, *, targets: Targets | Own = OWN) -> Any:
        """Have the engines import a module again where they use it next; always waits.

        The engines forget their own copy of the module and of all modules below it, and the functions that they kept.
        Names of their namespaces that stand for the module are bound to the new one. What they run of *your* module is
        your code in any case; this is for what engines import themselves. It reloads nothing here: that is what
        `importlib.reload` does.

        Parameters
        ----------
        module : module or str
            A module, or the name of one: ``helpers``, ``"package.part"``.
        targets : optional
            Engines.

        Returns
        -------
        list of str, or dict of such lists
            The modules that an engine had imported and has forgotten; empty when it had none.

        Raises
        ------
        TypeError
            When `module` is neither a module nor a text.
        ValueError
            When it is no name of a module, or of one that every Python has.
        RemoteError, CompositeError
            When the module cannot be imported twice, because it is written in C; or not at all any more.

        Examples
        --------
        >>> rc[0].reload("colorsys_of_mine")
        []
        """
        name = module.__name__ if isinstance(module, ModuleType) else module
        if not isinstance(name, str):
            raise TypeError(f"a module or its name is needed, not {type(module).__name__}: {module!r:.80}")
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"a name of a module is needed, not {name!r:.80}")
        top = name.partition(".")[0]
        if top in stdlib_module_names() or top in ("__main__", "ipclusterz"):
            raise ValueError(f"{name!r} is a part of Python or of ipclusterz, which engines do not reload")
        return self._on_engine(on_engine.reload, (name,), targets, True)

    # -- inside -------------------------------------------------------------------------------------------------

    def _apply(
        self,
        f: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        targets: Targets | Own,
        bound: bool,
    ) -> AsyncResult:
        if isinstance(f, str):
            if args or kwargs:
                raise TypeError("a text to execute takes no arguments")
            running: AsyncResult = self.execute(f, targets=targets, block=False)
            return running
        function = pack(f, bound=bound)
        frames = argument_frames(args, kwargs)
        chosen, single = self._choose(targets)
        about = of_call(len(chosen), single, self.quiet)
        pending = self._core.submit(
            "apply_bound" if bound else "apply",
            [(chosen, frames)],
            function=function,
            name=self._label or name_of(f),
            about=about,
        )
        return AsyncResult(self._owner_client, pending, "apply", single, quiet=self.quiet)
