"""Which rank this process is: by the environment that mpiexec or srun made, and by MPI itself."""

from __future__ import annotations

from importlib.util import find_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_ranks", "check_world", "rank"]

# The innermost launcher's first: mpiexec inside of a Slurm job finds Slurm's variables there already.
_RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")


def rank(environment: Mapping[str, str]) -> int:
    """The rank that the environment gives this process.

    Raises
    ------
    ValueError
        When it gives none.
    """
    return _of(environment, _RANK, "which rank this process is")


def check_ranks(environment: Mapping[str, str], ranks: int) -> None:
    """Refuse an environment of another number of ranks.

    Raises
    ------
    ValueError
        When it has another, or says nothing about it.
    """
    size = _of(environment, _SIZE, "how many ranks there are")
    if size != ranks:
        raise ValueError(f"the environment says that this is one of {size} ranks, and there must be {ranks}")


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
        When MPI's number of ranks, or this process's own, is not the environment's, or MPI cannot be started.
    """
    expected = rank(environment)
    world = None
    if find_spec("ipclusterz_mpi") is not None:
        from ..error import MPIError
        from ..mpi import world as own

        try:
            world = own.start()
            library = own.library()
        except MPIError as error:
            raise ValueError(error.message) from error
        _, found, size = world
    else:
        try:
            from mpi4py import MPI  # type: ignore[import-not-found, unused-ignore]
        except ModuleNotFoundError:
            return None
        except (ImportError, RuntimeError) as error:
            raise ValueError(f"mpi4py is installed and cannot be used: {error}") from error
        found, size = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
        library = MPI.Get_library_version().split(",")[0].strip("\0 \n").splitlines()[0]
    if size == 1 and ranks > 1:
        raise ValueError(
            f"{ranks} engines that each believe to be rank 0 of 1: "
            f"what started them and the MPI library that Python loads ({library}) do not belong together"
        )
    if (found, size) != (expected, ranks):
        raise ValueError(
            f"MPI ({library}) says that this is rank {found} of {size}, the environment that it is rank {expected}, "
            f"and there must be {ranks}"
        )
    return world


def _of(environment: Mapping[str, str], names: tuple[str, ...], what: str) -> int:
    for name in names:
        text = environment.get(name)
        if text:
            if not text.isdecimal():
                raise ValueError(f"the variable {name} is no number: {text!r}")
            return int(text)
    raise ValueError(
        f"nothing says {what}: none of the variables {', '.join(names)} is set (start it by mpiexec or srun)"
    )
