"""The cluster with ipyparallel's names: each call that starts or ends something is awaited, or has ``_sync`` behind it.

All work is the native `Cluster`'s.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial, wraps
from pathlib import Path
from typing import Any
from weakref import WeakSet

from .. import cluster as native
from ..client.command import program
from ..error import ClusterError
from .client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cluster", "ClusterManager"]

# What starts engines, by ipyparallel's names. All others are names of profiles.
_LAUNCHERS = {"local": "local", "mpi": "mpiexec", "mpiexec": "mpiexec", "ssh": "ssh"}

# Settings of ipyparallel's that have no meaning here, or are the profile's.
_FORGOTTEN = frozenset(
    {
        *("controller_args", "controller_location", "delay", "engine_launcher_class", "load_profile", "log_level"),
        *("controller_launcher_class", "config", "parent", "profile_config", "profile_dir", "log"),
        *("send_engines_connection_env",),
    }
)


def _awaited(method: Callable[..., Any]) -> Callable[..., Any]:
    """The form of a method that is awaited: what it waits for is waited for in another thread."""

    @wraps(method)
    async def awaited(self: Cluster, *args: Any, **kwargs: Any) -> Any:
        give_up = getattr(self._native, "_give_up", None)
        return await native._to_its_end(partial(method, self, *args, **kwargs), give_up)

    awaited.__name__ = method.__name__.replace("_sync", "")
    return awaited


class Cluster:
    """A controller and engines.

    Parameters
    ----------
    n : int, optional
        Number of engines; as many as there are cores when left out.
    engines : str, optional
        What starts the engines: ``"local"``, ``"mpi"``, ``"ssh"``, or the name of a profile, as ``"slurm"``.
    controller : str, optional
        Not needed: the controller is started on this host.
    cluster_id : str, optional
        The name of the cluster.
    profile : str, optional
        Name or file of a profile of ipclusterz.
    controller_ip : str, optional
        Where to listen with TCP as well.
    engine_timeout : float, optional
        Seconds until all engines must be there.
    shutdown_atexit : bool
        False cannot be had: the cluster ends with this process. Start it with ``ipclusterz start``.
    **settings
        Keys of the profile.

    Examples
    --------
    >>> from ipclusterz import ipyparallel as ipp
    >>> cluster = ipp.Cluster(n=2)
    >>> clients = cluster.start_and_connect_sync()
    >>> clients.ids
    [0, 1]
    >>> cluster.stop_cluster_sync()
    """

    def __init__(
        self,
        *,
        n: int | None = None,
        engines: str | None = None,
        controller: str | None = None,
        cluster_id: str | None = None,
        profile: str | None = None,
        controller_ip: str | None = None,
        engine_timeout: float | None = None,
        shutdown_atexit: bool = True,
        **settings: Any,
    ) -> None:
        if not shutdown_atexit:
            raise ValueError(
                "shutdown_atexit=False: a cluster of Cluster() ends with its process\n"
                "hint: ipclusterz start --cluster NAME starts one that stays, Client(cluster_id='NAME') connects to it"
            )
        launcher = None if engines is None else _short(engines)
        if launcher is not None and launcher not in _LAUNCHERS:
            profile = profile or launcher
        self._n = n
        self._settings = {name: value for name, value in settings.items() if name not in _FORGOTTEN}
        self._options: dict[str, Any] = {
            "cluster": cluster_id or None,
            "profile": None if profile == "default" else profile,
            "engines": None if launcher is None else _LAUNCHERS.get(launcher),
            "listen": f"{controller_ip}:0" if controller_ip else None,
            "timeout": engine_timeout,
        }
        self.shutdown_atexit = True
        self._native: Any = native.Cluster(n, **self._options, **self._settings)
        self._clients: WeakSet[Client] = WeakSet()
        # The ids of engines that were started later, by the names of their sets.
        self._sets: dict[str, list[int]] = {}

    @classmethod
    def _of(cls, running: Any) -> Cluster:
        made = cls()
        made._native = running
        return made

    @property
    def _report(self) -> dict[str, Any]:
        """What the start has said; of a cluster that somebody else has started, nothing."""
        report: dict[str, Any] = getattr(self._native, "report", {})
        return report

    # -- about it -----------------------------------------------------------------------------------------------

    @property
    def n(self) -> int | None:
        """Number of engines: of those that are there, before the start as it was given."""
        return getattr(self._native, "n", None) or self._n

    @n.setter
    def n(self, value: int | None) -> None:
        self._n = value

    @property
    def cluster_id(self) -> str:
        """The name of the cluster."""
        name: str = self._native.name
        return name

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return getattr(self._native, "profile", None) or "default"

    @property
    def engine_timeout(self) -> float | None:
        """Seconds until all engines must be there; None: as the profile says."""
        timeout: float | None = self._options["timeout"]
        return timeout

    @property
    def cluster_file(self) -> str:
        """The connection file for clients; empty before the start."""
        file = self._report.get("client_file") or getattr(self._native, "_file", None) or ""
        return str(file)

    @property
    def controller(self) -> Any:
        """What runs the controller; None when it does not run."""
        return self._native if self._native.running else None

    @property
    def engines(self) -> dict[str, Any]:
        """The ids of the engines of each set: those that the cluster was started with, and later ones."""
        if not self._native.running:
            return {}
        first = [engine["id"] for engine in self._report.get("engines", [])]
        return {**({self.cluster_id: first} if first else {}), **self._sets}

    @property
    def engine_set(self) -> Any:
        """The engines of the first set; None before the start."""
        return next(iter(self.engines.values()), None)

    # -- life ---------------------------------------------------------------------------------------------------

    def start_cluster_sync(self, n: int | None = None) -> None:
        """Start the controller and engines, and wait until they are there."""
        if n is not None and n != self._n:
            self._n = n
            options = {**self._options, "cluster": self._native.name}
            self._native = native.Cluster(n, **options, **self._settings)
        self._native.start()

    def start_controller_sync(self, **kwargs: Any) -> None:
        """Start the controller, without engines."""
        options = {**self._options, "cluster": self._native.name}
        self._native = native.Cluster(0, **options, **self._settings)
        self._native.start()

    def start_engines_sync(self, n: int | None = None, engine_set_id: str | None = None, **kwargs: Any) -> Any:
        """Start engines, and wait until they are there; gives the name of their set."""
        ids = self._native.start_engines(n if n is not None else self._n or os.cpu_count())
        name = engine_set_id or f"{self.cluster_id}-{len(self._sets) + 1}"
        self._sets[name] = ids
        return name

    def stop_cluster_sync(self) -> None:
        """End the engines and the controller."""
        for client in list(self._clients):
            client.close()
        self._native.stop()

    def stop_controller_sync(self) -> None:
        """End the controller, and with it the engines."""
        self.stop_cluster_sync()

    def stop_engines_sync(self, engine_set_id: str | None = None) -> None:
        """End all engines, or those of a set; the controller stays."""
        self._native.stop_engines(self._of_set(engine_set_id))
        self._sets.pop(engine_set_id or "", None)

    def stop_engine_sync(self, engine_id: int) -> Any:
        """End one engine."""
        return self._native.stop_engines(engine_id)

    def restart_engines_sync(self, engine_set_id: str | None = None) -> Any:
        """End all engines, or those of a set, and start them again."""
        return self._native.restart_engines(self._of_set(engine_set_id))

    def restart_engine_sync(self, engine_id: int) -> Any:
        """End one engine, and start it again."""
        return self._native.restart_engines(engine_id)

    def signal_engines_sync(self, signum: int, engine_set_id: str | None = None) -> Any:
        """Send a signal to all engines, or to those of a set."""
        return self._native.signal_engines(signum, self._of_set(engine_set_id))

    def signal_engine_sync(self, signum: int, engine_id: int) -> Any:
        """Send a signal to one engine."""
        return self._native.signal_engines(signum, engine_id)

    def start_and_connect_sync(self, n: int | None = None, activate: bool = False) -> Client:
        """Start it, and connect a client when all engines are there.

        Parameters
        ----------
        n : int, optional
            Number of engines.
        activate : bool
            Give ``%px`` and the other magics to all engines.
        """
        self.start_cluster_sync(n)
        client = self.connect_client_sync()
        if activate:
            client.activate()
        return client

    def connect_client_sync(self, **client_kwargs: Any) -> Client:
        """A new client, which `stop_cluster` closes."""
        if not self._native.running:
            raise ClusterError(f"cluster {self.cluster_id!r} is not running", hint="call start_cluster_sync() first")
        client = Client(self.cluster_file, **client_kwargs)
        # A cluster that nobody refers to ends, but not while it has such a client.
        client._owner = self
        self._clients.add(client)
        if isinstance(self._native, native.Cluster):
            self._native._clients.add(client)
        return client

    start_cluster = _awaited(start_cluster_sync)
    start_controller = _awaited(start_controller_sync)
    start_engines = _awaited(start_engines_sync)
    stop_cluster = _awaited(stop_cluster_sync)
    stop_controller = _awaited(stop_controller_sync)
    stop_engines = _awaited(stop_engines_sync)
    stop_engine = _awaited(stop_engine_sync)
    restart_engines = _awaited(restart_engines_sync)
    restart_engine = _awaited(restart_engine_sync)
    signal_engines = _awaited(signal_engines_sync)
    signal_engine = _awaited(signal_engine_sync)
    start_and_connect = _awaited(start_and_connect_sync)
    connect_client = _awaited(connect_client_sync)

    def __enter__(self) -> Client:
        try:
            return self.start_and_connect_sync()
        except BaseException:
            self.stop_cluster_sync()
            raise

    def __exit__(self, *error: object) -> None:
        self.stop_cluster_sync()

    async def __aenter__(self) -> Client:
        client: Client = await native._to_its_end(self.__enter__, self._native._give_up, self.stop_cluster_sync)
        return client

    async def __aexit__(self, *error: object) -> None:
        await native._to_its_end(self.stop_cluster_sync)

    def _of_set(self, name: str | None) -> Any:
        """The engines of a set; None: all."""
        if name is None:
            return "all"
        if name not in self.engines:
            raise ValueError(f"there is no set of engines {name!r:.80}; there are: {', '.join(self.engines) or 'none'}")
        return self.engines[name]

    # -- as a record --------------------------------------------------------------------------------------------

    @classmethod
    def from_file(
        cls,
        cluster_file: Any = None,
        *,
        profile: str | None = None,
        profile_dir: str | None = None,
        cluster_id: str = "",
        **kwargs: Any,
    ) -> Cluster:
        """A cluster that runs already."""
        which = cluster_file if cluster_file is not None else cluster_id or "default"
        opened: Any = native.Cluster
        return cls._of(opened.from_file(which))

    @classmethod
    def from_dict(cls, d: dict[str, Any], **kwargs: Any) -> Cluster:
        """A cluster that runs already, of what `to_dict` gave."""
        return cls.from_file(d["cluster_file"] or None, cluster_id=d["cluster"]["cluster_id"])

    def to_dict(self) -> dict[str, Any]:
        """What there is to know of it."""
        report = self._report
        return {
            "cluster": {"cluster_id": self.cluster_id, "profile": self.profile},
            "cluster_file": self.cluster_file,
            "controller": {"pid": report.get("controller_pid")} if report else None,
            "engines": {"n": self.n, "sets": self.engines},
        }

    def write_cluster_file(self) -> None:
        """Does nothing: the file is written when the cluster starts."""

    def update_cluster_file(self) -> None:
        """Does nothing: the file is written when the cluster starts."""

    def remove_cluster_file(self) -> None:
        """Does nothing: the file goes with the cluster."""

    def __repr__(self) -> str:
        state = "not running" if self.controller is None else f"{self.n} engines" if self.n else "running"
        return f"<Cluster(cluster_id={self.cluster_id!r}, profile={self.profile!r}, {state})>"


class ClusterManager:
    """The clusters that run, and those that were made here.

    Attributes
    ----------
    clusters : dict of Cluster
        By name.
    """

    def __init__(self, **settings: Any) -> None:
        self.clusters: dict[str, Cluster] = {}

    def load_clusters(self, **where: Any) -> dict[str, Cluster]:
        """Find the clusters of this user that run here."""
        done = subprocess.run([program(), "list", "--json"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        running = [row["cluster"] for row in json.loads(done.stdout)["clusters"] if row["state"] == "running"]
        self.clusters = {name: self.clusters.get(name) or Cluster.from_file(cluster_id=name) for name in running}
        return self.clusters

    def new_cluster(self, **settings: Any) -> tuple[str, Cluster]:
        """Make a cluster, which is started by its own methods; gives its name and it."""
        made = Cluster(**settings)
        self.clusters[made.cluster_id] = made
        return made.cluster_id, made

    def get_cluster(self, key: str) -> Cluster:
        """The cluster of a name."""
        return self.clusters[key]

    def remove_cluster(self, key: str) -> None:
        """Forget a cluster, which goes on."""
        del self.clusters[key]


def _short(engines: Any) -> str:
    """``MPIEngineSetLauncher`` and ``mpi`` are the same; so is the class of that name."""
    name = str(getattr(engines, "__name__", engines))
    for ending in ("EngineSetLauncher", "EngineLauncher", "Launcher"):
        if name.endswith(ending) and name != ending:
            return name[: -len(ending)].lower()
    return name if Path(name).suffix else name.lower()
