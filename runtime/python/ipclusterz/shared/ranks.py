"""Which rank this process is, and how many there are, by the environment that mpiexec or srun made."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["rank", "size"]

# The variables of mpiexec come first: inside a Slurm job, Slurm's are set as well.
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


def size(environment: Mapping[str, str]) -> int:
    """How many ranks there are by the environment.

    Raises
    ------
    ValueError
        When it does not say.
    """
    return _of(environment, _SIZE, "how many ranks there are")


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
