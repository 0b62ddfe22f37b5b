"""The communicators of groups: engines that do something together at a client's wish.

A group is ranks of MPI_COMM_WORLD in an epoch. Its communicator is made at its first request, which all its engines get
in the same order among all requests of groups, and kept until the epoch is over or the group is given up. Where the
ranks of one are out of step, later requests say that another is to be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from ..error import RankLost
from . import world
from .communicator import Comm

__all__ = ["free", "lent", "renew"]

# With how often it was made anew.
_kept: dict[tuple[int, ...], tuple[int, Comm]] = {}
_epoch = 0


@contextmanager
def lent(
    epoch: int, ranks: tuple[int, ...], renewal: int, timeout: float | None, f: Callable[..., Any] | None
) -> Iterator[Comm | None]:
    """The communicator of these ranks, in that order, for one call of a client.

    Parameters
    ----------
    epoch, ranks
        The group.
    renewal : int
        How often its communicator was made anew in this epoch.
    timeout : float or None
        Seconds for making it, if this is its first call, and for each of its calls; its own when left out.
    f : callable or None
        What is called: `free` and `renew` need none that is not there, for which None is lent.

    Raises
    ------
    RankLost
        When that epoch is over.
    MPITimeout
        When it is not made in time. Making it goes on, and the next call of the group waits for the same one.
    """
    began = monotonic()
    _enter(epoch)
    if f in (free, renew) and not _is_there(ranks, renewal):
        # An interrupt may have come before it was kept.
        world.free(ranks, renewal)
        yield None
        return
    comm = _of(ranks, renewal, timeout)
    before = comm.timeout
    comm.asked = began
    if timeout is not None:
        comm.timeout = timeout
    try:
        yield comm
    finally:
        comm.timeout = before
        comm.asked = None


def _enter(epoch: int) -> None:
    global _epoch
    if epoch != world.epoch():
        raise RankLost(f"this was for epoch {epoch}, and {world.why_over() or 'another has begun'}")
    if epoch != _epoch:
        _kept.clear()
        _epoch = epoch


def _is_there(ranks: tuple[int, ...], renewal: int) -> bool:
    if ranks == world.ranks() and renewal == 0:
        return True
    return ranks in _kept and _kept[ranks][0] == renewal


def _of(ranks: tuple[int, ...], renewal: int, timeout: float | None) -> Comm:
    if _is_there(ranks, renewal):
        return _kept[ranks][1] if ranks in _kept else world.comm()
    made = world.group(ranks, renewal, timeout)
    _kept[ranks] = renewal, made
    return made


def free(comm: Comm | None) -> None:
    """Give up a group's communicator; all its ranks do that. That of the whole world stays."""
    for ranks, (renewal, kept) in list(_kept.items()):
        if kept is comm and ranks != world.ranks():
            del _kept[ranks]
            world.free(ranks, renewal)


def renew(comm: Comm | None) -> None:
    """Give up a group's communicator, whatever its ranks have entered: later requests have another one."""
    if comm is not None:
        comm._native.break_off("it was made anew at a client's wish")
