"""The client with ipyparallel's names, defaults and shapes."""

from __future__ import annotations

from typing import Any

from ..client import client as native
from ..client.asyncresult import AsyncResult
from ..client.sending import later
from ..client.targets import OWN
from .functions import own
from .results import AsyncMapResult, ByMessage, Results
from .views import BroadcastView, DirectView, LoadBalancedView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor, Future

__all__ = ["Client"]


class Client(native.Client):
    """A connection to a running cluster.

    Parameters
    ----------
    connection_info : path-like or str, optional
        A connection file, or the address of a controller.
    url_file : path-like, optional
        The same, by its earlier name.
    profile, cluster_id : str, optional
        Names of the profile and of the cluster.
    sshserver, sshkey, password : optional
        The way to another host.
    timeout : float
        Seconds to wait for the controller's answer.
    **others
        Accepted, and not needed: ``context``, ``debug``, ``paramiko``, ``ipython_dir``, ``profile_dir`` and the like.
    """

    debug = False
    _FORGOTTEN = frozenset({"context", "debug", "paramiko", "ipython_dir", "profile_dir", "config", "exec_key", "ssh"})

    def __init__(
        self,
        connection_info: Any = None,
        *,
        url_file: Any = None,
        profile: str | None = None,
        cluster_id: str | None = None,
        cluster: Any = None,
        sshserver: str | None = None,
        sshkey: Any = None,
        password: str | None = None,
        timeout: float = 10,
        **others: Any,
    ) -> None:
        if unknown := set(others) - self._FORGOTTEN:
            raise TypeError(f"Client() got an unexpected keyword argument {sorted(unknown)[0]!r}")
        name = cluster_id or (cluster if isinstance(cluster, str) else None)
        super().__init__(
            connection_info if connection_info is not None else url_file,
            cluster=name or None,
            profile=None if profile in (None, "default") else profile,
            sshserver=sshserver,
            sshkey=sshkey,
            password=password,
            timeout=timeout,
        )
        self.profile = profile or "default"
        self._results = Results()

    # -- engines ------------------------------------------------------------------------------------------------

    @property
    def ids(self) -> list[int]:  # type: ignore[override]
        """The ids of the engines that live now, sorted."""
        return sorted(super().ids)

    @property
    def cluster(self) -> Any:
        """The `Cluster` that has made this client; None for others."""
        return self._owner

    def __iter__(self) -> Iterator[DirectView]:
        return (self.direct_view(engine) for engine in self.ids)

    def __getitem__(self, key: Any) -> DirectView:  # type: ignore[override]
        """A view of the engines that an index means."""
        if not isinstance(key, (int, slice, tuple, list, range)):
            raise TypeError(f"key by int/slice/iterable of int only, not {type(key)}")
        if isinstance(key, slice):
            key = self.ids[key]
        return self.direct_view(key)

    def direct_view(self, targets: Any = "all", **kwargs: Any) -> DirectView:
        """A view of chosen engines; ``"all"`` are all that there are at each call."""
        made = DirectView(self, targets if targets is not None else "all")
        made.set_flags(**{"block": self.block, **kwargs})
        return made

    def broadcast_view(self, targets: Any = "all", is_coalescing: bool = False, **kwargs: Any) -> BroadcastView:
        """A view of chosen engines; `is_coalescing` makes no difference."""
        made = BroadcastView(self, targets if targets is not None else "all")
        made.set_flags(**{"block": self.block, **kwargs})
        made.is_coalescing = is_coalescing
        return made

    def load_balanced_view(self, targets: Any = None, **kwargs: Any) -> LoadBalancedView:
        """A view whose calls each run on one engine, the one with least to do."""
        # All engines are those that there are at each call.
        chosen = None if targets is None or (isinstance(targets, str) and targets == "all") else self._ids(targets)
        made = self._balanced(chosen)
        made.set_flags(**{"block": self.block, **kwargs})
        return made

    def executor(self, targets: Any = None) -> Executor:
        """A `concurrent.futures.Executor` whose workers are engines."""
        return self.load_balanced_view(targets).executor

    def wait_for_engines(  # type: ignore[override]
        self,
        n: int | None = None,
        *,
        timeout: float = -1,
        block: bool = True,
        interactive: bool | None = None,
        widget: Any = None,
    ) -> Future[None] | None:
        """Wait until there are at least `n` engines; left out, as many as the cluster was started with."""
        wanted = n if n is not None else max(1, getattr(self._owner, "n", None) or 1)
        limit = None if timeout is None or timeout < 0 else timeout
        if block:
            super().wait_for_engines(wanted, limit)
            return None
        return later(lambda: native.Client.wait_for_engines(self, wanted, limit))

    # -- what was submitted -------------------------------------------------------------------------------------

    @property
    def outstanding(self) -> set[str]:  # type: ignore[override]
        """The message ids of what is on its way."""
        open_ones = super().outstanding
        return {
            message_id
            for result in open_ones
            for message_id, status in zip(result.msg_ids, result._pending.statuses())
            if status is None
        }

    @property
    def metadata(self) -> ByMessage:
        """What is known of each call, by message id."""
        return ByMessage(lambda: self.history, lambda message_id: self._submissions.result(message_id).metadata)

    def wait(self, jobs: Any = None, timeout: float | None = -1) -> bool:
        """Wait until calls have their answers, and say whether they have."""
        return super().wait(self._named_jobs(jobs), timeout)

    def wait_interactive(self, jobs: Any = None, interval: float = 1.0, timeout: float = -1.0) -> None:
        """Wait with a progress bar."""
        chosen = [self.get_result(jobs, block=False)] if jobs is not None else list(super().outstanding)
        if chosen:
            chosen[0].join(*chosen).wait_interactive(interval, timeout)

    def get_result(  # type: ignore[override]
        self, indices_or_msg_ids: Any = None, block: bool | None = None, owner: bool = True
    ) -> Any:
        """The result of something that was submitted.

        Parameters
        ----------
        indices_or_msg_ids : int, str, AsyncResult, or list of these, optional
            Message ids, or places in `history`. Left out, the last one.
        block : bool, optional
            Whether to wait; gives the result all the same.
        owner : bool
            Not needed.
        """
        wanted = -1 if indices_or_msg_ids is None else indices_or_msg_ids
        named = self._named_jobs(wanted)
        result: Any = self._submissions.result(named)
        if isinstance(named, str) and isinstance(result, AsyncMapResult):
            # One task of a map, with what it has done.
            result = AsyncResult(self, result._pending, "map", True)
        if self.block if block is None else block:
            result.wait()
        return result

    def abort(self, jobs: Any = None, targets: Any = None, block: bool | None = None) -> None:  # type: ignore[override]
        """Give up what no engine has begun: of results or message ids, or all of these engines."""
        if jobs is None:
            super().abort(targets=own(targets))
            return
        named = self._named_jobs(jobs)
        for job in named if isinstance(named, list) else [named]:
            result = job if isinstance(job, AsyncResult) else self._submissions.result(job)
            result.abort()

    def queue_status(self, targets: Any = "all", verbose: bool = False) -> dict[Any, Any]:
        """How many tasks engines have, and have done."""
        single = isinstance(targets, int)
        status = super().queue_status("all" if targets is None else targets, verbose)
        nothing: Any = [] if verbose else 0
        for engine, queue in status.items():
            if engine != "unassigned":
                queue["tasks"] = nothing
        return next(iter(status.values())) if single else status

    def result_status(self, msg_ids: Any, status_only: bool = True) -> dict[str, Any]:
        """Which calls have their answers; with ``status_only=False`` also their values, by message id."""
        result = self._submissions.result(self._named_jobs(msg_ids))
        status: dict[str, Any] = super().result_status(result)
        if not status_only:
            done = set(status["completed"])
            values = zip(result.msg_ids, range(len(result.msg_ids)))
            status.update({message_id: result._value(index) for message_id, index in values if message_id in done})
        return status

    def resubmit(self, indices_or_msg_ids: Any = None, metadata: Any = None, block: bool | None = None) -> Any:
        """Submit something again."""
        again = super().resubmit(
            self._named_jobs(-1 if indices_or_msg_ids is None else indices_or_msg_ids), block=False
        )
        result = again if isinstance(again, AsyncResult) else again[0].join(*again)
        if self.block if block is None else block:
            result.wait()
        return result

    def purge_results(self, jobs: Any = (), targets: Any = ()) -> None:
        """Drop what is kept of results: here, and in the controller's history."""
        everything = isinstance(jobs, str) and jobs == "all"
        if not everything and not isinstance(jobs, (str, int, AsyncResult)) and not len(jobs):
            jobs = None
        if not isinstance(targets, (str, int)) and not len(targets):
            targets = None
        if jobs is None and targets is None:
            raise ValueError("Must specify at least one of `targets` and `jobs`")
        named = jobs if jobs is None or everything else self._named_jobs(jobs)
        super().purge_results(named, own(targets))

    purge_local_results = purge_hub_results = purge_results

    def purge_everything(self) -> None:
        """Drop what is kept of all results of the session."""
        self.purge_results("all")

    def db_query(self, query: Any = None, keys: Any = None, **equal: Any) -> list[dict[str, Any]]:
        """The tasks of the cluster for which some conditions hold.

        Parameters
        ----------
        query : dict
            Columns and conditions. A task's ``label`` is that of its view, or the name of its function.
        keys : list of str, optional
            The columns of the answer, beside ``msg_id``. What is not known is None.
        """
        conditions = {_COLUMNS.get(name, name): _condition(wanted) for name, wanted in (query or {}).items()}
        rows = super().db_query(conditions, **equal)
        uuids = {engine["id"]: engine["uuid"] for engine in self.status()["engines"]}
        for row in rows:
            row.update({theirs: row[ours] for theirs, ours in _COLUMNS.items()})
            row["engine_uuid"] = uuids.get(row["engine_id"])
        if keys is None:
            return rows
        names = ["msg_id", *([keys] if isinstance(keys, str) else keys)]
        return [{name: row.get(name) for name in names} for row in rows]

    # -- control ------------------------------------------------------------------------------------------------

    def clear(self, targets: Any = None, block: bool | None = None) -> Any:
        """Forget all names in the namespaces of engines."""
        return self.direct_view("all" if targets is None else targets).clear(
            block=self.block if block is None else block
        )

    def shutdown(  # type: ignore[override]
        self, targets: Any = "all", restart: bool = False, hub: bool = False, block: bool | None = None
    ) -> None:
        """End engines; with `hub` the controller, too, and with `restart` they come back under their ids."""
        if restart:
            controls = super().cluster if self._owner is None else self._owner._native  # type: ignore[attr-defined]
            controls.restart_engines("all" if targets is None else targets)
        elif hub:
            super().shutdown(controller=True)
        else:
            super().shutdown("all" if targets is None else targets)

    def send_signal(self, sig: int | str, targets: Any = None, block: bool | None = None) -> None:
        """Send a signal to engines; SIGINT interrupts what they run.

        Parameters
        ----------
        sig : int or str
            Its number, or name.
        targets : optional
            The engines; all when left out.
        block : bool, optional
            Whether to wait.
        """
        super().send_signal(sig, "all" if targets is None else targets, block=block is None or block)

    def become_dask(
        self, targets: Any = "all", port: int = 0, nanny: bool = False, scheduler_args: Any = None, **worker_args: Any
    ) -> Any:
        """Have engines work for a scheduler of Dask, too; gives its client."""
        arguments = {**(scheduler_args or {}), **({"port": port} if port else {})}
        return super().become_dask(targets, nanny=nanny, scheduler_args=arguments, **worker_args)

    become_distributed = become_dask

    def stop_dask(self, targets: Any = "all") -> None:
        """End the workers and the scheduler of `become_dask`."""
        super().stop_dask(targets)

    stop_distributed = stop_dask

    def activate(self, targets: Any = "all", suffix: str = "") -> DirectView:  # type: ignore[override]
        """Give ``%px`` and the other magics to a view of these engines, which waits."""
        made = self.direct_view(targets)
        made.block = True
        made.activate(suffix)
        return made

    def spin(self) -> None:
        """Does nothing: answers come without it."""

    def spin_thread(self, interval: float = 1) -> None:
        """Does nothing: answers come without it."""

    def stop_spin_thread(self) -> None:
        """Does nothing."""

    def close(self, linger: Any = None) -> None:
        """Close the connection."""
        super().close()

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        return f"<Client: {len(self)} engines of cluster {self._core.cluster!r}>"

    # -- inside -------------------------------------------------------------------------------------------------

    def _balanced(self, engines: list[int] | None) -> LoadBalancedView:
        return LoadBalancedView(self, engines)

    def _view_of(self, targets: Any) -> Any:
        if targets is None:
            return self._balanced(None)
        return self.direct_view(self.targets if targets is OWN else targets)

    def _named_jobs(self, jobs: Any) -> Any:
        """Jobs, with places in `history` as message ids."""
        if jobs is None or isinstance(jobs, (str, AsyncResult)):
            return jobs
        if isinstance(jobs, int):
            return self._of_history(jobs)
        return [self._of_history(job) if isinstance(job, int) else job for job in jobs]

    def _of_history(self, place: int) -> str:
        history = self.history
        try:
            return history[place]
        except IndexError:
            raise IndexError(f"there is no {place} in the history of {len(history)} calls") from None


# What columns are called there, and here.
_COLUMNS = {"label": "name", "client_uuid": "session", "result_status": "state"}


def _condition(wanted: Any) -> Any:
    """A condition; of one text for a list, the list of it."""
    if not isinstance(wanted, dict):
        return wanted
    lists = ("$in", "$nin")
    return {name: [value] if name in lists and isinstance(value, str) else value for name, value in wanted.items()}
