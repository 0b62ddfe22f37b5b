"""The members of the present epoch: ranks and engines, as `world` has set them."""

from __future__ import annotations

__all__ = ["engines", "ranks", "set_members"]

_ranks: tuple[int, ...] = ()
_engines: tuple[int, ...] = ()


def set_members(ranks: tuple[int, ...], engines: tuple[int, ...]) -> None:
    """Set both, in the order of the communicator of the epoch. A program without engines has no ids of any."""
    global _ranks, _engines
    _ranks, _engines = ranks, engines


def ranks() -> tuple[int, ...]:
    """The ranks of MPI_COMM_WORLD that the communicator of the epoch has."""
    return _ranks


def engines() -> tuple[int, ...]:
    """The ids of these engines."""
    return _engines
