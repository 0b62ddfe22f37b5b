"""Which rank this process is, and how many there are, here and in all, by the environment that mpiexec or srun made."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["local_rank", "local_size", "rank", "size", "started_by_srun"]

# The variables of mpiexec come first: inside a Slurm job, Slurm's are set as well.
_RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")

_LOCAL_SIZE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE")
_LOCAL_RANK = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PALS_LOCAL_RANKID", "SLURM_LOCALID")
_OF_STEP = "SLURM_STEP_TASKS_PER_NODE"


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


def local_size(environment: Mapping[str, str]) -> int:
    """How many ranks there are on this host by the environment; all of them where it does not say.

    Raises
    ------
    ValueError
        When it says nothing about ranks.
    """
    for name in _LOCAL_SIZE:
        if environment.get(name, "").isdecimal():
            return int(environment[name])
    counts = _counts(environment.get(_OF_STEP, ""))
    node = environment.get("SLURM_NODEID", "")
    if node.isdecimal() and int(node) < len(counts):
        return counts[int(node)]
    return size(environment)


def local_rank(environment: Mapping[str, str]) -> int | None:
    """Which of the ranks of this host this process is, by the environment; None where it does not say."""
    # An mpiexec inside a job of Slurm says it itself: the job's variable is that of its script.
    names = _LOCAL_RANK if started_by_srun(environment) else _LOCAL_RANK[:-1]
    found = [environment[name] for name in names if environment.get(name, "").isdecimal()]
    return int(found[0]) if found else None


def started_by_srun(environment: Mapping[str, str]) -> bool:
    """Whether srun itself started this rank, and not an mpiexec inside a job of Slurm."""
    return _OF_STEP in environment and not any(name in environment for name in _LOCAL_SIZE)


def _counts(text: str) -> list[int]:
    """Slurm's list of numbers, one a node: `2(x3),1` is 2, 2, 2, 1."""
    counts = []
    for part in text.split(","):
        number, _, times = part.rstrip(")").partition("(x")
        if not (number.isdecimal() and (times or "1").isdecimal()):
            return []
        counts += [int(number)] * int(times or 1)
    return counts


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
