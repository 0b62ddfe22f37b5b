"""The communicators of groups: engines that do something together at a client's wish.

A group is ranks of MPI_COMM_WORLD in an epoch. Its communicator is made at its first request, which all its engines get
in the same order among all requests of groups, and kept until the epoch is over or the group is given up.
"""

from __future__ import annotations

from ..error import RankLost
from . import world
from .communicator import Comm

__all__ = ["free", "of"]

_kept: dict[tuple[int, ...], Comm] = {}
_epoch = 0


def of(epoch: int, ranks: tuple[int, ...]) -> Comm:
    """The communicator of these ranks, in that order.

    Raises
    ------
    RankLost
        When that epoch is over.
    """
    global _epoch
    if epoch != world.epoch():
        raise RankLost(f"this was for epoch {epoch}, and {world.why_over() or 'another has begun'}")
    if epoch != _epoch:
        _kept.clear()
        _epoch = epoch
    if ranks == world.ranks():
        return world.comm()
    if ranks not in _kept:
        _kept[ranks] = world.group(ranks)
    return _kept[ranks]


def free(comm: Comm) -> None:
    """Give up a group's communicator; all its ranks do that. That of the whole world stays."""
    for ranks, kept in list(_kept.items()):
        if kept is comm:
            del _kept[ranks]
            comm.free()
