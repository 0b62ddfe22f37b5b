"""What a client does to engines as processes: interrupts, signals, their end, and the controls of its cluster."""

from __future__ import annotations

from .connection import Connection
from .controls import Controls, RunningCluster
from .signals import number_of, tell
from .targets import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .targets import Own, Targets

__all__ = ["Steering"]


class Steering(Connection):
    """The part of `Client` that is about engines as processes."""

    __slots__ = ()

    @property
    def cluster(self) -> Controls:
        """The controls of the cluster: more engines, fewer, restarts, signals, its end; and its ``name``.

        Of a client that a `Cluster` has made it is that `Cluster`. For any other, the cluster's launcher does what is
        asked of it if it is on this host; otherwise `ClusterError` says so.

        Returns
        -------
        Cluster or RunningCluster

        Examples
        --------
        >>> rc.cluster.name in repr(rc)
        True
        """
        if isinstance(self._owner, Controls):
            return self._owner
        return RunningCluster(self._core.cluster, self._file, self._core.run_id, type(self), self)

    def interrupt(self, targets: Targets | Own = OWN) -> None:
        """Raise KeyboardInterrupt in the code that engines run now; their namespaces survive.

        Parameters
        ----------
        targets : optional
            The engines; the client's `targets` when left out.
        """
        self._core.interrupt(self._choose(targets)[0])

    def send_signal(self, sig: int | str, targets: Targets | Own = OWN, *, block: bool = True) -> None:
        """Send a signal to the processes of engines, wherever they run, also while they are busy.

        It is their own I/O threads that do so. SIGINT interrupts what runs, as `interrupt` does; what becomes of others
        is the engine's or user code's: SIGTERM and SIGKILL end an engine, SIGSTOP stops it until SIGCONT, which gets
        through where the controller is on this host and that of the engine; ``signal.signal`` in a task takes SIGUSR2.

        Parameters
        ----------
        sig : int or str
            The signal: ``signal.SIGUSR1``, 10 or ``"SIGUSR1"``.
        targets : optional
            The engines; the client's `targets` when left out.
        block : bool
            Wait until the engines have it, for 5 s at most. Otherwise it is only sent.

        Raises
        ------
        TypeError
            When `sig` is neither a number nor a name.
        ValueError
            When there is no such signal.
        UnknownEngine
            When an engine is not there.
        EngineError
            When one does not answer: it is stopped, or its connection is lost.

        Examples
        --------
        >>> def listen():
        ...     import signal
        ...     signal.signal(signal.SIGUSR2, lambda *_: print("told"))
        >>> rc[0].apply_sync(listen)
        >>> rc.send_signal("SIGUSR2", 0)
        >>> rc.send_signal("SIGINT")
        """
        tell(self._core, number_of(sig), self._choose(targets)[0], block, self.status)

    def shutdown(self, targets: Targets | Own = OWN, *, controller: bool = False, restart: bool = False) -> None:
        """End engines, or the whole cluster.

        Parameters
        ----------
        targets : optional
            The engines; the client's `targets` when left out.
        controller : bool
            End all engines and the controller too, and close this client.
        restart : bool
            Have the engines come back under their ids, and wait until they are there: as
            ``rc.cluster.restart_engines(targets)``.

        Raises
        ------
        ValueError
            When the controller is to end but only some engines are named, or `restart` is given with `controller`.
        ClusterError
            With `restart`: when the launcher cannot start them again, or is not on this host; then nothing has ended.
        ipclusterz.TimeoutError
            With `restart`: when they are not there again within a minute.
        """
        if restart:
            if controller:
                raise ValueError("restart=True and controller=True exclude each other: engines come back, or all ends")
            chosen = self._targets if targets is OWN else targets
            self.cluster.restart_engines(chosen if isinstance(chosen, str) else self._choose(targets)[0])
            return
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
