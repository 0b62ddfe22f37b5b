"""A cluster around a block of code: start engines, here or wherever a profile says, connect, stop them.

All work is the `ipclusterz` command's, which `starting` runs as a child process; the cluster ends with the Python
process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
import weakref
from collections.abc import Mapping

from .client.client import Client
from .client.controls import Controls, RunningCluster, running
from .client.tables import numbers, table
from .error import ClusterError, IpclusterzError
from .shared.own import ENGINE_FILE
from .starting import Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any

__all__ = ["Cluster"]


class Cluster(Controls):
    """A controller and engines that live as long as a block, or until `stop`.

    It starts whatever ``ipclusterz start`` can: engines on this host, or on others by any profile. A start that takes
    long, as in a queue, shows on ``sys.stderr`` what it waits for; Ctrl-C, or a notebook's stop button, gives it up and
    ends what was started.

    Parameters
    ----------
    n : int, optional
        Number of engines; as many as there are cores for this process when left out, unless the profile or the
        environment says how many. With 0 there is a controller, and engines come later: by `start_engines`, or by hand.
    cluster : str, optional
        Name of the cluster; a name that nobody else uses when left out.
    profile : str or path-like, optional
        Name of a profile (``ipclusterz profile list`` shows them), or a ``.toml`` file.
    engines : str, int or mapping, optional
        What starts the engines: ``"local"``, ``"ssh"``, ``"mpi"`` (or ``"mpiexec"``), ``"batch"`` (the queue of the
        profile), or a queue by its name, ``"slurm"``, ``"pbs"``, ``"sge"``, ``"lsf"`` or ``"htcondor"``: the shipped
        profile of that name, if no profile is given. Or their number, or keys of the profile's table ``[engines]``.
    python : path-like, optional
        Python of the engines; left out, the profile's, else this one.
    listen : str, optional
        ``host:port`` to listen on with TCP as well, encrypted; port 0 is a free one.
    timeout : float, optional
        Seconds until all engines must be there, counted from when their processes or jobs have started; left out, as
        the profile says: 60, if nothing else.
    resume : bool
        Take up the journal that an earlier cluster of that name has left: what is to be done in it is done, and
        sessions with names have their results.
    discard : bool
        Drop the journal that an earlier cluster of that name has left.
    **settings
        Further keys of the profile, stronger than what it says: a table with its keys
        (``batch={"partition": "gpu"}``), a key that only one table has (``partition="gpu"``), or a key with its path
        (``**{"batch.partition": "gpu"}``). None leaves a key as it is.

    Raises
    ------
    ClusterError
        By `start` and ``with``: the command was not found, it refuses a setting, or the engines did not start; with the
        end of what they wrote.
    JournalLeft
        By `start` and ``with``: an earlier cluster of that name has left work, and neither ``resume`` nor ``discard``
        is set.
    TypeError
        By `start` and ``with``: a value that no profile can have.
    ValueError
        When both ``resume`` and ``discard`` are set.

    Examples
    --------
    >>> with Cluster(n=2) as rc:
    ...     rc[:].apply_sync(abs, -1)
    {0: 1, 1: 1}
    >>> with Cluster(n=1, env={"GREETING": "hello"}, engines={"restart": True}) as rc:
    ...     rc[0].apply_sync(lambda: __import__("os").environ["GREETING"])
    'hello'
    >>> async def main():
    ...     async with Cluster(n=2) as rc:
    ...         return await rc[:].apply_async(abs, -1)
    >>> import asyncio
    >>> asyncio.run(main())
    [1, 1]
    """

    def __init__(
        self,
        n: int | None = None,
        *,
        cluster: str | None = None,
        profile: str | os.PathLike[str] | None = None,
        engines: str | int | Mapping[str, Any] | None = None,
        python: str | os.PathLike[str] | None = None,
        listen: str | None = None,
        timeout: float | None = None,
        resume: bool = False,
        discard: bool = False,
        **settings: Any,
    ) -> None:
        if resume and discard:
            raise ValueError(
                "resume=True and discard=True exclude each other: the journal is taken up, or it is dropped"
            )
        self._journal = ["--resume"] if resume else ["--discard"] if discard else []
        self.name = cluster if cluster is not None else f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.profile = None if profile is None else os.fspath(profile)
        self.report: dict[str, Any] = {}
        self._unknown = _unknown(engines)
        if isinstance(engines, str):
            if engines in _QUEUES and self.profile is None:
                self.profile, engines = engines, None
            else:
                engines = _LAUNCHERS.get(engines, engines)
        self._settings = [
            *settings.items(),
            (_MEANING.get(type(engines), "engines"), engines),
            ("engines.count", n),
            ("engines.python", None if python is None else os.fspath(python)),
            ("controller.listen", listen),
            ("engines.timeout", timeout),
        ]
        self._start: Start | None = None
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()
        self._unwanted = False
        self._process_id = os.getpid()

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> Cluster:
        """Start the controller and the engines, and wait until they are ready.

        Returns
        -------
        Cluster
            Itself, so that ``Cluster(n=2).start().connect_client()`` can be written.
        """
        if self.running:
            raise ClusterError(f"cluster {self.name!r} is running already")
        if ENGINE_FILE in os.environ and (module := _imported_module()):
            raise ClusterError(
                f"cluster {self.name!r} is not started: this process is an engine, or was started by one, and "
                f"{module} starts a cluster when it is imported",
                hint='put the start into a function, or under: if __name__ == "__main__":',
            )
        if self._unknown:
            raise ClusterError(
                f"cluster {self.name!r} could not be started: {self._unknown}",
                hint="`ipclusterz profile list` shows profiles, which say the rest: Cluster(profile='NAME')",
            )
        options = ["--default-python", sys.executable, *self._journal]
        if self.profile is not None:
            options += ["--profile", self.profile]
        self._start = start = Start(self.name, options, self._settings)
        try:
            if self._unwanted:
                raise ClusterError(f"starting cluster {self.name!r} was given up")
            self.report = start.report()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the clients made here, end the engines and the controller, and wait until they are gone.

        In a child that was forked off it does nothing: the cluster is its parent's.
        """
        if self._is_forked:
            return
        for client in list(self._clients):
            client.close()
        self._clients.clear()
        if self._start is not None:
            self._start.end()
        self._start = None
        self._unwanted = False

    @classmethod
    def from_file(cls, cluster: str | os.PathLike[str]) -> RunningCluster:
        """The controls of a cluster that runs already, whoever has started it; its `stop` ends it.

        Parameters
        ----------
        cluster : str or path-like
            The cluster's name, or the path of its connection file for clients.

        Returns
        -------
        RunningCluster
            With `connect_client`, `start_engines`, `stop_engines`, `restart_engines`, `signal_engines`, `scale` and
            `stop`.

        Raises
        ------
        ConnectionFileError
            When there is no such cluster or file.

        Examples
        --------
        >>> started = Cluster(n=1).start()
        >>> cluster = Cluster.from_file(started.name)
        >>> cluster.scale(2)
        [0, 1]
        >>> with cluster.connect_client() as client:
        ...     client.ids
        {0, 1}
        >>> cluster.stop()
        """
        return running(cluster, Client)

    @property
    def n(self) -> int:
        """Number of engines that were ready when the cluster had started; 0 before."""
        return len(self.report.get("engines", ()))

    @property
    def running(self) -> bool:
        """Whether the cluster was started and has not ended.

        Raises
        ------
        ClusterError
            In a child that was forked off.
        """
        if self._is_forked:
            raise ClusterError(
                f"cluster {self.name!r} belongs to process {self._process_id}, of which this one is a fork",
                hint=f"connect to it from here with Client(cluster={self.name!r})",
            )
        return self._process is not None and self._process.poll() is None

    def connect_client(self, timeout: float = 10, *, session: str | None = None) -> Client:
        """A new client of this cluster; `stop` closes it.

        Parameters
        ----------
        timeout : float
            Seconds to wait for the controller's answer.
        session : str, optional
            The name of a session, as for `Client`.

        Returns
        -------
        Client

        Raises
        ------
        ClusterError
            When the cluster is not running.
        """
        if not self.running:
            raise ClusterError(f"cluster {self.name!r} is not running", hint="call start() first")
        client = Client(self.report["client_file"], timeout=timeout, session=session)
        # A cluster that nobody refers to ends, but not while it has such a client.
        client._owner = self
        self._clients.add(client)
        return client

    def __enter__(self) -> Client:
        self.start()
        try:
            return self.connect_client()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Client:
        # The kernel tells the command when the thread that started it ends, and the command then looks whether the
        # process has: the thread need not stay.
        client: Client = await _to_its_end(self.__enter__, self._give_up, self.stop)
        return client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _to_its_end(self.stop)

    def __repr__(self) -> str:
        return f"<Cluster {self.name!r}: {self._state()}>"

    def _repr_html_(self) -> str:
        return table("Cluster", self._rows)

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def _is_forked(self) -> bool:
        return os.getpid() != self._process_id

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Client]:
        with self.connect_client() as client:
            yield client
        # The others have heard of what has changed, too.
        for other in list(self._clients):
            with contextlib.suppress(IpclusterzError):
                other.status()

    @property
    def _process(self) -> subprocess.Popen[bytes] | None:
        return None if self._start is None else self._start.process

    def _state(self) -> str:
        if self._is_forked:
            return f"of process {self._process_id}, of which this one is a fork"
        if not self.running:
            return "not running"
        return f"{self.n} engines" if self.report else "starting"

    def _rows(self) -> list[tuple[str, object]]:
        rows: list[tuple[str, object]] = [("name", self.name)]
        if self.profile is not None:
            rows.append(("profile", self.profile))
        if self._is_forked or not self.running or not self.report:
            return [*rows, ("state", self._state())]
        engines = self.report["engines"]
        hosts = dict.fromkeys(str(engine["host"]) for engine in engines)
        rows.append(("engines", f"{len(engines)}: {numbers(int(engine['id']) for engine in engines)}"))
        rows.append(("hosts", ", ".join(hosts)))
        return [*rows, ("logs", self.report["log_directory"])]

    def _give_up(self) -> None:
        """Have `start`, in another thread, fail soon."""
        # That thread looks at the one after it has set the other, so one of the two sees it.
        self._unwanted = True
        process = self._process
        if process is not None:
            process.terminate()


def _imported_module() -> str:
    """The module that is being imported and has led here, and the line it is at; empty when none has."""
    line, frame = "", sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>":
            line = f"{frame.f_globals.get('__name__')} (line {frame.f_lineno} of {code.co_filename})"
        elif line and (
            code.co_filename == "<frozen importlib._bootstrap>"
            or code.co_filename.endswith("ipclusterz/shared/rebuild.py")
        ):
            return line
        frame = frame.f_back  # type: ignore[assignment]
    return ""


# Names of what starts engines, as users of ipyparallel and of queues type them, and as profiles have them.
_QUEUES = ("slurm", "pbs", "sge", "lsf", "htcondor")
_LAUNCHERS = {
    **{name: name for name in ("local", "ssh", "mpiexec", "batch")},
    "mpi": "mpiexec",
    **dict.fromkeys(_QUEUES, "batch"),
}


def _unknown(engines: object) -> str:
    """What is wrong with a name of what starts engines; empty: nothing."""
    if not isinstance(engines, str) or engines in _LAUNCHERS:
        return ""
    return f"engines={engines!r:.80}: what starts engines is one of {', '.join(sorted(_LAUNCHERS))}"


# What `engines` is short for.
_MEANING: dict[type, str] = {str: "engines.launcher", int: "engines.count"}


async def _to_its_end(
    work: Callable[[], Any], on_cancel: Callable[[], None] | None = None, undo: Callable[[], None] | None = None
) -> Any:
    """Do blocking work in a thread; when the task is cancelled, wait for the end of it all the same.

    Parameters
    ----------
    work : callable
        The work.
    on_cancel : callable, optional
        Called at once when the task is cancelled, to make the work end soon.
    undo : callable, optional
        More blocking work, done when the task was cancelled.
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    # Not the loop's threads: the user's own work may hold all of them, or they may be gone already.
    pool = ThreadPoolExecutor(1, thread_name_prefix="ipclusterz-cluster")
    loop = asyncio.get_running_loop()
    try:
        working = loop.run_in_executor(pool, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            if on_cancel is not None:
                on_cancel()
            await asyncio.gather(working, return_exceptions=True)
            if undo is not None:
                await loop.run_in_executor(pool, undo)
            raise
    finally:
        pool.shutdown(wait=False)
