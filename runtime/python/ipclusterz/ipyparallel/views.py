"""Views with ipyparallel's names, defaults and shapes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

from ..client import balanced, view
from ..client.executor import ViewExecutor
from ..client.targets import waits
from ..shared.scatter import bounds
from .functions import ParallelFunction, RemoteFunction, engine_own, engine_owns, own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .results import AsyncMapResult, AsyncResult

__all__ = ["BroadcastView", "DirectView", "LoadBalancedView"]


class View:
    """What all views of this face have."""

    track = False
    """Whether it is followed when arguments may be changed: they may be at once, for they are copied."""

    if TYPE_CHECKING:
        client: Any
        block: Any
        targets: Any
        map: Any

    @property
    def history(self) -> list[str]:
        """The message ids of all that was submitted by the client."""
        ids: list[str] = self.client.history
        return ids

    @property
    def outstanding(self) -> set[str]:
        """The message ids of what is on its way."""
        ids: set[str] = self.client.outstanding
        return ids

    @property
    def results(self) -> Any:
        """The values that are there, by message id."""
        return self.client.results

    @property
    def executor(self) -> ViewExecutor:
        """A `concurrent.futures.Executor` whose workers are the engines of this view."""
        workers: Any = self
        return Executor(workers._workers())

    def abort(self, jobs: Any = None, targets: Any = None, block: bool | None = None) -> None:
        """Give up what no engine has begun: of results or message ids, or all of these engines."""
        self.client.abort(jobs, self._own(targets) if jobs is None else None, block)

    def queue_status(self, targets: Any = None, verbose: bool = False) -> dict[Any, Any]:
        """How many tasks engines have, and have done."""
        status: dict[Any, Any] = self.client.queue_status(self._own(targets), verbose)
        return status

    def purge_results(self, jobs: Any = (), targets: Any = ()) -> None:
        """Drop what is kept of results."""
        self.client.purge_results(jobs, targets)

    def shutdown(
        self, targets: Any = None, restart: bool = False, hub: bool = False, block: bool | None = None
    ) -> None:
        """End these engines."""
        self.client.shutdown(self._own(targets), restart=restart, hub=hub, block=block)

    def spin(self) -> None:
        """Does nothing: answers come without it."""

    def wait(self, jobs: Any = None, timeout: float | None = -1) -> bool:
        """Wait until calls have their answers, and say whether they have."""
        done: bool = self.client.wait(jobs, timeout)
        return done

    def get_result(self, indices_or_msg_ids: Any = None, block: bool | None = None, owner: bool = False) -> Any:
        """The result of something that was submitted, the last one if nothing is named."""
        blocks = self.block if block is None else block
        return self.client.get_result(indices_or_msg_ids, blocks, owner)

    def map_async(self, f: Callable[..., Any], /, *sequences: Any, **kwargs: Any) -> AsyncMapResult:
        """Like `map`, and never waits."""
        result: AsyncMapResult = self.map(f, *sequences, **{**kwargs, "block": False})
        return result

    def map_sync(self, f: Callable[..., Any], /, *sequences: Any, **kwargs: Any) -> list[Any]:
        """Like `map`, and always waits."""
        values: list[Any] = self.map(f, *sequences, **{**kwargs, "block": True})
        return values

    def imap(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        ordered: bool = True,
        max_outstanding: int | str = "auto",
        return_exceptions: bool = False,
        **options: Any,
    ) -> Any:
        """Map lazily: elements are taken as engines become free."""
        options["return_exceptions"] = return_exceptions
        options["max_outstanding"] = _most(max_outstanding)
        return super().imap(engine_own(f), *sequences, ordered=ordered, **options)  # type: ignore[misc]

    def remote(self, block: bool | None = None, **flags: Any) -> Callable[..., RemoteFunction]:
        """Decorator: the function runs on the engines when it is called."""
        return lambda f: RemoteFunction(self, f, block=block, **flags)

    def parallel(self, dist: str = "b", block: bool | None = None, **flags: Any) -> Callable[..., ParallelFunction]:
        """Decorator: the function is called on parts of sequences, one for each engine."""
        return lambda f: ParallelFunction(self, f, dist=dist, block=block, **flags)

    # -- inside -------------------------------------------------------------------------------------------------

    def _own(self, targets: Any) -> Any:
        if targets is not None:
            return targets
        return "all" if self.targets is None else self.targets

    @contextmanager
    def _labelled(self, label: str | None) -> Iterator[None]:
        """For a block, tasks have this label, if one is given."""
        labelled: Any = self
        before = labelled.label
        labelled.label = before if label is None else label
        try:
            yield
        finally:
            labelled.label = before


class DirectView(View, view.DirectView):  # type: ignore[misc]
    """Calls on chosen engines: each of them runs what is sent. Several give lists."""

    @property
    def targets(self) -> Any:
        """The engines: an id, a list of ids, or ``"all"``."""
        if self._chosen is None:
            return "all"
        return self._chosen[0] if self._single else list(self._chosen)

    @targets.setter
    def targets(self, value: Any) -> None:
        view.DirectView.targets.fset(self, value)  # type: ignore[attr-defined]

    # -- functions ----------------------------------------------------------------------------------------------

    def map(  # type: ignore[override]
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        block: bool | None = None,
        track: bool = False,
        return_exceptions: bool = False,
        label: str | None = None,
    ) -> AsyncMapResult | list[Any]:
        """Call `f` on each element, one block of elements for each engine."""
        with self._labelled(label):
            result = super().map(engine_own(f), *sequences, block=False, return_exceptions=return_exceptions)
        return result.get() if waits(self, block) else result  # type: ignore[no-any-return]

    # -- code and names -----------------------------------------------------------------------------------------

    def execute(
        self,
        code: str,
        silent: bool = True,
        targets: Any = None,
        block: bool | None = None,
        label: str | None = None,
    ) -> AsyncResult:
        """Run code in the namespaces of the engines; gives an `AsyncResult`, also when it waits for it."""
        with self._labelled(label):
            result: AsyncResult = super().execute(code, silent, targets=own(targets), block=False)
        return self._waited(result, block)

    def run(
        self, filename: Any, targets: Any = None, block: bool | None = None, label: str | None = None
    ) -> AsyncResult:
        """Run a script of this machine in the namespaces of the engines."""
        with self._labelled(label):
            result: AsyncResult = super().run(filename, targets=own(targets), block=False)
        return self._waited(result, block)

    def push(  # type: ignore[override]
        self, ns: dict[str, Any], targets: Any = None, block: bool | None = None, track: bool | None = None
    ) -> Any:
        """Set names in the namespaces of the engines."""
        if not isinstance(ns, dict):
            raise TypeError(f"a dictionary of names is needed, not {type(ns).__name__}: {ns!r:.80}")
        return super().push(engine_owns((), ns)[1], targets=own(targets), block=block)

    def pull(self, names: Any, targets: Any = None, block: bool | None = None) -> Any:
        """Get values of names: a list by engine, for several names of lists."""
        return super().pull(names, targets=own(targets), block=block)

    def get(self, key_s: Any) -> Any:  # type: ignore[override]
        """Get values of names, and wait for them."""
        return self.pull(key_s, block=True)

    def update(self, ns: dict[str, Any]) -> Any:
        """Set names in the namespaces of the engines."""
        return self.push(ns, block=self.block)

    def scatter(  # type: ignore[override]
        self,
        key: str,
        seq: Any,
        dist: Any = "b",
        flatten: bool = False,
        targets: Any = None,
        block: bool | None = None,
        track: bool | None = None,
    ) -> Any:
        """Split a sequence into one part for each engine and push the parts."""
        return super().scatter(key, seq, dist, flatten, targets=own(targets), block=block)

    def gather(  # type: ignore[override]
        self, key: str, dist: Any = "b", targets: Any = None, block: bool | None = None
    ) -> Any:
        """Pull a name from each engine and join the parts."""
        return super().gather(key, dist, targets=own(targets), block=block)

    def clear(self, targets: Any = None, block: bool | None = None) -> Any:
        """Forget all names in the namespaces of the engines."""
        return super().clear(targets=own(targets), block=block)

    def sync_imports(self, local: bool = True, quiet: bool = False) -> Any:  # type: ignore[override]
        """Context manager: what is imported in the block is imported on the engines too."""
        if not local:
            raise ValueError("local=False: imports of the block are run here too\nhint: view.execute('import …')")
        return super().sync_imports(quiet=quiet)

    # -- flags --------------------------------------------------------------------------------------------------

    def set_flags(self, **kwargs: Any) -> DirectView:
        """Set attributes: `block`, `label`, `targets`, `track`; gives the view."""
        if unknown := kwargs.keys() - _ATTRIBUTES:
            raise AttributeError(f"this view has no flag {min(unknown)!r}; there are: {', '.join(_ATTRIBUTES)}")
        for name, value in kwargs.items():
            setattr(self, name, value)
        return self

    @contextmanager
    def temp_flags(self, **kwargs: Any) -> Iterator[None]:
        """Context manager: attributes are set in its block."""
        before = {name: getattr(self, name, None) for name in kwargs}
        try:
            self.set_flags(**kwargs)
            yield
        finally:
            self.set_flags(**before)

    # -- inside -------------------------------------------------------------------------------------------------

    def _waited(self, result: AsyncResult, block: bool | None) -> AsyncResult:
        if waits(self, block):
            # What failed is raised, as by a call that waits.
            result.get()
        return result

    def _split(self, seq: Any, count: int, dist: Any, flatten: bool) -> list[Any]:
        if isinstance(seq, range) and dist == "b" and not flatten:
            return [seq[start:stop] for start, stop in bounds(len(seq), count)]
        return super()._split(seq, count, dist, flatten)

    def _apply(self, f: Any, args: Any, kwargs: Any, targets: Any, bound: bool) -> Any:
        args, kwargs = engine_owns(args, kwargs)
        return super()._apply(engine_own(f), args, kwargs, targets, bound)

    def _map(self, f: Callable[..., Any], sequences: Any, _chunksize: int | None, **options: Any) -> Any:
        return self.map(f, *sequences, **options)


class BroadcastView(DirectView):
    """A direct view: what goes to several engines is sent once by every view."""

    is_coalescing = False
    """Whether answers come together: never, each comes as soon as it is there."""


class LoadBalancedView(View, balanced.LoadBalancedView):  # type: ignore[misc]
    """Calls that run once, on any engine."""

    # -- functions ----------------------------------------------------------------------------------------------

    def map(  # type: ignore[override]
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        block: bool | None = None,
        chunksize: int | None = 1,
        ordered: bool = True,
        return_exceptions: bool = False,
        label: str | None = None,
    ) -> Any:
        """Call `f` on each element, in chunks that engines take as they become free."""
        how: dict[str, Any] = {"chunksize": chunksize, "ordered": ordered, "return_exceptions": return_exceptions}
        with self._labelled(label):
            result = super().map(engine_own(f), *sequences, block=False, **how)
        return result.get() if waits(self, block) else result

    def register_joblib_backend(self, name: str = "ipyparallel", make_default: bool = False) -> None:
        """Let joblib run on the engines of this view: ``joblib.parallel_config(backend=name)``."""
        super().register_joblib_backend(name, make_default)

    # -- flags, of which the scheduler has its own ---------------------------------------------------------------

    def set_flags(self, **kwargs: Any) -> LoadBalancedView:  # type: ignore[override]
        """Set flags of tasks, `after`, `follow`, `timeout`, `retries`, `label`, and attributes; gives the view."""
        if kwargs.get("timeout") == 0:
            # No limit there, and here.
            kwargs["timeout"] = None
        track = kwargs.pop("track", self.track)
        super().set_flags(**kwargs)
        self.track = track
        return self

    def abort(  # type: ignore[override]
        self, jobs: Any = None, targets: Any = None, block: bool | None = None
    ) -> None:
        """Give up what no engine has begun: of results or message ids, or all of these engines."""
        View.abort(self, jobs, targets, block)

    # -- inside -------------------------------------------------------------------------------------------------

    def _apply(self, f: Any, args: Any, kwargs: Any, bound: bool) -> Any:
        args, kwargs = engine_owns(args, kwargs)
        return super()._apply(engine_own(f), args, kwargs, bound)

    def _map(self, f: Callable[..., Any], sequences: Any, chunksize: int | None, **options: Any) -> Any:
        return self.map(f, *sequences, chunksize=chunksize or 1, **options)


class Executor(ViewExecutor):
    """The executor of a view, which runs functions of ``__main__`` in the engines' namespaces."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``fn(*args, **kwargs)`` on an engine."""
        args, kwargs = engine_owns(args, kwargs)
        return super().submit(engine_own(fn), *args, **kwargs)

    def map(self, fn: Any, /, *iterables: Any, **options: Any) -> Iterator[Any]:  # type: ignore[override]
        """Call `fn` on each element; gives the results in order."""
        return super().map(engine_own(fn), *iterables, **options)


# Flags of direct views.
_ATTRIBUTES = ("block", "label", "targets", "track", "quiet")


def _most(max_outstanding: int | str) -> int | None:
    """``"auto"`` is twice the number of engines, 0 no limit."""
    if max_outstanding == "auto":
        return None
    return max_outstanding or 1_000_000  # type: ignore[return-value]
