"""Views: a choice of engines and the calls that can be made on them.

`View` is what all views share, `DirectView` the view of engines that were chosen by id; its calls are in `direct`. The
load-balanced one is in `balanced`.
"""

from __future__ import annotations

from ..shared import names
from .about import checked_label
from .direct import DirectCalls
from .functions import pack
from .signals import number_of, tell
from .tables import numbers, table
from .targets import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .asyncresult import AsyncResult
    from .connection import Connection
    from .executor import ViewExecutor
    from .remote import Parts
    from .targets import Own, Targets
    from .terms import Jobs

__all__ = ["DirectView", "View"]


class View:
    """What every view has: its client and its way of waiting. Made by clients.

    Attributes
    ----------
    client : Client
        The client that made it.
    bound : bool
        Whether `apply` lets functions see the engine's namespace, as `apply_bound` does. False at first.
    """

    __slots__ = ("__weakref__", "_block", "_core", "_label", "_quiet", "bound", "client")

    if TYPE_CHECKING:

        @property
        def targets(self) -> Any: ...

    def __init__(self, client: Connection) -> None:
        self.client = client
        self._core = client._core
        self._block: bool | None = None
        self._quiet: bool | None = None
        self._label: str | None = None
        self.bound = False

    @property
    def block(self) -> bool:
        """Whether calls wait for their results; the client's ``block`` until it is set here."""
        own = self._block
        return self.client.block if own is None else own

    @block.setter
    def block(self, value: bool | None) -> None:
        self._block = value

    @property
    def quiet(self) -> bool:
        """Do not show what functions write while somebody waits; the client's ``quiet`` until it is set here."""
        own = self._quiet
        return self.client.quiet if own is None else own

    @quiet.setter
    def quiet(self, value: bool | None) -> None:
        self._quiet = value

    @property
    def label(self) -> str | None:
        """What tasks are called in `Client.db_query` and ``ipclusterz tasks``; None: by the function's own name.

        Raises
        ------
        TypeError
            When it is set to something that is no text.

        Examples
        --------
        >>> view = rc[0]
        >>> view.label = "first step"
        >>> ar = view.apply_async(abs, -1)
        >>> ar.wait(10), rc.db_query(msg_id=ar.msg_id)[0]["name"]
        (True, 'first step')
        """
        return self._label

    @label.setter
    def label(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"a label is a text or None, not {type(value).__name__}: {value!r:.80}")
        self._label = None if value is None else checked_label(value)

    def _packed(self, f: Callable[..., Any], *, bound: bool = False, mapped: bool = False) -> tuple[bytes, bytes]:
        """A function as it is sent."""
        return pack(f, bound=bound, mapped=mapped)

    @property
    def executor(self) -> ViewExecutor:
        """A `concurrent.futures.Executor` whose workers are the engines of this view.

        Examples
        --------
        >>> with rc[:].executor as executor:
        ...     list(executor.map(abs, [-1, 2]))
        [1, 2]
        """
        # Only imported by who uses it.
        from .executor import ViewExecutor

        return ViewExecutor(self._workers())

    def register_joblib_backend(self, name: str = "ipclusterz", make_default: bool = False) -> None:
        """Let joblib run on the engines of this view: ``joblib.parallel_backend(name)``.

        Parameters
        ----------
        name : str
            What to call it.
        make_default : bool
            Use it where no backend is named.

        Raises
        ------
        ImportError
            When joblib is not installed.
        """
        # joblib is optional.
        from .backend import register

        register(self._workers(), name, make_default)

    def barrier(
        self, jobs: AsyncResult | str | Iterable[AsyncResult | str] | None = None, timeout: float | None = None
    ) -> None:
        """Wait until calls have all their answers; see `Client.barrier`."""
        self.client.barrier(jobs, timeout)

    # -- inside -------------------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        return table(type(self).__name__, self._rows)

    def _rows(self) -> list[tuple[str, object]]:
        chosen = self.targets
        return [
            ("engines", "all" if chosen is None else numbers(chosen)),
            ("cluster", self.client._core.cluster),
            ("block", self.block),
        ]

    def _view_of(self, targets: Targets | Own) -> Any:
        if targets is OWN:
            return self
        view = self.client._view_of(targets)
        view.quiet, view.label = self._quiet, self._label
        return view

    def _workers(self) -> Any:
        """The load-balanced view of these engines."""
        raise NotImplementedError


class DirectView(View, DirectCalls):
    """Calls on chosen engines: each of them runs what is sent.

    Made by indexing a client: ``rc[0]``, ``rc[:]``, ``rc[1:3]``, ``rc[0, 2]``. The engines are those that the index
    meant at that moment; of ``rc["all"]``, all that there are at each call. A name on the engines is an item of the
    view: ``view["a"] = 5``, ``view["a"]``, ``"a" in view``, ``del view["a"]``.

    Examples
    --------
    >>> dview = rc[:]
    >>> dview.block = True
    >>> dview["a"] = 5
    >>> dview.apply_bound(lambda x: a + x, 27)
    {0: 32, 1: 32, 2: 32, 3: 32}
    """

    __slots__ = ("_chosen", "_single")

    def __init__(self, client: Connection, targets: Targets) -> None:
        super().__init__(client)
        self.targets = targets

    @property
    def targets(self) -> Any:
        """The engines: a list of ids. Takes whatever a client can be indexed with."""
        return list(self._targets)

    @targets.setter
    def targets(self, value: Targets) -> None:
        chosen, self._single = self.client._resolve(value)
        # None: all that there are, whenever that is asked.
        self._chosen = None if isinstance(value, str) and value == "all" else chosen

    @property
    def _targets(self) -> list[int]:
        return self.client._resolve("all")[0] if self._chosen is None else self._chosen

    def __len__(self) -> int:
        return len(self._targets)

    def __repr__(self) -> str:
        if self._chosen is None:
            return "<DirectView of all engines>"
        return f"<DirectView of engine{'s' if not self._single else ''} {', '.join(map(str, self._chosen))}>"

    # -- functions ----------------------------------------------------------------------------------------------

    def apply(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(*args, **kwargs)`` on each engine, away from the engine's namespace.

        Parameters
        ----------
        f : callable
            Runs with the globals and closure that it has here; a `Reference` is the engine's own function. A text is
            run as by `execute`.
        *args, **kwargs
            Its arguments. Arrays travel as buffers, without a copy by pickle. A `Reference` is the engine's own object.

        Returns
        -------
        object
            The value or a dictionary of values when `block` is set, else an `AsyncResult`.

        Raises
        ------
        TypeError
            When `f` cannot be called.
        SerializationError
            When `f` or an argument cannot travel; names it.
        RemoteError, EngineError, CompositeError
            When waiting: what the engines raised.
        """
        return self._done(self._apply(f, args, kwargs, OWN, self.bound), None)

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Like `apply`, and never waits."""
        return self._apply(f, args, kwargs, OWN, self.bound)

    def apply_sync(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like `apply`, and always waits."""
        return self._done(self._apply(f, args, kwargs, OWN, self.bound), True)

    def apply_bound(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like `apply`, but the globals of `f` are the engine's namespace, for reading and for writing.

        Globals of the client neither travel nor hide the engine's. Functions of installed modules keep their module's.
        """
        return self._done(self._apply(f, args, kwargs, OWN, True), None)

    # -- the namespace as a dictionary --------------------------------------------------------------------------

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a name on each engine, and wait for it."""
        self.push({name: value}, block=True)

    def __getitem__(self, name: str | tuple[str, ...]) -> Any:
        """The value of a name, or of an expression as ``model.weights``, on each engine; always waits."""
        return self.pull(name, block=True)

    def __delitem__(self, name: str) -> None:
        """Delete a name on each engine, and wait for it; a `KeyError` where it is not there."""
        self._on_engine(names.delete, (_name(name),), OWN, True)

    def __contains__(self, name: object) -> bool:
        """Whether the name is there on every engine."""
        found = self._on_engine(names.contains, (_name(name),), OWN, True)
        return all(found.values()) if isinstance(found, dict) else found

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name on each engine, or `default` where it is not there; always waits.

        Parameters
        ----------
        name : str
            The name.
        default : object
            Must be able to travel to the engines.

        Returns
        -------
        object, or dict of objects
        """
        return self._on_engine(names.get, (_name(name), default), OWN, True)

    def update(self, ns: dict[str, Any]) -> None:
        """Set names on each engine, and wait for it.

        Parameters
        ----------
        ns : dict
            Names and values.
        """
        self.push(ns, block=True)

    # -- IPython ------------------------------------------------------------------------------------------------

    def activate(self, suffix: str = "") -> None:
        """Make this the view of the magics ``%px``, ``%%px``, ``%autopx``, ``%result`` and ``%pxconfig``.

        Parameters
        ----------
        suffix : str
            Appended to their names, so that several views can have magics: ``rc[0].activate("0")`` makes ``%px0``.

        Raises
        ------
        RuntimeError
            When this is not IPython.
        """
        # IPython is optional.
        from .magics import activate

        activate(self, suffix)

    # -- control ------------------------------------------------------------------------------------------------

    def abort(
        self, jobs: Jobs | None = None, *, all_clients: bool = False, interrupt: bool = False, force: bool = False
    ) -> None:
        """Give up calls of this client that wait on these engines; what runs goes on, unless it is to be interrupted.

        Parameters
        ----------
        jobs : AsyncResult, str, or iterable of these, optional
            Results or message ids, as for `Client.abort`. Left out, all calls on these engines.
        all_clients : bool
            Also the calls of all other clients.
        interrupt : bool
            Also raise KeyboardInterrupt in those of the calls that run.
        force : bool
            Also end the engines on which they run.
        """
        if jobs is not None:
            self.client.abort(jobs, all_clients=all_clients, interrupt=interrupt, force=force)
        else:
            self._core.abort_all(self._targets, all_clients, interrupt or force, force)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the code that these engines run now; their namespaces survive."""
        self._core.interrupt(self._targets)

    def send_signal(self, sig: int | str, *, block: bool = True) -> None:
        """Send a signal to the processes of these engines, also while they are busy; see `Client.send_signal`.

        Parameters
        ----------
        sig : int or str
            The signal: ``signal.SIGUSR1``, 10 or ``"SIGUSR1"``.
        block : bool
            Wait until the engines have it, for 5 s at most.
        """
        tell(self._core, number_of(sig), self._targets, block, self.client.status)

    def shutdown(self) -> None:
        """End these engines."""
        self._core.shutdown(self._targets)

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def _owner_client(self) -> Connection:
        return self.client

    def _choose(self, targets: Targets | Own) -> tuple[list[int], bool]:
        if targets is OWN:
            return self._targets, self._single
        return self.client._resolve(targets)  # type: ignore[arg-type]

    def _workers(self) -> Any:
        workers = self.client._balanced(self._chosen)
        workers.quiet, workers.label = self._quiet, self._label
        return workers

    def _map(self, f: Callable[..., Any], sequences: Any, _chunksize: int | None, **options: bool) -> Any:
        return self.map(f, *sequences, **options)

    def _parts(self, length: int, _dist: str, _chunksize: int | None) -> Parts:
        return [[engine_id] for engine_id in self._targets[:length]], {}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"names are strings, not {type(name).__name__}: {name!r:.80}")
    return name
