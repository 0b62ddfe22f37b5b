"""The engines of a view as the ranks of a communicator: ``view.mpi``.

What a group is asked for goes to all its engines in one step, so that all of them come to all such calls in the same
order. What engines do with names is in `ipclusterz.mpi.names`, how data of the client travel in `via`.
"""

from __future__ import annotations

from threading import Event
from time import monotonic

from .. import error as errors
from ..compat import zip_equal
from ..error import EmptyTargets, EngineError, MPIError, UnknownEngine
from ..mpi import groups
from ..shared.serialize import dumps
from ..wheels import BRIDGE
from .about import about, name_of
from .arguments import argument_frames
from .collectives import Collectives, seconds
from .deadlines import deadline_of
from .functions import pack
from .targets import OWN, waits
from .together import CellsTogether, GroupResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .calls import Calls
    from .targets import Own, Targets

__all__ = ["Group"]

# Seconds between looks at the cluster's status: the first ones, and the later ones.
_SOON, _LATER = 0.02, 0.25


class Group(Collectives):
    """Engines of one MPI world, as the ranks of a communicator of their own.

    Made by ``view.mpi``, of the view's engines, and by ``rc.mpi``. *Rank* in a group is the position in the view: rank
    0 of ``rc[2, 0].mpi`` is engine 2. The engines make the communicator when it is first needed and keep it, so that
    groups may be made as often as one likes.

    The collectives work on names in the engines' namespaces; the data never leave the engines. Numeric arrays are
    combined by MPI itself, all other values are pickled. What one rank cannot do, because it has no such name or an
    array of another shape, all ranks refuse with an error that names it, and nothing was changed.

    Like those of the view, calls wait when `block` is set, and return a dictionary by engine id; otherwise they return
    an `AsyncResult`. A group of one engine counts as several. A call that has reached the
    controller cannot be aborted.

    Attributes
    ----------
    block : bool or None
        Whether calls wait; None, as at first: as the view says.
    timeout : float or None
        Deadline of a collective in seconds, for those that are given none, also of those that `spmd` functions and
        cells call; None: the communicator's own, an hour. What it takes to make the communicator at the group's first
        call counts.

    Raises
    ------
    RankLost
        When waiting: a rank of the world was lost before or while the call ran.
    MPITimeout
        When waiting: some rank did not come to the call in time. The group's next call has another communicator.
    RankRaised
        When waiting: a rank has ended its call without entering what the others waited in.
    RejectedError
        When waiting: the engines are not the ranks of one world.
    RemoteError, CompositeError
        When waiting: what the engines raised, once when all of them raised the same.

    Examples
    --------
    >>> rc.scatter("x", [3, 1, 4, 2], flatten=True, block=True)
    {0: None, 1: None, 2: None, 3: None}
    >>> group = rc[:].mpi
    >>> group.block = True
    >>> group.allreduce("x", op="max", out="largest")
    {0: None, 1: None, 2: None, 3: None}
    >>> rc[:]["largest"]
    {0: 4, 1: 4, 2: 4, 3: 4}
    >>> group.spmd(lambda comm: comm.rank)
    {0: 0, 1: 1, 2: 2, 3: 3}
    """

    __slots__ = ("_calls", "_targets", "block", "timeout")

    def __init__(self, calls: Calls, targets: Targets | Own = OWN) -> None:
        self._calls = calls
        self._targets = targets
        self.block: bool | None = None
        self.timeout: float | None = None

    def __len__(self) -> int:
        return len(self._engines())

    def __repr__(self) -> str:
        return f"<Group of engines {', '.join(map(str, self._engines()))}>"

    # -- functions and code -------------------------------------------------------------------------------------

    def spmd(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(comm, *args, **kwargs)`` on all ranks at once.

        Parameters
        ----------
        f : callable
            Its first argument is the group's `ipclusterz.mpi.Comm`. It runs with the globals and closure that it has
            here.
        *args, **kwargs
            Further arguments, the same for all ranks.

        Returns
        -------
        dict or AsyncResult
            Results by engine id.

        Examples
        --------
        >>> def total(comm, x):
        ...     return comm.allreduce(x * comm.rank)
        >>> rc[:].mpi.spmd(total, 10).get()
        [60, 60, 60, 60]
        """
        return self._submit("spmd", f, args, kwargs, None, self._limit())

    def execute(self, code: str, silent: bool = False, *, block: bool | None = None) -> Any:
        """Run code in the namespace of each engine, where it sees the group's communicator as ``comm``.

        Parameters
        ----------
        code : str
            A cell.
        silent : bool
            As for `DirectView.execute`.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        dict of ExecuteReply, or AsyncResult

        Examples
        --------
        >>> rc[:2].mpi.execute("comm.allreduce([comm.rank])", block=True)
        <Results List>
        [0] In [1]: comm.allreduce([comm.rank])
        [0] Out[1]: [0, 1]
        <BLANKLINE>
        [1] In [1]: comm.allreduce([comm.rank])
        [1] Out[1]: [0, 1]
        """
        if not isinstance(code, str):
            raise TypeError(f"code is text, not {type(code).__name__}: {code!r:.80}")
        calls = self._calls
        frames = dumps((code, bool(silent)))
        items = [(self._engines(), frames)]
        told = about("group cells")
        pending = calls._core.submit("execute", items, collective=True, timeout=self._limit(), about=told)
        return self._done(CellsTogether(calls._owner_client, pending, "execute", False), block)

    def free(self, *, block: bool | None = None) -> Any:
        """Have the engines give the group's communicator back to MPI. It is made again when it is needed again.

        Communicators of groups are kept until the epoch is over otherwise, and MPI libraries have room for some
        thousands. That of all engines of a world stays. One that cannot be used any more need not be freed: the group's
        next call has another.

        Parameters
        ----------
        block : bool, optional
            Whether to wait.

        Examples
        --------
        >>> rc[0, 1].mpi.free(block=True)
        {0: None, 1: None}
        """
        return self._submit("free", groups.free, (), {}, block, self._limit())

    def renew(self, *, block: bool | None = None) -> Any:
        """Have the group's next call make another communicator, also that of all engines of a world.

        After a call that some rank has left, that is done without being asked for. It is needed where ranks are out of
        step by what the group does not know of: a plain `apply` of code that uses `ipclusterz.mpi.comm`, or mpi4py.

        Parameters
        ----------
        block : bool, optional
            Whether to wait.

        Examples
        --------
        >>> rc[:].mpi.renew(block=True)
        {0: None, 1: None, 2: None, 3: None}
        >>> rc[:].mpi.spmd(lambda comm: comm.name).get()
        ['world#2', 'world#2', 'world#2', 'world#2']
        """
        return self._submit("renew", groups.renew, (), {}, block, self._limit())

    # -- the world ----------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many ranks the group has."""
        return len(self)

    @property
    def ranks(self) -> list[int]:
        """The ranks of the group's engines in their world, in the group's order."""
        return [world["rank"] for world in self._worlds()]

    @property
    def epoch(self) -> int:
        """Counts the worlds: one more each time that ranks were lost and the rest, or new ones, go on."""
        epochs = {world["epoch"] for world in self._worlds()}
        if len(epochs) > 1:
            raise _refusal(f"the engines of {self!r} are in different epochs: {sorted(epochs, key=str)}", _FORMING)
        epoch: int = epochs.pop()
        return epoch

    def wait_epoch(self, epoch: int | None = None, timeout: float | None = 60) -> int:
        """Wait until the engines have the communicator of an epoch, for example after a `RankLost`.

        Parameters
        ----------
        epoch : int, optional
            The least; left out, whichever is the present one.
        timeout : float or None
            Seconds to wait; None is for ever.

        Returns
        -------
        int
            The epoch.

        Raises
        ------
        ipclusterz.TimeoutError
            When they have none in time; says what is missing.
        MPIError
            When an engine is no rank of any world.

        Examples
        --------
        >>> rc.mpi.wait_epoch(1, timeout=30)
        1
        """
        deadline = deadline_of(timeout)
        pause = Event()
        looks = 0
        while True:
            found, missing = self._formed(epoch or 0)
            if found is not None:
                return found
            if deadline is not None and monotonic() >= deadline:
                raise errors.TimeoutError(f"no communicator after {timeout:g} s: {missing}", hint=_FORMING)
            looks += 1
            pause.wait(_SOON if looks < 50 else _LATER)

    # -- inside -------------------------------------------------------------------------------------------------

    def _limit(self) -> float | None:
        return None if self.timeout is None else seconds(self.timeout)

    def _engines(self) -> list[int]:
        return self._calls._choose(self._targets)[0]

    def _submit(
        self,
        method: str,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        block: bool | None,
        timeout: float | None,
        agreed: bool = False,
    ) -> Any:
        calls = self._calls
        # The communicator is an argument as well: there is no short form without any.
        items = [(self._engines(), argument_frames(args, kwargs) or dumps((args, kwargs)))]
        told = about("group", method=method, agreed=agreed, single=False, quiet=calls.quiet)
        options: dict[str, Any] = {"collective": True, "timeout": timeout, "name": name_of(f), "about": told}
        pending = calls._core.submit("apply", items, function=pack(f), **options)
        result = GroupResult(calls._owner_client, pending, method, agreed)
        result.quiet = calls.quiet
        return self._done(result, block)

    def _done(self, result: GroupResult | CellsTogether, block: bool | None) -> Any:
        if not waits(self._calls, self.block if block is None else block):
            return result
        return result._answer()

    def _worlds(self) -> list[dict[str, Any]]:
        """What the controller says of each engine's world."""
        told = {row["id"]: row.get("world") for row in self._calls._owner_client.status()["engines"]}
        engines = self._engines()
        gone = [engine_id for engine_id in engines if engine_id not in told]
        if gone:
            raise EngineError(f"engine{'s' * (len(gone) > 1)} {', '.join(map(str, gone))}: not there any more")
        return [_world_of(engine_id, told[engine_id]) for engine_id in engines]

    def _formed(self, least: int) -> tuple[int | None, str]:
        """The epoch whose communicator all engines have, else what is missing."""
        try:
            worlds = self._worlds()
        except (EngineError, EmptyTargets, UnknownEngine) as error:
            return None, error.message
        states = {(world["name"], world["epoch"]) for world in worlds}
        forming = [world["rank"] for world in worlds if not world["formed"]]
        if forming:
            late = _held_up(zip_equal(self._engines(), worlds))
            return None, late or f"ranks {', '.join(map(str, forming))} have not formed it"
        if len(states) > 1:
            return None, f"the engines are in different worlds: {sorted(states, key=str)}"
        epoch: int = worlds[0]["epoch"]
        return (epoch, "") if epoch >= least else (None, f"the epoch is {epoch}, and {least} was asked for")


_FORMING = "`ipclusterz status` shows the engines, `ipclusterz logs` what they wrote"


def _world_of(engine_id: int, world: dict[str, Any] | None) -> dict[str, Any]:
    if world is None:
        raise _refusal(
            f"engine {engine_id} is not a rank of an MPI world",
            'start the engines by mpiexec or srun, with launcher = "mpiexec" in the profile, or --profile mpiexec or '
            f"slurm-mpi, and `pip install {BRIDGE}` where they run",
        )
    return world


def _held_up(worlds: Iterable[tuple[int, dict[str, Any]]]) -> str:
    """Which engines run what they were given before the epoch, and since when."""
    late = [
        f"epoch {world['epoch']} waits for engine {engine_id} (rank {world['rank']}), which has run for "
        f"{world['held_up']:.1f} s what it was given before; rc.interrupt({engine_id}) ends that"
        for engine_id, world in worlds
        if world["held_up"] is not None
    ]
    return "; ".join(late)


def _refusal(message: str, hint: str) -> MPIError:
    error = MPIError(message)
    error.hint = hint
    return error
