"""The client: opens a connection to a controller, and makes the views of its engines.

Waiting, control and the connection's end are in `connection`, calls on chosen engines in `direct`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import weakref

from ..error import IpclusterzError, UnknownEngine
from ..shared.own import here
from .balanced import LoadBalancedView
from .becoming import Becoming
from .connect import connect, through_ssh
from .direct import DirectCalls
from .leaving import has_ended, say
from .past import Past
from .sessions import checked_name
from .targets import OWN
from .view import DirectView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, overload

    from ..shared.uploads import Uploaded
    from .remote import RemoteFunction
    from .targets import Own, Targets

__all__ = ["Client"]


class Client(Past, Becoming, DirectCalls):
    """A connection to a running cluster.

    Every method with ``targets=`` does what the view ``rc[targets]`` does by its method of that name.

    A connection to another host may break and come back, as through a tunnel: for a day (``session_grace`` of
    the profile's ``[controller]``) the controller keeps what the client has under way, engines go on with it, and calls
    wait, and say so. Then all of it is lost, with `EngineError`.

    Parameters
    ----------
    path_or_url : path-like or str, optional
        A connection file, or the address of a controller: ``tcp://host:port`` or ``ipc:///path``.
    cluster : str, optional
        Name of a cluster. With none of these, it is the one that the variable ``IPCLUSTERZ_CLUSTER`` names, else the
        default cluster, or the only one there is. On an engine it is the engine's own; see also `worker_client`.
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
    quiet : bool
        The attribute `quiet` at first.
    session : str, optional
        The name of a session to go on with, or to begin: up to 64 letters, digits, ``_``, ``.`` and ``-``. What is
        submitted in it goes on when the client ends, however that happens, and its results wait for whoever comes with
        this name next (``controller.keep_results``: a day). One client has it at a time: a second one takes it over,
        and the first gets `SessionTaken`. Left out, the session has a name of its own, and ends with the client,
        unless that vanishes without closing.

    Attributes
    ----------
    block : bool
        Whether calls wait for their results, unless a view or a call says otherwise. False at first.
    quiet : bool
        Do not show what functions write on engines while somebody waits for them, unless a view or a call says
        otherwise.

    Raises
    ------
    ConnectionFileError
        When there is no connection file or key, or it is damaged; says where it was looked for.
    ControllerUnreachable
        When no controller answers in time.
    AuthenticationError
        When the controller refuses the key.
    ValueError
        When `sshbackend` is not one of these, or `session` is no name.
    HistoryError
        When `session` is given, and the cluster keeps no history.

    Examples
    --------
    >>> rc = Client()
    >>> rc.ids
    {0, 1, 2, 3}
    >>> rc.apply(sum, ([1, 2],), block=True)
    {0: 3, 1: 3, 2: 3, 3: 3}
    """

    __slots__ = ()

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
        quiet: bool = False,
        session: str | None = None,
    ) -> None:
        tunnel = None
        named = None if session is None else checked_name(session)
        if sshserver is not None:
            core, tunnel = through_ssh(
                path_or_url, cluster, profile, key, sshserver, sshbackend, sshkey, password, timeout, named
            )
        elif sshbackend is not None or sshkey is not None or password is not None:
            raise TypeError("sshbackend=, sshkey= and password= go with sshserver='user@host'")
        else:
            core = connect(path_or_url, cluster, profile, key, timeout, named)
        if here() is not None:
            # Start-up: this is for clients in tasks.
            from .nested import nested

            core = nested(core)
        super().__init__(core, tunnel, named)
        self.quiet = quiet
        if path_or_url is not None and "://" not in (file := os.fspath(path_or_url)):
            self._file = os.path.expanduser(file)
        if named is not None and (of := core.session) is not None and of[3] is not None and not has_ended(of[3]):
            say(f"session {named!r} is taken over from {of[3]}")
        _offer_magics(self)

    # -- views --------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[DirectView]:
        """A view of each engine."""
        for engine_id in self._live():
            yield DirectView(self, engine_id)

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
        """A view of chosen engines: the same as indexing, with ``"all"`` for all that there are at each call.

        Parameters
        ----------
        targets : optional
            Engines. Those of ``rc[:]`` are the ones that there are now.

        Returns
        -------
        DirectView
        """
        return DirectView(self, targets)

    def broadcast_view(self, targets: Targets = "all") -> DirectView:
        """The same as `direct_view`, which sends what goes to several engines once."""
        return self.direct_view(targets)

    def group(self, name: str) -> DirectView:
        """A view of the engines of a group, as the profile of a cluster in a queue names them (``batch.groups``).

        Its ``targets`` are for other views: ``rc.load_balanced_view(rc.group("big").targets)``.

        Parameters
        ----------
        name : str
            The group.

        Returns
        -------
        DirectView

        Raises
        ------
        UnknownEngine
            When no engine of that group is there.
        ControllerUnreachable
            When the controller does not answer.
        """
        groups: dict[str, list[int]] = {}
        for engine in self.status()["engines"]:
            if "group" in engine:
                groups.setdefault(engine["group"], []).append(engine["id"])
        if name not in groups:
            there = f"there are some of {', '.join(sorted(groups))}" if groups else "engines here are of no group"
            hint = f"{there}; batch.groups of a profile makes groups"
            raise UnknownEngine(f"there is no engine of group {name!r}", hint)
        return self.direct_view(groups[name])

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
        view = self._balanced(None if targets is None else self._ids(targets))
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
        if not isinstance(args, (tuple, list)):
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
        return_exceptions: bool = False,
        quiet: bool | None = None,
    ) -> Any:
        """Call `f` on each element and wait for all of them, like the builtin, unless ``block=False``.

        Otherwise as `DirectView.map`.
        """
        waits = block is None or block
        options: dict[str, Any] = {"return_exceptions": return_exceptions, "quiet": quiet}
        return super().map(f, *sequences, targets=targets, block=waits, **options)

    def remote(self, *, targets: Targets | Own = None, block: bool | None = None) -> Callable[..., RemoteFunction]:
        """Decorator: calling the function runs it on one engine, the one with least to do, or on `targets`.

        Otherwise as `DirectView.remote`.
        """
        return super().remote(targets=targets, block=block)

    # -- files --------------------------------------------------------------------------------------------------

    def upload(self, path: str | os.PathLike[str]) -> Uploaded:
        """Put a file, folder, wheel or zip file on every host once, first on the `sys.path` of its engines.

        Engines that come later have it before they do anything else, also on other hosts. Uploading it again replaces
        it: engines that have imported it forget that, and import it anew. It stays until the cluster ends.

        Parameters
        ----------
        path : str or os.PathLike
            A module (``.py``), a package (a folder with ``__init__.py``), a folder of modules, a wheel or zip file of
            these, or any other file or folder: code on the engines finds it with `ipclusterz.uploaded`. Wheels and zip
            files are unpacked. Of folders, ``__pycache__``, ``.git`` and the like, and virtual environments stay here.

        Returns
        -------
        Uploaded
            With ``name``, ``files``, ``bytes``, ``modules`` and ``places``, which is a dictionary from the name of a
            host to the path there.

        Raises
        ------
        FileNotFoundError, PermissionError
            When it is not there, or cannot be read.
        ValueError
            When it is neither a file nor a folder, is larger than 1 GiB, is no good wheel or zip file, or would hide a
            module of Python from the engines.
        NoEnginesRegistered
            When there is no engine.
        CompositeError
            When it cannot be written on a host, is a wheel for another Python, or replaces modules that cannot be
            imported twice because they are written in C.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "greeting_of_mine.py")
        ...     _ = file.write_text("text = 'hello'")
        ...     rc.upload(file).modules
        ('greeting_of_mine',)
        >>> rc[0].execute("import greeting_of_mine; greeting_of_mine.text", block=True).result
        "'hello'"
        """
        # Start-up: few clients upload.
        from .uploads import upload

        return upload(self, path)

    # -- IPython ------------------------------------------------------------------------------------------------

    def activate(self, suffix: str = "") -> None:
        """Give ``%px`` and the other magics to this client; see `DirectView.activate`.

        A new client has them by itself, unless they were given to another one that is open. When that one is closed or
        its cluster has ended, they go back to the one before.
        """
        # IPython is optional.
        from .magics import activate

        activate(self, suffix)

    # -- inside -------------------------------------------------------------------------------------------------

    # Labels are those of views.
    _label = None

    @property
    def _owner_client(self) -> Client:
        return self

    def _balanced(self, engines: list[int] | None) -> LoadBalancedView:
        return LoadBalancedView(self, engines)

    def _view_of(self, targets: Targets | Own) -> DirectView | LoadBalancedView:
        return self[self.targets if targets is OWN else targets]  # type: ignore[index]


def _offer_magics(client: Client) -> None:
    """At an IPython prompt, ``%px`` works without further ado; elsewhere IPython is not even imported."""
    if "IPython" in sys.modules:
        # IPython is optional.
        from IPython import get_ipython

        from .magics import load_default

        load_default(client)
        if getattr(get_ipython(), "kernel", None) is not None:
            _of_this_kernel.add(client)


_of_this_kernel: weakref.WeakSet[Client] = weakref.WeakSet()
"""The clients of a notebook's kernel."""


@atexit.register
def _end_of_kernel() -> None:
    """A kernel that is restarted takes along what it has waiting, but for sessions with names."""
    for client in [client for client in _of_this_kernel if client._named is None]:
        with contextlib.suppress(IpclusterzError):
            client._core.abort_all(None, False, False)
