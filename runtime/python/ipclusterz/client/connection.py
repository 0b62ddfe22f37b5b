"""A client without its calls: the engines, waiting, control, and the end of the connection.

It keeps no results and no list of calls, but for those whose wait Ctrl-C has ended: what nobody refers to is freed. The
I/O thread of the extension module sends and receives.
"""

from __future__ import annotations

import json
import weakref
from weakref import WeakSet

from .. import error as errors
from .asyncresult import AsyncResult
from .comms import relay_to_notebook
from .deadlines import deadline_of, left_until
from .feeding import Feeders
from .leaving import close_at_exit, leave, leave_freed
from .records import number_of
from .tables import numbers, table
from .targets import OWN, resolve
from .terms import FLAGS
from .watcher import Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from .._core import Client as Core
    from .future import LazyFuture
    from .targets import Own, Targets
    from .tunnel import Tunnel

__all__ = ["Connection"]


class Connection:
    """The part of `Client` that is about the cluster as a whole.

    Parameters
    ----------
    core : ipclusterz._core.Client
        The open connection.
    tunnel : Tunnel or None
        What it goes through; closed with it.
    named : str or None
        The name that its session was given.
    """

    __slots__ = (
        "__weakref__",
        "_core",
        "_feeders",
        "_file",
        "_left",
        "_named",
        "_owner",
        "_priority",
        "_results",
        "_targets",
        "_texts",
        "_tunnel",
        "_watcher",
        "block",
        "quiet",
    )

    def __init__(self, core: Core, tunnel: Tunnel | None, named: str | None) -> None:
        self._core = core
        self._named = named
        self._tunnel = tunnel
        self._owner: object = None
        self._priority = 0
        # The connection file that was named, if one was.
        self._file: str | None = None
        self._targets: Targets = "all"
        self._watcher = Watcher(core)
        self._results: WeakSet[LazyFuture] = WeakSet()
        self._left: list[LazyFuture] = []
        self._feeders = Feeders()
        # Names of texts that were scattered: their parts are joined to a text again.
        self._texts: set[str] = set()
        # The watcher's thread holds the connection. The connection is closed when this object is freed.
        weakref.finalize(self, leave_freed, core, named).atexit = False
        close_at_exit(self)
        self.block = False
        self.quiet = False
        relay_to_notebook(self)

    # -- engines ------------------------------------------------------------------------------------------------

    @property
    def targets(self) -> Any:
        """The engines of calls that name none: ``"all"`` at first, also those that come later. Takes any index.

        Then it is an id, or a list of ids: ``rc.targets = -1`` makes calls act, and answer, as those of ``rc[-1]``.
        """
        return list(self._targets) if isinstance(self._targets, list) else self._targets

    @targets.setter
    def targets(self, value: Targets) -> None:
        # `all` is allowed before there are engines. Anything else that is wrong is refused here.
        if isinstance(value, str) and value == "all":
            self._targets = "all"
            return
        chosen, single = self._resolve(value)
        self._targets = chosen[0] if single else chosen

    @property
    def ids(self) -> set[int]:
        """The ids of the engines that live now."""
        return set(self._live())

    def __len__(self) -> int:
        return len(self._live())

    @property
    def priority(self) -> int:
        """Added to the priority of each load-balanced call of this client; 0 at first.

        Raises
        ------
        TypeError, ValueError
            When it is set to something that is no whole number from -2**31 to 2**31 - 1.
        """
        return self._priority

    @priority.setter
    def priority(self, value: int) -> None:
        self._priority = FLAGS["priority"][1]("priority", value)

    # -- waiting ------------------------------------------------------------------------------------------------

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
        deadline = deadline_of(timeout)

        # First, so that an unknown id is refused before the wait.
        try:
            done = self._feeders.wait(left_until(deadline)) if jobs is None else True
            if done and (jobs is None or ids):
                done = self._core.wait_requests(None if jobs is None else ids, left_until(deadline))
        except KeyboardInterrupt as error:
            error.args = (
                "what was submitted goes on: rc.abort() gives up what no engine has begun, rc.interrupt() ends what "
                "runs, and rc.outstanding has the results",
            )
            raise
        late = sum(not result.wait(left_until(deadline)) for result in results)
        if late:
            raise errors.TimeoutError(f"{late} of {len(results)} results are not ready after {timeout:g} s")
        if not done:
            raise errors.TimeoutError(f"not all of what was submitted is ready after {timeout:g} s")

    @property
    def outstanding(self) -> list[Any]:
        """The results that are on their way, the oldest first.

        They are those that you still have, and those of calls in which Ctrl-C has ended the wait, such as `map_sync`;
        these stay here until somebody takes their values. `abort` and `interrupt` end what goes on.

        Returns
        -------
        list of AsyncResult

        Examples
        --------
        >>> ar = rc[:].apply_async(abs, -1)
        >>> rc.barrier()
        >>> rc.outstanding
        []
        """
        while True:
            try:
                known = list(self._results)
                break
            except RuntimeError:
                # Another thread has submitted something.
                continue
        self._left[:] = [result for result in self._left if not result._taken()]
        open_ones = {id(result): result for result in self._left}
        open_ones.update({id(result): result for result in known if not result.ready()})
        return sorted(open_ones.values(), key=lambda result: result._pending.submitted)

    # -- control ------------------------------------------------------------------------------------------------

    def abort(
        self,
        jobs: AsyncResult | str | Iterable[AsyncResult | str] | None = None,
        targets: Targets | Own = OWN,
        *,
        all_clients: bool = False,
        session: str | None = None,
        interrupt: bool = False,
        force: bool = False,
    ) -> None:
        """Give up calls that no engine has started; what runs goes on, unless it is to be interrupted.

        Parameters
        ----------
        jobs : AsyncResult, str, or iterable of these, optional
            Results or message ids (``ar.msg_ids``), with all engines of the requests that these name. Left out, all
            that this client has waiting.
        targets : optional
            Only those waiting on these engines, for when `jobs` is left out; ``"all"`` includes those that wait for a
            free engine. Left out, the client's `targets`.
        all_clients : bool
            Also the calls of all other clients, and what clients that have left are still having done. In a shell:
            ``ipclusterz abort``.
        session : str, optional
            All calls of the session with this name.
        interrupt : bool
            Also raise KeyboardInterrupt in those of the calls that run.
        force : bool
            Also end the engines on which they run, at once, for code that cannot be interrupted. They come back where
            the profile says ``engines.restart``, without their namespaces.

        Raises
        ------
        TypeError
            When `jobs` are no results, or are given with another argument.
        ValueError
            When a message id is none of this client's.

        Examples
        --------
        >>> from time import sleep
        >>> ar = rc[:].apply_async(sleep, 60)
        >>> rc.abort(all_clients=True, interrupt=True)
        >>> ar.wait(timeout=10)
        True
        """
        interrupt = interrupt or force
        if sum((jobs is not None, all_clients, session is not None)) > 1:
            raise TypeError("give jobs, all_clients or session, not several of them")
        if session is not None:
            self._core.abort_in(session, None, interrupt, force)
            return
        if jobs is None:
            chosen = self._targets if targets is OWN else targets
            everywhere = isinstance(chosen, str) and chosen == "all"
            if everywhere:
                self._feeders.give_up()
            self._core.abort_all(None if everywhere else self._choose(chosen)[0], all_clients, interrupt, force)
            return
        if targets is not OWN:
            raise TypeError("results have engines of their own: give jobs or targets, not both")
        results, ids = _jobs(jobs)
        # First, so that an id that is unknown is refused before anything is given up.
        if ids:
            self._core.wait_requests(ids, 0)
        for result in results:
            result.abort()
        if interrupt:
            ids += [message_id for result in results for message_id in result.msg_ids]
        for first, end in _runs({number_of(message_id)[0] for message_id in ids}):
            self._core.abort_requests(first, end, interrupt, force)

    def status(self, timeout: float = 10) -> dict[str, Any]:
        """What the controller knows: its engines with their queues and memory, and its own.

        Parameters
        ----------
        timeout : float
            Seconds to wait for the answer.

        Returns
        -------
        dict
            With the keys cluster, pid, uptime (seconds), clients, pending, held_bytes, rejected, resident_bytes,
            engines and losses: the last ten engines that died, and how. ``expected``, where a launcher says it, is
            whether engines are ``coming``, and ``why`` not yet, or not at all. The ``state`` of an engine is
            ``idle``, ``busy`` or ``draining``; on the controller's host also ``stopped`` by a signal, ``traced`` by a
            debugger or ``frozen``; or ``away``: then its ``absence`` says for how many ``seconds`` it has had no
            connection, how many are ``left`` in which it may come back with all it has, and whether it is ``silent``,
            as behind a network that is down, or was disconnected. One that is of a group of the profile's
            (``batch.groups``) has its name as ``group``. ``unsent`` is about this client: the ``calls`` that
            wait in it until the controller has room for them, and their ``bytes``. With more than 1 GiB, submitting
            waits, and says so.

        Raises
        ------
        ControllerUnreachable
            When there is no answer in time; at once when nobody listens any more, or the controller is stopped.
        """
        status: dict[str, Any] = json.loads(self._core.status(timeout))
        calls, size = self._core.unsent()
        return {**status, "unsent": {"calls": calls, "bytes": size}}

    # -- the connection -----------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the client was closed; in a child that was forked off it counts as closed."""
        return self._core.closed

    def close(self) -> None:
        """Close the connection; the cluster goes on. Closing again does nothing.

        Load-balanced calls that no engine has begun are given up, and a line says how many are under way. In a session
        with a name all of them go on, and this waits until the controller has them, for 10 s at most.
        """
        try:
            if not self.closed:
                self._feeders.finish(send=self._named is not None)
            leave(self._core, self._named, self.quiet)
        finally:
            self._core.close()
            self._feeders.join()
            if self._tunnel is not None:
                self._tunnel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._core.forked_from is not None:
            return f"<Client: made in process {self._core.forked_from} before a fork>"
        if self.closed:
            return f"<Client: closed: {taken}>" if (taken := self._core.taken) else "<Client: closed>"
        try:
            engines = len(self)
        except errors.ControllerUnreachable:
            where = f"cluster {self._core.cluster!r} at {self._core.address}"
            return f"<Client: {where}, which has ended or cannot be reached>"
        session = None if self._named is None else f"session {self._named!r}"
        parts = [self._core.address, f"{engines} engine{'s' * (engines != 1)}", session, self._core.trouble]
        return f"<Client: cluster {self._core.cluster!r} at {', '.join(part for part in parts if part)}>"

    def _repr_html_(self) -> str:
        return table("Client", self._rows)

    def _rows(self) -> list[tuple[str, object]]:
        if self._core.forked_from is not None:
            return [("state", f"made in process {self._core.forked_from} before a fork")]
        if self.closed:
            return [("state", self._core.taken or "closed")]
        engines = self._live()
        return [
            ("cluster", self._core.cluster),
            ("address", self._core.address),
            ("engines", f"{len(engines)}: {numbers(engines)}" if engines else "none"),
            *([("session", self._named)] if self._named is not None else []),
            *([("trouble", trouble)] if (trouble := self._core.trouble) else []),
        ]

    def _live(self) -> list[int]:
        if self._core.closed and self._core.forked_from is None and self._core.taken is None:
            raise errors.ClientClosed("this client is closed", hint="make a new Client()")
        return self._core.engine_ids()

    def _resolve(self, targets: Targets) -> tuple[list[int], bool]:
        return resolve(targets, self._live(), self._core.what_became_of)

    def _choose(self, targets: Targets | Own) -> tuple[list[int], bool]:
        return self._resolve(self._targets if targets is OWN else targets)  # type: ignore[arg-type]

    def _ids(self, targets: Targets) -> list[int]:
        return self._resolve(targets)[0]

    # -- views, which stand above this class: `Client` makes them ------------------------------------------------

    def _balanced(self, engines: list[int] | None) -> Any:
        """A load-balanced view of engines, of which some may be dead; None: of all that there are."""
        raise NotImplementedError

    def _view_of(self, targets: Targets | Own) -> Any:
        """The view that an index means; `OWN` is the client's own `targets`."""
        raise NotImplementedError


def _runs(numbers: set[int]) -> list[tuple[int, int]]:
    """Consecutive numbers together: the first of them, and the one behind the last."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def _jobs(jobs: AsyncResult | str | Iterable[AsyncResult | str] | None) -> tuple[list[AsyncResult], list[str]]:
    results: list[AsyncResult] = []
    ids: list[str] = []
    several: Iterable[Any]
    if jobs is None:
        several = ()
    elif isinstance(jobs, (AsyncResult, str)) or not hasattr(jobs, "__iter__"):
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
