"""The methods of `Client` that give its engines the face of another library; `dask_cluster` and `rankpool` do it."""

from __future__ import annotations

from .targets import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rankpool import RankPool
    from .targets import Own, Targets

__all__ = ["Becoming"]


class Becoming:
    """A client whose engines can work for Dask, or as the pool of mpi4py."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _choose(self, targets: Targets | Own) -> tuple[list[int], bool]: ...
        def _balanced(self, engines: list[int] | None) -> Any: ...
        def __getitem__(self, targets: Any) -> Any: ...

    def become_dask(
        self,
        targets: Targets | Own = OWN,
        *,
        nanny: bool = False,
        security: bool = True,
        scheduler_args: dict[str, Any] | None = None,
        **worker_args: Any,
    ) -> Any:
        """Have engines work for a scheduler of Dask, too: its collections on the cluster that is there.

        The scheduler is a process beside the first of the engines, and ends with that; each engine gets a worker, in
        threads of its own. So tasks of Dask see what is in the engine's process, and engines go on answering; what
        computes in Python shares the interpreter's lock with the other. Engines that come later have no worker until
        this is called again, which adds them to the same scheduler.

        Parameters
        ----------
        targets : optional
            The engines, those of ``targets`` when left out.
        nanny : bool
            Only False: a nanny would run the worker in another process, which is not the engine.
        security : bool
            Encrypt Dask's connections with TLS and let in only who has the certificate, which is made for this one time
            and travels to the engines as all calls do. Needs the package cryptography here. Without, whoever reaches
            the ports can run anything on the engines.
        scheduler_args : dict, optional
            More keywords of `distributed.Scheduler`: ``{"interface": "ib0"}``, ``{"port": 8786}``.
        **worker_args
            More keywords of `distributed.Worker`: ``nthreads=4``, ``memory_limit="8GiB"``, ``interface="ib0"``. When
            nothing is said a worker has one thread.

        Returns
        -------
        distributed.Client
            Connected to the scheduler. `stop_dask` closes it.

        Raises
        ------
        ImportError
            When distributed is not installed, here or on an engine, or with `security` cryptography.
        ValueError
            When `nanny` is set.
        NoEnginesRegistered
            When there is no engine.
        ConnectionError
            When the scheduler listens nowhere that all engines and this process can reach.
        CompositeError, RemoteError
            When scheduler or workers do not start.

        Examples
        --------
        >>> dask = rc.become_dask()
        >>> dask.submit(sum, [1, 2, 3]).result()
        6
        >>> rc.stop_dask()
        """
        # Few have a use for it.
        from .dask_cluster import start

        for name, value in (("security", security), ("nanny", nanny)):
            if not isinstance(value, bool):
                raise TypeError(f"{name} is True or False, not {type(value).__name__}: {value!r:.80}")
        if nanny:
            raise ValueError("nanny is False: Dask's workers are threads of the engines, which nobody starts again")
        if scheduler_args is not None and not isinstance(scheduler_args, dict):
            raise TypeError(f"scheduler_args is a dictionary of keywords, not {type(scheduler_args).__name__}")
        return start(self, self._choose(targets)[0], security, scheduler_args or {}, worker_args)

    def stop_dask(self, targets: Targets | Own = OWN) -> None:
        """End the workers and the scheduler of `become_dask`; the engines go on.

        What Dask has in memory is gone. It ends by itself with the engines, not with this client: so any client can end
        it. Does nothing where there is none.

        Parameters
        ----------
        targets : optional
            The engines, those of ``targets`` when left out.
        """
        from .dask_cluster import stop

        stop(self, self._choose(targets)[0])

    def become_mpi4py_pool(self, targets: Targets | Own = OWN) -> RankPool:
        """Give an executor over MPI ranks, with the methods of ``mpi4py.futures.MPIPoolExecutor``.

        Parameters
        ----------
        targets : optional
            The engines, those of ``targets`` when left out. They are ranks of an MPI world.

        Returns
        -------
        RankPool
            Shutting it down leaves the engines as they are.

        Raises
        ------
        MPIError
            When one of them is no rank.

        Examples
        --------
        >>> with rc.become_mpi4py_pool() as pool:
        ...     list(pool.starmap(pow, [(2, 3), (3, 2)]))
        [8, 9]
        """
        # Few have a use for it.
        from .rankpool import RankPool

        engines = self._choose(targets)[0]
        # Refuses engines that are no ranks.
        _ = self[engines].mpi.ranks
        return RankPool(self._balanced(engines))
