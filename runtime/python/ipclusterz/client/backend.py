"""The backend of joblib. Importing it registers the name "ipclusterz"; users import `ipclusterz.joblib`.

A batch of joblib's tasks is one call of a `ViewExecutor`; joblib makes the batches and puts the results together. What
an engine does with one is in `shared.batches`.
"""

from __future__ import annotations

from functools import partial

try:
    from joblib.parallel import (  # type: ignore[import-untyped]
        AutoBatchingMixin,
        BatchedCalls,
        ParallelBackendBase,
        register_parallel_backend,
    )
except ImportError:
    raise ImportError("the joblib backend needs joblib 1.4 or newer: pip install joblib") from None

from ..error import NoEnginesRegistered
from ..shared.batches import run, run_limited, run_unlimited
from .about import name_of
from .arguments import argument_frames
from .capture import local_modules
from .functions import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Protocol

    from .connection import Connection
    from .executor import ViewExecutor, ViewFuture, Workers

    class View(Protocol):
        """A `DirectView` or `LoadBalancedView`."""

        def _workers(self) -> Workers: ...


__all__ = ["IpclusterzBackend", "register"]


class IpclusterzBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the tasks of `joblib.Parallel` on engines.

    joblib makes it, from its name: ``joblib.parallel_config(backend="ipclusterz", view=view)``.

    Parameters
    ----------
    view : LoadBalancedView or DirectView, optional
        The engines.
    client : Client, optional
        All engines of this client. With neither, those of the default cluster, by a connection of its own that ends
        with each call of `joblib.Parallel`.

    Raises
    ------
    NoEnginesRegistered
        When a call finds no engine.

    Notes
    -----
    ``n_jobs`` is how many engines work, as many as there are when it is -1 or left out; the call is not sent anywhere
    when that is one, for joblib runs it in this process then. A `joblib.Parallel` inside a task uses threads, and one
    inside that runs sequentially. When a task fails, or its ``timeout`` is over, the tasks that no engine has begun are
    given up; what runs goes on to its end, because an engine may be working for others.

    With ``inner_max_num_threads``, BLAS, OpenMP and the like use so many threads on each engine while it works on these
    tasks, for which engines need the package threadpoolctl. Without, they use what ``engines.threads`` of the profile
    says.

    Examples
    --------
    >>> import joblib, ipclusterz.joblib
    >>> with joblib.parallel_config(backend="ipclusterz", client=rc):
    ...     joblib.Parallel()(joblib.delayed(pow)(i, 2) for i in range(4))
    [0, 1, 4, 9]
    """

    # Opens a client of the default cluster. `Client` stands above this file, so those above it set this.
    _connect: ClassVar[Callable[[], Connection]]

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1

    def __init__(self, *, view: View | None = None, client: Connection | None = None, **options: Any) -> None:
        super().__init__(**options)
        if view is not None and client is not None:
            raise TypeError("view and client are both given: the engines are the one's or the other's")
        self._view: Workers | None = None
        if view is not None:
            self._view = view._workers()
        elif client is not None:
            self._view = client._balanced(None)
        # The client of the default cluster; `terminate` closes it.
        self._own_client: Connection | None = None
        self._executor: ViewExecutor | None = None

    # -- what joblib calls --------------------------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many engines work when `n_jobs` is asked for; negative ones count from the number of engines."""
        if n_jobs == 0:
            raise ValueError("n_jobs is 0: it is a number of engines, -1 for all of them")
        engines = len(self._all_workers())
        if engines == 0:
            raise NoEnginesRegistered(
                "joblib has no engine to run on", hint="wait_for_engines() of a client waits until there are some"
            )
        if n_jobs is None:
            n_jobs = -1
        return max(1, engines + 1 + n_jobs) if n_jobs < 0 else min(n_jobs, engines)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Begin a call of `joblib.Parallel`, or a ``with`` block of it."""
        self.parallel = parallel
        limit = self.inner_max_num_threads
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ValueError(f"inner_max_num_threads is {limit!r}: it is a number of threads, 1 or more")
        number = self.effective_n_jobs(n_jobs)
        workers = self._all_workers()
        if number < len(workers):
            targets = workers.targets
            chosen = (workers.client._live() if targets is None else targets)[:number]
            quiet = workers.quiet
            workers = workers.client._balanced(workers.client._ids(chosen))
            workers.quiet = quiet
        self._executor = workers.executor
        return number

    def submit(self, func: BatchedCalls, callback: Callable[[Any], object] | None = None) -> ViewFuture:
        """Send a batch of tasks."""
        if self._executor is None:
            # Two generators share this backend, and the other one has ended it.
            self._executor = self._all_workers().executor
        limit = self.inner_max_num_threads
        frames = argument_frames((func,) if limit is None else (limit, func), {})
        pickled = bytes(frames[0])
        if any(name.encode() in pickled for name in local_modules()):
            # The engine may not be able to import the functions: packed as functions they can travel by value.
            batch = partial(run, [function for function, _, _ in func.items], self.get_nested_backend(), limit)
            future = self._executor.submit(batch, [arguments for _, *arguments in func.items])
        else:
            function = pack(run_unlimited if limit is None else run_limited)
            name = name_of(func.items[0][0]) if func.items else "batch"
            future = self._executor._send(function, frames, "apply", name)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    # Its name before joblib 1.5.
    apply_async = submit

    def retrieve_result_callback(self, out: ViewFuture) -> Any:
        """The results of a batch, or the exception of one of its tasks."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Give up what no engine has begun."""
        # A callback sends the next batch under this lock, and sends none once the call has ended.
        with self.parallel._lock:
            executor, self._executor = self._executor, None
        if executor is None:
            return
        executor.shutdown(wait=False, cancel_futures=True)
        if ensure_ready:
            self._executor = executor.view.executor

    def terminate(self) -> None:
        """End what `configure` began."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
        client, self._own_client = self._own_client, None
        if client is not None:
            client.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _all_workers(self) -> Workers:
        if self._view is not None:
            return self._view
        if self._own_client is None:
            self._own_client = type(self)._connect()
        workers: Workers = self._own_client._balanced(None)
        return workers


def register(view: Workers | None = None, name: str = "ipclusterz", make_default: bool = False) -> None:
    """Give joblib a backend of this name.

    Parameters
    ----------
    view : LoadBalancedView, optional
        Its engines, where none are named with the backend; left out, those of the default cluster.
    name : str
        The name.
    make_default : bool
        Use it where no backend is named.
    """
    if view is not None:
        IpclusterzBackend._connect = type(view.client)
    factory = IpclusterzBackend if view is None else partial(IpclusterzBackend, view=view)
    register_parallel_backend(name, factory, make_default)


register()
