"""The world of this engine: MPI's beginning, and the communicator of each epoch.

In an engine of a cluster the controller says when an epoch begins, and with which ranks: `start` is called before the
engine registers, `reform` when it is told. In any other MPI program there is one epoch, which begins at the first
`comm()`.
"""

from __future__ import annotations

import atexit
import os
import secrets
from typing import Any
from zlib import crc32

from ..error import MPIError, MPITimeout, RankLost
from ..shared.ranks import rank
from .bridge import bridge
from .communicator import Comm
from .members import engines, ranks, set_members
from .missing import PARENT

__all__ = [
    "comm",
    "engines",
    "epoch",
    "from_mpi4py",
    "group",
    "library",
    "ranks",
    "reform",
    "start",
    "thread_level",
    "why_over",
]

TIMEOUT = 3600.0
# How long ranks that were started together may take to meet.
_START_TIMEOUT = 120.0
# The highest tag that MPI guarantees.
_HIGHEST_TAG = 32767
# Tags of one epoch: the first for its own communicator, the others for groups.
_TAGS_OF_EPOCH = 16
# The epoch of what outlives all epochs.
_ALWAYS = 2**64 - 1

# Set by mpiexec --with-ft ulfm of Open MPI.
_ULFM = "OMPI_MCA_mpi_ft_enable"

_level = ""
# The parent of the communicators of all epochs. Nothing is sent through it.
_parent: Any = None
# Communicators that are being made or were, by epoch, ranks, and how often those were made anew.
_making: dict[tuple[int, tuple[int, ...], int], Any] = {}
_comm: Comm | None = None


def initialize() -> str:
    """Initialise MPI unless mpi4py or somebody else has; the thread level that it has.

    Whoever initialises MPI finalises it. At the end of the process, unless a rank was lost: that would wait for ever.
    """
    global _level
    if not _level:
        own, _level = bridge().initialize()
        if own:
            atexit.register(_finalize)
    return _level


def _finalize() -> None:
    if _comm is None or (_comm.broken is None and len(ranks()) == bridge().whole_world(_ALWAYS).size):
        bridge().finalize()


def start() -> tuple[str, int, int]:
    """Start MPI in an engine: the name of the world, on which all ranks agree, this rank, and the number of ranks.

    All ranks must call it.

    Raises
    ------
    MPIError
        When there is no extension module, or MPI fails.
    """
    global _parent
    native = bridge()
    initialize()
    _parent = native.world(_ALWAYS, _START_TIMEOUT)
    name: str = Comm(_parent, PARENT, _START_TIMEOUT).bcast(secrets.token_hex(8), 0)
    return name, _parent.rank, _parent.size


def reform(number: int, members: tuple[int, ...], engines: tuple[int, ...]) -> Comm:
    """Form the communicator of an epoch, together with these ranks.

    Parameters
    ----------
    number : int
        The epoch.
    members : tuple of int
        Ranks of MPI_COMM_WORLD, ascending.
    engines : tuple of int
        Their ids.

    Raises
    ------
    RankLost
        When a rank is lost meanwhile.
    MPIError
        When MPI fails.
    """
    global _comm
    bridge().end_epoch(number - 1, f"epoch {number} has begun")
    _shrink(number, members)
    bridge().set_members(members)
    # The deadline is long: other members may be busy with user code.
    made = _create((number, members, 0), _tag(number, 0), "world", TIMEOUT)
    _comm = Comm(made, "world", TIMEOUT)
    set_members(members, engines)
    return _comm


def _shrink(number: int, members: tuple[int, ...]) -> None:
    """Leave lost ranks behind where the library notices losses (ULFM): it makes nothing of a parent that has some."""
    global _parent
    if os.environ.get(_ULFM) != "1" or _parent.world_ranks == list(members):
        return
    _parent = _parent.begin_shrink().wait(TIMEOUT)
    living = _parent.world_ranks
    if living != list(members):
        raise RankLost(f"epoch {number} is for ranks {list(members)}, and those that live are {living}")


def _create(key: tuple[int, tuple[int, ...], int], tag: int, name: str, timeout: float) -> Any:
    """A communicator of these ranks. Who was interrupted while it was made, or before it was kept, gets the same."""
    number, members, _ = key
    for other in [other for other in _making if other[0] != number]:
        del _making[other]
    if key not in _making:
        here = _parent.world_ranks
        _making[key] = _parent.begin_group([here.index(member) for member in members], tag, number, name, members)
    return _making[key].wait(timeout)


def free(members: tuple[int, ...], renewal: int) -> None:
    """Give the communicator of a group back to MPI: the next one of these ranks is made anew.

    One that is not made yet goes on being made, and is the next one.
    """
    key = epoch(), members, renewal
    bridge().forget(_name(members, renewal))
    if key in _making:
        try:
            made = _making[key].wait(0.0)
        except MPITimeout:
            return
        del _making[key]
        made.free()


def group(members: tuple[int, ...], renewal: int, timeout: float | None) -> Comm:
    """The communicator of some ranks of this epoch, in that order; all of them must ask for it.

    Made from what the epoch's own was made of, so that it does not need that one any more. One of all ranks of the
    epoch takes the place of that.

    Parameters
    ----------
    members : tuple of int
        Ranks of MPI_COMM_WORLD.
    renewal : int
        How often it was made anew: the one before is of no use any more.
    timeout : float or None
        Seconds to make it; as long as for any call when left out.
    """
    global _comm
    tag = _tag(epoch(), 1 + crc32(repr(members).encode()) % (_TAGS_OF_EPOCH - 1))
    name = _name(members, renewal)
    made = _create((epoch(), members, renewal), tag, name, TIMEOUT if timeout is None else timeout)
    # Those before it were given up.
    for other in [other for other in _making if other[1] == members and other[2] < renewal]:
        del _making[other]
    comm = Comm(made, name, TIMEOUT)
    if members == ranks():
        _comm = comm
    return comm


def _name(members: tuple[int, ...], renewal: int) -> str:
    """The name of a group's communicator; the extension module knows it, too (`turns.rs`)."""
    name = "world" if members == ranks() else f"world.group({','.join(map(str, members))})"
    return name if renewal == 0 else f"{name}#{renewal + 1}"


def _tag(number: int, which: int) -> int:
    """A tag for a communicator that is made in an epoch, lower than all tags of earlier epochs.

    Where a rank is lost while a communicator is made, Open MPI goes on waiting for it, and lets nothing with a higher
    tag pass (`ompi_comm_cid_lowest_id` in its comm_cid.c).
    """
    return _HIGHEST_TAG - number * _TAGS_OF_EPOCH % (_HIGHEST_TAG // 2) - which


def comm() -> Comm:
    """The communicator of the engines of this set, in the order of their ids.

    Not MPI_COMM_WORLD, so that its messages never mix with those of other users of that. In a program that is no engine
    all ranks must call it for the first time together.

    Raises
    ------
    MPIError
        When this engine is not a rank of an MPI program, or has no extension module for MPI.
    RankLost
        When a rank was lost, and those that are left have not formed the next epoch.

    Examples
    --------
    >>> from ipclusterz import mpi
    >>> mpi.comm().allreduce(1)
    4
    """
    global _comm
    if _comm is None:
        native = bridge()
        if _parent is not None:
            raise MPIError("the first epoch has not begun: not all ranks have registered with the controller")
        if not native.is_initialized() and not _is_rank():
            raise MPIError(
                "this engine is not a rank of an MPI program: start the engines by mpiexec or srun, "
                'with launcher = "mpiexec" in the profile, or --profile mpiexec or slurm-mpi'
            )
        initialize()
        _comm = Comm(native.world(1, TIMEOUT), "world", TIMEOUT)
        set_members(tuple(range(_comm.size)), ())
    return _comm


def epoch() -> int:
    """The epoch of `comm()`; 0 before the first."""
    return 0 if _comm is None else _comm.epoch


def why_over() -> str:
    """Why the epoch is over; empty while it is not."""
    return (_comm.broken or "") if _comm is not None else ""


def _is_rank() -> bool:
    try:
        rank(os.environ)
    except ValueError:
        return False
    return True


def library() -> str:
    """Name and version of the MPI library."""
    version: str = bridge().library_version()
    return version


def thread_level() -> str:
    """What threads may call MPI: "single", "funneled", "serialized" or "multiple"."""
    return initialize()


def from_mpi4py(other: Any) -> Comm:
    """A communicator of mpi4py as one of ours, without a copy; it stays mpi4py's to free."""
    # mpi4py is optional.
    from .foreign import of_mpi4py

    return Comm(bridge().of_handle(of_mpi4py(other), comm().epoch), "from mpi4py", TIMEOUT)
