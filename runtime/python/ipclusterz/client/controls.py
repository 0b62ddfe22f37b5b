"""The controls of a running cluster: more engines, fewer, restarts, signals, its end.

What is the launcher's to do is asked of it by the command `ipclusterz`, which finds it on this host by the cluster's
folder; the rest is asked of the controller, and works from everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from .. import error as errors
from ..words import printable
from .command import program
from .connect import clusters_folder, read_json
from .deadlines import deadline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from typing import Any

    from .targets import Targets

    # It stands above this file.
    Client = Any

__all__ = ["Controls", "RunningCluster", "running"]

# How much longer than it was told the command may take: it looks at files, and asks the launcher.
_MORE_SECONDS = 30.0
# How long the command may take to end a cluster, if its engines are told to end within a few seconds.
_STOP_SECONDS = 120.0
# The command's exit code for a deadline that has passed.
_TIMEOUT = 6
_PAUSE = 0.01


class Controls:
    """What can be done to a running cluster; the part that `Cluster` and `RunningCluster` have in common.

    Attributes
    ----------
    name : str
        The cluster's name.
    """

    name: str

    if TYPE_CHECKING:

        @property
        def running(self) -> bool: ...
        def connect_client(self, timeout: float = 10, *, session: str | None = None) -> Client: ...
        def stop(self) -> None: ...

    def start_engines(self, n: int = 1, *, timeout: float = 60) -> list[int]:
        """Add engines, and wait until they are there.

        Parameters
        ----------
        n : int
            How many more.
        timeout : float
            Seconds to wait for them. The launcher goes on trying afterwards.

        Returns
        -------
        list of int
            The ids of the new engines.

        Raises
        ------
        ValueError
            When `n` is less than 1.
        ClusterError
            When the cluster does not run, its launcher is not on this host, or it refuses: the host allows no more.
        ipclusterz.TimeoutError
            When they are not there in time.

        Examples
        --------
        >>> cluster = Cluster(n=1).start()
        >>> cluster.start_engines(2)
        [1, 2]
        >>> cluster.stop_engines([0, 2])
        [0, 2]
        >>> cluster.restart_engines(1)
        [1]
        >>> cluster.scale(2)
        [0, 1]
        >>> cluster.stop()
        """
        if n < 1:
            raise ValueError(f"n is {n}: at least one engine is added; stop_engines and scale have fewer")
        with self._connected() as client:
            before, deadline = _now(client), deadline_of(timeout)
            self._ask("scale", f"+{n}", "--timeout", f"{timeout}", seconds=timeout)
            # The command counts all engines, also those that were started by hand.
            _until(lambda: len(client.ids - before) >= n, deadline, f"not all of the {n} engines are there")
            return sorted(client.ids - before)

    def scale(self, n: int, *, timeout: float = 60) -> list[int]:
        """Have `n` engines in all: starts more, or ends some, idle ones first. Those that work end when they are done.

        Parameters
        ----------
        n : int
            How many.
        timeout : float
            Seconds to wait until there are so many. The launcher goes on trying afterwards.

        Returns
        -------
        list of int
            The ids of the engines that there are then.

        Raises
        ------
        ValueError
            When `n` is negative.
        ClusterError
            When the cluster does not run, its launcher is not on this host, or it refuses: ranks of one MPI world go
            together.
        ipclusterz.TimeoutError
            When there are not so many in time.
        """
        if n < 0:
            raise ValueError(f"n is {n}: a number of engines is 0 or more")
        with self._connected() as client:
            self._ask("scale", f"{n}", "--timeout", f"{timeout}", seconds=timeout)
            return sorted(_now(client))

    def stop_engines(self, engines: Targets = "all", *, timeout: float = 60) -> list[int]:
        """End engines, also busy ones, and wait until they are gone; the launcher does not start them again.

        Parameters
        ----------
        engines : optional
            Any index of a client: an id, a list of ids, a slice. All when left out.
        timeout : float
            Seconds to wait.

        Returns
        -------
        list of int
            The ids of the engines that have ended.

        Raises
        ------
        UnknownEngine
            When one is not there.
        ClusterError
            When the cluster does not run.
        ipclusterz.TimeoutError
            When some are still there after that time.
        """
        with self._connected() as client:
            chosen = _chosen(client, engines)
            client.shutdown(chosen)
            gone = f"not all of the engines {chosen} have ended"
            _until(lambda: client.ids.isdisjoint(chosen), deadline_of(timeout), gone)
            return chosen

    def restart_engines(self, engines: Targets = "all", *, timeout: float = 60) -> list[int]:
        """End engines, also busy ones, and start them again under their ids; wait until they are there.

        What they have, and what runs, is lost: calls on one of them by its id fail with `EngineError`, and so do
        load-balanced calls that have begun. Engines that mpiexec or a job has started together can only be restarted
        together.

        Parameters
        ----------
        engines : optional
            Any index of a client: an id, a list of ids, a slice. All when left out.
        timeout : float
            Seconds to wait. The launcher goes on trying afterwards.

        Returns
        -------
        list of int
            The ids of the engines.

        Raises
        ------
        UnknownEngine
            When one is not there.
        ClusterError
            When the cluster does not run, its launcher is not on this host, or some of them cannot be restarted; then
            nothing has ended.
        ipclusterz.TimeoutError
            When they are not there in time.
        """
        with self._connected() as client:
            chosen = _chosen(client, engines)
            # Of all, those that the launcher has not started are left out.
            some = [] if isinstance(engines, str) or engines is None else chosen
            named = [word for engine in some for word in ("--engine", str(engine))]
            report = self._ask("restart", *named, "--timeout", f"{timeout}", seconds=timeout)
            _now(client)
            return [int(engine) for engine in report["engines"]]

    def signal_engines(self, signum: int | str, engines: Targets = "all") -> None:
        """Send a signal to the processes of engines, wherever they run, also busy ones; see `Client.send_signal`.

        Parameters
        ----------
        signum : int or str
            The signal: ``signal.SIGUSR1``, 10 or ``"SIGUSR1"``.
        engines : optional
            Any index of a client: an id, a list of ids, a slice. All when left out.

        Raises
        ------
        ValueError
            When there is no such signal.
        UnknownEngine
            When one is not there.
        ClusterError
            When the cluster does not run.
        EngineError
            When one did not answer.
        """
        with self._connected() as client:
            client.send_signal(signum, engines)

    # -- inside -------------------------------------------------------------------------------------------------

    def _connected(self) -> contextlib.AbstractContextManager[Client]:
        """A client of the cluster, for a moment."""
        raise NotImplementedError

    def _home(self) -> str | None:
        """The folder of all clusters' files, where this one's launcher is; None: that of this process.

        Raises
        ------
        ClusterError
            When its launcher cannot be reached from here.
        """
        return None

    def _ask(self, command: str, *words: str, seconds: float) -> dict[str, Any]:
        """Run a command about this cluster, and return what it reports."""
        # Start-up: few clients ask.
        import subprocess

        home = self._home()
        line = [program(), command, *words, "--cluster", self.name, "--json", "--quiet"]
        environment = None if home is None else {**os.environ, "IPCLUSTERZ_HOME": home}
        try:
            done = subprocess.run(
                line, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds + _MORE_SECONDS, env=environment
            )
        except subprocess.TimeoutExpired:
            raise errors.TimeoutError(
                f"`{' '.join(line[1:])}` took longer than {seconds + _MORE_SECONDS:g} s"
            ) from None
        return _report(done, line)


class RunningCluster(Controls):
    """The controls of a cluster that somebody else has started; `Cluster.from_file` and ``rc.cluster`` make it.

    Parameters
    ----------
    name : str
        The cluster's name.
    file : path-like or None
        Its connection file for clients, if it is known.
    run_id : str
        Its run, by which it is told from another one of that name.
    make_client : callable
        Makes a client: `Client`.
    client : Client, optional
        One that is used instead of new ones while it is open.
    """

    def __init__(
        self,
        name: str,
        file: str | os.PathLike[str] | None,
        run_id: str,
        make_client: Callable[..., Client],
        client: Client | None = None,
    ) -> None:
        self.name = name
        self._file = None if file is None else Path(file)
        self._run_id = run_id
        self._make_client = make_client
        self._client = client

    @property
    def running(self) -> bool:
        """Whether the cluster still has its connection file here."""
        file = self._beside("client.json")
        return file is not None and _run_in(file) == self._run_id

    def connect_client(self, timeout: float = 10, *, session: str | None = None) -> Client:
        """A new client of this cluster.

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
            When its connection file is not here any more.
        """
        file = self._file if self._file is not None and self._file.exists() else self._beside("client.json")
        if file is None or _run_in(file) != self._run_id:
            raise errors.ClusterError(
                f"cluster {self.name!r} has ended, or has no connection file here", hint="`ipclusterz list` shows all"
            )
        return self._make_client(file, timeout=timeout, session=session)

    def stop(self) -> None:
        """End all engines, the controller and the launcher, whoever has started them.

        From another host than the launcher's this asks the controller to end, and does not wait.

        Raises
        ------
        ClusterError
            When the cluster has ended, or does not end.
        """
        if self._launcher_home() is None:
            with self._connected() as client:
                client.shutdown(controller=True)
            return
        self._ask("stop", seconds=_STOP_SECONDS)

    def __enter__(self) -> RunningCluster:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<RunningCluster {self.name!r}>"

    # -- inside -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Client]:
        if self._client is not None and not self._client.closed:
            yield self._client
            return
        with self.connect_client() as client:
            yield client

    def _home(self) -> str | None:
        home = self._launcher_home()
        if home is None:
            raise errors.ClusterError(
                f"the launcher of cluster {self.name!r} cannot be reached from here: it is on another host, or is gone",
                hint=f"on its host: `ipclusterz scale`, `restart` and `stop` with --cluster {self.name}",
            )
        return home

    def _launcher_home(self) -> str | None:
        file = self._beside("cluster.json")
        return None if file is None else str(file.parent.parent.parent)

    def _beside(self, name: str) -> Path | None:
        """A file of the cluster's folder, if that is here and of the same run."""
        folders = [] if self._file is None else [self._file.absolute().parent]
        for folder in [*folders, clusters_folder() / self.name]:
            if (
                folder.name == self.name
                and (folder / name).exists()
                and _run_in(folder / "client.json") == self._run_id
            ):
                return folder / name
        return None


def running(cluster: str | os.PathLike[str], make_client: Callable[..., Client]) -> RunningCluster:
    """The controls of a cluster, by its name or its connection file.

    Raises
    ------
    ConnectionFileError
        When there is no such cluster.
    """
    from .._core import find_connection_file

    text = os.fspath(cluster)
    is_file = isinstance(cluster, os.PathLike) or os.sep in text or text.endswith(".json")
    file = Path(text).expanduser() if is_file else Path(find_connection_file(text))
    content = read_json(file)
    if content is None or not content.get("cluster") or not content.get("run_id"):
        raise errors.ConnectionFileError(
            f"{printable(str(file))} is no connection file that can be read",
            hint="give the cluster's client.json, or its name; `ipclusterz list` shows the clusters",
        )
    return RunningCluster(str(content["cluster"]), file, str(content["run_id"]), make_client)


def _run_in(file: Path) -> str | None:
    content = read_json(file)
    return None if content is None else content.get("run_id")


def _chosen(client: Client, engines: Targets) -> list[int]:
    chosen: list[int] = client._ids("all" if engines is None else engines)
    return chosen


def _until(condition: Callable[[], bool], deadline: float | None, otherwise: str) -> None:
    """Wait for what the controller is about to say."""
    while not condition():
        if deadline is not None and time.monotonic() >= deadline:
            raise errors.TimeoutError(f"{otherwise} in time", hint="`ipclusterz status` shows what there is")
        time.sleep(_PAUSE)


def _now(client: Client) -> set[int]:
    """The engines that the controller has now: what it said of them before it answers has come."""
    client.status()
    ids: set[int] = client.ids
    return ids


def _report(done: subprocess.CompletedProcess[bytes], line: list[str]) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        report = {}
    if done.returncode == 0:
        return report
    told = report.get("error") or {}
    said = done.stderr.decode(errors="replace").strip()
    message = told.get("message") or f"`{' '.join(line[1:])}` ended with status {done.returncode}: {printable(said)}"
    kind = errors.TimeoutError if done.returncode == _TIMEOUT else errors.ClusterError
    raise kind(message, hint=told.get("hint") or "")
