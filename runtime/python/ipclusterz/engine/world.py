"""Checks that this engine is the rank that it should be: by the environment, and by MPI itself."""

from __future__ import annotations

from importlib.util import find_spec

from ..shared.ranks import rank, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_ranks", "check_world"]


def check_ranks(environment: Mapping[str, str], ranks: int) -> None:
    """Refuse an environment of another number of ranks.

    Raises
    ------
    ValueError
        When it has another, or says nothing about it.
    """
    told = size(environment)
    if told != ranks:
        raise ValueError(f"the environment says that this is one of {told} ranks, and there must be {ranks}")


def check_world(environment: Mapping[str, str], ranks: int) -> tuple[str, int, int] | None:
    """Start MPI, and refuse a world that is not the one that was asked for.

    Returns
    -------
    (str, int, int) or None
        What all ranks call this world, this rank, and how many there are. None: there is no extension module for MPI,
        so that engines are no group; MPI is started through mpi4py then, if that is installed.

    Raises
    ------
    ValueError
        When MPI's number of ranks, or this process's own, is not the environment's.
    MPIError
        When no MPI library can be loaded, or MPI cannot be started.
    """
    expected = rank(environment)
    world = None
    if find_spec("ipclusterz_mpi") is not None:
        # Imported where it is installed alone: other engines need not wait for it.
        from ..mpi import for_engine

        world = for_engine.start()
        _, found, count = world
        library = for_engine.chosen()
    else:
        try:
            from mpi4py import MPI  # type: ignore[import-not-found, unused-ignore]
        except ModuleNotFoundError:
            return None
        except (ImportError, RuntimeError) as error:
            raise ValueError(f"mpi4py is installed and cannot be used: {error}") from error
        found, count = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
        library = MPI.Get_library_version().split(",")[0].strip("\0 \n").splitlines()[0]
    if count == 1 and ranks > 1:
        raise ValueError(
            f"{ranks} engines that each believe to be rank 0 of 1: "
            f"what started them and the MPI library that Python loads ({library}) do not belong together"
        )
    if (found, count) != (expected, ranks):
        raise ValueError(
            f"MPI ({library}) says that this is rank {found} of {count}, the environment that it is rank {expected}, "
            f"and there must be {ranks}"
        )
    return world
