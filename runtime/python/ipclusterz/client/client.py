"""The client: one connection to a controller, and the views that are made from it.

It keeps no results and no list of calls: what nobody refers to is freed. All talking is done by the extension module's
I/O thread.
"""

from __future__ import annotations

import json

from .. import _core
from .. import error as errors
from .asyncresult import AsyncResult
from .balanced import LoadBalancedView
from .connect import connection_file
from .targets import resolve
from .view import DirectView

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Any, Self, overload

    from .targets import Targets

__all__ = ["Client"]


class Client:
    """A connection to a running cluster.

    Parameters
    ----------
    path_or_url : path-like or str, optional
        A connection file, or the address of one of your clusters: ``tcp://host:port`` or ``ipc:///path``.
    cluster : str, optional
        Name of a cluster. With neither, it is the default cluster, or the only one there is.
    timeout : float
        Seconds to wait for the controller's answer.

    Attributes
    ----------
    block : bool
        Whether the calls of views wait for their results, unless a view or a call says otherwise. False at first.

    Raises
    ------
    ConnectionFileError
        When there is no connection file, or it is damaged.
    ControllerUnreachable
        When no controller answers in time.
    AuthenticationError
        When the controller refuses the key.

    Examples
    --------
    >>> rc = Client()                                       # doctest: +SKIP
    >>> rc.ids                                              # doctest: +SKIP
    {0, 1, 2, 3}
    >>> rc[:].apply_sync(sum, [1, 2])                       # doctest: +SKIP
    {0: 3, 1: 3, 2: 3, 3: 3}
    """

    __slots__ = ("__weakref__", "_core", "_owner", "block")

    def __init__(
        self,
        path_or_url: str | os.PathLike[str] | None = None,
        *,
        cluster: str | None = None,
        timeout: float = 10,
    ) -> None:
        self._core = _core.Client(connection_file(path_or_url, cluster), timeout)
        self._owner: object = None
        self.block = False

    # -- engines ------------------------------------------------------------------------------------------------

    @property
    def ids(self) -> set[int]:
        """The ids of the engines that live now."""
        return set(self._live())

    def __len__(self) -> int:
        return len(self._live())

    def __iter__(self) -> Iterator[DirectView]:
        """A view of each engine."""
        for engine_id in self._live():
            yield DirectView(self, [engine_id], True)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, targets: None) -> LoadBalancedView: ...
        @overload
        def __getitem__(self, targets: int | slice | str | Iterable[int]) -> DirectView: ...

    def __getitem__(self, targets: Targets) -> DirectView | LoadBalancedView:
        """A view of the engines that an index means.

        ``rc[0]`` and ``rc[-1]`` are one engine, ``rc[:]``, ``rc[1:3]``, ``rc[0, 2]`` and ``rc[[0, 2]]`` several, and
        ``rc[None]`` is the load-balanced view.

        Raises
        ------
        UnknownEngine
            An `IndexError`: there is no such engine.
        EmptyTargets
            A `ValueError`: no engine is meant.
        """
        if targets is None:
            return self.load_balanced_view()
        return self.direct_view(targets)

    def direct_view(self, targets: Targets = "all") -> DirectView:
        """A view of chosen engines: the same as indexing, with ``"all"`` for all of them."""
        chosen, single = resolve(targets, self._live())
        return DirectView(self, chosen, single)

    def load_balanced_view(self) -> LoadBalancedView:
        """A view whose calls each run on one engine, the one of all engines with least to do."""
        return LoadBalancedView(self)

    def wait_for_engines(self, n: int, timeout: float | None = 60) -> None:
        """Wait until there are at least `n` engines.

        Parameters
        ----------
        n : int
            How many.
        timeout : float or None
            Seconds to wait; None is for ever.

        Raises
        ------
        ipclusterz.TimeoutError
            When there are fewer after that time; says how many.
        """
        if not self._core.wait_for_engines(n, timeout):
            raise errors.TimeoutError(
                f"{len(self)} of {n} engines are there after {timeout:g} s",
                hint="`ipclusterz status` shows the engines, `ipclusterz logs` what they wrote",
            )

    # -- control ------------------------------------------------------------------------------------------------

    def abort(self, jobs: AsyncResult | Iterable[AsyncResult] | None = None, targets: Targets = None) -> None:
        """Give up calls that no engine has started; what runs goes on.

        Parameters
        ----------
        jobs : AsyncResult or iterable of AsyncResult, optional
            The calls. Left out, all that this client has waiting.
        targets : optional
            Only those waiting on these engines; for when `jobs` is left out.
        """
        if jobs is None:
            self._core.abort_all(None if targets is None else self._ids(targets))
            return
        for job in [jobs] if isinstance(jobs, AsyncResult) else jobs:
            job.abort()

    def interrupt(self, targets: Targets = "all") -> None:
        """Raise KeyboardInterrupt in the code that engines run now; their namespaces survive."""
        self._core.interrupt(self._ids(targets))

    def shutdown(self, targets: Targets = None, *, controller: bool = False) -> None:
        """End engines, or the whole cluster.

        Parameters
        ----------
        targets : optional
            The engines; all of them when left out.
        controller : bool
            End all engines and the controller too, and close this client.

        Raises
        ------
        ValueError
            When the controller is to end but only some engines are named.
        """
        if controller:
            if targets is not None:
                raise ValueError("the controller cannot end while engines go on: leave targets out")
            self._core.shutdown(None)
            self.close()
            return
        self._core.shutdown(self._ids(targets))

    def status(self, timeout: float = 10) -> dict[str, Any]:
        """What the controller knows: its engines with their queues and memory, and its own.

        Returns
        -------
        dict
            With the keys cluster, pid, uptime (seconds), clients, pending, held_bytes, rejected, resident_bytes and
            engines.
        """
        status: dict[str, Any] = json.loads(self._core.status(timeout))
        return status

    # -- the connection -----------------------------------------------------------------------------------------

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self._core.cluster

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._core.closed

    def close(self) -> None:
        """Close the connection; the cluster goes on. Closing again does nothing."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return "<Client: closed>"
        return f"<Client: cluster {self.cluster!r} at {self._core.address}, {len(self)} engines>"

    def _live(self) -> list[int]:
        if self._core.closed:
            raise errors.ClientClosed("this client is closed", hint="make a new Client()")
        return self._core.engine_ids()

    def _ids(self, targets: Targets) -> list[int]:
        return resolve(targets, self._live())[0]
