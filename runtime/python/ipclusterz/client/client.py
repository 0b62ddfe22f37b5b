"""The client: one connection to a controller, and the views that are made from it.

It keeps no results and no list of calls: what nobody refers to is freed. All talking is done by the extension module's
I/O thread.
"""

from __future__ import annotations

import json
import sys
import weakref
from time import monotonic

from .. import error as errors
from .asyncresult import AsyncResult
from .balanced import LoadBalancedView
from .connect import connect, through_ssh
from .direct import DirectCalls
from .targets import OWN, resolve
from .view import DirectView
from .watcher import Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Any, Self, overload

    from .remote import RemoteFunction
    from .targets import Own, Targets
    from .tunnel import Tunnel

__all__ = ["Client"]


class Client(DirectCalls):
    """A connection to a running cluster.

    Every method with ``targets=`` does what the view ``rc[targets]`` does by its method of that name.

    A connection to another host may break and come back, as through a tunnel: for five minutes the controller keeps
    what the client has under way, engines go on with it, and calls wait. Then all of it is lost, with `EngineError`.

    Parameters
    ----------
    path_or_url : path-like or str, optional
        A connection file, or the address of a controller: ``tcp://host:port`` or ``ipc:///path``.
    cluster : str, optional
        Name of a cluster. With none of these, it is the one that the variable ``IPCLUSTERZ_CLUSTER`` names, else the
        default cluster, or the only one there is.
    profile : str, optional
        Name of the profile that the cluster was started with. With `sshserver`, the profile of this host whose table
        ``[ssh]`` says how to get there; a name, or a file.
    key : str or path-like, optional
        For an address: a file with the key (a copy of the cluster's ``client.json``), or its text. Left out, the file
        that the environment variable ``IPCLUSTERZ_KEY_FILE`` names, or the connection file of your cluster there.
    sshserver : str, optional
        ``user@host``, ``user@host:port`` or a ``Host`` of ``~/.ssh/config``: the cluster (by `cluster`, if there are
        several) is one of that user on that host. Its key is brought from there, and one connection is forwarded, for
        as long as this client is open or this process runs. When it breaks it is made again, and results that came
        in the meantime follow. Nothing has to be on the ``PATH`` there. The same for other programs, in a terminal:
        ``ipclusterz tunnel user@host``.
    sshbackend : str, optional
        What speaks SSH: ``"libssh2"`` is built in; ``"openssh"`` is the system's ``ssh``, for ``ProxyCommand``,
        GSSAPI, hardware keys and several factors. Left out, it is ``backend`` of the profile's ``[ssh]``.
    sshkey : path-like, optional
        A private key, tried after those of ``~/.ssh/config``; left out, the agent's keys and the usual files are tried.
    password : str, optional
        Password of the user there, or passphrase of the key; it is handed on through a pipe. Left out, you are asked
        for it, on a terminal or in a notebook.
    timeout : float
        Seconds to wait for the controller's answer.

    Attributes
    ----------
    block : bool
        Whether calls wait for their results, unless a view or a call says otherwise. False at first.

    Raises
    ------
    ConnectionFileError
        When there is no connection file or key, or it is damaged; says where it was looked for.
    ControllerUnreachable
        When no controller answers in time.
    AuthenticationError
        When the controller refuses the key.
    ValueError
        When `sshbackend` is not one of these.

    Examples
    --------
    >>> rc = Client()
    >>> rc.ids
    {0, 1, 2, 3}
    >>> rc.apply(sum, ([1, 2],), block=True)
    {0: 3, 1: 3, 2: 3, 3: 3}
    """

    __slots__ = ("__weakref__", "_core", "_owner", "_targets", "_tunnel", "_watcher", "block")

    def __init__(
        self,
        path_or_url: str | os.PathLike[str] | None = None,
        *,
        cluster: str | None = None,
        profile: str | None = None,
        key: str | os.PathLike[str] | None = None,
        sshserver: str | None = None,
        sshbackend: str | None = None,
        sshkey: str | os.PathLike[str] | None = None,
        password: str | None = None,
        timeout: float = 10,
    ) -> None:
        self._tunnel: Tunnel | None = None
        if sshserver is not None:
            self._core, self._tunnel = through_ssh(
                path_or_url, cluster, profile, key, sshserver, sshbackend, sshkey, password, timeout
            )
        elif sshbackend is not None or sshkey is not None or password is not None:
            raise TypeError("sshbackend=, sshkey= and password= go with sshserver='user@host'")
        else:
            self._core = connect(path_or_url, cluster, profile, key, timeout)
        self._owner: object = None
        self._targets: Targets = "all"
        self._watcher = Watcher(self._core)
        # Its thread holds the connection, which is to end with this object.
        weakref.finalize(self, self._core.stop_watching).atexit = False
        self.block = False
        _offer_magics(self)

    # -- engines ------------------------------------------------------------------------------------------------

    @property
    def targets(self) -> Any:
        """The engines of calls that name none: ``"all"`` at first, also those that come later. Takes any index.

        Then it is an id, or a list of ids: ``rc.targets = -1`` makes calls act, and answer, as those of ``rc[-1]``.
        """
        return list(self._targets) if isinstance(self._targets, list) else self._targets

    @targets.setter
    def targets(self, value: Targets) -> None:
        # `all` may be said before there are engines; anything else is refused here, where the mistake is.
        if isinstance(value, str) and value == "all":
            self._targets = "all"
            return
        chosen, single = resolve(value, self._live())
        self._targets = chosen[0] if single else chosen

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
        """A view of chosen engines: the same as indexing, with ``"all"`` for all of them.

        Parameters
        ----------
        targets : optional
            Engines.

        Returns
        -------
        DirectView
        """
        chosen, single = resolve(targets, self._live())
        return DirectView(self, chosen, single)

    def load_balanced_view(self, targets: Targets = None, *, duration: float | None = None) -> LoadBalancedView:
        """A view whose calls each run on one engine, the one with least to do.

        Parameters
        ----------
        targets : optional
            The engines to choose from; None is all that there are when a call is placed.
        duration : float, optional
            How many seconds each call will take at most, for engines whose time ends, as that of a job does: none is
            given a call that it would not finish. Left out, an engine gets no more calls when its end draws near.

        Returns
        -------
        LoadBalancedView

        Raises
        ------
        ValueError
            When `duration` is negative or not finite.
        """
        view = LoadBalancedView(self, None if targets is None else self._ids(targets))
        view.duration = duration
        return view

    # -- functions ----------------------------------------------------------------------------------------------

    def apply(
        self,
        f: Callable[..., Any] | str,
        /,
        args: tuple[Any, ...] | list[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        bound: bool = False,
        targets: Targets | Own = OWN,
        block: bool | None = None,
    ) -> Any:
        """Call ``f(*args, **kwargs)`` on engines, or run a text.

        Parameters
        ----------
        f : callable or str
            A text is executed as by `execute`.
        args : tuple or list
            Positional arguments.
        kwargs : dict, optional
            Keyword arguments.
        bound : bool
            The globals of `f` are the engine's namespace; otherwise it does not see that.
        targets : optional
            Engines; None is the one with least to do.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        object, dict or AsyncResult

        Raises
        ------
        TypeError
            When `f` is neither, or the arguments are not a tuple and a dictionary.
        """
        if not isinstance(args, tuple | list):
            raise TypeError(f"args is a tuple or a list, not {type(args).__name__}: apply(f, args=(x,))")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise TypeError(f"kwargs is a dictionary, not {type(kwargs).__name__}")
        if targets is None and not isinstance(f, str):
            view = self.load_balanced_view()
            return self._done(view._apply(f, tuple(args), kwargs or {}, bound), block)
        return self._done(self._apply(f, tuple(args), kwargs or {}, targets, bound), block)

    def map(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        targets: Targets | Own = OWN,
        block: bool | None = None,
    ) -> Any:
        """Call `f` on each element and wait for all of them, like the builtin, unless ``block=False``.

        Otherwise as `DirectView.map`.
        """
        return super().map(f, *sequences, targets=targets, block=block is None or block)

    def remote(self, *, targets: Targets | Own = None, block: bool | None = None) -> Callable[..., RemoteFunction]:
        """Decorator: calling the function runs it on one engine, the one with least to do, or on `targets`.

        Otherwise as `DirectView.remote`.
        """
        return super().remote(targets=targets, block=block)

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
        ValueError
            When `n` is negative.
        """
        if n < 0:
            raise ValueError(f"n must not be negative: {n}")
        if not self._core.wait_for_engines(n, timeout):
            raise errors.TimeoutError(
                f"{len(self)} of {n} engines are there after {timeout:g} s",
                hint="`ipclusterz status` shows the engines, `ipclusterz logs` what they wrote",
            )

    def barrier(
        self, jobs: AsyncResult | str | Iterable[AsyncResult | str] | None = None, timeout: float | None = None
    ) -> None:
        """Wait until calls have all their answers.

        Parameters
        ----------
        jobs : AsyncResult, str, or iterable of these, optional
            Results or message ids (``ar.msg_ids``). Left out, everything that this client has submitted.
        timeout : float, optional
            Seconds to wait; for ever when left out. Ctrl-C ends the wait and leaves the work running.

        Raises
        ------
        ipclusterz.TimeoutError
            When not all of them are ready in time; says how many are not.
        ValueError
            When a message id is none of this client's.

        Examples
        --------
        >>> results = [rc[:].apply_async(abs, -i) for i in range(10)]
        >>> rc.barrier(results, timeout=10)
        """
        results, ids = _jobs(jobs)
        deadline = None if timeout is None else monotonic() + timeout

        def left() -> float | None:
            return None if deadline is None else max(0.0, deadline - monotonic())

        # First, so that an id that is none is refused before anything is waited for.
        done = not (jobs is None or ids) or self._core.wait_requests(None if jobs is None else ids, left())
        late = sum(not result.wait(left()) for result in results)
        if late:
            raise errors.TimeoutError(f"{late} of {len(results)} results are not ready after {timeout:g} s")
        if not done:
            raise errors.TimeoutError(f"not all of what was submitted is ready after {timeout:g} s")

    # -- control ------------------------------------------------------------------------------------------------

    def abort(self, jobs: AsyncResult | Iterable[AsyncResult] | None = None, targets: Targets | Own = OWN) -> None:
        """Give up calls that no engine has started; what runs goes on.

        Parameters
        ----------
        jobs : AsyncResult or iterable of AsyncResult, optional
            The calls. Left out, all that this client has waiting.
        targets : optional
            Only those waiting on these engines, for when `jobs` is left out; ``"all"`` includes those that wait for a
            free engine. Left out, the client's `targets`.

        Raises
        ------
        TypeError
            When `jobs` are no results, or both are given.
        """
        if jobs is None:
            chosen = self._targets if targets is OWN else targets
            everywhere = isinstance(chosen, str) and chosen == "all"
            self._core.abort_all(None if everywhere else self._choose(chosen)[0])
            return
        if targets is not OWN:
            raise TypeError("results have engines of their own: give jobs or targets, not both")
        results, ids = _jobs(jobs)
        if ids:
            raise TypeError(f"results are aborted, not message ids: {ids[0]!r:.80}")
        for result in results:
            result.abort()

    def interrupt(self, targets: Targets | Own = OWN) -> None:
        """Raise KeyboardInterrupt in the code that engines run now; their namespaces survive.

        Parameters
        ----------
        targets : optional
            The engines; the client's `targets` when left out.
        """
        self._core.interrupt(self._choose(targets)[0])

    def shutdown(self, targets: Targets | Own = OWN, *, controller: bool = False) -> None:
        """End engines, or the whole cluster.

        Parameters
        ----------
        targets : optional
            The engines; the client's `targets` when left out.
        controller : bool
            End all engines and the controller too, and close this client.

        Raises
        ------
        ValueError
            When the controller is to end but only some engines are named.
        """
        if controller:
            if targets is not OWN and not (isinstance(targets, str) and targets == "all"):
                raise ValueError("the controller cannot end while engines go on: leave targets out")
            self._core.shutdown(None)
            self.close()
            return
        self._core.shutdown(self._choose(targets)[0])

    def retire(self, targets: Targets) -> None:
        """End engines once they have done what they were given; returns at once.

        They get nothing new: load-balanced calls that they have not begun go to other engines, and a call to one of
        them by its id is refused with `RejectedError`. Calls to them that were made before this one are done.

        Parameters
        ----------
        targets
            The engines.

        Examples
        --------
        >>> with Cluster(n=2) as small:
        ...     results = small[None].map_async(abs, range(-4, 0))
        ...     small.retire(1)
        ...     results.get()
        [4, 3, 2, 1]
        """
        self._core.retire(self._ids(targets))

    def status(self, timeout: float = 10) -> dict[str, Any]:
        """What the controller knows: its engines with their queues and memory, and its own.

        Parameters
        ----------
        timeout : float
            Seconds to wait for the answer.

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
        if self._tunnel is not None:
            self._tunnel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return "<Client: closed>"
        try:
            engines = len(self)
        except errors.ControllerUnreachable:
            return f"<Client: cluster {self.cluster!r} at {self._core.address}, which has ended or cannot be reached>"
        return f"<Client: cluster {self.cluster!r} at {self._core.address}, {engines} engine{'s' * (engines != 1)}>"

    def _live(self) -> list[int]:
        if self._core.closed:
            raise errors.ClientClosed("this client is closed", hint="make a new Client()")
        return self._core.engine_ids()

    @property
    def _owner_client(self) -> Client:
        return self

    def _choose(self, targets: Targets | Own) -> tuple[list[int], bool]:
        return resolve(self._targets if targets is OWN else targets, self._live())  # type: ignore[arg-type]

    def _ids(self, targets: Targets) -> list[int]:
        return resolve(targets, self._live())[0]


def _jobs(jobs: AsyncResult | str | Iterable[AsyncResult | str] | None) -> tuple[list[AsyncResult], list[str]]:
    results: list[AsyncResult] = []
    ids: list[str] = []
    several: Iterable[Any]
    if jobs is None:
        several = ()
    elif isinstance(jobs, AsyncResult | str) or not hasattr(jobs, "__iter__"):
        several = (jobs,)
    else:
        several = jobs
    for job in several:
        if isinstance(job, AsyncResult):
            results.append(job)
        elif isinstance(job, str):
            ids.append(job)
        else:
            raise TypeError(f"results or message ids are needed, not {type(job).__name__}: {job!r:.80}")
    return results, ids


def _offer_magics(client: Client) -> None:
    """At an IPython prompt, ``%px`` works without further ado; elsewhere IPython is not even imported."""
    if "IPython" in sys.modules:
        from .magics import load_default

        load_default(client)
